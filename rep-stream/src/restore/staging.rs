//! Where chunks wait until there are all of them.
//!
//! A file per chunk, named by the digest of its bytes, in a folder beside log and store. A chunk is not synced when it is
//! kept, and it needs not be: whatever a crash leaves of it is read again before anybody relies on it, and what does not
//! hold what its name says is removed. Only a whole copy is made durable, once: its chunks, then the list of them, then
//! the names, and last the cell that says so. So that this is not all done in the end, when the member has fallen silent, chunks
//! may be synced in groups by another thread while others come ([`Staging::unsynced`]).
//!
//! ```text
//! restore/                 made with the first chunk
//!   <digest>.chunk         the chunk's bytes
//!   <digest>.list          manifest and order of a complete copy; see `staging/list.rs`
//!   cell                   whether there is a complete copy, and the digest of its list
//! ```

mod group;
mod list;

pub use group::{Synced, Unsynced};

use super::digest::{ChunkId, Digest16};
use super::error::{StagingError, during};
use super::message::{CHUNK_BYTES_MAX, Manifest};
use bytes::Bytes;
use list::{LIST_BYTES_MAX, Marked};
use rep_vlsn::{Disk, DiskFile, DurableCell, mutant};
use std::collections::BTreeSet;

/// The folder of all that is kept of a copy.
const DIR: &str = "restore";
const CELL: &str = "restore/cell";
const CHUNK: &str = "chunk";
const LIST: &str = "list";

/// A complete copy that waits to be installed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Pending {
    /// What it is a copy of.
    pub manifest: Manifest,
    /// Its chunks, in order.
    pub order: Vec<ChunkId>,
}

/// The chunks of a copy, on a disk. One owner.
#[derive(Debug)]
pub struct Staging<D: Disk> {
    disk: D,
    cell: DurableCell<D>,
    /// Whether folder and cell exist, durably.
    made: bool,
    /// Bytes of the disk that are others'.
    reserve_bytes: u64,
    /// Whether a complete copy may lose chunks with the power.
    left_to_system: bool,
    /// The list of a complete copy, as the cell says.
    complete: Option<Marked>,
    /// Chunks that were read, or written, since this was opened.
    held: BTreeSet<ChunkId>,
    /// Those of them that nobody syncs yet, and how many bytes they have.
    unsynced: (Vec<ChunkId>, u64),
    /// Those that are durable.
    durable: BTreeSet<ChunkId>,
    /// How often chunks were removed: what is said of a file says nothing of a later one of its name.
    removals: u64,
    /// Groups that are being synced, and of which nothing was said yet.
    syncing: usize,
}

impl<D: Disk> Staging<D> {
    /// Looks for what an earlier run has left. Reads no chunks.
    ///
    /// # Errors
    ///
    /// If the cell cannot be read: then nobody knows whether an installing was under way.
    pub fn open(disk: D) -> Result<Staging<D>, StagingError> {
        let (cell, value) = DurableCell::open(disk.clone(), CELL)?;
        let complete = Marked::told(CELL, value.as_deref())?;
        let made = value.is_some();
        Ok(Staging {
            disk,
            cell,
            made,
            reserve_bytes: 0,
            left_to_system: false,
            complete,
            held: BTreeSet::new(),
            unsynced: Default::default(),
            durable: BTreeSet::new(),
            removals: 0,
            syncing: 0,
        })
    }

    /// Leaves so many bytes of the disk free: a member without a place for its next entries is worse off than one that
    /// lacks a copy. A disk that does not know what is free is taken at its word when it says that it is full.
    pub fn with_reserve_bytes(mut self, reserve_bytes: u64) -> Staging<D> {
        self.reserve_bytes = reserve_bytes;
        self
    }

    /// Leaves it to the operating system when chunks go to the disk, also those of a complete copy: one that is put in place soon, and
    /// that memory can hold, is not written at all. The end of a process takes nothing. If the power fails first, what it takes is met as
    /// [spoilt](StagingError::Spoilt), so that the copy is given up and only that is fetched again.
    pub fn left_to_system(mut self) -> Staging<D> {
        self.left_to_system = true;
        self
    }

    /// The chunks that are here, increasing. Those that an earlier run has left are read; what does not hold what its name
    /// says is removed.
    ///
    /// # Errors
    ///
    /// If the disk fails.
    pub fn ids(&mut self) -> Result<Vec<ChunkId>, StagingError> {
        for (name, id) in self.files(CHUNK)? {
            let id = ChunkId(id.0);
            if self.held.contains(&id) {
                continue;
            }
            match self.read(id) {
                Ok(chunk) => self.hold(id, chunk.len()),
                Err(StagingError::Spoilt { .. }) => {
                    self.disk.remove(&name).map_err(during("remove a spoilt chunk"))?;
                }
                // The disk may give it another time; until then it is fetched like one that is not here.
                Err(_) => {}
            }
        }
        Ok(self.held.iter().copied().collect())
    }

