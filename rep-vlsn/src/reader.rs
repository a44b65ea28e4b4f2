//! Reading the log by VLSN, from any thread.
//!
//! What is new comes from the tail, without a copy; what is old comes from the files. Every read names
//! the append epoch in which the reader learnt of the range, so that bytes of a history that was cut in
//! the meantime are never taken for what replaced them.

use crate::batch::Batch;
use crate::beginning::Beginning;
use crate::disk::{Disk, DiskFile};
use crate::error::ReadError;
use crate::files::{Chain, Files, Found, Item, Scanner, Segment};
use crate::ids::{Epoch, LogPoint, Vlsn};
use crate::record::Record;
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader};
use crate::tail::{Place, Tail, TailRun};
use crate::{buggify, sometimes};
use bytes::Bytes;
use std::sync::Arc;

const CHUNK_BYTES_MIN: usize = 16 << 10;
const CHUNK_BYTES_MAX: usize = 256 << 10;

/// A handle for reading: cheap to clone, usable from many threads at once.
#[derive(Debug)]
pub struct LogReader<D: Disk> {
    files: Arc<Files<D::File>>,
    tail: Tail,
}

impl<D: Disk> Clone for LogReader<D> {
    fn clone(&self) -> Self {
        LogReader { files: Arc::clone(&self.files), tail: self.tail.clone() }
    }
}

/// A run of records as bytes, ready to be sent: local marks removed, checksums and chain tested.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Run {
    /// The place before the first entry.
    pub prev: LogPoint,
    /// The first entry.
    pub first: Vlsn,
    /// The last entry.
    pub last: LogPoint,
    /// The records, one behind the other: from the files a slice for all that stand side by side and were read at once.
    pub slices: Vec<Bytes>,
    /// Bytes of all slices together.
    pub bytes: usize,
}

/// One file of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentSize {
    /// Its first entry.
    pub first: Vlsn,
    /// Its length, which the newest segment has before it is full.
    pub bytes: u64,
}

impl<D: Disk> LogReader<D> {
    pub(crate) fn new(files: Arc<Files<D::File>>, tail: Tail) -> Self {
        LogReader { files, tail }
    }

    /// Entries `from..=to`, or as many of them from the first on as fit into `bytes_max`; always at least
    /// one, however long. Entries that are staged count, written or not.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] if the log was cut since `epoch`, also while it was being read; and the others.
    pub fn read(
        &self,
        from: Vlsn,
        to: Vlsn,
        bytes_max: usize,
        epoch: Epoch,
    ) -> Result<Run, ReadError> {
        let (TailRun { prev, records }, slices) = self.records(from, to, bytes_max, epoch)?;
        let last = records.last().map_or(prev, Record::point);
        let bytes = slices.iter().map(Bytes::len).sum();
        Ok(Run { prev, first: from, last, slices, bytes })
    }

    /// The same as a checked batch, for whoever applies the entries.
    ///
    /// # Errors
    ///
    /// As [`LogReader::read`].
    pub fn batch(
        &self,
        from: Vlsn,
        to: Vlsn,
        bytes_max: usize,
        epoch: Epoch,
    ) -> Result<Batch, ReadError> {
        let (run, _) = self.records(from, to, bytes_max, epoch)?;
        Batch::of(run.records).map_err(|_| ReadError::Damaged { vlsn: from })
    }

    /// An entry of the files as the beginning of another log. The segment is read from its beginning up to it, for what
    /// is to be said of the entry before.
    ///
    /// # Errors
    ///
    /// [`ReadError::Truncated`] if the log holds another entry in its place, [`ReadError::NotYet`] if it is not in the files; and the
    /// others of [`LogReader::read`].
    pub fn beginning(&self, point: LogPoint) -> Result<Beginning, ReadError> {
        let segment = self.files.segment_of(point.vlsn)?;
        let SegmentHeader { group, mut prev, mut opening, .. } = segment.header;
        let chain = Chain::after_header(&segment.header);
        let at = SEGMENT_HEADER_BYTES as u64;
        let mut scanner = Scanner::new(segment, at, chain, CHUNK_BYTES_MAX);
        loop {
            let record = match scanner.step()? {
                Item::Mark(_) => continue,
                Item::Record(record, _) => record,
                Item::Stop(_) => return Err(ReadError::Damaged { vlsn: scanner.chain().next }),
            };
            if record.point().vlsn == point.vlsn {
                let damaged = |_| ReadError::Damaged { vlsn: point.vlsn };
                let held = Beginning::new(group, prev, opening, record).map_err(damaged)?;
                return if held.point() == point { Ok(held) } else { Err(ReadError::Truncated) };
            }
            if record.point().term > prev.term {
                opening = crate::batch::opening(&record);
            }
            prev = record.point();
        }
    }

