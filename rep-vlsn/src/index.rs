//! Where in the files an entry stands.
//!
//! Remembering the place of every entry would cost as much memory as a small log. Entries are dense, so
//! one place per bucket of a fixed number of VLSNs is enough: look up the floor, walk the few records
//! after it. The bucket of a VLSN is plain arithmetic, no search.
//!
//! The index is rebuilt when the log is opened, from the scan that recovery makes anyway.

use crate::ids::Vlsn;
use std::collections::VecDeque;

/// A place in the files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The first entry of the segment, which names its file.
    pub segment: Vlsn,
    /// Where in the file the record begins.
    pub offset: u64,
}

/// The places of some entries of one log: of the first of each bucket. Entries are registered in order.
#[derive(Clone, Debug)]
pub struct VlsnIndex {
    stride: u64,
    /// One per bucket, without gaps; the first may lie anywhere in its bucket.
    places: VecDeque<(Vlsn, Position)>,
    last: Vlsn,
}

impl VlsnIndex {
    /// An empty index of a log whose next entry follows `last`, with `stride` VLSNs a bucket.
    ///
    /// # Panics
    ///
    /// If `stride` is 0.
    pub fn new(stride: u64, last: Vlsn) -> VlsnIndex {
        assert!(stride > 0, "a bucket holds at least one entry");
        VlsnIndex { stride, places: VecDeque::new(), last }
    }

    /// Learns the place of the next entry.
    ///
    /// # Panics
    ///
    /// If it is not the next.
    pub fn register(&mut self, vlsn: Vlsn, position: Position) {
        assert_eq!(vlsn, self.last.next(), "entries are registered in order");
        let newest = self.places.back().map(|(newest, _)| self.bucket(*newest));
        if newest != Some(self.bucket(vlsn)) {
            self.places.push_back((vlsn, position));
        }
        self.last = vlsn;
    }

    /// The nearest known place at or before entry `vlsn`; `None` if the index does not reach it.
    pub fn floor(&self, vlsn: Vlsn) -> Option<(Vlsn, Position)> {
        let (first, _) = *self.places.front()?;
        if vlsn < first || vlsn > self.last {
            return None;
        }
        let at = (self.bucket(vlsn) - self.bucket(first)) as usize;
        let found = self.places[at];
        debug_assert!(found.0 <= vlsn);
        Some(found)
    }

    /// First and last entry that can be found; `None` if there are none.
    pub fn range(&self) -> Option<(Vlsn, Vlsn)> {
        self.places.front().map(|(first, _)| (*first, self.last))
    }

    /// Forgets the entries after `last`.
    pub fn truncate(&mut self, last: Vlsn) {
        while self.places.back().is_some_and(|(vlsn, _)| *vlsn > last) {
            self.places.pop_back();
        }
        self.last = self.last.min(last);
    }

    /// Forgets the entries before `first`, which stands at `position`.
    pub fn clean(&mut self, first: Vlsn, position: Position) {
        let mut dropped = false;
        while self.places.front().is_some_and(|(vlsn, _)| *vlsn < first) {
            self.places.pop_front();
            dropped = true;
        }
        let known = self.places.front().is_some_and(|(vlsn, _)| *vlsn == first);
        if dropped && !known && first <= self.last {
            self.places.push_front((first, position));
        }
    }

    fn bucket(&self, vlsn: Vlsn) -> u64 {
        vlsn.get() / self.stride
    }
}
