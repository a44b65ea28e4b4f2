//! Changes of who belongs that go wrong half-way: rolled back, made by half, made while somebody was away or moved.

#[path = "harness/changes.rs"]
mod changes;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;

use changes::{committed, grown};
use harness::Group;
use rep_node::{Change, HaltReason, NodeState, NotChanged, Quorums};
use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

const N1: NodeId = NodeId::new(1);

/// A group whose last master alone holds the removal of the member that is master now; besides the master: the old one, and the third.
fn removed_in_vain() -> (Group, NodeId, NodeId) {
    let mut group = grown();
    let old = group.the_master();
    let gone = group.ids().into_iter().find(|id| *id != old).unwrap();
    let third = group.ids().into_iter().find(|id| *id != old && *id != gone).unwrap();
    group
        .changed(Change::Update {
            id: gone,
            address: None,
            priority: Some(9),
            attributes: Default::default(),
        })
        .unwrap();
    assert!(committed(&mut group, "all have this"));
    group.run_for(Duration::from_secs(1));
    group.isolate(old);
    group.change(old, Change::Remove { id: gone });
    assert!(!group.membership(old).members.contains_key(&gone), "it rules where it is logged");
    group.run_until("the other is master", |group| group.node(gone).state() == NodeState::Master);
    group.heal();
    (group, old, third)
}

#[test]
fn a_master_follows_whom_it_would_have_removed() {
    let (mut group, old, _) = removed_in_vain();
    group.run_until("the old master follows", Group::in_sync);
    assert!(group.membership(old).removed.is_empty(), "what was never durable is gone");
}

#[test]
fn a_removal_that_was_never_durable_keeps_nobody_from_being_elected() {
    let (mut group, _, third) = removed_in_vain();
    assert!(committed(&mut group, "two of three"));
    group.run_for(Duration::from_secs(2));
    group.crash(third);
    group.run_until("a master of two of three", |group| group.master().is_some());
    assert!(committed(&mut group, "two of three again"));
}

#[test]
fn a_member_that_asked_before_there_was_a_group_keeps_its_vote_when_it_is_refused() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    // Two wait for the third long enough to ask whether there is a group already.
    let late = NodeId::new(3);
    for id in group.ids().into_iter().filter(|id| *id != late) {
        group.start(id);
    }
    let early = |group: &Group| group.machines.values().filter(|machine| machine.asks).count() == 2;
    group.run_until("they ask", early);
    group.start(late);
    group.run_until("a master", |group| group.master().is_some());
    assert!(committed(&mut group, "kept"));
    group.run_until("all follow", Group::in_sync);

    // The master removes one of them, and nobody else is there who could make that durable.
    let master = group.the_master();
    let gone = group.ids().into_iter().find(|id| *id != master && *id != late).unwrap();
    let third = group.ids().into_iter().find(|id| *id != master && *id != gone).unwrap();
    group.cut(master, third);
    assert!(committed(&mut group, "the third lacks this"));
    group.change_within(master, Change::Remove { id: gone }, Duration::from_secs(5), true);
    group.run_until("it is refused", |group| {
        group.node(gone).status(group.now).problems.iter().any(|it| it.contains("no member"))
    });
    group.crash(master);
    group.heal();
    group.run_until("a master of the two", |group| group.master().is_some());
    assert!(committed(&mut group, "two of three"));
}

/// A wiped directory asks to be admitted again, though its old number was removed meanwhile and nobody knows its name any more.
fn asks_again(while_it_was_away: bool, greatest: bool) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    assert!(committed(&mut group, "kept"));
    let master = group.the_master();
    let mut others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    if greatest {
        others.reverse();
    }
    let lost = others[0];
    group.crash(lost);
    group.wipe(lost);
    if !while_it_was_away {
        group.start(lost);
        group.run_until("it asks to be admitted", |group| group.machines[&lost].asks);
    }
    group.changed(Change::Remove { id: lost }).unwrap();
    if !while_it_was_away {
        group.crash(lost);
    }
    group.start(lost);
    group.run_until("it asks to be admitted again", |group| group.machines[&lost].asks);
}

#[test]
fn a_wiped_directory_that_was_half_admitted_asks_again() {
    asks_again(false, false);
    asks_again(false, true);
}

#[test]
fn a_wiped_directory_whose_member_was_removed_asks_to_be_another() {
    asks_again(true, true);
}

#[test]
fn a_learner_that_is_removed_before_it_held_anything_is_told() {
    let mut group = grown();
    let mut machine = group.directory("n4".into(), true);
    let inc = machine.incarnation;
    let made = group.changed(Change::Add(group.newcomer("n4", inc))).unwrap();
    let id = made.of_incarnation(inc).unwrap().id;
    machine.place = Some(made.encode());
    group.changed(Change::Remove { id }).unwrap();
    group.machines.insert(id, machine);
    group.start(id);
    group.run_until("it is told", |group| group.machines[&id].halted == Some(HaltReason::Removed));
}

#[test]
fn a_member_that_lags_finds_those_who_moved() {
    let mut group = grown();
    let master = group.the_master();
    // The one with the greatest number: it is dialled by the others, and dials its source itself.
    let lags = group.ids().into_iter().rev().find(|id| *id != master).unwrap();
    group.crash(lags);
    for id in group.ids().into_iter().filter(|id| *id != lags) {
        let address = format!("moved{id}:9");
        group
            .changed(Change::Update {
                id,
                address: Some(address.clone()),
                priority: None,
                attributes: Default::default(),
            })
            .unwrap();
        group.moved.insert(id, address);
    }
    group.run_for(Duration::from_secs(2));
    group.start(lags);
    group.run_until("it follows", |group| group.in_sync());
}

