//! What a read promises, and the handle that a view comes from.

use crate::commit::CommitToken;
use crate::error::Error;
use crate::waiter::{Seat, Slot};
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// How much a view has to contain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Consistency {
    /// Whatever is applied here: some durable past.
    #[default]
    None,
    /// That very commit, and all before it. Served by any member, once it has it.
    AtLeast(CommitToken),
    /// A state that was the newest at some moment no longer ago than this, counted back from when the handle resolves. Served
    /// by any member; one that cannot tell asks the master, so the wait is a round trip more often the smaller
    /// the bound is, and nobody is served who allows less than a round trip.
    ///
    /// Time is measured by the clock of the member that serves, and by no other: the bound is off by as much as that clock
    /// runs slow (0.05 % at most on common hardware), and does not hold across a suspension during which the clock stood still.
    Bounded(Duration),
    /// Everything that was acknowledged anywhere before the read began. Served by any member: the master makes sure that it
    /// still is one, and any other asks it. While there is no master the read waits for one.
    Linearizable,
}

pub(crate) type ReadSlot = Slot<Result<(), Error>>;

/// A view, when it can be had: [`wait`](ReadHandle::wait) for it, or `.await` it on any executor.
///
/// It resolves by `read_timeout`. Dropping it cancels nothing.
#[must_use = "a read does nothing until its handle is waited for"]
pub struct ReadHandle<T> {
    slot: Arc<ReadSlot>,
    seat: Seat,
    see: Box<dyn Fn() -> Result<T, Error> + Send + Sync>,
}

impl<T> ReadHandle<T> {
    pub(crate) fn new(
        slot: Arc<ReadSlot>,
        see: impl Fn() -> Result<T, Error> + Send + Sync + 'static,
    ) -> Self {
        ReadHandle { slot, seat: Seat::default(), see: Box::new(see) }
    }

    /// Sleeps until the view can be had.
    ///
    /// # Errors
    ///
    /// [`Error::ReadTimeout`], [`Error::TooManyReads`], [`Error::NotMaster`] or [`Error::DiskFull`], [`Error::HoldsNoData`], [`Error::RolledBack`],
    /// [`Error::OtherGroup`], [`Error::Halted`], [`Error::Closed`] or [`Error::Store`]; never an older view than was asked for.
    pub fn wait(self) -> Result<T, Error> {
        self.slot.wait(None).expect("there is no deadline")?;
        (self.see)()
    }
}

impl<T> Future for ReadHandle<T> {
    type Output = Result<T, Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { slot, seat, see } = self.get_mut();
        match slot.poll(seat, context) {
            Poll::Ready(Ok(())) => Poll::Ready(see()),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        }
    }
}

impl<T> fmt::Debug for ReadHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReadHandle").field("slot", &self.slot).finish_non_exhaustive()
    }
}

/// The duty to resolve a read, on its way through the runtime; dropped, the node is closed.
#[derive(Debug)]
pub(crate) struct ReadPromise(Arc<ReadSlot>);

impl ReadPromise {
    pub(crate) fn new(slot: Arc<ReadSlot>) -> Self {
        ReadPromise(slot)
    }

    /// Those who sleep are woken; the tasks are left to be woken by the caller.
    pub(crate) fn settle(self, outcome: Result<(), Error>) -> Vec<Waker> {
        self.0.settle(outcome).unwrap_or_default()
    }
}

impl Drop for ReadPromise {
    fn drop(&mut self) {
        self.0.resolve(Err(Error::Closed));
    }
}
