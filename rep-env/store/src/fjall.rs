//! The engine over fjall: a directory with a log-structured merge tree.
//!
//! Batches go to the engine's journal, which nobody syncs, and to a table in memory; a checkpoint syncs the
//! journal. The engine's own threads write tables and merge them, so applying is several times faster than
//! with one tree in a file, at the price of more memory, more disk, and a slower opening.
//!
//! The pairs of all databases and the applied point lie in *one* keyspace. Each keyspace is written out on
//! its own; were the point in another one than the pairs, a power cut could leave them a batch apart. In one
//! keyspace whatever is written out ends at the border of a batch. Where a pair lies, [`keys`] says.
//!
//! A replacement of everything is loaded into the keyspace of the next *generation*, whose applied point is
//! written last; at opening the highest generation that has one counts, and the others are deleted.

mod keys;

use crate::engine::{Engine, EngineView, Loading, Pairs, ViewSource, net_changes, sync_parent};
use crate::write_set::Run;
use crate::{Database, StoreError, View};
use ::fjall as engine;
use bytes::Bytes;
use engine::{Keyspace, KeyspaceCreateOptions, OwnedWriteBatch, PersistMode, Readable, Snapshot};
use keys::{Bucket, Place, Stretch};
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Weak};

/// Memory for blocks of tables, in bytes (64 MiB).
const CACHE_BYTES: u64 = 64 << 20;
/// A table in memory is written out at this size (16 MiB). At most five are held, then applying waits.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// The journals together, in bytes (128 MiB): what opening may have to read.
const JOURNAL_BYTES: u64 = 128 << 20;
/// One thread writes tables out while the other merges them.
const WORKERS: usize = 2;

/// A journal is searched for its end in pieces of this size (64 KiB).
const PIECE_BYTES: usize = 64 << 10;

/// The version of how pairs lie here, the only line of the file [`FORMAT_FILE`].
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "rep-format";
/// Where the applied point lies. Names of databases have a length above 0, so no pair can lie there.
const APPLIED: &[u8] = b"\0applied";

pub(crate) struct Fjall {
    disk: engine::Database,
    current: Arc<Generation>,
    applied: LogPoint,
    published: Arc<RwLock<View>>,
    /// Generations that some view may still show.
    living: Vec<Weak<Generation>>,
    /// Let go after everything else.
    _lock: fs::File,
}

impl Fjall {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        if !path.try_exists().map_err(StoreError::engine("look for its directory"))? {
            found(path)?;
        }
        let lock = lock(path)?;
        end_journal(path).map_err(StoreError::engine("end its journal"))?;
        let disk = open_disk(path)?;
        let (current, applied) = recover(&disk)?;
        let published = Arc::new(RwLock::new(view_of(&disk, &current, applied)));
        let living = vec![Arc::downgrade(&current)];
        Ok(Fjall { disk, current, applied, published, living, _lock: lock })
    }

    fn publish(&mut self, applied: LogPoint) {
        self.applied = applied;
        *self.published.write() = view_of(&self.disk, &self.current, applied);
    }

    /// Puts a loaded generation in place of the present one, which lives as long as its views.
    fn succeed(&mut self, next: Arc<Generation>, applied: LogPoint) -> Result<(), StoreError> {
        let old = std::mem::replace(&mut self.current, next);
        self.living.retain(|generation| generation.strong_count() > 0);
        self.living.push(Arc::downgrade(&self.current));
        self.publish(applied);
        delete(&self.disk, old.keyspace()?)
    }
}

/// The directory's lock is held for as long as somebody has a keyspace, so views give theirs back.
impl Drop for Fjall {
    fn drop(&mut self) {
        // The engine's threads may end a little later than its handle. What they drop last is the journal, and that
        // must have nothing left to write by then.
        if let Err(error) = self.disk.persist(PersistMode::Buffer) {
            tracing::warn!(%error, "a store was closed and could not hand over its journal");
        }
        self.living.iter().filter_map(Weak::upgrade).for_each(|generation| generation.close());
    }
}

