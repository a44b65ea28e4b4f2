use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, put, view_at};
use rep_env::admin::AdminClient;
use rep_env::events::GROUP_SHUT_DOWN;
use rep_env::{CommitToken, Error, NodeState, ReplicatedEnvironment, Verdict};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

/// Writes numbered keys at whoever is master until told to stop; what was acknowledged.
fn keep_writing(
    envs: &[ReplicatedEnvironment],
    writer: usize,
    stop: &AtomicBool,
) -> Vec<(String, CommitToken)> {
    let mut acked = Vec::new();
    for number in 0.. {
        let key = format!("w{writer}-{number}");
        let master = envs.iter().find(|env| env.state() == NodeState::Master);
        if let Some(Ok(token)) = master.map(|env| put(env, &key, "there")) {
            acked.push((key, token));
        }
        if stop.load(Ordering::SeqCst) {
            break;
        }
    }
    acked
}

#[test]
fn a_mastership_that_is_handed_over_under_load_takes_no_acknowledged_write_with_it() {
    for world in World::both_steady() {
        let envs: Vec<_> = world.running_envs().cloned().collect();
        let stop = AtomicBool::new(false);
        let acked: Vec<(String, CommitToken)> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4)
                .map(|writer| {
                    scope.spawn({
                        let (envs, stop) = (&envs, &stop);
                        move || keep_writing(envs, writer, stop)
                    })
                })
                .collect();
            for round in 0..6 {
                world.put(&format!("between-{round}"), "x");
                let master = world.master();
                let target = envs[(master + 1 + round % 2) % 3].name();
                let new = eventually("a transfer", || {
                    let outcome = envs[world.master()].transfer_master(&[target], PATIENCE, false);
                    match outcome {
                        Ok(member) => Some(member),
                        Err(error) => {
                            assert!(!matches!(error.verdict(), Verdict::GiveUp), "{error}");
                            (envs[world.master()].name() == target)
                                .then(|| envs[world.master()].master().unwrap())
                        }
                    }
                });
                assert_eq!(new.name, target);
            }
            stop.store(true, Ordering::SeqCst);
            writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect()
        });
        let last = world.put("last", "x");
        assert!(acked.len() > 10, "{} acknowledged", acked.len());
        for env in &envs {
            let view = view_at(env, last);
            for (key, _) in &acked {
                assert_eq!(get(&view, key).as_deref(), Some("there"), "{key} at {}", env.name());
            }
        }
    }
}

#[test]
fn what_cannot_be_handed_over_is_refused_by_its_kind() {
    let mut world = World::steady(Net::Memory, 3);
    let (master, replica) = (world.master(), world.replica());
    let env = world.env(master).clone();
    let me = env.name().to_owned();
    let short = Duration::from_millis(100);
    for targets in [vec!["nobody"], vec![&*me]] {
        let refused = env.transfer_master(&targets, short, false).unwrap_err();
        assert!(
            matches!(&refused, Error::Invalid { what } if what.contains(targets[0])),
            "{refused}"
        );
    }
    let refused = world.env(replica).transfer_master(&[], short, false).unwrap_err();
    assert!(
        matches!(&refused, Error::NotMaster { master: Some(it) } if it.name == me),
        "{refused}"
    );

    // A target that is away costs the time that was given, and nothing else.
    let away = world.env(replica).name().to_owned();
    world.close(replica);
    let failed = env.transfer_master(&[&away], short, false).unwrap_err();
    assert!(matches!(failed, Error::NotTransferred { still_master: true, .. }), "{failed}");
    assert_eq!(env.state(), NodeState::Master);
    put(&env, "k", "v").unwrap();

    env.close().unwrap();
    assert_eq!(env.transfer_master(&[], short, false).unwrap_err(), Error::Closed);
    assert_eq!(env.shutdown_group(short).unwrap_err(), Error::Closed);
}

#[test]
fn a_group_that_is_shut_down_ends_everywhere_and_goes_on_when_it_is_started_again() {
    for net in BOTH {
        let mut world = World::steady(net, 3);
        let token = world.put("alice", "100");
        let (master, replica) = (world.master(), world.replica());
        let refused = world.env(replica).shutdown_group(PATIENCE).unwrap_err();
        assert!(matches!(refused, Error::NotMaster { master: Some(_) }), "{refused}");

        let left_behind = world.env(master).shutdown_group(PATIENCE).unwrap();
        assert_eq!(left_behind, Vec::<String>::new());
        for at in 0..3 {
            let env = world.env(at).clone();
            let last = env.subscribe().states().last().unwrap();
            assert_eq!(last.new, NodeState::Shutdown);
            if at != master {
                assert_eq!(last.reason, GROUP_SHUT_DOWN);
            }
            let over = put(&env, "late", "x").unwrap_err();
            assert_eq!(over.verdict(), Verdict::GiveUp, "{over}");
            if at != master {
                assert!(over.to_string().contains("the group was shut down by n"), "{over}");
            }
            drop(env);
            world.close(at);
        }
        (0..3).for_each(|at| drop(world.open(at)));
        world.put("bob", "200");
        world.assert_everywhere(token, "alice", "100");
    }
}

#[test]
fn who_is_not_there_is_left_behind_by_a_shutdown_and_named() {
    let mut world = World::steady(Net::Memory, 3);
    let replica = world.replica();
    let away = world.env(replica).name().to_owned();
    world.close(replica);
    world.put("alice", "100");
    let left_behind = world.env(world.master()).shutdown_group(PATIENCE).unwrap();
    assert_eq!(left_behind, [away]);
}

#[test]
fn an_operator_gives_orders_over_the_wire() {
    let world = World::steady(Net::Memory, 3);
    let (master, replica) = (world.master(), world.replica());
    let ask = |at: usize| {
        let transport = world.hub.transport();
        AdminClient::connect(&*transport, &world.address(at), PATIENCE).unwrap()
    };
    let sent_on = ask(replica).transfer_master(&[], PATIENCE, false).unwrap_err();
    let name = world.env(master).name();
    assert!(
        matches!(&sent_on, Error::NotMaster { master: Some(it) } if it.name == name),
        "{sent_on}"
    );
    let target = world.env(replica).name().to_owned();
    let refused = ask(master).transfer_master(&["nobody".to_owned()], PATIENCE, false).unwrap_err();
    assert!(matches!(&refused, Error::Refused { why, .. } if why.contains("nobody")), "{refused}");
    let new = ask(master).transfer_master(std::slice::from_ref(&target), PATIENCE, false).unwrap();
    assert_eq!(new.name, target);
    eventually("the new master", || (world.master() == replica).then_some(()));
    assert_eq!(ask(replica).shutdown_group(PATIENCE).unwrap(), Vec::<String>::new());
}
