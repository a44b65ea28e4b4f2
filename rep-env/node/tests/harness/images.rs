//! Older images of a member's directory, and what its master and it make of that.

use super::harness::Group;
use rep_node::{
    Change, ChangeRequest, Connection, Event, HaltReason, Link, Message, NodeState, Outcome,
    Quorums, ReplicaMessage, Request, Retention, Service, Shown,
};
use rep_vlsn::{NodeId, Vlsn};
use std::time::Duration;

const LONG: Duration = Duration::from_secs(10);

/// A group whose master has counted more of the first of the others than that holds by now; it is down.
fn with_an_image() -> (Group, NodeId, [NodeId; 2]) {
    with_an_image_and(&[])
}

/// The same with these quorums, one after the other.
fn with_an_image_and(quorums: &[Quorums]) -> (Group, NodeId, [NodeId; 2]) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    // Entries are files of one byte each.
    group.retention = Retention { bytes: 2, age: Duration::from_secs(3600) };
    group.start_all();
    group.run_until("all are in sync", |group| {
        let follows = |id: &NodeId| group.node(*id).state() == NodeState::Replica;
        group.master().is_some() && group.ids().iter().filter(|id| follows(id)).count() == 2
    });
    let master = group.master().unwrap();
    let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
    for quorums in quorums {
        group.next += 1;
        let (request, deadline) = (Request(group.next), group.now + LONG);
        let change = ChangeRequest::new(request, Change::Quorums(*quorums), deadline);
        group.act(master, |node, now| node.change_membership(now, change));
        group.run_until("it is changed", |group| group.changed.contains_key(&request));
        assert!(group.changed[&request].is_ok(), "{:?}", group.changed[&request]);
    }
    group.run_for(Duration::from_secs(1));
    let image = group.machines[&others[0]].records.clone();
    let request = group.propose(master, "not in the image");
    group.run_for(Duration::from_secs(1));
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    group.crash(others[0]);
    let machine = group.machines.get_mut(&others[0]).unwrap();
    machine.records = image;
    machine.synced = machine.records.len();
    machine.applied = machine.records.last().unwrap().point();
    (group, master, [others[0], others[1]])
}

fn terms_over(group: &Group, id: NodeId) -> usize {
    let over = |event: &&Event| matches!(event, Event::TermOver { .. });
    group.machines[&id].events.iter().filter(over).count()
}

pub(crate) fn an_older_image_that_its_master_remembers_falls_silent() {
    let (mut group, master, [image, other]) = with_an_image();
    group.start(image);
    group.run_until("it is told", |group| {
        let halted = &group.machines[&image].halted;
        matches!(halted, Some(HaltReason::OlderImage { by, .. }) if *by == master)
    });
    let request = group.propose(master, "without it");
    group.run_for(Duration::from_secs(1));
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
    assert_eq!(terms_over(&group, master), 0, "the other one is enough");
    // It votes for nobody either.
    group.crash(master);
    group.run_for(LONG);
    assert_ne!(group.node(other).state(), NodeState::Master);
}

pub(crate) fn an_older_image_does_not_keep_its_master() {
    let (mut group, master, [image, other]) = with_an_image();
    group.isolate(other);
    group.start(image);
    group.run_for(LONG);
    assert!(terms_over(&group, master) > 0, "an image's answers confirm no reign");
    // Whoever is needed is not told, and is taken as it is where it is not remembered any more: nothing is lost by it.
    assert_eq!(group.machines[&image].halted, None);
    group.run_until("a master again", |group| group.master().is_some());
    assert!(group.payloads(group.master().unwrap()).contains(&"not in the image".to_owned()));
}

/// Its master's log begins after what it ends with: it is not given a copy, with which it would go on as what it was.
pub(crate) fn an_older_image_that_only_a_copy_could_help_is_found_out_too() {
    let (mut group, master, [image, _]) = with_an_image();
    for number in 0..20 {
        group.propose(master, &format!("e{number}"));
    }
    group.run_for(Duration::from_secs(1));
    let last = group.node(master).applied().vlsn;
    group.checkpoint(master, last);
    let ends = group.machines[&image].records.len() as u64;
    assert!(group.machines[&master].first.get() > ends + 1, "cleaned past the image");
    group.start(image);
    group.run_until("it is told", |group| {
        matches!(group.machines[&image].halted, Some(HaltReason::OlderImage { .. }))
    });
}

/// A reign takes the master alone here, and an election everybody.
pub(crate) fn an_older_image_that_no_election_can_do_without_is_not_told() {
    let sizes = |election, commit| Quorums::Sizes { election, commit };
    let (mut group, master, [image, _]) = with_an_image_and(&[sizes(3, 2), sizes(3, 1)]);
    group.start(image);
    group.run_for(LONG);
    assert_eq!(terms_over(&group, master), 0);
    assert_eq!(group.machines[&image].halted, None, "nobody would be elected any more");
    group.crash(master);
    group.start(master);
    group.run_until("a master again", |group| group.master().is_some());
}

/// How far the master knows the log of `replica` to be synced.
fn counted(group: &Group, master: NodeId, replica: NodeId) -> Option<Vlsn> {
    let status = group.node(master).status(group.now);
    status.members.iter().find(|member| member.id == replica).and_then(|member| member.synced)
}

/// What a connection carried before its member acknowledged more comes late, on the next one.
pub(crate) fn what_an_earlier_connection_said_makes_nobody_an_image() {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("all are in sync", |group| {
        let follows = |id: &NodeId| group.node(*id).state() == NodeState::Replica;
        group.master().is_some() && group.ids().iter().filter(|id| follows(id)).count() == 2
    });
    let master = group.master().unwrap();
    let replica = group.ids().into_iter().find(|id| *id != master).unwrap();
    let earlier = Connection { term: group.node(master).term(), epoch: 1 };
    let ready = ReplicaMessage::Ready { connection: earlier, at: group.node(replica).log().last() };
    let old = [group.handshake(replica, earlier), Message::ToFeeder(ready)];
    group.propose(master, "acknowledged since");
    group.run_until("it is counted", |group| {
        counted(group, master, replica) == Some(group.node(master).log().last().vlsn)
    });
    let link = Link { peer: replica, service: Service::Feeder, epoch: 1 << 40 };
    let machine = &group.machines[&replica];
    let shown = Shown::new(machine.incarnation, machine.run).numbered(1 << 40);
    group.act(master, |node, now| {
        node.handle_link_up(now, link, shown, false);
        for message in old {
            node.handle_message(now, link, message).unwrap();
        }
        node.handle_link_down(now, link);
    });
    group.propose(master, "counted of it, too");
    group.run_until("it is counted again", |group| {
        counted(group, master, replica) == Some(group.node(master).log().last().vlsn)
    });
}
