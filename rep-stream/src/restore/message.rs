//! What is said while a copy of the state is fetched, each way.
//!
//! One channel serves one restore, so no message says to which it belongs. What carries a part of the copy counts
//! towards the window with all of its bytes on the wire, also where it is only the names of chunks. The bytes are in
//! `wire.rs` and in `docs/restore.md`.

use super::digest::{ChunkId, DIGEST_BYTES, Digest16};
use super::wire::{CHUNK_HEADER_BYTES, END_BYTES};
use bytes::Bytes;
use rep_vlsn::record::{ENTRY_BYTES_MAX, HEADER_BYTES};
use rep_vlsn::{CELL_BYTES_MAX, GroupId, LogPoint, Vlsn};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest chunk, in bytes: a store cuts its chunks at 1 MiB or behind the pair that crosses it, and a pair fits
/// into an entry.
pub const CHUNK_BYTES_MAX: usize = ENTRY_BYTES_MAX + (2 << 20);
/// The longest encoded beginning of a log, in bytes: a record of the largest size, and what is said about it.
pub const BEGINNING_BYTES_MAX: usize = HEADER_BYTES + ENTRY_BYTES_MAX + 4096;
/// Names of chunks in one message.
pub const IDS_PER_MESSAGE_MAX: usize = 4096;

/// How much of its state a source has been through: so much, of so much, in a unit of the store's own. For display.
pub type Given = Option<(u64, u64)>;

/// What a copy is a copy of, and what else a member needs to go on from there.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The group.
    pub group: GroupId,
    /// The last entry whose effect is in the state.
    pub point: LogPoint,
    /// The entry at that point, whole, with what a log has to know that begins with it; at most
    /// [`BEGINNING_BYTES_MAX`]. Opaque here: the log makes and checks it.
    pub beginning: Bytes,
    /// What the head of the log said that is needed when it is gone: members and terms; at most
    /// [`CELL_BYTES_MAX`]. Opaque here: the node makes and checks it.
    pub past: Bytes,
}

impl Manifest {
    /// The manifest of a copy.
    pub fn new(group: GroupId, point: LogPoint, beginning: Bytes, past: Bytes) -> Manifest {
        Manifest { group, point, beginning, past }
    }

    /// Whether the parts are within their bounds.
    pub(super) fn is_sound(&self) -> bool {
        !self.point.vlsn.is_null()
            && self.point.vlsn < Vlsn::new(u64::MAX)
            && !self.beginning.is_empty()
            && self.beginning.len() <= BEGINNING_BYTES_MAX
            && self.past.len() <= CELL_BYTES_MAX
    }
}

/// What a sink says to its source.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkMessage {
    /// I need a copy of the state.
    Ask {
        /// The group, if the sink knows it: one whose log never held an entry does not.
        group: Option<GroupId>,
        /// The copy has to stand for this entry or a later one.
        at_least: Vlsn,
        /// Bytes that may be in flight.
        window_bytes: u64,
        /// How many names of chunks follow, in [`SinkMessage::Have`].
        ids: u32,
    },
    /// Chunks that need not be sent: at most [`IDS_PER_MESSAGE_MAX`], increasing over all of these messages.
    Have {
        /// Their names.
        ids: Vec<ChunkId>,
    },
    /// How much of the copy has been kept, of all that was sent since the manifest. Cumulative.
    Received {
        /// Bytes on the wire.
        bytes: u64,
    },
}

/// What a source says to its sink.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceMessage {
    /// What the copy is of. Its chunks follow, in order, as [`SourceMessage::Chunk`] or within
    /// [`SourceMessage::Known`].
    Manifest(Manifest),
    /// The next chunk.
    Chunk {
        /// How far the source is.
        given: Given,
        /// The chunk's bytes; at most [`CHUNK_BYTES_MAX`].
        chunk: Bytes,
    },
    /// The next chunks, all of which the sink has; at most [`IDS_PER_MESSAGE_MAX`].
    Known {
        /// How far the source is.
        given: Given,
        /// Their names.
        ids: Vec<ChunkId>,
    },
    /// That was all.
    End {
        /// How many chunks there were.
        chunks: u64,
        /// The digest over their names, in order.
        digest: Digest16,
    },
    /// Nothing yet; I am at it.
    Wait,
    /// No copy from here, or no more of it.
    Refused(Refusal),
}

/// Why a member gives no copy. Another one may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is neither master nor in sync with one.
    #[error("it is not in sync with a master")]
    NotInSync,
    /// Its own log is damaged or is being cut.
    #[error("its own log is in doubt")]
    LogInDoubt,
    /// It gives as many copies as it may.
    #[error("it gives as many copies as it may")]
    Busy,
    /// Its store has not applied what is needed.
    #[error("its state ends at {applied}")]
    Behind {
        /// Where its state ends.
        applied: Vlsn,
    },
    /// It is of another group.
    #[error("it belongs to another group")]
    OtherGroup,
    /// It is about to stop.
    #[error("it is shutting down")]
    ShuttingDown,
    /// Its store cannot be read, or not in chunks that a copy may consist of.
    #[error("its store gives no copy")]
    StoreFailed,
}

impl SinkMessage {
    /// The message's name, for errors and traces.
    pub fn name(&self) -> &'static str {
        match self {
            SinkMessage::Ask { .. } => "Ask",
            SinkMessage::Have { .. } => "Have",
            SinkMessage::Received { .. } => "Received",
        }
    }
}

impl SourceMessage {
    /// The message's name, for errors and traces.
    pub fn name(&self) -> &'static str {
        match self {
            SourceMessage::Manifest(_) => "Manifest",
            SourceMessage::Chunk { .. } => "Chunk",
            SourceMessage::Known { .. } => "Known",
            SourceMessage::End { .. } => "End",
            SourceMessage::Wait => "Wait",
            SourceMessage::Refused(_) => "Refused",
        }
    }

    /// What it takes of the window: its bytes on the wire, if it carries a part of the copy.
    pub fn window_bytes(&self) -> u64 {
        let bytes = match self {
            SourceMessage::Chunk { chunk, .. } => CHUNK_HEADER_BYTES + chunk.len(),
            SourceMessage::Known { ids, .. } => CHUNK_HEADER_BYTES + ids.len() * DIGEST_BYTES,
            SourceMessage::End { .. } => END_BYTES,
            SourceMessage::Manifest(_) | SourceMessage::Wait | SourceMessage::Refused(_) => 0,
        };
        bytes as u64
    }
}
