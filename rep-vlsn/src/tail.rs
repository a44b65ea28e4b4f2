//! The newest records, in memory.
//!
//! Whoever makes an entry stages it here; the log writer, the peers' writers and the applier all want it
//! within the next moments, and take it from here without a copy. Older entries are in the files.
//! Records that wait to be written are never let go; of the others the newest few mebibytes are kept.

use crate::error::ReadError;
use crate::ids::{Epoch, LogPoint, Vlsn};
use crate::mutant;
use crate::record::{Holder, Record, SyncClass};
use crate::sync::{Arc, Guard, Monitor};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Instant;

/// The newest records of one log: contiguous, by VLSN. Clones are handles to the same tail.
#[derive(Clone, Debug)]
pub struct Tail {
    state: Arc<Monitor<State>>,
    bytes_max: usize,
}

#[derive(Debug)]
struct State {
    /// Entries `before.vlsn + 1 ..= last.vlsn`, in order.
    records: VecDeque<Record>,
    before: LogPoint,
    last: LogPoint,
    /// Header CRC of the last entry, while it is known.
    last_crc: Option<u32>,
    /// Entries up to here are in the files.
    written: Vlsn,
    /// The last entry that asks to be synced at once.
    eager: Vlsn,
    /// The last entry that counts as soon as it is written.
    lazy: Vlsn,
    bytes: usize,
    epoch: Epoch,
    closed: bool,
    nudged: bool,
}

/// Records for the log writer, all staged in `epoch`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Staged {
    /// The records, in order; at least one.
    pub records: Vec<Record>,
    /// The epoch that they belong to.
    pub epoch: Epoch,
    /// The last entry staged, here or behind it, that asks to be synced at once.
    pub eager: Vlsn,
    /// The last entry staged, here or behind it, that counts as soon as it is written.
    pub lazy: Vlsn,
}

/// Records for a reader.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TailRun {
    /// The place before the first record.
    pub prev: LogPoint,
    /// The records, in order; at least one.
    pub records: Vec<Record>,
}

/// Where a range is to be read.
#[derive(Debug)]
pub(crate) enum Place {
    /// Here is its beginning.
    Here(TailRun),
    /// In the files, up to `to`. What the files hold behind it may be about to be cut.
    Files { to: Vlsn },
}

impl Tail {
    /// An empty tail behind the entry `last`, all before which is in the files. It keeps about
    /// `bytes_max` of the newest records, more only while they wait to be written.
    pub fn new(last: LogPoint, last_crc: u32, epoch: Epoch, bytes_max: usize) -> Tail {
        let state = State {
            records: VecDeque::new(),
            before: last,
            last,
            last_crc: Some(last_crc),
            written: last.vlsn,
            eager: last.vlsn,
            lazy: Vlsn::NULL,
            bytes: 0,
            epoch,
            closed: false,
            nudged: false,
        };
        Tail { state: Arc::new(Monitor::new(state)), bytes_max }
    }

    /// Adds records behind the last one, for the writer to write and to sync at once, and for everyone to read. A
    /// closed tail takes nothing.
    ///
    /// # Panics
    ///
    /// If they do not follow the last entry: the caller has tested that.
    pub fn stage(&self, records: &[Record]) {
        self.stage_all(records, |_| SyncClass::Sync);
    }

    /// As [`Tail::stage`], but only those are synced at once that ask for it at such a `holder`. The others may wait for
    /// the next sync.
    ///
    /// # Panics
    ///
    /// As [`Tail::stage`].
    pub fn stage_as(&self, holder: Holder, records: &[Record]) {
        self.stage_all(records, |record| record.header().flags.sync_at(holder));
    }

    fn stage_all(&self, records: &[Record], class: impl Fn(&Record) -> SyncClass) {
        let mut state = self.state.lock();
        if state.closed {
            return;
        }
        for record in records {
            state.push(record.clone());
            match class(record) {
                SyncClass::Sync => state.eager = record.point().vlsn,
                SyncClass::WriteNoSync | SyncClass::NoSync => state.lazy = record.point().vlsn,
            }
        }
        self.state.ring();
    }

    /// What waits to be written, up to `bytes_max` but at least one record; `None` if nothing waits. It
    /// goes on waiting until [`Tail::mark_written`]. For the log writer alone.
    pub fn take_unwritten(&self, bytes_max: usize) -> Option<Staged> {
        let state = self.state.lock();
        let records = state.copy(state.written.next(), state.last.vlsn, bytes_max);
        let (epoch, eager, lazy) = (state.epoch, state.eager, state.lazy);
        (!records.is_empty()).then_some(Staged { records, epoch, eager, lazy })
    }

