//! Opening a directory: whose it is, where its journal ends, and, if there is none, founding one.

use super::engine::{self, PersistMode};
use super::generation::{create, write_applied};
use crate::StoreError;
use crate::engine::sync_parent;
use rep_vlsn::LogPoint;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Memory for blocks of tables, in bytes (64 MiB).
const CACHE_BYTES: u64 = 64 << 20;
/// The journals together, in bytes (128 MiB): what opening may have to read.
const JOURNAL_BYTES: u64 = 128 << 20;
/// One thread writes tables out while the other merges them.
const WORKERS: usize = 2;

/// A journal is searched for its end in pieces of this size (64 KiB).
const PIECE_BYTES: usize = 64 << 10;

/// The version of how pairs lie here, the only line of the file [`FORMAT_FILE`].
const FORMAT: u32 = 1;
const FORMAT_FILE: &str = "rep-format";

/// The engine over the directory at `path`, which is founded if it is not there, and its lock.
pub(super) fn open(path: &Path) -> Result<(engine::Database, fs::File), StoreError> {
    if !path.try_exists().map_err(StoreError::engine("look for its directory"))? {
        found(path)?;
    }
    let lock = lock(path)?;
    end_journal(path).map_err(StoreError::engine("end its journal"))?;
    Ok((open_disk(path)?, lock))
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
    let zeros = vec![0; PIECE_BYTES];
    let mut piece = zeros.clone();
    while end > 0 {
        let start = end.saturating_sub(PIECE_BYTES as u64);
        let piece = &mut piece[..(end - start) as usize];
        (&file).seek(SeekFrom::Start(start))?;
        (&file).read_exact(piece)?;
        // Compared as a whole first: a new journal is tens of mebibytes of them.
        if *piece == zeros[..piece.len()] {
            end = start;
            continue;
        }
        let last = piece.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
        end = start + last as u64;
        break;
    }
    file.set_len(end)?;
    file.sync_all()
}

/// The journal that the engine would go on with: the one with the highest number.
pub(super) fn newest_journal(path: &Path) -> io::Result<Option<PathBuf>> {
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
