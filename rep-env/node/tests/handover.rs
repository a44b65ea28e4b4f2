//! A mastership is handed over, and a group is shut down.

#[path = "harness/group.rs"]
mod harness;

use harness::Group;
use rep_node::{
    Event, HaltReason, Link, Message, NodeState, NotShutDown, NotTransferred, Outcome, Service,
};
use rep_vlsn::NodeId;
use std::time::Duration;

/// A group in which everybody follows; its master and the others.
fn in_sync(names: &[&str]) -> (Group, NodeId, Vec<NodeId>) {
    let mut group = Group::new(names);
    group.start_all();
    let others = |group: &Group| {
        let master = group.master()?;
        let others: Vec<NodeId> = group.ids().into_iter().filter(|id| *id != master).collect();
        let all = others.iter().all(|id| group.node(*id).state() == NodeState::Replica);
        all.then_some((master, others))
    };
    group.run_until("everybody follows", |group| others(group).is_some());
    let (master, others) = others(&group).expect("was looked for");
    (group, master, others)
}

#[test]
fn the_target_reigns_and_every_write_has_what_it_was_promised() {
    for at in 0..2 {
        let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
        let target = others[at];
        group.machines.get_mut(&target).unwrap().hold_log = true;
        let writes: Vec<_> = (0..5).map(|n| group.propose(master, &format!("w{n}"))).collect();
        let request = group.transfer(master, &[target], false);
        group.run_for(Duration::from_millis(30));
        assert_eq!(group.transferred.get(&request), None, "it waits for the target's disk");
        assert_eq!(group.master(), Some(master));
        group.release_disks();
        group.run_until("handed over", |group| group.transferred.contains_key(&request));
        assert_eq!(group.transferred[&request], Ok(target));
        group.run_until("reigns", |group| group.master() == Some(target));
        for write in writes {
            let outcome = group.outcome(master, write);
            assert!(matches!(outcome, Some(Outcome::Committed { .. })), "{outcome:?}");
        }
        let write = group.propose(target, "after");
        group.run_until("committed", |group| group.outcome(target, write).is_some());
        group.run_until("follows", |group| group.node(master).state() == NodeState::Replica);
    }
}

#[test]
fn a_transfer_takes_no_longer_than_an_election_needs_messages() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3", "n4", "n5"]);
    let before = group.now;
    let request = group.transfer(master, &[others[2]], false);
    group.run_until("handed over", |group| group.transferred.contains_key(&request));
    group.run_until("reigns", |group| group.master() == Some(others[2]));
    let took = group.now - before;
    assert!(took < Duration::from_millis(150), "no timeout has to pass: {took:?}");
}

#[test]
fn whoever_is_caught_up_first_of_several_targets_reigns() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    group.propose(master, "x");
    let request = group.transfer(master, &[], false);
    group.run_until("handed over", |group| group.transferred.contains_key(&request));
    assert_eq!(group.transferred[&request], Ok(others[1]));
}

#[test]
fn a_target_that_does_not_catch_up_leaves_the_master_as_it_was() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let term = group.node(master).term();
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    group.propose(master, "x");
    let request = group.transfer(master, &[others[0]], false);
    group.run_for(Duration::from_millis(900));
    assert_eq!(group.transferred.get(&request), None);
    assert!(!group.node(master).admission(group.now).draining, "commits go on meanwhile");
    group.run_for(Duration::from_millis(200));
    assert_eq!(group.transferred[&request], Err(NotTransferred::NotCaughtUp));
    assert_eq!((group.master(), group.node(master).term()), (Some(master), term));
    let write = group.propose(master, "y");
    group.run_until("committed", |group| group.outcome(master, write).is_some());
}

#[test]
fn a_target_that_hangs_while_the_term_is_solicited_costs_no_more_than_a_lost_election() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.frozen.insert(others[0]);
    let request = group.transfer(master, &[others[0]], false);
    group.run_until("it ends", |group| group.transferred.contains_key(&request));
    let ended = &group.transferred[&request];
    let other = matches!(ended, Err(NotTransferred::OtherMaster { .. } | NotTransferred::NoMaster));
    assert!(other, "{ended:?}");
    let before = group.now;
    group.run_until("a master", |group| group.master().is_some_and(|id| id != others[0]));
    assert!(group.now - before < Duration::from_secs(2), "{:?}", group.now - before);
    let master = group.master().unwrap();
    let write = group.propose(master, "y");
    group.run_until("committed", |group| group.outcome(master, write).is_some());
}

/// Whoever is told that its master is master again may write there at once.
#[test]
fn a_transfer_that_ends_with_its_master_ends_when_the_term_has_begun() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let term = group.node(master).term();
    group.frozen.insert(others[0]);
    let request = group.transfer(master, &[others[0]], false);
    for id in [master, others[1]] {
        group.machines.get_mut(&id).unwrap().hold_log = true;
    }
    group.run_until("it is crowned again", |group| {
        let later = |event: &Event| matches!(event, Event::Crowned { term: it } if *it > term);
        group.machines[&master].events.iter().any(later)
    });
    assert_eq!(group.transferred.get(&request), None);
    group.release_disks();
    group.run_until("it ends", |group| group.transferred.contains_key(&request));
    assert_eq!(group.transferred[&request], Err(NotTransferred::OtherMaster { master }));
    assert_eq!(group.node(master).state(), NodeState::Master);
}