#[test]
fn a_newcomer_that_restarts_midway_finds_those_who_moved() {
    let mut group = grown();
    for id in group.ids() {
        let address = format!("moved{id}:9");
        group
            .changed(Change::Update {
                id,
                address: Some(address.clone()),
                priority: None,
                attributes: Default::default(),
            })
            .unwrap();
        group.moved.insert(id, address);
    }
    let mut machine = group.directory("n4".into(), true);
    let inc = machine.incarnation;
    let made = group.changed(Change::Add(group.newcomer("n4", inc))).unwrap();
    let id = made.of_incarnation(inc).unwrap().id;
    machine.place = Some(made.encode());
    // It had got this far when its process ended (or its stream broke).
    let master = group.the_master();
    let upto = 3;
    machine.records = group.machines[&master].records[..upto].to_vec();
    (machine.written, machine.synced) = (upto, upto);
    group.machines.insert(id, machine);
    group.start(id);
    group.run_until("it follows", |group| group.in_sync());
}

#[test]
fn an_admission_that_is_refused_removes_nobody() {
    let mut group = grown();
    let master = group.the_master();
    let others: Vec<_> = group.ids().into_iter().filter(|id| *id != master).collect();
    let name = group.machines[&others[0]].name.clone();
    group.crash(others[0]);
    group.run_for(Duration::from_secs(3));
    let known = group.machines[&others[1]].incarnation;
    let outcome = group.changed(Change::Add(group.newcomer(&name, known)));
    assert_eq!(outcome, Err(NotChanged::WasRemoved));
    assert!(group.membership(master).members.contains_key(&others[0]), "nothing was to be changed");
}

#[test]
fn who_asked_is_answered_by_the_deadline_and_told_if_half_was_made() {
    let mut group = grown();
    let master = group.the_master();
    let others: Vec<_> = group.ids().into_iter().filter(|id| *id != master).collect();
    let name = group.machines[&others[0]].name.clone();
    group.crash(others[0]);
    group.run_for(Duration::from_secs(3));
    group.machines.get_mut(&others[1]).unwrap().hold_log = true;
    let add = Change::Add(group.newcomer(&name, Incarnation([77; 16])));
    let request = group.change_within(master, add, Duration::from_millis(200), false);
    group.run_for(Duration::from_millis(500));
    let early = group.changed.get(&request).cloned();
    group.release_disks();
    group.run_until("answered", |group| group.changed.contains_key(&request));
    assert!(early.is_some(), "it is answered by its deadline");
    assert_ne!(group.changed[&request], Err(NotChanged::Expired), "something was changed");
}

#[test]
fn a_member_whose_one_link_is_silent_is_not_replaced() {
    let mut group = grown();
    let master = group.the_master();
    let other = group.ids().into_iter().rev().find(|id| *id != master).unwrap();
    let name = group.machines[&other].name.clone();
    let peer = group.peer_link(master, other).epoch;
    group.dead.insert(peer);
    for n in 0..9 {
        committed(&mut group, &format!("{n}"));
        group.run_for(Duration::from_millis(100));
    }
    assert_eq!(group.node(master).admission(group.now).live, 3, "it acknowledges");
    let add = Change::Add(group.newcomer(&name, Incarnation([77; 16])));
    let outcome = group.changed(add);
    assert_eq!(outcome, Err(NotChanged::LiveTwin { name }));
}

#[test]
fn removed_members_that_keep_each_other_company_are_told() {
    let mut group = grown();
    group.join("n4");
    let (three, four) = (NodeId::new(3), NodeId::new(4));
    if group.the_master() != N1 {
        let m = group.the_master();
        group.transfer(m, &[N1], false);
        group.run_until("handed over", |group| group.master() == Some(N1));
    }
    for id in [three, four] {
        group.crash(id);
        group.run_for(Duration::from_secs(1));
        group.changed(Change::Remove { id }).unwrap();
    }
    group.start(three);
    group.start(four);
    group.run_until("both are told", |group| {
        [three, four].iter().all(|id| group.machines[id].halted.is_some())
    });
}

#[test]
fn a_newcomer_that_could_never_vote_is_refused() {
    let mut group = grown();
    group.changed(Change::Quorums(Quorums::Sizes { election: 2, commit: 2 })).unwrap();
    let newcomer = group.newcomer("n4", Incarnation([44; 16]));
    let refused = group.changed(Change::Add(newcomer));
    assert!(matches!(refused, Err(NotChanged::Apart { .. })), "{refused:?}");
}

#[test]
fn a_member_is_not_replaced_where_the_quorums_would_not_be_without_it() {
    let mut group = grown();
    let master = group.the_master();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    let name = group.machines[&others[0]].name.clone();
    group.changed(Change::Quorums(Quorums::Sizes { election: 3, commit: 2 })).unwrap();
    group.crash(others[0]);
    group.run_for(Duration::from_secs(3));
    let newcomer = group.newcomer(&name, Incarnation([44; 16]));
    let refused = group.changed(Change::Add(newcomer));
    assert!(matches!(refused, Err(NotChanged::Apart { .. })), "{refused:?}");
    assert!(group.membership(master).members.contains_key(&others[0]));
}
