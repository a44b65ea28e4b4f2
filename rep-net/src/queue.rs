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

use std::collections::VecDeque;
use std::fmt::{self, Debug};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use crate::sync::{Condvar, Mutex, MutexGuard};

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
    #[cfg(rep_loom)]
    pub fn with_flaw(lanes: impl IntoIterator<Item = Lane>, flaw: Flaw) -> Self {
        Self::build(lanes, Some(flaw))
    }

    fn build(lanes: impl IntoIterator<Item = Lane>, flaw: Option<Flaw>) -> Self {
        let lanes: Vec<LaneState<T>> = lanes.into_iter().map(LaneState::new).collect();
        assert!(!lanes.is_empty(), "a queue has at least one lane");
        let room = lanes.iter().map(|_| Condvar::default()).collect();
        let state = State { lanes, queued: 0, closed: false, tickets: 0, wakers: Vec::new() };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                filled: Condvar::default(),
                room,
                flaw,
            }),
        }
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
                self.shared.made_room(&state, lane);
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
        self.shared.made_room(&state, lane);
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
        let Some(mut state) = self.shared.wait_filled(deadline)? else { return Ok(0) };
        let before = into.len();
        for lane in 0..state.lanes.len() {
            let wanted = items_max - (into.len() - before);
            if state.take_from(lane, wanted, into) > 0 {
                self.shared.made_room(&state, lane);
            }
        }
        Ok(into.len() - before)
    }

    /// The next item, for tasks: wakes the task when there is one.
    pub fn poll_pop(&self, context: &mut Context<'_>) -> Poll<Result<T, Closed>> {
        let mut state = self.shared.state.lock();
        match state.take() {
            Some((lane, item)) => {
                self.shared.made_room(&state, lane);
                Poll::Ready(Ok(item))
            }
            None if state.closed => Poll::Ready(Err(Closed)),
            None => {
                if !state.wakers.iter().any(|waker| waker.will_wake(context.waker())) {
                    state.wakers.push(context.waker().clone());
                }
                Poll::Pending
            }
        }
    }

    /// The next item, as a future.
    pub fn next(&self) -> Next<'_, T> {
        Next { queue: self }
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
        drop(self.shared.take_room(lane, bytes, wait)?);
        Ok(Slot { shared: Arc::clone(&self.shared), lane, bytes, filled: false })
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

/// A place kept in a lane. Dropping it unfilled gives the place back.
pub struct Slot<T> {
    shared: Arc<Shared<T>>,
    lane: usize,
    bytes: usize,
    filled: bool,
}

impl<T> Slot<T> {
    /// Puts the item in its place. Never blocks. The item counts as the bytes reserved.
    ///
    /// # Errors
    /// The item, if the queue was closed meanwhile.
    pub fn fill(mut self, item: T) -> Result<(), T> {
        let mut state = self.shared.state.lock();
        if state.closed {
            drop(state);
            return Err(item);
        }
        self.filled = true;
        state.append(self.lane, self.bytes, item);
        self.shared.filled(state);
        Ok(())
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if !self.filled {
            let mut state = self.shared.state.lock();
            state.lanes[self.lane].give_back(self.bytes);
            self.shared.made_room(&state, self.lane);
        }
    }
}

impl<T> Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("lane", &self.lane)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

/// The next item of a queue; see [`Queue::next`].
#[derive(Debug)]
#[must_use = "a future does nothing until it is polled"]
pub struct Next<'a, T> {
    queue: &'a Queue<T>,
}

impl<T> Future for Next<'_, T> {
    type Output = Result<T, Closed>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.queue.poll_pop(context)
    }
}

#[cfg(rep_loom)]
pub use flaw::Flaw;
#[cfg(not(rep_loom))]
use flaw::Flaw;

mod flaw {
    /// Ways to break the queue, one line each. A model that passes with one of them models nothing.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    #[cfg_attr(not(rep_loom), allow(dead_code, unreachable_pub))]
    pub enum Flaw {
        /// `close` wakes one consumer where all are needed.
        CloseWakesOne,
        /// Room that was made wakes one producer, perhaps not the one whose turn it is.
        RoomWakesOne,
        /// A consumer looks, lets go of the lock, and then waits.
        LookThenWait,
        /// Items are pushed without waking anybody.
        PushWakesNobody,
        /// Whoever gives up waiting for room stays in the row, before everybody else.
        QuitterStaysInRow,
    }
}

#[derive(Clone, Copy)]
enum Wait {
    Never,
    Until(Option<Instant>),
}

struct Shared<T> {
    state: Mutex<State<T>>,
    /// Something was queued, or the queue was closed.
    filled: Condvar,
    /// One a lane: somebody's turn may have come, or the queue was closed.
    room: Vec<Condvar>,
    flaw: Option<Flaw>,
}

