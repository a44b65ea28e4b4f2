//! One entry as bytes: a fixed header, then the payload. On disk and on the wire it is the same.
//!
//! Each header carries the checksum of the header before it, and each header's checksum covers its
//! payload's checksum. So a chain of headers vouches for everything, while payloads are summed in the
//! threads that made them and never again by the one thread that orders them.
//!
//! ```text
//!  0  length          u32   payload bytes
//!  4  payload CRC     u32   CRC32C of the payload
//!  8  vlsn            u64
//! 16  term            u64
//! 24  time            u64   commit time, ms since the Unix epoch, by the master's clock
//! 32  previous CRC    u32   header CRC of the entry before; 0 before VLSN 1
//! 36  kind            u8
//! 37  flags           u8    sync classes, session prefix
//! 38  reserved        u16   0
//! 40  reserved        u32   0
//! 44  header CRC      u32   CRC32C of bytes 0..44
//! ```
//! All little-endian.

use crate::ids::{LogPoint, NodeId, Term, Vlsn};
use bytes::{Bytes, BytesMut};
use thiserror::Error;

/// Length of a record's header, in bytes.
pub const HEADER_BYTES: usize = 48;
/// The largest payload that a log takes, in bytes (8 MiB).
pub const ENTRY_BYTES_MAX: usize = 8 << 20;

/// What an entry is. An unknown kind is refused, never skipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A payload for the state machine.
    Data,
    /// The first entry of a term. The payload begins with the opener's [`NodeId`], u32.
    TermStart,
    /// The first entry of a group, which lists its members. The payload begins with the opener's [`NodeId`], u32.
    GroupFounded,
    /// The members from now on. It opens no term, and the whole payload is the group's own.
    Membership,
}

impl Kind {
    /// The kind as written.
    pub const fn code(self) -> u8 {
        match self {
            Kind::Data => 1,
            Kind::TermStart => 2,
            Kind::GroupFounded => 3,
            Kind::Membership => 4,
        }
    }

    /// Reads a kind.
    pub const fn from_code(code: u8) -> Option<Self> {
        match code {
            1 => Some(Kind::Data),
            2 => Some(Kind::TermStart),
            3 => Some(Kind::GroupFounded),
            4 => Some(Kind::Membership),
            _ => None,
        }
    }

    /// Whether entries of this kind may be the first of a term, and name who opened it.
    pub const fn opens_term(self) -> bool {
        matches!(self, Kind::TermStart | Kind::GroupFounded)
    }

    /// Whether entries of this kind say who the members are: see [`LogView::memberships`](crate::LogView::memberships).
    pub const fn says_members(self) -> bool {
        matches!(self, Kind::GroupFounded | Kind::Membership)
    }
}

/// How far an entry must have come at a node before that node counts. Weaker classes are greater.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SyncClass {
    /// On stable storage: it survives a power cut.
    #[default]
    Sync,
    /// Handed to the operating system: it survives the end of the process, by whatever signal, and not that of the
    /// machine.
    WriteNoSync,
    /// The caller does not care where. It is honoured as [`SyncClass::WriteNoSync`]: an entry that is in the memory of a
    /// process alone is lost when that process is killed, and one that is back before the next election would help to
    /// elect a master without it.
    NoSync,
}

/// In which capacity a node holds an entry, and so which of the entry's two sync classes it goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Holder {
    /// It made the entry.
    Master,
    /// It was sent the entry.
    Replica,
}

/// The flags byte: replica sync class (bits 0-1), local sync class (bits 2-3), session prefix (bit 4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Flags {
    /// What a replica must have done before it acknowledges.
    pub replica_sync: SyncClass,
    /// What the master must have done.
    pub local_sync: SyncClass,
    /// The payload begins with a session's (client, sequence).
    pub session_prefix: bool,
}

impl SyncClass {
    const fn code(self) -> u8 {
        match self {
            SyncClass::Sync => 0,
            SyncClass::WriteNoSync => 1,
            SyncClass::NoSync => 2,
        }
    }

    const fn from_code(code: u8) -> Option<Self> {
        match code {
            0 => Some(SyncClass::Sync),
            1 => Some(SyncClass::WriteNoSync),
            2 => Some(SyncClass::NoSync),
            _ => None,
        }
    }
}

impl Flags {
    /// The flags as written.
    pub const fn code(self) -> u8 {
        self.replica_sync.code() | self.local_sync.code() << 2 | (self.session_prefix as u8) << 4
    }

