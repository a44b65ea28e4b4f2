//! A run of entries with what its taker has to know of it.
//!
//! ```text
//!  0  version   u8    1
//!  1  reserved  3     0
//!  4  shard     u32
//!  8  digest    16    the first half of the SHA-256 of the shard and of all that follows
//! 24  before    80    what is said of the entry before the first, as in a segment file of the log
//! 104 entries         records back to back, as in the log
//! ```
//! All little-endian.

use super::error::SegmentError;
use crate::restore::Digest16;
use bytes::{BufMut, Bytes, BytesMut};
use rep_vlsn::record::{ENTRY_BYTES_MAX, HEADER_BYTES};
use rep_vlsn::segment::SEGMENT_HEADER_BYTES;
use rep_vlsn::{Batch, Beginning, GroupId, LogPoint};
use std::fmt;

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 24;
/// The bytes of entries of one segment, unless its first entry alone is longer.
pub(super) const RUN_BYTES: usize = 4 << 20;
/// The longest encoded segment, in bytes.
pub const SEGMENT_BYTES_MAX: usize =
    PREFIX_BYTES + SEGMENT_HEADER_BYTES + HEADER_BYTES + ENTRY_BYTES_MAX;

/// Which of several logs that go to one place a segment is of. A group has one log; who runs many groups numbers them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u32);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}

/// A run of entries, all durable in their group. One that exists is whole and chained.
#[derive(Clone, PartialEq, Eq)]
pub struct Segment {
    shard: ShardId,
    beginning: Beginning,
    entries: Batch,
    digest: Digest16,
}

impl Segment {
    /// The segment of `entries`, the first of which is that of `beginning`.
    ///
    /// # Errors
    ///
    /// [`SegmentError::Torn`] if it is another one.
    pub fn new(
        shard: ShardId,
        beginning: Beginning,
        entries: Batch,
    ) -> Result<Segment, SegmentError> {
        if entries.records()[0] != *beginning.record() {
            return Err(SegmentError::Torn);
        }
        let digest = digest_of(shard, &body(&beginning, &entries));
        Ok(Segment { shard, beginning, entries, digest })
    }

    /// The group.
    pub fn group(&self) -> GroupId {
        self.beginning.group()
    }

    /// Of which log.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// The entry before the first.
    pub fn prev(&self) -> LogPoint {
        self.beginning.prev()
    }

    /// The first entry.
    pub fn first(&self) -> LogPoint {
        self.entries.first_point()
    }

    /// The last entry.
    pub fn last(&self) -> LogPoint {
        self.entries.last()
    }

    /// The entries.
    pub fn entries(&self) -> &Batch {
        &self.entries
    }

    /// The first entry, as a log can begin with it.
    pub fn beginning(&self) -> &Beginning {
        &self.beginning
    }

    /// The digest over shard and content. Two members of a group give equal digests to the same run of entries.
    pub fn digest(&self) -> Digest16 {
        self.digest
    }

    /// The segment as bytes: at most [`SEGMENT_BYTES_MAX`], if it comes from a [`Shipper`](super::Shipper).
    pub fn encode(&self) -> Bytes {
        let body = body(&self.beginning, &self.entries);
        let mut out = BytesMut::with_capacity(PREFIX_BYTES + body.len());
        out.put_slice(&[VERSION, 0, 0, 0]);
        out.put_u32_le(self.shard.0);
        out.put_slice(&self.digest.0);
        out.put_slice(&body);
        out.freeze()
    }

    /// Reads what [`Segment::encode`] wrote, with everything tested.
    ///
    /// # Errors
    ///
    /// [`SegmentError`], the sender's doing; whatever the bytes are, there is no panic.
    pub fn decode(mut bytes: Bytes) -> Result<Segment, SegmentError> {
        if bytes.len() > SEGMENT_BYTES_MAX {
            return Err(SegmentError::TooLong { bytes: bytes.len() });
        }
        if bytes.len() < PREFIX_BYTES + SEGMENT_HEADER_BYTES {
            return Err(SegmentError::TooShort { bytes: bytes.len() });
        }
        let prefix = bytes.split_to(PREFIX_BYTES);
        if prefix[..4] != [VERSION, 0, 0, 0] {
            return Err(SegmentError::Version { found: prefix[0] });
        }
        let shard = ShardId(u32::from_le_bytes(prefix[4..8].try_into().expect("four bytes")));
        let digest = Digest16(prefix[8..].try_into().expect("sixteen bytes"));
        if digest_of(shard, &bytes) != digest {
            return Err(SegmentError::Digest);
        }
        let before = bytes.split_to(SEGMENT_HEADER_BYTES);
        let entries = Batch::parse(bytes)?;
        let first = entries.records()[0].bytes();
        let beginning = Beginning::decode([&before[..], first].concat().into())?;
        Ok(Segment { shard, beginning, entries, digest })
    }
}

fn body(beginning: &Beginning, entries: &Batch) -> Bytes {
    let mut out = BytesMut::with_capacity(SEGMENT_HEADER_BYTES + entries.byte_len());
    out.put_slice(&beginning.encode()[..SEGMENT_HEADER_BYTES]);
    entries.records().iter().for_each(|record| out.put_slice(record.bytes()));
    out.freeze()
}

fn digest_of(shard: ShardId, body: &[u8]) -> Digest16 {
    Digest16::of_parts([&shard.0.to_le_bytes(), body])
}

impl fmt::Debug for Segment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (first, last) = (self.first(), self.last());
        write!(f, "Segment({} {} {first}..={last})", self.group(), self.shard)
    }
}
