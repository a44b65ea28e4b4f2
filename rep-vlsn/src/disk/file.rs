//! A directory of the real file system. The one file of this crate that touches `std::fs`.

use super::{Disk, DiskFile, check_name};
use bytes::Bytes;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, IoSlice};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Name of the file whose lock says that the directory is in use.
const LOCK: &str = "LOCK";
/// Parts of one vectored write; the kernel takes no more at a time.
const PARTS_MAX: usize = 1024;

/// A directory, locked against other processes for as long as a handle to it lives.
#[derive(Clone, Debug)]
pub struct FileDisk {
    home: Arc<Home>,
}

#[derive(Debug)]
struct Home {
    dir: PathBuf,
    /// `None` in a directory that was never opened but for reading.
    _lock: Option<File>,
    read_only: bool,
}

impl FileDisk {
    /// Opens a directory, made if it does not exist, and locks it.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] if another `FileDisk`, of this process or another, holds it.
    pub fn open(dir: impl AsRef<Path>) -> io::Result<FileDisk> {
        let dir = dir.as_ref().to_path_buf();
        make_home(&dir)?;
        let lock =
            OpenOptions::new().create(true).truncate(false).write(true).open(dir.join(LOCK))?;
        take(&lock, &dir)?;
        Ok(FileDisk { home: Arc::new(Home { dir, _lock: Some(lock), read_only: false }) })
    }

    /// Opens a directory that exists, locks it, and changes nothing in it: whatever would is refused with
    /// [`io::ErrorKind::ReadOnlyFilesystem`]. For a copy, or for what a node has left behind.
    ///
    /// # Errors
    ///
    /// [`io::ErrorKind::WouldBlock`] as [`FileDisk::open`]; [`io::ErrorKind::NotADirectory`] if there is none.
    pub fn open_read_only(dir: impl AsRef<Path>) -> io::Result<FileDisk> {
        let dir = dir.as_ref().to_path_buf();
        if !dir.is_dir() {
            let what = format!("there is no directory {}", dir.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, what));
        }
        let lock = match File::open(dir.join(LOCK)) {
            Ok(lock) => Some(lock),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        lock.iter().try_for_each(|lock| take(lock, &dir))?;
        Ok(FileDisk { home: Arc::new(Home { dir, _lock: lock, read_only: true }) })
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.home.dir
    }

    fn path(&self, name: &str) -> io::Result<PathBuf> {
        check_name(name)?;
        Ok(self.home.dir.join(name))
    }

    /// The path of something that is about to be changed.
    fn path_to_change(&self, name: &str) -> io::Result<PathBuf> {
        match self.home.read_only {
            true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
            false => self.path(name),
        }
    }

    fn dir_path(&self, dir: &str) -> io::Result<PathBuf> {
        if dir.is_empty() { Ok(self.home.dir.clone()) } else { self.path(dir) }
    }
}

impl Disk for FileDisk {
    type File = RealFile;

    fn create(&self, name: &str) -> io::Result<RealFile> {
        let path = self.path_to_change(name)?;
        let file = OpenOptions::new().read(true).write(true).create_new(true).open(path)?;
        Ok(RealFile { file })
    }

    fn open(&self, name: &str) -> io::Result<Option<RealFile>> {
        let write = !self.home.read_only;
        match OpenOptions::new().read(true).write(write).open(self.path(name)?) {
            Ok(file) => Ok(Some(RealFile { file })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        let entries = match fs::read_dir(self.dir_path(dir)?) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut names = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                // A name that is no UTF-8 is not one of ours.
                names.extend(entry.file_name().into_string());
            }
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        fs::rename(self.path_to_change(from)?, self.path_to_change(to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        fs::remove_file(self.path_to_change(name)?)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        match fs::create_dir(self.path_to_change(dir)?) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        File::open(self.dir_path(dir)?)?.sync_all()
    }

    fn free_bytes(&self) -> io::Result<Option<u64>> {
        let space = rustix::fs::statvfs(&self.home.dir)?;
        Ok(Some(space.f_bavail.saturating_mul(space.f_frsize)))
    }
}

/// An open file of a [`FileDisk`].
#[derive(Debug)]
pub struct RealFile {
    file: File,
}

impl DiskFile for RealFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], offset + done as u64) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all_at(bytes, offset)
    }

    fn write_vectored_at(&self, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        let mut at = offset;
        for parts in parts.chunks(PARTS_MAX) {
            let mut slices: Vec<IoSlice<'_>> =
                parts.iter().map(|part| IoSlice::new(part)).collect();
            at += write_all_vectored(&self.file, at, &mut slices)?;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.file.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        use rustix::fs::{FallocateFlags, fallocate};
        if self.len()? >= len {
            return Ok(());
        }
        match fallocate(&self.file, FallocateFlags::empty(), 0, len) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::OPNOTSUPP | rustix::io::Errno::NOSYS) => self.file.set_len(len),
            Err(error) => Err(error.into()),
        }
    }

    fn len(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    fn sync(&self) -> io::Result<()> {
        self.file.sync_data()
    }
}

/// Locks a directory, by the file that stands for it.
fn take(lock: &File, dir: &Path) -> io::Result<()> {
    match lock.try_lock() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => {
            let what = format!("{} is in use by another process", dir.display());
            Err(io::Error::new(io::ErrorKind::WouldBlock, what))
        }
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Makes a directory that outlives a power cut, its parents too.
fn make_home(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    make_home(parent)?;
    match fs::create_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(parent)?.sync_all(),
    }
}

/// Writes every slice, however few bytes the kernel takes at a time; says how many bytes that were.
fn write_all_vectored(file: &File, offset: u64, slices: &mut [IoSlice<'_>]) -> io::Result<u64> {
    let mut at = offset;
    let mut rest = slices;
    IoSlice::advance_slices(&mut rest, 0);
    while !rest.is_empty() {
        match rustix::io::pwritev(file, rest, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => {
                at += count as u64;
                IoSlice::advance_slices(&mut rest, count);
            }
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(at - offset)
}
