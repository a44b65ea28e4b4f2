//! Two copies and an arbiter: the loss of one copy is survived, and nothing that one copy alone has is lost to the other.

#[path = "harness/arbiters.rs"]
mod arbiters;
#[path = "harness/group.rs"]
mod harness;
#[path = "harness/joining.rs"]
mod joining;

use arbiters::Trio;
use harness::Group;
use rep_node::{Acks, Change, MemberType, Message, NodeState, NotChanged, NotRestored, Role};
use rep_vlsn::{Incarnation, LogPoint, Vlsn};
use std::time::Duration;

#[test]
fn a_lone_copy_goes_on_and_a_stale_one_is_not_elected() {
    arbiters::a_lone_copy_goes_on_and_a_stale_one_is_not_elected();
}

#[test]
fn an_arbiter_is_not_asked_beside_two_copies() {
    arbiters::an_arbiter_is_not_asked_beside_two_copies();
}

#[test]
fn an_arbiter_vouches_only_for_what_its_master_has_synced() {
    arbiters::an_arbiter_vouches_only_for_what_its_master_has_synced();
}

#[test]
fn an_arbiter_says_nothing_below_its_fence() {
    arbiters::an_arbiter_says_nothing_below_its_fence();
}

#[test]
fn what_an_arbiter_wrote_down_never_goes_back() {
    arbiters::what_an_arbiter_wrote_down_never_goes_back();
}

#[test]
fn a_copy_takes_over_with_the_arbiters_vote() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    assert!(trio.commits("both have this", Acks::SimpleMajority));
    trio.group.crash(master);
    trio.group.run_until("the other reigns", |group| group.master() == Some(other));
    assert!(trio.commits("one has this", Acks::SimpleMajority));
    assert_eq!(trio.group.node(arbiter).role(), Role::Idle);
    assert_eq!(trio.group.node(arbiter).state(), NodeState::Unknown, "it follows no stream");
    assert_eq!(trio.group.node(arbiter).master(), Some(other));
}

#[test]
fn an_arbiters_word_is_no_copy() {
    let mut trio = Trio::new();
    assert!(trio.commits("all have this", Acks::All), "all who hold the data");
    trio.group.crash(trio.other);
    trio.group.run_for(Duration::from_secs(1));
    let admission = trio.group.node(trio.master).admission(trio.group.now);
    assert_eq!((admission.need(Acks::All), admission.live_for(Acks::All)), (2, 1));
    assert_eq!((admission.needed, admission.live), (2, 2));
    assert!(!trio.commits("one has this", Acks::All));
    let said = trio.group.node(trio.master).status(trio.group.now).problems;
    assert!(said.iter().any(|problem| problem.starts_with("one copy")), "{said:?}");
}

#[test]
fn an_arbiter_that_was_restarted_knows_what_it_vouched_for() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    trio.group.crash(other);
    assert!(trio.commits("one has this", Acks::SimpleMajority));
    trio.group.crash(arbiter);
    trio.group.crash(master);
    trio.group.start(arbiter);
    trio.group.start(other);
    trio.group.run_for(Duration::from_secs(10));
    assert_eq!(trio.group.master(), None, "the only copy is away");
    trio.group.start(master);
    trio.group.run_until("all are back", |group| group.payloads(other).len() == 1);
}

#[test]
fn without_its_arbiter_a_group_of_two_copies_goes_on() {
    let mut trio = Trio::new();
    trio.group.crash(trio.arbiter);
    assert!(trio.commits("both have this", Acks::SimpleMajority));
    trio.group.start(trio.arbiter);
    trio.group.run_for(Duration::from_secs(1));
    trio.group.crash(trio.other);
    assert!(trio.commits("one has this", Acks::SimpleMajority));
}

#[test]
fn a_group_has_one_arbiter_at_most_and_hands_no_mastership_to_it() {
    let Trio { mut group, master, arbiter, .. } = Trio::new();
    let incarnation = rep_vlsn::Incarnation([7; 16]);
    let second =
        rep_node::Newcomer { kind: MemberType::Arbiter, ..group.newcomer("second", incarnation) };
    let refused = group.changed(rep_node::Change::Add(second));
    assert!(matches!(refused, Err(NotChanged::Apart { .. })), "{refused:?}");
    let request = group.transfer(master, &[arbiter], false);
    group.run_until("it is refused", |group| group.transferred.contains_key(&request));
    assert!(group.transferred[&request].is_err());
}

#[test]
fn a_copy_that_comes_back_is_counted_again_instead_of_the_arbiter() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    trio.group.crash(other);
    assert!(trio.commits("one has this", Acks::SimpleMajority));
    trio.group.start(other);
    trio.group.run_until("it has caught up", |group| group.payloads(other).len() == 1);
    trio.group.run_for(Duration::from_secs(1));
    let asked = trio.group.count("vouch");
    assert!(trio.commits("both have this", Acks::All));
    trio.group.run_for(Duration::from_secs(1));
    assert_eq!(trio.group.count("vouch"), asked);
}

