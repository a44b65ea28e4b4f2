//! What can go wrong with a log, whose doing it is, and what to do next.

use crate::ids::{GroupId, LogPoint, Vlsn};
use std::io;
use thiserror::Error;

/// A cell that cannot be read or written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CellError {
    /// The caller's doing: the value is longer than a cell holds.
    #[error("a cell holds {max} bytes at most, not {bytes}")]
    TooLong {
        /// Bytes given.
        bytes: usize,
        /// Bytes that a cell holds.
        max: usize,
    },
    /// The disk's doing: the cell was written once, and neither of its slots can be read. It is not
    /// fresh: what it held is forgotten, and whoever relied on it must not go on as if it never held
    /// anything.
    #[error("cell {name} is damaged in both slots")]
    Damaged {
        /// The cell.
        name: String,
    },
    /// An earlier store failed, so nobody knows what the disk holds. Reopen.
    #[error("cell {name} is closed by an earlier failure; reopen it")]
    Poisoned {
        /// The cell.
        name: String,
    },
    /// The disk's doing.
    #[error("cell: {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What the disk said.
        source: io::Error,
    },
}

/// A log that cannot be written.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum LogError {
    /// An earlier write or sync failed. What the disk holds is unknown, so this process acknowledges
    /// nothing more; the way on is to reopen.
    #[error("the log is closed by an earlier failure; reopen it")]
    Poisoned,
    /// The caller's doing: entries were staged before the log was told its group.
    #[error("the log was not told which group it belongs to")]
    NoGroup,
    /// The caller's doing: the log belongs to another group.
    #[error("the log belongs to group {ours}, not to {given}")]
    WrongGroup {
        /// The group in the log's segments.
        ours: GroupId,
        /// The group that it was told.
        given: GroupId,
    },
    /// The disk has no space for another segment, or not beyond what is to stay free. Nothing is lost: what was to be written waits
    /// in the tail, what was written is as good as ever, and the call may be made again.
    #[error("the disk is full: there is no room for {bytes} bytes beside the reserve")]
    Full {
        /// Bytes that another segment takes.
        bytes: u64,
    },
    /// The caller's doing: a cut after an entry that the log does not hold.
    #[error("the log does not hold {point}")]
    NotHeld {
        /// Where the cut was to be.
        point: LogPoint,
    },
    /// The disk's doing: the log is poisoned from now on.
    #[error("log: {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// The cut cell's failure: the log is poisoned from now on.
    #[error(transparent)]
    Cell(#[from] CellError),
}

/// A log that cannot be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The disk's doing: an entry that was known to be synced is damaged or missing. Nothing was cut:
    /// the entry has to come back from a peer.
    #[error("entry {vlsn} was synced and is damaged: {what} (segment {segment}, offset {offset})")]
    Damaged {
        /// The first entry that cannot be vouched for.
        vlsn: Vlsn,
        /// The file in which it should be.
        segment: String,
        /// Where in the file.
        offset: u64,
        /// What does not fit.
        what: &'static str,
    },
    /// A file of a format that this version does not know.
    #[error("{segment} is of format {found}, this version knows {known}")]
    Version {
        /// The file.
        segment: String,
        /// The format that it names.
        found: u32,
        /// The newest format known here.
        known: u32,
    },
    /// Segments of two groups lie in one directory.
    #[error("{segment} belongs to group {found}, the log to group {ours}")]
    Foreign {
        /// The file.
        segment: String,
        /// The group of the segments before it.
        ours: GroupId,
        /// The group that it names.
        found: GroupId,
    },
    /// The disk's doing.
    #[error("opening the log: {what}: {source}")]
    Io {
        /// The operation.
        what: &'static str,
        /// What the disk said.
        source: io::Error,
    },
    /// The cut cell cannot be read.
    #[error(transparent)]
    Cell(#[from] CellError),
}

/// A range that cannot be read.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The log was cut since the reader learnt of the range: what it asks for may be gone. Ask again
    /// with the present epoch, if the range still makes sense.
    #[error("the log was truncated in the meantime")]
    Truncated,
    /// The range begins before the first entry held.
    #[error("the log begins at entry {first}")]
    Cleaned {
        /// The first entry still held.
        first: Vlsn,
    },
    /// The range begins after the last entry.
    #[error("the log does not reach that far yet")]
    NotYet,
    /// The disk's doing: the entry cannot be vouched for.
    #[error("entry {vlsn} is damaged")]
    Damaged {
        /// The entry.
        vlsn: Vlsn,
    },
    /// The disk's doing.
    #[error("reading the log: {0}")]
    Io(#[from] io::Error),
    /// The log was closed.
    #[error("the log is closed")]
    Closed,
}

/// An error of the disk, with the operation named: on its way into one of the public errors.
pub(crate) struct Failed {
    what: &'static str,
    source: io::Error,
}

pub(crate) trait During<T> {
    /// Names the operation that failed.
    fn during(self, what: &'static str) -> Result<T, Failed>;
}

impl<T> During<T> for io::Result<T> {
    fn during(self, what: &'static str) -> Result<T, Failed> {
        self.map_err(|source| Failed { what, source })
    }
}

macro_rules! named_io {
    ($($error:ident),*) => {
        $(impl From<Failed> for $error {
            fn from(Failed { what, source }: Failed) -> Self {
                $error::Io { what, source }
            }
        })*
    };
}

named_io!(CellError, LogError, OpenError);
