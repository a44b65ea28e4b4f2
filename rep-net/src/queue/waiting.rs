//! Who waits, for what, and who is woken: all under the one lock.

use std::collections::BTreeMap;
use std::task::{Poll, Waker};
use std::time::Instant;

use super::flaw::Flaw;
use super::lanes::{LaneState, State};
use super::{Closed, PushError};
use crate::sync::{Condvar, Mutex, MutexGuard};

/// How long to wait for room.
#[derive(Clone, Copy)]
pub(super) enum Wait {
    Never,
    Until(Option<Instant>),
}

/// The lock, and whom to wake for what.
pub(super) struct Shared<T> {
    pub(super) state: Mutex<State<T>>,
    /// Something was queued, or the queue was closed.
    filled: Condvar,
    /// One a lane: somebody's turn may have come, or the queue was closed.
    room: Vec<Condvar>,
    flaw: Option<Flaw>,
}

impl<T> Shared<T> {
    pub(super) fn new(lanes: Vec<LaneState<T>>, flaw: Option<Flaw>) -> Self {
        let room = lanes.iter().map(|_| Condvar::default()).collect();
        let (wakers, due) = (BTreeMap::new(), Vec::new());
        let state = State { lanes, queued: 0, closed: false, tickets: 0, wakers, due };
        Self { state: Mutex::new(state), filled: Condvar::default(), room, flaw }
    }

    /// Takes room in a lane and gives the lock that it was taken under.
    pub(super) fn take_room(
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
                (state, timed_out) = self.room[lane].wait_until(state, deadline);
                continue;
            };
            if outcome.is_ok() || !self.flawed(Flaw::QuitterStaysInRow) {
                state.lanes[lane].row.retain(|waiting| *waiting != ticket);
            }
            // There may be room for the next in the row too.
            self.made_room(&mut state, lane);
            return match outcome {
                Ok(()) => Ok(state),
                Err(error) => {
                    self.release(state);
                    Err(error)
                }
            };
        }
    }

    /// Waits until something is queued; `None` when the deadline passed.
    pub(super) fn wait_filled(
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
            (state, timed_out) = self.filled.wait_until(state, deadline);
        }
    }

    /// Lets go of the lock and wakes one thread, and every task: an item is for whoever comes first, and tasks
    /// that come late ask again.
    pub(super) fn filled(&self, mut state: MutexGuard<'_, State<T>>) {
        let wakers = std::mem::take(&mut state.wakers);
        self.release(state);
        if !self.flawed(Flaw::PushWakesNobody) {
            self.filled.notify_one();
        }
        wakers.into_values().for_each(Waker::wake);
    }

    /// A task waits for an item no more.
    pub(super) fn stand_up(&self, seat: u64) {
        let waker = self.state.lock().wakers.remove(&seat);
        // A waker may do anything when it is dropped, too.
        drop(waker);
    }

    /// Lets go of the lock, and then wakes the tasks whose turn for room has come: a waker may do anything, and come back here.
    pub(super) fn release(&self, mut state: MutexGuard<'_, State<T>>) {
        let due = std::mem::take(&mut state.due);
        drop(state);
        due.into_iter().for_each(Waker::wake);
    }

    /// Takes a task's turn for room, if it has come; else the task waits in the row, and is woken when it comes.
    pub(super) fn poll_room(
        &self,
        lane: usize,
        bytes: usize,
        ticket: &mut Option<u64>,
        waker: &Waker,
    ) -> Poll<Result<MutexGuard<'_, State<T>>, Closed>> {
        let mut state = self.state.lock();
        if state.closed {
            return Poll::Ready(Err(Closed));
        }
        let row = &state.lanes[lane].row;
        let first = ticket.map_or(row.is_empty(), |ticket| row.front() == Some(&ticket));
        if first && state.lanes[lane].take(bytes) {
            if let Some(ticket) = ticket.take() {
                state.lanes[lane].leave(ticket);
                self.made_room(&mut state, lane);
            }
            return Poll::Ready(Ok(state));
        }
        if ticket.is_none() {
            state.tickets += 1;
            let fresh = state.tickets;
            state.lanes[lane].row.push_back(fresh);
            *ticket = Some(fresh);
        }
        if let Some(ticket) = *ticket {
            state.lanes[lane].remember(ticket, waker);
        }
        Poll::Pending
    }

    /// A task waits for room no more.
    pub(super) fn quit(&self, lane: usize, ticket: u64) {
        let mut state = self.state.lock();
        state.lanes[lane].leave(ticket);
        self.made_room(&mut state, lane);
        self.release(state);
    }

    /// Wakes those who wait for room in `lane`: all threads, because only the first in the row may go, and which thread a
    /// single wake-up would reach is not ours to choose; of tasks the first in the row, by [`release`](Shared::release).
    pub(super) fn made_room(&self, state: &mut State<T>, lane: usize) {
        if state.lanes[lane].row.is_empty() {
            return;
        }
        let task = state.lanes[lane].first_task();
        state.due.extend(task.filter(|_| !self.flawed(Flaw::TurnOfTaskForgotten)));
        if self.flawed(Flaw::RoomWakesOne) {
            self.room[lane].notify_one();
        } else {
            self.room[lane].notify_all();
        }
    }

    pub(super) fn close(&self, discard: bool) -> Vec<T> {
        let mut state = self.state.lock();
        state.closed = true;
        let mut discarded = Vec::new();
        if discard {
            for lane in 0..state.lanes.len() {
                state.take_from(lane, usize::MAX, usize::MAX, &mut discarded);
            }
        }
        let mut wakers: Vec<_> = std::mem::take(&mut state.wakers).into_values().collect();
        state.lanes.iter_mut().for_each(|lane| wakers.extend(lane.all_tasks()));
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
        cfg!(any(rep_loom, rep_shuttle)) && self.flaw == Some(flaw)
    }
}
