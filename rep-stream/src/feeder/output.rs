//! What a feeder looks at, and what it wants done.

use crate::error::CloseReason;
use crate::message::{BatchHeader, Connection, FeederMessage};
use rep_vlsn::{Epoch, GroupId, LogPoint, LogView, Vlsn};

/// What a feeder looks at in each step. It keeps none of it.
#[derive(Clone, Copy, Debug)]
pub struct FeederFacts<'a> {
    /// The log that is sent.
    pub log: &'a LogView,
    /// Durable in the group up to here.
    pub dvlsn: Vlsn,
    /// Acknowledged in the group up to here.
    pub cvlsn: Vlsn,
    /// The group.
    pub group: GroupId,
    /// Nothing beyond it is sent: a master's last entry, anyone else's dvlsn.
    pub send_limit: Vlsn,
}

/// What a feeder wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FeederOutput {
    /// Send a message.
    Send(FeederMessage),
    /// Send one batch of entries: as many of `from..=to` as fit into `bytes_max`, at least one, behind
    /// a [`BatchHeader`]; then say [`Feeder::handle_sent`](crate::Feeder::handle_sent) or [`Feeder::handle_send_failed`](crate::Feeder::handle_send_failed). No second
    /// one is asked for before that.
    SendEntries {
        /// The stream.
        connection: Connection,
        /// The entry before `from`.
        prev: LogPoint,
        /// For the batch's header.
        dvlsn: Vlsn,
        /// For the batch's header.
        cvlsn: Vlsn,
        /// The first entry to send.
        from: Vlsn,
        /// The last entry that may be sent.
        to: Vlsn,
        /// Where to cut the batch; a first record that is longer is sent alone.
        bytes_max: usize,
        /// The log's epoch when this was decided: the bytes must be read under it.
        log_epoch: Epoch,
    },
    /// The replica's points rose. Both are entries of our log.
    Acked {
        /// On its stable storage up to here.
        synced: LogPoint,
        /// Handed to its operating system up to here.
        received: LogPoint,
    },
    /// Sync-up is done: both logs are the same up to this point and the replica's ends there.
    InSync {
        /// The matchpoint.
        at: LogPoint,
    },
    /// The log begins after what the replica needs.
    NeedsRestore {
        /// Our first entry.
        first: Vlsn,
        /// The replica's last one, as it says, if it turned out at sync-up.
        last: Option<LogPoint>,
    },
    /// Close the connection, after what was sent before.
    Close(CloseReason),
}

/// Why a range could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendFailed {
    /// The log was cut since the range was asked for.
    Truncated,
    /// The log begins after the range.
    Cleaned {
        /// Its first entry now.
        first: Vlsn,
    },
    /// The entries cannot be read.
    Damaged,
}

/// Counters of one feeder.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeederStats {
    /// Messages of another connection, or acknowledgements outside of streaming.
    pub dropped_messages: u64,
    /// Handshakes answered.
    pub sync_ups: u64,
    /// Batches sent.
    pub batches: u64,
    /// Bytes of records sent.
    pub bytes: u64,
    /// Acknowledgements that raised a point.
    pub acks: u64,
}

impl FeederOutput {
    /// What a sender's thread puts before the records, if this asks for entries.
    pub fn batch_header(&self) -> Option<BatchHeader> {
        match *self {
            FeederOutput::SendEntries { connection, prev, dvlsn, cvlsn, .. } => {
                Some(BatchHeader { connection, prev, dvlsn, cvlsn })
            }
            FeederOutput::Send(_)
            | FeederOutput::Acked { .. }
            | FeederOutput::InSync { .. }
            | FeederOutput::NeedsRestore { .. }
            | FeederOutput::Close(_) => None,
        }
    }
}
