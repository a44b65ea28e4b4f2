//! Which node opened which term at which VLSN.
//!
//! A term has one master and a master writes its entries in order, so the whole shape of a log is the
//! short list of places where a new term begins. With it two logs find the last entry that they
//! share without asking each other once per entry: in one exchange of lists.
//!
//! Source: the idea of comparing term starts instead of entries is Raft's "fast backup" (Ongaro 2014,
//! section 5.3) taken to its end.

use crate::ids::{LogPoint, NodeId, Term, Vlsn};
use std::fmt;

/// A term began at `start`, opened by `node`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct TermStart {
    /// The term.
    pub term: Term,
    /// Its first entry.
    pub start: Vlsn,
    /// The master who wrote it.
    pub node: NodeId,
}

/// The term starts of one log, oldest first: terms and starts strictly increase.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct History {
    starts: Vec<TermStart>,
}

/// Where two logs part.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Matchpoint {
    /// They share everything up to this point ([`LogPoint::NULL`]: nothing, from the very first entry).
    At(LogPoint),
    /// They part below what one of the two histories still knows.
    Unknown,
}

/// A history that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HistoryError {
    /// A term or a start does not lie after the one before it.
    NotIncreasing {
        /// The term start that was there.
        before: TermStart,
        /// The one that was to follow it.
        after: TermStart,
    },
    /// Two logs name different openings of one term: two masters, or a foreign group.
    TermConflict {
        /// Ours.
        ours: TermStart,
        /// Theirs.
        theirs: TermStart,
    },
}

impl fmt::Display for HistoryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HistoryError::NotIncreasing { before, after } => {
                write!(f, "term start {after:?} does not lie after {before:?}")
            }
            HistoryError::TermConflict { ours, theirs } => {
                write!(f, "two openings of one term: {ours:?} here, {theirs:?} there")
            }
        }
    }
}

impl std::error::Error for HistoryError {}

impl History {
    /// The history of an empty log.
    pub const fn new() -> Self {
        History { starts: Vec::new() }
    }

    /// A history from a list, refused unless terms and starts strictly increase from VLSN 1 on.
    pub fn from_starts(starts: Vec<TermStart>) -> Result<Self, HistoryError> {
        let mut history = History::new();
        for start in starts {
            history.push(start)?;
        }
        Ok(history)
    }

    /// The list, oldest first.
    pub fn starts(&self) -> &[TermStart] {
        &self.starts
    }

    /// Whether a list that came from outside is a history at all (decoding does not check).
    pub fn check(&self) -> Result<(), HistoryError> {
        History::from_starts(self.starts.clone()).map(|_| ())
    }

    /// Adds the opening of a new term at the end.
    pub fn push(&mut self, next: TermStart) -> Result<(), HistoryError> {
        if let Some(&before) = self.starts.last() {
            if next.term <= before.term || next.start <= before.start {
                return Err(HistoryError::NotIncreasing { before, after: next });
            }
        } else if next.start.is_null() || next.term == Term::ZERO {
            return Err(HistoryError::NotIncreasing { before: next, after: next });
        }
        self.starts.push(next);
        Ok(())
    }

    /// The term of entry `vlsn`, if the history reaches back to it. It does not know where the log ends.
    pub fn term_at(&self, vlsn: Vlsn) -> Option<Term> {
        self.start_of(vlsn).map(|start| start.term)
    }

    /// The opening of the term that entry `vlsn` belongs to.
    pub fn start_of(&self, vlsn: Vlsn) -> Option<TermStart> {
        if vlsn.is_null() {
            return None;
        }
        let after = self.starts.partition_point(|start| start.start <= vlsn);
        after.checked_sub(1).map(|at| self.starts[at])
    }

    /// The opening of `term`, if it left entries here.
    pub fn opening_of(&self, term: Term) -> Option<TermStart> {
        let at = self.starts.binary_search_by_key(&term, |start| start.term).ok()?;
        Some(self.starts[at])
    }

    /// Forgets every term that began after `last`.
    pub fn truncate(&mut self, last: Vlsn) {
        let kept = self.starts.partition_point(|start| start.start <= last);
        self.starts.truncate(kept);
    }

    /// Forgets the terms that ended before `first`, the first entry still held.
    pub fn clean(&mut self, first: Vlsn) {
        let floor = self.starts.partition_point(|start| start.start <= first);
        self.starts.drain(..floor.saturating_sub(1));
    }

    /// The last point that a log of this history, ending at `last`, shares with another one.
    ///
    /// The step: at the lower of the two ends, either both name one term there (then all before it is
    /// shared), or the run of the higher term is foreign to the other log as a whole and is skipped.
    pub fn matchpoint(
        &self,
        last: Vlsn,
        theirs: &History,
        their_last: Vlsn,
    ) -> Result<Matchpoint, HistoryError> {
        self.check_against(theirs)?;
        let mut at = last.min(their_last);
        while !at.is_null() {
            let (Some(mine), Some(other)) = (self.start_of(at), theirs.start_of(at)) else {
                return Ok(Matchpoint::Unknown);
            };
            if mine.term == other.term {
                return Ok(Matchpoint::At(LogPoint::new(mine.term, at)));
            }
            let foreign = if mine.term > other.term { mine } else { other };
            at = foreign.start.prev();
        }
        Ok(Matchpoint::At(LogPoint::NULL))
    }

    fn check_against(&self, theirs: &History) -> Result<(), HistoryError> {
        for &other in theirs.starts() {
            if let Some(ours) = self.opening_of(other.term).filter(|ours| *ours != other) {
                return Err(HistoryError::TermConflict { ours, theirs: other });
            }
        }
        Ok(())
    }
}
