//! Cutting the log, at its end and at its beginning.

use super::{LogWriter, Truncated};
use crate::checkpoint::Section;
use crate::disk::{Disk, DiskFile};
use crate::error::{During, LogError, ReadError};
use crate::files::{Found, Segment, Walk};
use crate::ids::{Epoch, LogPoint, Vlsn};
use crate::index::Position;
use crate::segment::{LOG_DIR, SEGMENT_HEADER_BYTES};
use crate::{mutant, sometimes};
use std::io;
use std::sync::Arc;

const CHUNK_BYTES: usize = 64 << 10;

/// Where the log will end.
struct End<F> {
    segment: Arc<Segment<F>>,
    offset: u64,
    crc: u32,
}

impl<D: Disk> LogWriter<D> {
    /// Cuts everything after `keep`, durably; on return everything up to `keep` is durable too, whether
    /// it had been written before or only staged. The tail has been truncated already, to the same epoch.
    ///
    /// A crash before it returns leaves either the old log or the cut one, never a mixture.
    ///
    /// # Errors
    ///
    /// [`LogError::NotHeld`] changes nothing. [`LogError::Full`]: there is no space yet for what is to be kept; nothing is cut, and the call
    /// may be made again. Any other poisons the log.
    pub fn truncate(&mut self, keep: LogPoint, epoch: Epoch) -> Result<Truncated, LogError> {
        self.guarded(|writer| writer.cut_after(keep, epoch))
    }

    /// Removes the whole segments at the head in which every entry lies before `before`; tells the first
    /// entry still held.
    ///
    /// # Errors
    ///
    /// Any error poisons the log.
    pub fn clean(&mut self, before: Vlsn) -> Result<Vlsn, LogError> {
        self.guarded(|writer| writer.clean_before(before))
    }

    fn cut_after(&mut self, keep: LogPoint, epoch: Epoch) -> Result<Truncated, LogError> {
        self.write_kept(keep.vlsn, epoch)?;
        self.sync_files()?;
        self.epoch = epoch;
        if self.last.vlsn > keep.vlsn {
            self.cut_files(keep)?;
        }
        self.tail.mark_written(self.last.vlsn, epoch);
        Ok(Truncated { point: self.last, epoch, last_crc: self.last_crc })
    }

    /// Writes what is to be kept and only staged so far. If the tail has been cut again since, another
    /// truncation follows, and it says what is to be kept.
    fn write_kept(&mut self, keep: Vlsn, epoch: Epoch) -> Result<(), LogError> {
        while self.last.vlsn < keep && self.tail.epoch() == epoch {
            let range = self.last.vlsn.next()..=keep;
            let Some(run) = self.tail.get(range, self.config.group_bytes_max) else { break };
            if self.tail.epoch() == epoch {
                sometimes!(true, "vlsn-cut-keeps-what-is-only-staged");
                let dvlsn = self.last_mark.map_or(Vlsn::NULL, |mark| mark.dvlsn);
                self.write_records(&run.records, dvlsn)?;
            }
        }
        Ok(())
    }

    fn cut_files(&mut self, keep: LogPoint) -> Result<(), LogError> {
        let end = self.find_end(keep)?;
        if !mutant!("vlsn-skip-cut-cell") {
            self.store_cut(Some(keep))?;
            self.begun = true;
        }
        self.forget_after(keep.vlsn, &end.segment);
        self.remove_after(end.segment.first())?;
        let len = end.segment.file.len().during("length of segment")?;
        if !mutant!("vlsn-cut-leaves-bytes") {
            end.segment.file.set_len(end.offset).during("cut segment")?;
        }
        end.segment.file.allocate(len).during("allocate segment")?;
        end.segment.file.sync().during("sync")?;
        self.store_cut(None)?;
        self.active = Some(super::Active::at(end.segment, end.offset, len));
        self.last_mark = None;
        self.history.truncate(keep.vlsn);
        self.last = keep;
        self.last_crc = end.crc;
        self.synced = keep;
        self.cut_index(keep);
        Ok(())
    }

