//! The byte verbs under the log.
//!
//! The log needs little of a file system: files written by place, made durable one by one, and names
//! made durable directory by directory. Asking for just that, in one small trait, lets the tests put
//! a disk underneath that loses power at the worst moment.
//!
//! # The contract
//!
//! - A *name* is a relative path with `/` between its parts, none of them empty, `.` or `..`. The
//!   directory `""` is the disk's root and always exists.
//! - Bytes written are read back at once, by every handle of the file. They are *durable* (outlive a power
//!   cut) once a later [`DiskFile::sync`] of that file returned. Until then any part of them may
//!   be lost, in any order, whole or torn.
//! - A file's length is part of what `sync` makes durable. Its *name* is not: creations, renames and
//!   removals are durable once [`Disk::sync_dir`] of the directory returned (for a rename that crosses
//!   directories: of the directory it goes to).
//! - Space between the written parts of a file, and space that was only allocated, reads as zeros.
//! - A sync that failed says nothing about what is durable, and neither does a later one that
//!   succeeds: callers stop trusting the file.
//! - Handles stay usable after the file is renamed or removed.
//! - Calls may come from many threads. Writes to places that do not overlap do not disturb each other.
//!
//! `contract::disk` (feature `contract`) holds an implementation to all of this that can be seen without
//! cutting the power.

use bytes::Bytes;
use std::fmt::Debug;
use std::io;

#[cfg(feature = "file")]
pub mod file;
pub mod mem;

/// A place for named files: see the [module](self) for the contract. Clones are handles to one disk.
pub trait Disk: Clone + Send + Sync + Debug + 'static {
    /// An open file.
    type File: DiskFile;

    /// Makes a new, empty file.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::AlreadyExists`] if the name is taken, [`io::ErrorKind::NotFound`] if the directory
    /// does not exist; and whatever the disk says.
    fn create(&self, name: &str) -> io::Result<Self::File>;

    /// Opens a file; `None` if there is none of that name.
    fn open(&self, name: &str) -> io::Result<Option<Self::File>>;

    /// The files of a directory by their last name part, sorted; none if the directory does not exist.
    fn list(&self, dir: &str) -> io::Result<Vec<String>>;

    /// Gives a file another name, replacing the file of that name if there is one: whoever looks sees
    /// one of them, never neither.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file. [`io::ErrorKind::NotFound`] if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes a directory, if it does not exist. Durable after `sync_dir` of its parent.
    fn create_dir(&self, dir: &str) -> io::Result<()>;

    /// Makes the names of a directory durable.
    fn sync_dir(&self, dir: &str) -> io::Result<()>;

    /// Bytes that may still be allocated; `None`, as by default, if the disk does not know.
    fn free_bytes(&self) -> io::Result<Option<u64>> {
        Ok(None)
    }
}

/// An open file: see the [module](self) for the contract.
pub trait DiskFile: Send + Sync + Debug {
    /// Reads from `offset` until `buffer` is full or the file ends; says how many bytes were read. Short
    /// reads and interruptions are the implementation's to hide: fewer bytes mean the end of the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes all of `bytes` at `offset`; the file grows if it ends earlier.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Writes all parts one behind the other, from `offset` on. The default loops.
    fn write_vectored_at(&self, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        let mut at = offset;
        for part in parts {
            self.write_at(at, part)?;
            at += part.len() as u64;
        }
        Ok(())
    }

    /// Cuts the file, or grows it with zeros. What was cut off never comes back as content.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes sure that the file is at least `len` long and that its space is reserved, without touching
    /// what was written. A disk that cannot reserve grows the file.
    fn allocate(&self, len: u64) -> io::Result<()>;

    /// The file's length.
    fn len(&self) -> io::Result<u64>;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }

    /// Makes everything written to the file so far, and its length, durable.
    fn sync(&self) -> io::Result<()>;
}

/// Everything before the last `/` of a name; the root's `""` if there is none.
pub(crate) fn parent(name: &str) -> &str {
    name.rfind('/').map_or("", |at| &name[..at])
}

/// Whether a name is one that the contract allows.
pub(crate) fn check_name(name: &str) -> io::Result<()> {
    let sound = name.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !name.contains(['\\', '\0']);
    if sound { Ok(()) } else { Err(io::Error::new(io::ErrorKind::InvalidInput, "malformed name")) }
}
