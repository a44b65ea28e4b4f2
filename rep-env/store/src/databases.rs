//! The built-in state machine: named databases of ordered keys and values.
//!
//! An entry's payload is a [`WriteSet`](crate::WriteSet). Which engine holds the pairs is chosen when they are opened and
//! shows nowhere else: the same entries give the same digest over any of them.

use crate::engine::{Engine, ViewSource};
use crate::memory::{Memory, MemoryHome};
use crate::snapshot::{Cutting, DatabasesSnapshot, Receiver, install};
use crate::state_machine::Chunks;
use crate::write_set::{Run, runs_of};
use crate::{Digest, Entry, Snapshot, StateMachine, StoreError, View};
use bytes::Bytes;
use rep_vlsn::{Kind, LogPoint, mutant};
use std::fmt;
use std::sync::Arc;

/// Most snapshots in the making at one time; each pins the pages that it shows.
pub const SNAPSHOTS_MAX: usize = 4;
/// Memory that a redb file's pages may take, in bytes (32 MiB), unless it is said otherwise. The operating system caches the file
/// besides.
#[cfg(feature = "redb")]
pub const REDB_CACHE_BYTES: usize = 32 << 20;

/// Named databases over an engine.
pub struct Databases {
    engine: Box<dyn Engine>,
    applied: LogPoint,
    /// An earlier write failed in the engine: what it holds is not known.
    poisoned: bool,
    /// Counted by the snapshots that live.
    snapshots: Arc<()>,
    cutting: Cutting,
    /// What was loaded of a snapshot.
    loaded: Option<Receiver>,
}

impl Databases {
    /// Empty databases in memory, which end with this value. Their checkpoints promise nothing beyond it.
    pub fn memory() -> Self {
        Databases::over(Box::new(Memory::ephemeral()))
    }

    /// Databases in memory as they were at the last checkpoint into `home`.
    pub fn memory_in(home: &MemoryHome) -> Self {
        Databases::over(Box::new(Memory::open(home.clone())))
    }

    /// Databases in the redb file at `path`, which is made if it is not there. After a crash they are as
    /// of the last checkpoint. Dropping the store closes the file; a [`View`] that is left answers
    /// from memory or with an error.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the file cannot be opened (another process has it, the disk is full), [`StoreError::Damaged`] if it
    /// is no whole one, [`StoreError::Format`] if another version wrote it.
    #[cfg(feature = "redb")]
    pub fn redb(path: impl AsRef<std::path::Path>) -> Result<Self, StoreError> {
        Databases::redb_with_cache(path, REDB_CACHE_BYTES)
    }

    /// The same with so much memory for the file's pages, in bytes, instead of [`REDB_CACHE_BYTES`]. Half of it at most holds pages
    /// that are to be written.
    ///
    /// # Errors
    ///
    /// As [`Databases::redb`].
    #[cfg(feature = "redb")]
    pub fn redb_with_cache(
        path: impl AsRef<std::path::Path>,
        cache_bytes: usize,
    ) -> Result<Self, StoreError> {
        Ok(Databases::over(Box::new(crate::redb::Redb::open(path.as_ref(), cache_bytes)?)))
    }

    /// Databases in the fjall directory at `path`, which is made if it is not there. After a crash of the process
    /// they are as of the last checkpoint or later. Dropping the store closes the directory; a [`View`] that
    /// is left answers with an error from then on.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the directory cannot be opened: another process has it, it is damaged, the disk is full,
    /// or a power cut left a hole in the journal's last, unsynced part, which the engine refuses to read past. The
    /// log has what it held; remove the directory, and it is built again. [`StoreError::Format`] if another
    /// version wrote it, or something else than this store.
    #[cfg(feature = "fjall")]
    pub fn fjall(path: impl AsRef<std::path::Path>) -> Result<Self, StoreError> {
        Ok(Databases::over(Box::new(crate::fjall::Fjall::open(path.as_ref())?)))
    }

    pub(crate) fn over(engine: Box<dyn Engine>) -> Self {
        let applied = engine.recovered();
        let snapshots = Arc::new(());
        let (cutting, loaded) = (Cutting::USUAL, None);
        Databases { engine, applied, poisoned: false, snapshots, cutting, loaded }
    }

    /// The same with chunks of snapshots that are at least so long (64 KiB), and sixteen times at most: shorter ones make
    /// many of a small state, for simulators. Any length is taken by [`StateMachine::install`]; nodes share chunks only
    /// if they cut alike.
    pub fn with_chunk_bytes_min(mut self, bytes: usize) -> Self {
        self.cutting = Cutting::from(bytes);
        self
    }

