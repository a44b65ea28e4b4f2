//! What the oracle alone can be shown: it is told what nodes do, and they do what they never may.

use super::Row;
use crate::machine::Machine;
use crate::oracle::{
    Answer, Checked, Invariant, LogBound, Needs, Noted, Oracle, Part, Roll, Violation, Watermark,
};
use bytes::Bytes;
use rep_node::{Acks, Durability, Message};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;

pub(super) const N1: Machine = Machine::new(1);
pub(super) const N2: Machine = Machine::new(2);
pub(super) const N3: Machine = Machine::new(3);
/// The same as members.
const M2: NodeId = NodeId::new(2);
const M3: NodeId = NodeId::new(3);
pub(super) const T1: Term = Term::new(1);
pub(super) const T2: Term = Term::new(2);
const FIRST: LogPoint = LogPoint::new(T1, Vlsn::FIRST);
const SECOND: LogPoint = LogPoint::new(T1, Vlsn::new(2));

pub(super) type Said = Option<Violation>;

pub(super) fn said(checked: Checked) -> Said {
    checked.err()
}

/// The directory that is on a machine at first.
pub(super) fn named(machine: Machine) -> Incarnation {
    Incarnation([machine.get() as u8; 16])
}

/// A group of three that has been founded, and two machines more.
pub(super) fn group() -> Oracle {
    let mut oracle = Oracle::new(3, 5);
    (1..=5).map(Machine::new).for_each(|id| oracle.born(id, named(id)));
    let voter = |id: Machine| (id.get(), id, named(id), Part::Voter);
    oracle.enrolled(Roll::naming(FIRST, &[N1, N2, N3].map(voter)));
    oracle
}

/// A member has an entry, on its disk.
pub(super) fn holds(oracle: &mut Oracle, id: Machine, point: LogPoint) {
    assert!(oracle.appended(id, point, Bytes::from(point.to_string())).is_ok());
    assert!(oracle.synced(id, point, Noted::default()).is_ok());
}

/// The same of several members; and the first, master of the entry's term, says that it is durable.
pub(super) fn durable(point: LogPoint, holders: &[Machine]) -> Oracle {
    let mut oracle = group();
    holders.iter().for_each(|id| holds(&mut oracle, *id, point));
    assert!(oracle.watermark(holders[0], claims(point.vlsn, point.term)).is_ok());
    oracle
}

pub(super) fn claims(dvlsn: Vlsn, term: Term) -> Watermark {
    Watermark { dvlsn, cvlsn: dvlsn, term, is_master: true }
}

fn answer(by: Machine, term: Term, at: u64) -> Answer {
    let at = Duration::from_secs(at);
    Answer { by, term, term_now: term, begun: at, now: at }
}

pub(super) fn what_the_store_needs_is_cleaned() -> Said {
    let needs = Needs { checkpoint: Vlsn::FIRST, beyond_bounds: true };
    said(group().cleans(N1, SECOND.vlsn, needs))
}

/// Twice what is kept for others, a checkpoint, what waits for the disk and three files: a byte more is too much.
pub(super) fn a_log_that_takes_too_much() -> Said {
    let bound = LogBound { retention: 100, checkpoint: 10, unsynced: 5, segment: 20 };
    assert!(group().takes(N1, 275, &bound).is_ok());
    said(group().takes(N1, 276, &bound))
}

/// It has said that it has the first entry, and has nothing; it has the second one in its place.
pub(super) fn a_sink_with_a_hole() -> Said {
    let mut oracle = durable(FIRST, &[N1, N2]);
    let entry = |point: LogPoint| (point, Bytes::from(point.to_string()));
    assert!(oracle.shipped(&[entry(FIRST)], 1).is_ok());
    assert!(oracle.shipped(&[], 1).is_err());
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, SECOND));
    assert!(oracle.watermark(N1, claims(SECOND.vlsn, T1)).is_ok());
    assert!(oracle.shipped(&[entry(SECOND)], 2).is_ok());
    let third = LogPoint::new(T1, Vlsn::new(3));
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, third));
    assert!(oracle.watermark(N1, claims(third.vlsn, T1)).is_ok());
    said(oracle.shipped(&[entry(FIRST), entry(third)], 3))
}

pub(super) fn a_relay_of_what_may_be_cut() -> Said {
    let oracle = group();
    assert!(oracle.relays(N2, LogPoint::NULL).is_ok());
    said(oracle.relays(N2, LogPoint::new(T1, Vlsn::new(oracle.committed() + 1))))
}

