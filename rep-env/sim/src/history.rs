//! What callers asked and were told, and what the group's state has to be.
//!
//! The *model* replays the entries that some node has claimed to be durable, with the operations as the callers
//! meant them. So it knows the value of each key at each VLSN: a view that shows anything else has lost, invented or
//! reordered something; and a transaction that had read anything else than the state just before its entry was not
//! built on all that came before it.

use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::recording::Recording;
use bytes::Bytes;
use rep_node::{Durability, Outcome, Request};
use rep_vlsn::{LogPoint, Term};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// A key of the workload.
pub(crate) type Key = String;

/// A call that waits for its outcome.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) client: Option<usize>,
    pub(crate) node: Machine,
    pub(crate) term: Term,
    pub(crate) begun: Duration,
    /// The newest entry that its client knew to be durable when it began.
    pub(crate) known: LogPoint,
    pub(crate) what: Asked,
}

/// What a call asked for.
#[derive(Clone, Debug)]
pub(crate) enum Asked {
    Write(Durability),
    /// The newest value; `floor` is the highest VLSN acknowledged when it began.
    Linearizable {
        key: Key,
        floor: u64,
    },
    /// A state that was the newest no longer ago than this.
    Bounded {
        key: Key,
        lag: Duration,
    },
    /// A state that holds this entry.
    AtLeast {
        key: Key,
        token: LogPoint,
    },
}

/// A transaction as its caller meant it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Txn {
    pub(crate) reads: Vec<(Key, Option<Bytes>)>,
    pub(crate) writes: Vec<(Key, Option<Bytes>)>,
}

/// Calls, outcomes, and the model.
#[derive(Debug, Default)]
pub(crate) struct History {
    pub(crate) calls: BTreeMap<Request, Call>,
    txns: BTreeMap<Request, Txn>,
    staged: BTreeMap<(u64, u64), Request>,
    points: BTreeMap<Request, LogPoint>,
    failed: BTreeSet<(u64, u64)>,
    /// Acknowledged writes, for reads that carry a token.
    pub(crate) tokens: Vec<LogPoint>,
    /// What calls without a client were told.
    pub(crate) outcomes: BTreeMap<Request, (Machine, Outcome)>,
    /// The same calls, for a judge who knows nothing of the model.
    pub(crate) recording: Recording,
    model: BTreeMap<Key, Vec<(u64, Option<Bytes>)>>,
    modelled: u64,
    next: u64,
}

impl History {
    /// Numbers a call.
    pub(crate) fn begin(&mut self, call: Call, txn: Option<Txn>) -> Request {
        self.next += 1;
        let request = Request(self.next);
        match (&call.what, &txn) {
            (Asked::Linearizable { key, .. }, _) => {
                self.recording.reads(request, call.client, key);
            }
            (_, Some(txn)) => self.recording.commits(request, call.client, txn),
            (_, None) => {}
        }
        self.calls.insert(request, call);
        if let Some(txn) = txn {
            self.txns.insert(request, txn);
        }
        request
    }

    pub(crate) fn staged(&mut self, request: Request, point: LogPoint) {
        self.staged.insert((point.vlsn.get(), point.term.get()), request);
        self.points.insert(request, point);
    }

    pub(crate) fn point_of(&self, request: Request) -> Option<LogPoint> {
        self.points.get(&request).copied()
    }

    /// The write at `point` was said to have no effect, ever.
    pub(crate) fn failed(&mut self, point: LogPoint) {
        self.failed.insert((point.vlsn.get(), point.term.get()));
    }

    /// How far the model has come.
    pub(crate) fn modelled(&self) -> u64 {
        self.modelled
    }

    /// The next entry is durable in the group.
    pub(crate) fn replay(&mut self, term: Term) -> Checked {
        self.modelled += 1;
        let at = self.modelled;
        let key = (at, term.get());
        ensure(!self.failed.contains(&key), Invariant::FailMeansNoEffect, || {
            format!("entry {at} of {term} is durable; its caller was told that it failed")
        })?;
        let Some(txn) = self.staged.get(&key).and_then(|request| self.txns.get(request)) else {
            return Ok(());
        };
        let txn = txn.clone();
        for (name, seen) in &txn.reads {
            let then = self.value_at(name, at - 1);
            ensure(then == *seen, Invariant::FailMeansNoEffect, || {
                format!(
                    "the transaction of entry {at} read {name} = {seen:?}, before it stood {then:?}"
                )
            })?;
        }
        for (name, value) in txn.writes {
            self.model.entry(name).or_default().push((at, value));
        }
        Ok(())
    }

    /// The value of a key after entry `vlsn`.
    pub(crate) fn value_at(&self, key: &str, vlsn: u64) -> Option<Bytes> {
        let versions = self.model.get(key)?;
        let after = versions.partition_point(|(at, _)| *at <= vlsn);
        versions[..after].last().and_then(|(_, value)| value.clone())
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &Key> {
        self.model.keys()
    }

    /// A view of what is applied showed this.
    pub(crate) fn seen(
        &self,
        by: Machine,
        key: &str,
        applied: LogPoint,
        value: &Option<Bytes>,
    ) -> Checked {
        let vlsn = applied.vlsn.get();
        ensure(vlsn <= self.modelled, Invariant::AppliedBound, || {
            format!(
                "{by} shows a state at {applied}, nobody claimed more than {} to be durable",
                self.modelled
            )
        })?;
        let due = self.value_at(key, vlsn);
        ensure(due == *value, Invariant::LinearizableReads, || {
            format!("{by} shows {key} = {value:?} at {applied}, it is {due:?}")
        })
    }
}
