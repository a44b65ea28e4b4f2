//! When to sync what was written.
//!
//! An entry that asks for a sync gets it with its group. Others ride on that sync, or on the one that is made for
//! them when the oldest of them has waited for long enough: so nothing stays in the operating system's hands alone
//! for longer than the interval, and a loaded log does not sync more often than it has to. It is made earlier when much
//! waits for it, since what is not synced counts against a budget, and who finds that full would wait for an idle disk.

use super::Written;
use crate::mutant;
use std::time::Duration;

/// Decides when the next sync is due. The thread that writes the log only loops over it; a simulator does so too.
///
/// ```
/// use rep_vlsn::SyncPlan;
/// use std::time::Duration;
///
/// let plan = SyncPlan::new(Duration::from_millis(100), 32 << 20);
/// assert_eq!(plan.next_timeout(), None, "nothing waits");
/// ```
#[derive(Clone, Copy, Debug)]
pub struct SyncPlan {
    interval: Duration,
    bytes_max: u64,
    /// Bytes of records that no sync covers.
    bytes: u64,
    /// When the oldest write that no sync covers was made.
    since: Option<Duration>,
}

impl SyncPlan {
    /// A sync at the latest `interval` after a write, and when `bytes_max` bytes of records wait for one.
    pub fn new(interval: Duration, bytes_max: u64) -> Self {
        SyncPlan { interval, bytes_max, bytes: 0, since: None }
    }

    /// A group has been written at `now`; tells whether to sync now.
    pub fn note_written(&mut self, now: Duration, written: &Written) -> bool {
        self.since.get_or_insert(now);
        self.bytes += written.bytes as u64;
        written.eager || self.bytes >= self.bytes_max || self.is_due(now)
    }

    /// Whether something has waited for long enough.
    pub fn is_due(&self, now: Duration) -> bool {
        self.next_timeout().is_some_and(|at| at <= now)
    }

    /// When a sync is due, if anything waits for one.
    pub fn next_timeout(&self) -> Option<Duration> {
        self.since.map(|since| since + self.interval).filter(|_| !mutant!("dur-never-sync"))
    }

    /// Everything that was written is synced.
    pub fn note_synced(&mut self) {
        (self.bytes, self.since) = (0, None);
    }
}
