//! The one bounded queue.
//!
//! Whatever passes from one thread to another passes through this: frames of a memory channel, and the inbox of whoever builds on
//! this crate. A counted channel bounds items, but memory is bytes; so each lane here bounds both. Lanes
//! have priority, so that a heartbeat never stands behind a megabyte. And a completion must not be able to block the thread that
//! reports it: its place is *reserved* when the operation is issued, and kept until it is filled.
//!
//! # Rules
//!
//! - Any number of threads may push and pop. Items of one producer in one lane come out in the order they went in; lane 0 goes before lane 1.
//! - A lane holds at most `items_max` items and `bytes_max` bytes, reserved places included. An item larger than `bytes_max` travels
//!   alone: it is let in when the lane is empty, so that it cannot wait for ever.
//! - Those who wait for room are served in the order they came, so that small items do not starve a large one.
//! - After `close`, pushing gives the item back, and popping drains what was queued, then ends.
//! - All state is under one lock that is never held while anything waits; notifications follow from state changed under it.

mod flaw;
mod futures;
mod lanes;
mod slot;
mod waiting;

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

#[cfg(any(rep_loom, rep_shuttle))]
pub use flaw::Flaw;
#[cfg(not(any(rep_loom, rep_shuttle)))]
use flaw::Flaw;
pub use futures::{Next, Pushing};
use lanes::LaneState;
pub use slot::Slot;
use waiting::{Shared, Wait};

/// A bounded queue of lanes; a cheap handle to be cloned.
pub struct Queue<T> {
    shared: Arc<Shared<T>>,
}

/// The bounds of one lane.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lane {
    /// Items that it holds at most; at least 1.
    pub items_max: usize,
    /// Bytes that it holds at most; a larger item travels alone.
    pub bytes_max: usize,
}

/// An item that was not taken, given back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PushError<T> {
    /// There was no room (by the deadline).
    Full(T),
    /// The queue is closed.
    Closed(T),
}

impl<T> PushError<T> {
    /// The item.
    pub fn into_inner(self) -> T {
        match self {
            Self::Full(item) | Self::Closed(item) => item,
        }
    }
}

/// The queue is closed, and empty if it was asked for items.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the queue is closed")]
pub struct Closed;

impl<T> Queue<T> {
    /// A queue with those lanes, the first one first to be drained.
    ///
    /// # Panics
    /// If there is no lane, or one that holds no item.
    pub fn new(lanes: impl IntoIterator<Item = Lane>) -> Self {
        Self::build(lanes, None)
    }

    /// A queue with one line of it broken, for models that must be refused.
    #[cfg(any(rep_loom, rep_shuttle))]
    pub fn with_flaw(lanes: impl IntoIterator<Item = Lane>, flaw: Flaw) -> Self {
        Self::build(lanes, Some(flaw))
    }

    fn build(lanes: impl IntoIterator<Item = Lane>, flaw: Option<Flaw>) -> Self {
        let lanes: Vec<LaneState<T>> = lanes.into_iter().map(LaneState::new).collect();
        assert!(!lanes.is_empty(), "a queue has at least one lane");
        Self { shared: Arc::new(Shared::new(lanes, flaw)) }
    }