    /// Keeps a chunk, for as long as no power fails. `id` is its name ([`ChunkId::of`]).
    ///
    /// # Errors
    ///
    /// [`StagingError::NoRoom`], [`StagingError::Full`], or what else the disk says: this chunk is not kept, all others are.
    pub fn keep(&mut self, id: ChunkId, chunk: &[u8]) -> Result<(), StagingError> {
        if self.complete.is_some() {
            return Err(StagingError::AlreadyComplete);
        }
        if self.held.contains(&id) {
            return Ok(());
        }
        self.check_room("keep a chunk", chunk.len() as u64)?;
        self.make()?;
        self.write(&chunk_name(id), chunk)?;
        self.hold(id, chunk.len());
        Ok(())
    }

    /// The chunks that are here and were not asked for before, if they have so many bytes at least: to whoever syncs them, on any
    /// thread, and says so by [`Staging::handle_synced`]. What was never asked for, [`Staging::complete`] syncs itself.
    pub fn unsynced(&mut self, bytes_min: u64) -> Option<Unsynced<D>> {
        let (ids, bytes) = &self.unsynced;
        if ids.is_empty() || *bytes < bytes_min {
            return None;
        }
        let (ids, _) = std::mem::take(&mut self.unsynced);
        self.syncing += 1;
        Some(Unsynced { disk: self.disk.clone(), ids, removals: self.removals })
    }

    /// Chunks were synced. One whose sync failed may read well and be lost all the same: it is not had any more.
    pub fn handle_synced(&mut self, synced: Synced) {
        self.syncing = self.syncing.saturating_sub(1);
        if synced.removals == self.removals || mutant!("restore-sync-of-another-file") {
            self.durable.extend(synced.durable);
        }
        synced.failed.into_iter().for_each(|id| self.lose(id));
    }

    /// All chunks of a copy have been kept: makes it durable, and then says so in the cell. Whatever the copy does not need
    /// is removed.
    ///
    /// # Errors
    ///
    /// [`StagingError::Missing`] if a chunk is not here. After any error the copy is not complete, and what is kept of it is
    /// what [`Staging::ids`] says; but for a failure of the cell, after which [`Staging::pending`] says whether it is.
    pub fn complete(&mut self, manifest: &Manifest, order: &[ChunkId]) -> Result<(), StagingError> {
        if self.complete.is_some() {
            return Err(StagingError::AlreadyComplete);
        }
        self.make()?;
        if self.syncing > 0 {
            return Err(StagingError::BeingSynced);
        }
        let needed: BTreeSet<ChunkId> = order.iter().copied().collect();
        if let Some(id) = needed.difference(&self.held).next() {
            return Err(StagingError::Missing { id: *id });
        }
        if !self.left_to_system && !mutant!("restore-cell-before-sync") {
            let rest: Vec<ChunkId> = needed.difference(&self.durable).copied().collect();
            rest.into_iter().try_for_each(|id| self.sync(id))?;
        }
        self.remove_but(&needed)?;
        let list = list::encode(manifest, order);
        let marked = Marked::of(&list);
        let name = list_name(marked.digest);
        let file = self.write(&name, &list)?;
        file.sync()
            .inspect_err(|_| drop(self.disk.remove(&name)))
            .map_err(during("sync the list"))?;
        self.disk.sync_dir(DIR).map_err(during("sync the folder"))?;
        self.mark(Some(marked))
    }

    /// The complete copy that waits to be installed, if there is one. Reads its list.
    ///
    /// # Errors
    ///
    /// [`StagingError::Spoilt`] if the list is not what it was: see [`Staging::reject`].
    pub fn pending(&self) -> Result<Option<Pending>, StagingError> {
        let Some(marked) = &self.complete else { return Ok(None) };
        let name = list_name(marked.digest);
        let list = self.read_file(&name, LIST_BYTES_MAX)?;
        let pending = list.filter(|list| marked.names(list)).and_then(list::decode);
        pending.map(Some).ok_or(StagingError::Spoilt { file: name })
    }

    /// Whether a complete copy waits to be installed.
    pub fn is_complete(&self) -> bool {
        self.complete.is_some()
    }

