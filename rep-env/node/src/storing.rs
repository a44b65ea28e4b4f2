//! What the disk and the store have done, and have failed to do.
//!
//! Nothing that leans on the disk is said before the disk has said so; what it could not do ends what leaned on it. A disk that is
//! full has failed at nothing: what waits for space goes on waiting.

use crate::node::Node;
use crate::output::{Event, HaltReason};
use rep_election::Fence;
use rep_fsm::{Role, Signal};
use rep_vlsn::{Epoch, LogPoint, Vlsn, mutant};
use std::time::Duration;

/// What the disk has finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Persisted {
    /// The promise cell holds this fence.
    Fence(Fence),
    /// Everything up to `point` was handed to the operating system. To be told if the writer says so; else the news of
    /// the sync is enough.
    Written {
        /// The last entry.
        point: LogPoint,
        /// The append epoch in which it was staged.
        epoch: Epoch,
    },
    /// Everything up to `point` is synced, by a sync that began in `epoch`.
    Log {
        /// The last entry that it vouches for.
        point: LogPoint,
        /// The append epoch in which it was written.
        epoch: Epoch,
    },
    /// The cut is durable, and so is everything before it.
    Truncated {
        /// The last entry.
        point: LogPoint,
        /// The epoch that the cut began.
        epoch: Epoch,
        /// Header CRC of the last entry.
        last_crc: u32,
    },
    /// The cell `past` holds the value that is about entries before this one.
    Past {
        /// As it was asked.
        before: Vlsn,
    },
    /// The cell `vouch` holds this point.
    Vouch(LogPoint),
    /// Files at the log's head are gone.
    Cleaned {
        /// The first entry still held.
        first: Vlsn,
    },
}

/// What the disk has failed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PersistFailed {
    /// The promise cell could not be written, or an arbiter's cell `vouch`.
    Fence,
    /// The log could not be written, synced or cut: it takes no more in this run.
    Log,
}

impl Node {
    /// The disk has finished something that this node asked for.
    pub fn handle_persisted(&mut self, now: Duration, what: Persisted) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        match what {
            Persisted::Fence(fence) => {
                self.elect(|election, standing| election.handle_persisted(now, fence, standing));
            }
            Persisted::Written { point, epoch } => self.log_written(now, point, epoch),
            Persisted::Log { point, epoch } => self.log_synced(now, point, epoch),
            Persisted::Truncated { point, epoch, last_crc } => {
                self.log_truncated(now, point, epoch, last_crc);
            }
            Persisted::Vouch(point) => self.vouch_kept(point),
            Persisted::Past { before } => self.past_kept(before),
            Persisted::Cleaned { first } => self.log_cleaned(first),
        }
        self.settle(now);
    }

    /// The disk has failed. Without a promise a node can do nothing; without a log it still votes, by what was
    /// synced, and is never named.
    pub fn handle_persist_failed(&mut self, now: Duration, what: PersistFailed, why: String) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        match what {
            PersistFailed::Fence => self.halt(HaltReason::PromiseFailed { why }),
            PersistFailed::Log => self.fail_log(now, why),
        }
        self.settle(now);
    }

    /// The log has no space for what waits to be written, or has some again. A master gives its place to one that can write; all
    /// else goes on: votes, reads of what is there, cleaning.
    pub fn handle_disk_full(&mut self, now: Duration, full: bool) {
        self.clock = now;
        if self.is_over() || self.disk_full == full {
            return;
        }
        self.disk_full = full;
        self.event(Event::DiskFull { full });
        if full && self.reign.is_some() && !mutant!("node-reigns-on-a-full-disk") {
            self.end_reign(now, Signal::GracefulRelinquish, "the disk is full");
        }
        self.settle(now);
    }

    /// The store holds everything up to `point`.
    pub fn handle_applied(&mut self, now: Duration, point: LogPoint) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        assert!(self.log.contains(point), "only entries of this log are applied");
        self.applied = self.applied.max(point);
        if self.applying_to.is_some_and(|to| to <= point.vlsn) {
            self.applying_to = None;
        }
        self.settle(now);
    }

    fn log_written(&mut self, now: Duration, point: LogPoint, epoch: Epoch) {
        if self.log_failed.is_some() || !self.log.mark_written(point, epoch) {
            return;
        }
        self.own_copy_moved(now);
        self.replica_written(now);
    }

    fn log_synced(&mut self, now: Duration, point: LogPoint, epoch: Epoch) {
        if self.log_failed.is_some() || !self.log.mark_synced(point, epoch) {
            return;
        }
        self.disk_stalled = false;
        self.release_unsynced();
        self.own_copy_moved(now);
        self.replica_synced(now);
    }

    fn log_truncated(&mut self, now: Duration, point: LogPoint, epoch: Epoch, last_crc: u32) {
        assert!(self.truncating && epoch == self.log.epoch() && point == self.log.last());
        self.log.truncated(last_crc);
        self.truncating = false;
        self.release_unsynced();
        self.begin_term(now);
        self.replica_truncated(now);
    }

    fn release_unsynced(&mut self) {
        while let Some(&(vlsn, _, bytes)) = self.unsynced.front() {
            if vlsn > self.log.synced() {
                break;
            }
            self.unsynced_bytes -= bytes;
            self.unsynced.pop_front();
        }
    }

    fn fail_log(&mut self, now: Duration, why: String) {
        if self.log_failed.is_some() {
            return;
        }
        self.log_failed = Some(why.clone());
        self.event(Event::LogFailed { why });
        self.unfollow();
        if self.reign.is_some() {
            self.end_reign(now, Signal::LeaderDiskPressureWithdraw, "the disk failed");
        } else if self.role.role() == Role::Candidate {
            self.step_role(Signal::CandidateDiskPressureWithdraw);
        } else if self.role.role() == Role::Replica {
            self.step_role(Signal::DiskPressureWithdraw);
        }
        self.because("the disk failed");
    }
}
