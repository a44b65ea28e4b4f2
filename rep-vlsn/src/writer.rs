//! Writing the log: one owner, one step at a time.
//!
//! The writer decides what goes into one write and one sync; a thread only loops over it, and the
//! simulator calls the very same steps. Whatever waits in the tail becomes one *group*: a local mark, the
//! records, one vectored write a segment, and one sync for them all.
//!
//! Not every entry asks for the sync: one that does not is written and waits for the next one, which a
//! [`SyncPlan`] says when to make.
//!
//! A write or sync that failed poisons the writer. Nobody knows what the disk holds then, and asking it
//! again would only make it say "fine" about pages that it has dropped.

mod ahead;
mod plan;
mod truncate;

pub use plan::SyncPlan;

use crate::batch::opening;
use crate::cell::DurableCell;
use crate::checkpoint::{Checkpoint, Head, Section};
use crate::config::LogConfig;
use crate::cut::Cut;
use crate::disk::{Disk, DiskFile};
use crate::error::{During, LogError};
use crate::files::{Files, Segment};
use crate::history::History;
use crate::ids::{Epoch, GroupId, LogPoint, Vlsn};
use crate::index::Position;
use crate::record::Record;
use crate::segment::{
    LOG_DIR, MARK_BYTES, Mark, SEGMENT_HEADER_BYTES, SegmentHeader, segment_name,
};
use crate::tail::{Staged, Tail};
use crate::{buggify, mutant, sometimes};
use bytes::Bytes;
use std::io;
use std::sync::Arc;

/// The log's one writer. Its calls block on the disk.
#[derive(Debug)]
pub struct LogWriter<D: Disk> {
    pub(crate) disk: D,
    pub(crate) config: LogConfig,
    pub(crate) files: Arc<Files<D::File>>,
    pub(crate) tail: Tail,
    pub(crate) cell: DurableCell<D>,
    /// Whether the cell says that the log has begun.
    pub(crate) begun: bool,
    pub(crate) group: Option<GroupId>,
    pub(crate) active: Option<Active<D::File>>,
    pub(crate) history: History,
    /// The last entry in the files, and its header CRC.
    pub(crate) last: LogPoint,
    pub(crate) last_crc: u32,
    pub(crate) synced: LogPoint,
    /// Whether something was written since the last sync.
    pub(crate) dirty: bool,
    pub(crate) last_mark: Option<Mark>,
    pub(crate) epoch: Epoch,
    pub(crate) poisoned: bool,
    /// The epoch that the cut cell has.
    pub(crate) cell_epoch: Epoch,
    pub(crate) checkpoint: Checkpoint<D>,
    /// What the index file has not been told of the active segment; `None` after a cut, for the rest of that segment.
    pub(crate) untold: Option<Section>,
}

/// The segment that is written to.
#[derive(Debug)]
pub(crate) struct Active<F> {
    pub(crate) segment: Arc<Segment<F>>,
    /// Where the next mark or record goes.
    pub(crate) end: u64,
    pub(crate) len: u64,
    /// Up to here the file's space has been written to, with zeros if with nothing else; or up to `end`, if that is further on.
    zeroed: u64,
    /// Where the end was when [`LogWriter::write_ahead`] was last called.
    looked: u64,
}

impl<F> Active<F> {
    /// A segment of which nothing is known to be written behind `end`.
    pub(crate) fn at(segment: Arc<Segment<F>>, end: u64, len: u64) -> Self {
        Active { segment, end, len, zeroed: end, looked: end }
    }
}

/// A group that has been handed to the operating system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Written {
    /// Its first entry.
    pub first: Vlsn,
    /// Its last entry.
    pub last: LogPoint,
    /// Bytes of its records.
    pub bytes: usize,
    /// The epoch in which it was staged.
    pub epoch: Epoch,
    /// Whether an entry that is not synced yet asks to be so at once.
    pub eager: bool,
    /// Whether somebody waits for this very news: an entry here counts as soon as it is written, or the group is so
    /// large that whoever sends the next one should not wait for the sync. Else the news of the sync is enough.
    pub told: bool,
}

/// A group of so many bytes is worth telling of before it is synced.
const TOLD_BYTES: usize = 1 << 20;

/// What a sync has made durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Synced {
    /// Everything up to here is on stable storage,
    pub point: LogPoint,
    /// as the log was in this epoch. After a later truncation it vouches for nothing.
    pub epoch: Epoch,
}

