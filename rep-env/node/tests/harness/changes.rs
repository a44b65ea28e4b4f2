#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! Rules of a change of who belongs, each of which a planted bug breaks.

use crate::harness::Group;
use rep_node::{Change, HaltReason, MemberType, NotChanged, Outcome};
use rep_vlsn::{Incarnation, NodeId};
use std::collections::BTreeMap;
use std::time::Duration;

pub(crate) fn committed(group: &mut Group, payload: &str) -> bool {
    let master = group.the_master();
    let request = group.propose(master, payload);
    group.run_until("the commit ends", |group| group.outcome(master, request).is_some());
    matches!(group.outcome(master, request), Some(Outcome::Committed { .. }))
}

/// A group of three that was one.
pub(crate) fn grown() -> Group {
    let mut group = Group::founded_by("n1");
    group.join("n2");
    group.join("n3");
    group
}

pub(crate) fn a_removed_member_is_told_goes_quiet_and_its_number_is_not_used_again() {
    let mut group = grown();
    let master = group.the_master();
    let gone = group.ids().into_iter().rev().find(|id| *id != master).unwrap();
    let name = group.machines[&gone].name.clone();
    let made = group.changed(Change::Remove { id: gone }).unwrap();
    assert!(made.has_removed(gone) && made.removed[0].name == name);
    group.run_until("it is told", |group| group.machines[&gone].halted.is_some());
    assert_eq!(group.machines[&gone].halted, Some(HaltReason::Removed));
    assert!(committed(&mut group, "two go on"));
    assert_eq!(group.node(master).admission(group.now).voters, 2, "it counts no more");

    // Started again it is told again.
    group.crash(gone);
    group.start(gone);
    group.run_until("it is told again", |group| group.machines[&gone].halted.is_some());

    // Its name may return, with another directory and under another number.
    group.machines.remove(&gone);
    let back = group.join(&name);
    assert_eq!(back, NodeId::new(4));
}

pub(crate) fn a_removal_that_dies_with_its_master_leaves_the_others_able_to_elect() {
    let mut group = grown();
    assert!(committed(&mut group, "all have this"));
    group.run_for(Duration::from_secs(1));
    let master = group.the_master();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    let (gone, stays) = (others[0], others[1]);
    group.isolate(stays);
    group.change(master, Change::Remove { id: gone });
    group.crash(master);
    group.heal();
    group.run_until("another master", |group| group.master().is_some_and(|new| new != master));
    assert!(committed(&mut group, "two of three go on"));
}

pub(crate) fn a_change_that_is_rolled_back_rules_no_more() {
    let mut group = grown();
    let old = group.the_master();
    group.isolate(old);
    let incarnation = Incarnation([88; 16]);
    let newcomer = group.newcomer("n4", incarnation);
    let request = group.change(old, Change::Add(newcomer));
    assert!(group.membership(old).named("n4").is_some(), "it rules from the moment it is logged");
    group.run_until("another master", |group| {
        group
            .ids()
            .into_iter()
            .any(|id| id != old && group.node(id).state() == rep_node::NodeState::Master)
    });
    group.heal();
    group.run_until("the old master follows", Group::in_sync);
    assert!(group.membership(old).named("n4").is_none(), "what was never durable is gone");
    group.run_until("who asked is told", |group| group.changed.contains_key(&request));
    assert_eq!(group.changed[&request], Err(NotChanged::RolledBack));
    assert!(committed(&mut group, "the group goes on"));
}