impl<T> Shared<T> {
    /// Takes room in a lane and gives the lock that it was taken under.
    fn take_room(
        &self,
        lane: usize,
        bytes: usize,
        wait: Wait,
    ) -> Result<MutexGuard<'_, State<T>>, PushError<()>> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(PushError::Closed(()));
        }
        if state.lanes[lane].row.is_empty() && state.lanes[lane].take(bytes) {
            return Ok(state);
        }
        let Wait::Until(deadline) = wait else { return Err(PushError::Full(())) };
        state.tickets += 1;
        let ticket = state.tickets;
        state.lanes[lane].row.push_back(ticket);
        let mut timed_out = false;
        loop {
            let first = state.lanes[lane].row.front() == Some(&ticket);
            let outcome = if state.closed {
                Err(PushError::Closed(()))
            } else if first && state.lanes[lane].take(bytes) {
                Ok(())
            } else if timed_out {
                Err(PushError::Full(()))
            } else {
                (state, timed_out) = self.room[lane].wait(&self.state, state, deadline);
                continue;
            };
            if outcome.is_ok() || !self.flawed(Flaw::QuitterStaysInRow) {
                state.lanes[lane].row.retain(|waiting| *waiting != ticket);
            }
            // There may be room for the next in the row too.
            self.made_room(&state, lane);
            return outcome.map(|()| state);
        }
    }

    /// Waits until something is queued; `None` when the deadline passed.
    fn wait_filled(
        &self,
        deadline: Option<Instant>,
    ) -> Result<Option<MutexGuard<'_, State<T>>>, Closed> {
        let mut state = self.state.lock();
        let mut timed_out = false;
        loop {
            if state.queued > 0 {
                return Ok(Some(state));
            }
            if state.closed {
                return Err(Closed);
            }
            if timed_out {
                return Ok(None);
            }
            if self.flawed(Flaw::LookThenWait) {
                drop(state);
                state = self.state.lock();
            }
            (state, timed_out) = self.filled.wait(&self.state, state, deadline);
        }
    }

    /// Lets go of the lock and wakes one thread, and every task: an item is for whoever comes first, and tasks
    /// that come late ask again.
    fn filled(&self, mut state: MutexGuard<'_, State<T>>) {
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        if !self.flawed(Flaw::PushWakesNobody) {
            self.filled.notify_one();
        }
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Wakes those who wait for room in `lane`: all, because only the first in the row may go, and which thread a
    /// single wake-up would reach is not ours to choose.
    fn made_room(&self, state: &State<T>, lane: usize) {
        if state.lanes[lane].row.is_empty() {
            return;
        }
        if self.flawed(Flaw::RoomWakesOne) {
            self.room[lane].notify_one();
        } else {
            self.room[lane].notify_all();
        }
    }

    fn close(&self, discard: bool) -> Vec<T> {
        let mut state = self.state.lock();
        state.closed = true;
        let mut discarded = Vec::new();
        if discard {
            for lane in 0..state.lanes.len() {
                state.take_from(lane, usize::MAX, &mut discarded);
            }
        }
        let wakers = std::mem::take(&mut state.wakers);
        drop(state);
        if self.flawed(Flaw::CloseWakesOne) {
            self.filled.notify_one();
        } else {
            self.filled.notify_all();
        }
        self.room.iter().for_each(Condvar::notify_all);
        wakers.into_iter().for_each(Waker::wake);
        discarded
    }

    fn flawed(&self, flaw: Flaw) -> bool {
        cfg!(rep_loom) && self.flaw == Some(flaw)
    }
}

struct State<T> {
    lanes: Vec<LaneState<T>>,
    queued: usize,
    closed: bool,
    tickets: u64,
    wakers: Vec<Waker>,
}

impl<T> State<T> {
    fn append(&mut self, lane: usize, bytes: usize, item: T) {
        self.lanes[lane].items.push_back((bytes, item));
        self.queued += 1;
    }

    fn take(&mut self) -> Option<(usize, T)> {
        let lane = self.lanes.iter().position(|lane| !lane.items.is_empty())?;
        let (bytes, item) = self.lanes[lane].items.pop_front()?;
        self.lanes[lane].give_back(bytes);
        self.queued -= 1;
        Some((lane, item))
    }

    fn take_from(&mut self, lane: usize, items_max: usize, into: &mut Vec<T>) -> usize {
        let lane = &mut self.lanes[lane];
        let count = lane.items.len().min(items_max);
        let bytes: usize = lane.items.iter().take(count).map(|(bytes, _)| bytes).sum();
        into.extend(lane.items.drain(..count).map(|(_, item)| item));
        lane.items_held -= count;
        lane.bytes_held -= bytes;
        self.queued -= count;
        count
    }
}

