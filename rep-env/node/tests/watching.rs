//! A monitor: a member that is told who is master and who belongs, and does nothing.

#[path = "harness/changes.rs"]
mod changes;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;
#[path = "harness/watchers.rs"]
mod watchers;

use changes::committed;
use rep_node::{Change, Event, HaltReason, MemberType, Message, NodeState, Role, TurnedAway};
use rep_vlsn::Term;
use std::time::Duration;
use watchers::watched;

#[test]
fn what_a_monitor_says_is_not_heeded() {
    watchers::what_a_monitor_says_is_not_heeded();
}

#[test]
fn a_monitor_gives_no_answer_that_counts() {
    watchers::a_monitor_gives_no_answer_that_counts();
}

#[test]
fn a_monitor_is_refused_a_stream() {
    watchers::a_monitor_is_refused_a_stream();
}

#[test]
fn a_monitor_that_was_removed_gives_no_answer_either() {
    watchers::a_monitor_that_was_removed_gives_no_answer_either();
}

#[test]
fn a_monitor_knows_who_is_master_and_who_belongs_and_has_nothing() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    assert!(committed(&mut group, "it has not this"));
    let old = group.the_master();
    group.crash(old);
    group.run_until("it knows the next one", |group| {
        let known = group.node(monitor).master();
        group.master().is_some_and(|new| new != old && known == Some(new))
    });
    let fourth = group.join_as("n4", MemberType::Electable);
    group.run_until("it knows the newcomer as what it is", |group| {
        let status = group.node(monitor).status(group.now);
        status.members.iter().any(|it| it.id == fourth && it.kind == MemberType::Electable)
    });
    let seen = |event: &Event| matches!(event, Event::State { master, .. } if master.is_some() && *master != Some(old));
    assert!(group.machines[&monitor].events.iter().any(seen));
    let told = |event: &Event| matches!(event, Event::Membership { .. });
    assert!(group.machines[&monitor].events.iter().any(told));
    let node = group.node(monitor);
    assert_eq!((node.role(), node.state()), (Role::Idle, NodeState::Unknown));
    assert!(group.machines[&monitor].records.is_empty(), "it was fed nothing");
}

#[test]
fn a_monitor_is_in_no_quorum_and_may_come_and_go() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    let electorate = group.membership(master).electorate();
    assert_eq!((electorate.voters.len(), electorate.commit_need), (3, 2));
    assert!(!electorate.lists(monitor));
    // With one voter away each of the others is needed, and the monitor is none.
    let other = group.ids().into_iter().find(|id| ![master, monitor].contains(id)).unwrap();
    let third = group.ids().into_iter().find(|id| ![master, monitor, other].contains(id)).unwrap();
    group.crash(other);
    group.crash(monitor);
    assert!(committed(&mut group, "two have this"));
    group.start(monitor);
    group.crash(third);
    group.run_until("there is no master", |group| group.master().is_none());
    group.run_for(Duration::from_secs(5));
    assert_eq!(group.master(), None, "a monitor makes none");
    group.start(third);
    group.run_until("it knows the master", |group| {
        group.master().is_some() && group.node(monitor).master() == group.master()
    });
}

#[test]
fn a_monitor_that_is_removed_is_told() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    group.changed(Change::Remove { id: monitor }).unwrap();
    group.run_until("it is told", |group| group.machines[&monitor].halted.is_some());
    assert_eq!(group.machines[&monitor].halted, Some(HaltReason::Removed));
}

#[test]
fn a_group_of_two_with_a_designated_member_may_be_watched() {
    let (mut group, monitor) = watched(&["n1", "n2"]);
    let master = group.the_master();
    group.changed(Change::Quorums(rep_node::Quorums::Designated(master))).unwrap();
    let other = group.ids().into_iter().find(|id| ![master, monitor].contains(id)).unwrap();
    group.crash(other);
    group.run_until("it goes on alone", |group| {
        group.membership(master).members[&other].kind == MemberType::Learner
            && group.master() == Some(master)
    });
    assert_eq!(group.membership(master).members[&monitor].kind, MemberType::Monitor);
    assert!(committed(&mut group, "one has this"));
}

#[test]
fn a_monitor_is_not_heeded_while_its_removal_is_not_durable() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    for other in group.ids().into_iter().filter(|id| *id != master && *id != monitor) {
        group.cut(master, other);
    }
    group.change_within(master, Change::Remove { id: monitor }, Duration::from_secs(9), true);
    assert!(!group.membership(master).members.contains_key(&monitor), "it is logged");
    let (term, link) = (group.node(master).term(), group.peer_link(master, monitor));
    let farewell = Message::TurnedAway(TurnedAway::Removed(group.machines[&master].incarnation));
    let later = Message::HeartbeatReply { term: Term::new(term.get() + 1), round: 0 };
    for message in [farewell, later] {
        group.act(master, |node, now| node.handle_message(now, link, message).unwrap());
    }
    assert_eq!(group.machines[&master].halted, None);
    assert_eq!(group.node(master).term(), term);
}

#[test]
fn a_monitor_notices_that_there_is_no_master() {
    let (mut group, monitor) = watched(&["n1", "n2"]);
    let master = group.the_master();
    group.run_until("it hears one", |group| group.node(monitor).master() == Some(master));
    group.crash(master);
    group.run_until("it hears none", |group| group.node(monitor).master().is_none());
}

#[test]
fn a_monitor_does_not_name_a_former_master_that_still_answers() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    group.run_until("it hears one", |group| group.node(monitor).master() == Some(master));
    for other in group.ids().into_iter().filter(|id| *id != master && *id != monitor) {
        group.crash(other);
    }
    group.run_until("it steps down", |group| group.node(master).state() != NodeState::Master);
    group.run_until("it is named no more", |group| group.node(monitor).master().is_none());
}
