//! Whole groups of pure nodes: founding, writing, failing over, coming back.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{Event, Link, NodeState, Outcome, ReadKind, Service};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;

const N1: NodeId = NodeId::new(1);
const N3: NodeId = NodeId::new(3);

fn founded(names: &[&str]) -> (Group, NodeId) {
    let mut group = Group::new(names);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let master = group.master().unwrap();
    (group, master)
}

fn all_hold(group: &Group, payload: &str) -> bool {
    group.ids().into_iter().all(|id| group.payloads(id).iter().any(|held| held == payload))
}

fn others(group: &Group, id: NodeId) -> Vec<NodeId> {
    group.ids().into_iter().filter(|other| *other != id).collect()
}

#[test]
fn three_listed_nodes_found_a_group_and_replicate_a_write() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let request = group.propose(master, "a");
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    group.run_until("everyone applied it", |group| {
        let applied = |id| group.node(id).applied() == group.node(master).log().last();
        all_hold(group, "a") && group.ids().into_iter().all(applied)
    });
    for id in group.ids() {
        assert_eq!(group.node(id).group(), group.node(master).group());
    }
}

#[test]
fn a_group_is_not_founded_while_a_listed_member_is_missing() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start(N1);
    group.start(NodeId::new(2));
    group.run_for(Duration::from_secs(20));
    assert_eq!(group.master(), None);
    assert!(group.ids().into_iter().all(|id| group.payloads(id).is_empty()));
    group.start(N3);
    group.run_until("a master", |group| group.master().is_some());
}

#[test]
fn the_others_elect_a_new_master_and_keep_what_was_acknowledged() {
    let (mut group, old) = founded(&["n1", "n2", "n3"]);
    let request = group.propose(old, "kept");
    assert!(matches!(group.outcome(old, request), Some(Outcome::Committed { .. })));
    group.crash(old);
    let killed_at = group.now;
    group.run_until("another master", |group| group.master().is_some());
    assert!(group.now - killed_at < Duration::from_millis(600), "a kill is noticed at once");
    let new = group.master().unwrap();
    assert!(group.payloads(new).contains(&"kept".to_string()));
    let request = group.propose(new, "after");
    assert!(matches!(group.outcome(new, request), Some(Outcome::Committed { .. })));
    group.start(old);
    group.run_until("the old master follows", |group| {
        group.node(old).state() == NodeState::Replica && all_hold(group, "after")
    });
}

#[test]
fn an_isolated_master_steps_down_and_its_tail_is_dropped() {
    let (mut group, old) = founded(&["n1", "n2", "n3"]);
    group.run_until("in sync", |group| {
        let state = |id| group.node(id).state();
        others(group, old).into_iter().all(|id| state(id) == NodeState::Replica)
    });
    group.isolate(old);
    let tail = group.propose(old, "tail");
    assert_eq!(group.outcome(old, tail), None);
    group.run_until("another master", |group| group.master().is_some_and(|id| id != old));
    let new = group.master().unwrap();
    let request = group.propose(new, "new");
    group.run_until("it commits", |group| group.outcome(new, request).is_some());
    group.run_until("it gives up", |group| group.node(old).state() != NodeState::Master);
    group.heal();
    group.run_until("the tail is dropped", |group| all_hold(group, "new"));
    assert!(!group.payloads(old).contains(&"tail".to_string()));
    assert!(matches!(group.outcome(old, tail), Some(Outcome::RolledBack { .. })));
    let rolled_back = |event: &Event| matches!(event, Event::RolledBack { .. });
    assert!(group.machines[&old].events.iter().any(rolled_back));
}

#[test]
fn a_wiped_member_neither_votes_nor_acknowledges_and_says_why() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let wiped = others(&group, master)[0];
    let other = others(&group, master)[1];
    group.crash(wiped);
    group.wipe(wiped);
    group.start(wiped);
    group.run_for(Duration::from_secs(3));
    assert_eq!(group.node(wiped).log().last().vlsn.get(), 0);
    let problems = group.node(wiped).status(group.now).problems;
    assert!(!problems.is_empty(), "status says why");
    group.crash(other);
    let request = group.propose(master, "alone");
    group.run_for(Duration::from_secs(6));
    assert!(!matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    assert_eq!(group.master(), None, "one voter and a wiped one are no quorum");
}

#[test]
fn the_commit_that_je_loses_survives() {
    // The master alone logs a tail and dies; the other two elect, commit one write, its master dies at once; the
    // first returns with its longer tail.
    let (mut group, first) = founded(&["n1", "n2", "n3"]);
    group.run_until("in sync", |group| {
        others(group, first).iter().all(|id| group.node(*id).state() == NodeState::Replica)
    });
    group.isolate(first);
    for n in 0..5 {
        group.propose(first, &format!("tail {n}"));
    }
    group.crash(first);
    group.heal();
    group.run_until("a second master", |group| group.master().is_some());
    let second = group.master().unwrap();
    let request = group.propose(second, "precious");
    group.run_until("acknowledged", |group| group.outcome(second, request).is_some());
    assert!(matches!(group.outcome(second, request), Some(Outcome::Committed { .. })));
    group.crash(second);
    group.start(first);
    group.run_until("a third master", |group| group.master().is_some());
    let third = group.master().unwrap();
    assert!(group.payloads(third).contains(&"precious".to_string()));
    group.start(second);
    group.run_until("all agree", |group| all_hold(group, "precious"));
    assert!(group.ids().iter().all(|id| !group.payloads(*id).contains(&"tail 0".to_string())));
}

