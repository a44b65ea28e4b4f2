//! A second process on a copy of a member's directory, or on the same one from another machine: it shows the same name and the
//! same incarnation, and must not be counted beside the first.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{Event, Link, Message, NodeState, RunId, Service, Shown, TurnedAway};
use rep_vlsn::NodeId;
use std::time::Duration;

/// A group in sync, its master, and a replica with a smaller number, which is the one to dial their PEER link.
fn in_sync() -> (Group, NodeId, NodeId) {
    let mut group = Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let smallest = group.ids()[0];
    if group.master() == Some(smallest) {
        group.crash(smallest);
        let other = |group: &Group| group.master().is_some_and(|id| id != smallest);
        group.run_until("another master", other);
        group.start(smallest);
    }
    let follows = |group: &Group| group.node(smallest).state() == NodeState::Replica;
    group.run_until("the smallest follows", follows);
    let master = group.master().expect("reigns");
    (group, master, smallest)
}

fn call(group: &mut Group, to: NodeId, from: NodeId, service: Service, run: RunId) -> Link {
    let link = Link { peer: from, service, epoch: u64::MAX };
    let shown = Shown::new(group.machines[&from].incarnation, run);
    group.act(to, |node, now| node.handle_link_up(now, link, shown, false));
    link
}

fn twins_seen(group: &Group, at: NodeId) -> usize {
    let seen = |event: &&Event| matches!(event, Event::TwinTurnedAway { .. });
    group.machines[&at].events.iter().filter(seen).count()
}

#[test]
fn a_second_process_of_a_member_is_turned_away_while_the_first_is_heard() {
    for service in [Service::Peer, Service::Feeder] {
        let (mut group, master, replica) = in_sync();
        let states = group.machines[&replica].states.clone();
        for asked in 0..8 {
            assert_eq!(twins_seen(&group, master), usize::from(asked > 3), "{service:?}, {asked}");
            call(&mut group, master, replica, service, RunId(u64::MAX));
            group.run_for(Duration::from_millis(250));
        }
        assert_eq!(group.machines[&replica].states, states, "the first kept its place");
        let status = group.node(master).status(group.now);
        let told = status.problems.iter().any(|problem| problem.contains("second process"));
        assert!(told, "{:?}", status.problems);
        group.run_for(Duration::from_secs(11));
        let status = group.node(master).status(group.now);
        assert!(status.problems.is_empty(), "it is past: {:?}", status.problems);
    }
}

#[test]
fn a_new_connection_of_the_same_process_takes_the_place_of_the_old_one() {
    let (mut group, master, replica) = in_sync();
    let run = group.machines[&replica].run;
    for _ in 0..8 {
        call(&mut group, master, replica, Service::Feeder, run);
        group.run_for(Duration::from_millis(250));
    }
    assert_eq!(twins_seen(&group, master), 0);
}

#[test]
fn a_process_that_takes_over_is_let_in_once_the_first_is_silent() {
    let (mut group, master, replica) = in_sync();
    group.frozen.insert(replica);
    group.run_for(Duration::from_secs(1));
    call(&mut group, master, replica, Service::Peer, RunId(u64::MAX));
    assert_eq!(twins_seen(&group, master), 0);
}

#[test]
fn whoever_is_turned_away_as_a_twin_says_so() {
    let (mut group, master, replica) = in_sync();
    let link = group.peer_link(replica, master);
    group.act(replica, |node, now| {
        let farewell = Message::TurnedAway(TurnedAway::Twin);
        node.handle_message(now, link, farewell).expect("a member may say so");
    });
    let status = group.node(replica).status(group.now);
    assert!(status.problems.iter().any(|problem| problem.contains("copy of it")), "{status:?}");
}
