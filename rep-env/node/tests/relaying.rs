//! A secondary that a replica feeds gets what the master would send it, and nothing that may be taken back; and somebody feeds it as long as
//! there is anybody who can.

#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;
#[path = "harness/relays.rs"]
mod relays;

use harness::Group;
use relays::{LONG, Relayed, is_relayed, source};
use rep_node::{Change, FeedFrom, MemberType, NodeState, Retention};
use rep_vlsn::NodeId;
use std::time::Duration;

#[test]
fn the_master_sends_a_secondary_nothing_that_a_replica_feeds() {
    relays::the_master_sends_a_secondary_nothing_that_a_replica_feeds();
}

#[test]
fn what_is_not_durable_is_not_relayed() {
    relays::what_is_not_durable_is_not_relayed();
}

#[test]
fn a_relay_that_falls_silent_is_passed_over() {
    relays::a_relay_that_falls_silent_is_passed_over();
}

#[test]
fn what_a_relay_says_is_no_word_of_the_masters() {
    relays::what_a_relay_says_is_no_word_of_the_masters();
}

#[test]
fn when_its_relay_dies_another_feeds_it_then_the_master_and_then_a_relay_again() {
    let mut relayed = Relayed::new();
    let Relayed { master, relay, other, secondary, .. } = relayed;
    relayed.write();
    let group = &mut relayed.group;
    group.kill(relay);
    group.run_until("fed by the other", |group| source(group, secondary) == Some(other));
    relayed.write();
    assert_eq!(relayed.fed_by(master), 0);
    let group = &mut relayed.group;
    // Of three the master needs one: the group goes on, and its other replica is out of the secondary's reach.
    group.start(relay);
    group.run_until("it follows", |group| group.node(relay).state() == NodeState::Replica);
    [relay, other].into_iter().for_each(|id| group.cut(secondary, id));
    group.run_until("fed by the master", |group| source(group, secondary) == Some(master));
    relayed.write();
    assert!(relayed.fed_by(master) > 0);
    let group = &mut relayed.group;
    group.heal();
    group.run_until("spared again", |group| is_relayed(group, secondary));
    relayed.write();
    let group = &relayed.group;
    let refused = group.node(secondary).status(group.now).problems;
    assert_eq!(refused, Vec::<String>::new(), "what passed is past");
}

/// One that is away for long is passed over again and again, and costs no stream that there is.
#[test]
fn who_is_fed_by_the_master_does_not_leave_it_for_a_relay_that_is_not_heard() {
    let mut relayed = Relayed::new();
    let Relayed { master, relay, other, secondary, .. } = relayed;
    let group = &mut relayed.group;
    [relay, other].into_iter().for_each(|id| group.cut(secondary, id));
    group.run_until("fed by the master", |group| source(group, secondary) == Some(master));
    let link = group.fed_link(master, secondary);
    group.run_for(2 * LONG);
    assert_eq!(source(group, secondary), Some(master));
    assert_eq!(group.fed_link(master, secondary), link, "it is the same stream");
}

/// What it told while another one fed it, or nobody, is not what its master knows now.
#[test]
fn the_master_is_told_anew_who_feeds_a_secondary_though_nothing_is_written() {
    let mut relayed = Relayed::new();
    relayed.write();
    let Relayed { mut group, master, relay, other, secondary } = relayed;
    let fed_by = |group: &Group| {
        let status = group.node(master).status(group.now);
        status.members.into_iter().find(|member| member.id == secondary).unwrap().fed_by
    };
    group.run_until("told", |group| fed_by(group) == Some(relay));
    group.kill(relay);
    group.run_until("told of the other", |group| fed_by(group) == Some(other));
}

#[test]
fn a_relay_that_becomes_the_master_relays_no_more() {
    let mut relayed = Relayed::new();
    let Relayed { master, relay, secondary, .. } = relayed;
    let group = &mut relayed.group;
    group.transfer(master, &[relay], false);
    group.run_until("another master", |group| group.master() == Some(relay));
    group.run_until("another relay", |group| {
        is_relayed(group, secondary) && source(group, secondary) != Some(relay)
    });
    let before = relayed.fed_by(relay);
    relayed.write();
    assert_eq!(relayed.fed_by(relay), before, "as master it sends it nothing");
}

/// It had that from its master, before a replica could feed it.
#[test]
fn what_turns_out_to_be_of_no_term_is_cut_by_the_stream_of_a_relay() {
    let Relayed { mut group, master, relay, other, secondary } = Relayed::new();
    [relay, other].into_iter().for_each(|id| group.cut(secondary, id));
    group.run_until("fed by the master", |group| source(group, secondary) == Some(master));
    [relay, other].into_iter().for_each(|id| group.cut(master, id));
    group.propose(master, "never durable");
    let ends = |group: &Group, id| group.node(id).log().last();
    group.run_until("the secondary has it", |group| ends(group, secondary) == ends(group, master));
    let lost = ends(&group, secondary);
    group.kill(master);
    group.heal();
    group.run_until("another master", |group| group.master().is_some_and(|id| id != master));
    group.run_until("relayed to", |group| is_relayed(group, secondary));
    relays::write(&mut group);
    assert!(!group.node(secondary).log().contains(lost), "it was cut");
    assert_eq!(group.machines[&secondary].halted, None);
}

