#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`ids`] names the places, [`history`] says which node opened which term where, `record` and
//! `batch` are the bytes, `view` is what the protocol cores borrow. Of the log itself, `disk` is what it
//! stands on, `segment` its files, `tail` its newest end in memory, `writer` and `reader` the two
//! ways in, `recovery` how it is opened, `checkpoint` what makes that short;
//! `beginning` is an entry that a log can begin anew with; `cell` is the small durable record beside it;
//! `offline` looks at a log without opening it, `scrub` reads one again that runs.

pub mod history;
pub mod ids;

#[cfg(feature = "log")]
pub mod batch;
#[cfg(feature = "log")]
pub mod beginning;
#[cfg(feature = "log")]
pub mod cell;
#[cfg(feature = "log")]
mod checkpoint;
#[cfg(feature = "log")]
pub mod config;
#[cfg(feature = "contract")]
pub mod contract;
#[cfg(feature = "log")]
mod cut;
#[cfg(feature = "log")]
pub mod disk;
#[cfg(feature = "log")]
pub mod error;
#[cfg(feature = "log")]
mod files;
#[cfg(feature = "log")]
pub mod index;
#[cfg(rep_mutants)]
pub mod mutants;
/// Where threads are explored, a planted bug is the line that a twin breaks.
#[cfg(all(any(rep_loom, rep_shuttle), not(rep_mutants)))]
pub mod mutants {
    pub use rep_explore::broken as on;
}
#[cfg(feature = "log")]
pub mod offline;
#[cfg(rep_coverage)]
pub mod probes;
#[cfg(feature = "log")]
pub mod reader;
#[cfg(feature = "log")]
pub mod record;
#[cfg(feature = "log")]
pub mod recovery;
#[cfg(feature = "log")]
pub mod scrub;
#[cfg(feature = "log")]
pub mod segment;
#[cfg(any(feature = "log", rep_mutants))]
mod sync;
#[cfg(feature = "log")]
pub mod tail;
#[cfg(feature = "log")]
pub mod view;
#[cfg(feature = "log")]
pub mod writer;

pub use history::{History, HistoryError, Matchpoint, TermStart};
pub use ids::{Epoch, GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};

#[cfg(feature = "log")]
pub use batch::{Batch, BatchError};
#[cfg(feature = "log")]
pub use beginning::{Beginning, BeginningError};
#[cfg(feature = "log")]
pub use cell::{CELL_BYTES_MAX, CellState, DurableCell};
#[cfg(feature = "log")]
pub use config::LogConfig;
#[cfg(feature = "file")]
pub use disk::file::FileDisk;
#[cfg(feature = "log")]
pub use disk::mem::{MemDisk, SyncFailure};
#[cfg(feature = "log")]
pub use disk::{Disk, DiskFile};
#[cfg(feature = "log")]
pub use error::{CellError, LogError, OpenError, ReadError};
#[cfg(feature = "log")]
pub use index::{Position, VlsnIndex};
#[cfg(feature = "log")]
pub use offline::{Inspection, OfflineWalk, Place, Seen, UNWRITTEN, inspect, inspect_cell, walk};
#[cfg(feature = "log")]
pub use reader::{LogReader, Run, SegmentSize};
#[cfg(feature = "log")]
pub use record::{Draft, Flags, Holder, Kind, Record, RecordError, RecordHeader, SyncClass};
#[cfg(feature = "log")]
pub use recovery::{Opened, RecoveryReport, begin_with, open, verify};
#[cfg(feature = "log")]
pub use scrub::{Rot, Scrub, Scrubbed};
#[cfg(feature = "log")]
pub use segment::Mark;
#[cfg(feature = "log")]
pub use tail::{Staged, Tail, TailRun};
#[cfg(feature = "log")]
pub use view::{LogView, MEMBERSHIPS_MAX};
#[cfg(feature = "log")]
pub use writer::{LogWriter, SyncPlan, Synced, Truncated, Written};

/// Whether the planted bug of that name is switched on: always `false`, but for builds with
/// `--cfg rep_mutants`, and where threads are explored.
#[cfg(not(any(rep_mutants, rep_loom, rep_shuttle)))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        false
    };
}

/// Whether the planted bug of that name is switched on: see `mutants`.
#[cfg(any(rep_mutants, rep_loom, rep_shuttle))]
#[macro_export]
macro_rules! mutant {
    ($name:literal) => {
        $crate::mutants::on($name)
    };
}

/// Says that a rare moment has come, if it has: for simulators, in builds with `--cfg rep_coverage`. Else nothing.
#[cfg(not(rep_coverage))]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal) => {
        let _ = || $condition;
    };
}

/// Says that a rare moment has come, if it has: see `probes`.
#[cfg(rep_coverage)]
#[macro_export]
macro_rules! sometimes {
    ($condition:expr, $name:literal) => {
        if $condition {
            $crate::probes::meet($name);
        }
    };
}

/// Whether to take a slow path that is as good as any: always `false`, but for builds with `--cfg rep_coverage`.
#[cfg(not(rep_coverage))]
#[macro_export]
macro_rules! buggify {
    ($name:literal) => {
        false
    };
}

/// Whether to take a slow path that is as good as any: see `probes`.
#[cfg(rep_coverage)]
#[macro_export]
macro_rules! buggify {
    ($name:literal) => {
        $crate::probes::fires($name)
    };
}