/// A truncation that is durable.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Truncated {
    /// The last entry now; synced, as is everything before it.
    pub point: LogPoint,
    /// The epoch that the truncation began. If the log has been cut again since, this is not the epoch of
    /// the [`LogView`](crate::LogView), and the news is stale: it must not reach `LogView::truncated`.
    pub epoch: Epoch,
    /// Header CRC of the last entry.
    pub last_crc: u32,
}

impl<D: Disk> LogWriter<D> {
    /// Tells the log its group, before its first entry is written. Each segment says it.
    ///
    /// A log without any entry takes another group than the one its files name: a founding may have made the first
    /// segment and lost the founding entry to a crash, and then the group was founded anew. The next write replaces
    /// that segment.
    ///
    /// # Errors
    ///
    /// [`LogError::WrongGroup`] if the log holds entries of another one.
    pub fn set_group(&mut self, group: GroupId) -> Result<(), LogError> {
        match self.group {
            Some(ours) if ours == group => return Ok(()),
            Some(ours) if !self.last.vlsn.is_null() => {
                return Err(LogError::WrongGroup { ours, given: group });
            }
            Some(_) => {
                self.active = None;
                self.untold = None;
                self.last_mark = None;
            }
            None => {}
        }
        self.group = Some(group);
        Ok(())
    }

    /// The group, once it is known.
    pub fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// Writes what waits in the tail, up to the bound of one group; `None` if nothing waits, or if a
    /// truncation of which the tail already knows has to come first. `dvlsn` goes into the mark.
    ///
    /// # Errors
    ///
    /// [`LogError::NoGroup`] changes nothing, and after [`LogError::Full`] what waits goes on waiting; any other poisons the log.
    pub fn write_group(&mut self, dvlsn: Vlsn) -> Result<Option<Written>, LogError> {
        self.guarded(|writer| writer.write_staged(dvlsn))
    }

    /// Makes durable what was written.
    ///
    /// # Errors
    ///
    /// Any error poisons the log.
    pub fn sync(&mut self) -> Result<Synced, LogError> {
        self.guarded(|writer| {
            writer.sync_files()?;
            let now = mutant!("vlsn-no-epoch");
            let epoch = if now { writer.tail.epoch() } else { writer.epoch };
            Ok(Synced { point: writer.synced, epoch })
        })
    }

    /// Writes a last mark and syncs, so that the next opening knows everything to be whole. What still
    /// waits in the tail is not written.
    ///
    /// # Errors
    ///
    /// Any error leaves a log that recovery will find as after a crash.
    pub fn close(mut self, dvlsn: Vlsn) -> Result<(), LogError> {
        self.guarded(|writer| {
            writer.sync_files()?;
            writer.write_last_mark(dvlsn)?;
            writer.tell_index();
            writer.checkpoint.sync();
            Ok(())
        })
    }

    /// Whether an earlier failure has closed the log.
    pub fn is_poisoned(&self) -> bool {
        self.poisoned
    }

