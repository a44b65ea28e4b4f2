use crate::world::{BOTH, Net, World, eventually, view_at};
use rep_env::{CommitToken, Error, NodeState, StoreKind, Verdict};
use std::fs;

/// Writes numbered keys, pipelined, until the master refuses; notes what was acknowledged, which is something.
fn write_until_refused(world: &World, acked: &mut Vec<(String, CommitToken)>, writes: usize) {
    let before = acked.len();
    while acked.len() == before {
        write_some(world, acked, writes);
    }
}

fn write_some(world: &World, acked: &mut Vec<(String, CommitToken)>, writes: usize) {
    let env = world.env(world.master());
    let database = env.database("accounts");
    let mut handles = Vec::new();
    for _ in 0..writes {
        let key = format!("key-{}", acked.len() + handles.len());
        let Ok(mut txn) = env.begin() else { break };
        txn.put(&database, key.as_bytes(), key.as_bytes()).unwrap();
        let Ok(handle) = txn.commit() else { break };
        handles.push((key, handle));
    }
    acked.extend(
        handles
            .into_iter()
            .filter_map(|(key, handle)| handle.wait().ok().map(|token| (key, token))),
    );
}

fn assert_all_there(world: &World, acked: &[(String, CommitToken)]) {
    let (_, last) = acked.last().expect("something was acknowledged");
    let digests: Vec<_> = world
        .running_envs()
        .map(|env| {
            let view = view_at(env, *last);
            for (key, _) in acked {
                let value = view.get(&env.database("accounts"), key.as_bytes()).unwrap();
                assert_eq!(value.as_deref(), Some(key.as_bytes()), "{key} at {}", env.name());
            }
            view
        })
        .map(|view| (view.applied(), view.digest().unwrap()))
        .collect();
    let same =
        |point| digests.iter().filter(move |digest| digest.0 == point).map(|digest| &digest.1);
    assert!(digests.iter().all(|(point, digest)| same(*point).all(|other| other == digest)));
}

#[test]
fn a_closed_master_is_replaced_and_no_acknowledged_write_is_lost() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        let mut acked = Vec::new();
        for _ in 0..3 {
            write_until_refused(&world, &mut acked, 50);
            let old = world.master();
            world.close(old);
            let new = world.master();
            assert_ne!(old, new);
            write_until_refused(&world, &mut acked, 20);
            world.open(old);
        }
        acked.push(("last".into(), world.put("last", "last")));
        assert_all_there(&world, &acked);
        assert!(acked.len() > 10, "{} were acknowledged", acked.len());
    }
}

#[test]
fn everything_is_there_after_all_members_were_closed() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        let mut acked = Vec::new();
        write_until_refused(&world, &mut acked, 100);
        let group = world.env(0).group();
        (0..3).for_each(|at| world.close(at));
        (0..3).for_each(|at| drop(world.open(at)));
        assert_all_there(&world, &acked);
        acked.push(("after".into(), world.put("after", "after")));
        assert_all_there(&world, &acked);
        assert_eq!(world.env(0).group(), group);
    }
}

const STORES: &[StoreKind] = &[
    StoreKind::Memory,
    #[cfg(feature = "redb")]
    StoreKind::Redb,
    #[cfg(feature = "fjall")]
    StoreKind::Fjall,
];

#[test]
fn a_member_has_its_databases_again_whatever_engine_keeps_them() {
    for store in STORES {
        let mut world = World::new(Net::Memory, 1);
        let open = |world: &mut World| {
            let config = world.config(0).store(*store).build().unwrap();
            world.open_as(0, config);
        };
        open(&mut world);
        let token = world.put("alice", "1");
        world.close(0);
        open(&mut world);
        world.assert_everywhere(token, "alice", "1");
    }
}

/// Members need not agree on an engine: what they hold is the same.
#[test]
fn members_with_different_engines_have_equal_digests() {
    let mut world = World::new(Net::Memory, 3);
    for at in 0..3 {
        let store = STORES[at % STORES.len()];
        let config = world.config(at).store(store).build().unwrap();
        world.open_as(at, config);
    }
    let mut acked = Vec::new();
    write_until_refused(&world, &mut acked, 50);
    let old = world.master();
    world.close(old);
    acked.push(("last".into(), world.put("last", "last")));
    let config = world.config(old).store(STORES[(old + 1) % STORES.len()]).build().unwrap();
    world.open_as(old, config);
    assert_all_there(&world, &acked);
}

#[test]
fn a_wiped_member_makes_up_no_majority_and_is_let_back_in_by_one() {
    for net in BOTH {
        let mut world = World::running(net, 3);
        world.put("alice", "1");
        let (master, wiped) = (world.master(), world.replica());
        let other = (0..3).find(|at| *at != master && *at != wiped).unwrap();
        world.close(wiped);
        world.close(other);
        let survivor = world.env(master).clone();
        eventually("the end of the reign", || {
            (survivor.state() == NodeState::Unknown).then_some(())
        });
        // There is one of three left; the wiped one must not make it two.
        fs::remove_dir_all(world.home(wiped)).unwrap();
        let env = world.open(wiped);
        let problems = || match env.wait_for_master(std::time::Duration::ZERO) {
            Err(Error::NoMaster { why, .. }) => why,
            other => panic!("a wiped member is in sync: {other:?}"),
        };
        let told = |why: String| {
            let asks = why.contains("no member yet") && why.contains("no master");
            asks.then_some(())
        };
        eventually("the reason", || told(problems()));
        assert_eq!((env.state(), survivor.state()), (NodeState::Unknown, NodeState::Unknown));
        let refused = survivor.begin().unwrap_err();
        assert!(matches!(refused.verdict(), Verdict::RetryHere { .. }), "{refused}");
        world.open(other);
        let token = world.put("alice", "2");
        world.assert_everywhere(token, "alice", "2");
        assert_eq!(world.wait_for_another(wiped, 3), 4);
    }
}

#[test]
fn two_of_three_go_on_and_the_third_catches_up() {
    let mut world = World::running(Net::Tcp, 3);
    world.put("alice", "0");
    let late = world.replica();
    world.close(late);
    let mut last = None;
    for value in 1..=300 {
        last = Some(world.put("alice", &value.to_string()));
    }
    world.open(late);
    world.assert_everywhere(last.unwrap(), "alice", "300");
}