struct LaneState<T> {
    bounds: Lane,
    items: VecDeque<(usize, T)>,
    /// Items queued and places reserved.
    items_held: usize,
    /// Their bytes.
    bytes_held: usize,
    /// Tickets of those who wait for room, in the order they came.
    row: VecDeque<u64>,
}

impl<T> LaneState<T> {
    fn new(bounds: Lane) -> Self {
        assert!(bounds.items_max > 0, "a lane holds at least one item");
        Self { bounds, items: VecDeque::new(), items_held: 0, bytes_held: 0, row: VecDeque::new() }
    }

    fn take(&mut self, bytes: usize) -> bool {
        let fits = self.items_held < self.bounds.items_max
            && self.bytes_held.checked_add(bytes).is_some_and(|held| held <= self.bounds.bytes_max);
        if !fits && self.items_held > 0 {
            return false;
        }
        self.items_held += 1;
        self.bytes_held += bytes;
        true
    }

    fn give_back(&mut self, bytes: usize) {
        self.items_held -= 1;
        self.bytes_held -= bytes;
    }
}

#[cfg(all(test, not(rep_loom)))]
mod tests {
    use super::*;
    use std::thread;
    use std::time::Duration;

    fn one(items_max: usize, bytes_max: usize) -> Queue<u32> {
        Queue::new([Lane { items_max, bytes_max }])
    }

    fn soon() -> Option<Instant> {
        Some(Instant::now() + Duration::from_secs(20))
    }

    #[test]
    fn lanes_are_drained_in_order() {
        let queue = Queue::new([Lane { items_max: 4, bytes_max: 40 }; 3]);
        for (lane, item) in [(2, "data"), (0, "first"), (1, "control"), (0, "second")] {
            queue.try_push(lane, 1, item).unwrap();
        }
        assert_eq!(queue.try_pop(), Ok(Some("first")));
        let mut batch = Vec::new();
        assert_eq!(queue.pop_batch(&mut batch, 2, None), Ok(2));
        assert_eq!(batch, ["second", "control"]);
        assert_eq!(queue.pop(None), Ok(Some("data")));
        assert_eq!(queue.try_pop(), Ok(None));
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn items_and_bytes_are_bounded_and_a_refused_item_comes_back() {
        let queue = one(3, 10);
        queue.try_push(0, 6, 1).unwrap();
        assert_eq!(queue.try_push(0, 5, 2), Err(PushError::Full(2)));
        queue.try_push(0, 4, 3).unwrap();
        queue.try_push(0, 0, 4).unwrap();
        assert_eq!(queue.try_push(0, 0, 5), Err(PushError::Full(5)));
        assert_eq!((queue.len(), queue.bytes()), (3, 10));
    }

    #[test]
    fn an_item_over_the_bound_travels_alone() {
        let queue = one(3, 10);
        queue.try_push(0, 1000, 1).unwrap();
        assert_eq!(queue.try_push(0, 1, 2), Err(PushError::Full(2)));
        assert_eq!(queue.try_pop(), Ok(Some(1)));
        queue.try_push(0, 1, 2).unwrap();
        assert_eq!(queue.try_push(0, 1000, 1), Err(PushError::Full(1)));
        assert_eq!(queue.try_push(0, usize::MAX, 1), Err(PushError::Full(1)));
    }

    #[test]
    fn a_reserved_place_is_kept_and_given_back() {
        let queue = one(2, 100);
        let slot = queue.try_reserve(0, 10).unwrap();
        queue.try_push(0, 10, 1).unwrap();
        assert_eq!(queue.try_push(0, 10, 2), Err(PushError::Full(2)));
        slot.fill(3).unwrap();
        assert_eq!((queue.len(), queue.bytes()), (2, 20));
        assert_eq!((queue.try_pop(), queue.try_pop()), (Ok(Some(1)), Ok(Some(3))));
        drop(queue.try_reserve(0, 10).unwrap());
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn after_close_items_come_back_and_what_was_queued_goes_out() {
        let queue = one(4, 100);
        let slot = queue.try_reserve(0, 1).unwrap();
        queue.try_push(0, 1, 1).unwrap();
        queue.close();
        queue.close();
        assert_eq!(slot.fill(9), Err(9));
        assert_eq!(queue.push(0, 1, 2, None), Err(PushError::Closed(2)));
        assert!(matches!(queue.reserve(0, 1, None), Err(PushError::Closed(()))));
        assert_eq!(queue.pop(None), Ok(Some(1)));
        assert_eq!(queue.pop(None), Err(Closed));
        assert_eq!(queue.bytes(), 0);
    }

    #[test]
    fn a_discarding_close_drops_what_was_queued() {
        let item = Arc::new(());
        let queue = Queue::new([Lane { items_max: 4, bytes_max: 40 }]);
        queue.try_push(0, 1, Arc::clone(&item)).unwrap();
        queue.close_and_discard();
        assert_eq!(Arc::strong_count(&item), 1);
        assert_eq!(queue.pop(None), Err(Closed));
    }

    #[test]
    fn waits_end_at_their_deadlines() {
        let queue = one(1, 100);
        let now = Some(Instant::now());
        assert_eq!(queue.pop(now), Ok(None));
        assert_eq!(queue.pop_batch(&mut Vec::new(), 5, now), Ok(0));
        queue.try_push(0, 1, 1).unwrap();
        assert_eq!(queue.push(0, 1, 2, now), Err(PushError::Full(2)));
        assert!(matches!(queue.reserve(0, 1, now), Err(PushError::Full(()))));
        assert_eq!(queue.pop(now), Ok(Some(1)));
        queue.try_push(0, 1, 3).unwrap();
    }

    #[test]
    fn small_items_do_not_starve_a_large_one() {
        let queue = one(10, 10);
        queue.try_push(0, 6, 1).unwrap();
        let large = {
            let queue = queue.clone();
            thread::spawn(move || queue.push(0, 10, 2, soon()))
        };
        while queue.shared.state.lock().lanes[0].row.is_empty() {
            thread::yield_now();
        }
        assert_eq!(
            queue.try_push(0, 1, 3),
            Err(PushError::Full(3)),
            "it would fit, but the large one came first"
        );
        assert_eq!(queue.pop(soon()), Ok(Some(1)));
        large.join().unwrap().unwrap();
        assert_eq!(queue.pop(soon()), Ok(Some(2)));
    }

    #[test]
    fn a_task_is_woken_by_a_push_and_by_close() {
        struct Flag(crate::sync::AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, crate::sync::Ordering::SeqCst);
            }
        }
        let flag = Arc::new(Flag(crate::sync::AtomicBool::new(false)));
        let waker = Waker::from(Arc::clone(&flag));
        let mut context = Context::from_waker(&waker);
        let queue = one(4, 100);
        assert!(queue.poll_pop(&mut context).is_pending());
        assert!(queue.poll_pop(&mut context).is_pending());
        assert_eq!(queue.shared.state.lock().wakers.len(), 1, "the same task is remembered once");
        queue.try_push(0, 1, 1).unwrap();
        assert!(flag.0.swap(false, crate::sync::Ordering::SeqCst));
        assert_eq!(Pin::new(&mut queue.next()).poll(&mut context), Poll::Ready(Ok(1)));
        assert!(queue.poll_pop(&mut context).is_pending());
        queue.close();
        assert!(flag.0.swap(false, crate::sync::Ordering::SeqCst));
        assert_eq!(queue.poll_pop(&mut context), Poll::Ready(Err(Closed)));
    }

