//! The threads of one environment: named, counted, waited for.

use crate::sync::{AtomicU64, Condvar, Flaw, Mutex, Ordering, broken};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::thread::Builder;
use std::time::Instant;

/// All threads of one environment that have not ended. Clones are handles to the same set.
#[derive(Clone, Debug)]
pub(crate) struct Threads {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    /// Tells environments apart.
    number: u64,
    state: Mutex<State>,
    ended: Condvar,
}

#[derive(Debug, Default)]
struct State {
    started: u64,
    live: BTreeMap<u64, String>,
}

thread_local! {
    /// The environment that the present thread belongs to; 0 for none.
    static BELONGS_TO: Cell<u64> = const { Cell::new(0) };
    /// The present thread runs code of the application, which may hold locks of its own.
    static IS_LENT: Cell<bool> = const { Cell::new(false) };
}

impl Threads {
    pub(crate) fn new() -> Self {
        static NUMBERS: AtomicU64 = AtomicU64::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let shared =
            Shared { number, state: Mutex::new(State::default()), ended: Condvar::default() };
        Threads { shared: Arc::new(shared) }
    }

    /// Starts a thread. It counts as ended when everything that `run` owned has been dropped.
    pub(crate) fn start(
        &self,
        name: impl Into<String>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        let name = name.into();
        let ended = self.enrol(name.clone());
        let number = self.shared.number;
        // Should the thread not start, the closure is dropped and `ended` with it.
        Builder::new().name(name).spawn(move || {
            let _ended = ended;
            BELONGS_TO.set(number);
            run();
        })?;
        Ok(())
    }

    /// Counts a thread, until what this gives is dropped.
    pub(crate) fn enrol(&self, name: String) -> Ended {
        let mut state = self.shared.state.lock();
        state.started += 1;
        let key = state.started;
        state.live.insert(key, name);
        Ended { shared: Arc::clone(&self.shared), key }
    }

    /// As [`start`](Threads::start), for a thread that runs code of the application.
    pub(crate) fn lend(
        &self,
        name: impl Into<String>,
        run: impl FnOnce() + Send + 'static,
    ) -> io::Result<()> {
        self.start(name, move || {
            IS_LENT.set(true);
            run();
        })
    }

    /// May the present thread wake tasks? Only one of these that is not lent: a waker is foreign code, and may want a lock that
    /// whoever is in the middle of the application's code holds.
    pub(crate) fn may_wake(&self) -> bool {
        self.is_own() && !IS_LENT.get()
    }

    /// Is the present thread one of these?
    pub(crate) fn is_own(&self) -> bool {
        BELONGS_TO.get() == self.shared.number
    }

    /// Waits for all of them until `deadline`.
    ///
    /// # Errors
    ///
    /// The names of those that still run.
    pub(crate) fn wait(&self, deadline: Instant) -> Result<(), Vec<String>> {
        let mut state = self.shared.state.lock();
        let mut late = false;
        while !state.live.is_empty() {
            if late {
                return Err(state.live.values().cloned().collect());
            }
            (state, late) = self.shared.ended.wait_until(state, Some(deadline));
        }
        Ok(())
    }
}

pub(crate) struct Ended {
    shared: Arc<Shared>,
    key: u64,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.shared.state.lock().live.remove(&self.key);
        if !broken(Flaw::EndTellsNobody) {
            self.shared.ended.notify_all();
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::sync::mpsc;
    use std::time::Duration;

    #[test]
    fn a_thread_that_is_lent_counts_as_one_of_these_and_wakes_nobody() {
        let threads = Threads::new();
        let (tell, told) = mpsc::sync_channel(2);
        for lent in [false, true] {
            let (own, tell) = (threads.clone(), tell.clone());
            let ask = move || tell.send((lent, own.is_own(), own.may_wake())).unwrap();
            match lent {
                true => threads.lend("rep-test-lent", ask).unwrap(),
                false => threads.start("rep-test-own", ask).unwrap(),
            }
            assert_eq!(told.recv(), Ok((lent, true, !lent)));
        }
        assert!(!threads.may_wake());
        threads.wait(Instant::now() + Duration::from_secs(60)).unwrap();
    }

    #[test]
    fn those_that_still_run_are_named() {
        let threads = Threads::new();
        let (finish, finished) = mpsc::sync_channel::<()>(1);
        let (tell, told) = mpsc::sync_channel(1);
        let own = threads.clone();
        threads
            .start("rep-test-one", move || {
                tell.send(own.is_own()).unwrap();
                let _ = finished.recv();
            })
            .unwrap();
        assert_eq!((told.recv(), threads.is_own()), (Ok(true), false));
        assert_eq!(threads.wait(Instant::now()), Err(vec!["rep-test-one".to_owned()]));
        drop(finish);
        threads.wait(Instant::now() + Duration::from_secs(60)).unwrap();
    }
}
