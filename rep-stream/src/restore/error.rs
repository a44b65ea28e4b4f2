//! How a restore ends, and what may go wrong on the sink's own disk.

use super::digest::ChunkId;
use super::message::Refusal;
use rep_vlsn::{CellError, LogPoint};
// tidy: allow(sans-io) because it is what a Disk says when it fails, as a value; nothing here opens anything
use std::io;
use std::time::Duration;
use thiserror::Error;

/// How a restore ended at one of its ends. What the sink has kept is worth keeping in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum RestoreEnd {
    /// The whole copy is where it was to go.
    #[error("done")]
    Done,
    /// The source gives no copy, or no more of it.
    #[error("refused: {0}")]
    Refused(Refusal),
    /// The other end did not do anything for too long.
    #[error("no progress for {after:?} while {what}")]
    TimedOut {
        /// What this end was doing.
        what: &'static str,
        /// How long.
        after: Duration,
    },
}

/// Chunks that cannot be kept, or read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StagingError {
    /// The disk has no space. What was kept before is as good as it was.
    #[error("restore: {what}: the disk is full")]
    Full {
        /// The operation.
        what: &'static str,
    },
    /// There is less space than this takes, beside what is others'. Nothing was written for it.
    #[error(
        "restore: {what}: that takes {bytes} bytes of the disk, and {free_bytes} are free beside the reserve"
    )]
    NoRoom {
        /// The operation.
        what: &'static str,
        /// What it takes.
        bytes: u64,
        /// What there is, without the reserve.
        free_bytes: u64,
    },
    /// The disk's doing.
    #[error("restore: {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// The cell that says whether a copy is complete.
    #[error("restore: {0}")]
    Cell(#[from] CellError),
    /// The copy is to have a chunk that is not here: it was never kept, or could not be synced. Fetch it.
    #[error("restore: chunk {id} is not here")]
    Missing {
        /// The chunk.
        id: ChunkId,
    },
    /// A file of a complete copy does not hold what its name says, or is gone.
    #[error("restore: {file} is spoilt")]
    Spoilt {
        /// The file.
        file: String,
    },
    /// The caller's doing: a complete copy waits to be installed, and takes no more chunks.
    #[error("restore: a complete copy waits to be installed")]
    AlreadyComplete,
    /// The caller's doing: chunks are being synced, and what became of that has to be told first.
    #[error("restore: chunks are being synced")]
    BeingSynced,
}

/// A copy that was not installed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum InstallError<E> {
    /// The chunks cannot be got at. The next opening goes on.
    #[error(transparent)]
    Staging(#[from] StagingError),
    /// The copy has rotted on the disk, or there is no room for it now, and was given up: what is still good of it is kept, and the member fetches the rest
    /// again. Open as if there had been no copy.
    #[error("the copy was given up, to be fetched again: {0}")]
    GivenUp(StagingError),
    /// The copy's list has rotted, and an earlier opening had begun to install it: the member may be neither what it was nor what
    /// it was to become, and nothing here can make it one of them. The directory is lost.
    #[error("the copy's list is spoilt, and half of it may have been installed: {0}")]
    HalfDone(StagingError),
    /// The members and terms could not be stored. The next opening goes on.
    #[error("storing the past: {0}")]
    Past(E),
    /// The state could not be replaced. The next opening goes on; if the state machine will never take these chunks, call
    /// [`Staging::clear`](super::Staging::clear).
    #[error("installing the state: {0}")]
    State(E),
    /// The log could not be begun. The next opening goes on.
    #[error("beginning the log: {0}")]
    Log(E),
    /// The chunks made a state of another point than the manifest says: the source is broken, and so is what it gave.
    #[error("a copy of {told} made a state at {installed}")]
    OtherPoint {
        /// The manifest's point.
        told: LogPoint,
        /// The state's.
        installed: LogPoint,
    },
}

impl StagingError {
    /// Whether it is space that lacks: somebody has to make some, and then it may be tried again.
    pub fn is_lack_of_space(&self) -> bool {
        matches!(self, StagingError::Full { .. } | StagingError::NoRoom { .. })
    }

    /// The same about a file that could not be read, for somebody else.
    pub(super) fn told_again(&self) -> StagingError {
        match self {
            StagingError::Spoilt { file } => StagingError::Spoilt { file: file.clone() },
            other => during("read a chunk")(io::Error::other(other.to_string())),
        }
    }

    /// A cell that has no space is a full disk.
    pub(super) fn of_cell(error: CellError) -> StagingError {
        match error {
            CellError::Io { what, source } => during(what)(source),
            error => StagingError::Cell(error),
        }
    }
}

/// Names the operation that failed.
pub(super) fn during(what: &'static str) -> impl Fn(io::Error) -> StagingError {
    move |source| match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StagingError::Full { what },
        _ => StagingError::Io { what, source },
    }
}
