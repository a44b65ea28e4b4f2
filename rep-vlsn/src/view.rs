//! The log as the protocol sees it: positions only, in memory.
//!
//! The cores decide from numbers, not from bytes. They borrow a [`LogView`]; the one who joins them keeps
//! it true as entries are staged, synced and cut. What the files hold may lag behind it by what is
//! staged and not yet written.

use crate::batch::{Batch, opening};
use crate::history::History;
use crate::ids::{Epoch, LogPoint, Term, Vlsn};
use crate::record::Record;

/// Of so many entries that say the members a log tells where they stand: see [`LogView::memberships`].
pub const MEMBERSHIPS_MAX: usize = 64;

/// Positions of one log. `first <= last + 1`, `synced <= written <= last`, and the history covers `first..=last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogView {
    first: Vlsn,
    last: LogPoint,
    last_crc: u32,
    written: Vlsn,
    synced: Vlsn,
    epoch: Epoch,
    history: History,
    /// All that are held, as a cut may uncover any of them.
    memberships: Vec<LogPoint>,
}

impl Default for LogView {
    fn default() -> Self {
        LogView::empty()
    }
}

impl LogView {
    /// The view of an empty log.
    pub const fn empty() -> Self {
        LogView {
            first: Vlsn::FIRST,
            last: LogPoint::NULL,
            last_crc: 0,
            written: Vlsn::NULL,
            synced: Vlsn::NULL,
            epoch: Epoch(0),
            history: History::new(),
            memberships: Vec::new(),
        }
    }

    /// The view that recovery found: entries `first..=last`, all of them synced; those at `memberships` say the members.
    ///
    /// # Panics
    ///
    /// If the history does not give `last` its term, or if `memberships` are not entries of this log in ascending order.
    pub fn recovered(
        first: Vlsn,
        last: LogPoint,
        last_crc: u32,
        epoch: Epoch,
        history: History,
        memberships: Vec<LogPoint>,
    ) -> Self {
        let (written, synced) = (last.vlsn, last.vlsn);
        let view = LogView { first, last, last_crc, written, synced, epoch, history, memberships };
        view.invariants();
        view
    }

    /// The first entry still held; one after `last` if none is.
    pub fn first(&self) -> Vlsn {
        self.first
    }

    /// The last entry held, synced or not: the rank in elections.
    pub fn last(&self) -> LogPoint {
        self.last
    }

    /// Header CRC of the last entry, which the next one carries.
    pub fn last_crc(&self) -> u32 {
        self.last_crc
    }

    /// The last entry that was handed to the operating system here: it outlives this process, though not the machine.
    pub fn written(&self) -> Vlsn {
        self.written
    }

    /// The last entry that is on stable storage here.
    pub fn synced(&self) -> Vlsn {
        self.synced
    }

    /// How often this log has been cut.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Which node opened which term at which VLSN.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Where the entries stand that say the members, of those that are held: ascending, and if they are more than
    /// [`MEMBERSHIPS_MAX`] the newest so many. The last of them is in force, synced or not.
    pub fn memberships(&self) -> &[LogPoint] {
        &self.memberships[self.memberships.len().saturating_sub(MEMBERSHIPS_MAX)..]
    }

    /// Whether no entry is held, and none was ever cleaned away.
    pub fn is_empty(&self) -> bool {
        self.last.vlsn.is_null()
    }

    /// The term of entry `vlsn`, if it is held; and of the last one, also if the log holds no entry any more.
    pub fn term_at(&self, vlsn: Vlsn) -> Option<Term> {
        if vlsn == self.last.vlsn && !vlsn.is_null() {
            return Some(self.last.term);
        }
        if vlsn > self.last.vlsn || vlsn < self.first {
            return None;
        }
        self.history.term_at(vlsn)
    }

    /// The place of entry `vlsn`, if it is held; [`LogPoint::NULL`] for [`Vlsn::NULL`].
    pub fn point_at(&self, vlsn: Vlsn) -> Option<LogPoint> {
        if vlsn.is_null() {
            return Some(LogPoint::NULL);
        }
        self.term_at(vlsn).map(|term| LogPoint::new(term, vlsn))
    }