    /// Does something that changes the engine, and remembers if that failed half-way.
    fn change<T>(
        &mut self,
        act: impl FnOnce(&mut dyn Engine) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if self.poisoned {
            return Err(StoreError::Poisoned);
        }
        let result = act(&mut *self.engine);
        if let Err(error) = &result
            && error.poisons()
        {
            tracing::error!(%error, applied = %self.applied, "the store takes no more writes");
            self.poisoned = true;
        }
        result
    }
}

impl StateMachine for Databases {
    type Reader = Reader;
    type Output = ();

    fn reader(&self) -> Reader {
        Reader { source: self.engine.source() }
    }

    fn applied(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, batch: &[Entry], results: &mut Vec<()>) -> Result<(), StoreError> {
        let fresh = above(self.applied, batch)?;
        let Some(last) = fresh.last() else { return Ok(()) };
        let (runs, outputs) = decode(fresh)?;
        self.change(|engine| engine.apply(&runs, last.point))?;
        self.applied = last.point;
        results.extend(std::iter::repeat_n((), outputs));
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        self.change(|engine| engine.checkpoint())?;
        Ok(if self.engine.outlives() { self.applied } else { LogPoint::NULL })
    }

    fn is_rebuilt_from_the_log(&self) -> bool {
        self.engine.is_rebuilt_from_the_log()
    }

    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError> {
        if Arc::strong_count(&self.snapshots) > SNAPSHOTS_MAX {
            return Err(StoreError::Busy { what: "snapshots in the making" });
        }
        let view = self.reader().view()?;
        Ok(Box::new(DatabasesSnapshot::of(view, self.cutting, Arc::clone(&self.snapshots))?))
    }

    fn load(&mut self, chunk: &Bytes) -> Result<bool, StoreError> {
        let mut receiver = self.loaded.take().unwrap_or_default();
        let taken = self.change(|engine| receiver.take(chunk, engine));
        match taken {
            Ok(()) => self.loaded = Some(receiver),
            Err(_) => self.engine.unload(),
        }
        taken.map(|()| true)
    }

    fn unload(&mut self) {
        self.loaded = None;
        self.engine.unload();
    }

    fn takes_space(&self) -> bool {
        self.engine.takes_space()
    }

    fn install(&mut self, chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError> {
        let mut receiver = self.loaded.take().unwrap_or_default();
        let installed = self.change(|engine| install(&mut receiver, engine, chunks));
        let point = installed.inspect_err(|_| self.engine.unload())?;
        self.applied = point;
        Ok(point)
    }

    fn digest(&self) -> Result<Digest, StoreError> {
        self.reader().view()?.digest()
    }
}

impl fmt::Debug for Databases {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Databases")
            .field("applied", &self.applied)
            .field("poisoned", &self.poisoned)
            .finish_non_exhaustive()
    }
}

/// Gives views of what is applied. Cheap to clone, for any thread; never waits for a disk.
#[derive(Clone)]
pub struct Reader {
    source: Arc<dyn ViewSource>,
}

impl Reader {
    /// The state as of the newest applied entry.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the engine cannot begin to read.
    pub fn view(&self) -> Result<View, StoreError> {
        self.source.view()
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}

/// The entries of a batch that lie above `applied`, once it is certain that they follow it.
fn above(applied: LogPoint, batch: &[Entry]) -> Result<&[Entry], StoreError> {
    if mutant!("store-apply-twice") {
        return Ok(batch);
    }
    let known = batch.partition_point(|entry| entry.point.vlsn <= applied.vlsn);
    let (known, fresh) = batch.split_at(known);
    let mut last = applied;
    if let Some(entry) = known.last()
        && entry.point.vlsn == applied.vlsn
        && entry.point != applied
    {
        return Err(StoreError::OutOfOrder { applied, entry: entry.point });
    }
    for entry in fresh {
        if entry.point.vlsn != last.vlsn.next() || entry.point.term < last.term {
            return Err(StoreError::OutOfOrder { applied: last, entry: entry.point });
        }
        last = entry.point;
    }
    Ok(fresh)
}

/// What the entries change, and how many of them have a result.
fn decode(entries: &[Entry]) -> Result<(Vec<Run<'_>>, usize), StoreError> {
    let (mut runs, mut outputs) = (Vec::new(), 0);
    for entry in entries.iter().filter(|entry| entry.kind == Kind::Data) {
        runs_of(&entry.payload, &mut runs).map_err(|error| corrupt(entry.point, error))?;
        outputs += 1;
    }
    Ok((runs, outputs))
}

fn corrupt(point: LogPoint, error: StoreError) -> StoreError {
    match error {
        StoreError::Malformed { at, what } => StoreError::Corrupt { point, at, what },
        other => other,
    }
}
