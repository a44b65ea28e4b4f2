//! How disks are drawn.

use super::rate;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The disks of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct DiskSwarm {
    /// Mean latency of a write.
    pub write: Duration,
    /// Mean latency of a sync.
    pub sync: Duration,
    /// One node's disk is this much slower, and which one.
    pub slow: Option<(u32, u32)>,
    /// A disk hangs for a while, per second of virtual time.
    pub hangs_per_s: f64,
    /// A disk is slow for a while, per second of virtual time.
    pub slows_per_s: f64,
    /// The next sync, write or read of a disk will fail, per second of virtual time.
    pub errors_per_s: f64,
    /// A disk has no space for a while, per second of virtual time.
    pub fills_per_s: f64,
    /// Something on a disk that is no entry wears (cells, index, marks, headers), per second of virtual time.
    pub wears_per_s: f64,
    /// Share of the copies of the state that rot once they are whole, before they are put in place.
    pub copies_rot: f64,
    /// Bytes of entries that may wait for a disk before writes are refused.
    pub unsynced_bytes_max: u64,
    /// Bytes of a segment of which the index file is told at once.
    pub checkpoint_bytes: u64,
    /// Segment length, in bytes.
    pub segment_bytes: u64,
    /// Bytes of the log's tail in memory.
    pub tail_bytes: usize,
    /// How much of the log's files is kept for members that may still need it,
    pub retention_bytes: u64,
    /// and for how long.
    pub retention_age: Duration,
    /// What a log takes of its disk is judged (I-47): where no disk is slow or full, and nobody writes what need not be durable.
    pub judged: bool,
    /// Payload padding: entries up to this long.
    pub payload_bytes_max: u64,
}

/// In half of the worlds something wears now and then.
pub(super) fn wears(rng: &mut Rng, election_timeout: Duration) -> f64 {
    rate(rng, election_timeout, 0.2, 2.0)
}

/// In one world of four copies rot.
pub(super) fn copies_rot(rng: &mut Rng) -> f64 {
    rng.pick(&[0.0, 0.0, 0.0, 0.3])
}

impl Default for DiskSwarm {
    fn default() -> Self {
        DiskSwarm::calm()
    }
}

impl DiskSwarm {
    pub(super) fn draw(
        rng: &mut Rng,
        nodes: u32,
        heartbeat: Duration,
        election_timeout: Duration,
    ) -> Self {
        let slowest = heartbeat.as_nanos() as f64 / 2.0;
        let slow_by = rng.pick(&[5, 20, 60]);
        DiskSwarm {
            write: Duration::from_nanos(rng.log_uniform(5_000.0, slowest / 4.0) as u64),
            sync: Duration::from_nanos(rng.log_uniform(50_000.0, slowest) as u64),
            slow: rng.chance(0.4).then(|| (rng.between(1, u64::from(nodes)) as u32, slow_by)),
            hangs_per_s: rate(rng, election_timeout, 0.2, 3.0),
            slows_per_s: rate(rng, election_timeout, 0.2, 3.0),
            errors_per_s: rate(rng, election_timeout, 0.2, 6.0),
            fills_per_s: rate(rng, election_timeout, 0.2, 3.0),
            wears_per_s: 0.0,
            copies_rot: 0.0,
            unsynced_bytes_max: rng.pick(&[2 << 10, 64 << 20, 64 << 20]),
            checkpoint_bytes: rng.pick(&[1, 1 << 10, 4 << 20]),
            segment_bytes: rng.pick(&[4 << 10, 16 << 10, 64 << 10]),
            tail_bytes: rng.pick(&[256, 1 << 10, 8 << 10, 64 << 10]),
            payload_bytes_max: rng.pick(&[8, 60, 400]),
            ..DiskSwarm::calm()
        }
    }

    /// In two worlds of three logs are cleaned, of files that hold a few entries.
    pub(super) fn clean(&mut self, rng: &mut Rng, election_timeout: Duration) {
        if rng.chance(1.0 / 3.0) {
            return;
        }
        self.segment_bytes = rng.pick(&[512, 1 << 10, 4 << 10]);
        self.retention_bytes = rng.pick(&[0, 8 << 10, u64::MAX, u64::MAX]);
        self.retention_age = match rng.chance(0.3) {
            true => election_timeout * rng.between(1, 30) as u32,
            false => Duration::MAX,
        };
    }

    /// Logs whose bounds are reached within seconds.
    pub(super) fn stay_small(&mut self, rng: &mut Rng) {
        self.unsynced_bytes_max = 16 << 10;
        self.checkpoint_bytes = rng.pick(&[1 << 10, 4 << 10]);
        self.segment_bytes = rng.pick(&[1 << 10, 4 << 10]);
        self.tail_bytes = rng.pick(&[1 << 10, 8 << 10, 64 << 10]);
        self.payload_bytes_max = rng.pick(&[60, 400]);
        self.retention_bytes = rng.pick(&[0, 8 << 10, 32 << 10]);
        self.judged = true;
    }

    pub(super) fn calm() -> Self {
        DiskSwarm {
            write: Duration::from_micros(20),
            sync: Duration::from_millis(1),
            slow: None,
            hangs_per_s: 0.0,
            slows_per_s: 0.0,
            errors_per_s: 0.0,
            fills_per_s: 0.0,
            wears_per_s: 0.0,
            copies_rot: 0.0,
            unsynced_bytes_max: 64 << 20,
            checkpoint_bytes: 4 << 20,
            segment_bytes: 64 << 10,
            tail_bytes: 64 << 10,
            payload_bytes_max: 8,
            retention_bytes: u64::MAX,
            retention_age: Duration::MAX,
            judged: false,
        }
    }
}