    /// Whether the log holds that very entry, or ends with it though it has been cleaned away.
    pub fn contains(&self, point: LogPoint) -> bool {
        self.point_at(point.vlsn) == Some(point)
    }

    /// Takes a record that has been stamped for the place after the last.
    ///
    /// # Panics
    ///
    /// If it does not follow the last entry: peers' batches are tested with [`LogView::accepts`] first.
    pub fn append(&mut self, record: &Record) {
        let point = record.point();
        assert_eq!(point.vlsn, self.last.vlsn.next(), "entries are appended in order");
        assert!(point.term >= self.last.term, "terms never decrease");
        assert_eq!(record.header().prev_crc, self.last_crc, "entries are chained");
        if point.term > self.last.term {
            let opening = opening(record).expect("a term begins with an entry that opens it");
            self.history.push(opening).expect("openings follow each other");
        }
        if record.header().kind.says_members() {
            self.memberships.push(point);
        }
        self.last = point;
        self.last_crc = record.header_crc();
    }

    /// Whether a peer's batch continues this very log: it names our last point and our last header.
    pub fn accepts(&self, prev: LogPoint, batch: &Batch) -> bool {
        prev == self.last
            && batch.first() == self.last.vlsn.next()
            && batch.prev_crc() == self.last_crc
            && (batch.first_point().term == self.last.term
                || (batch.first_point().term > self.last.term
                    && batch.records()[0].opener().is_some()))
    }

    /// A write has returned. It counts only if it was staged in this epoch; tells whether anything moved.
    pub fn mark_written(&mut self, point: LogPoint, epoch: Epoch) -> bool {
        if epoch != self.epoch || point.vlsn <= self.written || !self.contains(point) {
            return false;
        }
        self.written = point.vlsn;
        true
    }

    /// A sync has completed. It counts only if it was begun in this epoch; tells whether anything moved.
    pub fn mark_synced(&mut self, point: LogPoint, epoch: Epoch) -> bool {
        if epoch != self.epoch || point.vlsn <= self.synced || !self.contains(point) {
            return false;
        }
        self.synced = point.vlsn;
        self.written = self.written.max(point.vlsn);
        true
    }

    /// Cuts everything after `keep`, whose header CRC is not known until the cut is durable: see
    /// [`LogView::truncated`].
    ///
    /// # Panics
    ///
    /// If the log does not hold `keep`.
    pub fn truncate(&mut self, keep: LogPoint) {
        assert!(self.contains(keep), "the matchpoint is an entry of this log");
        self.history.truncate(keep.vlsn);
        let kept = self.memberships.partition_point(|point| point.vlsn <= keep.vlsn);
        self.memberships.truncate(kept);
        self.last = keep;
        self.written = self.written.min(keep.vlsn);
        self.synced = self.synced.min(keep.vlsn);
        self.epoch = self.epoch.next();
    }

    /// The cut begun by [`LogView::truncate`] is durable; `last_crc` is the header CRC of the last entry.
    /// Only for the cut of the present epoch: the news of an earlier one is to be dropped.
    pub fn truncated(&mut self, last_crc: u32) {
        self.last_crc = last_crc;
        self.written = self.last.vlsn;
        self.synced = self.last.vlsn;
    }

    /// Entries before `first` have been cleaned away.
    pub fn clean(&mut self, first: Vlsn) {
        if first > self.first {
            self.first = first.min(self.last.vlsn.next());
            self.history.clean(self.first);
            let gone = self.memberships.partition_point(|point| point.vlsn < self.first);
            self.memberships.drain(..gone);
        }
    }

    /// What must hold of every view.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        assert!(self.first <= self.last.vlsn.next());
        assert!(self.synced <= self.written && self.written <= self.last.vlsn);
        if self.first <= self.last.vlsn {
            assert_eq!(self.term_at(self.last.vlsn), Some(self.last.term));
        }
        assert!(self.memberships.windows(2).all(|pair| pair[0].vlsn < pair[1].vlsn));
        let is_held = |point: &LogPoint| point.vlsn >= self.first && self.contains(*point);
        assert!(self.memberships.iter().all(is_held));
    }
}
