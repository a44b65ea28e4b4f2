//! How many bytes of entries lie between two places of the log, nearly.
//!
//! A log's positions are numbers of entries; how much has to be sent, or kept, is bytes. Whoever appends tells how many they were, and
//! how many there had been is remembered at a bounded number of places. What lies between two of those is taken to be of equal length.

use rep_vlsn::Vlsn;
use std::collections::VecDeque;

/// Places that are remembered; of what lies before the first of them nothing is known.
const MARKS_MAX: usize = 256;
/// So many of them to what a log keeps for others.
const PARTS: u64 = 64;

/// Bytes of entries that were appended in one run of a node.
#[derive(Debug)]
pub(crate) struct Volume {
    step: u64,
    marks: VecDeque<Mark>,
    end: Mark,
}

/// So many bytes had been appended when that was the last entry.
#[derive(Clone, Copy, Debug)]
struct Mark {
    last: Vlsn,
    bytes: u64,
}

impl Volume {
    /// Of a log that ends at `last`, and keeps `bytes` for others.
    pub(crate) fn new(last: Vlsn, bytes: u64) -> Self {
        let end = Mark { last, bytes: 0 };
        Volume { step: (bytes / PARTS).max(1), marks: VecDeque::from([end]), end }
    }

    /// Entries of so many bytes, up to `last`.
    pub(crate) fn appended(&mut self, last: Vlsn, bytes: u64) {
        self.end = Mark { last, bytes: self.end.bytes.saturating_add(bytes) };
        let marked = self.marks.back().map_or(0, |mark| mark.bytes);
        if self.end.bytes - marked >= self.step {
            self.marks.push_back(self.end);
        }
        if self.marks.len() > MARKS_MAX {
            self.marks.pop_front();
        }
    }

    /// Everything after `keep` was cut away.
    pub(crate) fn truncated(&mut self, keep: Vlsn) {
        let end = Mark { last: keep, bytes: self.before(keep) };
        self.marks.retain(|mark| mark.last < keep);
        self.marks.push_back(end);
        self.end = end;
    }

    /// Bytes of the entries after `from` and up to `to`.
    pub(crate) fn between(&self, from: Vlsn, to: Vlsn) -> u64 {
        self.before(to).saturating_sub(self.before(from))
    }

    /// How many there had been when `vlsn` was the last entry.
    fn before(&self, vlsn: Vlsn) -> u64 {
        let next = self.marks.partition_point(|mark| mark.last <= vlsn);
        let Some(low) = next.checked_sub(1).map(|at| self.marks[at]) else {
            return self.marks.front().map_or(0, |mark| mark.bytes);
        };
        let high = self.marks.get(next).copied().unwrap_or(self.end);
        if vlsn >= high.last {
            return high.bytes;
        }
        let (part, whole) = (vlsn.distance_from(low.last), high.last.distance_from(low.last));
        let share = u128::from(high.bytes - low.bytes) * u128::from(part) / u128::from(whole);
        low.bytes + share as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(vlsn: u64) -> Vlsn {
        Vlsn::new(vlsn)
    }

    fn filled(entries: u64, bytes: u64, kept: u64) -> Volume {
        let mut volume = Volume::new(at(10), kept);
        (11..11 + entries).for_each(|vlsn| volume.appended(at(vlsn), bytes));
        volume
    }

    #[test]
    fn what_lies_between_marks_is_of_equal_length() {
        let volume = filled(100, 7, 64 * 70);
        assert_eq!(volume.between(at(10), at(110)), 700);
        assert_eq!(volume.between(at(25), at(45)), 140);
        assert_eq!(volume.between(at(45), at(25)), 0);
    }

    #[test]
    fn of_what_came_before_nothing_is_known_and_little_is_remembered() {
        let volume = filled(10_000, 7, 64);
        assert_eq!(volume.marks.len(), MARKS_MAX);
        assert_eq!(volume.between(at(0), at(10_010)), volume.between(at(9_000), at(10_010)));
        assert_eq!(volume.between(at(9_900), at(9_950)), 350);
    }

    #[test]
    fn what_is_cut_counts_no_more() {
        let mut volume = filled(100, 7, 64 * 70);
        volume.truncated(at(35));
        assert_eq!(volume.between(at(10), at(1000)), 175);
        volume.appended(at(36), 1000);
        assert_eq!(volume.between(at(35), at(36)), 1000);
        assert_eq!(volume.between(at(30), at(35)), 35);
        volume.truncated(at(5));
        volume.appended(at(6), 3);
        assert_eq!(volume.between(at(5), at(6)), 3);
    }
}
