//! The messages of a restore as bytes.
//!
//! ```text
//!  0  tag             u8    which message
//!  1  version         u8    1
//!  2  reserved        [u8;6] 0
//!  8  body
//! ```
//! All little-endian. Bodies are fixed but for Manifest and Refused, which are postcard. Nothing here allocates more
//! than a small multiple of what came, and what came is bounded first.

use super::digest::{ChunkId, DIGEST_BYTES, Digest16};
use super::message::{
    BEGINNING_BYTES_MAX, CHUNK_BYTES_MAX, Given, IDS_PER_MESSAGE_MAX, Manifest, SinkMessage,
    SourceMessage,
};
use crate::error::PeerError;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use rep_vlsn::{CELL_BYTES_MAX, GroupId, LogPoint, Vlsn};
use serde::{Deserialize, Serialize};

/// What stands before a chunk, in bytes.
pub const CHUNK_HEADER_BYTES: usize = PREFIX_BYTES + GIVEN_BYTES;
/// The longest encoded manifest, in bytes.
pub const MANIFEST_BYTES_MAX: usize = BEGINNING_BYTES_MAX + CELL_BYTES_MAX + 64;
/// The longest message of a sink, in bytes.
pub const SINK_MESSAGE_BYTES_MAX: usize = PREFIX_BYTES + IDS_PER_MESSAGE_MAX * DIGEST_BYTES;
/// The longest message of a source, in bytes.
pub const SOURCE_MESSAGE_BYTES_MAX: usize = CHUNK_HEADER_BYTES + CHUNK_BYTES_MAX;
pub(super) const END_BYTES: usize = PREFIX_BYTES + 8 + DIGEST_BYTES;

const VERSION: u8 = 1;
const MANIFEST_VERSION: u8 = 1;
const PREFIX_BYTES: usize = 8;
const GIVEN_BYTES: usize = 16;
const ASK_BYTES: usize = 36;

/// Said by a sink that knows no group; no group is founded under it.
const NO_GROUP: GroupId = GroupId([0; 16]);

const ASK: u8 = 1;
const HAVE: u8 = 2;
const RECEIVED: u8 = 3;
const MANIFEST: u8 = 16;
const CHUNK: u8 = 17;
const KNOWN: u8 = 18;
const END: u8 = 19;
const WAIT: u8 = 20;
const REFUSED: u8 = 21;

// Every message of a source is within the one bound.
const _: () = assert!(PREFIX_BYTES + MANIFEST_BYTES_MAX <= SOURCE_MESSAGE_BYTES_MAX);

/// A manifest as postcard sees it.
#[derive(Serialize, Deserialize)]
struct Parts<'a> {
    group: GroupId,
    point: LogPoint,
    beginning: &'a [u8],
    past: &'a [u8],
}

impl Manifest {
    /// The manifest as bytes: a version byte, then postcard.
    pub fn encode(&self) -> Bytes {
        let Manifest { group, point, beginning, past } = self;
        let parts = Parts { group: *group, point: *point, beginning, past };
        let body = postcard::to_stdvec(&parts).expect("plain values have an encoding");
        let mut out = BytesMut::with_capacity(1 + body.len());
        out.put_u8(MANIFEST_VERSION);
        out.put_slice(&body);
        out.freeze()
    }

    /// Reads a manifest. Its parts stay slices of `bytes`.
    ///
    /// # Errors
    ///
    /// If the bytes are none, or one that is not within its bounds.
    pub fn decode(bytes: Bytes) -> Result<Manifest, PeerError> {
        check_length(&bytes, 1, MANIFEST_BYTES_MAX)?;
        if bytes[0] != MANIFEST_VERSION {
            return Err(PeerError::UnknownVersion { version: bytes[0] });
        }
        let Parts { group, point, beginning, past } = from_postcard(&bytes[1..])?;
        let (beginning, past) = (bytes.slice_ref(beginning), bytes.slice_ref(past));
        let manifest = Manifest { group, point, beginning, past };
        match manifest.is_sound() {
            true => Ok(manifest),
            false => Err(PeerError::Malformed { what: "a manifest out of its bounds" }),
        }
    }
}

