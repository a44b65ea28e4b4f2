//! A quorum is gone for good: what one directory holds is made the group.

use crate::world::{BOTH, Net, PATIENCE, World, eventually, get, put, view_at};
use rep_env::recover::{NotForced, NotRecovered, Order, examine, force_quorum};
use rep_env::{CommitToken, Consistency, Error, MemberType, NodeState};
use std::fs;
use std::os::unix::fs::FileExt;

/// Three members of which all hold what was acknowledged, closed.
fn written(net: Net) -> (World, CommitToken) {
    let mut world = World::running(net, 3);
    world.put("alice", "1");
    let token = world.put("bob", "2");
    world.assert_everywhere(token, "bob", "2");
    (0..3).for_each(|at| world.close(at));
    (world, token)
}

fn lose(world: &World, at: usize) {
    fs::remove_dir_all(world.home(at)).unwrap();
}

fn names(members: &[rep_env::recover::Recorded]) -> Vec<&str> {
    members.iter().map(|member| &*member.name).collect()
}

#[test]
fn one_directory_of_three_serves_alone_with_all_that_was_acknowledged() {
    for net in BOTH {
        let (mut world, token) = written(net);
        lose(&world, 0);
        lose(&world, 1);
        let home = world.home(2);
        let found = examine(&home, &Order::alone()).unwrap();
        assert_eq!(names(&found.survivors), ["n3"]);
        assert_eq!(names(&found.cast_out), ["n1", "n2"]);
        assert!(found.last >= token.point() && found.applied >= Some(token.point()), "{found:?}");
        assert!(found.known_durable >= token.point().vlsn, "{found:?}");

        force_quorum(&home, &Order::alone()).unwrap();
        world.open(2);
        assert_eq!(world.master(), 2);
        // The group is the same one, and what was acknowledged before is told from what was not.
        let view = view_at(world.env(2), token);
        assert_eq!(get(&view, "alice").as_deref(), Some("1"));
        assert_eq!(get(&view, "bob").as_deref(), Some("2"));
        let token = world.put("carol", "3");
        world.close(2);
        world.open(2);
        assert_eq!(get(&view_at(world.env(2), token), "carol").as_deref(), Some("3"));
    }
}

#[test]
fn what_goes_on_alone_grows_again_under_the_old_names_and_outlives_the_one_that_was_left() {
    for net in BOTH {
        let (mut world, token) = written(net);
        lose(&world, 0);
        lose(&world, 1);
        force_quorum(world.home(2), &Order::alone()).unwrap();
        world.open(2);
        assert_eq!(world.master(), 2);
        for at in [0, 1] {
            world.join(at, &[2]);
            assert!(world.wait_for(at, MemberType::Electable) > 3, "no number is used twice");
        }
        world.assert_everywhere(token, "bob", "2");
        world.close(2);
        let token = world.put("carol", "3");
        world.assert_everywhere(token, "carol", "3");
        world.assert_everywhere(token, "alice", "1");
    }
}

#[test]
fn who_was_cast_out_and_comes_back_is_told_and_the_group_goes_on() {
    for net in BOTH {
        let (mut world, _) = written(net);
        force_quorum(world.home(1), &Order::alone()).unwrap();
        world.open(1);
        assert_eq!(world.master(), 1);
        for at in [0, 2] {
            let env = world.open(at);
            eventually("it stops", || (env.state() == NodeState::Shutdown).then_some(()));
            let error = env.begin().unwrap_err();
            assert!(
                matches!(&error, Error::Halted { reason } if reason.contains("removed")),
                "{error}"
            );
        }
        let token = put(world.env(1), "carol", "3").unwrap();
        assert_eq!(get(&view_at(world.env(1), token), "carol").as_deref(), Some("3"));
    }
}

