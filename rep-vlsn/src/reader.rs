//! Reading the log by VLSN, from any thread.
//!
//! What is new comes from the tail, without a copy; what is old comes from the files. Every read names
//! the append epoch in which the reader learnt of the range, so that bytes of a history that was cut in
//! the meantime are never taken for what replaced them.

use crate::batch::Batch;
use crate::disk::Disk;
use crate::error::ReadError;
use crate::files::Files;
use crate::ids::{Epoch, LogPoint, Vlsn};
use crate::record::Record;
use crate::tail::{Place, Tail, TailRun};
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
    /// The records, one behind the other.
    pub slices: Vec<Bytes>,
    /// Bytes of all slices together.
    pub bytes: usize,
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
        let TailRun { prev, records } = self.records(from, to, bytes_max, epoch)?;
        let last = records.last().map_or(prev, Record::point);
        let slices: Vec<Bytes> = records.into_iter().map(|record| record.bytes().clone()).collect();
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
        let run = self.records(from, to, bytes_max, epoch)?;
        Batch::of(run.records).map_err(|_| ReadError::Damaged { vlsn: from })
    }

    /// The first entry held; the first of all if there is none.
    pub fn first(&self) -> Vlsn {
        self.files.read().head().map_or(Vlsn::FIRST, |(first, _)| first)
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
    ) -> Result<TailRun, ReadError> {
        let to = match self.tail.look_up(from, to.max(from), bytes_max, epoch)? {
            Place::Here(run) => return Ok(run),
            Place::Files { to } => to,
        };
        loop {
            let first = self.first();
            let run = self.read_files(from, to, bytes_max);
            // A cut explains whatever else seemed wrong: it is told first.
            self.tail.check(epoch)?;
            match run {
                // A cleaning took what the walk came through, on its way to what may still be there.
                Err(ReadError::Damaged { .. }) if self.first() > first => {}
                run => return run,
            }
        }
    }

    fn read_files(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<TailRun, ReadError> {
        let head = self.files.read().head();
        let (first, before_first) = head.ok_or(ReadError::NotYet)?;
        if from < first {
            return Err(ReadError::Cleaned { first });
        }
        // The walk begins one entry early, to learn the place before the range.
        let start = from.prev().max(first);
        let chunk_bytes = bytes_max.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX);
        let mut walk =
            self.files.walk(start, chunk_bytes).ok_or(ReadError::Damaged { vlsn: from })?;
        let mut run = TailRun { prev: before_first, records: Vec::new() };
        let mut bytes = 0;
        loop {
            let record = walk.next()?.record;
            let LogPoint { vlsn, .. } = record.point();
            if vlsn < from {
                run.prev = record.point();
                continue;
            }
            bytes += record.bytes().len();
            if bytes > bytes_max && !run.records.is_empty() {
                return Ok(run);
            }
            run.records.push(record);
            if vlsn >= to {
                return Ok(run);
            }
        }
    }
}
