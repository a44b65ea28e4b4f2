//! Who waits for an answer of the node, and how they are given theirs.

use crate::commit::CommitPromise;
use crate::error::{Error, Unacknowledged};
use crate::orders::{GroupShutDown, Order, Transferred};
use crate::read::ReadPromise;
use crate::runtime::shared::Shared;
use rep_node::{Changed, Outcome, Request};
use std::collections::BTreeMap;
use std::task::Waker;

/// Who waits for an answer. Dropped, everyone is told that there will be none.
#[derive(Debug, Default)]
pub(super) struct Callers {
    pub(super) commits: BTreeMap<Request, CommitPromise>,
    pub(super) reads: BTreeMap<Request, ReadPromise>,
    pub(super) transfers: BTreeMap<Request, Order<Transferred>>,
    pub(super) shutdowns: BTreeMap<Request, Order<GroupShutDown>>,
    pub(super) changes: BTreeMap<Request, Order<Changed>>,
}

impl Callers {
    pub(super) fn staged(&mut self, request: Request, token: crate::CommitToken) {
        if let Some(promise) = self.commits.get_mut(&request) {
            promise.logged(token);
        }
    }

    /// Gives an answer; the tasks that are to be woken for it.
    pub(super) fn resolve(
        &mut self,
        shared: &Shared,
        request: Request,
        outcome: Outcome,
    ) -> Vec<Waker> {
        if let Some(promise) = self.commits.remove(&request) {
            resolve_commit(shared, promise, outcome)
        } else if let Some(promise) = self.reads.remove(&request) {
            resolve_read(shared, promise, outcome)
        } else {
            Vec::new()
        }
    }
}

fn resolve_commit(shared: &Shared, promise: CommitPromise, outcome: Outcome) -> Vec<Waker> {
    let counters = &shared.counters;
    let (counter, outcome) = match outcome {
        Outcome::Committed { point } => (&counters.commits_durable, Ok(shared.token(point))),
        Outcome::TermOver { master } | Outcome::NotMaster { master } => {
            (&counters.commits_failed, Err(shared.not_master(master)))
        }
        Outcome::Unknown { point, acked_by, missing, needed, deposed } => {
            let (acked_by, missing) = (shared.names_of(acked_by), shared.names_of(missing));
            let token = shared.token(point);
            let why = if deposed { Unacknowledged::Deposed } else { Unacknowledged::Late };
            let error = Error::InsufficientAcks { token, why, needed, acked_by, missing };
            (&counters.commits_unknown, Err(error))
        }
        Outcome::RolledBack { point } => {
            (&counters.commits_failed, Err(Error::RolledBack { token: shared.token(point) }))
        }
        // The promise knows whether the entry had been logged.
        _ => return promise.give_up(),
    };
    counter.add(1);
    promise.settle(outcome)
}

fn resolve_read(shared: &Shared, promise: ReadPromise, outcome: Outcome) -> Vec<Waker> {
    let result = match outcome {
        Outcome::Read { .. } | Outcome::Committed { .. } => Ok(()),
        Outcome::NotMaster { master } | Outcome::TermOver { master } => {
            Err(shared.not_master(master))
        }
        Outcome::RolledBack { point } => Err(Error::RolledBack { token: shared.token(point) }),
        Outcome::OtherGroup => Err(Error::OtherGroup),
        Outcome::TooManyReads { waiting } => Err(Error::TooManyReads { waiting }),
        Outcome::ReadTimeout | Outcome::Unknown { .. } => {
            Err(Error::ReadTimeout { timeout: shared.timing.read_timeout })
        }
        _ => Err(Error::Closed),
    };
    let counters = &shared.counters;
    let counter = if result.is_ok() { &counters.reads_served } else { &counters.reads_failed };
    counter.add(1);
    promise.settle(result)
}