/// An entry that two of three acknowledged and the third never got. Its token must mean no other entry in what the third goes on with.
#[test]
fn the_token_of_an_entry_that_is_lost_is_known_as_that() {
    let mut world = World::steady(Net::Memory, 3);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let third = world.replica();
    world.close(third);
    let lost = world.put("bob", "2");
    (0..3).filter(|at| *at != third).for_each(|at| world.close(at));
    force_quorum(world.home(third), &Order::alone()).unwrap();
    let config = world.config(third).build().unwrap();
    let env = world.open_as(third, config);
    env.wait_for_master(PATIENCE).unwrap();
    for round in 0..3 {
        world.put("carol", &round.to_string());
    }
    let error = env.read(Consistency::AtLeast(lost)).wait().unwrap_err();
    assert!(matches!(error, Error::RolledBack { .. }), "{error}");
    assert_eq!(get(&view_at(&env, token), "bob"), None);
}

#[test]
fn two_of_five_go_on_together() {
    let mut world = World::running(Net::Memory, 5);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    (0..5).for_each(|at| world.close(at));
    let both = Order::alone().survivors(["n4", "n5"]);
    let ends = |at: usize| examine(world.home(at), &both).unwrap().last;
    let from = if ends(3) >= ends(4) { 3 } else { 4 };
    let found = force_quorum(world.home(from), &both).unwrap();
    assert_eq!(names(&found.cast_out), ["n1", "n2", "n3"]);
    world.open(3);
    world.open(4);
    let token = world.put("bob", "2");
    world.assert_everywhere(token, "bob", "2");
    world.assert_everywhere(token, "alice", "1");
    assert_eq!(world.env(world.master()).stats().replicas.len(), 1);
}

#[test]
fn what_cannot_be_gone_on_from_is_refused_and_left_as_it_is() {
    let (mut world, _) = written(Net::Tcp);
    let alone = Order::alone();
    let nowhere = world.home(7);
    let error = force_quorum(&nowhere, &alone).unwrap_err();
    assert!(matches!(&error, NotRecovered::Home(Error::Home { .. })), "{error}");
    assert!(!nowhere.exists(), "no directory was made");
    fs::create_dir(&nowhere).unwrap();
    let error = force_quorum(&nowhere, &alone).unwrap_err();
    assert!(matches!(&error, NotRecovered::NoGroup { .. }), "{error}");

    let both = Order::alone().survivors(["n1", "n2"]);
    let error = force_quorum(world.home(0), &both).unwrap_err();
    assert_eq!(error, NotRecovered::Refused(NotForced::HaveQuorum));
    world.open(0);
    let error = force_quorum(world.home(0), &alone).unwrap_err();
    assert!(matches!(&error, NotRecovered::Home(Error::Locked { .. })), "{error}");

    let segment = fs::read_dir(world.home(1).join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .find(|path| path.extension().is_some_and(|extension| extension == "seg"))
        .unwrap();
    let before = fs::read(&segment).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&segment).unwrap();
    file.write_all_at(&[!before[200]], 200).unwrap();
    let damaged = fs::read(&segment).unwrap();
    let error = force_quorum(world.home(1), &alone).unwrap_err();
    assert!(matches!(&error, NotRecovered::Home(Error::Damaged { what: "log", .. })), "{error}");
    assert_eq!(fs::read(&segment).unwrap(), damaged);
}

#[test]
fn a_directory_in_which_it_was_begun_opens_only_when_it_is_done() {
    let (mut world, token) = written(Net::Memory);
    let home = world.home(2);
    // As a crash leaves it that came before the entries: the cell says that it was begun.
    let disk = rep_env::log::FileDisk::open(&home).unwrap();
    let (mut forcing, _) = rep_env::log::DurableCell::open(disk, "forcing").unwrap();
    let fence = [1, 9, 0, 0, 0, 0, 0, 0, 0, 3, 0, 0, 0];
    forcing.store(&fence).unwrap();
    drop(forcing);
    let config = world.config(2).build().unwrap();
    let error = rep_env::ReplicatedEnvironment::open(config).unwrap_err();
    assert!(error.to_string().contains("give the same order again"), "{error}");
    assert!(examine(&home, &Order::alone()).unwrap().begun);
    force_quorum(&home, &Order::alone()).unwrap();
    world.open(2);
    assert_eq!(get(&view_at(world.env(2), token), "bob").as_deref(), Some("2"));
}
