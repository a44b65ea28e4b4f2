//! The messages of a stream, each way.
//!
//! Every message names its [`Connection`]: what comes from another one, however late, is dropped. The
//! frequent messages have a fixed layout, the rare ones are postcard; the bytes are in `wire.rs` and in
//! `docs/stream.md`.

pub use crate::handshake::{Handshake, RefuseReason, SyncUp};
pub use crate::wire::{BATCH_HEADER_BYTES, BATCH_MESSAGE_BYTES_MAX, CONTROL_MESSAGE_BYTES_MAX};

use rep_vlsn::{Batch, LogPoint, Term, Vlsn};

/// One stream: it belongs to one term and to one connection between two nodes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The term whose master the stream comes from.
    pub term: Term,
    /// The dialler's number for this connection; it never uses one twice in a run.
    pub epoch: u64,
}

/// What a replica says to its feeder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaMessage {
    /// Here I am; where do our logs part? Also said again when the stream has lost its place.
    Handshake(Handshake),
    /// The log ends at the matchpoint, durably: stream from the next entry on.
    Ready {
        /// The stream.
        connection: Connection,
        /// The matchpoint.
        at: LogPoint,
    },
    /// How far the log reaches, contiguously.
    Ack {
        /// The stream.
        connection: Connection,
        /// The last entry on stable storage.
        synced: LogPoint,
        /// The last entry handed to the operating system.
        received: LogPoint,
    },
}

/// What a feeder says to its replica.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeederMessage {
    /// Where the logs part.
    SyncUp(SyncUp),
    /// The log no longer reaches back to what the replica needs: only a copy of the state helps.
    NeedsRestore {
        /// The stream.
        connection: Connection,
        /// The feeder's first entry.
        first: Vlsn,
    },
    /// Go away, and why.
    Refused {
        /// The stream.
        connection: Connection,
        /// Why.
        reason: RefuseReason,
    },
    /// News of the watermarks when there is no batch to carry it.
    Watermarks {
        /// The stream.
        connection: Connection,
        /// Durable in the group up to here.
        dvlsn: Vlsn,
        /// Acknowledged in the group up to here.
        cvlsn: Vlsn,
    },
    /// Entries.
    Batch {
        /// The stream.
        connection: Connection,
        /// The entry before the first.
        prev: LogPoint,
        /// Durable in the group up to here.
        dvlsn: Vlsn,
        /// Acknowledged in the group up to here.
        cvlsn: Vlsn,
        /// The entries, already checked.
        entries: Batch,
    },
}

/// What stands before the records of a batch. A sender's thread puts it in front of slices of the log, so
/// that no record is encoded again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchHeader {
    /// The stream.
    pub connection: Connection,
    /// The entry before the first.
    pub prev: LogPoint,
    /// Durable in the group up to here.
    pub dvlsn: Vlsn,
    /// Acknowledged in the group up to here.
    pub cvlsn: Vlsn,
}

impl ReplicaMessage {
    /// The stream that the message belongs to.
    pub fn connection(&self) -> Connection {
        match self {
            ReplicaMessage::Handshake(handshake) => handshake.connection,
            ReplicaMessage::Ready { connection, .. } | ReplicaMessage::Ack { connection, .. } => {
                *connection
            }
        }
    }

    /// The message's name, for errors and traces.
    pub fn name(&self) -> &'static str {
        match self {
            ReplicaMessage::Handshake(_) => "Handshake",
            ReplicaMessage::Ready { .. } => "Ready",
            ReplicaMessage::Ack { .. } => "Ack",
        }
    }
}

impl FeederMessage {
    /// The stream that the message belongs to.
    pub fn connection(&self) -> Connection {
        match self {
            FeederMessage::SyncUp(sync_up) => sync_up.connection,
            FeederMessage::NeedsRestore { connection, .. }
            | FeederMessage::Refused { connection, .. }
            | FeederMessage::Watermarks { connection, .. }
            | FeederMessage::Batch { connection, .. } => *connection,
        }
    }

    /// The message's name, for errors and traces.
    pub fn name(&self) -> &'static str {
        match self {
            FeederMessage::SyncUp(_) => "SyncUp",
            FeederMessage::NeedsRestore { .. } => "NeedsRestore",
            FeederMessage::Refused { .. } => "Refused",
            FeederMessage::Watermarks { .. } => "Watermarks",
            FeederMessage::Batch { .. } => "Batch",
        }
    }
}
