//! Where two logs part, and what has to be cut.
//!
//! Both ends compute the matchpoint from the same two lists of term starts. The feeder needs it to know
//! where to begin; the replica recomputes it because it is about to cut its log on the strength of it.

use crate::error::{Breach, PeerError};
use crate::handshake::{Handshake, RefuseReason, SyncUp, TERM_STARTS_MAX};
use crate::replica::ReplicaFacts;
use rep_vlsn::{History, LogPoint, LogView, Matchpoint, Term, Vlsn, mutant};
use std::ops::RangeInclusive;

/// What one end shows of its log.
#[derive(Debug)]
pub(crate) struct Offer {
    pub(crate) history: History,
    pub(crate) last: LogPoint,
}

impl Offer {
    /// The whole log.
    pub(crate) fn of(log: &LogView) -> Offer {
        Offer { history: newest(log.history()), last: log.last() }
    }

    /// The log up to `limit`; `None` if the log no longer knows that entry.
    pub(crate) fn up_to(log: &LogView, limit: Vlsn) -> Option<Offer> {
        let last = point_in(log, limit.min(log.last().vlsn))?;
        let mut history = log.history().clone();
        history.truncate(last.vlsn);
        Some(Offer { history: newest(&history), last })
    }
}

/// What a feeder answers to a handshake.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    StreamAfter(LogPoint),
    NeedsRestore,
    Refuse(RefuseReason),
}

/// Compares the offered log, which begins at `first`, with the replica's.
pub(crate) fn answer(offer: &Offer, first: Vlsn, theirs: &Handshake) -> Answer {
    match offer.history.matchpoint(offer.last.vlsn, &theirs.history, theirs.last.vlsn) {
        Err(_) => Answer::Refuse(RefuseReason::HistoryConflict),
        Ok(Matchpoint::Unknown) => Answer::NeedsRestore,
        Ok(Matchpoint::At(point)) if point.vlsn.next() < first => Answer::NeedsRestore,
        Ok(Matchpoint::At(point)) => Answer::StreamAfter(point),
    }
}

/// What a replica does about a feeder's answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Plan {
    Keep,
    Truncate { keep: LogPoint, dropped: RangeInclusive<Vlsn> },
    Halt(Breach),
    OutOfReach,
}

/// Verifies the matchpoint and decides what to cut.
pub(crate) fn plan(sync_up: &SyncUp, facts: &ReplicaFacts<'_>) -> Result<Plan, PeerError> {
    let own = Offer::of(facts.log);
    let keep = sync_up.matchpoint;
    let found = own.history.matchpoint(own.last.vlsn, &sync_up.history, sync_up.last.vlsn)?;
    if found != Matchpoint::At(keep) {
        return Err(PeerError::Matchpoint { told: keep, found });
    }
    if keep == own.last || mutant!("stream-skip-syncup") {
        return Ok(Plan::Keep);
    }
    Ok(match breach(keep, sync_up.connection.term, facts) {
        Some(breach) => Plan::Halt(breach),
        None if !facts.log.contains(keep) => Plan::OutOfReach,
        None => Plan::Truncate { keep, dropped: keep.vlsn.next()..=own.last.vlsn },
    })
}

/// Whether cutting everything after `keep` would break what the protocol rests on. What has been cleaned
/// away at the head was durable, so that a matchpoint before it is below the durable point as well.
fn breach(keep: LogPoint, term: Term, facts: &ReplicaFacts<'_>) -> Option<Breach> {
    let (last, dvlsn) = (facts.log.last(), facts.dvlsn.max(facts.log.first().prev()));
    if keep.vlsn < dvlsn && !mutant!("stream-truncate-below-dvlsn") {
        return Some(Breach::TruncationBelowDurable { keep, last, dvlsn });
    }
    if last.term >= term {
        return Some(Breach::TruncationOfOwnTerm { keep, last, term });
    }
    None
}

/// The place of entry `vlsn`, also when it is the last of a log that holds no entry any more.
pub(crate) fn point_in(log: &LogView, vlsn: Vlsn) -> Option<LogPoint> {
    if vlsn == log.last().vlsn { Some(log.last()) } else { log.point_at(vlsn) }
}

/// The newest term starts, as many as a message takes. The rest counts as cleaned away.
fn newest(history: &History) -> History {
    let starts = history.starts();
    let kept = &starts[starts.len().saturating_sub(TERM_STARTS_MAX)..];
    History::from_starts(kept.to_vec()).expect("a tail of a history is a history")
}