pub(crate) fn one_change_is_in_flight_at_a_time_and_the_next_waits_for_it() {
    let mut group = grown();
    let master = group.the_master();
    for id in group.ids().into_iter().filter(|id| *id != master) {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    let one = group.newcomer("n4", Incarnation([4; 16]));
    let two = group.newcomer("n5", Incarnation([5; 16]));
    let before = group.membership(master).at.vlsn;
    group.change(master, Change::Add(one));
    let second = group.change(master, Change::Add(two));
    assert!(group.membership(master).named("n4").is_some());
    assert!(group.membership(master).named("n5").is_none());
    assert!(group.node(master).log().last().vlsn > before);
    group.release_disks();
    group.run_until("both are made", |group| group.changed.contains_key(&second));
    assert!(group.changed[&second].is_ok());
}

pub(crate) fn a_change_waits_for_the_begin_of_the_term() {
    let mut group = grown();
    assert!(committed(&mut group, "all before is durable"));
    group.run_for(Duration::from_secs(1));
    let old = group.the_master();
    group.crash(old);
    for id in group.ids().into_iter().filter(|id| *id != old) {
        group.machines.get_mut(&id).unwrap().hold_syncs = true;
    }
    let reigns =
        |group: &Group, id: NodeId| id != old && group.node(id).role() == rep_node::Role::Leader;
    group.run_until("somebody reigns", |group| group.ids().into_iter().any(|id| reigns(group, id)));
    let new = group.ids().into_iter().find(|id| reigns(&group, *id)).unwrap();
    let at = group.membership(new).at;
    let newcomer = group.newcomer("n4", Incarnation([4; 16]));
    let request = group.change(new, Change::Add(newcomer));
    assert_eq!(group.membership(new).at, at, "nothing is durable yet");
    group.release_disks();
    group.run_until("it is made", |group| group.changed.contains_key(&request));
}

pub(crate) fn a_learner_is_not_promoted_before_it_holds_what_there_is() {
    let mut group = grown();
    let fourth = group.join_as("n4", MemberType::Electable);
    group.machines.get_mut(&fourth).unwrap().hold_syncs = true;
    for payload in ["a", "b", "c"] {
        assert!(committed(&mut group, payload));
    }
    group.run_for(Duration::from_secs(2));
    let master = group.the_master();
    assert_eq!(group.membership(master).members[&fourth].kind, MemberType::Learner);
    group.release_disks();
    group.run_until("it votes", |group| group.votes(fourth));
}

/// Both were asked for when neither was made, so whoever asked could not have seen it.
pub(crate) fn no_two_members_have_one_address() {
    let mut group = grown();
    let master = group.the_master();
    for id in group.ids().into_iter().filter(|id| *id != master) {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    let one = group.newcomer("n4", Incarnation([4; 16]));
    let mut two = group.newcomer("n5", Incarnation([5; 16]));
    two.address.clone_from(&one.address);
    let first = group.change(master, Change::Add(one.clone()));
    let second = group.change(master, Change::Add(two.clone()));
    group.release_disks();
    group.run_until("both are answered", |group| group.changed.contains_key(&second));
    assert!(group.changed[&first].is_ok());
    let refused = group.changed[&second].clone().unwrap_err().to_string();
    assert!(refused.contains("n4 is at"), "{refused}");
    let update = |address: &str| {
        let (priority, attributes) = (None, BTreeMap::new());
        Change::Update { id: master, address: Some(address.to_owned()), priority, attributes }
    };
    assert!(matches!(group.changed(update(&one.address)), Err(NotChanged::Invalid { .. })));
    for nowhere in ["0.0.0.0:7001", "[::]:7001", "[::ffff:0.0.0.0]:7001", ":7001", "n5:0"] {
        nowhere.clone_into(&mut two.address);
        let refused = group.changed(Change::Add(two.clone())).unwrap_err().to_string();
        assert!(refused.contains("tells nobody"), "{refused}");
        assert!(group.changed(update(nowhere)).is_err());
    }
    // Its own is not another's, and whose directory was wiped comes back where it was.
    let own = group.membership(master).members[&master].address.clone();
    assert!(group.changed(update(&own)).is_ok());
    group.run_for(Duration::from_secs(5));
    let again = group.newcomer("n4", Incarnation([6; 16]));
    assert_eq!(group.changed(Change::Add(again)).map(|made| made.members.len()), Ok(4));
}
