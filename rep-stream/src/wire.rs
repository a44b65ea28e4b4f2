//! Messages as bytes.
//!
//! ```text
//!  0  tag             u8    which message
//!  1  version         u8    1
//!  2  reserved        [u8;6] 0
//!  8  term            u64   the stream's term
//! 16  epoch           u64   the stream's connection
//! 24  body
//! ```
//! All little-endian. Bodies of Ready, Ack, NeedsRestore, Watermarks and Batch are fixed; those of
//! Handshake, SyncUp and Refused are postcard. Nothing here allocates more than a small multiple of
//! what came, and what came is bounded first.

use crate::error::PeerError;
use crate::handshake::{Handshake, RefuseReason, SyncUp};
use crate::message::{BatchHeader, Connection, FeederMessage, ReplicaMessage};
use bytes::{BufMut, Bytes, BytesMut};
use rep_vlsn::record::{ENTRY_BYTES_MAX, HEADER_BYTES};
use rep_vlsn::{Batch, LogPoint, Term, Vlsn};
use serde::{Serialize, de::DeserializeOwned};

/// Length of a batch's header, in bytes: [`BatchHeader::encode`].
pub const BATCH_HEADER_BYTES: usize = PREFIX_BYTES + 32;
/// The longest batch message: its header and one record of the largest size, in bytes.
pub const BATCH_MESSAGE_BYTES_MAX: usize = BATCH_HEADER_BYTES + HEADER_BYTES + ENTRY_BYTES_MAX;
/// The longest of all other messages, in bytes.
pub const CONTROL_MESSAGE_BYTES_MAX: usize = 256 << 10;

const VERSION: u8 = 1;
const PREFIX_BYTES: usize = 24;

const HANDSHAKE: u8 = 1;
const READY: u8 = 2;
const ACK: u8 = 3;
const SYNC_UP: u8 = 16;
const NEEDS_RESTORE: u8 = 17;
const REFUSED: u8 = 18;
const WATERMARKS: u8 = 19;
const BATCH: u8 = 20;

impl ReplicaMessage {
    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            ReplicaMessage::Handshake(it) => encode_control(HANDSHAKE, it.connection, it),
            ReplicaMessage::Ready { connection, at } => {
                let mut out = prefix(READY, *connection, 16);
                out.put_slice(&at.encode());
                out.freeze()
            }
            ReplicaMessage::Ack { connection, synced, received } => {
                let mut out = prefix(ACK, *connection, 32);
                out.put_slice(&synced.encode());
                out.put_slice(&received.encode());
                out.freeze()
            }
        }
    }

    /// Reads a message that a replica sent.
    ///
    /// # Errors
    ///
    /// If the bytes are no such message, or one that contradicts itself.
    pub fn decode(bytes: Bytes) -> Result<Self, PeerError> {
        let (tag, connection) = open(&bytes, CONTROL_MESSAGE_BYTES_MAX)?;
        let body = &bytes[PREFIX_BYTES..];
        match tag {
            HANDSHAKE => {
                let handshake = Handshake { connection, ..decode_control(body)? };
                handshake.check()?;
                Ok(ReplicaMessage::Handshake(handshake))
            }
            READY => {
                exactly(body, 16)?;
                Ok(ReplicaMessage::Ready { connection, at: point_at(body, 0) })
            }
            ACK => {
                exactly(body, 32)?;
                let (synced, received) = (point_at(body, 0), point_at(body, 16));
                Ok(ReplicaMessage::Ack { connection, synced, received })
            }
            tag => Err(PeerError::UnknownMessage { tag }),
        }
    }
}

impl FeederMessage {
    /// The message as bytes. A batch's records are copied: senders of many use [`BatchHeader::encode`].
    pub fn encode(&self) -> Bytes {
        match self {
            FeederMessage::SyncUp(it) => encode_control(SYNC_UP, it.connection, it),
            FeederMessage::NeedsRestore { connection, first } => {
                let mut out = prefix(NEEDS_RESTORE, *connection, 8);
                out.put_u64_le(first.get());
                out.freeze()
            }
            FeederMessage::Refused { connection, reason } => {
                encode_control(REFUSED, *connection, reason)
            }
            FeederMessage::Watermarks { connection, dvlsn, cvlsn } => {
                let mut out = prefix(WATERMARKS, *connection, 16);
                out.put_u64_le(dvlsn.get());
                out.put_u64_le(cvlsn.get());
                out.freeze()
            }
            FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries } => {
                let (connection, prev, dvlsn, cvlsn) = (*connection, *prev, *dvlsn, *cvlsn);
                let header = BatchHeader { connection, prev, dvlsn, cvlsn };
                let mut out = BytesMut::with_capacity(BATCH_HEADER_BYTES + entries.byte_len());
                out.put_slice(&header.encode());
                entries.records().iter().for_each(|record| out.put_slice(record.bytes()));
                out.freeze()
            }
        }
    }

    /// Reads a message that a feeder sent. The records of a batch are checked here, in the reader's
    /// thread, and stay slices of `bytes`.
    ///
    /// # Errors
    ///
    /// If the bytes are no such message, or one that contradicts itself.
    pub fn decode(bytes: Bytes) -> Result<Self, PeerError> {
        let batch = bytes.first() == Some(&BATCH);
        let bound = if batch { BATCH_MESSAGE_BYTES_MAX } else { CONTROL_MESSAGE_BYTES_MAX };
        let (tag, connection) = open(&bytes, bound)?;
        let body = &bytes[PREFIX_BYTES..];
        match tag {
            SYNC_UP => {
                let sync_up = SyncUp { connection, ..decode_control(body)? };
                sync_up.check()?;
                Ok(FeederMessage::SyncUp(sync_up))
            }
            NEEDS_RESTORE => {
                exactly(body, 8)?;
                Ok(FeederMessage::NeedsRestore { connection, first: vlsn_at(body, 0) })
            }
            REFUSED => {
                let reason: RefuseReason = decode_control(body)?;
                Ok(FeederMessage::Refused { connection, reason })
            }
            WATERMARKS => {
                exactly(body, 16)?;
                let (dvlsn, cvlsn) = (vlsn_at(body, 0), vlsn_at(body, 8));
                Ok(FeederMessage::Watermarks { connection, dvlsn, cvlsn })
            }
            BATCH => {
                let header = BatchHeader::decode(&bytes)?;
                let BatchHeader { connection, prev, dvlsn, cvlsn } = header;
                let entries = Batch::parse(bytes.slice(BATCH_HEADER_BYTES..))?;
                check_batch(prev, &entries)?;
                Ok(FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries })
            }
            tag => Err(PeerError::UnknownMessage { tag }),
        }
    }
}

