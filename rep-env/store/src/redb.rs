//! The engine over redb: one file, no threads, no second log.
//!
//! Batches are committed without durability (nothing is synced, readers see them at once), and a
//! checkpoint is a durable commit. redb never overwrites a page that its last durable commit needs,
//! so a crash leaves exactly the last checkpoint. Quick repair makes reopening after a kill a matter
//! of milliseconds, and implies two-phase commit.
//!
//! After every commit one read transaction is published, which all readers share together with the
//! tables that they opened: a view costs a clone, and tables are looked up once per batch.
//!
//! A database is a table, and beside it one of the tails of its longest values ([`pieces`]).

mod flushing;
mod loading;
mod pieces;

use crate::engine::{Engine, EngineView, Pairs, ViewSource, net_changes, sync_parent};
use crate::write_set::Run;
use crate::{Database, StoreError, View};
use ::redb as engine;
use bytes::Bytes;
use engine::{
    Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata,
    TableDefinition, TableError, TableHandle, WriteTransaction,
};
use loading::Loading;
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::ops::Bound;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is written in [`META`] under `format`.
const FORMAT: u32 = 2;
/// Before values were cut. All that it has is read as it was written, and what is written is written anew.
const FORMAT_UNCUT: u32 = 1;
/// What the file says about itself. Names of databases are behind a prefix, so none can collide.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("rep");
const PREFIX: &str = "db.";
/// Before the name of a database: the tails of those of its values that are cut.
const TAILS_PREFIX: &str = "tail.";

type PairTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(crate) struct Redb {
    file: engine::Database,
    /// Where the file is, if it is one.
    path: Option<PathBuf>,
    applied: LogPoint,
    /// A state that is to take the place of this one.
    loading: Option<Loading>,
    published: Arc<RwLock<View>>,
}

impl Redb {
    pub(crate) fn open(path: &Path, cache_bytes: usize) -> Result<Self, StoreError> {
        let file = engine::Database::builder()
            .set_cache_size(cache_bytes)
            .create(path)
            .map_err(failed("open its file"))?;
        let redb = Redb { path: Some(path.to_owned()), ..Redb::over(file)? };
        sync_parent(path)?;
        Ok(redb)
    }

    fn over(file: engine::Database) -> Result<Self, StoreError> {
        let applied = match recover(&file)? {
            Some(applied) => applied,
            None => found(&file)?,
        };
        loading::forget(&file)?;
        let published = Arc::new(RwLock::new(view_of(&file, applied)?));
        Ok(Redb { file, path: None, applied, loading: None, published })
    }

    /// What is being loaded, or the beginning of it.
    fn take_loading(&mut self) -> Result<Loading, StoreError> {
        match self.loading.take() {
            Some(loading) => Ok(loading),
            None => Loading::begin(&self.file, self.path.as_deref()),
        }
    }

    /// One writes at a time.
    fn pause_loading(&mut self) -> Result<(), StoreError> {
        self.loading.as_mut().map_or(Ok(()), |loading| loading.pause(&self.file))
    }

    fn publish(&mut self, applied: LogPoint) -> Result<(), StoreError> {
        let view = view_of(&self.file, applied)?;
        self.applied = applied;
        *self.published.write() = view;
        Ok(())
    }
}

impl Engine for Redb {
    fn recovered(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError> {
        self.pause_loading()?;
        let mut txn = begin(&self.file)?;
        txn.set_durability(Durability::None).map_err(failed("begin a batch"))?;
        write_runs(&txn, runs, "")?;
        write_applied(&txn, applied)?;
        txn.commit().map_err(failed("commit a batch"))?;
        self.publish(applied)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.pause_loading()?;
        let txn = begin_durable(&self.file)?;
        write_applied(&txn, self.applied)?;
        txn.commit().map_err(failed("checkpoint"))?;
        self.publish(self.applied)
    }

    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        let mut loading = self.take_loading()?;
        loading.load(&self.file, runs)?;
        self.loading = Some(loading);
        Ok(())
    }

    fn put_in_place(&mut self, applied: LogPoint) -> Result<(), StoreError> {
        let txn = self.take_loading()?.finish(&self.file)?;
        write_applied(&txn, applied)?;
        txn.commit().map_err(failed("install"))?;
        self.publish(applied)
    }