    /// The first entry held; the first of all if there is none.
    pub fn first(&self) -> Vlsn {
        self.files.read().head().map_or(Vlsn::FIRST, |(first, _)| first)
    }

    /// The log's files, oldest first: what could be cleaned, and what that would free.
    ///
    /// # Errors
    ///
    /// If the disk does not tell how long a file is.
    pub fn segments(&self) -> Result<Vec<SegmentSize>, ReadError> {
        let segments: Vec<_> = self.files.read().segments.values().map(Arc::clone).collect();
        let size = |segment: &Arc<Segment<D::File>>| {
            Ok(SegmentSize { first: segment.first(), bytes: segment.file.len()? })
        };
        segments.iter().map(size).collect()
    }

    pub(crate) fn files(&self) -> &Files<D::File> {
        &self.files
    }

    /// The newest records.
    pub fn tail(&self) -> &Tail {
        &self.tail
    }

    fn records(
        &self,
        from: Vlsn,
        to: Vlsn,
        bytes_max: usize,
        epoch: Epoch,
    ) -> Result<(TailRun, Vec<Bytes>), ReadError> {
        let to = match self.tail.look_up(from, to.max(from), bytes_max, epoch)? {
            Place::Here(run) => {
                let slices = run.records.iter().map(|record| record.bytes().clone()).collect();
                return Ok((run, slices));
            }
            Place::Files { to } => to,
        };
        let mut hinted = !buggify!("vlsn-walk-without-the-index");
        sometimes!(hinted, "vlsn-read-from-files");
        loop {
            let first = self.first();
            let run = self.read_files(from, to, bytes_max, hinted);
            // A cut explains whatever else seemed wrong: it is told first.
            self.tail.check(epoch)?;
            match run {
                // A cleaning took what the walk came through, on its way to what may still be there.
                Err(ReadError::Damaged { .. }) if self.first() > first => {}
                // A place in the index file is only a hint.
                Err(ReadError::Damaged { .. }) if hinted => hinted = false,
                run => return run,
            }
        }
    }

    fn read_files(
        &self,
        from: Vlsn,
        to: Vlsn,
        bytes_max: usize,
        hinted: bool,
    ) -> Result<(TailRun, Vec<Bytes>), ReadError> {
        let head = self.files.read().head();
        let (first, before_first) = head.ok_or(ReadError::NotYet)?;
        if from < first {
            return Err(ReadError::Cleaned { first });
        }
        // The walk begins one entry early, to learn the place before the range.
        let start = from.prev().max(first);
        let chunk_bytes = bytes_max.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let walk = match hinted {
            true => self.files.walk(start, chunk_bytes),
            false => self.files.walk_unhinted(start, chunk_bytes),
        };
        let mut walk = walk.ok_or(ReadError::Damaged { vlsn: from })?;
        let mut stretches = Stretches::default();
        let mut run = TailRun { prev: before_first, records: Vec::new() };
        let mut bytes = 0;
        loop {
            let Found { record, offset, window, .. } = walk.next()?;
            let LogPoint { vlsn, .. } = record.point();
            if vlsn < from {
                run.prev = record.point();
                continue;
            }
            bytes += record.bytes().len();
            if bytes > bytes_max && !run.records.is_empty() {
                return Ok((run, stretches.slices()));
            }
            stretches.add(&record, offset, window);
            run.records.push(record);
            if vlsn >= to {
                return Ok((run, stretches.slices()));
            }
        }
    }
}

/// Joins records that stand side by side in what was read at once.
#[derive(Default)]
struct Stretches {
    done: Vec<Bytes>,
    open: Option<Stretch>,
}

struct Stretch {
    window: Bytes,
    window_at: u64,
    start: u64,
    end: u64,
}

impl Stretches {
    fn add(&mut self, record: &Record, offset: u64, (window, window_at): (Bytes, u64)) {
        let end = offset + record.bytes().len() as u64;
        if let Some(open) = &mut self.open
            && open.end == offset
            && open.window.as_ptr() == window.as_ptr()
        {
            open.end = end;
            return;
        }
        self.finish();
        self.open = Some(Stretch { window, window_at, start: offset, end });
    }

    fn finish(&mut self) {
        if let Some(Stretch { window, window_at, start, end }) = self.open.take() {
            let range = (start - window_at) as usize..(end - window_at) as usize;
            self.done.push(window.slice(range));
        }
    }

    fn slices(mut self) -> Vec<Bytes> {
        self.finish();
        self.done
    }
}