    /// The index file forgets what was cut. What it had not been told of the segment it will be told by the next opening,
    /// unless the segment is empty.
    fn cut_index(&mut self, keep: LogPoint) {
        let active = self.active.as_ref().expect("a cut leaves a segment");
        let empty = active.end == SEGMENT_HEADER_BYTES as u64;
        self.untold = empty.then(|| Section::of_segment(&active.segment.header));
        if let Some(head) = self.index_head().filter(|_| !mutant!("vlsn-stale-index")) {
            self.checkpoint.retain(head, |section| section.last.vlsn <= keep.vlsn);
        }
    }

    /// Readers no longer find what is about to go.
    fn forget_after(&self, keep: Vlsn, last: &Segment<D::File>) {
        let mut table = self.files.write();
        table.index.truncate(keep);
        table.segments.retain(|first, _| *first <= last.first());
    }

    /// Unlinks the segments after the one that begins with `last`, the newest first.
    fn remove_after(&self, last: Vlsn) -> Result<(), LogError> {
        for name in self.disk.list(LOG_DIR).during("list segments")?.iter().rev() {
            if crate::segment::first_of(name).is_some_and(|first| first > last) {
                sometimes!(true, "vlsn-cut-crosses-a-segment");
                self.disk.remove(&format!("{LOG_DIR}/{name}")).during("remove segment")?;
            }
        }
        Ok(self.disk.sync_dir(LOG_DIR).during("sync directory")?)
    }

    /// Where the record of `keep` ends.
    fn find_end(&self, keep: LogPoint) -> Result<End<D::File>, LogError> {
        let head = self.files.read().segments.values().next().map(Arc::clone);
        if let Some(head) = head.filter(|head| head.header.prev == keep) {
            let crc = head.header.prev_crc;
            return Ok(End { segment: head, offset: SEGMENT_HEADER_BYTES as u64, crc });
        }
        match self.end_along(self.files.walk(keep.vlsn, CHUNK_BYTES), keep) {
            // A place in the index file is only a hint.
            Err(LogError::Io { .. }) => {
                self.end_along(self.files.walk_unhinted(keep.vlsn, CHUNK_BYTES), keep)
            }
            found => found,
        }
    }

    fn end_along(
        &self,
        walk: Option<Walk<'_, D::File>>,
        keep: LogPoint,
    ) -> Result<End<D::File>, LogError> {
        let not_held = LogError::NotHeld { point: keep };
        let Some(mut walk) = walk else { return Err(not_held) };
        loop {
            let Found { record, segment, offset, .. } = walk.next().map_err(unreadable)?;
            if record.point().vlsn == keep.vlsn {
                let offset = offset + record.bytes().len() as u64;
                let end = End { segment, offset, crc: record.header_crc() };
                return if record.point() == keep { Ok(end) } else { Err(not_held) };
            }
        }
    }

    fn clean_before(&mut self, before: Vlsn) -> Result<Vlsn, LogError> {
        let firsts: Vec<Vlsn> = self.files.read().segments.keys().copied().collect();
        let Some(&oldest) = firsts.first() else { return Ok(self.last.vlsn.next()) };
        let first = firsts.iter().copied().take_while(|first| *first <= before).last();
        let first = first.unwrap_or(oldest);
        if first == oldest {
            return Ok(oldest);
        }
        {
            let mut table = self.files.write();
            table.segments.retain(|segment, _| *segment >= first);
            let offset = SEGMENT_HEADER_BYTES as u64;
            table.index.clean(first, Position { segment: first, offset });
        }
        // Written down first: a head that goes missing otherwise is damage.
        if !mutant!("vlsn-clean-unnoted") {
            self.store_cut(None)?;
            self.begun = true;
        }
        for gone in firsts.into_iter().filter(|segment| *segment < first) {
            self.disk.remove(&crate::segment::segment_name(gone)).during("remove segment")?;
        }
        self.disk.sync_dir(LOG_DIR).during("sync directory")?;
        self.history.clean(first);
        if let Some(head) = self.index_head() {
            self.checkpoint.clean(head, first);
        }
        Ok(first)
    }
}

fn unreadable(error: ReadError) -> LogError {
    let source = match error {
        ReadError::Io(source) => source,
        other => io::Error::new(io::ErrorKind::InvalidData, other),
    };
    LogError::Io { what: "find the end of what is kept", source }
}