    /// Whether an installing has begun, so that the member may be neither what it was nor what it is to be.
    pub fn is_installing(&self) -> bool {
        self.complete.is_some_and(|marked| marked.installing)
    }

    /// Notes that from now on the member's own things are touched.
    pub(super) fn begin_installing(&mut self) -> Result<(), StagingError> {
        let marked = self.complete.filter(|marked| !marked.installing);
        marked.map_or(Ok(()), |mut marked| {
            marked.installing = true;
            self.mark(Some(marked))
        })
    }

    /// The chunks named, in order, each read and compared with its name.
    pub fn chunks<'a>(&'a self, order: &'a [ChunkId]) -> ChunksOf<'a, D> {
        ChunksOf { staging: self, order: order.iter() }
    }

    /// Gives a complete copy up, since something of it is spoilt: nothing waits to be installed any more. What is still good
    /// is what [`Staging::ids`] finds; it reads every chunk again. Not for a copy that [is being
    /// installed](Staging::is_installing), unless the directory is given up with it.
    ///
    /// # Errors
    ///
    /// If the disk fails. Then call it again.
    pub fn reject(&mut self) -> Result<(), StagingError> {
        self.forget_all_but(&BTreeSet::new());
        if self.complete.is_some() {
            self.mark(None)?;
        }
        self.remove_lists()
    }

    /// Removes all chunks but these, so that others find room: what earlier attempts have left may be of no use to the present one,
    /// which then has to begin again with what [`Staging::ids`] says.
    ///
    /// # Errors
    ///
    /// [`StagingError::AlreadyComplete`], and if the disk fails. Then call it again.
    pub fn keep_only(&mut self, ids: &[ChunkId]) -> Result<(), StagingError> {
        match self.complete {
            Some(_) => Err(StagingError::AlreadyComplete),
            None => self.remove_but(&ids.iter().copied().collect()),
        }
    }

    /// Forgets everything: first that there was a copy, then the copy.
    ///
    /// # Errors
    ///
    /// If the disk fails. Then call it again.
    pub fn clear(&mut self) -> Result<(), StagingError> {
        self.reject()?;
        self.remove_but(&BTreeSet::new())
    }

    fn hold(&mut self, id: ChunkId, bytes: usize) {
        self.held.insert(id);
        self.unsynced.0.push(id);
        self.unsynced.1 += bytes as u64;
    }

    /// Whether the disk has room for so many bytes, beside what is others'.
    ///
    /// # Errors
    ///
    /// [`StagingError::NoRoom`], with `what` for the operation, and if the disk cannot say it.
    pub fn check_room(&self, what: &'static str, bytes: u64) -> Result<(), StagingError> {
        let free = self.disk.free_bytes().map_err(during("ask for free space"))?;
        let Some(free) = free else { return Ok(()) };
        match free.saturating_sub(self.reserve_bytes) {
            free_bytes if free_bytes < bytes || free < self.reserve_bytes => {
                Err(StagingError::NoRoom { what, bytes, free_bytes })
            }
            _ => Ok(()),
        }
    }

    /// What the files of these chunks hold. One that is not there holds nothing.
    pub(super) fn bytes_of(&self, order: &[ChunkId]) -> Result<u64, StagingError> {
        let length = |id: &ChunkId| {
            let file = self.disk.open(&chunk_name(*id)).map_err(during("open"))?;
            file.map_or(Ok(0), |file| file.len()).map_err(during("ask for a length"))
        };
        order.iter().map(length).sum()
    }

    /// Folder and cell. The cell has its size from the beginning, so that a full disk cannot keep it from being stored to.
    fn make(&mut self) -> Result<(), StagingError> {
        if self.made {
            return Ok(());
        }
        self.disk.create_dir(DIR).map_err(during("make the folder"))?;
        self.disk.sync_dir("").map_err(during("sync the folder's name"))?;
        self.mark(None)?;
        self.made = true;
        Ok(())
    }

    /// Stores to the cell. If that fails the cell is opened again, as it asks for, and says what it holds now.
    fn mark(&mut self, complete: Option<Marked>) -> Result<(), StagingError> {
        let stored = self.cell.store(&Marked::encode(complete.as_ref()));
        if stored.is_ok() {
            self.complete = complete;
        } else if let Ok((cell, value)) = DurableCell::open(self.disk.clone(), CELL) {
            self.complete = Marked::told(CELL, value.as_deref())?;
            self.cell = cell;
        }
        stored.map_err(StagingError::of_cell)
    }

    fn sync(&mut self, id: ChunkId) -> Result<(), StagingError> {
        group::sync(&self.disk, id).inspect_err(|_| self.lose(id))?;
        self.durable.insert(id);
        Ok(())
    }