/// A relay whose own log begins with a copy: the master's reaches back further, and no copy is needed.
#[test]
fn a_relay_whose_log_begins_too_late_is_passed_over_and_no_copy_is_fetched() {
    let mut relayed = Relayed::new();
    let Relayed { master, relay, other, secondary, .. } = relayed;
    relayed.write();
    let group = &mut relayed.group;
    group.kill(secondary);
    (0..3).for_each(|_| relays::write(group));
    for id in [relay, other] {
        let point = group.node(master).applied();
        group.install(id, master, point);
        group.run_until("it follows", |group| group.node(id).state() == NodeState::Replica);
    }
    group.start(secondary);
    group.run_until("fed by the master", |group| source(group, secondary) == Some(master));
    assert_eq!(group.machines[&secondary].fetch, None);
    let caught_up = |group: &Group| group.node(secondary).applied() == group.node(master).applied();
    group.run_until("caught up", caught_up);
    group.run_for(LONG);
    assert!(is_relayed(group, secondary), "with all of it, it can be relayed to");
}

#[test]
fn the_master_keeps_its_log_for_it_no_longer_than_for_others() {
    let mut relayed = Relayed::new();
    let Relayed { master, secondary, .. } = relayed;
    relayed.group.retention = Retention { bytes: 1 << 20, age: Duration::from_secs(3600) };
    for _ in 0..5 {
        relayed.write();
    }
    let group = &mut relayed.group;
    group.run_for(Duration::from_millis(300));
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert_eq!(relays::first(group, master), last, "all have it, the secondary too");
    group.kill(secondary);
    let behind = last;
    relays::write(group);
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    assert_eq!(relays::first(group, master), behind, "it is waited for");
}

#[test]
fn who_feeds_whom_is_shown_at_both_ends_and_at_the_master() {
    let mut relayed = Relayed::new();
    relayed.write();
    let Relayed { mut group, master, relay, other, secondary } = relayed;
    group.run_for(Duration::from_millis(300));
    let seen = |group: &Group, at: NodeId| {
        let status = group.node(at).status(group.now);
        status.members.into_iter().find(|member| member.id == secondary).unwrap()
    };
    let last = group.node(master).log().last().vlsn;
    assert_eq!(group.node(secondary).status(group.now).source, Some(relay));
    assert!(seen(&group, relay).stream.is_some());
    let member = seen(&group, master);
    assert_eq!((member.fed_by, member.synced), (Some(relay), Some(last)));
    assert!(member.stream.is_none());
    assert_eq!(group.node(master).status(group.now).problems, Vec::<String>::new());
    group.kill(relay);
    let status = group.node(secondary).status(group.now);
    assert_eq!((status.source, status.problems), (Some(other), vec![]), "another feeds it at once");
}

#[test]
fn a_group_that_is_shut_down_waits_for_it() {
    let mut relayed = Relayed::new();
    relayed.write();
    let Relayed { mut group, master, secondary, .. } = relayed;
    group.propose(master, "the last one");
    let request = group.shut_down(master);
    group.run_until("shut down", |group| group.shut_down.contains_key(&request));
    assert_eq!(group.shut_down[&request], Ok(vec![]), "nobody is left behind");
    assert!(group.machines[&secondary].halted.is_some());
}

#[test]
fn only_a_secondary_is_relayed_to_and_only_by_who_votes() {
    let mut group = Group::founded_by("n1");
    group.feed_from = FeedFrom::Replica;
    let (master, voter) = (group.the_master(), group.join("n2"));
    let (first, second) =
        (group.join_as("s1", MemberType::Secondary), group.join_as("s2", MemberType::Secondary));
    let fed = |group: &Group, id| source(group, id);
    group.run_until("all are fed", |group| {
        [first, second].iter().all(|id| fed(group, *id) == Some(voter))
    });
    assert_eq!(fed(&group, voter), Some(master), "who votes is fed by the master");
    relays::write(&mut group);
    group.kill(voter);
    // No quorum any more: the master steps down, and two secondaries feed nobody.
    group.run_for(LONG);
    assert_eq!((fed(&group, first), fed(&group, second)), (None, None));
    let pairs: Vec<_> = group.fed.keys().copied().collect();
    let among = |a: NodeId, b: NodeId| [first, second].contains(&a) && [first, second].contains(&b);
    assert!(pairs.iter().all(|(from, to)| !among(*from, *to)), "{pairs:?}");
}

#[test]
fn who_was_removed_is_relayed_to_no_more() {
    let mut relayed = Relayed::new();
    let Relayed { relay, secondary, .. } = relayed;
    let before = relayed.fed_by(relay);
    let group = &mut relayed.group;
    group.changed(Change::Remove { id: secondary }).expect("is removed");
    group.run_until("it has heard", |group| group.machines[&secondary].halted.is_some());
    let master = group.the_master();
    let write = group.propose(master, "after");
    group.run_until("committed", |group| group.outcome(master, write).is_some());
    assert!(relayed.fed_by(relay) <= before + 1);
}

#[test]
fn a_secondary_that_does_not_ask_for_it_is_fed_by_its_master() {
    let mut group = Group::founded_by("n1");
    let (master, _) = (group.the_master(), group.join("n2"));
    let secondary = group.join_as("s", MemberType::Secondary);
    group.run_until("it is fed", |group| source(group, secondary) == Some(master));
    group.run_for(LONG);
    assert_eq!(source(&group, secondary), Some(master));
}
