//! Deadlines and pauses: whoever waits does so until something is decided, and no longer than it says; whoever tries
//! again pauses first.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{Connection, Event, Link, NodeState, Outcome, PersistFailed, Service, Shown};
use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

fn in_sync(names: &[&str]) -> (Group, NodeId, Vec<NodeId>) {
    let mut group = Group::new(names);
    group.start_all();
    group.run_until("a master and all in sync", |group| {
        let Some(master) = group.master() else { return false };
        group
            .ids()
            .into_iter()
            .all(|id| id == master || group.node(id).state() == NodeState::Replica)
    });
    let master = group.master().unwrap();
    let others = group.ids().into_iter().filter(|id| *id != master).collect();
    (group, master, others)
}

#[test]
fn the_first_write_after_a_long_idle_time_gets_its_full_patience() {
    // The clock of "nothing becomes durable" once ran while nothing was to become durable: after five idle seconds the
    // first write that took longer than a moment deposed its master.
    let (mut group, master, _) = in_sync(&["n1", "n2", "n3"]);
    group.run_for(Duration::from_secs(30));
    for id in group.ids() {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    let request = group.propose(master, "slow");
    group.run_for(Duration::from_secs(1));
    assert_eq!(group.node(master).state(), NodeState::Master);
    group.release_disks();
    assert!(matches!(group.outcome(master, request), Some(Outcome::Committed { .. })));
}

#[test]
fn a_stream_whose_replica_stops_answering_is_given_up() {
    // The feeders' deadlines were announced and never handled: a frozen replica made the master's loop spin for ever.
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.frozen.insert(others[0]);
    group.propose(master, "in flight");
    group.run_for(Duration::from_secs(60));
    assert_eq!(group.master(), Some(master));
    let status = group.node(master).status(group.now);
    let deaf = status.members.iter().find(|member| member.id == others[0]).unwrap();
    assert_eq!(deaf.stream, None, "nothing is fed into a stream that stands still");
    group.crash(others[0]);
    group.start(others[0]);
    group.run_until("it catches up", |group| {
        group.payloads(others[0]).contains(&"in flight".to_string())
    });
}

/// TCP tries again ever more seldom while a network is down, so that its connections stay silent for as long again once it is
/// well. They were waited for, until TCP itself gave up: a member stayed away for up to half a minute more.
#[test]
fn a_connection_that_has_fallen_silent_is_replaced_before_the_network_finds_out() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    for id in [others[0], master] {
        let (dialled, before) = (group.dialled, group.now);
        group.silence(id);
        group.run_until("all in sync again, over other connections", |group| {
            let Some(master) = group.master() else { return false };
            let follows = |id: NodeId| group.node(id).state() == NodeState::Replica;
            let away = group.ids().into_iter().filter(|id| *id != master && !follows(*id)).count();
            group.dialled > dialled + 1 && away == 0
        });
        let took = group.now - before;
        // Six pings, then an election.
        assert!(took < Duration::from_secs(4), "{id} was away for {took:?}");
    }
}

/// What has arrived while a node was frozen is still to be read when its own clock says that nothing came for long.
#[test]
fn who_was_frozen_itself_gives_its_peers_the_time_to_answer() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let (link, now) = (group.peer_link(others[0], master), group.now);
    group.run_for(Duration::from_millis(1));
    // Its clock has leapt, and the timeout is the first that it hears of it.
    group
        .machines
        .get_mut(&others[0])
        .unwrap()
        .node
        .as_mut()
        .unwrap()
        .handle_timeout(now + Duration::from_secs(60));
    assert_eq!(group.peer_link(others[0], master), link, "nobody closed it");
    group.propose(master, "later");
    assert_eq!(group.peer_link(others[0], master), link, "nobody closes it");
}

#[test]
fn a_rolled_back_image_is_turned_away_and_pauses_before_it_comes_again() {
    // A link that came up and was closed again was redialled at once, without any pause: a member that is turned away
    // after the handshake kept itself and the master busy for ever.
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let victim = others[0];
    let image = group.machines[&victim].records.clone();
    group.propose(master, "not in the image");
    group.run_for(Duration::from_secs(1));
    group.crash(victim);
    let machine = group.machines.get_mut(&victim).unwrap();
    machine.records = image;
    machine.synced = machine.records.len();
    machine.applied = machine.records.last().unwrap().point();
    group.start(victim);
    let dialled = group.dialled;
    group.run_for(Duration::from_secs(10));
    assert!(group.dialled - dialled < 60, "{} dials in ten seconds", group.dialled - dialled);
    assert!(
        group.machines[&master]
            .events
            .iter()
            .any(|event| matches!(event, Event::Refused { by, .. } if *by == victim))
    );
}

#[test]
fn a_master_whose_log_failed_reigns_no_more_in_elections_either() {
    // It kept refusing pre-votes as a master would, for ever.
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3", "n4"]);
    group.crash(others[0]);
    group.act(master, |node, now| {
        node.handle_persist_failed(now, PersistFailed::Log, "rotten".into());
    });
    assert_eq!(group.node(master).master(), None);
    // Of four, three must promise: the two others and the one whose log failed. Three must sync too, so that no
    // term begins until the fourth is back, but a winner is crowned.
    group.run_until("another is crowned", |group| {
        others[1..].iter().any(|id| {
            group.machines[id].events.iter().any(|event| matches!(event, Event::Crowned { .. }))
        })
    });
}

#[test]
fn a_link_carries_one_stream() {
    // Another handshake with another connection number once put a second feeder on the link, to which the report about
    // the first one's range was then delivered: an assertion within reach of a peer.
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let replica = others[0];
    // Its dialler did not say which number its streams have.
    let link = Link { peer: replica, service: Service::Feeder, epoch: 1 << 40 };
    let term = group.node(master).term();
    let [first, second] = [1, 2].map(|epoch| group.handshake(replica, Connection { term, epoch }));
    let shown = Shown::new(group.machines[&replica].incarnation, group.machines[&replica].run);
    group.act(master, |node, now| {
        node.handle_link_up(now, link, shown, false);
        node.handle_message(now, link, first).unwrap();
        assert!(node.handle_message(now, link, second).is_err());
    });
}

/// Only the member of the smaller number dials. A stranger that took the name of an absent one, and called where nobody
/// of that name does, held the place, and the member was not dialled when it came back.
#[test]
fn whoever_calls_from_the_side_that_does_not_dial_keeps_no_member_off() {
    let (mut group, _, _) = in_sync(&["n1", "n2", "n3"]);
    let [first, .., last] = group.ids()[..] else { panic!("three members") };
    group.crash(last);
    group.run_for(Duration::from_secs(2));
    let link = Link { peer: last, service: Service::Peer, epoch: 1 << 40 };
    group.act(first, |node, now| {
        node.handle_link_up(now, link, Incarnation([7; 16]), false);
    });
    group.start(last);
    let ends = (first, last, Service::Peer);
    group.run_until("the member is back", |group| group.pairs.values().any(|pair| *pair == ends));
}