#[test]
fn a_linearizable_read_waits_for_a_quorum_and_a_deposed_master_serves_none() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    group.run_until("in sync", |group| {
        others(group, master).iter().all(|id| group.node(*id).state() == NodeState::Replica)
    });
    let read = group.read(master, ReadKind::Linearizable);
    assert!(matches!(group.outcome(master, read), Some(Outcome::Read { .. })));
    group.isolate(master);
    let read = group.read(master, ReadKind::Linearizable);
    assert_eq!(group.outcome(master, read), None);
    group.run_until("an answer", |group| group.outcome(master, read).is_some());
    assert!(matches!(
        group.outcome(master, read),
        Some(Outcome::NotMaster { .. } | Outcome::ReadTimeout)
    ));
}

#[test]
fn a_token_is_served_by_a_replica_once_that_very_entry_is_applied() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let request = group.propose(master, "a");
    let Some(Outcome::Committed { point }) = group.outcome(master, request).cloned() else {
        panic!("not committed")
    };
    let replica = others(&group, master)[0];
    let id = group.node(master).group().unwrap();
    let read = group.read(replica, ReadKind::AtLeast { group: id, point });
    group.run_until("served", |group| group.outcome(replica, read).is_some());
    let Some(Outcome::Read { at }) = group.outcome(replica, read) else { panic!("not served") };
    assert!(at.vlsn >= point.vlsn);
}

#[test]
fn a_token_of_another_group_is_refused_also_by_who_had_none_when_asked() {
    // Asked before the founding, a node took any group's token for its own, and served it from its own entries.
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start(N1);
    let point = LogPoint::new(Term::new(1), Vlsn::new(1));
    let read = group.read(N1, ReadKind::AtLeast { group: GroupId([7; 16]), point });
    assert_eq!(group.outcome(N1, read), None);
    group.start(NodeId::new(2));
    group.start(N3);
    group.run_until("an answer", |group| group.outcome(N1, read).is_some());
    assert_eq!(group.outcome(N1, read), Some(&Outcome::OtherGroup));
}

#[test]
fn a_master_whose_own_disk_hangs_commits_by_the_others_and_then_gives_up() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    group.run_until("in sync", |group| {
        others(group, master).iter().all(|id| group.node(*id).state() == NodeState::Replica)
    });
    group.machines.get_mut(&master).unwrap().hold_log = true;
    let request = group.propose(master, "by the others");
    group.run_until("acknowledged", |group| group.outcome(master, request).is_some());
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    group.run_until("another master", |group| group.master().is_some_and(|id| id != master));
    group.release_disks();
    group.run_until("it follows", |group| group.node(master).state() == NodeState::Replica);
}

#[test]
fn a_master_that_gave_up_is_not_taken_for_alive_because_it_still_answers() {
    // Two of three disks hang, so the master gives up, lives on and refuses every stream. Its refusals were once
    // counted as frames of the master, and the others waited for it for ever.
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let other = others(&group, master)[0];
    group.run_until("in sync", |group| group.node(other).state() == NodeState::Replica);
    for id in [master, other] {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    group.propose(master, "waits");
    group.run_until("it gives up", |group| group.node(master).state() != NodeState::Master);
    group.release_disks();
    group.run_until("a master again", |group| group.master().is_some());
}

#[test]
fn another_directory_of_a_members_name_does_not_take_the_place_of_the_real_one() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let replica = others(&group, master)[0];
    group.run_until("in sync", |group| group.node(replica).state() == NodeState::Replica);
    let seen = group.machines[&replica].states.clone();
    let link = Link { peer: replica, service: Service::Feeder, epoch: u64::MAX };
    group.act(master, |node, now| {
        node.handle_link_up(now, link, Incarnation([0xee; 16]), false);
    });
    group.run_for(Duration::from_millis(50));
    assert_eq!(group.machines[&replica].states, seen, "the real one never lost its stream");
    let request = group.propose(master, "a");
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
}

#[test]
fn a_group_of_one_and_of_five_work_too() {
    let (mut group, master) = founded(&["only"]);
    let request = group.propose(master, "a");
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    let (mut group, master) = founded(&["a", "b", "c", "d", "e"]);
    let request = group.propose(master, "a");
    group.run_until("committed", |group| group.outcome(master, request).is_some());
    let two: Vec<NodeId> = others(&group, master)[..2].to_vec();
    two.into_iter().for_each(|id| group.crash(id));
    let request = group.propose(master, "b");
    group.run_until("committed by three", |group| group.outcome(master, request).is_some());
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
}

#[test]
fn a_healthy_group_never_elects_again() {
    let (mut group, master) = founded(&["n1", "n2", "n3"]);
    let term = group.node(master).term();
    for n in 0..100 {
        group.propose(master, &format!("{n}"));
        group.run_for(Duration::from_secs(3));
    }
    assert_eq!(group.master(), Some(master));
    assert_eq!(group.node(master).term(), term);
}