    /// What `holder` must have done before it counts.
    pub const fn sync_at(self, holder: Holder) -> SyncClass {
        match holder {
            Holder::Master => self.local_sync,
            Holder::Replica => self.replica_sync,
        }
    }

    /// Reads flags; `None` if a bit is set that this version does not know.
    pub const fn from_code(code: u8) -> Option<Self> {
        if code & 0b1110_0000 != 0 {
            return None;
        }
        match (SyncClass::from_code(code & 3), SyncClass::from_code(code >> 2 & 3)) {
            (Some(replica_sync), Some(local_sync)) => {
                Some(Flags { replica_sync, local_sync, session_prefix: code & 16 != 0 })
            }
            _ => None,
        }
    }
}

/// Bytes that are no record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RecordError {
    /// Fewer bytes than the record needs.
    #[error("record needs {needed} bytes, {got} are there")]
    Short {
        /// Bytes that the record needs.
        needed: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// The header does not match its checksum.
    #[error("record header does not match its checksum")]
    HeaderChecksum,
    /// The payload does not match its checksum.
    #[error("payload of entry {vlsn} does not match its checksum")]
    PayloadChecksum {
        /// The entry.
        vlsn: Vlsn,
    },
    /// A checked header says what no record can say: a length above the bound, VLSN or term 0, an
    /// unknown kind or flag (a newer version), a term opened without an opener.
    #[error("entry {vlsn}: {what}")]
    Malformed {
        /// The entry.
        vlsn: Vlsn,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// A record's header, decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordHeader {
    /// Payload length, in bytes; at most [`ENTRY_BYTES_MAX`].
    pub length: u32,
    /// CRC32C of the payload.
    pub payload_crc: u32,
    /// Where the entry stands.
    pub point: LogPoint,
    /// Commit time by the master's clock, ms since the Unix epoch.
    pub time_ms: u64,
    /// Header CRC of the entry before.
    pub prev_crc: u32,
    /// What the entry is.
    pub kind: Kind,
    /// Its flags.
    pub flags: Flags,
}

impl RecordHeader {
    /// The header as bytes, its own CRC last.
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        out[0..4].copy_from_slice(&self.length.to_le_bytes());
        out[4..8].copy_from_slice(&self.payload_crc.to_le_bytes());
        out[8..16].copy_from_slice(&self.point.vlsn.get().to_le_bytes());
        out[16..24].copy_from_slice(&self.point.term.get().to_le_bytes());
        out[24..32].copy_from_slice(&self.time_ms.to_le_bytes());
        out[32..36].copy_from_slice(&self.prev_crc.to_le_bytes());
        out[36] = self.kind.code();
        out[37] = self.flags.code();
        let crc = crc32c::crc32c(&out[..44]);
        out[44..48].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// Reads and checks a header.
    pub fn decode(bytes: &[u8]) -> Result<Self, RecordError> {
        if bytes.len() < HEADER_BYTES {
            return Err(RecordError::Short { needed: HEADER_BYTES, got: bytes.len() });
        }
        if crc32c::crc32c(&bytes[..44]) != u32_at(bytes, 44) {
            return Err(RecordError::HeaderChecksum);
        }
        let vlsn = Vlsn::new(u64_at(bytes, 8));
        let malformed = |what| RecordError::Malformed { vlsn, what };
        let header = RecordHeader {
            length: u32_at(bytes, 0),
            payload_crc: u32_at(bytes, 4),
            point: LogPoint::new(Term::new(u64_at(bytes, 16)), vlsn),
            time_ms: u64_at(bytes, 24),
            prev_crc: u32_at(bytes, 32),
            kind: Kind::from_code(bytes[36]).ok_or(malformed("unknown kind"))?,
            flags: Flags::from_code(bytes[37]).ok_or(malformed("unknown flag"))?,
        };
        header.check(bytes)?;
        Ok(header)
    }

    fn check(&self, bytes: &[u8]) -> Result<(), RecordError> {
        let malformed = |what| Err(RecordError::Malformed { vlsn: self.point.vlsn, what });
        if self.length as usize > ENTRY_BYTES_MAX {
            return malformed("payload longer than the bound");
        }
        if self.point.vlsn.is_null() || self.point.term == Term::ZERO {
            return malformed("null place");
        }
        if bytes[38..44].iter().any(|byte| *byte != 0) {
            return malformed("reserved bytes are set");
        }
        Ok(())
    }

    /// Length of the whole record, in bytes.
    pub const fn record_bytes(&self) -> usize {
        HEADER_BYTES + self.length as usize
    }
}

/// A payload on its way to become an entry: encoded and summed by the committing thread, with room for
/// the header in front, so that stamping it copies nothing.
#[derive(Clone, Debug)]
pub struct Draft {
    buffer: BytesMut,
    kind: Kind,
    flags: Flags,
    payload_crc: u32,
}

impl Draft {
    /// A draft whose payload is written by `fill` behind the room for the header.
    pub fn build(kind: Kind, flags: Flags, fill: impl FnOnce(&mut BytesMut)) -> Self {
        let mut buffer = BytesMut::zeroed(HEADER_BYTES);
        fill(&mut buffer);
        let payload_crc = crc32c::crc32c(&buffer[HEADER_BYTES..]);
        Draft { buffer, kind, flags, payload_crc }
    }

    /// A draft of `payload`, copied once.
    pub fn new(kind: Kind, flags: Flags, payload: &[u8]) -> Self {
        Draft::build(kind, flags, |buffer| buffer.extend_from_slice(payload))
    }

    /// A term's first entry: the opener, then `rest`.
    pub fn opening(kind: Kind, opener: NodeId, rest: &[u8]) -> Self {
        debug_assert!(kind.opens_term());
        Draft::build(kind, Flags::default(), |buffer| {
            buffer.extend_from_slice(&opener.get().to_le_bytes());
            buffer.extend_from_slice(rest);
        })
    }

    /// Payload length, in bytes.
    pub fn payload_bytes(&self) -> usize {
        self.buffer.len() - HEADER_BYTES
    }

    /// Length of the record that this becomes, in bytes.
    pub fn record_bytes(&self) -> usize {
        self.buffer.len()
    }

    /// What the entry will be.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its flags.
    pub fn flags(&self) -> Flags {
        self.flags
    }

    /// Gives the draft its place in the history, behind the entry whose header CRC is `prev_crc`.
    ///
    /// # Panics
    ///
    /// If the payload is longer than [`ENTRY_BYTES_MAX`]: admission refuses such drafts.
    pub fn stamp(mut self, point: LogPoint, prev_crc: u32, time_ms: u64) -> Record {
        let length = self.payload_bytes();
        assert!(length <= ENTRY_BYTES_MAX, "admission bounds payloads");
        let header = RecordHeader {
            length: length as u32,
            payload_crc: self.payload_crc,
            point,
            time_ms,
            prev_crc,
            kind: self.kind,
            flags: self.flags,
        };
        self.buffer[..HEADER_BYTES].copy_from_slice(&header.encode());
        Record { header, bytes: self.buffer.freeze() }
    }
}

/// A checked entry: header and payload, one slice of bytes that is the same on disk and on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    header: RecordHeader,
    bytes: Bytes,
}

