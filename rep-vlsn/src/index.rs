//! Where in the files an entry stands.
//!
//! Remembering the place of every entry would cost as much memory as a small log. Entries are dense, so
//! one place per bucket of a fixed number of VLSNs is enough: look up the floor, walk the few records
//! after it. The bucket of a VLSN is plain arithmetic, no search.
//!
//! When the log is opened the index comes from the index file (see the `checkpoint` module), and from a scan of what
//! that does not tell.

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

    /// Learns of all entries up to `last` at once, which stand in one segment from `from` on: `offsets` are the places of
    /// those whose numbers are multiples of the stride.
    pub(crate) fn adopt(&mut self, segment: Vlsn, from: u64, last: Vlsn, offsets: &[u64]) {
        let next = self.last.next();
        let newest = self.places.back().map(|(newest, _)| self.bucket(*newest));
        if newest != Some(self.bucket(next)) && !next.get().is_multiple_of(self.stride) {
            self.places.push_back((next, Position { segment, offset: from }));
        }
        let multiples =
            (self.bucket(self.last) + 1..).map(|bucket| Vlsn::new(bucket * self.stride));
        let places = multiples.zip(offsets);
        self.places.extend(places.map(|(vlsn, &offset)| (vlsn, Position { segment, offset })));
        self.last = last;
    }

    /// Bytes of memory that it takes.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.places.capacity() * size_of::<(Vlsn, Position)>()
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

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn place(vlsn: u64) -> Position {
        Position { segment: Vlsn::new(vlsn / 50 * 50), offset: vlsn * 10 }
    }

    /// To Miri each is a hundred times as long.
    const STEPS_MAX: usize = if cfg!(miri) { 8 } else { 40 };

    proptest! {
        /// Random registering and cutting at both ends, against a map of every entry.
        #[test]
        fn the_floor_is_never_far_and_never_after(
            stride in 1..9_u64, start in 0..40_u64, steps in prop::collection::vec((0..6_u8, 0..30_u64), 1..STEPS_MAX),
        ) {
            let mut index = VlsnIndex::new(stride, Vlsn::new(start));
            let mut map = BTreeMap::new();
            let mut last = start;
            for (step, amount) in steps {
                match step {
                    0 => {
                        last = last.saturating_sub(amount).max(map.keys().next().map_or(last, |first| first - 1));
                        index.truncate(Vlsn::new(last));
                        map.retain(|vlsn, _| *vlsn <= last);
                    }
                    1 => {
                        let first = map.keys().next().map_or(last + 1, |first| first + amount / 3);
                        if first <= last {
                            index.clean(Vlsn::new(first), place(first));
                            map.retain(|vlsn, _| *vlsn >= first);
                        }
                    }
                    _ => for _ in 0..amount {
                        last += 1;
                        index.register(Vlsn::new(last), place(last));
                        map.insert(last, place(last));
                    },
                }
                let ends = map.keys().next().map(|first| (Vlsn::new(*first), Vlsn::new(last)));
                prop_assert_eq!(index.range(), ends);
                for vlsn in start.saturating_sub(2)..last + 3 {
                    match index.floor(Vlsn::new(vlsn)) {
                        Some((floor, position)) => {
                            prop_assert!(map.contains_key(&vlsn) && map.contains_key(&floor.get()));
                            prop_assert!(floor.get() <= vlsn && vlsn - floor.get() < stride);
                            prop_assert_eq!(position, place(floor.get()));
                        }
                        None => prop_assert!(!map.contains_key(&vlsn)),
                    }
                }
            }
        }
    }
}
