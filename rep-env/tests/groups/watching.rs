use crate::world::{BOTH, Net, PATIENCE, World, eventually};
use rep_env::{NodeState, Stats};

#[test]
fn events_begin_with_the_present_and_end_with_shutdown() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        let mut events = world.env(0).subscribe().states();
        let first = events.next_within(PATIENCE).unwrap();
        assert_eq!(first.old, first.new);
        let mut state = first.new;
        world.put("alice", "1");
        while !matches!(state, NodeState::Master | NodeState::Replica) {
            let event = events.next_within(PATIENCE).unwrap();
            assert_eq!(event.old, state);
            state = event.new;
            if matches!(state, NodeState::Master | NodeState::Replica) {
                assert!(
                    event.master.is_some() && event.term.get() > 0 && !event.reason.is_empty(),
                    "{event:?}"
                );
            }
        }
        world.close(0);
        for event in events {
            assert_eq!(event.old, state);
            let settled = |state| matches!(state, NodeState::Master | NodeState::Replica);
            assert!(!(settled(event.old) && settled(event.new)), "{event:?}");
            state = event.new;
        }
        assert_eq!(state, NodeState::Shutdown);
    }
}

#[test]
fn every_counter_of_a_working_group_moves() {
    let mut world = World::steady(Net::Tcp, 3);
    let mut token = world.put("alice", "0");
    for number in 1..20 {
        token = world.put("alice", &number.to_string());
    }
    world.assert_everywhere(token, "alice", "19");
    let master = world.master();
    let env = world.env(master).clone();
    env.read(rep_env::Consistency::Linearizable).wait().unwrap();
    let Stats {
        commits_begun,
        commits_durable,
        commits_unknown,
        commits_failed,
        reads_served,
        log_groups,
        log_entries,
        log_bytes,
        log_syncs,
        promises_written,
        entries_applied,
        batches_applied,
        steps,
        state_changes,
        crowned,
        replicas,
        ..
    } = eventually("acks of both", || {
        let stats = env.stats();
        let all =
            stats.replicas.iter().all(|replica| replica.synced >= Some(token.point().vlsn.get()));
        all.then_some(stats)
    });
    assert!(
        commits_begun >= 20 && commits_durable >= 20 && commits_unknown == 0,
        "{commits_begun}"
    );
    assert!(commits_failed <= commits_begun - commits_durable && reads_served >= 1);
    assert!(log_groups >= 1 && log_syncs >= log_groups && log_entries >= 20 && log_bytes > 20 * 48);
    assert!(promises_written >= 1 && entries_applied >= 20 && batches_applied >= 1);
    assert!(steps >= 20 && state_changes >= 2 && crowned >= 1);
    assert_eq!(replicas.len(), 2);
    for replica in replicas {
        assert!(
            replica.connected && replica.state == "stream" && replica.lag == Some(0),
            "{replica:?}"
        );
        assert!(
            replica.frames_received > 0 && replica.bytes_sent > 0 && replica.heard_ms_ago.is_some()
        );
        assert!(
            replica.frames_sent > 0
                && replica.bytes_received > 0
                && replica.sent >= token.point().vlsn.get()
        );
    }
    let dials: u64 = world.running_envs().map(|env| env.stats().dials).sum();
    assert!(dials >= 3, "{dials} dials");
    assert_eq!(env.vlsn_range().unwrap().end().get(), token.point().vlsn.get());
    world.close(master);
    assert!(env.stats().checkpoints >= 1);
}
