//! What a feeder and its replica are doing together, and what may be in flight in each phase.

use rep_vlsn::{LogPoint, Vlsn};
use std::time::Duration;

/// The phase of the relation, as `status` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Progress {
    /// Finding out where the logs part. One question or one answer is in flight, no entry.
    Probe,
    /// Streaming. Up to a window of entries is in flight.
    Stream {
        /// Sent up to here.
        sent: LogPoint,
        /// Handed to the replica's operating system up to here.
        received: LogPoint,
        /// On the replica's stable storage up to here.
        synced: LogPoint,
    },
    /// The log does not reach back far enough. Nothing is in flight.
    Restore,
    /// Over.
    Closed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Nothing heard yet.
    AwaitHandshake { until: Duration },
    /// The matchpoint was told; the replica may be cutting its log.
    AwaitReady { matchpoint: LogPoint, until: Duration },
    /// Entries flow.
    Streaming,
    /// The replica was told that only a restore helps.
    Restore,
    /// Nothing more happens.
    Closed,
}

impl Phase {
    pub(super) fn name(self) -> &'static str {
        match self {
            Phase::AwaitHandshake { .. } => "awaiting a handshake",
            Phase::AwaitReady { .. } => "awaiting that the replica is ready",
            Phase::Streaming => "streaming",
            Phase::Restore => "needing a restore",
            Phase::Closed => "closed",
        }
    }
}

/// The one range that a sender's thread is busy with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Outstanding {
    pub(super) from: Vlsn,
    pub(super) to: Vlsn,
}
