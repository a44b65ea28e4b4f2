//! What a [`MemDisk`] can be told to do wrong, besides losing power.

use super::{MemDisk, State};
use std::io;

/// How the next sync of a file fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub enum SyncFailure {
    /// With an I/O error, after which the unsynced pages read as they were written: the page cache kept them.
    ReadsNew,
    /// With an I/O error, after which the unsynced pages read as they were before: the page cache dropped them.
    ReadsOld,
    /// For lack of space that had not been asked for before (delayed allocation). Pages read as they were written.
    NoSpace,
}

/// Failures that are to come.
#[derive(Debug, Default)]
pub(super) struct Faults {
    pub(super) sync: Option<SyncFailure>,
    pub(super) write: bool,
    pub(super) read: bool,
    pub(super) rename: bool,
    pub(super) sync_dir: bool,
    /// Nothing more can be allocated. It outlives crashes.
    pub(super) full: bool,
}

impl MemDisk {
    /// The next sync of a file fails, once. As real kernels do, the disk then takes the unsynced pages
    /// for clean: later syncs succeed and do not make them durable.
    pub fn fail_next_sync(&self) {
        self.fail_next_sync_as(SyncFailure::ReadsNew);
    }

    /// The same, in a way of its own.
    pub fn fail_next_sync_as(&self, how: SyncFailure) {
        self.state.lock().faults.sync = Some(how);
    }

    /// The next write to a file fails, once, having written nothing.
    pub fn fail_next_write(&self) {
        self.state.lock().faults.write = true;
    }

    /// The next read of a file fails, once.
    pub fn fail_next_read(&self) {
        self.state.lock().faults.read = true;
    }

    /// The next rename fails, once, having renamed nothing.
    pub fn fail_next_rename(&self) {
        self.state.lock().faults.rename = true;
    }

    /// The next sync of a directory fails, once: its names may be durable or not, until one succeeds.
    pub fn fail_next_sync_dir(&self) {
        self.state.lock().faults.sync_dir = true;
    }

    /// From now on there is no space (`full`), or there is some again. Without any, no file is created and none grows; what
    /// was allocated can be written.
    pub fn fill(&self, full: bool) {
        self.state.lock().faults.full = full;
    }

    /// Calls off whatever was to fail.
    pub fn cure(&self) {
        self.state.lock().faults = Faults::default();
    }

    /// Flips one bit of the byte at `offset` (the bit numbered `offset` mod 8), synced or not. Says
    /// whether the file has such a byte.
    pub fn flip_bit(&self, name: &str, offset: u64) -> bool {
        let state = self.state.lock();
        state.names.files.get(name).is_some_and(|inode| inode.lock().flip_bit(offset))
    }

    /// Puts other bytes where synced ones were, durably: a write that went to the wrong place, or one that was reported
    /// and never done. Says whether the file reaches that far.
    pub fn scribble(&self, name: &str, offset: u64, bytes: &[u8]) -> bool {
        let state = self.state.lock();
        state.names.files.get(name).is_some_and(|inode| inode.lock().scribble(offset, bytes))
    }
}

impl State {
    /// Fails if there is no space and the file would have to be `end` bytes long.
    pub(super) fn space_for(&self, len: u64, end: u64) -> io::Result<()> {
        if self.faults.full && end > len { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl SyncFailure {
    pub(super) fn error(self) -> io::Error {
        match self {
            SyncFailure::ReadsNew | SyncFailure::ReadsOld => {
                io::Error::other("injected sync failure")
            }
            SyncFailure::NoSpace => io::ErrorKind::StorageFull.into(),
        }
    }
}
