//! Changes of the membership that no master may make, and members that count though they must not.

use super::Row;
use super::known::{N1, N2, N3, Said, T1, T2, durable, group, holds, named, said};
use crate::machine::Machine;
use crate::oracle::{Invariant, Oracle, Part, Roll};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Vlsn};

const N4: Machine = Machine::new(4);
const N5: Machine = Machine::new(5);
const FIRST: LogPoint = LogPoint::new(T1, Vlsn::FIRST);
const SECOND: LogPoint = LogPoint::new(T1, Vlsn::new(2));
const THIRD: LogPoint = LogPoint::new(T1, Vlsn::new(3));

type Listed = (u32, Machine, Incarnation, Part);

fn voter(machine: Machine) -> Listed {
    (machine.get(), machine, named(machine), Part::Voter)
}

fn learner(number: u32) -> Listed {
    (number, N4, named(N4), Part::Learner)
}

/// A founded group, whose first entry is durable, changes to this.
fn changes_to(members: &[Listed]) -> Said {
    said(durable(FIRST, &[N1, N2, N3]).changes(N1, &Roll::naming(SECOND, members), 1))
}

/// The same of a group that has changed already, durably.
fn changed_to(members: &[Listed]) -> Oracle {
    let mut oracle = durable(FIRST, &[N1, N2, N3]);
    oracle.enrolled(Roll::naming(SECOND, members));
    [N1, N2, N3].into_iter().for_each(|id| holds(&mut oracle, id, SECOND));
    oracle
}

pub(super) fn a_master_that_too_few_have_promised() -> Said {
    let mut oracle = group();
    holds(&mut oracle, N1, FIRST);
    assert!(oracle.fence_durable(N1, T2, Some(NodeId::new(1))).is_ok());
    said(oracle.opens_term((N1, 1), T2))
}

pub(super) fn a_change_on_top_of_another() -> Said {
    let mut oracle = group();
    holds(&mut oracle, N1, FIRST);
    let with = [voter(N1), voter(N2), voter(N3), learner(4)];
    said(oracle.changes(N1, &Roll::naming(SECOND, &with), 0))
}

pub(super) fn a_number_for_another_directory() -> Said {
    let oracle = changed_to(&[voter(N1), voter(N2), voter(N3), learner(4)]);
    let other = (4, N5, named(N5), Part::Learner);
    let roll = Roll::naming(THIRD, &[voter(N1), voter(N2), voter(N3), other]);
    said(oracle.changes(N1, &roll, 0))
}

pub(super) fn a_promise_to_nobody() -> Said {
    let mut oracle = durable(FIRST, &[N1, N2, N3]);
    let nobody = NodeId::new(9);
    said(oracle.promise_leaves(N1, T2, nobody, (T2, Some(nobody))))
}

pub(super) fn a_vote_for_who_holds_nothing() -> Said {
    let oracle = changed_to(&[voter(N1), voter(N2), voter(N3), learner(4)]);
    let with = [voter(N1), voter(N2), voter(N3), (4, N4, named(N4), Part::Voter)];
    said(oracle.changes(N1, &Roll::naming(THIRD, &with), 1))
}

pub(super) fn a_node_that_goes_by_another() -> Said {
    said(durable(FIRST, &[N1, N2]).is_ruled_by(N1, None))
}

pub(super) fn a_change_that_nobody_has_made() -> Said {
    said(group().change_is_made(N1, FIRST))
}

/// Rules that share a number with one of the table.
pub(super) const OTHERS: &[Row] = &[
    (Invariant::ConfigOverlap, quorums_that_need_not_meet),
    (Invariant::OneChange, two_changes_in_one),
    (Invariant::OneChange, a_change_before_the_term_has_begun),
    (Invariant::NumbersOnce, a_number_below_the_next),
    (Invariant::NumbersOnce, a_directory_that_was_removed),
    (Invariant::RemovedCounts, a_member_that_ends_as_removed),
    (Invariant::DistinctVoters, a_learner_that_is_counted),
    (Invariant::ConfigOverlap, an_arbiter_that_reigns),
    (Invariant::VouchKept, a_word_that_nobody_asked_for),
    (Invariant::VouchAsked, a_word_that_makes_nothing_durable),
];

