//! One value that many threads watch.
//!
//! Every request asks "am I master, and in which term?", and must not queue behind the thread that changes the answer;
//! a few callers want to sleep until the answer changes; an application wants to be told of each change. A
//! [`StateCell`] serves the three: [`get`](StateCell::get) takes no lock and never shows halves of two values,
//! [`wait`](StateCell::wait) sleeps, [`subscribe`](StateCell::subscribe) queues changes within a bound.
//!
//! The value is copied into a few machine words ([`CellValue`]), because words can be shared without a lock and
//! without `unsafe`. Writers take turns at a lock that readers never touch.

mod slots;
mod subscription;

pub use subscription::{EVENTS_MAX, StateEvent, Subscription};

use crate::error::WaitError;
use crate::sync::{Arc, Condvar, Mutex, broken};
use slots::Slots;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Instant;
use subscription::Queue;

/// How many words a value may take.
pub const WORDS: usize = 3;

/// A small value that fits a few words.
///
/// 1. `from_words(v.to_words()) == v`, for every value.
/// 2. Once a value [`is_last`](Self::is_last), the cell keeps it.
pub trait CellValue: Copy + Eq + fmt::Debug {
    /// The value as words; unused ones are zero.
    fn to_words(self) -> [u64; WORDS];

    /// The value that became these words. It is given only what [`to_words`](Self::to_words) returned.
    fn from_words(words: [u64; WORDS]) -> Self;

    /// Does nothing ever follow this value?
    fn is_last(&self) -> bool {
        false
    }

    /// May a subscriber that was slow see this value right after `old`? The cell leaves changes out only where that is
    /// so. It must be so somewhere among any four values that follow each other.
    fn may_follow(&self, old: &Self) -> bool {
        let _ = old;
        true
    }
}

/// A shared value: read without a lock, wait, subscribe. Clones are handles to the same cell.
#[derive(Debug)]
pub struct StateCell<T: CellValue> {
    shared: Arc<Shared<T>>,
}

#[derive(Debug)]
pub(crate) struct Shared<T: CellValue> {
    slots: Slots,
    hub: Mutex<Hub<T>>,
    changed: Condvar,
}

/// What writers and sleepers share: they may wait for each other, readers wait for nobody.
#[derive(Debug)]
pub(crate) struct Hub<T> {
    version: u64,
    value: T,
    queues: BTreeMap<u64, Queue<T>>,
    next_queue: u64,
}

impl<T: CellValue> Clone for StateCell<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<T: CellValue> StateCell<T> {
    /// A cell that holds `value`.
    pub fn new(value: T) -> Self {
        let slots = Slots::new(value.to_words());
        let hub =
            Hub { version: slots::FIRST_VERSION, value, queues: BTreeMap::new(), next_queue: 0 };
        Self { shared: Arc::new(Shared { slots, hub: Mutex::new(hub), changed: Condvar::new() }) }
    }

    /// The present value, whole. Takes no lock. Whoever was told by another thread that `set` returned sees that value
    /// or a newer one.
    pub fn get(&self) -> T {
        T::from_words(self.shared.slots.read().1)
    }

    /// Makes `value` the present one and tells everyone. True if that changed anything: it does not if the value is
    /// the same, or if the cell has reached its last value.
    pub fn set(&self, value: T) -> bool {
        let mut hub = self.shared.hub.lock();
        let old = hub.value;
        if old == value || old.is_last() {
            return false;
        }
        hub.version += 1;
        hub.value = value;
        self.shared.slots.publish(hub.version, value.to_words());
        if broken("subscribers are told under the lock") {
            drop(hub);
            hub = self.shared.hub.lock();
        }
        for queue in hub.queues.values_mut() {
            queue.push(old, value);
        }
        drop(hub);
        self.shared.changed.notify_all();
        true
    }

    /// Sleeps until the value is `wanted`, and returns it; `None` waits without a deadline. A value that is soon
    /// replaced may be missed: to see each, [`subscribe`](Self::subscribe). `wanted` is called without a lock held.
    ///
    /// # Errors
    /// [`WaitError::TimedOut`], or [`WaitError::Ended`] once the last value is reached and it is not the wanted one.
    pub fn wait(
        &self,
        deadline: Option<Instant>,
        mut wanted: impl FnMut(&T) -> bool,
    ) -> Result<T, WaitError> {
        loop {
            let (version, words) = self.shared.slots.read();
            let value = T::from_words(words);
            if wanted(&value) {
                return Ok(value);
            }
            if value.is_last() {
                return Err(WaitError::Ended);
            }
            self.sleep_past(version, deadline)?;
        }
    }

    /// The present value now, then its changes, then the end once the last value is reached. The queue keeps at most
    /// [`EVENTS_MAX`] changes: a slow subscriber is told less often, never wrongly.
    pub fn subscribe(&self) -> Subscription<T> {
        self.subscribe_bounded(EVENTS_MAX)
    }

    /// As [`subscribe`](Self::subscribe), with a bound of one's own; below four it is four.
    pub fn subscribe_bounded(&self, events_max: usize) -> Subscription<T> {
        let mut hub = self.shared.hub.lock();
        let id = hub.next_queue;
        hub.next_queue += 1;
        let queue = Queue::new(hub.value, events_max);
        hub.queues.insert(id, queue);
        drop(hub);
        Subscription::new(Arc::clone(&self.shared), id)
    }

    fn sleep_past(&self, version: u64, deadline: Option<Instant>) -> Result<(), WaitError> {
        let mut hub = self.shared.hub.lock();
        let version = if broken("the version is that of the look") { hub.version } else { version };
        // The version is compared under the writers' lock, so a change between our look and our sleep is not slept over.
        while hub.version == version {
            let (woken, late) = self.shared.changed.wait_until(hub, deadline);
            hub = woken;
            if late && hub.version == version {
                return Err(WaitError::TimedOut);
            }
        }
        Ok(())
    }
}
