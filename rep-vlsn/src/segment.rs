//! The log's files as bytes: a segment's header, and the local marks between the records.
//!
//! A segment is a preallocated file of records back to back, as they came over the wire. What this
//! node alone has to say, namely how much of the log it knows to be synced, goes between them in
//! *local marks*, which readers skip and which never leave the node.

use crate::history::TermStart;
use crate::ids::{Epoch, GroupId, LogPoint, NodeId, Term, Vlsn};
use crate::record::{u32_at, u64_at};

/// Length of a segment's header, in bytes.
pub const SEGMENT_HEADER_BYTES: usize = 80;
/// Length of a local mark, in bytes.
pub const MARK_BYTES: usize = 32;
/// The format that this version writes.
pub const SEGMENT_FORMAT: u32 = 1;

const MAGIC: [u8; 8] = *b"repvlsn\0";
/// "MARK": no record is as long as this number says, so the first word tells the two apart.
pub(crate) const MARK_TAG: u32 = u32::from_le_bytes(*b"MARK");

/// What the writer knew to be synced when it wrote a mark. True for ever: a mark is written only after
/// the sync that it tells of, and a cut removes the marks behind it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mark {
    /// How often the log had been cut.
    pub epoch: Epoch,
    /// Entries up to here were on stable storage.
    pub synced: Vlsn,
    /// Entries up to here were known to be on stable storage at a commit quorum.
    pub dvlsn: Vlsn,
}

impl Mark {
    /// The higher of each claim: all claims stay true.
    pub(crate) fn highest(self, other: Mark) -> Mark {
        Mark {
            epoch: self.epoch.max(other.epoch),
            synced: self.synced.max(other.synced),
            dvlsn: self.dvlsn.max(other.dvlsn),
        }
    }

    /// Whether it says anything at all.
    pub(crate) fn claims(&self) -> bool {
        let nothing = Mark { epoch: Epoch::default(), synced: Vlsn::NULL, dvlsn: Vlsn::NULL };
        *self != nothing
    }

    pub(crate) fn encode(self, seed: u32, offset: u64) -> [u8; MARK_BYTES] {
        let mut out = [0; MARK_BYTES];
        out[0..4].copy_from_slice(&MARK_TAG.to_le_bytes());
        out[4..12].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[12..20].copy_from_slice(&self.synced.get().to_le_bytes());
        out[20..28].copy_from_slice(&self.dvlsn.get().to_le_bytes());
        let crc = crc_of(seed, offset, &out[..28]);
        out[28..32].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads a mark at `offset` of the segment whose [`SegmentHeader::seed`] is given. The checksum covers
    /// the place, so that bytes that look like a mark inside a payload, or come from elsewhere, are none.
    pub(crate) fn decode(bytes: &[u8], seed: u32, offset: u64) -> Option<Mark> {
        if bytes.len() < MARK_BYTES || u32_at(bytes, 0) != MARK_TAG {
            return None;
        }
        if crc_of(seed, offset, &bytes[..28]) != u32_at(bytes, 28) {
            return None;
        }
        Some(Mark {
            epoch: Epoch(u64_at(bytes, 4)),
            synced: Vlsn::new(u64_at(bytes, 12)),
            dvlsn: Vlsn::new(u64_at(bytes, 20)),
        })
    }
}

fn crc_of(seed: u32, offset: u64, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &offset.to_le_bytes()), bytes)
}

/// A segment's first bytes. A segment gets its name only when everything before it is synced, so that its
/// mere existence vouches for entries up to `prev`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SegmentHeader {
    pub(crate) group: GroupId,
    pub(crate) first: Vlsn,
    pub(crate) prev: LogPoint,
    pub(crate) prev_crc: u32,
    /// The opening of `prev`'s term: what is left of the history when everything before is cleaned away.
    pub(crate) opening: Option<TermStart>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HeaderError {
    Damaged,
    Version(u32),
}

impl SegmentHeader {
    pub(crate) fn encode(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut out = [0; SEGMENT_HEADER_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&SEGMENT_FORMAT.to_le_bytes());
        out[12..16].copy_from_slice(&self.prev_crc.to_le_bytes());
        out[16..32].copy_from_slice(&self.group.0);
        out[32..40].copy_from_slice(&self.first.get().to_le_bytes());
        out[40..56].copy_from_slice(&self.prev.encode());
        if let Some(opening) = self.opening {
            out[56..64].copy_from_slice(&opening.start.get().to_le_bytes());
            out[64..68].copy_from_slice(&opening.node.get().to_le_bytes());
        }
        let crc = crc32c::crc32c(&out[..76]);
        out[76..80].copy_from_slice(&crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<SegmentHeader, HeaderError> {
        let whole = bytes.len() >= SEGMENT_HEADER_BYTES
            && bytes[..8] == MAGIC
            && crc32c::crc32c(&bytes[..76]) == u32_at(bytes, 76);
        if !whole {
            return Err(HeaderError::Damaged);
        }
        match u32_at(bytes, 8) {
            SEGMENT_FORMAT => SegmentHeader::read(bytes).ok_or(HeaderError::Damaged),
            other => Err(HeaderError::Version(other)),
        }
    }

    fn read(bytes: &[u8]) -> Option<SegmentHeader> {
        let mut group = [0; 16];
        group.copy_from_slice(&bytes[16..32]);
        let prev = LogPoint::new(Term::new(u64_at(bytes, 40)), Vlsn::new(u64_at(bytes, 48)));
        let start = Vlsn::new(u64_at(bytes, 56));
        let opening = NodeId::checked(u32_at(bytes, 64)).map(|node| TermStart {
            term: prev.term,
            start,
            node,
        });
        let first = Vlsn::new(u64_at(bytes, 32));
        let prev_crc = u32_at(bytes, 12);
        let header = SegmentHeader { group: GroupId(group), first, prev, prev_crc, opening };
        header.can_be().then_some(header)
    }

    /// Whether the parts agree, so that nothing that is made of them can fail.
    pub(crate) fn can_be(&self) -> bool {
        let SegmentHeader { first, prev, opening, .. } = *self;
        first == prev.vlsn.next()
            && first > prev.vlsn
            && prev.vlsn.is_null() == (prev.term == Term::ZERO)
            && opening.is_none() == prev.vlsn.is_null()
            && opening.is_none_or(|o| !o.start.is_null() && o.start <= prev.vlsn)
    }

    /// Sets the marks of one segment apart from those of any other.
    pub(crate) fn seed(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.group.0), &self.first.get().to_le_bytes())
    }
}

/// The directory of the segments.
pub(crate) const LOG_DIR: &str = "log";

/// The file of the segment that begins with entry `first`.
pub(crate) fn segment_name(first: Vlsn) -> String {
    format!("{LOG_DIR}/{:020}.seg", first.get())
}

/// The first entry of the segment in a file of the log's directory, if it is one.
pub(crate) fn first_of(file_name: &str) -> Option<Vlsn> {
    let digits = file_name.strip_suffix(".seg")?;
    if digits.len() != 20 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok().map(Vlsn::new).filter(|vlsn| !vlsn.is_null())
}
