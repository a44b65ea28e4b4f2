//! The segments that make up the log, as its writer and its readers share them; and how they are walked.

mod scanner;

pub(crate) use scanner::{Chain, Item, Scanner, Stop, read_window};

use crate::disk::DiskFile;
use crate::error::ReadError;
use crate::ids::{LogPoint, Term, Vlsn};
use crate::index::{Position, VlsnIndex};
use crate::record::Record;
use crate::segment::{SEGMENT_HEADER_BYTES, SegmentHeader, segment_name};
use crate::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use bytes::Bytes;
use std::collections::BTreeMap;
use std::sync::Arc;

/// An open segment.
#[derive(Debug)]
pub(crate) struct Segment<F> {
    pub(crate) header: SegmentHeader,
    pub(crate) file: F,
}

impl<F> Segment<F> {
    pub(crate) fn first(&self) -> Vlsn {
        self.header.first
    }

    pub(crate) fn name(&self) -> String {
        segment_name(self.header.first)
    }
}

/// The segments, what of them may be read, and where to find it.
#[derive(Debug)]
pub(crate) struct Table<F> {
    pub(crate) segments: BTreeMap<Vlsn, Arc<Segment<F>>>,
    pub(crate) index: VlsnIndex,
}

/// The table, shared.
#[derive(Debug)]
pub(crate) struct Files<F> {
    table: RwLock<Table<F>>,
}

impl<F: DiskFile> Files<F> {
    pub(crate) fn new(table: Table<F>) -> Self {
        Files { table: RwLock::new(table) }
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Table<F>> {
        self.table.read()
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Table<F>> {
        self.table.write()
    }

    /// A walk that meets entry `from` and all after it, perhaps some before it. `None` if `from` is in no file.
    pub(crate) fn walk(&self, from: Vlsn, chunk_bytes: usize) -> Option<Walk<'_, F>> {
        let table = self.read();
        let (vlsn, Position { segment, offset }) = table.index.floor(from)?;
        let segment = Arc::clone(table.segments.get(&segment)?);
        drop(table);
        let mut chain = Chain { next: vlsn, term: Term::ZERO, crc: None };
        if offset == SEGMENT_HEADER_BYTES as u64 {
            chain = Chain::after_header(&segment.header);
        }
        let scanner = Scanner::new(segment, offset, chain, chunk_bytes);
        Some(Walk { files: self, scanner })
    }

    /// The same from the beginning of the segment, for when the index gave a bad hint.
    pub(crate) fn walk_unhinted(&self, from: Vlsn, chunk_bytes: usize) -> Option<Walk<'_, F>> {
        let segment =
            self.read().segments.range(..=from).next_back().map(|(_, s)| Arc::clone(s))?;
        let chain = Chain::after_header(&segment.header);
        let scanner = Scanner::new(segment, SEGMENT_HEADER_BYTES as u64, chain, chunk_bytes);
        Some(Walk { files: self, scanner })
    }

    /// The segment that holds entry `vlsn`.
    pub(crate) fn segment_of(&self, vlsn: Vlsn) -> Result<Arc<Segment<F>>, ReadError> {
        let table = self.read();
        let (first, _) = table.head().ok_or(ReadError::NotYet)?;
        if vlsn < first {
            return Err(ReadError::Cleaned { first });
        }
        let (found, _) = table.index.floor(vlsn).ok_or(ReadError::NotYet)?;
        let segment = table.segments.range(..=vlsn).next_back().map(|(_, s)| Arc::clone(s));
        segment.ok_or(ReadError::Damaged { vlsn: found })
    }

    fn starting_at(&self, first: Vlsn) -> Option<Arc<Segment<F>>> {
        self.read().segments.get(&first).cloned()
    }
}

impl<F> Table<F> {
    /// The first entry of the first segment, and the place before it.
    pub(crate) fn head(&self) -> Option<(Vlsn, LogPoint)> {
        self.segments.values().next().map(|segment| (segment.first(), segment.header.prev))
    }
}

/// A walk over the records of the log, from segment to segment.
#[derive(Debug)]
pub(crate) struct Walk<'a, F> {
    files: &'a Files<F>,
    scanner: Scanner<F>,
}

/// A record, and where it stands.
#[derive(Debug)]
pub(crate) struct Found<F> {
    pub(crate) record: Record,
    pub(crate) segment: Arc<Segment<F>>,
    pub(crate) offset: u64,
    /// The bytes that were read at once with the record, and where in the file they begin.
    pub(crate) window: (Bytes, u64),
}

impl<F: DiskFile> Walk<'_, F> {
    /// The next record. That there is one is the caller's belief: whatever else is found is damage.
    pub(crate) fn next(&mut self) -> Result<Found<F>, ReadError> {
        loop {
            match self.scanner.step()? {
                Item::Mark(_) => {}
                Item::Record(record, offset) => {
                    let segment = Arc::clone(self.scanner.segment());
                    let window = self.scanner.window();
                    return Ok(Found { record, segment, offset, window });
                }
                Item::Stop(_) => self.cross()?,
            }
        }
    }

    /// Goes on in the segment that begins with the entry that is due.
    fn cross(&mut self) -> Result<(), ReadError> {
        let chain = self.scanner.chain();
        let next = self.files.starting_at(chain.next);
        match next.filter(|next| next.first() > self.scanner.segment().first()) {
            Some(next) => {
                self.scanner.go_on_in(next);
                Ok(())
            }
            None => Err(ReadError::Damaged { vlsn: chain.next }),
        }
    }
}
