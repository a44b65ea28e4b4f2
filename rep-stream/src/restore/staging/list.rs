//! The list of a complete copy, and what the cell says of it.
//!
//! ```text
//! list   0  magic      8 bytes  "replist1"
//!        8  manifest   u32      its length in bytes
//!       12  reserved   u32      0
//!       16  chunks     u64      how many
//!       24  manifest            as in a message
//!           names      16 bytes each, in order
//!
//! cell   0  version    u8       1
//!        1  stage      u8       0 no complete copy, and zeros follow; 1 complete; 2 being installed
//!        2  reserved   6 bytes  0
//!        8  length     u64      of the list, in bytes
//!       16  digest     16       of the list
//! ```
//! All little-endian. The digest covers the whole list, so that it has no checksum of its own; and the cell is as long
//! whatever it says, so that it never has to grow.

use super::Pending;
use crate::restore::config::CHUNKS_MAX;
use crate::restore::digest::{ChunkId, DIGEST_BYTES, Digest16};
use crate::restore::error::StagingError;
use crate::restore::message::Manifest;
use crate::restore::wire::MANIFEST_BYTES_MAX;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use rep_vlsn::CellError;

/// The longest list, in bytes.
pub(super) const LIST_BYTES_MAX: usize =
    HEADER_BYTES + MANIFEST_BYTES_MAX + CHUNKS_MAX as usize * DIGEST_BYTES;

const MAGIC: [u8; 8] = *b"replist1";
const HEADER_BYTES: usize = 24;
const CELL_VERSION: u8 = 1;
const CELL_BYTES: usize = 32;

/// How the cell names a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Marked {
    length: u64,
    pub(super) digest: Digest16,
    /// Whether the member's own things may have been touched.
    pub(super) installing: bool,
}

const NONE: u8 = 0;
const COMPLETE: u8 = 1;
const INSTALLING: u8 = 2;

pub(super) fn encode(manifest: &Manifest, order: &[ChunkId]) -> Bytes {
    let manifest = manifest.encode();
    let bytes = HEADER_BYTES + manifest.len() + order.len() * DIGEST_BYTES;
    let mut out = BytesMut::with_capacity(bytes);
    out.put_slice(&MAGIC);
    out.put_u32_le(manifest.len() as u32);
    out.put_u32_le(0);
    out.put_u64_le(order.len() as u64);
    out.put_slice(&manifest);
    order.iter().for_each(|id| out.put_slice(&id.0));
    out.freeze()
}

pub(super) fn decode(mut list: Bytes) -> Option<Pending> {
    if list.len() < HEADER_BYTES || list.copy_to_bytes(8) != MAGIC[..] {
        return None;
    }
    let (manifest, reserved, chunks) = (list.get_u32_le(), list.get_u32_le(), list.get_u64_le());
    if reserved != 0 || manifest as usize > list.len() {
        return None;
    }
    let manifest = Manifest::decode(list.split_to(manifest as usize)).ok()?;
    let (names, rest) = list.as_chunks::<DIGEST_BYTES>();
    let is_whole = rest.is_empty() && names.len() as u64 == chunks;
    let order = names.iter().copied().map(ChunkId).collect();
    is_whole.then_some(Pending { manifest, order })
}

impl Marked {
    pub(super) fn of(list: &[u8]) -> Marked {
        Marked { length: list.len() as u64, digest: Digest16::of(list), installing: false }
    }

    /// Whether this is the list that was marked.
    pub(super) fn names(&self, list: &[u8]) -> bool {
        Marked { installing: self.installing, ..Marked::of(list) } == *self
    }

    pub(super) fn encode(marked: Option<&Marked>) -> [u8; CELL_BYTES] {
        let mut value = [0; CELL_BYTES];
        value[0] = CELL_VERSION;
        if let Some(Marked { length, digest, installing }) = marked {
            value[1] = if *installing { INSTALLING } else { COMPLETE };
            value[8..16].copy_from_slice(&length.to_le_bytes());
            value[16..].copy_from_slice(&digest.0);
        }
        value
    }

    /// What the value of the cell `name` says.
    pub(super) fn told(name: &str, value: Option<&[u8]>) -> Result<Option<Marked>, StagingError> {
        let Some(value) = value else { return Ok(None) };
        let damaged = || CellError::Damaged { name: name.to_owned() };
        let mut value = <[u8; CELL_BYTES]>::try_from(value).map_err(|_| damaged())?;
        let stage = std::mem::take(&mut value[1]);
        let marked = Marked {
            length: u64::from_le_bytes(*value[8..].first_chunk().expect("it is that long")),
            digest: Digest16(*value[16..].first_chunk().expect("it is that long")),
            installing: stage == INSTALLING,
        };
        if value[..8] != [CELL_VERSION, 0, 0, 0, 0, 0, 0, 0] {
            return Err(damaged().into());
        }
        match stage {
            NONE => Ok(None),
            COMPLETE | INSTALLING => Ok(Some(marked)),
            _ => Err(damaged().into()),
        }
    }
}
