//! A folder that is opened when it is first needed, and again after it could not be.
//!
//! A member does not depend on the place where its history is archived: that may be a disk of another machine, and be away when the
//! member starts. And a folder belongs to one who writes it: a second member waits here until the first one has ended, and goes on in its place.

use rep_node::rep_stream::segments::{Folder, FolderError, Segment, SegmentSink, ShardId};
use rep_vlsn::disk::Disk;
use rep_vlsn::{FileDisk, GroupId, LogConfig, LogPoint};
use std::io;
use std::path::PathBuf;

/// A directory as a sink: a [`Folder`] on a [`FileDisk`].
#[derive(Debug)]
pub struct Archive {
    path: PathBuf,
    config: LogConfig,
    shard: ShardId,
    folder: Option<Folder<FileDisk>>,
}

/// Why a directory takes no segment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// The directory cannot be used, or somebody else has it open.
    #[error("{path} cannot be used: {error}", path = .path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The directory is a member's home, and stays what it is.
    #[error("{path} is a member's home: ship to a directory of its own", path = .path.display())]
    Home {
        /// The directory.
        path: PathBuf,
    },
    /// What lies in it.
    #[error("{path}: {error}", path = .path.display())]
    Folder {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        error: FolderError,
    },
}

impl Archive {
    /// The directory at `path`, made when it is first shipped to.
    pub fn new(path: impl Into<PathBuf>, config: LogConfig, shard: ShardId) -> Archive {
        Archive { path: path.into(), config, shard, folder: None }
    }

    fn folder(&mut self) -> Result<&mut Folder<FileDisk>, ArchiveError> {
        let folder = match self.folder.take() {
            Some(folder) => folder,
            None => self.open()?,
        };
        Ok(self.folder.insert(folder))
    }

    fn open(&self) -> Result<Folder<FileDisk>, ArchiveError> {
        let failed = |error| ArchiveError::Directory { path: self.path.clone(), error };
        let disk = FileDisk::open(&self.path).map_err(failed)?;
        if disk.open(crate::runtime::home::IDENTITY_CELL).map_err(failed)?.is_some() {
            return Err(ArchiveError::Home { path: self.path.clone() });
        }
        Folder::open(disk, self.config.clone(), self.shard).map_err(|error| self.wrong(error))
    }

    fn wrong(&self, error: FolderError) -> ArchiveError {
        ArchiveError::Folder { path: self.path.clone(), error }
    }
}

impl SegmentSink for Archive {
    type Error = ArchiveError;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, ArchiveError> {
        let told = self.folder()?.acknowledged(group, shard);
        told.map_err(|error| self.wrong(error))
    }

    fn take(&mut self, segment: &Segment) -> Result<(), ArchiveError> {
        let taken = self.folder()?.take(segment);
        taken.map_err(|error| self.wrong(error))
    }
}

impl Drop for Archive {
    fn drop(&mut self) {
        if let Some(folder) = self.folder.take()
            && let Err(error) = folder.close()
        {
            tracing::warn!(archive = %self.path.display(), %error, "an archive was not closed properly; it will be recovered");
        }
    }
}