    #[test]
    fn many_producers_and_consumers_lose_nothing_and_keep_each_producers_order() {
        let queue: Queue<(u32, u32)> = Queue::new([Lane { items_max: 7, bytes_max: 50 }]);
        let (producers, each) = (4, 2_000);
        let seen: Vec<Vec<(u32, u32)>> = thread::scope(|scope| {
            let consumers: Vec<_> = (0..3)
                .map(|number| {
                    let queue = &queue;
                    scope.spawn(move || {
                        let mut seen = Vec::new();
                        loop {
                            let more = match number {
                                0 => queue.pop_batch(&mut seen, 5, soon()).map(|_| ()),
                                _ => queue.pop(soon()).map(|item| seen.extend(item)),
                            };
                            if more.is_err() {
                                return seen;
                            }
                        }
                    })
                })
                .collect();
            let pushing: Vec<_> = (0..producers)
                .map(|producer| {
                    let queue = &queue;
                    scope.spawn(move || {
                        for number in 0..each {
                            let bytes = (number as usize * 7) % 60;
                            match number % 3 {
                                0 => queue
                                    .reserve(0, bytes, soon())
                                    .unwrap()
                                    .fill((producer, number))
                                    .unwrap(),
                                _ => queue.push(0, bytes, (producer, number), soon()).unwrap(),
                            }
                        }
                    })
                })
                .collect();
            pushing.into_iter().for_each(|thread| thread.join().unwrap());
            queue.close();
            consumers.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for consumer in &seen {
            for producer in 0..producers {
                let numbers = consumer.iter().filter(|item| item.0 == producer).map(|item| item.1);
                assert!(numbers.clone().zip(numbers.skip(1)).all(|(a, b)| a < b));
            }
        }
        assert_eq!(seen.iter().map(Vec::len).sum::<usize>(), (producers * each) as usize);
        assert_eq!(queue.bytes(), 0);
    }
}