    fn unload(&mut self) {
        // With its transaction, which has to end before another one can begin.
        self.loading = None;
        drop(loading::forget(&self.file));
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.published) as Arc<dyn ViewSource>
    }
}

/// A read transaction, and the tables that somebody has opened in it.
struct RedbView {
    txn: ReadTransaction,
    heads: Opened,
    tails: Opened,
}

impl RedbView {
    /// The table of a database; `None` if it was never written to.
    fn table(&self, database: &str) -> Result<Option<Arc<PairTable>>, StoreError> {
        self.heads.table(&self.txn, PREFIX, database)
    }

    /// The tails of its values; `None` if none was ever cut.
    fn tails(&self, database: &str) -> Result<Option<Arc<PairTable>>, StoreError> {
        self.tails.table(&self.txn, TAILS_PREFIX, database)
    }
}

/// Tables of one kind, by their databases.
#[derive(Default)]
struct Opened(RwLock<BTreeMap<String, Arc<PairTable>>>);

impl Opened {
    fn table(
        &self,
        txn: &ReadTransaction,
        prefix: &str,
        database: &str,
    ) -> Result<Option<Arc<PairTable>>, StoreError> {
        if let Some(table) = self.0.read().get(database) {
            return Ok(Some(Arc::clone(table)));
        }
        let name = [prefix, database].concat();
        let table = match txn.open_table(definition(&name)) {
            Ok(table) => Arc::new(table),
            // Not remembered: names that never existed would pile up.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(failed("open a table")(error)),
        };
        self.0.write().insert(database.to_owned(), Arc::clone(&table));
        Ok(Some(table))
    }
}

impl EngineView for RedbView {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(None) };
        let Some(stored) = table.get_owned(key).map_err(failed("read"))? else {
            return Ok(None);
        };
        let may_go_on = pieces::may_go_on(key, stored.value());
        let tails = if may_go_on { self.tails(database)? } else { None };
        whole(tails.as_deref(), key, stored.value()).map(Some)
    }

    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(Box::new(std::iter::empty())) };
        let tails = self.tails(database)?;
        let range = table.range_owned::<&[u8]>((start, end)).map_err(failed("read a range"))?;
        Ok(Box::new(range.map(move |item| {
            let (key, stored) = item.map_err(failed("read a range"))?;
            let value = whole(tails.as_deref(), key.value(), stored.value())?;
            Ok((Bytes::copy_from_slice(key.value()), value))
        })))
    }

    fn len(&self, database: &str) -> Result<u64, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(0) };
        table.len().map_err(failed("count"))
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        let tables = self.txn.list_tables().map_err(failed("list tables"))?;
        let mut databases = Vec::new();
        for table in tables {
            let Some(name) = table.name().strip_prefix(PREFIX) else { continue };
            if self.len(name)? > 0 {
                databases.push(Database::new(name));
            }
        }
        databases.sort();
        Ok(databases)
    }
}

/// A value, of which this much is stored under its key.
fn whole(tails: Option<&PairTable>, key: &[u8], stored: &[u8]) -> Result<Bytes, StoreError> {
    if pieces::may_go_on(key, stored)
        && let Some(tails) = tails
        && let Some(tail) = tails.get_owned(key).map_err(failed("read a tail"))?
    {
        return Ok([stored, tail.value()].concat().into());
    }
    Ok(Bytes::copy_from_slice(stored))
}

fn view_of(file: &engine::Database, applied: LogPoint) -> Result<View, StoreError> {
    let txn = file.begin_read().map_err(failed("begin to read"))?;
    let view = RedbView { txn, heads: Opened::default(), tails: Opened::default() };
    Ok(View::new(applied, Arc::new(view)))
}

fn begin(file: &engine::Database) -> Result<WriteTransaction, StoreError> {
    file.begin_write().map_err(failed("begin to write"))
}

fn begin_durable(file: &engine::Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = begin(file)?;
    make_durable(&mut txn)?;
    Ok(txn)
}

fn make_durable(txn: &mut WriteTransaction) -> Result<(), StoreError> {
    txn.set_durability(Durability::Immediate).map_err(failed("begin to write"))?;
    txn.set_quick_repair(true);
    Ok(())
}

