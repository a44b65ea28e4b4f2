//! A validated run of entries.
//!
//! A batch that exists is dense, chained and checksummed: whoever holds one need not look again. A
//! reader thread makes it from the bytes of a peer, so that the protocol never meets unchecked entries.

use crate::history::TermStart;
use crate::ids::{LogPoint, Vlsn};
use crate::record::{Record, RecordError};
use bytes::Bytes;
use thiserror::Error;

/// Bytes that are no batch. Whoever sent them is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BatchError {
    /// No entry at all.
    #[error("a batch holds at least one entry")]
    Empty,
    /// An entry is damaged or malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// An entry does not follow the one before it: gap, falling term, or broken chain.
    #[error("entry {after} does not follow {before}: {what}")]
    NotChained {
        /// The entry before.
        before: LogPoint,
        /// The entry that should follow it.
        after: LogPoint,
        /// What does not fit.
        what: &'static str,
    },
}

/// At least one entry; VLSNs dense, terms never decreasing, each header chained to the one before, each
/// checksum right, and each new term opened by an entry that names its opener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    records: Vec<Record>,
    bytes: usize,
}

impl Batch {
    /// Checks a run of records as they come over the wire or from a file.
    pub fn parse(mut bytes: Bytes) -> Result<Batch, BatchError> {
        let mut records: Vec<Record> = Vec::new();
        while !bytes.is_empty() {
            let record = Record::split_from(&mut bytes)?;
            if let Some(before) = records.last() {
                follows(before, &record)?;
            }
            records.push(record);
        }
        Batch::checked(records)
    }

    /// A batch of records that are already whole: their order and chain are checked.
    pub fn of(records: Vec<Record>) -> Result<Batch, BatchError> {
        for pair in records.windows(2) {
            follows(&pair[0], &pair[1])?;
        }
        Batch::checked(records)
    }

    fn checked(records: Vec<Record>) -> Result<Batch, BatchError> {
        if records.is_empty() {
            return Err(BatchError::Empty);
        }
        let bytes = records.iter().map(|record| record.bytes().len()).sum();
        Ok(Batch { records, bytes })
    }

    /// The entries, in order.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The entries, in order.
    pub fn into_records(self) -> Vec<Record> {
        self.records
    }

    /// The first entry's number.
    pub fn first(&self) -> Vlsn {
        self.first_record().point().vlsn
    }

    /// The first entry's place.
    pub fn first_point(&self) -> LogPoint {
        self.first_record().point()
    }

    /// The last entry's place.
    pub fn last(&self) -> LogPoint {
        self.last_record().point()
    }

    /// Header CRC of the entry before the first, as the first tells it.
    pub fn prev_crc(&self) -> u32 {
        self.first_record().header().prev_crc
    }

    /// Header CRC of the last entry.
    pub fn last_crc(&self) -> u32 {
        self.last_record().header_crc()
    }

    /// Bytes of all records together.
    pub fn byte_len(&self) -> usize {
        self.bytes
    }

    /// Each entry in the batch that may open a term, as an opening (only the first of its term is one).
    pub fn openings(&self) -> impl Iterator<Item = TermStart> + '_ {
        self.records.iter().filter_map(opening)
    }

    fn first_record(&self) -> &Record {
        self.records.first().expect("a batch is never empty")
    }

    fn last_record(&self) -> &Record {
        self.records.last().expect("a batch is never empty")
    }
}

/// The term opening that `record` would be, if its kind may open one.
pub(crate) fn opening(record: &Record) -> Option<TermStart> {
    let LogPoint { term, vlsn } = record.point();
    record.opener().map(|node| TermStart { term, start: vlsn, node })
}

fn follows(before: &Record, after: &Record) -> Result<(), BatchError> {
    let refuse =
        |what| Err(BatchError::NotChained { before: before.point(), after: after.point(), what });
    if after.point().vlsn != before.point().vlsn.next() {
        return refuse("numbers are not dense");
    }
    if after.point().term < before.point().term {
        return refuse("terms fall");
    }
    if after.point().term > before.point().term && after.opener().is_none() {
        return refuse("a term begins without an opening entry");
    }
    if after.header().prev_crc != before.header_crc() {
        return refuse("the chain is broken");
    }
    Ok(())
}