impl Engine for Fjall {
    fn recovered(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError> {
        let keyspace = self.current.keyspace()?;
        let mut batch = self.disk.batch();
        write_runs(&mut batch, &keyspace, runs)?;
        write_applied(&mut batch, &keyspace, applied);
        batch.commit().map_err(StoreError::engine("commit a batch"))?;
        self.publish(applied);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.disk.persist(PersistMode::SyncAll).map_err(StoreError::engine("checkpoint"))
    }

    fn replace(&mut self) -> Result<Box<dyn Loading + '_>, StoreError> {
        let number = self.current.number + 1;
        let keyspace = create(&self.disk, number)?;
        Ok(Box::new(Replacement { fjall: self, number, keyspace: Some(keyspace) }))
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.published) as Arc<dyn ViewSource>
    }
}

/// The next generation, while it is loaded.
struct Replacement<'a> {
    fjall: &'a mut Fjall,
    number: u64,
    /// Taken when it is complete.
    keyspace: Option<Keyspace>,
}

impl Replacement<'_> {
    fn keyspace(&self) -> &Keyspace {
        self.keyspace.as_ref().expect("it is taken by `commit`, which is the end")
    }
}

impl Loading for Replacement<'_> {
    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        let mut batch = self.fjall.disk.batch();
        write_runs(&mut batch, self.keyspace(), runs)?;
        batch.commit().map_err(StoreError::engine("load pairs"))
    }

    fn commit(mut self: Box<Self>, applied: LogPoint) -> Result<(), StoreError> {
        let mut batch = self.fjall.disk.batch();
        write_applied(&mut batch, self.keyspace(), applied);
        batch.commit().map_err(StoreError::engine("install"))?;
        self.fjall.checkpoint()?;
        let Some(keyspace) = self.keyspace.take() else { return Ok(()) };
        let next = Arc::new(Generation::new(self.number, keyspace));
        self.fjall.succeed(next, applied)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        // Should this fail, the next opening does it: a generation without an applied point is deleted there.
        let Some(keyspace) = self.keyspace.take() else { return };
        if let Err(error) = self.fjall.disk.delete_keyspace(keyspace) {
            tracing::warn!(%error, "a replacement that was given up could not be deleted");
        }
    }
}

/// A keyspace, until the store is closed.
struct Generation {
    number: u64,
    keyspace: RwLock<Option<Keyspace>>,
}

impl Generation {
    fn new(number: u64, keyspace: Keyspace) -> Self {
        Generation { number, keyspace: RwLock::new(Some(keyspace)) }
    }

    fn close(&self) {
        *self.keyspace.write() = None;
    }

    fn keyspace(&self) -> Result<Keyspace, StoreError> {
        self.reading(|keyspace| Ok(keyspace.clone()))
    }

    /// Reads, and keeps the store from being closed meanwhile.
    fn reading<T>(
        &self,
        read: impl FnOnce(&Keyspace) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.keyspace.read() {
            Some(keyspace) => read(keyspace),
            None => Err(StoreError::engine("read")(io::Error::other("it is closed"))),
        }
    }
}

/// A snapshot of one generation.
struct FjallView {
    generation: Arc<Generation>,
    snapshot: Snapshot,
}

impl FjallView {
    /// The first stored key at or after `from`.
    fn first_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.generation.reading(|keyspace| {
            let Some(found) = self.snapshot.range(keyspace, from..).next() else { return Ok(None) };
            Ok(Some(found.key().map_err(StoreError::engine("read"))?.to_vec()))
        })
    }
}

impl EngineView for FjallView {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(place) = Place::of(database, key) else { return Ok(None) };
        let stored = self.generation.reading(|keyspace| {
            self.snapshot.get(keyspace, &place.stored).map_err(StoreError::engine("read"))
        })?;
        match (stored, place.rest) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(Bytes::copy_from_slice(&value))),
            (Some(bucket), Some(rest)) => Ok(Bucket::decode(&bucket)?.get(rest)),
        }
    }

    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError> {
        let Some(stretch) = Stretch::of(database, start, end) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let stored = self
            .generation
            .reading(|keyspace| Ok(self.snapshot.range(keyspace, stretch.stored.clone())))?;
        let generation = Arc::clone(&self.generation);
        Ok(Box::new(PairsOf { generation, stored, stretch, bucket: Vec::new().into_iter() }))
    }

    fn len(&self, database: &str) -> Result<u64, StoreError> {
        let pairs = self.range(database, Bound::Unbounded, Bound::Unbounded)?;
        let mut len = 0;
        for pair in pairs {
            pair?;
            len += 1;
        }
        Ok(len)
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        let mut databases = Vec::new();
        let mut from = keys::FIRST.to_vec();
        while let Some(found) = self.first_from(&from)? {
            let name = keys::database_of(&found)?;
            from = keys::after(name);
            databases.push(Database::new(name));
        }
        databases.sort();
        Ok(databases)
    }
}

