//! Generations: the keyspaces that held, hold or will hold everything, and what a batch writes into one.

use super::engine::{self, Keyspace, KeyspaceCreateOptions, OwnedWriteBatch};
use super::keys::{Bucket, Place};
use crate::StoreError;
use crate::engine::net_changes;
use crate::write_set::Run;
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

/// A table in memory is written out at this size (16 MiB). At most five are held, then applying waits.
const MEMTABLE_BYTES: u64 = 16 << 20;
/// Where the applied point lies. Names of databases have a length above 0, so no pair can lie there.
const APPLIED: &[u8] = b"\0applied";

/// A keyspace, until the store is closed.
pub(super) struct Generation {
    pub(super) number: u64,
    keyspace: RwLock<Option<Keyspace>>,
}

impl Generation {
    pub(super) fn new(number: u64, keyspace: Keyspace) -> Self {
        Generation { number, keyspace: RwLock::new(Some(keyspace)) }
    }

    pub(super) fn close(&self) {
        *self.keyspace.write() = None;
    }

    pub(super) fn keyspace(&self) -> Result<Keyspace, StoreError> {
        self.reading(|keyspace| Ok(keyspace.clone()))
    }

    /// Reads, and keeps the store from being closed meanwhile.
    pub(super) fn reading<T>(
        &self,
        read: impl FnOnce(&Keyspace) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        match &*self.keyspace.read() {
            Some(keyspace) => read(keyspace),
            None => Err(StoreError::engine("read")(io::Error::other("it is closed"))),
        }
    }
}

pub(super) fn create(disk: &engine::Database, number: u64) -> Result<Keyspace, StoreError> {
    let options = || {
        KeyspaceCreateOptions::default()
            .manual_journal_persist(true)
            .max_memtable_size(MEMTABLE_BYTES)
    };
    disk.keyspace(&number.to_string(), options).map_err(StoreError::engine("open a keyspace"))
}

pub(super) fn delete(disk: &engine::Database, keyspace: Keyspace) -> Result<(), StoreError> {
    disk.delete_keyspace(keyspace).map_err(StoreError::engine("delete a keyspace"))
}

/// The highest generation that is complete, and its applied point; all others are deleted.
pub(super) fn recover(disk: &engine::Database) -> Result<(Arc<Generation>, LogPoint), StoreError> {
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

/// Each key once: two changes of a key in one batch have no order.
pub(super) fn write_runs(
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

pub(super) fn write_applied(batch: &mut OwnedWriteBatch, keyspace: &Keyspace, applied: LogPoint) {
    batch.insert(keyspace, APPLIED, &applied.encode()[..]);
}
