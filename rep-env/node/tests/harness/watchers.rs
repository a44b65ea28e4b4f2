//! Rules of a monitor, each of which a planted bug breaks.

use crate::harness::Group;
use rep_node::rep_stream::RefuseReason;
use rep_node::{Change, Connection, FeederMessage, HaltReason, Link, MemberType, Message, Service};
use rep_vlsn::{NodeId, Term};
use std::time::Duration;

/// A group of so many, and a monitor.
pub(crate) fn watched(names: &[&str]) -> (Group, NodeId) {
    let mut group = Group::new(names);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let monitor = group.join_as("eye", MemberType::Monitor);
    group.run_until("it knows the master", |group| {
        group.node(monitor).master().is_some() && group.node(monitor).master() == group.master()
    });
    group.run_for(Duration::from_secs(1));
    (group, monitor)
}

/// It would be a member's word that there is a later master.
pub(crate) fn what_a_monitor_says_is_not_heeded() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    let term = group.node(master).term();
    let later = Term::new(term.get() + 7);
    let link = group.peer_link(master, monitor);
    for message in [
        Message::Heartbeat { term: later, round: 1, quorate: true },
        Message::HeartbeatReply { term: later, round: 0 },
    ] {
        group.act(master, |node, now| node.handle_message(now, link, message).unwrap());
    }
    group.run_for(Duration::from_secs(1));
    assert_eq!((group.master(), group.node(master).term()), (Some(master), term));
}

pub(crate) fn a_monitor_gives_no_answer_that_counts() {
    let (mut group, _) = watched(&["n1"]);
    group.run_for(Duration::from_secs(3));
    assert!(group.count("heartbeat") > 0);
    assert_eq!(group.count("heartbeat reply"), 0, "there is nobody else who could");
    assert_eq!(group.count("election message"), 0);
}

/// Another than its master may be the first to say so, while a heartbeat of that one is on its way.
pub(crate) fn a_monitor_that_was_removed_gives_no_answer_either() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    let members: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != monitor).collect();
    members.into_iter().for_each(|id| group.cut(id, monitor));
    group.changed(Change::Remove { id: monitor }).unwrap();
    let told = group.node(master).membership().unwrap().clone();
    let term = group.node(master).term();
    let link = Link { peer: master, service: Service::Peer, epoch: 1 << 40 };
    let incarnation = group.machines[&master].incarnation;
    group.act(monitor, |node, now| {
        node.handle_link_up(now, link, incarnation, false);
        node.handle_message(now, link, Message::Acquaint(Box::new(told))).unwrap();
        let heartbeat = Message::Heartbeat { term, round: u64::MAX, quorate: true };
        node.handle_message(now, link, heartbeat).unwrap();
    });
    let last = group.sent.get("heartbeat reply").map(|(_, last)| last.clone());
    assert!(!matches!(last, Some(Message::HeartbeatReply { round: u64::MAX, .. })));
    assert_eq!(group.machines[&monitor].halted, Some(HaltReason::Removed));
}

pub(crate) fn a_monitor_is_refused_a_stream() {
    let (mut group, monitor) = watched(&["n1", "n2", "n3"]);
    let master = group.the_master();
    let incarnation = group.machines[&monitor].incarnation;
    let link = Link { peer: monitor, service: Service::Feeder, epoch: 1 << 40 };
    let connection = Connection { term: group.node(master).term(), epoch: link.epoch };
    let asks = group.handshake(monitor, connection);
    group.act(master, |node, now| {
        node.handle_link_up(now, link, incarnation, false);
        node.handle_message(now, link, asks).unwrap();
    });
    let refused = group.sent.get("feeder message").map(|(_, last)| last.clone());
    let reason = match refused {
        Some(Message::ToReplica(FeederMessage::Refused { reason, .. })) => Some(reason),
        _ => None,
    };
    assert_eq!(reason, Some(RefuseReason::NotMember));
}
