use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, put, steady, view_at};
use rep_env::{Error, NodeState, ReplicatedEnvironment, Verdict};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);

#[test]
fn a_group_is_founded_written_to_and_read_on_every_member() {
    for net in BOTH {
        let world = World::running(net, 3);
        for env in world.running_envs() {
            env.wait_for_master(PATIENCE).unwrap();
        }
        let token = world.put("alice", "100");
        world.assert_everywhere(token, "alice", "100");
        let groups: Vec<_> = world.running_envs().map(|env| env.group()).collect();
        assert!(
            groups[0].is_some() && groups.iter().all(|group| *group == groups[0]),
            "{groups:?}"
        );
    }
}

#[test]
fn a_group_of_one_needs_nobody() {
    for net in BOTH {
        let world = World::running(net, 1);
        let token = world.put("alice", "1");
        world.assert_everywhere(token, "alice", "1");
    }
}

#[test]
fn a_write_at_a_replica_is_redirected_to_the_master() {
    for world in World::both_steady() {
        world.put("alice", "1");
        let (master, replica) = (world.master(), world.replica());
        world.env(replica).wait_for_master(PATIENCE).unwrap();
        let error = eventually("what the master announced", || {
            let error = world.env(replica).begin().unwrap_err();
            matches!(&error, Error::NotMaster { master: Some(m) } if !m.attributes.is_empty())
                .then_some(error)
        });
        let Verdict::Redirect(member) = error.verdict() else { panic!("{error} is no redirect") };
        let name = format!("n{}", master + 1);
        assert_eq!((&member.name, &member.address), (&name, &world.address(master)));
        assert_eq!(member.attributes["resp"], format!("redis-of-{name}"));
    }
}

#[test]
fn each_transaction_sees_the_one_before_it_though_nothing_is_durable_yet() {
    for world in World::both_steady() {
        world.put("counter", "0");
        let env = world.env(world.master());
        let database = env.database("accounts");
        let mut handles = Vec::new();
        for _ in 0..200 {
            let mut txn = env.begin().unwrap();
            let value = txn.get(&database, b"counter").unwrap().unwrap();
            let count: u64 = std::str::from_utf8(&value).unwrap().parse().unwrap();
            txn.put(&database, b"counter", (count + 1).to_string().as_bytes()).unwrap();
            handles.push(txn.commit().unwrap());
        }
        let tokens: Vec<_> = handles.into_iter().map(|handle| handle.wait().unwrap()).collect();
        assert!(tokens.windows(2).all(|pair| pair[0].point() < pair[1].point()));
        world.assert_everywhere(*tokens.last().unwrap(), "counter", "200");
    }
}

#[test]
fn a_transaction_reads_its_own_writes_and_an_aborted_one_leaves_none() {
    let world = World::running(Net::Memory, 1);
    let token = world.put("b", "old");
    let env = world.env(0);
    let database = env.database("accounts");
    let mut txn = env.begin().unwrap();
    txn.put(&database, b"a", b"1").unwrap();
    txn.put(&database, b"c", b"3").unwrap();
    txn.delete(&database, b"b").unwrap();
    let pairs: Vec<_> = txn.range(&database, ..).unwrap().map(|pair| pair.unwrap().0).collect();
    assert_eq!(pairs, ["a", "c"]);
    txn.abort();
    assert_eq!(*env.vlsn_range().unwrap().end(), token.point().vlsn, "it has no entry");
    assert_eq!(get(&view_at(env, token), "b").as_deref(), Some("old"));
}

#[test]
fn a_transaction_that_only_read_is_as_durable_as_what_it_read() {
    let world = World::steady(Net::Memory, 3);
    world.put("alice", "1");
    let env = world.env(world.master());
    let database = env.database("accounts");
    for value in ["2", "3"] {
        let mut txn = env.begin().unwrap();
        txn.put(&database, b"alice", value.as_bytes()).unwrap();
        let written = txn.commit().unwrap();
        let txn = env.begin().unwrap();
        assert_eq!(txn.get(&database, b"alice").unwrap().unwrap(), value);
        let read = txn.commit().unwrap().wait().unwrap();
        assert!(read.point() >= written.wait().unwrap().point());
    }
}

#[test]
fn too_few_live_members_and_nothing_is_logged() {
    for net in BOTH {
        let mut world = World::tuned(net, 3, |timing, _| {
            steady(timing);
            timing.replicas_wait = Duration::from_millis(50);
        });
        world.put("alice", "1");
        let master = world.master();
        world.leave_alone(master);
        let range = world.env(master).vlsn_range();
        let error = put(world.env(master), "alice", "2").unwrap_err();
        assert!(matches!(error, Error::InsufficientReplicas { needed: 2, live: 1, .. }), "{error}");
        assert!(matches!(error.verdict(), Verdict::RetryHere { .. }));
        assert_eq!(world.env(master).vlsn_range(), range);
        assert!(world.env(master).stats().refused_replicas >= 1);
    }
}

