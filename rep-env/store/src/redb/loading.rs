//! New tables beside the old ones, which one durable transaction puts in their place.
//!
//! The engine has one writer at a time, and the old state may go on while a new one is loaded. So the transaction of a load stays
//! open from one chunk to the next, and is committed before anybody else writes. Nobody looks at tables of that name; whatever
//! a crash leaves of them goes at the next opening, also what a checkpoint of the old state has made durable.

use super::flushing::Flushing;
use super::{PREFIX, TAILS_PREFIX, begin, begin_durable, engine, failed, write_runs};
use crate::StoreError;
use crate::write_set::Run;
use engine::{
    Durability, ReadableDatabase, TableDefinition, TableHandle, UntypedTableHandle,
    WriteTransaction,
};
use std::path::Path;

/// Before the name of a table that is to take the place of another one: no reader looks there.
const LOADING_PREFIX: &str = "new.";
/// So many bytes of a new state are written by one transaction. One alone would have to read all of its pages again for their
/// checksums when it ends, since memory does not hold them for so long. Tests have no such states.
const LOADING_BYTES: u64 = if cfg!(test) { 16 << 10 } else { 8 << 20 };
/// After so many bytes a transaction is made durable: until then the engine remembers every page that was written, some 30 bytes
/// for each 4 KiB.
const DURABLE_BYTES: u64 = if cfg!(test) { 64 << 10 } else { 128 << 20 };

/// A state that is being loaded.
pub(super) struct Loading {
    /// Open between two chunks; `None` when somebody else is to write.
    txn: Option<WriteTransaction>,
    /// Bytes of pairs in the present transaction.
    bytes: u64,
    /// And since the last durable one.
    undurable_bytes: u64,
    /// Without a path there is nobody to do it, and the end does it all.
    flushing: Option<Flushing>,
}

impl Loading {
    /// Begins with nothing: what was left by another one goes.
    pub(super) fn begin(file: &engine::Database, path: Option<&Path>) -> Result<Self, StoreError> {
        forget(file)?;
        // Without it the end of the loading takes longer, and nothing else.
        let flushing = path.and_then(|path| Flushing::start(path).ok());
        Ok(Loading { txn: None, bytes: 0, undurable_bytes: 0, flushing })
    }

    pub(super) fn load(
        &mut self,
        file: &engine::Database,
        runs: &[Run<'_>],
    ) -> Result<(), StoreError> {
        let txn = match self.txn.take() {
            Some(txn) => txn,
            None => begin(file)?,
        };
        write_runs(&txn, runs, LOADING_PREFIX)?;
        self.txn = Some(txn);
        self.bytes += bytes_of(runs);
        if self.bytes >= LOADING_BYTES { self.pause(file) } else { Ok(()) }
    }

    /// Lets somebody else write. What has been loaded is committed, but not durably, and under names that nobody knows.
    pub(super) fn pause(&mut self, file: &engine::Database) -> Result<(), StoreError> {
        let Some(mut txn) = self.txn.take() else { return Ok(()) };
        txn.set_durability(Durability::None).map_err(failed("begin to load"))?;
        txn.commit().map_err(failed("load"))?;
        self.flushing.iter().for_each(Flushing::go_on);
        self.undurable_bytes += std::mem::take(&mut self.bytes);
        if self.undurable_bytes >= DURABLE_BYTES {
            self.undurable_bytes = 0;
            begin_durable(file)?.commit().map_err(failed("load"))?;
        }
        Ok(())
    }

    /// A transaction in which the new tables have the names of the old ones.
    pub(super) fn finish(
        mut self,
        file: &engine::Database,
    ) -> Result<WriteTransaction, StoreError> {
        self.pause(file)?;
        self.flushing.take().map_or(Ok(()), Flushing::finish)?;
        let txn = begin_durable(file)?;
        delete_tables(&txn, PREFIX)?;
        delete_tables(&txn, TAILS_PREFIX)?;
        for new in tables(&txn, LOADING_PREFIX)? {
            let old = new.name()[LOADING_PREFIX.len()..].to_owned();
            let old: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new(&old);
            txn.rename_table(new, old).map_err(failed("name a table"))?;
        }
        Ok(txn)
    }
}

fn bytes_of(runs: &[Run<'_>]) -> u64 {
    let pairs = runs.iter().flat_map(|run| &run.changes);
    pairs.map(|(key, value)| (key.len() + value.map_or(0, <[u8]>::len)) as u64).sum()
}

/// Removes what an interrupted loading has left.
pub(super) fn forget(file: &engine::Database) -> Result<(), StoreError> {
    let left = file.begin_read().map_err(failed("begin to read"))?;
    let left = left.list_tables().map_err(failed("list tables"))?;
    if !left.into_iter().any(|table| table.name().starts_with(LOADING_PREFIX)) {
        return Ok(());
    }
    let mut txn = begin(file)?;
    txn.set_durability(Durability::None).map_err(failed("begin to write"))?;
    delete_tables(&txn, LOADING_PREFIX)?;
    txn.commit().map_err(failed("drop what was left"))
}

fn delete_tables(txn: &WriteTransaction, prefix: &str) -> Result<(), StoreError> {
    tables(txn, prefix)?
        .into_iter()
        .try_for_each(|table| txn.delete_table(table).map(drop).map_err(failed("drop a table")))
}

/// The tables whose names begin so.
fn tables(txn: &WriteTransaction, prefix: &str) -> Result<Vec<UntypedTableHandle>, StoreError> {
    let tables = txn.list_tables().map_err(failed("list tables"))?;
    Ok(tables.filter(|table| table.name().starts_with(prefix)).collect())
}
