//! The engine over redb: one file, no threads, no second log.
//!
//! Batches are committed without durability (nothing is synced, readers see them at once), and a
//! checkpoint is a durable commit. redb never overwrites a page that its last durable commit needs,
//! so a crash leaves exactly the last checkpoint. Quick repair makes reopening after a kill a matter
//! of milliseconds, and implies two-phase commit.
//!
//! After every commit one read transaction is published, which all readers share together with the
//! tables that they opened: a view costs a clone, and tables are looked up once per batch.

use crate::engine::{Engine, EngineView, Loading, Pairs, ViewSource, net_changes, sync_parent};
use crate::write_set::Run;
use crate::{Database, StoreError, View};
use ::redb as engine;
use bytes::Bytes;
use engine::{
    Durability, ReadOnlyTable, ReadTransaction, ReadableDatabase, ReadableTableMetadata,
    TableDefinition, TableError, TableHandle, WriteTransaction,
};
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;
use std::sync::Arc;

/// Memory that redb may use for pages, in bytes (128 MiB).
pub(crate) const CACHE_BYTES: usize = 128 << 20;
/// What is written in [`META`] under `format`.
const FORMAT: u32 = 1;
/// What the file says about itself. Names of databases are behind a prefix, so none can collide.
const META: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("rep");
const PREFIX: &str = "db.";

type PairTable = ReadOnlyTable<&'static [u8], &'static [u8]>;

pub(crate) struct Redb {
    file: engine::Database,
    applied: LogPoint,
    published: Arc<RwLock<View>>,
}

impl Redb {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = engine::Database::builder()
            .set_cache_size(CACHE_BYTES)
            .create(path)
            .map_err(StoreError::engine("open its file"))?;
        let redb = Redb::over(file)?;
        sync_parent(path)?;
        Ok(redb)
    }

    fn over(file: engine::Database) -> Result<Self, StoreError> {
        let applied = match recover(&file)? {
            Some(applied) => applied,
            None => found(&file)?,
        };
        let published = Arc::new(RwLock::new(view_of(&file, applied)?));
        Ok(Redb { file, applied, published })
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
        let mut txn = begin(&self.file)?;
        txn.set_durability(Durability::None).map_err(StoreError::engine("begin a batch"))?;
        write_runs(&txn, runs)?;
        write_applied(&txn, applied)?;
        txn.commit().map_err(StoreError::engine("commit a batch"))?;
        self.publish(applied)
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        let txn = begin_durable(&self.file)?;
        write_applied(&txn, self.applied)?;
        txn.commit().map_err(StoreError::engine("checkpoint"))?;
        self.publish(self.applied)
    }

    fn replace(&mut self) -> Result<Box<dyn Loading + '_>, StoreError> {
        let txn = begin_durable(&self.file)?;
        let old: Vec<_> = txn.list_tables().map_err(StoreError::engine("list tables"))?.collect();
        for table in old.into_iter().filter(|table| table.name().starts_with(PREFIX)) {
            txn.delete_table(table).map_err(StoreError::engine("drop a table"))?;
        }
        Ok(Box::new(Replacement { redb: self, txn }))
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.published) as Arc<dyn ViewSource>
    }
}

/// One durable transaction that drops everything and loads something else.
struct Replacement<'a> {
    redb: &'a mut Redb,
    txn: WriteTransaction,
}

impl Loading for Replacement<'_> {
    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        write_runs(&self.txn, runs)
    }

    fn commit(self: Box<Self>, applied: LogPoint) -> Result<(), StoreError> {
        write_applied(&self.txn, applied)?;
        self.txn.commit().map_err(StoreError::engine("install"))?;
        self.redb.publish(applied)
    }
}

/// A read transaction, and the tables that somebody has opened in it.
struct RedbView {
    txn: ReadTransaction,
    opened: RwLock<BTreeMap<String, Option<Arc<PairTable>>>>,
}

