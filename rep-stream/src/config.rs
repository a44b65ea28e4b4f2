//! Settings of the two ends, with defaults that fit a local network.

use crate::error::ConfigError;
use crate::handshake::{ATTRIBUTES_BYTES_MAX, attributes_bytes};
use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

/// The largest batch that may be asked for, in bytes; only a single larger record is sent beyond it.
pub const BATCH_BYTES_MAX: usize = 1 << 20;

/// How a [`Feeder`](crate::Feeder) behaves.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeederConfig {
    /// Bytes that may be sent and not yet acknowledged as received. Default 8 MiB. At least one batch is
    /// always allowed, and one record larger than a batch may overshoot it.
    pub window_bytes: usize,
    /// Where batches are cut. Default 256 KiB, at most [`BATCH_BYTES_MAX`].
    pub batch_bytes: usize,
    /// How long the first handshake may take. Default 5 s.
    pub handshake_timeout: Duration,
    /// How long a replica may take to cut its log and be ready. Default 30 s.
    pub sync_up_timeout: Duration,
    /// How long entries may be in flight without any being acknowledged. Default 10 s.
    pub stall_timeout: Duration,
    /// How long news of a watermark waits for entries to ride along with, before it is sent alone. A group that commits
    /// one entry after the other then sends half as many frames. Default zero: at once.
    pub watermark_linger: Duration,
    /// This node is not the master of the stream's term but passes on what is durable. Such a feeder's log
    /// end proves nothing, so that it refuses replicas that are ahead of it. Default false.
    pub relay: bool,
}

impl Default for FeederConfig {
    fn default() -> Self {
        FeederConfig {
            window_bytes: 8 << 20,
            batch_bytes: 256 << 10,
            handshake_timeout: Duration::from_secs(5),
            sync_up_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(10),
            watermark_linger: Duration::ZERO,
            relay: false,
        }
    }
}

impl FeederConfig {
    /// Whether the settings can work.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let batch_bytes = self.batch_bytes;
        if batch_bytes == 0 || self.window_bytes == 0 {
            let option = if batch_bytes == 0 { "batch_bytes" } else { "window_bytes" };
            return Err(ConfigError::Zero { option });
        }
        if batch_bytes > BATCH_BYTES_MAX {
            return Err(ConfigError::BatchTooLong { batch_bytes, bytes_max: BATCH_BYTES_MAX });
        }
        Ok(())
    }
}

/// How a [`Replica`](crate::Replica) behaves, and who it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaConfig {
    /// This node.
    pub me: NodeId,
    /// Its data directory's incarnation.
    pub incarnation: Incarnation,
    /// What it announces about itself, `name = value`; at most
    /// [`ATTRIBUTES_BYTES_MAX`] bytes together.
    pub attributes: Vec<(String, String)>,
    /// How long the source may take to answer a handshake. Default 5 s.
    pub handshake_timeout: Duration,
    /// Sync-ups in a row that may lead to no entry before the connection is given up. Default 3.
    pub sync_ups_max: u32,
    /// Received bytes after which what is written of them is acknowledged without waiting for the sync. Default 1 MiB.
    pub ack_bytes: usize,
    /// How long received entries may wait for a sync before what is written of them is acknowledged. Default 50 ms.
    pub ack_delay: Duration,
}

impl ReplicaConfig {
    /// Defaults, for this node.
    pub fn new(me: NodeId, incarnation: Incarnation) -> Self {
        ReplicaConfig {
            me,
            incarnation,
            attributes: Vec::new(),
            handshake_timeout: Duration::from_secs(5),
            sync_ups_max: 3,
            ack_bytes: 1 << 20,
            ack_delay: Duration::from_millis(50),
        }
    }

    /// Announces `attributes` as well.
    ///
    /// # Errors
    ///
    /// If they are longer than a handshake takes.
    pub fn with_attributes(
        mut self,
        attributes: Vec<(String, String)>,
    ) -> Result<Self, ConfigError> {
        self.attributes = attributes;
        self.check()?;
        Ok(self)
    }

    /// Whether the settings can work.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let got = attributes_bytes(&self.attributes);
        if got > ATTRIBUTES_BYTES_MAX {
            return Err(ConfigError::AttributesTooLong { bytes_max: ATTRIBUTES_BYTES_MAX, got });
        }
        if self.sync_ups_max == 0 {
            return Err(ConfigError::Zero { option: "sync_ups_max" });
        }
        Ok(())
    }
}