    /// Waits until something waits to be written. False at the deadline, after a [`Tail::nudge`], or if
    /// the tail was closed, and nothing is left to write.
    pub fn wait_unwritten(&self, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |state| state.written < state.last.vlsn || state.nudged);
        let mut state = self.state.lock();
        state.nudged = false;
        state.written < state.last.vlsn
    }

    /// Ends the present or the next [`Tail::wait_unwritten`]: the log writer has something else to do.
    pub fn nudge(&self) {
        self.state.lock().nudged = true;
        self.state.ring();
    }

    /// The files now hold everything up to `last`, written in `epoch`. Nothing, if the epoch is over:
    /// what was written is about to be cut.
    pub fn mark_written(&self, last: Vlsn, epoch: Epoch) {
        let mut state = self.state.lock();
        if state.epoch == epoch {
            state.written = state.written.max(last.min(state.last.vlsn));
            state.evict(self.bytes_max);
            self.state.ring();
        }
    }

    /// Records of a range, from its first entry on, up to `bytes_max` but at least one; `None` if the
    /// first entry is not (or no longer) here.
    pub fn get(&self, range: RangeInclusive<Vlsn>, bytes_max: usize) -> Option<TailRun> {
        self.state.lock().run(*range.start(), *range.end(), bytes_max)
    }

    /// Looks up a range for a reader that learnt of it in `epoch`: it is here, in the files, or nowhere.
    pub(crate) fn look_up(
        &self,
        from: Vlsn,
        to: Vlsn,
        bytes_max: usize,
        epoch: Epoch,
    ) -> Result<Place, ReadError> {
        let state = self.state.lock();
        state.check(epoch)?;
        if from > state.last.vlsn {
            return Err(ReadError::NotYet);
        }
        let place = state.run(from, to, bytes_max).map(Place::Here);
        debug_assert!(state.before.vlsn <= state.written);
        Ok(place.unwrap_or(Place::Files { to: to.min(state.written) }))
    }

    /// Whether a reader of `epoch` may still use what it read.
    pub(crate) fn check(&self, epoch: Epoch) -> Result<(), ReadError> {
        self.state.lock().check(epoch)
    }

    /// Forgets what lies after `keep`, which the log holds; from now on the epoch is `epoch`. The log
    /// writer has to be told as well.
    pub fn truncate(&self, keep: LogPoint, epoch: Epoch) {
        let mut state = self.state.lock();
        state.truncate(keep);
        state.epoch = epoch;
        self.state.ring();
    }

    /// The last entry, written or not.
    pub fn last(&self) -> LogPoint {
        self.state.lock().last
    }

    /// The present epoch.
    pub fn epoch(&self) -> Epoch {
        self.state.lock().epoch
    }

    /// Bytes of the records held in memory.
    pub fn bytes(&self) -> usize {
        self.state.lock().bytes
    }

    /// Bytes of the records that wait to be written.
    pub fn unwritten_bytes(&self) -> usize {
        let state = self.state.lock();
        let waiting = state.last.vlsn.distance_from(state.written) as usize;
        state.records.iter().rev().take(waiting).map(|record| record.bytes().len()).sum()
    }

    /// Waits until the log reaches entry `vlsn`. False at the deadline, or if the tail was closed before.
    pub fn wait_for(&self, vlsn: Vlsn, deadline: Option<Instant>) -> bool {
        self.wait(deadline, |state| state.last.vlsn >= vlsn)
    }

    /// Takes no more records, lets nobody read, and wakes everyone. What waits can still be written.
    pub fn close(&self) {
        self.state.lock().closed = true;
        self.state.ring();
    }

    fn wait(&self, deadline: Option<Instant>, reached: impl Fn(&State) -> bool) -> bool {
        let mut state: Guard<'_, State> = self.state.lock();
        let mut late = false;
        loop {
            if reached(&state) || state.closed || late {
                return reached(&state);
            }
            (state, late) = self.state.wait(state, deadline);
        }
    }
}

impl State {
    fn push(&mut self, record: Record) {
        let point = record.point();
        assert_eq!(point.vlsn, self.last.vlsn.next(), "records are staged in order");
        assert!(point.term >= self.last.term, "terms never decrease");
        let chained = self.last_crc.is_none_or(|crc| crc == record.header().prev_crc);
        assert!(chained, "records are chained");
        self.last = point;
        self.last_crc = Some(record.header_crc());
        self.bytes += record.bytes().len();
        self.records.push_back(record);
    }

    fn evict(&mut self, bytes_max: usize) {
        while self.bytes > bytes_max {
            let Some(oldest) = self.records.front().filter(|r| r.point().vlsn <= self.written)
            else {
                return;
            };
            self.before = oldest.point();
            self.bytes -= oldest.bytes().len();
            self.records.pop_front();
        }
    }

    fn truncate(&mut self, keep: LogPoint) {
        while self.last.vlsn > keep.vlsn {
            let Some(newest) = self.records.pop_back() else { break };
            self.bytes -= newest.bytes().len();
            self.last = self.records.back().map_or(self.before, Record::point);
        }
        if self.records.is_empty() {
            self.before = keep;
        }
        assert!(self.records.is_empty() || self.last == keep, "the log holds what it keeps");
        self.last = keep;
        self.last_crc = self.records.back().map(Record::header_crc);
        self.written = self.written.min(keep.vlsn);
        self.eager = self.eager.min(keep.vlsn);
        self.lazy = self.lazy.min(keep.vlsn);
    }

    fn check(&self, epoch: Epoch) -> Result<(), ReadError> {
        if self.closed {
            return Err(ReadError::Closed);
        }
        let same = self.epoch == epoch || mutant!("vlsn-reader-ignores-epoch");
        if same { Ok(()) } else { Err(ReadError::Truncated) }
    }

    fn run(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Option<TailRun> {
        let records = self.copy(from, to, bytes_max);
        if records.is_empty() {
            return None;
        }
        let at = (from.get() - self.before.vlsn.get() - 1) as usize;
        let prev = at.checked_sub(1).map_or(self.before, |at| self.records[at].point());
        Some(TailRun { prev, records })
    }

    /// Copies handles, not bytes.
    fn copy(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Vec<Record> {
        if from <= self.before.vlsn || from > self.last.vlsn {
            return Vec::new();
        }
        let at = (from.get() - self.before.vlsn.get() - 1) as usize;
        let mut bytes = 0;
        let mut records = Vec::new();
        for record in self.records.range(at..) {
            bytes += record.bytes().len();
            if record.point().vlsn > to || (bytes > bytes_max && !records.is_empty()) {
                break;
            }
            records.push(record.clone());
        }
        records
    }
}
