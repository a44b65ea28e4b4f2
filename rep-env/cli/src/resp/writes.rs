//! Commands that write, each in one transaction.

use super::command::number;
use super::reply::Reply;
use bytes::Bytes;
use rep_env::{Database, Error, WriteTxn};

/// A command that may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Set {
        key: Bytes,
        value: Bytes,
        when: When,
        get: bool,
    },
    /// Keys and values in turn.
    MSet(Vec<Bytes>),
    Del(Vec<Bytes>),
    Add {
        key: Bytes,
        delta: i64,
    },
}

/// On what a `SET` depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    #[default]
    Always,
    Absent,
    Present,
}

impl Write {
    /// Carries it out in `txn`, and tells what it answers once that is durable. A reply that is an error has written
    /// nothing.
    pub(crate) fn run(self, txn: &mut WriteTxn<'_>, database: &Database) -> Result<Reply, Error> {
        match self {
            Write::Set { key, value, when: When::Always, get: false } => {
                txn.put_bytes(database, key, value)?;
                Ok(Reply::OK)
            }
            Write::Set { key, value, when, get } => set(txn, database, key, value, when, get),
            Write::MSet(pairs) => {
                let mut pairs = pairs.into_iter();
                while let (Some(key), Some(value)) = (pairs.next(), pairs.next()) {
                    txn.put_bytes(database, key, value)?;
                }
                Ok(Reply::OK)
            }
            Write::Del(keys) => delete(txn, database, &keys),
            Write::Add { key, delta } => add(txn, database, key, delta),
        }
    }
}

fn set(
    txn: &mut WriteTxn<'_>,
    database: &Database,
    key: Bytes,
    value: Bytes,
    when: When,
    get: bool,
) -> Result<Reply, Error> {
    let old = txn.get(database, &key)?;
    let holds = match when {
        When::Always => true,
        When::Absent => old.is_none(),
        When::Present => old.is_some(),
    };
    if holds {
        txn.put_bytes(database, key, value)?;
    }
    Ok(match (get, holds) {
        (true, _) => Reply::optional(old),
        (false, true) => Reply::OK,
        (false, false) => Reply::Null,
    })
}

fn delete(txn: &mut WriteTxn<'_>, database: &Database, keys: &[Bytes]) -> Result<Reply, Error> {
    let mut removed = 0;
    for key in keys {
        if txn.get(database, key)?.is_some() {
            txn.delete(database, key)?;
            removed += 1;
        }
    }
    Ok(Reply::Integer(removed))
}

fn add(
    txn: &mut WriteTxn<'_>,
    database: &Database,
    key: Bytes,
    delta: i64,
) -> Result<Reply, Error> {
    let old = match txn.get(database, &key)? {
        None => 0,
        Some(value) => match number(&value) {
            Some(value) => value,
            None => return Ok(Reply::error("ERR value is not an integer or out of range")),
        },
    };
    let Some(sum) = old.checked_add(delta) else {
        return Ok(Reply::error("ERR increment or decrement would overflow"));
    };
    txn.put_bytes(database, key, Bytes::from(sum.to_string()))?;
    Ok(Reply::Integer(sum))
}
