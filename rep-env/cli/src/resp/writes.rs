//! Commands that write, each all or nothing; many of them may share a transaction.

use super::BULK_BYTES_MAX;
use super::command::number;
use super::failure;
use super::memory::{Memory, SHARE};
use super::multi::Exec;
use super::reply::Reply;
use bytes::{Bytes, BytesMut};
use rep_env::{Database, Error, WriteTxn};

/// A command of more keys than this is carried out by the helper: it would hold up the other clients.
pub(super) const LIGHT_KEYS_MAX: usize = 1024;

/// A command that may write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Write {
    Set {
        key: Bytes,
        value: Bytes,
        when: When,
        answer: Answer,
    },
    /// Keys and values in turn.
    MSet(Vec<Bytes>),
    Del(Vec<Bytes>),
    Add {
        key: Bytes,
        delta: i64,
    },
    Append {
        key: Bytes,
        value: Bytes,
    },
    /// Everything between `MULTI` and `EXEC`.
    Exec(Exec),
}

/// On what a `SET` depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum When {
    #[default]
    Always,
    Absent,
    Present,
}

/// What a `SET` answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Answer {
    /// OK, or null if nothing was set.
    #[default]
    Done,
    /// 1, or 0 if nothing was set.
    Count,
    /// The value that was there before.
    Old,
}

/// Why a command was not carried out. Its transaction may hold part of it, and must not be committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Error(Error),
    Reply(Reply),
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Refusal::Error(error)
    }
}

impl Refusal {
    /// What the client is told: that nothing happened.
    pub(super) fn reply(&self) -> Reply {
        match self {
            Refusal::Error(error) => failure::refused(error),
            Refusal::Reply(reply) => reply.clone(),
        }
    }
}

impl Write {
    /// Carries it out in `txn`, and tells what it answers once that is durable. A reply that is an error has written
    /// nothing; a [`Refusal`] leaves the transaction unfit to be committed.
    pub(crate) fn run(
        &self,
        txn: &mut WriteTxn<'_>,
        database: &Database,
        memory: &Memory,
    ) -> Result<Reply, Refusal> {
        match self {
            Write::Set { key, value, when: When::Always, answer: Answer::Done } => {
                txn.put_bytes(database, key.clone(), value.clone())?;
                Ok(Reply::OK)
            }
            Write::Set { key, value, when, answer } => {
                set(txn, database, memory, (key, value), *when, *answer)
            }
            Write::MSet(pairs) => {
                for pair in pairs.chunks_exact(2) {
                    txn.put_bytes(database, pair[0].clone(), pair[1].clone())?;
                }
                Ok(Reply::OK)
            }
            Write::Del(keys) => delete(txn, database, keys),
            Write::Add { key, delta } => add(txn, database, key, *delta),
            Write::Append { key, value } => append(txn, database, key, value),
            Write::Exec(exec) => exec.run(txn, database, memory),
        }
    }

    /// Bytes that it may add to a transaction, at most and roughly; what an `APPEND` finds is not known before.
    pub(super) fn bytes(&self) -> usize {
        match self {
            Write::Set { key, value, .. } => key.len() + value.len() + 64,
            Write::MSet(words) | Write::Del(words) => {
                words.iter().map(|word| word.len() + 32).sum::<usize>() + 64
            }
            Write::Add { key, .. } => key.len() + 128,
            Write::Append { key, value } => key.len() + value.len() + 128,
            Write::Exec(exec) => exec.bytes(),
        }
    }

    /// Keys that it looks at.
    pub(super) fn keys(&self) -> usize {
        match self {
            Write::Set { .. } | Write::Add { .. } | Write::Append { .. } => 1,
            Write::MSet(words) => words.len() / 2,
            Write::Del(keys) => keys.len(),
            Write::Exec(exec) => exec.keys(),
        }
    }
}

fn set(
    txn: &mut WriteTxn<'_>,
    database: &Database,
    memory: &Memory,
    (key, value): (&Bytes, &Bytes),
    when: When,
    answer: Answer,
) -> Result<Reply, Refusal> {
    let old = txn.get(database, key)?;
    if answer == Answer::Old {
        check_room(memory, old.as_ref().map_or(0, Bytes::len))?;
    }
    let holds = match when {
        When::Always => true,
        When::Absent => old.is_none(),
        When::Present => old.is_some(),
    };
    if holds {
        txn.put_bytes(database, key.clone(), value.clone())?;
    }
    Ok(match (answer, holds) {
        (Answer::Old, _) => Reply::optional(old),
        (Answer::Count, _) => Reply::Integer(holds.into()),
        (Answer::Done, true) => Reply::OK,
        (Answer::Done, false) => Reply::Null,
    })
}

/// A reply of so many bytes is kept until its write is durable: not for everybody at once.
pub(super) fn check_room(memory: &Memory, bytes: usize) -> Result<(), Refusal> {
    if bytes <= SHARE || bytes <= memory.room() {
        return Ok(());
    }
    Err(Refusal::Reply(failure::no_memory()))
}

fn delete(txn: &mut WriteTxn<'_>, database: &Database, keys: &[Bytes]) -> Result<Reply, Refusal> {
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
    key: &Bytes,
    delta: i64,
) -> Result<Reply, Refusal> {
    let old = match txn.get(database, key)? {
        None => 0,
        Some(value) => match number(&value) {
            Some(value) => value,
            None => return Ok(Reply::error("ERR value is not an integer or out of range")),
        },
    };
    let Some(sum) = old.checked_add(delta) else {
        return Ok(Reply::error("ERR increment or decrement would overflow"));
    };
    txn.put_bytes(database, key.clone(), Bytes::from(sum.to_string()))?;
    Ok(Reply::Integer(sum))
}

fn append(
    txn: &mut WriteTxn<'_>,
    database: &Database,
    key: &Bytes,
    value: &Bytes,
) -> Result<Reply, Refusal> {
    let Some(old) = txn.get(database, key)? else {
        txn.put_bytes(database, key.clone(), value.clone())?;
        return Ok(Reply::Integer(value.len() as i64));
    };
    let length = old.len() + value.len();
    if length > BULK_BYTES_MAX {
        return Ok(Reply::error("ERR string exceeds maximum allowed size"));
    }
    let mut whole = BytesMut::with_capacity(length);
    whole.extend_from_slice(&old);
    whole.extend_from_slice(value);
    txn.put_bytes(database, key.clone(), whole.freeze())?;
    Ok(Reply::Integer(length as i64))
}
