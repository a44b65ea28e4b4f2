//! Commands that read, each on one view, or within a transaction.

use super::glob;
use super::reply::Reply;
use super::scan::Cursors;
use super::writes::{LIGHT_KEYS_MAX, Refusal};
use super::{BULK_BYTES_MAX, REPLY_BYTES_MAX};
use bytes::Bytes;
use rep_env::store::StoreError;
use rep_env::{Database, View, WriteTxn};
use std::ops::Bound;

/// Keys that one SCAN looks at at most; COUNT asks for fewer, not for more.
const SCAN_KEYS_MAX: u64 = 10_000;
/// Bytes of keys and values that one SCAN looks at at most.
const SCAN_BYTES_MAX: usize = 2 * BULK_BYTES_MAX;

/// Keys that a SCAN may look at without being a slow command.
const LIGHT_SCAN_MAX: u64 = 100;

/// A command that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Get(Bytes),
    MGet(Vec<Bytes>),
    Exists(Vec<Bytes>),
    StrLen(Bytes),
    /// All keys that match a pattern.
    Keys(Bytes),
    DbSize,
    Scan(Scan),
}

/// One step of an iteration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Scan {
    pub(crate) cursor: u64,
    pub(crate) pattern: Option<Bytes>,
    pub(crate) count: u64,
}

impl Read {
    /// What it answers on `view`.
    pub(crate) fn run(
        self,
        view: &View,
        database: &Database,
        cursors: &Cursors,
    ) -> Result<Reply, StoreError> {
        match self {
            Read::Get(key) => Ok(Reply::optional(view.get(database, &key)?)),
            Read::MGet(keys) => mget(&keys, |key| view.get(database, key)),
            Read::Exists(keys) => exists(&keys, |key| view.get(database, key)),
            Read::StrLen(key) => Ok(length(view.get(database, &key)?)),
            Read::Keys(pattern) => keys(view, database, &pattern),
            Read::DbSize => Ok(Reply::Integer(view.len(database)?.try_into().unwrap_or(i64::MAX))),
            Read::Scan(scan) => scan.run(view, database, cursors),
        }
    }
}

impl Read {
    /// Whether it may be asked between `MULTI` and `EXEC`: not what looks at the whole database.
    pub(super) fn fits_into_multi(&self) -> bool {
        !matches!(self, Read::Keys(_) | Read::DbSize | Read::Scan(_))
    }

    /// What it answers within `txn`.
    pub(super) fn run_within(
        &self,
        txn: &WriteTxn<'_>,
        database: &Database,
    ) -> Result<Reply, Refusal> {
        match self {
            Read::Get(key) => Ok(Reply::optional(txn.get(database, key)?)),
            Read::MGet(keys) => Ok(mget(keys, |key| txn.get(database, key))?),
            Read::Exists(keys) => Ok(exists(keys, |key| txn.get(database, key))?),
            Read::StrLen(key) => Ok(length(txn.get(database, key)?)),
            Read::Keys(_) | Read::DbSize | Read::Scan(_) => {
                let text = "ERR this command is not supported inside MULTI";
                Err(Refusal::Reply(Reply::error(text)))
            }
        }
    }

    /// Keys that it looks at.
    pub(super) fn keys(&self) -> usize {
        match self {
            Read::Get(_) | Read::StrLen(_) => 1,
            Read::MGet(keys) | Read::Exists(keys) => keys.len(),
            Read::Keys(_) | Read::DbSize => usize::MAX,
            Read::Scan(scan) => scan.count.min(SCAN_KEYS_MAX) as usize,
        }
    }

    /// Whether it would hold up the other clients, so that the helper carries it out.
    pub(super) fn is_slow(&self) -> bool {
        match self {
            Read::Scan(scan) => scan.count > LIGHT_SCAN_MAX,
            read => read.keys() > LIGHT_KEYS_MAX,
        }
    }
}

fn mget<E>(keys: &[Bytes], get: impl Fn(&[u8]) -> Result<Option<Bytes>, E>) -> Result<Reply, E> {
    let mut bytes = 0;
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        let value = get(key)?;
        bytes += value.as_ref().map_or(0, Bytes::len);
        if bytes > REPLY_BYTES_MAX {
            return Ok(too_long());
        }
        values.push(Reply::optional(value));
    }
    Ok(Reply::Array(values))
}

fn exists<E>(keys: &[Bytes], get: impl Fn(&[u8]) -> Result<Option<Bytes>, E>) -> Result<Reply, E> {
    let mut found = 0;
    for key in keys {
        found += i64::from(get(key)?.is_some());
    }
    Ok(Reply::Integer(found))
}

fn length(value: Option<Bytes>) -> Reply {
    Reply::Integer(value.map_or(0, |value| value.len() as i64))
}

fn keys(view: &View, database: &Database, pattern: &[u8]) -> Result<Reply, StoreError> {
    let mut found = Vec::new();
    let mut bytes = 0;
    for pair in view.range(database, ..) {
        let (key, _) = pair?;
        if glob::matches(pattern, &key) {
            bytes += key.len() + size_of::<Reply>();
            if bytes > REPLY_BYTES_MAX {
                return Ok(too_long());
            }
            // A copy, for the key may be a slice of something much larger.
            found.push(Reply::Bulk(Bytes::copy_from_slice(&key)));
        }
    }
    Ok(Reply::Array(found))
}

fn too_long() -> Reply {
    Reply::Error(format!("ERR the reply would be larger than {REPLY_BYTES_MAX} bytes"))
}

impl Scan {
    fn run(self, view: &View, database: &Database, cursors: &Cursors) -> Result<Reply, StoreError> {
        let start = match self.cursor {
            0 => None,
            cursor => match cursors.find(cursor) {
                Some(key) => Some(key),
                None => return Ok(Reply::error("ERR invalid cursor: begin again with 0")),
            },
        };
        let from = start.as_deref().map_or(Bound::Unbounded, Bound::Included);
        let (mut looked_at, mut bytes) = (0, 0);
        let mut found = Vec::new();
        for pair in view.range(database, (from, Bound::Unbounded)) {
            let (key, value) = pair?;
            if looked_at == self.count.min(SCAN_KEYS_MAX) || bytes > SCAN_BYTES_MAX {
                return Ok(scanned(cursors.save(key), found));
            }
            looked_at += 1;
            bytes += key.len() + value.len();
            if self.pattern.as_ref().is_none_or(|pattern| glob::matches(pattern, &key)) {
                found.push(Reply::Bulk(key));
            }
        }
        Ok(scanned(0, found))
    }
}

fn scanned(cursor: u64, found: Vec<Reply>) -> Reply {
    Reply::Array(vec![Reply::text(cursor.to_string()), Reply::Array(found)])
}
