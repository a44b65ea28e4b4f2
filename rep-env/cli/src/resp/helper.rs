//! What would hold up a front: commands that look at very many keys, and questions that the node takes its time to answer.
//! One thread per port does them, one after the other; a task that needs many steps lets others in between. A client
//! waits for one task at a time, but may be gone before it is done, so the queue has a bound of its own.

use super::failure;
use super::mailbox::{Letter, Mailbox};
use super::reads::Read;
use super::reply::Reply;
use super::server::Port;
use super::writes::{Refusal, Write};
use bytes::Bytes;
use rep_env::{CommitToken, Consistency, Error, NodeState, View};
use std::collections::VecDeque;
use std::io;
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};
use std::thread;

/// Tasks that wait at most; beyond that they are refused.
const ORDERS_MAX: usize = 1024;
/// Tasks of many steps that are begun at a time.
const BEGUN_MAX: usize = 16;
/// Keys that one step of `FLUSHDB` removes at most.
const FLUSH_KEYS: usize = 1024;
/// Bytes of these keys and their values.
const FLUSH_BYTES: usize = 1 << 20;

/// Something for the helper to do.
#[derive(Clone, Debug)]
pub(crate) enum Task {
    Read(View, Read),
    Write(Write),
    Flush(Flush),
    Info(Vec<Bytes>),
    Role,
    /// Up to where the replicas have synced.
    Synced,
}

/// How far a `FLUSHDB` has come.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Flush {
    /// The last key that it has removed.
    after: Option<Bytes>,
    token: Option<CommitToken>,
}

/// What the helper found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Help {
    Reply(Reply),
    /// The reply of a write, and its commit.
    Wrote(Reply, Option<CommitToken>),
    /// `None` if this node is not the master.
    Synced(Option<Vec<u64>>),
}

/// Where tasks go. The helper ends with the last of these.
#[derive(Clone, Debug)]
pub(super) struct Helper(SyncSender<Order>);

#[derive(Debug)]
struct Order {
    client: i64,
    task: Task,
    from: Arc<Mailbox>,
}

impl Order {
    fn answer(&self, help: Help) {
        self.from.put(Letter::Helped(self.client, help));
    }
}

impl Helper {
    pub(super) fn start(port: Arc<Port>) -> io::Result<Self> {
        let (orders, queue) = mpsc::sync_channel(ORDERS_MAX);
        thread::Builder::new().name("resp-helper".to_owned()).spawn(move || work(&port, &queue))?;
        Ok(Helper(orders))
    }

    /// Has `task` done for a client of the front that reads `from`.
    pub(super) fn ask(&self, client: i64, task: Task, from: &Arc<Mailbox>) {
        let order = Order { client, task, from: Arc::clone(from) };
        if let Err(TrySendError::Full(order) | TrySendError::Disconnected(order)) =
            self.0.try_send(order)
        {
            order.answer(Help::Reply(failure::no_time()));
        }
    }
}

fn work(port: &Port, queue: &Receiver<Order>) {
    let mut begun: VecDeque<Order> = VecDeque::new();
    loop {
        let new = match begun.len() {
            0 => match queue.recv() {
                Ok(order) => Some(order),
                Err(_) => return,
            },
            1..BEGUN_MAX => queue.try_recv().ok(),
            _ => None,
        };
        // One that is new, one that was begun, in turn.
        let old = begun.pop_front();
        for mut order in new.into_iter().chain(old) {
            match port.help(order.task.clone()) {
                Ok(help) => order.answer(help),
                Err(rest) => {
                    order.task = rest;
                    begun.push_back(order);
                }
            }
        }
    }
}

impl Port {
    /// Does a task, or the first step of it and gives what is left.
    fn help(&self, task: Task) -> Result<Help, Task> {
        Ok(match task {
            Task::Read(view, read) => {
                let reply = read.run(&view, &self.database, &self.cursors);
                Help::Reply(reply.unwrap_or_else(|error| failure::unread(&error.into())))
            }
            Task::Write(write) => match self.write(&write) {
                Ok((reply, token)) => Help::Wrote(reply, Some(token)),
                Err(reply) => Help::Wrote(reply, None),
            },
            Task::Flush(flush) => return self.flush(flush),
            Task::Info(sections) => Help::Reply(self.info(&sections)),
            Task::Role => Help::Reply(self.role()),
            Task::Synced => Help::Synced(self.synced()),
        })
    }

    fn synced(&self) -> Option<Vec<u64>> {
        if self.env.state() != NodeState::Master {
            return None;
        }
        let replicas = self.env.stats().replicas;
        Some(replicas.iter().filter(|one| one.connected).filter_map(|one| one.synced).collect())
    }

    /// One write, waited for.
    fn write(&self, write: &Write) -> Result<(Reply, CommitToken), Reply> {
        let refused = |error: Error| failure::refused(&error);
        let mut txn = self.env.begin().map_err(refused)?;
        let reply = write.run(&mut txn, &self.database, &self.memory);
        let reply = reply.map_err(|refusal: Refusal| refusal.reply())?;
        let changes = !txn.is_empty();
        let commit = txn.commit_with(self.config.durability).map_err(refused)?;
        let token = commit.wait().map_err(|error| failure::unresolved(&error))?;
        if !changes {
            let view = self.env.read(Consistency::Linearizable).wait().map_err(refused)?;
            failure::same_term(&view, token)?;
        }
        Ok((reply, token))
    }

    /// One step of `FLUSHDB`: the next keys, in a transaction. Once a step is done, what stops the others leaves a part removed.
    fn flush(&self, flush: Flush) -> Result<Help, Task> {
        let begun = flush.token.is_some();
        let failed = |reply: Reply| {
            Ok(Help::Wrote(if begun { failure::half_done(&reply) } else { reply }, None))
        };
        let refused = |error: &Error| failed(failure::refused(error));
        let mut txn = match self.env.begin() {
            Ok(txn) => txn,
            Err(error) => return refused(&error),
        };
        let after = flush.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
        let keys = txn.range(&self.database, (after, Bound::Unbounded)).and_then(|pairs| {
            let mut bytes = 0;
            let within = |pair: &Result<(Bytes, Bytes), Error>| {
                let fits = bytes <= FLUSH_BYTES;
                bytes += pair.as_ref().map_or(0, |(key, value)| key.len() + value.len());
                fits
            };
            pairs
                .take(FLUSH_KEYS)
                .take_while(within)
                .map(|pair| Ok(pair?.0))
                .collect::<Result<Vec<_>, Error>>()
        });
        let removed = keys.and_then(|keys| {
            for key in &keys {
                txn.delete(&self.database, key)?;
            }
            Ok((keys.last().cloned(), txn.commit_with(self.config.durability)?))
        });
        let (last, commit) = match removed {
            Ok(removed) => removed,
            Err(error) => return refused(&error),
        };
        let token = match commit.wait() {
            Ok(token) => token,
            Err(error) => return failed(failure::unresolved(&error)),
        };
        match last {
            Some(last) => Err(Task::Flush(Flush { after: Some(last), token: Some(token) })),
            None if begun => Ok(Help::Wrote(Reply::OK, Some(token))),
            // Nothing was there; that is a read, and has to be as new as one.
            None => match self.env.read(Consistency::Linearizable).wait() {
                Ok(view) => match failure::same_term(&view, token) {
                    Ok(()) => Ok(Help::Wrote(Reply::OK, Some(token))),
                    Err(reply) => failed(reply),
                },
                Err(error) => refused(&error),
            },
        }
    }
}