/// Two who hold the data, the second entry on the disk of the first alone, and an arbiter; where it counts, a third.
fn beside_an_arbiter(more: &[Listed]) -> Oracle {
    let mut oracle = group();
    let mut all = vec![voter(N1), voter(N2), (4, N4, named(N4), Part::Arbiter)];
    all.extend(more);
    holds(&mut oracle, N1, FIRST);
    oracle.enrolled(Roll::naming(SECOND, &all));
    holds(&mut oracle, N1, SECOND);
    oracle
}

pub(super) fn an_arbiter_that_says_less() -> Said {
    let mut oracle = beside_an_arbiter(&[]);
    assert!([FIRST, SECOND].into_iter().all(|at| oracle.asks_to_vouch(N1, at).is_ok()));
    assert!(oracle.vouch_durable(N4, SECOND).is_ok());
    said(oracle.vouch_durable(N4, FIRST))
}

fn a_word_that_nobody_asked_for() -> Said {
    said(beside_an_arbiter(&[]).vouch_durable(N4, SECOND))
}

pub(super) fn a_word_for_what_no_disk_has() -> Said {
    said(beside_an_arbiter(&[]).asks_to_vouch(N1, THIRD))
}

fn a_word_that_makes_nothing_durable() -> Said {
    let mut oracle = beside_an_arbiter(&[voter(N3), voter(N5)]);
    said(oracle.asks_to_vouch(N1, SECOND))
}

fn an_arbiter_that_reigns() -> Said {
    let mut oracle = beside_an_arbiter(&[]);
    [FIRST, SECOND].into_iter().for_each(|at| holds(&mut oracle, N4, at));
    said(oracle.opens_term((N4, 1), T2))
}

fn quorums_that_need_not_meet() -> Said {
    let all = [voter(N1), voter(N2), voter(N3)];
    let roll = Roll::naming(SECOND, &all).with_sizes(1, 3);
    said(durable(FIRST, &[N1, N2, N3]).changes(N1, &roll, 0))
}

fn two_changes_in_one() -> Said {
    changes_to(&[voter(N1), voter(N2), learner(4)])
}

fn a_change_before_the_term_has_begun() -> Said {
    let at = LogPoint::new(T2, SECOND.vlsn);
    said(durable(FIRST, &[N1, N2, N3]).changes(N1, &Roll::naming(at, &[voter(N1), voter(N2)]), 0))
}

fn a_number_below_the_next() -> Said {
    let mut oracle = changed_to(&[voter(N1), voter(N2), voter(N3), learner(4)]);
    oracle.enrolled(Roll::naming(THIRD, &[voter(N1), voter(N2), voter(N3)]).with_next(5));
    [N1, N2, N3].into_iter().for_each(|id| holds(&mut oracle, id, THIRD));
    let again = LogPoint::new(T1, Vlsn::new(4));
    let newcomer = (4, N4, Incarnation([9; 16]), Part::Learner);
    said(oracle.changes(N1, &Roll::naming(again, &[voter(N1), voter(N2), voter(N3), newcomer]), 0))
}

fn a_directory_that_was_removed() -> Said {
    let mut oracle = changed_to(&[voter(N1), voter(N2), voter(N3), learner(4)]);
    oracle.enrolled(Roll::naming(THIRD, &[voter(N1), voter(N2), voter(N3)]).with_next(5));
    [N1, N2, N3].into_iter().for_each(|id| holds(&mut oracle, id, THIRD));
    let again = LogPoint::new(T1, Vlsn::new(4));
    let members = [voter(N1), voter(N2), voter(N3), learner(5)];
    said(oracle.changes(N1, &Roll::naming(again, &members), 0))
}

fn a_member_that_ends_as_removed() -> Said {
    said(durable(FIRST, &[N1, N2]).was_removed(N1))
}

/// Two voters and a learner hold it, of four voters.
fn a_learner_that_is_counted() -> Said {
    let fifth = (5, N5, named(N5), Part::Voter);
    let mut oracle = changed_to(&[voter(N1), voter(N2), voter(N3), fifth, learner(4)]);
    let all = [FIRST, SECOND, THIRD];
    all.into_iter().for_each(|point| holds(&mut oracle, N4, point));
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, THIRD));
    said(oracle.watermark(N1, super::known::claims(THIRD.vlsn, T1)))
}
