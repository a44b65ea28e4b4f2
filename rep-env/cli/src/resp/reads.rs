//! Commands that read, each on one view.

use super::glob;
use super::reply::Reply;
use super::scan::Cursors;
use super::{BULK_BYTES_MAX, REPLY_BYTES_MAX};
use bytes::Bytes;
use rep_env::store::StoreError;
use rep_env::{Database, View};
use std::ops::Bound;

/// Keys that one SCAN looks at at most; COUNT asks for fewer, not for more.
const SCAN_KEYS_MAX: u64 = 10_000;
/// Bytes of keys and values that one SCAN looks at at most.
const SCAN_BYTES_MAX: usize = 2 * BULK_BYTES_MAX;

/// A command that reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    Get(Bytes),
    MGet(Vec<Bytes>),
    Exists(Vec<Bytes>),
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
            Read::MGet(keys) => mget(view, database, &keys),
            Read::Exists(keys) => {
                let mut found = 0;
                for key in keys {
                    found += i64::from(view.get(database, &key)?.is_some());
                }
                Ok(Reply::Integer(found))
            }
            Read::DbSize => Ok(Reply::Integer(view.len(database)?.try_into().unwrap_or(i64::MAX))),
            Read::Scan(scan) => scan.run(view, database, cursors),
        }
    }
}

fn mget(view: &View, database: &Database, keys: &[Bytes]) -> Result<Reply, StoreError> {
    let mut bytes = 0;
    let mut values = Vec::with_capacity(keys.len());
    for key in keys {
        let value = view.get(database, key)?;
        bytes += value.as_ref().map_or(0, Bytes::len);
        if bytes > REPLY_BYTES_MAX {
            let text = format!("ERR the reply would be larger than {REPLY_BYTES_MAX} bytes");
            return Ok(Reply::Error(text));
        }
        values.push(Reply::optional(value));
    }
    Ok(Reply::Array(values))
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