impl RedbView {
    /// The table of a database; `None` if it was never written to.
    fn table(&self, database: &str) -> Result<Option<Arc<PairTable>>, StoreError> {
        if let Some(table) = self.opened.read().get(database) {
            return Ok(table.clone());
        }
        let name = table_name(database);
        let table = match self.txn.open_table(definition(&name)) {
            Ok(table) => Some(Arc::new(table)),
            // Not remembered: names that never existed would pile up.
            Err(TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(StoreError::engine("open a table")(error)),
        };
        self.opened.write().insert(database.to_owned(), table.clone());
        Ok(table)
    }
}

impl EngineView for RedbView {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(None) };
        let value = table.get_owned(key).map_err(StoreError::engine("read"))?;
        Ok(value.map(|value| Bytes::copy_from_slice(value.value())))
    }

    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(Box::new(std::iter::empty())) };
        let range =
            table.range_owned::<&[u8]>((start, end)).map_err(StoreError::engine("read a range"))?;
        Ok(Box::new(range.map(|item| {
            let (key, value) = item.map_err(StoreError::engine("read a range"))?;
            Ok((Bytes::copy_from_slice(key.value()), Bytes::copy_from_slice(value.value())))
        })))
    }

    fn len(&self, database: &str) -> Result<u64, StoreError> {
        let Some(table) = self.table(database)? else { return Ok(0) };
        table.len().map_err(StoreError::engine("count"))
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        let tables = self.txn.list_tables().map_err(StoreError::engine("list tables"))?;
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

fn view_of(file: &engine::Database, applied: LogPoint) -> Result<View, StoreError> {
    let txn = file.begin_read().map_err(StoreError::engine("begin to read"))?;
    Ok(View::new(applied, Arc::new(RedbView { txn, opened: RwLock::default() })))
}

fn begin(file: &engine::Database) -> Result<WriteTransaction, StoreError> {
    file.begin_write().map_err(StoreError::engine("begin to write"))
}

fn begin_durable(file: &engine::Database) -> Result<WriteTransaction, StoreError> {
    let mut txn = begin(file)?;
    txn.set_durability(Durability::Immediate).map_err(StoreError::engine("begin to write"))?;
    txn.set_quick_repair(true);
    Ok(txn)
}

fn write_runs(txn: &WriteTransaction, runs: &[Run<'_>]) -> Result<(), StoreError> {
    // A page of a tree on disk is dear: keys in order visit each page once.
    for (database, changes) in net_changes(runs) {
        let name = table_name(database);
        let mut table =
            txn.open_table(definition(&name)).map_err(StoreError::engine("open a table"))?;
        for (key, value) in changes {
            match value {
                Some(value) => table.insert(key, value).map(drop),
                None => table.remove(key).map(drop),
            }
            .map_err(StoreError::engine("write"))?;
        }
    }
    Ok(())
}

fn write_applied(txn: &WriteTransaction, applied: LogPoint) -> Result<(), StoreError> {
    let mut meta = txn.open_table(META).map_err(StoreError::engine("open a table"))?;
    meta.insert("applied", &applied.encode()[..]).map_err(StoreError::engine("write"))?;
    Ok(())
}

/// Makes a new file ours.
fn found(file: &engine::Database) -> Result<LogPoint, StoreError> {
    let txn = begin_durable(file)?;
    write_applied(&txn, LogPoint::NULL)?;
    {
        let mut meta = txn.open_table(META).map_err(StoreError::engine("open a table"))?;
        let format = FORMAT.to_le_bytes();
        meta.insert("format", &format[..]).map_err(StoreError::engine("write"))?;
    }
    txn.commit().map_err(StoreError::engine("found its file"))?;
    Ok(LogPoint::NULL)
}

/// The applied point of a file that is ours; `None` if nothing was ever written to it.
fn recover(file: &engine::Database) -> Result<Option<LogPoint>, StoreError> {
    let txn = file.begin_read().map_err(StoreError::engine("begin to read"))?;
    let meta = match txn.open_table(META) {
        Ok(meta) => meta,
        Err(TableError::TableDoesNotExist(_)) => return Ok(None),
        Err(error) => return Err(StoreError::engine("open a table")(error)),
    };
    let field = |name: &str| {
        let value = meta.get_owned(name).map_err(StoreError::engine("read"))?;
        Ok::<_, StoreError>(value.map(|value| value.value().to_vec()).unwrap_or_default())
    };
    let format = field("format")?.try_into().map_or(0, u32::from_le_bytes);
    match field("applied")?.try_into() {
        Ok(applied) if format == FORMAT => Ok(Some(LogPoint::decode(applied))),
        _ => Err(StoreError::Format { found: format, known: FORMAT }),
    }
}

fn table_name(database: &str) -> String {
    [PREFIX, database].concat()
}

fn definition(name: &str) -> TableDefinition<'_, &'static [u8], &'static [u8]> {
    TableDefinition::new(name)
}

#[cfg(test)]
mod crash_tests;