#[test]
fn after_a_change_of_master_an_arbiter_is_not_asked_while_both_copies_are_there() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    assert!(trio.commits("both have this", Acks::All));
    trio.group.transfer(master, &[other], false);
    trio.group.run_until("the other reigns", |group| group.master() == Some(other));
    trio.group.run_for(Duration::from_secs(2));
    assert_eq!(trio.group.count("vouch"), 0);
}

/// What the arbiter's vote does not make durable it does not vouch for: it would only keep others from being elected.
#[test]
fn three_copies_and_an_arbiter_survive_the_loss_of_one() {
    let mut group = harness::Group::new(&["n1", "n2", "n3"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let arbiter = group.join_as("judge", MemberType::Arbiter);
    group.run_for(Duration::from_secs(2));
    let master = group.the_master();
    let others: Vec<_> =
        group.ids().into_iter().filter(|id| ![master, arbiter].contains(id)).collect();
    group.crash(others[1]);
    group.run_for(Duration::from_secs(1));
    group.cut(master, others[0]);
    let durability = rep_node::Durability::default();
    let request = group.propose_with(master, "undurable", durability, Duration::from_secs(2));
    group.run_for(Duration::from_millis(50));
    assert_eq!(group.outcome(master, request), None);
    group.crash(master);
    group.heal();
    group.start(others[1]);
    group.run_until("three of four elect", |group| group.master().is_some());
}

#[test]
fn a_copy_whose_disk_hangs_leaves_the_other_one_and_the_arbiter() {
    let Trio { group, master, other, arbiter } = Trio::new();
    let mut trio = Trio { group, master, other, arbiter };
    assert!(trio.commits("both have this", Acks::All));
    trio.group.machines.get_mut(&other).unwrap().hold_syncs = true;
    for payload in ["a", "b", "c"] {
        assert!(trio.commits(payload, Acks::SimpleMajority), "{payload}");
    }
    trio.group.release_disks();
    trio.group.run_for(Duration::from_secs(1));
    let asked = trio.group.count("vouch");
    assert!(trio.commits("both have this again", Acks::All));
    trio.group.run_for(Duration::from_secs(1));
    assert_eq!(trio.group.count("vouch"), asked);
}

#[test]
fn an_arbiter_takes_no_copy() {
    let Trio { mut group, other, arbiter, .. } = Trio::new();
    let mut answer = None;
    group.act(arbiter, |node, now| answer = Some(node.restore_from(now, other)));
    assert_eq!(answer, Some(Err(NotRestored::HoldsNoData)), "with a log it would rank by that");
}

#[test]
fn an_arbiter_whose_admission_was_not_told_is_told_by_whoever_is_left() {
    let mut group = Group::new(&["n1", "n2"]);
    group.start_all();
    group.run_until("a master", |group| group.master().is_some());
    let mut judge = group.newcomer("judge", Incarnation([7; 16]));
    judge.kind = MemberType::Arbiter;
    let made = group.changed(Change::Add(judge.clone())).unwrap();
    group.run_until("all know that it is durable", |group| {
        group.ids().iter().all(|id| group.node(*id).dvlsn() >= made.at.vlsn)
    });
    let master = group.the_master();
    let left = group.ids().into_iter().find(|id| *id != master).unwrap();
    group.crash(master);
    group.run_for(Duration::from_secs(3));
    assert_eq!(group.master(), None, "one of three");
    let request = group.change(left, Change::Add(judge));
    assert_eq!(group.changed[&request], Ok(made));
    let stranger = group.newcomer("stranger", Incarnation([8; 16]));
    let request = group.change(left, Change::Add(stranger));
    assert!(matches!(group.changed[&request], Err(NotChanged::NotMaster { .. })));
}

#[test]
fn an_arbiters_word_that_comes_after_the_cleaning_is_late_and_no_nonsense() {
    let mut trio = Trio::new();
    let (master, arbiter) = (trio.master, trio.arbiter);
    let term = trio.group.node(master).term();
    assert!(trio.commits("a", Acks::All));
    let point = trio.group.node(master).log().last();
    assert!(trio.commits("b", Acks::All));
    let last = trio.group.node(master).log().last().vlsn;
    trio.group.run_for(Duration::from_secs(1));
    trio.group.checkpoint(master, last);
    trio.group.run_until("a log without it", |group| group.node(master).log().first() > point.vlsn);
    let link = trio.group.peer_link(master, arbiter);
    let mut heard = Vec::new();
    for point in [point, LogPoint::new(term, Vlsn::new(last.get() + 9))] {
        let word = Message::Vouched { term, point };
        trio.group
            .act(master, |node, now| heard.push(node.handle_message(now, link, word).is_ok()));
    }
    assert_eq!(heard, [true, false], "what was never asked for is nonsense still");
}

#[test]
fn an_arbiter_is_not_missed_where_all_copies_are_asked_for() {
    arbiters::an_arbiter_is_not_missed_where_all_copies_are_asked_for();
}
