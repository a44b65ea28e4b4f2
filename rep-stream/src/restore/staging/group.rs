//! Chunks that are made durable while others come.
//!
//! A sync waits for the disk, and a copy has thousands of chunks: whoever receives them hands them, a group at a time, to somebody who
//! waits. Nobody counts on such a sync before it was told to the [`Staging`](super::Staging).

use super::{ChunkId, StagingError, chunk_name, during};
use rep_vlsn::{Disk, DiskFile};

/// Chunks that are kept and not durable: see [`Staging::unsynced`](super::Staging::unsynced).
#[derive(Debug)]
#[must_use]
pub struct Unsynced<D: Disk> {
    pub(super) disk: D,
    pub(super) ids: Vec<ChunkId>,
    pub(super) removals: u64,
}

/// What became of them: see [`Staging::handle_synced`](super::Staging::handle_synced).
#[derive(Debug)]
#[must_use]
pub struct Synced {
    pub(super) durable: Vec<ChunkId>,
    pub(super) failed: Vec<ChunkId>,
    pub(super) removals: u64,
}

impl<D: Disk> Unsynced<D> {
    /// Makes them durable, but for their names. Waits for the disk.
    pub fn sync(self) -> Synced {
        let Unsynced { disk, ids, removals } = self;
        let (durable, failed) = ids.into_iter().partition(|id| sync(&disk, *id).is_ok());
        Synced { durable, failed, removals }
    }
}

/// Makes what is in the file of a chunk durable.
pub(super) fn sync<D: Disk>(disk: &D, id: ChunkId) -> Result<(), StagingError> {
    let Some(file) = disk.open(&chunk_name(id)).map_err(during("open a chunk"))? else {
        return Err(StagingError::Missing { id });
    };
    file.sync().map_err(during("sync a chunk"))
}
