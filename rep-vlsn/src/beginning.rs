//! An entry that a log can begin with, though everything before it is gone.
//!
//! Whoever was given a copy of a state has no use for the entries that made it, but its log has to go on somewhere: with
//! the entry at which the state was taken. For that it needs what a segment's header says of the entry before: its place, its
//! header's checksum, and who opened its term. So a *beginning* is, byte for byte, what a segment begins with that
//! has this entry first: the header, then the record.

use crate::files::Chain;
use crate::history::TermStart;
use crate::ids::{GroupId, LogPoint};
use crate::record::{ENTRY_BYTES_MAX, HEADER_BYTES, Record, RecordError};
use crate::segment::{HeaderError, SEGMENT_FORMAT, SEGMENT_HEADER_BYTES, SegmentHeader};
use bytes::{BufMut, Bytes, BytesMut};
use thiserror::Error;

/// An entry and what a log has to know of the one before it. One that exists is whole: the entry follows what it is said
/// to follow, and a term that it begins has an opener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Beginning {
    header: SegmentHeader,
    record: Record,
}

/// Parts or bytes that are no beginning. Whoever sent them is at fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum BeginningError {
    /// What is said of the entry before is damaged, or cannot be.
    #[error("what is said of the entry before cannot be")]
    Before,
    /// It is written in a format that this version does not know.
    #[error("a beginning of format {found}, this version knows {known}")]
    Version {
        /// The format that it names.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// The entry is damaged or malformed.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// The entry does not follow the one before it.
    #[error("entry {point} does not follow {prev}: {what}")]
    NotChained {
        /// The entry.
        point: LogPoint,
        /// The place before it.
        prev: LogPoint,
        /// What does not fit.
        what: &'static str,
    },
    /// Something stands behind the entry.
    #[error("{bytes} bytes behind the entry")]
    Behind {
        /// How many bytes.
        bytes: usize,
    },
}

impl Beginning {
    /// The most bytes that one takes.
    pub const BYTES_MAX: usize = SEGMENT_HEADER_BYTES + HEADER_BYTES + ENTRY_BYTES_MAX;

    /// The beginning `record` of a log of `group`, behind the entry `prev`, whose term was opened by `opening`: `None` only
    /// if there is no entry before.
    ///
    /// # Errors
    ///
    /// [`BeginningError::Before`] and [`BeginningError::NotChained`], if the parts do not agree.
    pub fn new(
        group: GroupId,
        prev: LogPoint,
        opening: Option<TermStart>,
        record: Record,
    ) -> Result<Beginning, BeginningError> {
        let (first, prev_crc) = (record.point().vlsn, record.header().prev_crc);
        if opening.is_some_and(|opening| opening.term != prev.term) {
            return Err(BeginningError::Before);
        }
        let header = SegmentHeader { group, first, prev, prev_crc, opening };
        if header.can_be() {
            Beginning::checked(header, record)
        } else {
            Err(BeginningError::Before)
        }
    }

    /// Reads what [`Beginning::encode`] wrote, with everything tested.
    ///
    /// # Errors
    ///
    /// Any; whatever the bytes are, there is no panic.
    pub fn decode(mut bytes: Bytes) -> Result<Beginning, BeginningError> {
        let header = SegmentHeader::decode(&bytes).map_err(|error| match error {
            HeaderError::Damaged => BeginningError::Before,
            HeaderError::Version(found) => BeginningError::Version { found, known: SEGMENT_FORMAT },
        })?;
        // One spelling: what is reserved is zero.
        if header.encode() != bytes[..SEGMENT_HEADER_BYTES] {
            return Err(BeginningError::Before);
        }
        let _ = bytes.split_to(SEGMENT_HEADER_BYTES);
        let record = Record::split_from(&mut bytes)?;
        match bytes.len() {
            0 => Beginning::checked(header, record),
            bytes => Err(BeginningError::Behind { bytes }),
        }
    }

    /// The beginning as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES + self.record.bytes().len());
        out.put_slice(&self.header.encode());
        out.put_slice(self.record.bytes());
        out.freeze()
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.header.group
    }

    /// The place before the entry.
    pub fn prev(&self) -> LogPoint {
        self.header.prev
    }

    /// The opening of the term that the entry belongs to.
    pub fn term_start(&self) -> TermStart {
        let opened = crate::batch::opening(&self.record).filter(|_| self.opens_term());
        opened
            .or(self.header.opening)
            .expect("it opens a term, or belongs to that of the one before")
    }

    /// The entry.
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where the entry stands.
    pub fn point(&self) -> LogPoint {
        self.record.point()
    }

    pub(crate) fn header(&self) -> &SegmentHeader {
        &self.header
    }

    fn opens_term(&self) -> bool {
        self.record.point().term > self.header.prev.term
    }

    fn checked(header: SegmentHeader, record: Record) -> Result<Beginning, BeginningError> {
        let refuse = |what| {
            let (point, prev) = (record.point(), header.prev);
            Err(BeginningError::NotChained { point, prev, what })
        };
        if let Err(what) = Chain::after_header(&header).admits(record.header()) {
            return refuse(what);
        }
        if record.point().term > header.prev.term && record.opener().is_none() {
            return refuse("a term begins without an opening entry");
        }
        Ok(Beginning { header, record })
    }
}