pub(super) fn a_monitor_that_answers() -> Said {
    let oracle = group();
    assert!(oracle.monitor_says(N3, &Message::Ping { nonce: 1 }).is_ok());
    said(oracle.monitor_says(N3, &Message::HeartbeatReply { term: T1, round: 1 }))
}

pub(super) fn two_masters_of_a_term() -> Said {
    let mut oracle = group();
    assert!(oracle.acts_as_master((N1, 1), T1, "reigns").is_ok());
    said(oracle.acts_as_master((N2, 1), T1, "reigns"))
}

pub(super) fn a_fence_falls() -> Said {
    let mut oracle = group();
    assert!(oracle.fence_durable(N1, T2, None).is_ok());
    said(oracle.fence_durable(N1, T1, None))
}

pub(super) fn a_term_is_promised_twice() -> Said {
    let mut oracle = group();
    assert!(oracle.promise_leaves(N1, T1, M2, (T1, Some(M2))).is_ok());
    said(oracle.promise_leaves(N1, T1, M3, (T1, Some(M3))))
}

pub(super) fn a_promise_before_its_fence() -> Said {
    said(group().promise_leaves(N1, T2, M2, (T1, None)))
}

pub(super) fn two_entries_in_one_place() -> Said {
    let mut oracle = group();
    assert!(oracle.appended(N1, FIRST, Bytes::from_static(b"one")).is_ok());
    said(oracle.appended(N2, FIRST, Bytes::from_static(b"other")))
}

pub(super) fn a_master_that_lacks_what_is_durable() -> Said {
    said(durable(FIRST, &[N1, N2]).opens_term((N3, 1), T2))
}

pub(super) fn an_acknowledgement_before_the_sync() -> Said {
    let mut oracle = group();
    assert!(oracle.appended(N1, FIRST, Bytes::from_static(b"one")).is_ok());
    said(oracle.ack_leaves(N1, FIRST, FIRST))
}

/// It was acknowledged though only two have it, unsynced; and then one of them cuts it, before anybody else is master.
pub(super) fn an_acknowledged_write_is_cut() -> Said {
    let mut oracle = group();
    let asked = Durability::default().acks(Acks::None);
    holds(&mut oracle, N1, FIRST);
    oracle.asked(FIRST, asked);
    assert!(oracle.write_acked(answer(N1, T1, 1), FIRST, asked).is_ok());
    said(oracle.truncated(N1, LogPoint::NULL, Vlsn::NULL))
}

pub(super) fn a_wiped_copy_is_counted() -> Said {
    let mut oracle = group();
    oracle.wiped(N2, Incarnation([9; 16]));
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, FIRST));
    said(oracle.watermark(N1, claims(FIRST.vlsn, T1)))
}

pub(super) fn one_copy_is_called_durable() -> Said {
    let mut oracle = group();
    holds(&mut oracle, N1, FIRST);
    said(oracle.watermark(N1, claims(FIRST.vlsn, T1)))
}

pub(super) fn an_earlier_term_is_counted() -> Said {
    let mut oracle = group();
    [N1, N2].into_iter().for_each(|id| holds(&mut oracle, id, FIRST));
    said(oracle.watermark(N1, claims(FIRST.vlsn, T2)))
}

pub(super) fn a_gap() -> Said {
    said(group().appended(N1, SECOND, Bytes::from_static(b"two")))
}

pub(super) fn what_is_durable_is_cut() -> Said {
    said(durable(FIRST, &[N1, N2]).truncated(N2, LogPoint::NULL, Vlsn::NULL))
}

pub(super) fn more_is_applied_than_is_durable() -> Said {
    let mut oracle = group();
    holds(&mut oracle, N1, FIRST);
    said(oracle.applying(N1, FIRST.vlsn, FIRST.vlsn))
}

pub(super) fn two_states_at_one_point() -> Said {
    let mut oracle = group();
    assert!(oracle.applied(N1, FIRST, Some([1; 16])).is_ok());
    said(oracle.applied(N2, FIRST, Some([2; 16])))
}

pub(super) fn a_log_shorter_than_its_mark() -> Said {
    let mut oracle = group();
    assert!(oracle.appended(N1, FIRST, Bytes::from_static(b"one")).is_ok());
    assert!(oracle.synced(N1, FIRST, Noted { upto: 1, dvlsn: Vlsn::NULL }).is_ok());
    said(oracle.recovered(N1, Vlsn::FIRST, Vec::new(), (Vlsn::NULL, Vlsn::NULL)))
}

pub(super) fn a_stale_read() -> Said {
    said(group().read_served(answer(N1, T1, 1), LogPoint::NULL, 1))
}

