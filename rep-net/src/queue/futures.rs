//! Pushing and popping as tasks, for any executor or none.

use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use super::{Closed, PushError, Queue};

/// The next item of a queue; see [`Queue::next`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Next<'a, T> {
    queue: &'a Queue<T>,
    /// Its place among those who are woken.
    seat: Option<u64>,
}

impl<'a, T> Next<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>) -> Self {
        Self { queue, seat: None }
    }
}

impl<T> Future for Next<'_, T> {
    type Output = Result<T, Closed>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let queue = self.queue;
        queue.poll_pop(&mut self.seat, context)
    }
}

impl<T> Drop for Next<'_, T> {
    fn drop(&mut self) {
        if let Some(seat) = self.seat {
            self.queue.shared.stand_up(seat);
        }
    }
}

/// An item on its way into a queue; see [`Queue::pushing`].
#[must_use = "a future does nothing until it is polled"]
pub struct Pushing<'a, T> {
    queue: &'a Queue<T>,
    lane: usize,
    bytes: usize,
    item: Option<T>,
    /// Its place in the row of those who wait for room.
    ticket: Option<u64>,
}

impl<'a, T> Pushing<'a, T> {
    pub(super) fn new(queue: &'a Queue<T>, lane: usize, bytes: usize, item: T) -> Self {
        Self { queue, lane, bytes, item: Some(item), ticket: None }
    }
}

// Nothing in it is ever pinned.
impl<T> Unpin for Pushing<'_, T> {}

impl<T> Future for Pushing<'_, T> {
    /// The item again if the queue was closed.
    type Output = Result<(), PushError<T>>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let shared = &this.queue.shared;
        let room = shared.poll_room(this.lane, this.bytes, &mut this.ticket, context.waker());
        let Poll::Ready(room) = room else { return Poll::Pending };
        let item = this.item.take().expect("a future is not polled after it is done");
        Poll::Ready(match room {
            Ok(mut state) => {
                state.append(this.lane, this.bytes, item);
                shared.filled(state);
                Ok(())
            }
            Err(Closed) => Err(PushError::Closed(item)),
        })
    }
}

impl<T> Drop for Pushing<'_, T> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            self.queue.shared.quit(self.lane, ticket);
        }
    }
}

impl<T> Debug for Pushing<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pushing").field("lane", &self.lane).finish_non_exhaustive()
    }
}