impl BatchHeader {
    /// The bytes that stand before the records.
    pub fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut out = [0; BATCH_HEADER_BYTES];
        out[..PREFIX_BYTES].copy_from_slice(&prefix_bytes(BATCH, self.connection));
        out[24..40].copy_from_slice(&self.prev.encode());
        out[40..48].copy_from_slice(&self.dvlsn.get().to_le_bytes());
        out[48..56].copy_from_slice(&self.cvlsn.get().to_le_bytes());
        out
    }

    /// Reads the header at the beginning of `bytes`.
    ///
    /// # Errors
    ///
    /// If the bytes do not begin with one.
    pub fn decode(bytes: &[u8]) -> Result<Self, PeerError> {
        let (tag, connection) = open(bytes, usize::MAX)?;
        if tag != BATCH {
            return Err(PeerError::UnknownMessage { tag });
        }
        if bytes.len() < BATCH_HEADER_BYTES {
            return Err(PeerError::Length { needed: BATCH_HEADER_BYTES, got: bytes.len() });
        }
        Ok(BatchHeader {
            connection,
            prev: point_at(bytes, 24),
            dvlsn: vlsn_at(bytes, 40),
            cvlsn: vlsn_at(bytes, 48),
        })
    }
}

/// Whether a batch continues the point that it names.
pub(crate) fn check_batch(prev: LogPoint, entries: &Batch) -> Result<(), PeerError> {
    let first = entries.first_point();
    if first.vlsn.get().checked_sub(1) != Some(prev.vlsn.get()) || first.term < prev.term {
        return Err(PeerError::DoesNotFollow { prev, first });
    }
    Ok(())
}

fn prefix_bytes(tag: u8, connection: Connection) -> [u8; PREFIX_BYTES] {
    let mut out = [0; PREFIX_BYTES];
    out[0] = tag;
    out[1] = VERSION;
    out[8..16].copy_from_slice(&connection.term.get().to_le_bytes());
    out[16..24].copy_from_slice(&connection.epoch.to_le_bytes());
    out
}

fn prefix(tag: u8, connection: Connection, body_bytes: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + body_bytes);
    out.put_slice(&prefix_bytes(tag, connection));
    out
}

fn open(bytes: &[u8], bytes_max: usize) -> Result<(u8, Connection), PeerError> {
    let got = bytes.len();
    if got < PREFIX_BYTES {
        return Err(PeerError::Length { needed: PREFIX_BYTES, got });
    }
    if got > bytes_max {
        return Err(PeerError::TooLong { bytes_max, got });
    }
    if bytes[1] != VERSION {
        return Err(PeerError::UnknownVersion { version: bytes[1] });
    }
    if bytes[2..8].iter().any(|byte| *byte != 0) {
        return Err(PeerError::Malformed { what: "reserved bytes are set" });
    }
    let connection = Connection { term: Term::new(u64_at(bytes, 8)), epoch: u64_at(bytes, 16) };
    Ok((bytes[0], connection))
}

fn encode_control(tag: u8, connection: Connection, body: &impl Serialize) -> Bytes {
    let body = postcard::to_stdvec(body).expect("plain values have an encoding");
    let mut out = prefix(tag, connection, body.len());
    out.put_slice(&body);
    out.freeze()
}

fn decode_control<T: DeserializeOwned>(body: &[u8]) -> Result<T, PeerError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, _)) => Err(PeerError::Malformed { what: "bytes after the message" }),
        Err(_) => Err(PeerError::Malformed { what: "no message of that kind" }),
    }
}

fn exactly(body: &[u8], needed: usize) -> Result<(), PeerError> {
    if body.len() == needed {
        return Ok(());
    }
    Err(PeerError::Length { needed: PREFIX_BYTES + needed, got: PREFIX_BYTES + body.len() })
}

fn point_at(bytes: &[u8], at: usize) -> LogPoint {
    LogPoint::new(Term::new(u64_at(bytes, at)), vlsn_at(bytes, at + 8))
}

fn vlsn_at(bytes: &[u8], at: usize) -> Vlsn {
    Vlsn::new(u64_at(bytes, at))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    let mut word = [0; 8];
    word.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(word)
}
