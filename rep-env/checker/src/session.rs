//! What one client may rely on, whatever the others see: the four session guarantees.
//!
//! They are asked of *versions*: numbers that say how new a state is (a VLSN, an offset, the count of writes to a key), 0 for
//! the initial one. A session is one client's operations in the order in which it made them, one after the other; guarantees
//! are kept apart for each object (a key, or the whole store where versions count across it). One pass, linear time beside
//! the maps. (Terry et al., *Session Guarantees for Weakly Consistent Replicated Data*, 1994.)

use std::collections::BTreeMap;
use thiserror::Error;

/// One acknowledged step of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStep<S, O> {
    /// Who.
    pub session: S,
    /// On what.
    pub object: O,
    /// Read or written.
    pub access: Access,
}

/// How a step touched its object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// The state of this version was read.
    Read(u64),
    /// This version was made.
    Write(u64),
}

/// A guarantee that was broken. The numbers are places in the slice that was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{guarantee}: step {earlier}, then {later} of the same session")]
pub struct Broken {
    /// Which.
    pub guarantee: Guarantee,
    /// The step that set the mark.
    pub earlier: usize,
    /// The step that fell short of it.
    pub later: usize,
}

/// The four session guarantees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Guarantee {
    /// A read sees nothing older than an earlier read saw.
    #[error("monotonic reads")]
    MonotonicReads,
    /// A read sees the session's own earlier writes.
    #[error("read your writes")]
    ReadYourWrites,
    /// A write comes after the session's own earlier writes.
    #[error("monotonic writes")]
    MonotonicWrites,
    /// A write comes after everything that the session has read.
    #[error("writes follow reads")]
    WritesFollowReads,
}

/// Every place where a session was told less than it was promised.
///
/// Steps whose outcome is unknown, and those that failed, are left out by the caller: nothing was promised on them.
pub fn check_sessions<S: Ord, O: Ord>(steps: &[SessionStep<S, O>]) -> Vec<Broken> {
    let mut marks: BTreeMap<(&S, &O), Marks> = BTreeMap::new();
    let mut broken = Vec::new();
    for (at, step) in steps.iter().enumerate() {
        let marks = marks.entry((&step.session, &step.object)).or_default();
        let asked = match step.access {
            Access::Read(version) => [
                (Guarantee::MonotonicReads, marks.read.above(version)),
                (Guarantee::ReadYourWrites, marks.written.above(version)),
            ],
            Access::Write(version) => [
                (Guarantee::MonotonicWrites, marks.written.reaches(version)),
                (Guarantee::WritesFollowReads, marks.read.reaches(version)),
            ],
        };
        broken.extend(asked.into_iter().filter_map(|(guarantee, earlier)| {
            earlier.map(|earlier| Broken { guarantee, earlier, later: at })
        }));
        match step.access {
            Access::Read(version) => marks.read.raise(version, at),
            Access::Write(version) => marks.written.raise(version, at),
        }
    }
    broken
}

/// The newest version that a session has read, and written, of one object.
#[derive(Debug, Default)]
struct Marks {
    read: Mark,
    written: Mark,
}

#[derive(Debug, Default)]
struct Mark(Option<(u64, usize)>);

impl Mark {
    fn raise(&mut self, version: u64, at: usize) {
        if self.0.is_none_or(|(newest, _)| version > newest) {
            self.0 = Some((version, at));
        }
    }

    /// Who set the mark, if it is newer than `version`.
    fn above(&self, version: u64) -> Option<usize> {
        self.0.filter(|(newest, _)| *newest > version).map(|(_, at)| at)
    }

    /// Who set the mark, if it is as new as `version` or newer: what is written is newer than all that was there.
    fn reaches(&self, version: u64) -> Option<usize> {
        self.0.filter(|(newest, _)| *newest >= version).map(|(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Access::{Read, Write};

    fn judge(accesses: &[Access]) -> Vec<(Guarantee, usize, usize)> {
        let step = |&access| SessionStep { session: 1, object: "k", access };
        let steps: Vec<_> = accesses.iter().map(step).collect();
        let told = |broken: Broken| (broken.guarantee, broken.earlier, broken.later);
        check_sessions(&steps).into_iter().map(told).collect()
    }

    #[test]
    fn each_guarantee_is_missed_by_its_own_name() {
        assert_eq!(judge(&[Read(0), Read(1), Write(2), Read(2), Read(5), Write(6)]), []);
        assert_eq!(judge(&[Read(2), Read(1)]), [(Guarantee::MonotonicReads, 0, 1)]);
        assert_eq!(judge(&[Write(2), Read(1)]), [(Guarantee::ReadYourWrites, 0, 1)]);
        assert_eq!(judge(&[Write(2), Write(1)]), [(Guarantee::MonotonicWrites, 0, 1)]);
        assert_eq!(judge(&[Read(2), Write(2)]), [(Guarantee::WritesFollowReads, 0, 1)]);
    }

    #[test]
    fn sessions_and_objects_are_apart() {
        let steps = [
            SessionStep { session: 1, object: "a", access: Write(9) },
            SessionStep { session: 2, object: "a", access: Read(3) },
            SessionStep { session: 1, object: "b", access: Read(1) },
        ];
        assert_eq!(check_sessions(&steps), []);
    }

    #[test]
    fn the_mark_stays_where_the_newest_version_left_it() {
        assert_eq!(
            judge(&[Read(5), Read(3), Read(4)]),
            [(Guarantee::MonotonicReads, 0, 1), (Guarantee::MonotonicReads, 0, 2)]
        );
    }
}