#[test]
fn who_must_not_wait_is_refused_at_once() {
    let mut world = World::tuned(Net::Memory, 3, |timing, _| {
        steady(timing);
        // Whoever waited for as long would never be heard of again.
        timing.replicas_wait = HOUR;
        timing.begin_timeout = HOUR;
    });
    world.put("alice", "1");
    let master = world.master();
    let try_put = |env: &ReplicatedEnvironment| {
        let mut txn = env.try_begin()?;
        txn.put(&env.database("accounts"), b"alice", b"2")?;
        txn.try_commit()
    };
    let token = try_put(world.env(master)).unwrap().wait().unwrap();
    assert_eq!(get(&view_at(world.env(master), token), "alice").as_deref(), Some("2"));
    world.leave_alone(master);
    let range = world.env(master).vlsn_range();
    let error = try_put(world.env(master)).unwrap_err();
    assert!(matches!(error, Error::InsufficientReplicas { .. }), "{error}");
    assert_eq!(world.env(master).vlsn_range(), range);
}

#[test]
fn the_turn_is_waited_for_and_its_holder_named() {
    let world = World::tuned(Net::Memory, 1, |timing, _| {
        timing.begin_timeout = Duration::from_millis(50);
        timing.txn_timeout = HOUR;
    });
    world.put("alice", "1");
    let env = world.env(0);
    let _held = env.begin().unwrap();
    let here = std::thread::current().name().unwrap().to_owned();
    assert!(matches!(env.try_begin(), Err(Error::TurnTaken { holder, .. }) if holder == here));
    assert!(matches!(env.begin(), Err(Error::BeginTimeout { holder, .. }) if holder == here));
}

#[test]
fn the_turn_is_taken_from_who_keeps_it_too_long() {
    let world = World::tuned(Net::Memory, 1, |timing, _| {
        timing.begin_timeout = HOUR;
        timing.txn_timeout = Duration::from_millis(400);
    });
    world.put("alice", "1");
    let env = world.env(0);
    let mut forgotten = env.begin().unwrap();
    // Whether this one is in time is not what is asked here.
    let token = eventually("a commit in time", || put(env, "alice", "3").ok());
    let expired = forgotten.put(&env.database("accounts"), b"alice", b"2");
    assert!(matches!(expired, Err(Error::TxnExpired { .. })), "{expired:?}");
    assert!(matches!(forgotten.commit(), Err(Error::TxnExpired { .. })));
    assert_eq!(get(&view_at(env, token), "alice").as_deref(), Some("3"));
}

#[test]
fn what_is_too_large_is_refused_and_the_transaction_goes_on() {
    let world = World::running(Net::Memory, 1);
    world.put("alice", "1");
    let env = world.env(0);
    let database = env.database("accounts");
    let mut txn = env.begin().unwrap();
    let large = vec![7; 9 << 20];
    assert!(matches!(txn.put(&database, b"alice", &large), Err(Error::TxnTooLarge { .. })));
    assert!(matches!(txn.put(&database, &vec![7; 70_000], b""), Err(Error::Invalid { .. })));
    txn.put(&database, b"alice", &large[..6 << 20]).unwrap();
    let token = txn.commit().unwrap().wait().unwrap();
    let view = view_at(env, token);
    assert_eq!(view.get(&database, b"alice").unwrap().unwrap().len(), 6 << 20);
}

#[test]
fn a_full_overlay_refuses_and_says_so() {
    let world = World::tuned(Net::Memory, 3, |timing, limits| {
        steady(timing);
        timing.busy_wait = Duration::ZERO;
        timing.replicas_wait = Duration::ZERO;
        limits.overlay_bytes_max = 1 << 20;
    });
    world.put("alice", "1");
    let env = world.env(world.master()).clone();
    let refused = fill(&env);
    assert!(matches!(refused, Error::Busy { bytes_max, .. } if bytes_max == 1 << 20), "{refused}");
    assert!(env.stats().refused_busy >= 1);
    let settled = eventually("room", || put(&env, "alice", "2").ok());
    world.assert_everywhere(settled, "alice", "2");
}

/// Commits a megabyte at a time, faster than anything is applied, until that is refused.
fn fill(env: &ReplicatedEnvironment) -> Error {
    let database = env.database("accounts");
    let value = vec![7; 900 << 10];
    eventually("a refusal", || {
        assert_eq!(env.state(), NodeState::Master);
        let mut txn = env.begin().unwrap();
        txn.put(&database, b"large", &value).unwrap();
        txn.commit().err()
    })
}