impl SinkMessage {
    /// The message as bytes.
    pub fn encode(&self) -> Bytes {
        match self {
            SinkMessage::Ask { group, at_least, window_bytes, ids } => {
                let mut out = prefix(ASK, ASK_BYTES);
                out.put_slice(&group.unwrap_or(NO_GROUP).0);
                out.put_u64_le(at_least.get());
                out.put_u64_le(*window_bytes);
                out.put_u32_le(*ids);
                out.freeze()
            }
            SinkMessage::Have { ids } => {
                let mut out = prefix(HAVE, ids.len() * DIGEST_BYTES);
                ids.iter().for_each(|id| out.put_slice(&id.0));
                out.freeze()
            }
            SinkMessage::Received { bytes } => {
                let mut out = prefix(RECEIVED, 8);
                out.put_u64_le(*bytes);
                out.freeze()
            }
        }
    }

    /// Reads a message that a sink sent.
    ///
    /// # Errors
    ///
    /// If the bytes are no such message, or one that contradicts itself.
    pub fn decode(bytes: Bytes) -> Result<Self, PeerError> {
        let (tag, mut body) = open(bytes, SINK_MESSAGE_BYTES_MAX)?;
        match tag {
            ASK => {
                exactly(&body, ASK_BYTES)?;
                let group = Some(GroupId(digest_of(&mut body))).filter(|group| *group != NO_GROUP);
                let at_least = Vlsn::new(body.get_u64_le());
                let window_bytes = body.get_u64_le();
                let ids = body.get_u32_le();
                if window_bytes == 0 {
                    return Err(PeerError::Malformed { what: "a window of nothing" });
                }
                Ok(SinkMessage::Ask { group, at_least, window_bytes, ids })
            }
            HAVE => {
                let ids = ids_of(body)?;
                if !ids.is_sorted_by(|one, next| one < next) {
                    return Err(PeerError::Malformed { what: "names of chunks out of order" });
                }
                Ok(SinkMessage::Have { ids })
            }
            RECEIVED => {
                exactly(&body, 8)?;
                Ok(SinkMessage::Received { bytes: body.get_u64_le() })
            }
            tag => Err(PeerError::UnknownMessage { tag }),
        }
    }
}

impl SourceMessage {
    /// The message as bytes. A chunk is copied: senders of many use [`SourceMessage::chunk_header`].
    pub fn encode(&self) -> Bytes {
        match self {
            SourceMessage::Manifest(manifest) => {
                let body = manifest.encode();
                let mut out = prefix(MANIFEST, body.len());
                out.put_slice(&body);
                out.freeze()
            }
            SourceMessage::Chunk { given, chunk } => {
                let mut out = BytesMut::with_capacity(CHUNK_HEADER_BYTES + chunk.len());
                out.put_slice(&SourceMessage::chunk_header(*given));
                out.put_slice(chunk);
                out.freeze()
            }
            SourceMessage::Known { given, ids } => {
                let mut out = prefix(KNOWN, GIVEN_BYTES + ids.len() * DIGEST_BYTES);
                put_given(&mut out, *given);
                ids.iter().for_each(|id| out.put_slice(&id.0));
                out.freeze()
            }
            SourceMessage::End { chunks, digest } => {
                let mut out = prefix(END, 8 + DIGEST_BYTES);
                out.put_u64_le(*chunks);
                out.put_slice(&digest.0);
                out.freeze()
            }
            SourceMessage::Wait => prefix(WAIT, 0).freeze(),
            SourceMessage::Refused(refusal) => {
                let body = postcard::to_stdvec(refusal).expect("plain values have an encoding");
                let mut out = prefix(REFUSED, body.len());
                out.put_slice(&body);
                out.freeze()
            }
        }
    }

    /// What stands before the bytes of a chunk.
    pub fn chunk_header(given: Given) -> [u8; CHUNK_HEADER_BYTES] {
        let mut out = prefix(CHUNK, GIVEN_BYTES);
        put_given(&mut out, given);
        let mut header = [0; CHUNK_HEADER_BYTES];
        header.copy_from_slice(&out);
        header
    }