/// The pairs of a stretch. It keeps its snapshot alive, though not the store open.
struct PairsOf {
    generation: Arc<Generation>,
    stored: engine::Iter,
    stretch: Stretch,
    /// Pairs that lie at one stored key.
    bucket: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl PairsOf {
    fn next_stored(&mut self) -> Option<Result<(engine::Slice, engine::Slice), StoreError>> {
        let stored = &mut self.stored;
        self.generation
            .reading(|_| {
                let next = stored.next().map(engine::Guard::into_inner).transpose();
                next.map_err(StoreError::engine("read a range"))
            })
            .transpose()
    }
}

impl Iterator for PairsOf {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.bucket.next() {
                return Some(Ok(pair));
            }
            let (key, value) = match self.next_stored()? {
                Ok(stored) => stored,
                Err(error) => return Some(Err(error)),
            };
            match self.stretch.pairs(&key, &value) {
                Ok(keys::Pairs::One(pair)) => return Some(Ok(pair)),
                Ok(keys::Pairs::Many(pairs)) => self.bucket = pairs.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

fn view_of(disk: &engine::Database, generation: &Arc<Generation>, applied: LogPoint) -> View {
    let (generation, snapshot) = (Arc::clone(generation), disk.snapshot());
    View::new(applied, Arc::new(FjallView { generation, snapshot }))
}

/// Each key once: two changes of a key in one batch have no order.
fn write_runs(
    batch: &mut OwnedWriteBatch,
    keyspace: &Keyspace,
    runs: &[Run<'_>],
) -> Result<(), StoreError> {
    let mut buckets = BTreeMap::new();
    for (database, changes) in net_changes(runs) {
        for (key, value) in changes {
            let place = Place::of(database, key).expect("names were checked when they were read");
            match (place.rest, value) {
                (None, Some(value)) => batch.insert(keyspace, place.stored, value),
                (None, None) => batch.remove(keyspace, place.stored),
                (Some(rest), value) => {
                    let bucket = match buckets.remove(&place.stored) {
                        Some(bucket) => bucket,
                        None => bucket_at(keyspace, &place.stored)?,
                    };
                    buckets.insert(place.stored, bucket.with(rest, value));
                }
            }
        }
    }
    for (stored, bucket) in buckets {
        match bucket.encode() {
            Some(bytes) => batch.insert(keyspace, stored, bytes),
            None => batch.remove(keyspace, stored),
        }
    }
    Ok(())
}

/// The bucket as the newest batch left it.
fn bucket_at(keyspace: &Keyspace, stored: &[u8]) -> Result<Bucket, StoreError> {
    let bytes = keyspace.get(stored).map_err(StoreError::engine("read"))?;
    bytes.map_or_else(|| Ok(Bucket::default()), |bytes| Bucket::decode(&bytes))
}

fn write_applied(batch: &mut OwnedWriteBatch, keyspace: &Keyspace, applied: LogPoint) {
    batch.insert(keyspace, APPLIED, &applied.encode()[..]);
}

/// The engine asserts where it reads what a power cut has left, so a panic is an answer here.
fn open_disk(path: &Path) -> Result<engine::Database, StoreError> {
    let builder = engine::Database::builder(path)
        .cache_size(CACHE_BYTES)
        .max_journaling_size(JOURNAL_BYTES)
        .manual_journal_persist(true)
        .worker_threads(WORKERS);
    let failed = "open its directory";
    match catch_unwind(AssertUnwindSafe(|| builder.open())) {
        Ok(opened) => opened.map_err(StoreError::engine(failed)),
        Err(_) => {
            let journal = io::Error::new(io::ErrorKind::InvalidData, "its journal has a hole");
            Err(StoreError::engine(failed)(journal))
        }
    }
}

/// Cuts off the zeros that the newest journal was made with. Followed by them, half a batch, which is what a killed
/// process leaves, reads as a whole one with a wrong length; at the end of a file the engine knows it for
/// what it is. A whole batch never ends with a zero.
fn end_journal(path: &Path) -> io::Result<()> {
    let Some(newest) = newest_journal(path)? else { return Ok(()) };
    let file = fs::File::options().read(true).write(true).open(newest)?;
    let mut end = file.metadata()?.len();
    let mut piece = vec![0; PIECE_BYTES];
    while end > 0 {
        let start = end.saturating_sub(PIECE_BYTES as u64);
        let piece = &mut piece[..(end - start) as usize];
        (&file).seek(SeekFrom::Start(start))?;
        (&file).read_exact(piece)?;
        if let Some(last) = piece.iter().rposition(|byte| *byte != 0) {
            end = start + last as u64 + 1;
            break;
        }
        end = start;
    }
    file.set_len(end)?;
    file.sync_all()
}

/// The journal that the engine would go on with: the one with the highest number.
fn newest_journal(path: &Path) -> io::Result<Option<PathBuf>> {
    let mut newest = None;
    for entry in fs::read_dir(path)? {
        let path = entry?.path();
        if path.extension().is_some_and(|kind| kind == "jnl") {
            let number = path.file_stem().and_then(|stem| stem.to_str()?.parse::<u64>().ok());
            newest = newest.max(number.map(|number| (number, path)));
        }
    }
    Ok(newest.map(|(_, path)| path))
}

fn create(disk: &engine::Database, number: u64) -> Result<Keyspace, StoreError> {
    let options = || {
        KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(MEMTABLE_BYTES)
    };
    disk.keyspace(&number.to_string(), options).map_err(StoreError::engine("open a keyspace"))
}

fn delete(disk: &engine::Database, keyspace: Keyspace) -> Result<(), StoreError> {
    disk.delete_keyspace(keyspace).map_err(StoreError::engine("delete a keyspace"))
}

/// The highest generation that is complete, and its applied point; all others are deleted.
fn recover(disk: &engine::Database) -> Result<(Arc<Generation>, LogPoint), StoreError> {
    let mut numbers: Vec<u64> =
        disk.list_keyspace_names().iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    let mut current = None;
    for number in numbers.into_iter().rev() {
        let keyspace = create(disk, number)?;
        let applied = keyspace.get(APPLIED).map_err(StoreError::engine("read"))?;
        let applied = applied.and_then(|bytes| bytes[..].try_into().ok()).map(LogPoint::decode);
        match applied.filter(|_| current.is_none()) {
            Some(applied) => current = Some((Arc::new(Generation::new(number, keyspace)), applied)),
            None => delete(disk, keyspace)?,
        }
    }
    current.ok_or_else(|| {
        let nothing = io::Error::other("no generation in it is complete");
        StoreError::engine("open its directory")(nothing)
    })
}

/// Makes a new directory, elsewhere at first: one that has its name is whole.
fn found(path: &Path) -> Result<(), StoreError> {
    let draft = draft_of(path);
    let failed = || StoreError::engine::<io::Error>("found its directory");
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed()(error)),
        Ok(()) | Err(_) => {}
    }
    fs::create_dir(&draft).map_err(failed())?;
    let disk = open_disk(&draft)?;
    let keyspace = create(&disk, 1)?;
    let mut batch = disk.batch().durability(Some(PersistMode::SyncAll));
    write_applied(&mut batch, &keyspace, LogPoint::NULL);
    batch.commit().map_err(StoreError::engine("found its directory"))?;
    drop((keyspace, disk));
    write_format(&draft).map_err(failed())?;
    fs::rename(&draft, path).map_err(failed())?;
    sync_parent(path)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    path.with_file_name(name)
}

fn write_format(directory: &Path) -> io::Result<()> {
    let mut file = fs::File::create(directory.join(FORMAT_FILE))?;
    writeln!(file, "{FORMAT}")?;
    file.sync_all()?;
    match cfg!(unix) {
        true => fs::File::open(directory)?.sync_all(),
        false => Ok(()),
    }
}

/// Locks a directory that is ours. The engine's own lock is taken too late: before it opens, its journal is ended.
fn lock(path: &Path) -> Result<fs::File, StoreError> {
    let failed = "open its directory";
    let mut file = match fs::File::open(path.join(FORMAT_FILE)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(StoreError::Format { found: 0, known: FORMAT });
        }
        file => file.map_err(StoreError::engine(failed))?,
    };
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(StoreError::engine(failed))?;
    match text.trim_end().parse() {
        Ok(FORMAT) => {}
        found => return Err(StoreError::Format { found: found.unwrap_or(0), known: FORMAT }),
    }
    file.try_lock().map_err(StoreError::engine(failed))?;
    Ok(file)
}

#[cfg(test)]
mod crash_tests;