#[test]
fn what_cannot_be_handed_over_is_refused_and_says_why() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let replica = others[0];
    let stranger = NodeId::new(77);
    let cases = [
        (replica, vec![master], NotTransferred::NotMaster { master: Some(master) }),
        (master, vec![stranger], NotTransferred::UnknownTarget { target: stranger }),
        (master, vec![master], NotTransferred::UnknownTarget { target: master }),
    ];
    for (asked, targets, why) in cases {
        let request = group.transfer(asked, &targets, false);
        assert_eq!(group.transferred[&request], Err(why));
    }
    group.act(replica, |node, now| node.close(now));
    let request = group.transfer(replica, &[], false);
    assert_eq!(group.transferred[&request], Err(NotTransferred::Closed));
    let (mut alone, only, _) = in_sync(&["only"]);
    let request = alone.transfer(only, &[], false);
    assert_eq!(alone.transferred[&request], Err(NotTransferred::NoTarget));
}

#[test]
fn a_second_transfer_waits_its_turn_unless_it_is_forced() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    group.propose(master, "x");
    let first = group.transfer(master, &[others[0]], false);
    let second = group.transfer(master, &[others[1]], false);
    assert_eq!(group.transferred[&second], Err(NotTransferred::InProgress));
    let third = group.transfer(master, &[others[1]], true);
    assert_eq!(group.transferred[&first], Err(NotTransferred::Superseded));
    group.run_until("handed over", |group| group.transferred.contains_key(&third));
    assert_eq!(group.transferred[&third], Ok(others[1]));
}

#[test]
fn a_master_that_is_deposed_or_closed_meanwhile_says_so() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    group.propose(master, "x");
    let request = group.transfer(master, &[others[0]], false);
    group.act(master, |node, now| node.close(now));
    assert_eq!(group.transferred[&request], Err(NotTransferred::Closed));

    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    group.propose(master, "x");
    let request = group.transfer(master, &[others[0]], false);
    group.isolate(master);
    group.run_until("it ends", |group| group.transferred.contains_key(&request));
    let ended = &group.transferred[&request];
    assert!(matches!(ended, Err(NotTransferred::NotMaster { .. })), "{ended:?}");
}

// ---- shutdown ----

#[test]
fn a_group_that_is_shut_down_stops_with_equal_logs() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.machines.get_mut(&others[0]).unwrap().hold_log = true;
    let write = group.propose(master, "x");
    let request = group.shut_down(master);
    group.run_for(Duration::from_millis(100));
    assert_eq!(group.shut_down.get(&request), None, "a replica has not synced yet");
    assert!(group.node(master).admission(group.now).draining);
    group.release_disks();
    group.run_until("shut down", |group| group.shut_down.contains_key(&request));
    assert_eq!(group.shut_down[&request], Ok(vec![]));
    group.run_for(Duration::from_millis(200));
    assert!(matches!(group.outcome(master, write), Some(Outcome::Committed { .. })));
    for other in others.into_iter().chain([master]) {
        let stopped = Some(HaltReason::GroupShutDown { by: master });
        assert_eq!(group.machines[&other].halted, stopped);
        assert_eq!(group.machines[&other].records, group.machines[&master].records);
    }
    assert_eq!(group.node(master).state(), NodeState::Shutdown);
}

#[test]
fn who_cannot_be_reached_is_left_behind_at_the_deadline() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.crash(others[0]);
    group.propose(master, "x");
    let request = group.shut_down(master);
    group.run_until("shut down", |group| group.shut_down.contains_key(&request));
    assert_eq!(group.shut_down[&request], Ok(vec![others[0]]));
    let (mut alone, only, _) = in_sync(&["only"]);
    let request = alone.shut_down(only);
    assert_eq!(alone.shut_down[&request], Ok(vec![]));
}

#[test]
fn who_was_not_there_to_be_told_is_left_behind_though_it_lacks_nothing() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    group.isolate(others[0]);
    group.frozen.insert(others[0]);
    let gone = |group: &Group| {
        !group
            .node(master)
            .status(group.now)
            .members
            .iter()
            .any(|it| it.id == others[0] && it.connected)
    };
    group.run_until("the loss is noticed", gone);
    let request = group.shut_down(master);
    group.run_until("shut down", |group| group.shut_down.contains_key(&request));
    assert_eq!(group.shut_down[&request], Ok(vec![others[0]]));
}

#[test]
fn a_target_whose_disk_stands_still_keeps_commits_out_for_an_election_timeout_at_most() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let target = others[0];
    group.machines.get_mut(&target).unwrap().hold_log = true;
    // It holds what the end of the log was, and never what comes then: the drain begins and has no end.
    let request = group.transfer_for(master, &[target], Duration::from_secs(3600));
    let drains = |group: &Group| group.node(master).admission(group.now).draining;
    for round in 0..40 {
        group.propose(master, &format!("{round}"));
        let began = group.now;
        while drains(&group) {
            group.run_for(Duration::from_millis(10));
            assert!(group.now - began < Duration::from_millis(700), "commits wait for ever");
        }
        group.run_for(Duration::from_millis(50));
    }
    assert!(group.transferred.get(&request).is_none_or(|ended| ended == &Ok(target)));
}

#[test]
fn nobody_but_the_master_shuts_a_group_down() {
    let (mut group, master, others) = in_sync(&["n1", "n2", "n3"]);
    let request = group.shut_down(others[0]);
    let other = NotShutDown::NotMaster { master: Some(master) };
    assert_eq!(group.shut_down[&request], Err(other));
    let term = group.node(master).term();
    let from = |group: &Group, to: NodeId, peer: NodeId| Link {
        service: Service::Peer,
        ..group.peer_link(to, peer)
    };
    for (to, peer, term) in [
        (others[0], others[1], term),
        (master, others[0], term),
        (others[0], master, rep_vlsn::Term::new(term.get() - 1)),
    ] {
        let link = from(&group, to, peer);
        group.act(to, |node, now| {
            node.handle_message(now, link, Message::GroupShutDown { term }).expect("is ignored");
        });
        assert_eq!(group.machines[&to].halted, None);
    }
}