pub(super) fn a_token_of_nothing() -> Said {
    said(group().token_served(N1, FIRST, FIRST))
}

pub(super) fn a_read_older_than_it_may_be() -> Said {
    let mut oracle = durable(FIRST, &[N1, N2]);
    assert!(oracle.write_acked(answer(N1, T1, 1), FIRST, Durability::default()).is_ok());
    let second = Duration::from_secs(1);
    said(oracle.bounded_served(answer(N2, T1, 3), LogPoint::NULL, second))
}

pub(super) fn a_session_goes_back() -> Said {
    said(group().session_reads(N1, FIRST, SECOND))
}

pub(super) fn what_is_not_durable_is_shown() -> Said {
    said(group().is_shown(N1, FIRST))
}

pub(super) fn a_deposed_master_answers() -> Said {
    let point = LogPoint::new(T2, Vlsn::FIRST);
    let mut oracle = durable(point, &[N2, N3]);
    assert!(oracle.write_acked(answer(N2, T2, 1), point, Durability::default()).is_ok());
    said(oracle.read_served(answer(N1, T1, 2), point, 0))
}

pub(super) fn a_wiped_member_acknowledges() -> Said {
    let mut oracle = group();
    oracle.wiped(N1, Incarnation([9; 16]));
    holds(&mut oracle, N1, FIRST);
    oracle.written(N1, FIRST);
    said(oracle.ack_leaves(N1, FIRST, FIRST))
}

pub(super) fn a_copy_from_before() -> Said {
    let mut oracle = group();
    [FIRST, SECOND].into_iter().for_each(|point| holds(&mut oracle, N1, point));
    said(oracle.may_take(N1, FIRST))
}

/// Rules that share a number with one of the table.
pub(super) const OTHERS: &[Row] = &[
    (Invariant::AckAfterSync, a_sync_of_what_was_cut),
    (Invariant::DvlsnTruthful, opens_with_less_than_was_noted),
    (Invariant::DvlsnTruthful, opens_with_what_nobody_has),
    (Invariant::AckedCommitLoss, what_was_durable_went_by_itself),
    (Invariant::PurgeSafety, what_a_member_needs_is_cleaned),
    (Invariant::RestoreAtomic, a_state_that_nobody_had),
    (Invariant::MonitorSilent, a_monitor_that_is_fed),
];

/// It began before the cut, and vouches for what has come since.
fn a_sync_of_what_was_cut() -> Said {
    let mut oracle = group();
    [FIRST, SECOND].into_iter().for_each(|point| holds(&mut oracle, N1, point));
    assert!(oracle.truncated(N1, FIRST, FIRST.vlsn).is_ok());
    said(oracle.synced(N1, SECOND, Noted::default()))
}

fn a_monitor_that_is_fed() -> Said {
    assert!(group().is_fed(N3, false).is_ok());
    said(group().is_fed(N3, true))
}

fn a_state_that_nobody_had() -> Said {
    said(group().restored(N1, FIRST))
}

/// One member has nothing yet, and what it lacks goes although there is room for it.
fn what_a_member_needs_is_cleaned() -> Said {
    let needs = Needs { checkpoint: SECOND.vlsn, beyond_bounds: false };
    said(durable(FIRST, &[N1, N2]).cleans(N1, SECOND.vlsn, needs))
}

/// The mark of a synced group told 1, and the node comes back with 0.
fn opens_with_less_than_was_noted() -> Said {
    let mut oracle = durable(FIRST, &[N1, N2]);
    assert!(oracle.synced(N1, FIRST, Noted { upto: 1, dvlsn: Vlsn::FIRST }).is_ok());
    comes_back_with(&mut oracle, Vlsn::NULL)
}

fn opens_with_what_nobody_has() -> Said {
    let mut oracle = group();
    holds(&mut oracle, N1, FIRST);
    comes_back_with(&mut oracle, Vlsn::FIRST)
}

fn comes_back_with(oracle: &mut Oracle, dvlsn: Vlsn) -> Said {
    oracle.stopped(N1, true);
    let entry = (FIRST, Bytes::from(FIRST.to_string()));
    said(oracle.recovered(N1, Vlsn::FIRST, vec![entry], (Vlsn::NULL, dvlsn)))
}

fn what_was_durable_went_by_itself() -> Said {
    let mut oracle = durable(FIRST, &[N1, N2]);
    assert!(oracle.still_holds_all_claimed().is_ok());
    oracle.members.get_mut(&N2).into_iter().for_each(|member| member.log.clear());
    said(oracle.still_holds_all_claimed())
}