    /// Runs a step; an error of the disk's doing poisons the writer, one of the caller's does not.
    fn guarded<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, LogError>,
    ) -> Result<T, LogError> {
        if self.poisoned {
            return Err(LogError::Poisoned);
        }
        let result = step(self);
        if let Err(LogError::Io { .. } | LogError::Cell(_) | LogError::Poisoned) = &result {
            tracing::error!(last = %self.last, synced = %self.synced, "the log is poisoned");
            self.poisoned = true;
        }
        result
    }

    fn write_staged(&mut self, dvlsn: Vlsn) -> Result<Option<Written>, LogError> {
        let bytes_max = if buggify!("vlsn-small-group") { 1 } else { self.config.group_bytes_max };
        let Some(staged) = self.tail.take_unwritten(bytes_max) else {
            return Ok(None);
        };
        let Staged { records, epoch, eager, lazy } = staged;
        if epoch != self.epoch {
            sometimes!(true, "vlsn-write-overtaken-by-a-cut");
            return Ok(None);
        }
        let written = self.write_records(&records, dvlsn);
        if matches!(written, Err(LogError::Full { .. })) && mutant!("vlsn-full-skips-what-waits") {
            self.tail.mark_written(records[records.len() - 1].point().vlsn, epoch);
        }
        let bytes = written?;
        self.tail.mark_written(self.last.vlsn, epoch);
        let first = records[0].point().vlsn;
        let eager = eager > self.synced.vlsn;
        let told = lazy >= first || bytes >= TOLD_BYTES;
        Ok(Some(Written { first, last: self.last, bytes, epoch, eager, told }))
    }

    /// Writes records behind the last one, into as many segments as it takes.
    fn write_records(&mut self, records: &[Record], dvlsn: Vlsn) -> Result<usize, LogError> {
        let group = self.group.ok_or(LogError::NoGroup)?;
        let mut bytes = 0;
        let mut rest = records;
        while let Some(first) = rest.first() {
            assert_eq!(first.point().vlsn, self.last.vlsn.next(), "records are written in order");
            if self.room() < MARK_BYTES + first.bytes().len() {
                match self.roll(group, first.bytes().len()) {
                    // What has been written is told first.
                    Err(LogError::Full { .. }) if bytes > 0 => return Ok(bytes),
                    rolled => rolled?,
                }
            }
            let run = &rest[..self.fitting(rest)];
            bytes += self.write_run(run, dvlsn)?;
            rest = &rest[run.len()..];
        }
        Ok(bytes)
    }

    /// Bytes that the active segment still takes; the room of the mark that closes the log is not among them.
    fn room(&self) -> usize {
        self.active
            .as_ref()
            .map_or(0, |active| active.len.saturating_sub(active.end + MARK_BYTES as u64) as usize)
    }

    /// How many of `records` fit, with a mark before them. At least one does.
    fn fitting(&self, records: &[Record]) -> usize {
        let mut room = self.room() - MARK_BYTES;
        let fits = |record: &&Record| match room.checked_sub(record.bytes().len()) {
            Some(left) => {
                room = left;
                true
            }
            None => false,
        };
        records.iter().take_while(fits).count()
    }

    fn write_run(&mut self, records: &[Record], dvlsn: Vlsn) -> Result<usize, LogError> {
        let mut mark = Mark { epoch: self.epoch, synced: self.synced.vlsn, dvlsn };
        if mutant!("vlsn-mark-says-written") {
            mark.synced = self.last.vlsn;
        }
        let active = self.active.as_mut().expect("there is a segment to write to");
        let seed = active.segment.header.seed();
        let mut parts = Vec::with_capacity(1 + records.len());
        parts.push(Bytes::copy_from_slice(&mark.encode(seed, active.end)));
        parts.extend(records.iter().map(|record| record.bytes().clone()));
        self.dirty = true;
        active.segment.file.write_vectored_at(active.end, &parts).during("write")?;
        active.end += MARK_BYTES as u64;
        let mut bytes = 0;
        if let Some(untold) = &mut self.untold {
            untold.add_mark(mark);
        }
        let mut table = self.files.write();
        for record in records {
            if let Some(untold) = &mut self.untold {
                untold.add(record, active.end, self.config.stride());
            }
            let position = Position { segment: active.segment.first(), offset: active.end };
            table.index.register(record.point().vlsn, position);
            active.end += record.bytes().len() as u64;
            bytes += record.bytes().len();
        }
        drop(table);
        self.last_mark = Some(mark);
        self.advance(records);
        Ok(bytes)
    }

    /// The files now end with the last of `records`.
    fn advance(&mut self, records: &[Record]) {
        for record in records {
            if record.point().term > self.last.term {
                let opening = opening(record).expect("a term begins with an entry that opens it");
                self.history.push(opening).expect("openings follow each other");
            }
            self.last = record.point();
            self.last_crc = record.header_crc();
        }
    }

    /// Begins a new segment. Everything before it is synced first, so that its existence vouches for that;
    /// and it gets its name only when its header is durable, so that a named segment has a header.
    fn roll(&mut self, group: GroupId, record_bytes: usize) -> Result<(), LogError> {
        self.sync_files()?;
        self.tell_index();
        self.checkpoint.sync();
        let opening = self.history.start_of(self.last.vlsn);
        let first = self.last.vlsn.next();
        let header =
            SegmentHeader { group, first, prev: self.last, prev_crc: self.last_crc, opening };
        let name = segment_name(first);
        let making = format!("{name}.new");
        if self.disk.open(&making).during("open")?.is_some() {
            self.disk.remove(&making).during("remove what a crash left")?;
        }
        let len = self.config.segment_len(record_bytes);
        let file = self.make_room(&making, len)?;
        file.write_at(0, &header.encode()).during("write segment header")?;
        file.sync().during("sync segment header")?;
        self.disk.rename(&making, &name).during("name segment")?;
        if !mutant!("vlsn-skip-directory-sync") {
            self.disk.sync_dir(LOG_DIR).during("sync directory")?;
        }
        self.begin()?;
        let segment = Arc::new(Segment { header, file });
        self.files.write().segments.insert(first, Arc::clone(&segment));
        self.untold = Some(Section::of_segment(&header));
        self.active = Some(Active::at(segment, SEGMENT_HEADER_BYTES as u64, len));
        Ok(())
    }

    /// A new file of that length, if that leaves what is to stay free. A file that did not fit is removed again.
    fn make_room(&self, name: &str, len: u64) -> Result<D::File, LogError> {
        let full = LogError::Full { bytes: len };
        let free = self.disk.free_bytes().during("ask for free space")?;
        if free.is_some_and(|free| free < len.saturating_add(self.config.reserve_bytes)) {
            return Err(full);
        }
        let made = self.disk.create(name).and_then(|file| file.allocate(len).map(|()| file));
        match made {
            Err(error) if is_full(&error) => {
                if self.disk.open(name).during("open")?.is_some() {
                    self.disk.remove(name).during("remove what did not fit")?;
                }
                Err(full)
            }
            made => Ok(made.during("make a segment")?),
        }
    }

    /// Remembers, once, that there is a log: see the `cut` module.
    pub(crate) fn begin(&mut self) -> Result<(), LogError> {
        if !self.begun {
            self.store_cut(None)?;
            self.begun = true;
        }
        Ok(())
    }

    pub(crate) fn store_cut(&mut self, keep: Option<LogPoint>) -> Result<(), LogError> {
        self.cell.store(&self.cut(keep).encode())?;
        self.cell_epoch = self.epoch;
        Ok(())
    }

    /// Tells the index file what it has not been told: all of it is synced.
    pub(crate) fn tell_index(&mut self) {
        debug_assert_eq!(
            self.synced, self.last,
            "the index tells of nothing that a crash may take"
        );
        let Some(head) = self.index_head() else { return };
        if let Some(untold) = self.untold.take_if(|untold| !untold.is_empty()) {
            self.untold = Some(untold.successor());
            self.checkpoint.append(head, &[untold]);
        }
    }

    pub(crate) fn index_head(&self) -> Option<Head> {
        let (epoch, stride) = (self.cell_epoch, self.config.stride());
        self.group.map(|group| Head { group, epoch, stride })
    }

    fn cut(&self, keep: Option<LogPoint>) -> Cut {
        let first = self.files.read().head().map_or(Vlsn::FIRST, |(first, _)| first);
        Cut { epoch: self.epoch, first, keep }
    }

    fn sync_files(&mut self) -> Result<(), LogError> {
        if self.dirty
            && !mutant!("vlsn-skip-log-sync")
            && let Some(active) = &self.active
        {
            active.segment.file.sync().during("sync")?;
        }
        self.dirty = false;
        self.synced = self.last;
        let due = self.config.checkpoint_bytes.max(1);
        if self.untold.as_ref().is_some_and(|untold| untold.segment_bytes() >= due) {
            self.tell_index();
        }
        Ok(())
    }

    /// A mark behind everything, unless the last one says the same or there is no room for it.
    pub(crate) fn write_last_mark(&mut self, dvlsn: Vlsn) -> Result<(), LogError> {
        let mark = Mark { epoch: self.epoch, synced: self.synced.vlsn, dvlsn };
        let Some(active) = &mut self.active else { return Ok(()) };
        if self.last_mark == Some(mark) || active.len < active.end + MARK_BYTES as u64 {
            return Ok(());
        }
        let bytes = mark.encode(active.segment.header.seed(), active.end);
        active.segment.file.write_at(active.end, &bytes).during("write mark")?;
        active.end += MARK_BYTES as u64;
        self.last_mark = Some(mark);
        if let Some(untold) = &mut self.untold {
            untold.add_mark(mark);
        }
        self.dirty = true;
        self.sync_files()
    }
}

/// Whether there is no space, or none for us.
fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A quota is no broken disk.
    #[test]
    fn no_space_for_us_is_no_space() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            assert!(is_full(&kind.into()), "{kind}");
        }
        assert!(!is_full(&io::ErrorKind::PermissionDenied.into()));
    }
}
