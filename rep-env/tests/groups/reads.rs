use crate::world::{Net, World, eventually, get, view_at};
use rep_env::{CommitToken, Consistency, Error, GroupId, LogPoint, Vlsn};
use std::time::Duration;

#[test]
fn a_linearizable_read_sees_every_write_that_was_acknowledged() {
    for world in World::both_steady() {
        for value in ["1", "2", "3"] {
            world.put("alice", value);
            let view = world.env(world.master()).read(Consistency::Linearizable).wait().unwrap();
            assert_eq!(get(&view, "alice").as_deref(), Some(value));
        }
    }
}

#[test]
fn every_member_serves_linearizable_reads() {
    for world in World::both_steady() {
        for value in ["1", "2", "3"] {
            world.put("alice", value);
            for env in world.running_envs() {
                let view = env.read(Consistency::Linearizable).wait().unwrap();
                assert_eq!(get(&view, "alice").as_deref(), Some(value));
            }
        }
    }
}

#[test]
fn a_member_on_its_own_serves_what_is_young_enough_and_refuses_the_rest() {
    let mut world = World::new(Net::Memory, 3);
    for at in 0..3 {
        let config =
            world.config(at).tune(|timing, _| timing.read_timeout = Duration::from_millis(200));
        world.open_as(at, config.build().unwrap());
    }
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    let hour = Consistency::Bounded(Duration::from_secs(3600));
    for env in world.running_envs() {
        let view = eventually("a bounded read", || env.read(hour).wait().ok());
        assert_eq!(get(&view, "alice").as_deref(), Some("1"));
    }
    world.close(0);
    world.close(1);
    let left = world.env(2);
    let error = eventually("a refusal", || {
        left.read(Consistency::Bounded(Duration::from_millis(20))).wait().err()
    });
    assert!(matches!(error, Error::ReadTimeout { .. }), "{error}");
    assert_eq!(get(&left.read(hour).wait().unwrap(), "alice").as_deref(), Some("1"));
}

#[test]
fn a_view_does_not_change_while_writes_go_on() {
    let world = World::running(Net::Memory, 3);
    let token = world.put("alice", "1");
    let views: Vec<_> = world.running_envs().map(|env| view_at(env, token)).collect();
    let later = world.put("alice", "2");
    world.assert_everywhere(later, "alice", "2");
    assert!(views.iter().all(|view| get(view, "alice").as_deref() == Some("1")));
}

#[test]
fn what_is_applied_can_be_read_without_asking_anybody() {
    let mut world = World::running(Net::Memory, 3);
    let token = world.put("alice", "1");
    world.assert_everywhere(token, "alice", "1");
    world.close(0);
    world.close(1);
    let view = world.env(2).read(Consistency::None).wait().unwrap();
    assert_eq!(get(&view, "alice").as_deref(), Some("1"));
}

#[test]
fn a_token_of_another_group_or_of_the_future_is_no_excuse_for_an_old_view() {
    let mut world = World::new(Net::Memory, 1);
    let config = world.config(0).tune(|timing, _| timing.read_timeout = Duration::from_millis(50));
    let env = world.open_as(0, config.build().unwrap());
    let token = world.put("alice", "1");
    let foreign = CommitToken::new(GroupId([9; 16]), token.point());
    assert_eq!(env.read(Consistency::AtLeast(foreign)).wait().unwrap_err(), Error::OtherGroup);
    let LogPoint { term, vlsn } = token.point();
    let future = CommitToken::new(token.group(), LogPoint::new(term, Vlsn::new(vlsn.get() + 10)));
    let late = env.read(Consistency::AtLeast(future)).wait().unwrap_err();
    assert!(matches!(late, Error::ReadTimeout { .. }), "{late}");
    let other = CommitToken::new(token.group(), LogPoint::new(term.next(), vlsn));
    let gone = env.read(Consistency::AtLeast(other)).wait().unwrap_err();
    assert!(matches!(gone, Error::RolledBack { .. }), "{gone}");
    assert_eq!(env.stats().reads_failed, 3);
}

#[test]
fn without_a_quorum_no_linearizable_read_is_served() {
    let mut world = World::running(Net::Memory, 3);
    world.put("alice", "1");
    let master = world.master();
    for at in (0..3).filter(|at| *at != master).collect::<Vec<_>>() {
        world.close(at);
    }
    let error =
        eventually("a refusal", || world.env(master).read(Consistency::Linearizable).wait().err());
    assert!(
        matches!(error, Error::NotMaster { master: None } | Error::ReadTimeout { .. }),
        "{error}"
    );
}