    /// Pushes if there is room right now.
    ///
    /// # Errors
    /// The item, and why.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn try_push(&self, lane: usize, bytes: usize, item: T) -> Result<(), PushError<T>> {
        self.push_waiting(lane, bytes, item, Wait::Never)
    }

    /// Pushes, waiting for room until `deadline` (`None`: for ever, or until the queue is closed).
    ///
    /// # Errors
    /// The item, and why.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn push(
        &self,
        lane: usize,
        bytes: usize,
        item: T,
        deadline: Option<Instant>,
    ) -> Result<(), PushError<T>> {
        self.push_waiting(lane, bytes, item, Wait::Until(deadline))
    }

    /// Pushes as a task: a future that waits for room in the same row as everybody else. Dropped before it is done, it has pushed
    /// nothing, and whoever stood behind it goes on.
    ///
    /// # Panics
    /// When polled, if there is no such lane.
    pub fn pushing(&self, lane: usize, bytes: usize, item: T) -> Pushing<'_, T> {
        Pushing::new(self, lane, bytes, item)
    }

    /// Keeps a place for an item of up to `bytes`, if there is room right now.
    ///
    /// # Errors
    /// Whether it was full or closed.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn try_reserve(&self, lane: usize, bytes: usize) -> Result<Slot<T>, PushError<()>> {
        self.reserve_waiting(lane, bytes, Wait::Never)
    }

    /// Keeps a place for an item of up to `bytes`, waiting for room until `deadline` (`None`: for ever, or until the queue is closed).
    ///
    /// # Errors
    /// Whether it was full or closed.
    ///
    /// # Panics
    /// If there is no such lane.
    pub fn reserve(
        &self,
        lane: usize,
        bytes: usize,
        deadline: Option<Instant>,
    ) -> Result<Slot<T>, PushError<()>> {
        self.reserve_waiting(lane, bytes, Wait::Until(deadline))
    }

    /// The next item if there is one right now.
    ///
    /// # Errors
    /// [`Closed`] once the queue is closed and drained.
    pub fn try_pop(&self) -> Result<Option<T>, Closed> {
        let mut state = self.shared.state.lock();
        match state.take() {
            Some((lane, item)) => {
                self.shared.made_room(&mut state, lane);
                self.shared.release(state);
                Ok(Some(item))
            }
            None if state.closed => Err(Closed),
            None => Ok(None),
        }
    }

    /// The next item, waiting for it until `deadline` (`None`: for ever); `Ok(None)` when the deadline passed.
    ///
    /// # Errors
    /// [`Closed`] once the queue is closed and drained.
    pub fn pop(&self, deadline: Option<Instant>) -> Result<Option<T>, Closed> {
        let Some(mut state) = self.shared.wait_filled(deadline)? else { return Ok(None) };
        let (lane, item) = state.take().expect("it was seen filled, under this lock");
        self.shared.made_room(&mut state, lane);
        self.shared.release(state);
        Ok(Some(item))
    }

    /// Moves up to `items_max` items to the end of `into`, waiting for the first one until `deadline` (`None`: for ever). How many; 0 when the
    /// deadline passed. One lock for all of them.
    ///
    /// # Errors
    /// [`Closed`] once the queue is closed and drained.
    pub fn pop_batch(
        &self,
        into: &mut Vec<T>,
        items_max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, Closed> {
        self.pop_handful(into, items_max, usize::MAX, deadline)
    }

    /// As [`pop_batch`](Self::pop_batch), and what follows the first item has up to `bytes_max` bytes in each lane.
    pub(crate) fn pop_handful(
        &self,
        into: &mut Vec<T>,
        items_max: usize,
        bytes_max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, Closed> {
        let Some(mut state) = self.shared.wait_filled(deadline)? else { return Ok(0) };
        let before = into.len();
        for lane in 0..state.lanes.len() {
            let wanted = items_max - (into.len() - before);
            if state.take_from(lane, wanted, bytes_max, into) > 0 {
                self.shared.made_room(&mut state, lane);
            }
        }
        self.shared.release(state);
        Ok(into.len() - before)
    }

    /// The next item, for a task that has that seat: it is woken when there is one. One seat for each that waits, however often it asks and
    /// by whichever waker.
    fn poll_pop(
        &self,
        seat: &mut Option<u64>,
        context: &mut Context<'_>,
    ) -> Poll<Result<T, Closed>> {
        let mut state = self.shared.state.lock();
        match state.take() {
            Some((lane, item)) => {
                self.shared.made_room(&mut state, lane);
                self.shared.release(state);
                Poll::Ready(Ok(item))
            }
            None if state.closed => Poll::Ready(Err(Closed)),
            None => {
                state.be_woken(seat, context.waker());
                Poll::Pending
            }
        }
    }

    /// The next item, as a future. Dropped before it is done, it has taken nothing, and is not woken any more.
    pub fn next(&self) -> Next<'_, T> {
        Next::new(self)
    }

    /// Ends the queue: pushing gives items back, popping drains. Wakes everybody who waits. Idempotent.
    pub fn close(&self) {
        self.shared.close(false);
    }

    /// Ends the queue and drops what is queued.
    pub fn close_and_discard(&self) {
        // Dropped after the lock is released: items may own anything.
        drop(self.shared.close(true));
    }

    /// Whether the queue is closed.
    pub fn is_closed(&self) -> bool {
        self.shared.state.lock().closed
    }

    /// Items queued now, in all lanes; reserved places do not count.
    pub fn len(&self) -> usize {
        self.shared.state.lock().queued
    }

    /// Whether nothing is queued now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes queued or reserved now, in all lanes.
    pub fn bytes(&self) -> usize {
        self.shared.state.lock().lanes.iter().map(|lane| lane.bytes_held).sum()
    }

    fn push_waiting(
        &self,
        lane: usize,
        bytes: usize,
        item: T,
        wait: Wait,
    ) -> Result<(), PushError<T>> {
        match self.shared.take_room(lane, bytes, wait) {
            Ok(mut state) => {
                state.append(lane, bytes, item);
                self.shared.filled(state);
                Ok(())
            }
            Err(PushError::Full(())) => Err(PushError::Full(item)),
            Err(PushError::Closed(())) => Err(PushError::Closed(item)),
        }
    }

    fn reserve_waiting(
        &self,
        lane: usize,
        bytes: usize,
        wait: Wait,
    ) -> Result<Slot<T>, PushError<()>> {
        let state = self.shared.take_room(lane, bytes, wait)?;
        self.shared.release(state);
        Ok(Slot::new(Arc::clone(&self.shared), lane, bytes))
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T> Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.state.lock();
        f.debug_struct("Queue")
            .field("queued", &state.queued)
            .field("closed", &state.closed)
            .finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod rules_tests;
