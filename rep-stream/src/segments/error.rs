//! What can go wrong with segments, and whose doing it is.

use super::segment::ShardId;
use rep_vlsn::error::{LogError, OpenError, ReadError};
use rep_vlsn::{BatchError, BeginningError, GroupId, LogPoint, Vlsn};
use thiserror::Error;

/// Bytes or parts that are no segment. Whoever sent them is at fault.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SegmentError {
    /// Longer than a segment may be.
    #[error("a segment of {bytes} bytes is longer than any may be")]
    TooLong {
        /// Its bytes.
        bytes: usize,
    },
    /// Shorter than what stands before the entries.
    #[error("a segment of {bytes} bytes is shorter than any can be")]
    TooShort {
        /// Its bytes.
        bytes: usize,
    },
    /// A layout that this version does not read.
    #[error("segment layout {found} is not read here")]
    Version {
        /// The layout that it names.
        found: u8,
    },
    /// It is not what was sent.
    #[error("its content has another digest")]
    Digest,
    /// The entries are damaged or do not follow each other.
    #[error(transparent)]
    Entries(#[from] BatchError),
    /// What is said of the entry before does not fit.
    #[error(transparent)]
    Beginning(#[from] BeginningError),
    /// The beginning is that of another run of entries.
    #[error("the beginning is that of other entries")]
    Torn,
}

/// Why entries do not reach a sink.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ShipError<E> {
    /// The sink lacks entries that the log does not hold any more. It gets nothing from here: ship from a member that has them, or begin
    /// a new archive.
    #[error("the sink ends with entry {acknowledged}, and the log begins at {first}")]
    Gap {
        /// The last entry that the sink has.
        acknowledged: Vlsn,
        /// The first that the log has.
        first: Vlsn,
    },
    /// The sink holds an entry that is none of this log: it is of another group, or somebody wrote to it.
    #[error("the sink ends with entry {theirs}, which is none of this log")]
    Diverged {
        /// The entry.
        theirs: LogPoint,
    },
    /// The sink's doing. It is asked again where it stands.
    #[error("the sink: {0}")]
    Sink(#[source] E),
    /// The log's doing.
    #[error(transparent)]
    Log(#[from] ReadError),
    /// The log gave entries that are none.
    #[error(transparent)]
    Segment(#[from] SegmentError),
}

/// Why a folder takes no segment.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FolderError {
    /// The folder cannot be opened.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The disk under the folder. Nothing that was acknowledged is lost, and the segment may be given again.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The caller's doing: it is a segment of another log.
    #[error("a folder of {ours}, and a segment of {given}")]
    OtherShard {
        /// The folder's.
        ours: ShardId,
        /// The segment's.
        given: ShardId,
    },
    /// The caller's doing: the folder holds entries of another group.
    #[error("a folder of group {ours}, and a segment of {given}")]
    OtherGroup {
        /// The folder's.
        ours: GroupId,
        /// The segment's.
        given: GroupId,
    },
    /// The caller's doing: the segment does not go on where the folder ends.
    #[error("the folder ends with entry {last}, the segment goes on after {prev}")]
    DoesNotFollow {
        /// The folder's last entry.
        last: LogPoint,
        /// The entry before the segment.
        prev: LogPoint,
    },
}
