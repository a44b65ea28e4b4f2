//! Credit for bytes that wait for this node's disk.
//!
//! A proposal, or a batch from the master, enters only while there is credit for its bytes: so what is queued and what is
//! unsynced stay within one bound, whoever produces, and the pressure reaches the source as a wait.

use crate::sync::{Condvar, Flaw, Mutex, broken};
use std::time::Instant;

/// Bytes that are queued for the node, and bytes that it holds unsynced.
#[derive(Debug)]
pub(crate) struct Credit {
    state: Mutex<State>,
    changed: Condvar,
    bytes_max: u64,
}

#[derive(Debug, Default)]
struct State {
    queued: u64,
    unsynced: u64,
    waiting: usize,
    closed: bool,
}

/// Credit that was granted and not yet used; dropped, it is given back.
#[derive(Debug)]
pub(crate) struct Grant<'a> {
    credit: &'a Credit,
    bytes: u64,
}

impl Grant<'_> {
    /// What it is for is queued now, and carries so many bytes of credit.
    pub(crate) fn spend(mut self) -> u64 {
        std::mem::take(&mut self.bytes)
    }
}

impl Drop for Grant<'_> {
    fn drop(&mut self) {
        if self.bytes > 0 {
            self.credit.give_back(self.bytes);
        }
    }
}

/// Why bytes may not enter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoCredit {
    /// The bound stayed reached until the deadline, with so many bytes.
    Full(u64),
    /// The node is closed.
    Closed,
}

impl Credit {
    pub(crate) fn new(bytes_max: u64) -> Self {
        Credit { state: Mutex::new(State::default()), changed: Condvar::default(), bytes_max }
    }

    pub(crate) fn bytes_max(&self) -> u64 {
        self.bytes_max
    }

    /// Bytes that the node holds and that wait for its disk.
    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.state.lock().unsynced
    }

    /// What fills it while somebody waits for room, queued and unsynced bytes; `None` while nobody does.
    pub(crate) fn full(&self) -> Option<u64> {
        let state = self.state.lock();
        (state.waiting > 0).then_some(state.queued + state.unsynced)
    }

    /// Waits until `bytes` may be queued. What alone is over the bound enters when nothing else is there.
    pub(crate) fn enter(
        &self,
        bytes: u64,
        deadline: Option<Instant>,
    ) -> Result<Grant<'_>, NoCredit> {
        let mut state = self.state.lock();
        let mut late = false;
        loop {
            let held = state.queued + state.unsynced;
            if state.closed {
                return Err(NoCredit::Closed);
            }
            if held == 0 || held + bytes <= self.bytes_max {
                state.queued += bytes;
                return Ok(Grant { credit: self, bytes });
            }
            if late {
                return Err(NoCredit::Full(held));
            }
            if broken(Flaw::LookThenSleep) {
                drop(state);
                state = self.state.lock();
            }
            state.waiting += 1;
            (state, late) = self.changed.wait_until(state, deadline);
            state.waiting -= 1;
        }
    }

    /// `bytes` of what was queued were given to the node, which now holds `unsynced` bytes.
    pub(crate) fn settle(&self, bytes: u64, unsynced: u64) {
        self.change(|state| {
            state.queued -= bytes;
            state.unsynced = unsynced;
        });
    }

    fn give_back(&self, bytes: u64) {
        self.change(|state| state.queued -= bytes);
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let wake = state.waiting > 0;
        drop(state);
        if wake {
            self.changed.notify_all();
        }
    }

    /// Nothing enters any more; those who wait are told.
    pub(crate) fn close(&self) {
        self.state.lock().closed = true;
        self.changed.notify_all();
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn full(credit: &Credit, bytes: u64) -> Option<NoCredit> {
        credit.enter(bytes, Some(Instant::now())).err()
    }

    #[test]
    fn what_is_queued_and_what_is_unsynced_share_one_bound() {
        let credit = Credit::new(10);
        assert_eq!(credit.enter(6, None).unwrap().spend(), 6);
        assert_eq!(full(&credit, 5), Some(NoCredit::Full(6)));
        credit.settle(6, 6);
        assert_eq!(full(&credit, 5), Some(NoCredit::Full(6)));
        credit.settle(0, 5);
        drop(credit.enter(5, None).unwrap());
        assert_eq!(full(&credit, 5), None, "what was dropped was given back");
    }

    #[test]
    fn more_than_the_bound_enters_alone() {
        let credit = Credit::new(10);
        let _alone = credit.enter(50, None).unwrap();
        assert_eq!(full(&credit, 0), Some(NoCredit::Full(50)));
    }

    #[test]
    fn closing_ends_the_wait() {
        let credit = Arc::new(Credit::new(10));
        credit.enter(10, None).unwrap().spend();
        let waiter = std::thread::spawn({
            let credit = Arc::clone(&credit);
            move || credit.enter(1, None).err()
        });
        credit.close();
        assert_eq!(waiter.join().unwrap(), Some(NoCredit::Closed));
    }
}
