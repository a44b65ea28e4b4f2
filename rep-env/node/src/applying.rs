//! What the applier decides: how much at once, and when a checkpoint is due.
//!
//! The thread that applies only loops over this value; the simulator does so too.

use rep_vlsn::{Vlsn, buggify};
use std::time::Duration;

/// When the store is made durable. The log is replayed from the last checkpoint after a crash, so this bounds
/// how long opening takes, not what is safe.
#[derive(Clone, Copy, Debug)]
pub struct ApplyPlan {
    bytes_max: u64,
    age_max: Duration,
    bytes: u64,
    entries: u64,
    since: Option<Duration>,
}

impl ApplyPlan {
    /// Bytes of one batch handed to the state machine.
    pub const BATCH_BYTES: usize = 1 << 20;
    /// Entries after which a checkpoint is due, however short they are: replaying costs by the entry, too.
    pub const ENTRIES_MAX: u64 = 1 << 20;

    /// A checkpoint each `bytes_max` applied bytes or [`ApplyPlan::ENTRIES_MAX`] entries, or when the oldest change not in one is `age_max` old.
    pub fn new(bytes_max: u64, age_max: Duration) -> Self {
        ApplyPlan { bytes_max, age_max, bytes: 0, entries: 0, since: None }
    }

    /// Entries were applied; tells whether a checkpoint is due.
    pub fn note_applied(&mut self, now: Duration, entries: usize, bytes: usize) -> bool {
        self.bytes += bytes as u64;
        self.entries += entries as u64;
        self.since.get_or_insert(now);
        self.is_due(now) || buggify!("node-early-checkpoint")
    }

    /// Whether a checkpoint is due.
    pub fn is_due(&self, now: Duration) -> bool {
        let aged = self.since.is_some_and(|since| now.saturating_sub(since) >= self.age_max);
        self.bytes >= self.bytes_max || self.entries >= ApplyPlan::ENTRIES_MAX || aged
    }

    /// When a checkpoint will be due if nothing more is applied.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.since.map(|since| since + self.age_max)
    }

    /// A checkpoint has been made.
    pub fn note_checkpoint(&mut self) {
        self.bytes = 0;
        self.entries = 0;
        self.since = None;
    }
}

/// Entries of one `Apply` at most, so that no step grows with the log.
pub(crate) const APPLY_ENTRIES_MAX: u64 = 4096;

/// The range to apply next, when entries up to `applied` are and entries up to `goal` may be.
pub(crate) fn next_range(applied: Vlsn, goal: Vlsn) -> Option<(Vlsn, Vlsn)> {
    let to = goal.min(Vlsn::new(applied.get() + APPLY_ENTRIES_MAX));
    (to > applied).then_some((applied.next(), to))
}