    /// Makes chunks durable that were left to the system.
    pub(super) fn sync_all(&mut self, order: &[ChunkId]) -> Result<(), StagingError> {
        let rest: BTreeSet<ChunkId> =
            order.iter().filter(|id| !self.durable.contains(id)).copied().collect();
        rest.into_iter().try_for_each(|id| self.sync(id))?;
        self.disk.sync_dir(DIR).map_err(during("sync the folder"))
    }

    /// A chunk whose sync failed may read well and be lost all the same: it is not had any more.
    fn lose(&mut self, id: ChunkId) {
        self.held.remove(&id);
        self.durable.remove(&id);
        drop(self.disk.remove(&chunk_name(id)));
    }

    /// A new file with these bytes, in the place of what an earlier run may have left under that name.
    fn write(&self, name: &str, bytes: &[u8]) -> Result<D::File, StagingError> {
        if self.disk.open(name).map_err(during("open"))?.is_some() {
            self.disk.remove(name).map_err(during("remove what was left"))?;
        }
        let file = self.disk.create(name).map_err(during("create a file"))?;
        match file.write_at(0, bytes) {
            Ok(()) => Ok(file),
            Err(error) => {
                drop(self.disk.remove(name));
                Err(during("write")(error))
            }
        }
    }

    /// A chunk, if its file holds what its name says. A disk that gives nothing has not said that it is spoilt.
    fn read(&self, id: ChunkId) -> Result<Bytes, StagingError> {
        let name = chunk_name(id);
        let chunk = self.read_file(&name, CHUNK_BYTES_MAX)?;
        let is_whole =
            |chunk: &Bytes| ChunkId::of(chunk) == id || mutant!("restore-chunk-unchecked");
        chunk.filter(is_whole).ok_or(StagingError::Spoilt { file: name })
    }

    /// What a file holds; `None` if there is none, or one of another length than any may have.
    fn read_file(&self, name: &str, bytes_max: usize) -> Result<Option<Bytes>, StagingError> {
        let Some(file) = self.disk.open(name).map_err(during("open"))? else { return Ok(None) };
        let length = file.len().map_err(during("ask for a length"))?;
        let Some(length) = usize::try_from(length).ok().filter(|len| *len <= bytes_max) else {
            return Ok(None);
        };
        let mut bytes = vec![0; length];
        let got = file.read_at(0, &mut bytes).map_err(during("read"))?;
        Ok((got == length).then(|| bytes.into()))
    }

    /// The files of a kind, by their names and what those say. Others are nobody's business here.
    fn files(&self, kind: &str) -> Result<Vec<(String, Digest16)>, StagingError> {
        let names = self.disk.list(DIR).map_err(during("list the folder"))?;
        let of_kind = names.iter().filter_map(|name| {
            let digest = Digest16::from_hex(name.strip_suffix(kind)?.strip_suffix('.')?)?;
            Some((format!("{DIR}/{name}"), digest))
        });
        Ok(of_kind.collect())
    }

    fn forget_all_but(&mut self, needed: &BTreeSet<ChunkId>) {
        self.held.retain(|id| needed.contains(id));
        self.durable.retain(|id| needed.contains(id));
        self.unsynced.0.retain(|id| needed.contains(id));
        self.removals += 1;
    }

    fn remove_but(&mut self, needed: &BTreeSet<ChunkId>) -> Result<(), StagingError> {
        self.forget_all_but(needed);
        for (name, id) in self.files(CHUNK)? {
            if !needed.contains(&ChunkId(id.0)) {
                self.disk.remove(&name).map_err(during("remove a chunk"))?;
            }
        }
        self.remove_lists()
    }

    fn remove_lists(&self) -> Result<(), StagingError> {
        let lists = self.files(LIST)?;
        lists
            .iter()
            .try_for_each(|(name, _)| self.disk.remove(name).map_err(during("remove a list")))
    }
}

/// Chunks as they are read: see [`Staging::chunks`].
#[derive(Debug)]
pub struct ChunksOf<'a, D: Disk> {
    staging: &'a Staging<D>,
    order: std::slice::Iter<'a, ChunkId>,
}

impl<D: Disk> Iterator for ChunksOf<'_, D> {
    type Item = Result<Bytes, StagingError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.order.next().map(|id| self.staging.read(*id))
    }
}

fn chunk_name(id: ChunkId) -> String {
    format!("{DIR}/{id}.{CHUNK}")
}

fn list_name(digest: Digest16) -> String {
    format!("{DIR}/{digest}.{LIST}")
}
