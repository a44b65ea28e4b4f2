//! What one transaction changes, and how an entry says it.
//!
//! A write set is its *net* effect: the last write to a key counts, so a transaction that puts a key a
//! thousand times replicates it once. On the log it is a list of operations, read from left to right:
//!
//! ```text
//! version   u8      1
//! then any number of
//!   1  database     varint length, name (UTF-8)          the operations that follow are about it
//!   2  put          varint length, key, varint length, value
//!   3  delete       varint length, key
//! ```
//!
//! Varints are LEB128, at most 5 bytes, shortest form only. An unknown operation or version is refused,
//! never skipped: a replica that skipped what it does not know would differ from one that knows it.

pub(crate) mod codec;

pub(crate) use codec::{Run, runs_of};

use crate::StoreError;
use bytes::{Bytes, BytesMut};
use codec::{delete_bytes, name_bytes, put_bytes, write_database, write_delete, write_put};
use rep_vlsn::record::ENTRY_BYTES_MAX;
use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The longest database name, in bytes.
pub const NAME_BYTES_MAX: usize = 255;
/// The longest key, in bytes (64 KiB).
pub const KEY_BYTES_MAX: usize = 64 << 10;
/// The longest encoded write set: an entry's payload, with 1 KiB left for what goes before it.
pub const WRITE_SET_BYTES_MAX: usize = ENTRY_BYTES_MAX - 1024;

/// The name of a database. A database exists while it holds a key; an absent one reads empty.
///
/// Any name can be asked for; one that is empty or longer than [`NAME_BYTES_MAX`] cannot be written to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Database(Arc<str>);

impl Database {
    /// The database called `name`.
    pub fn new(name: impl Into<Arc<str>>) -> Self {
        Database(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Database {
    fn from(name: &str) -> Self {
        Database::new(name)
    }
}

impl Borrow<str> for Database {
    fn borrow(&self) -> &str {
        self.name()
    }
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.name(), f)
    }
}

/// The changes of one key range: a value, or `None` for "deleted".
type Changes = BTreeMap<Bytes, Option<Bytes>>;

/// What one transaction changes: for each key its last value, or that it is gone.
///
/// Guarantees of a value that exists: every name, key and value is within its bound, and so is the
/// whole when encoded.
#[derive(Clone, PartialEq, Eq)]
pub struct WriteSet {
    changes: BTreeMap<Database, Changes>,
    encoded_bytes: usize,
}

impl Default for WriteSet {
    fn default() -> Self {
        WriteSet::new()
    }
}

impl WriteSet {
    /// No change.
    pub const fn new() -> Self {
        WriteSet { changes: BTreeMap::new(), encoded_bytes: 1 }
    }

    /// Sets `key` to a copy of `value`.
    ///
    /// # Errors
    ///
    /// [`StoreError::TooLong`], [`StoreError::Unnamed`]: the write set is as it was.
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> Result<(), StoreError> {
        let (key, value) = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
        self.put_bytes(database, key, value)
    }

    /// Sets `key` to `value` without copying them here.
    ///
    /// # Errors
    ///
    /// As [`WriteSet::put`].
    pub fn put_bytes(
        &mut self,
        database: &Database,
        key: Bytes,
        value: Bytes,
    ) -> Result<(), StoreError> {
        self.change(database, key, Some(value))
    }

    /// Removes `key`, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`WriteSet::put`].
    pub fn delete(&mut self, database: &Database, key: &[u8]) -> Result<(), StoreError> {
        self.change(database, Bytes::copy_from_slice(key), None)
    }

    /// What this write set says of `key`: nothing (`None`), deleted (`Some(None)`), or its value.
    pub fn get(&self, database: &Database, key: &[u8]) -> Option<&Option<Bytes>> {
        self.changes.get(database)?.get(key)
    }

    /// Whether it changes nothing.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// Number of keys changed.
    pub fn len(&self) -> usize {
        self.changes.values().map(BTreeMap::len).sum()
    }

    /// Every change in order of (database, key); `None` for a deleted key.
    pub fn iter(&self) -> impl Iterator<Item = (&Database, &Bytes, &Option<Bytes>)> {
        self.changes.iter().flat_map(|(database, changes)| {
            changes.iter().map(move |(key, value)| (database, key, value))
        })
    }

    /// The changes of one database, in order of keys.
    pub(crate) fn changes_of(&self, database: &Database) -> Option<&Changes> {
        self.changes.get(database)
    }

    /// Length of [`WriteSet::encode_into`], in bytes.
    pub fn encoded_bytes(&self) -> usize {
        self.encoded_bytes
    }

    /// Appends the encoding to `out`. Equal write sets have equal encodings.
    pub fn encode_into(&self, out: &mut BytesMut) {
        out.reserve(self.encoded_bytes);
        codec::write_version(out);
        for (database, changes) in &self.changes {
            write_database(out, database.name());
            for (key, value) in changes {
                match value {
                    Some(value) => write_put(out, key, value),
                    None => write_delete(out, key),
                }
            }
        }
    }

    /// The encoding, as a payload.
    pub fn encode(&self) -> Bytes {
        let mut out = BytesMut::with_capacity(self.encoded_bytes);
        self.encode_into(&mut out);
        out.freeze()
    }

    /// Reads an encoded write set; keys and values are slices of `payload`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Malformed`], or [`StoreError::TooLong`] for the whole.
    pub fn decode(payload: &Bytes) -> Result<WriteSet, StoreError> {
        let mut runs = Vec::new();
        runs_of(payload, &mut runs)?;
        let mut set = WriteSet::new();
        for run in runs {
            let database = Database::new(run.database);
            for (key, value) in run.changes {
                let value = value.map(|value| payload.slice_ref(value));
                set.change(&database, payload.slice_ref(key), value)?;
            }
        }
        Ok(set)
    }

    fn change(
        &mut self,
        database: &Database,
        key: Bytes,
        value: Option<Bytes>,
    ) -> Result<(), StoreError> {
        check_name(database)?;
        bounded("key", key.len(), KEY_BYTES_MAX)?;
        let bytes = self.bytes_after(database, &key, value.as_ref());
        bounded("write set", bytes, WRITE_SET_BYTES_MAX)?;
        self.encoded_bytes = bytes;
        match self.changes.get_mut(database) {
            Some(changes) => changes.insert(key, value),
            None => self.changes.entry(database.clone()).or_default().insert(key, value),
        };
        Ok(())
    }

    /// Length of the encoding once `key` has this change instead of the one it has.
    fn bytes_after(&self, database: &Database, key: &[u8], value: Option<&Bytes>) -> usize {
        let change = |value: Option<&Bytes>| match value {
            Some(value) => put_bytes(key, value),
            None => delete_bytes(key),
        };
        let before = match self.changes.get(database) {
            None => self.encoded_bytes + name_bytes(database.name()),
            Some(changes) => {
                let replaced = changes.get(key).map_or(0, |old| change(old.as_ref()));
                self.encoded_bytes - replaced
            }
        };
        before + change(value)
    }
}

impl fmt::Debug for WriteSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |database: &Database, key: &Bytes| format!("{database}/{key:?}");
        f.debug_map().entries(self.iter().map(|(d, key, value)| (name(d, key), value))).finish()
    }
}

fn check_name(database: &Database) -> Result<(), StoreError> {
    if database.name().is_empty() {
        return Err(StoreError::Unnamed);
    }
    bounded("database name", database.name().len(), NAME_BYTES_MAX)
}

fn bounded(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), StoreError> {
    if bytes > bytes_max {
        return Err(StoreError::TooLong { what, bytes, bytes_max });
    }
    Ok(())
}