    /// Reads a message that a source sent. The bytes of a chunk stay a slice of `bytes`.
    ///
    /// # Errors
    ///
    /// If the bytes are no such message, or one that contradicts itself.
    pub fn decode(bytes: Bytes) -> Result<Self, PeerError> {
        let (tag, mut body) = open(bytes, SOURCE_MESSAGE_BYTES_MAX)?;
        match tag {
            MANIFEST => Ok(SourceMessage::Manifest(Manifest::decode(body)?)),
            CHUNK => {
                let given = given_of(&mut body)?;
                Ok(SourceMessage::Chunk { given, chunk: body })
            }
            KNOWN => {
                let given = given_of(&mut body)?;
                Ok(SourceMessage::Known { given, ids: ids_of(body)? })
            }
            END => {
                exactly(&body, 8 + DIGEST_BYTES)?;
                let chunks = body.get_u64_le();
                Ok(SourceMessage::End { chunks, digest: Digest16(digest_of(&mut body)) })
            }
            WAIT => {
                exactly(&body, 0)?;
                Ok(SourceMessage::Wait)
            }
            REFUSED => Ok(SourceMessage::Refused(from_postcard(&body)?)),
            tag => Err(PeerError::UnknownMessage { tag }),
        }
    }
}

fn prefix(tag: u8, body_bytes: usize) -> BytesMut {
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + body_bytes);
    out.put_slice(&[tag, VERSION, 0, 0, 0, 0, 0, 0]);
    out
}

fn open(bytes: Bytes, bytes_max: usize) -> Result<(u8, Bytes), PeerError> {
    check_length(&bytes, PREFIX_BYTES, bytes_max)?;
    if bytes[1] != VERSION {
        return Err(PeerError::UnknownVersion { version: bytes[1] });
    }
    if bytes[2..PREFIX_BYTES].iter().any(|byte| *byte != 0) {
        return Err(PeerError::Malformed { what: "reserved bytes are set" });
    }
    Ok((bytes[0], bytes.slice(PREFIX_BYTES..)))
}

fn check_length(bytes: &[u8], needed: usize, bytes_max: usize) -> Result<(), PeerError> {
    let got = bytes.len();
    if got < needed {
        return Err(PeerError::Length { needed, got });
    }
    if got > bytes_max {
        return Err(PeerError::TooLong { bytes_max, got });
    }
    Ok(())
}

fn exactly(body: &[u8], needed: usize) -> Result<(), PeerError> {
    if body.len() == needed {
        return Ok(());
    }
    Err(PeerError::Length { needed: PREFIX_BYTES + needed, got: PREFIX_BYTES + body.len() })
}

fn from_postcard<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, PeerError> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok((_, _)) => Err(PeerError::Malformed { what: "bytes after the message" }),
        Err(_) => Err(PeerError::Malformed { what: "no message of that kind" }),
    }
}

/// How far a source is; of nothing, if it does not know.
fn put_given(out: &mut BytesMut, given: Given) {
    let (given, of) = given.filter(|(_, of)| *of > 0).unwrap_or_default();
    out.put_u64_le(given.min(of));
    out.put_u64_le(of);
}

fn given_of(body: &mut Bytes) -> Result<Given, PeerError> {
    let got = PREFIX_BYTES + body.len();
    if got < CHUNK_HEADER_BYTES {
        return Err(PeerError::Length { needed: CHUNK_HEADER_BYTES, got });
    }
    match (body.get_u64_le(), body.get_u64_le()) {
        (given, of) if given > of => Err(PeerError::Malformed { what: "more than all" }),
        (_, 0) => Ok(None),
        (given, of) => Ok(Some((given, of))),
    }
}

fn ids_of(body: Bytes) -> Result<Vec<ChunkId>, PeerError> {
    let (ids, rest) = body.as_chunks::<DIGEST_BYTES>();
    if !rest.is_empty() || ids.is_empty() || ids.len() > IDS_PER_MESSAGE_MAX {
        return Err(PeerError::Malformed { what: "no list of names of chunks" });
    }
    Ok(ids.iter().copied().map(ChunkId).collect())
}

fn digest_of(body: &mut Bytes) -> [u8; DIGEST_BYTES] {
    let mut digest = [0; DIGEST_BYTES];
    body.copy_to_slice(&mut digest);
    digest
}