impl Record {
    /// Splits the first record off `bytes`, with every checksum tested.
    pub fn split_from(bytes: &mut Bytes) -> Result<Record, RecordError> {
        let header = RecordHeader::decode(bytes)?;
        let needed = header.record_bytes();
        if bytes.len() < needed {
            return Err(RecordError::Short { needed, got: bytes.len() });
        }
        if crc32c::crc32c(&bytes[HEADER_BYTES..needed]) != header.payload_crc {
            return Err(RecordError::PayloadChecksum { vlsn: header.point.vlsn });
        }
        let record = Record { header, bytes: bytes.split_to(needed) };
        if header.kind.opens_term() && record.opener().is_none() {
            let what = "opens a term and names no opener";
            return Err(RecordError::Malformed { vlsn: header.point.vlsn, what });
        }
        Ok(record)
    }

    /// The header, decoded.
    pub fn header(&self) -> &RecordHeader {
        &self.header
    }

    /// Where the entry stands.
    pub fn point(&self) -> LogPoint {
        self.header.point
    }

    /// The header's own CRC, which the next entry carries.
    pub fn header_crc(&self) -> u32 {
        u32_at(&self.bytes, 44)
    }

    /// The payload, as a slice of the same bytes.
    pub fn payload(&self) -> Bytes {
        self.bytes.slice(HEADER_BYTES..)
    }

    /// The whole record.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Who opened the term, if this is an entry that opens one.
    pub fn opener(&self) -> Option<NodeId> {
        if !self.header.kind.opens_term() || self.bytes.len() < HEADER_BYTES + 4 {
            return None;
        }
        NodeId::checked(u32_at(&self.bytes, HEADER_BYTES))
    }
}

pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let mut word = [0; 4];
    word.copy_from_slice(&bytes[at..at + 4]);
    u32::from_le_bytes(word)
}

pub(crate) fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
