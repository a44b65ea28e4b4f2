//! `MULTI`, `EXEC`, `WATCH`: several commands as one replicated transaction.
//!
//! What stands between `MULTI` and `EXEC` is checked word by word as it comes and carried out at `EXEC`, in one transaction: one
//! entry of the log, all of it or nothing. As in Redis, a command that turns out to be impossible only then (an `INCR` of what is
//! no number) answers its error in its place and changes nothing, and the others still take effect.
//!
//! `WATCH` remembers a digest of each key's value; `EXEC` compares inside its transaction, so nothing comes between. Values
//! are compared, not their history: a key that was changed and changed back within one master's term is taken for unchanged.
//! After a change of masters every `EXEC` that watches fails.

use super::memory::Memory;
use super::reads::Read;
use super::reply::Reply;
use super::writes::{Refusal, Write, check_room};
use super::{BULK_BYTES_MAX, REPLY_BYTES_MAX};
use bytes::Bytes;
use rep_env::{Database, LogPoint, WriteTxn};
use std::hash::{BuildHasher, RandomState};
use std::sync::LazyLock;

/// Commands between `MULTI` and `EXEC` at most.
pub(super) const COMMANDS_MAX: usize = 16 << 10;
/// Bytes of these commands at most: more would not fit into an entry of the log.
pub(super) const COMMANDS_BYTES_MAX: usize = 2 * BULK_BYTES_MAX;
/// Keys that a connection watches at most.
pub(super) const WATCHED_MAX: usize = 4096;

/// What a connection has said since `MULTI` and `WATCH`.
#[derive(Debug, Default)]
pub(super) struct Multi {
    open: Option<Open>,
    watched: Watched,
}

#[derive(Debug, Default)]
struct Open {
    commands: Vec<Queued>,
    bytes: usize,
    /// Something could not be queued: nothing of it will be carried out.
    spoiled: bool,
}

/// A command inside `MULTI`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Queued {
    Read(Read),
    Write(Write),
    Answer(Reply),
}

/// Keys, and what they were.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Watched {
    keys: Vec<(Bytes, Digest)>,
    bytes: usize,
    /// The state in which the first of them was looked at.
    point: Option<LogPoint>,
}

/// Stands for a value, or for none.
type Digest = Option<(u64, u64)>;

impl Multi {
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// `MULTI`.
    pub(super) fn begin(&mut self) -> Reply {
        if self.is_open() {
            return Reply::error("ERR MULTI calls can not be nested");
        }
        self.open = Some(Open::default());
        Reply::OK
    }

    /// Something was wrong with a command inside `MULTI`; outside of one that matters to nobody else.
    pub(super) fn spoil(&mut self) {
        if let Some(open) = &mut self.open {
            *open = Open { spoiled: true, ..Open::default() };
        }
    }

    /// A command inside `MULTI`, of so many bytes.
    pub(super) fn queue(&mut self, command: Queued, bytes: usize) -> Reply {
        let Some(open) = &mut self.open else { return Reply::error("ERR there is no MULTI") };
        if open.spoiled {
            return Reply::Status("QUEUED");
        }
        if open.commands.len() == COMMANDS_MAX || open.bytes + bytes > COMMANDS_BYTES_MAX {
            self.spoil();
            return Reply::error("ERR too much between MULTI and EXEC");
        }
        open.commands.push(command);
        open.bytes += bytes;
        Reply::Status("QUEUED")
    }

    /// `DISCARD`: forgets the commands, and what was watched. Outside of `MULTI` it is an error, and has no effect.
    pub(super) fn discard(&mut self) -> Reply {
        if !self.is_open() {
            return Reply::error("ERR DISCARD without MULTI");
        }
        *self = Multi::default();
        Reply::OK
    }

    /// `EXEC`: what is to be carried out, or why nothing is.
    pub(super) fn exec(&mut self) -> Result<Exec, Reply> {
        let Some(open) = self.open.take() else {
            return Err(Reply::error("ERR EXEC without MULTI"));
        };
        let watched = std::mem::take(&mut self.watched);
        if open.spoiled {
            let text = "EXECABORT Transaction discarded because of previous errors.";
            return Err(Reply::error(text));
        }
        let bytes = open.bytes + watched.bytes;
        Ok(Exec { commands: open.commands, watched, bytes })
    }

    /// Whether so many keys more may be watched.
    pub(super) fn may_watch(&self, keys: usize) -> bool {
        self.watched.keys.len() + keys <= WATCHED_MAX
    }

    /// Remembers what `key` is in the state of `point`.
    pub(super) fn watch(&mut self, key: Bytes, value: Option<&Bytes>, point: LogPoint) {
        self.watched.bytes += key.len() + 64;
        self.watched.keys.push((key, digest(value)));
        self.watched.point.get_or_insert(point);
    }

    /// `UNWATCH`.
    pub(super) fn unwatch(&mut self) {
        self.watched = Watched::default();
    }

    /// Bytes that are kept here.
    pub(super) fn bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.bytes) + self.watched.bytes
    }
}

/// All commands of one `MULTI`, and on what they depend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Exec {
    commands: Vec<Queued>,
    watched: Watched,
    bytes: usize,
}

impl Exec {
    /// Carries all of it out in `txn`, or nothing if a watched key has changed.
    pub(super) fn run(
        &self,
        txn: &mut WriteTxn<'_>,
        database: &Database,
        memory: &Memory,
    ) -> Result<Reply, Refusal> {
        if !self.watched.holds(txn, database)? {
            return Ok(Reply::NullArray);
        }
        let mut replies = Vec::with_capacity(self.commands.len());
        let mut bytes = 0;
        for command in &self.commands {
            let reply = match command {
                Queued::Read(read) => read.run_within(txn, database)?,
                Queued::Write(write) => write.run(txn, database, memory)?,
                Queued::Answer(reply) => reply.clone(),
            };
            bytes += reply.bytes();
            if bytes > REPLY_BYTES_MAX {
                let text = format!("ERR the reply would be larger than {REPLY_BYTES_MAX} bytes");
                return Err(Refusal::Reply(Reply::Error(text)));
            }
            check_room(memory, bytes)?;
            replies.push(reply);
        }
        Ok(Reply::Array(replies))
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes + 64 * self.commands.len()
    }

    pub(super) fn keys(&self) -> usize {
        let keys = self.commands.iter().map(|command| match command {
            Queued::Read(read) => read.keys(),
            Queued::Write(write) => write.keys(),
            Queued::Answer(_) => 0,
        });
        keys.sum::<usize>() + self.watched.keys.len()
    }
}

impl Watched {
    fn holds(&self, txn: &WriteTxn<'_>, database: &Database) -> Result<bool, Refusal> {
        let Some(point) = self.point else { return Ok(true) };
        if point.term != txn.term() {
            return Ok(false);
        }
        for (key, seen) in &self.keys {
            if digest(txn.get(database, key)?.as_ref()) != *seen {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// 128 bits under keys that nobody outside this process knows: nobody can make two values alike.
fn digest(value: Option<&Bytes>) -> Digest {
    static KEYS: LazyLock<(RandomState, RandomState)> = LazyLock::new(Default::default);
    value.map(|value| (KEYS.0.hash_one(value), KEYS.1.hash_one(value)))
}
