//! Being told of each change, within a bound.

use super::{CellValue, Shared};
use crate::error::WaitError;
use crate::sync::Arc;
use std::collections::VecDeque;
use std::time::Instant;

/// How many changes wait for a subscriber that asked for no other bound.
pub const EVENTS_MAX: usize = 64;

/// Below this, no three changes in a row wait, and there may be none that can be left out.
const EVENTS_MAX_LEAST: usize = 4;

/// What a subscriber is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateEvent<T> {
    /// The value when it began to look; always the first item, and never a later one.
    Present(T),
    /// A change; `old` is what the item before this one ended with.
    Changed {
        /// The value before.
        old: T,
        /// The value after.
        new: T,
    },
}

impl<T: Copy> StateEvent<T> {
    /// The value with which this item ends.
    pub fn value(&self) -> T {
        match self {
            StateEvent::Present(value) => *value,
            StateEvent::Changed { new, .. } => *new,
        }
    }
}

/// A bounded queue of changes of one [`StateCell`](crate::StateCell). Dropping it ends the subscription.
///
/// As an iterator it sleeps for each item, and ends after the cell's last value.
#[derive(Debug)]
pub struct Subscription<T: CellValue> {
    shared: Arc<Shared<T>>,
    id: u64,
}

impl<T: CellValue> Subscription<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, id: u64) -> Self {
        Self { shared, id }
    }

    /// The next item, if one waits.
    ///
    /// # Errors
    /// [`WaitError::Ended`] after the cell's last value was taken.
    pub fn try_next(&mut self) -> Result<Option<StateEvent<T>>, WaitError> {
        let mut hub = self.shared.hub.lock();
        let ended = hub.value.is_last();
        let queue = hub.queues.get_mut(&self.id).expect("a subscription has a queue");
        match queue.items.pop_front() {
            None if ended => Err(WaitError::Ended),
            item => Ok(item),
        }
    }

    /// Sleeps for the next item; `None` waits without a deadline.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], or [`WaitError::Ended`] after the cell's last value was taken.
    pub fn next_before(&mut self, deadline: Option<Instant>) -> Result<StateEvent<T>, WaitError> {
        let mut hub = self.shared.hub.lock();
        let mut late = false;
        loop {
            let ended = hub.value.is_last();
            let queue = hub.queues.get_mut(&self.id).expect("a subscription has a queue");
            if let Some(item) = queue.items.pop_front() {
                return Ok(item);
            }
            if ended {
                return Err(WaitError::Ended);
            }
            if late {
                return Err(WaitError::TimedOut);
            }
            (hub, late) = self.shared.changed.wait_until(hub, deadline);
        }
    }
}

impl<T: CellValue> Iterator for Subscription<T> {
    type Item = StateEvent<T>;

    fn next(&mut self) -> Option<StateEvent<T>> {
        self.next_before(None).ok()
    }
}

impl<T: CellValue> Drop for Subscription<T> {
    fn drop(&mut self) {
        self.shared.hub.lock().queues.remove(&self.id);
    }
}

#[derive(Debug)]
pub(super) struct Queue<T> {
    items: VecDeque<StateEvent<T>>,
    events_max: usize,
}

impl<T: CellValue> Queue<T> {
    pub(super) fn new(present: T, events_max: usize) -> Self {
        let items = VecDeque::from([StateEvent::Present(present)]);
        Self { items, events_max: events_max.max(EVENTS_MAX_LEAST) }
    }

    pub(super) fn push(&mut self, old: T, new: T) {
        self.items.push_back(StateEvent::Changed { old, new });
        if self.items.len() > self.events_max {
            self.leave_one_out();
        }
    }

    /// Joins two neighbours into one: the oldest that may be joined, so that the newest history stays whole.
    fn leave_one_out(&mut self) {
        let joinable = (0..self.items.len() - 1)
            .find(|&at| joined_if_fit(self.items[at], self.items[at + 1]).is_some());
        // A value type that breaks its promise about `may_follow` loses the promise, not the bound.
        let at = joinable.unwrap_or(0);
        self.items[at] = joined(self.items[at], self.items[at + 1]);
        self.items.remove(at + 1);
    }
}

fn joined_if_fit<T: CellValue>(
    first: StateEvent<T>,
    second: StateEvent<T>,
) -> Option<StateEvent<T>> {
    match first {
        StateEvent::Present(_) => Some(joined(first, second)),
        StateEvent::Changed { old, .. } => {
            second.value().may_follow(&old).then(|| joined(first, second))
        }
    }
}

fn joined<T: CellValue>(first: StateEvent<T>, second: StateEvent<T>) -> StateEvent<T> {
    match first {
        StateEvent::Present(_) => StateEvent::Present(second.value()),
        StateEvent::Changed { old, .. } => StateEvent::Changed { old, new: second.value() },
    }
}
