//! What a commit promises, and how its caller learns whether the promise was kept.

use crate::error::{Error, Unacknowledged};
use crate::sync::{Flaw, broken};
use crate::waiter::{Seat, Slot, deadline};
use rep_vlsn::{GroupId, LogPoint};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Names one entry of one group's history, for ever. What a commit gives, and what
/// [`Consistency::AtLeast`](crate::Consistency::AtLeast) takes, at any member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct CommitToken {
    group: GroupId,
    point: LogPoint,
}

impl CommitToken {
    /// The token of entry `point` in `group`.
    pub const fn new(group: GroupId, point: LogPoint) -> Self {
        CommitToken { group, point }
    }

    /// The group.
    pub const fn group(&self) -> GroupId {
        self.group
    }

    /// The entry.
    pub const fn point(&self) -> LogPoint {
        self.point
    }
}

impl fmt::Display for CommitToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.point)
    }
}

pub(crate) type CommitSlot = Slot<Result<CommitToken, Error>>;

/// The outcome of a commit, when there is one: [`wait`](CommitHandle::wait) for it, or `.await` it on any executor.
///
/// It resolves by the commit's own `ack_timeout`. Dropping it cancels nothing.
#[derive(Debug)]
#[must_use = "until the handle resolves, the commit may not have happened"]
pub struct CommitHandle {
    slot: Arc<CommitSlot>,
    seat: Seat,
}

impl CommitHandle {
    pub(crate) fn new(slot: Arc<CommitSlot>) -> Self {
        CommitHandle { slot, seat: Seat::default() }
    }

    pub(crate) fn resolved(token: CommitToken) -> Self {
        Self::new(Arc::new(Slot::resolved(Ok(token))))
    }

    /// Sleeps until the outcome is known.
    ///
    /// # Errors
    ///
    /// [`Error::InsufficientAcks`]: the outcome is unknown. Any other: the transaction has no effect, ever; [`Error::RolledBack`], if another master's
    /// entry took its place; [`Error::NotMaster`] or [`Error::DiskFull`], if the term was over before it was logged; [`Error::Closed`].
    pub fn wait(self) -> Result<CommitToken, Error> {
        self.slot.wait(None).expect("there is no deadline")
    }

    /// As [`wait`](CommitHandle::wait), for `timeout` at most; `None` if the outcome is not known by then.
    pub fn wait_for(&self, timeout: Duration) -> Option<Result<CommitToken, Error>> {
        self.slot.wait(Some(deadline(timeout)))
    }

    /// The outcome if it is known already.
    pub fn outcome(&self) -> Option<Result<CommitToken, Error>> {
        self.slot.peek()
    }
}

impl Future for CommitHandle {
    type Output = Result<CommitToken, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { slot, seat } = self.get_mut();
        slot.poll(seat, context)
    }
}

/// The duty to resolve a commit, on its way through the runtime. However it ends, the handle is told: dropped before
/// the entry was logged, nothing happened; after that, nobody knows.
#[derive(Debug)]
pub(crate) struct CommitPromise {
    slot: Arc<CommitSlot>,
    logged: Option<CommitToken>,
}

impl CommitPromise {
    pub(crate) fn new(slot: Arc<CommitSlot>) -> Self {
        CommitPromise { slot, logged: None }
    }

    /// The entry has its place in the log.
    pub(crate) fn logged(&mut self, token: CommitToken) {
        self.logged = Some(token);
    }

    /// Those who sleep are woken; the tasks are left to be woken by the caller.
    pub(crate) fn settle(self, outcome: Result<CommitToken, Error>) -> Vec<Waker> {
        self.slot.settle(outcome).unwrap_or_default()
    }

    /// As dropping it, but that the tasks are left to be woken by the caller.
    pub(crate) fn give_up(self) -> Vec<Waker> {
        self.slot.settle(self.no_outcome()).unwrap_or_default()
    }

    fn no_outcome(&self) -> Result<CommitToken, Error> {
        Err(match self.logged {
            Some(token) => Error::InsufficientAcks {
                token,
                why: Unacknowledged::Ended,
                needed: 0,
                acked_by: Vec::new(),
                missing: Vec::new(),
            },
            None => Error::Closed,
        })
    }
}

impl Drop for CommitPromise {
    fn drop(&mut self) {
        if broken(Flaw::PromiseDropsSilently) {
            return;
        }
        self.slot.resolve(self.no_outcome());
    }
}