/// Writes to the tables of the databases that the runs name, or to those with a prefix before that.
fn write_runs(txn: &WriteTransaction, runs: &[Run<'_>], prefix: &str) -> Result<(), StoreError> {
    // A page of a tree on disk is dear: keys in order visit each page once.
    for (database, changes) in net_changes(runs) {
        let name = [prefix, PREFIX, database].concat();
        let mut table = txn.open_table(definition(&name)).map_err(failed("open a table"))?;
        let mut tails = Vec::new();
        for (key, value) in changes {
            let (head, tail) = match value.map(|value| pieces::cut(key, value)) {
                Some((head, tail)) => (Some(head), tail),
                None => (None, None),
            };
            let before = match head {
                Some(head) => table.insert(key, head),
                None => table.remove(key),
            };
            let before = before.map_err(failed("write"))?;
            let had_tail = before.is_some_and(|before| pieces::may_go_on(key, before.value()));
            if tail.is_some() || had_tail {
                tails.push((key, tail));
            }
        }
        write_tails(txn, &tails, &[prefix, TAILS_PREFIX, database].concat())?;
    }
    Ok(())
}

/// Most databases have none, and no table for them.
fn write_tails(
    txn: &WriteTransaction,
    tails: &[(&[u8], Option<&[u8]>)],
    name: &str,
) -> Result<(), StoreError> {
    if tails.is_empty() {
        return Ok(());
    }
    let mut table = txn.open_table(definition(name)).map_err(failed("open a table"))?;
    tails.iter().try_for_each(|(key, tail)| {
        match tail {
            Some(tail) => table.insert(*key, *tail).map(drop),
            None => table.remove(*key).map(drop),
        }
        .map_err(failed("write a tail"))
    })
}

fn write_applied(txn: &WriteTransaction, applied: LogPoint) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META).map_err(failed("open a table"))?;
    meta.insert("applied", &applied.encode()[..]).map_err(failed("write"))?;
    Ok(())
}

/// Makes a new file ours.
fn found(file: &engine::Database) -> Result<LogPoint, StoreError> {
    write_format(file, LogPoint::NULL)?;
    Ok(LogPoint::NULL)
}

fn write_format(file: &engine::Database, applied: LogPoint) -> Result<(), StoreError> {
    let txn = begin_durable(file)?;
    write_applied(&txn, applied)?;
    {
        let mut meta = txn.open_table(META).map_err(failed("open a table"))?;
        let format = FORMAT.to_le_bytes();
        meta.insert("format", &format[..]).map_err(failed("write"))?;
    }
    txn.commit().map_err(failed("found its file"))
}

/// The applied point of a file that is ours; `None` if nothing was ever written to it.
fn recover(file: &engine::Database) -> Result<Option<LogPoint>, StoreError> {
    let txn = file.begin_read().map_err(failed("begin to read"))?;
    let meta = match txn.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(failed("open a table")(error)),
    };
    let field = |name: &str| {
        let value = meta.get_owned(name).map_err(failed("read"))?;
        Ok::<_, StoreError>(value.map(|value| value.value().to_vec()).unwrap_or_default())
    };
    let format = field("format")?.try_into().map_or(0, u32::from_le_bytes);
    let Ok(applied) = field("applied")?.try_into().map(LogPoint::decode) else {
        return Err(StoreError::Format { found: format, known: FORMAT });
    };
    drop((meta, txn));
    match format {
        FORMAT => Ok(Some(applied)),
        // An older version would take the head of a value for all of it: from here on it cannot open the file.
        FORMAT_UNCUT => write_format(file, applied).map(|()| Some(applied)),
        _ => Err(StoreError::Format { found: format, known: FORMAT }),
    }
}

/// What the engine said while it tried to do `operation`.
fn failed<E: Into<engine::Error>>(operation: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| match error.into() {
        engine::Error::Corrupted(detail) => StoreError::Damaged { operation, detail },
        // A file that is cut short, or that does not even begin like one.
        engine::Error::Io(error)
            if matches!(error.kind(), ErrorKind::InvalidData | ErrorKind::UnexpectedEof) =>
        {
            StoreError::Damaged { operation, detail: error.to_string() }
        }
        other => StoreError::engine(operation)(other),
    }
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

#[cfg(test)]
mod crash_tests;
