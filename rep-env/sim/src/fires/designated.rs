//! A designated member that goes on alone though it must not, and quorums that leave it out.

use super::Row;
use super::known::{N1, N2, N3, Said, T1, T2, durable, holds, named, said};
use crate::machine::Machine;
use crate::oracle::{Invariant, Oracle, Part, Roll};
use rep_vlsn::{LogPoint, NodeId, Vlsn};

const FIRST: LogPoint = LogPoint::new(T1, Vlsn::FIRST);
const SECOND: LogPoint = LogPoint::new(T1, Vlsn::new(2));
const THIRD: LogPoint = LogPoint::new(T2, Vlsn::new(3));

fn both(at: LogPoint) -> Roll {
    let voter = |id: Machine| (id.get(), id, named(id), Part::Voter);
    Roll::naming(at, &[N1, N2].map(voter))
}

/// The same, where the second one only learns.
fn one(at: LogPoint) -> Roll {
    let second = (N2.get(), N2, named(N2), Part::Learner);
    Roll::naming(at, &[(N1.get(), N1, named(N1), Part::Voter), second])
}

/// Two members, of whom this one is designated by what both hold.
fn pair(designated: u32) -> Oracle {
    let mut oracle = durable(FIRST, &[N1, N2, N3]);
    oracle.enrolled(both(SECOND).designating(designated));
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, SECOND));
    oracle
}

fn pledges(oracle: &mut Oracle, who: Machine, to: Machine) {
    assert!(oracle.fence_durable(who, T2, Some(NodeId::new(to.get()))).is_ok());
}

pub(super) fn elected_alone_it_counts_the_other_still() -> Said {
    let mut oracle = pair(1);
    pledges(&mut oracle, N1, N1);
    assert!(oracle.opens_term((N1, 1), T2).is_ok());
    said(oracle.counts_only_who_was_asked(N1, T2))
}

/// Rules that share a number with one of the table.
pub(super) const OTHERS: &[Row] = &[
    (Invariant::LoneOverride, it_hears_the_other),
    (Invariant::LoneOverride, two_may_go_on_alone),
    (Invariant::ConfigOverlap, the_other_is_elected_alone),
    (Invariant::ConfigOverlap, from_one_that_is_designated_to_the_other),
    (Invariant::OneChange, the_other_goes_on_without_it),
    (Invariant::DvlsnTruthful, an_entry_that_the_designated_one_alone_holds),
];

fn it_hears_the_other() -> Said {
    said(pair(1).goes_alone(N1, true))
}

fn two_may_go_on_alone() -> Said {
    let mut oracle = pair(1);
    let other = LogPoint::new(T1, Vlsn::new(3));
    oracle.enrolled(both(other).designating(2));
    holds(&mut oracle, N2, other);
    said(oracle.goes_alone(N1, false))
}

fn the_other_is_elected_alone() -> Said {
    let mut oracle = pair(1);
    pledges(&mut oracle, N2, N2);
    said(oracle.opens_term((N2, 1), T2))
}

fn from_one_that_is_designated_to_the_other() -> Said {
    let roll = both(LogPoint::new(T1, THIRD.vlsn)).designating(2);
    said(pair(1).changes(N1, &roll, 0))
}

/// It makes the change that only the designated one may make before its term has begun.
fn the_other_goes_on_without_it() -> Said {
    let oracle = pair(1);
    assert!(oracle.changes(N1, &one(THIRD).designating(1), 0).is_ok());
    said(oracle.changes(N2, &one(THIRD).designating(1), 0))
}

fn an_entry_that_the_designated_one_alone_holds() -> Said {
    let mut oracle = pair(1);
    let third = LogPoint::new(T1, THIRD.vlsn);
    holds(&mut oracle, N1, third);
    said(oracle.watermark(N1, super::known::claims(third.vlsn, T1)))
}
