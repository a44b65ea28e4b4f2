//! How far an entry must have come before its commit counts, over whole groups.

use crate::world::{BOTH, Net, World, eventually, get, steady, view_at};
use rep_env::{
    Acks, CommitToken, Consistency, Durability, Error, ReplicatedEnvironment, SyncClass, Verdict,
};
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3600);
const CLASSES: [SyncClass; 3] = [SyncClass::Sync, SyncClass::WriteNoSync, SyncClass::NoSync];

fn weak() -> Durability {
    Durability::default().local(SyncClass::NoSync).replica(SyncClass::NoSync)
}

fn put_with(
    env: &ReplicatedEnvironment,
    value: &str,
    durability: Durability,
) -> Result<CommitToken, Error> {
    let mut txn = env.begin()?;
    txn.put(&env.database("accounts"), b"alice", value.as_bytes())?;
    txn.commit_with(durability)?.wait()
}

/// A group of three in which a member that is gone is missed for a while before the master gives up, and whose disks
/// sync what asked for no sync every `sync_interval`.
fn patient(net: Net, sync_interval: Duration) -> World {
    let world = World::tuned(net, 3, |timing, _| {
        steady(timing);
        timing.replicas_wait = Duration::from_millis(50);
        timing.sync_interval = sync_interval;
        timing.disk_stall = timing.disk_stall.max(sync_interval * 2);
    });
    // Applied means synced: from here on no disk is at anything that an earlier entry asked for.
    let token = world.put("alice", "0");
    world.assert_everywhere(token, "alice", "0");
    world
}

#[test]
fn every_durability_is_acknowledged_and_then_seen_by_everyone() {
    for net in BOTH {
        let world = patient(net, Duration::from_millis(2));
        let master = world.master();
        for acks in [Acks::All, Acks::SimpleMajority, Acks::None] {
            for (local, replica) in CLASSES.iter().flat_map(|l| CLASSES.map(|r| (*l, r))) {
                let asked = Durability::default().local(local).replica(replica).acks(acks);
                let value = format!("{asked:?}");
                let token = eventually("an acknowledgement", || {
                    put_with(world.env(master), &value, asked).ok()
                });
                world.assert_everywhere(token, "alice", &value);
            }
        }
    }
}

/// Bytes that wait for a sync count against `unsynced_bytes_max`. Writes that asked for none once used it up, and then
/// waited with an idle disk for the interval to end, or were refused as `Busy`.
#[test]
fn writes_that_ask_for_no_sync_do_not_wait_for_the_interval_when_the_budget_is_used_up() {
    let mut world = World::new(Net::Memory, 1);
    let config = world.config(0).tune(|timing, limits| {
        timing.sync_interval = HOUR;
        timing.disk_stall = HOUR * 2;
        limits.unsynced_bytes_max = 1 << 20;
    });
    world.open_as(0, config.build().unwrap());
    world.put("alice", "0");
    let value = "x".repeat(300 << 10);
    for _ in 0..8 {
        put_with(world.env(0), &value, weak()).unwrap();
    }
}

#[test]
fn a_commit_of_all_is_refused_by_name_while_a_member_is_away() {
    for net in BOTH {
        let mut world = patient(net, Duration::from_millis(10));
        let (master, away) = (world.master(), world.replica());
        let all = Durability::default().acks(Acks::All);
        world.close(away);
        let name = format!("n{}", away + 1);
        let error = eventually("a refusal", || match put_with(world.env(master), "1", all) {
            Err(error @ Error::InsufficientReplicas { .. }) => Some(error),
            _ => None,
        });
        let Error::InsufficientReplicas { policy, needed, live, missing } = &error else {
            unreachable!()
        };
        assert_eq!((*policy, *needed, *live, &**missing), (Acks::All, 3, 2, &[name.clone()][..]));
        assert!(error.to_string().contains(&name), "{error}");
        assert!(matches!(error.verdict(), Verdict::RetryHere { .. }));
        let token = put_with(world.env(master), "2", Durability::default()).unwrap();
        world.open(away);
        let token = eventually("all are back", || {
            put_with(world.env(world.master()), "3", all).ok().filter(|now| *now > token)
        });
        world.assert_everywhere(token, "alice", "3");
    }
}

#[test]
fn a_commit_that_asks_nobody_is_taken_with_nobody_there_and_one_that_asks_is_not() {
    let mut world = patient(Net::Memory, Duration::from_millis(10));
    let master = world.master();
    let away: Vec<usize> = (0..3).filter(|at| *at != master).collect();
    world.leave_alone(master);
    put_with(world.env(master), "1", weak().acks(Acks::None)).unwrap();
    let names: Vec<String> = away.iter().map(|at| format!("n{}", at + 1)).collect();
    match put_with(world.env(master), "2", weak()) {
        Err(Error::InsufficientReplicas { policy: Acks::SimpleMajority, missing, .. }) => {
            assert_eq!(missing, names);
        }
        other => panic!("{other:?}"),
    }
}

/// The disks sync nothing unasked here: so whatever becomes visible did so by the sync of another entry.
#[test]
fn a_weak_write_is_seen_by_its_masters_transactions_at_once_and_by_readers_once_it_is_durable() {
    for net in BOTH {
        let world = patient(net, HOUR);
        let (master, replica) = (world.env(world.master()), world.env(world.replica()));
        let syncs = master.stats().log_syncs;
        let token = put_with(master, "weak", weak()).unwrap();
        let txn = master.begin().unwrap();
        let own = txn.get(&master.database("accounts"), b"alice").unwrap();
        assert_eq!(own.as_deref(), Some(&b"weak"[..]));
        drop(txn);
        for env in [master, replica] {
            let view = env.read(Consistency::None).wait().unwrap();
            assert_ne!(get(&view, "alice").as_deref(), Some("weak"), "acknowledged, not durable");
        }
        assert_eq!(master.stats().log_syncs, syncs, "nobody asked for one");
        let strong = put_with(master, "strong", Durability::default()).unwrap();
        for env in world.running_envs() {
            view_at(env, token);
            assert_eq!(get(&view_at(env, strong), "alice").as_deref(), Some("strong"));
        }
    }
}

#[test]
fn a_weak_write_alone_is_durable_within_the_interval() {
    for net in BOTH {
        let world = patient(net, Duration::from_millis(20));
        let token = put_with(world.env(world.master()), "weak", weak()).unwrap();
        world.assert_everywhere(token, "alice", "weak");
    }
}

/// An environment that is closed in good order has synced what it acknowledged, whatever was asked.
#[test]
fn closing_all_members_keeps_what_was_only_written() {
    let mut world = patient(Net::Memory, HOUR);
    let token = put_with(world.env(world.master()), "weak", weak()).unwrap();
    (0..3).for_each(|at| world.close(at));
    (0..3).for_each(|at| drop(world.open(at)));
    let later = world.put("bob", "1");
    assert!(later.point() > token.point());
    world.assert_everywhere(token, "alice", "weak");
}
