//! Threads of a listener: one a caller, until its channel is handed over; counted, stoppable, joined.

use std::collections::BTreeMap;
use std::fmt::{self, Debug};
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use crate::limits::Limits;
use crate::sync::{Mutex, broken};

/// The threads that one listener has started.
pub(crate) struct Workers {
    half_open_max: usize,
    half_open_per_address_max: usize,
    state: Mutex<State>,
}

/// Ends whatever a worker may be waiting for.
pub(crate) type Stop = Box<dyn Fn() + Send>;

#[derive(Default)]
struct State {
    closing: bool,
    started: u64,
    threads: Vec<JoinHandle<()>>,
    half_open: BTreeMap<u64, (Option<IpAddr>, Stop)>,
    serving: BTreeMap<u64, Stop>,
}

/// Why no worker was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum NotStarted {
    Busy,
    Closing,
}

impl Workers {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            half_open_max: limits.half_open_max,
            half_open_per_address_max: limits.half_open_per_address_max,
            state: Mutex::new(State::default()),
        })
    }

    /// Starts a thread for one caller, who is half open until [`Place::serve`] is called. Where it calls from, if that means anything.
    pub(crate) fn start(
        self: &Arc<Self>,
        from: Option<IpAddr>,
        stop: Stop,
        job: impl FnOnce(&Place) + Send + 'static,
    ) -> Result<(), NotStarted> {
        let workers = Arc::clone(self);
        self.admit(from, stop, |id| {
            let thread = thread::Builder::new().name("rep-hello".into());
            thread.spawn(move || job(&Place { workers, id }))
        })
    }

    /// The lock is held until the thread is known, so that nobody who closes misses it. It finds its place taken when it gets to run.
    fn admit(
        &self,
        from: Option<IpAddr>,
        stop: Stop,
        spawn: impl FnOnce(u64) -> io::Result<JoinHandle<()>>,
    ) -> Result<(), NotStarted> {
        let mut state = self.state.lock();
        if state.closing && !broken("worker-starts-after-the-stop") {
            return Err(NotStarted::Closing);
        }
        let from = from.map(neighbourhood);
        let alike = || state.half_open.values().filter(|(other, _)| *other == from).count();
        let crowded = from.is_some() && alike() >= self.half_open_per_address_max;
        if crowded || state.half_open.len() >= self.half_open_max {
            return Err(NotStarted::Busy);
        }
        state.started += 1;
        let id = state.started;
        state.threads.retain(|thread| !thread.is_finished());
        match spawn(id) {
            Ok(thread) => {
                state.half_open.insert(id, (from, stop));
                state.threads.push(thread);
                Ok(())
            }
            Err(error) => {
                tracing::warn!(%error, "no thread for a caller");
                Err(NotStarted::Busy)
            }
        }
    }

    /// Stops every worker, without waiting for it.
    pub(crate) fn stop(&self) {
        let mut state = self.state.lock();
        state.closing = true;
        let state = &*state;
        let half_open = state.half_open.values().map(|(_, stop)| stop);
        half_open.chain(state.serving.values()).for_each(|stop| stop());
    }

    /// Waits for the workers to end; not for the one that asks, if one does.
    pub(crate) fn join(&self) {
        let threads = std::mem::take(&mut self.state.lock().threads);
        join_all(threads);
    }
}

impl Debug for Workers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.state.lock();
        f.debug_struct("Workers")
            .field("half_open", &state.half_open.len())
            .field("serving", &state.serving.len())
            .finish_non_exhaustive()
    }
}

/// What counts as one address: of IPv6 the half that one customer is given to choose from.
pub(crate) fn neighbourhood(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// Joins threads; the calling one, should it be among them, is left to end by itself.
pub(crate) fn join_all(threads: Vec<JoinHandle<()>>) {
    for thread in threads {
        if thread.thread().id() != thread::current().id() && thread.join().is_err() {
            tracing::error!("a thread of a listener panicked");
        }
    }
}

/// A worker's place among the others.
pub(crate) struct Place {
    workers: Arc<Workers>,
    id: u64,
}

impl Place {
    /// The caller is accepted: it counts as half open no more. False if the listener is closing.
    pub(crate) fn serve(&self, stop: Stop) -> bool {
        let mut state = self.workers.state.lock();
        state.half_open.remove(&self.id);
        if state.closing && !broken("worker-serves-after-the-stop") {
            return false;
        }
        state.serving.insert(self.id, stop);
        true
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut state = self.workers.state.lock();
        let stops = (state.half_open.remove(&self.id), state.serving.remove(&self.id));
        // A stop may hold the last handle of a channel, and dropping that closes it; not under our lock.
        drop(state);
        drop(stops);
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, thread};
    use std::sync::atomic::{AtomicBool, Ordering};

    /// A caller is accepted as the listener is closed: its channel is not handed over, or it is closed.
    fn nobody_is_left_open() {
        let workers = Workers::new(&Limits::default());
        let place = Place { workers: Arc::clone(&workers), id: 1 };
        workers.state.lock().half_open.insert(1, (None, Box::new(|| {})));
        let closed = Arc::new(AtomicBool::new(false));
        let stop = Arc::clone(&closed);
        let caller = thread::spawn(move || {
            let serves = place.serve(Box::new(move || stop.store(true, Ordering::Relaxed)));
            (serves, place)
        });
        workers.stop();
        let (serves, place) = caller.join().unwrap();
        assert!(!serves || closed.load(Ordering::Relaxed), "it serves on after the close");
        drop(place);
        assert!(workers.state.lock().serving.is_empty());
    }

    /// A caller comes as the listener is closed: it is turned away, or it is stopped, and waited for.
    fn nobody_is_let_in_behind_a_close() {
        let workers = Workers::new(&Limits::default());
        let stopped = Arc::new(AtomicBool::new(false));
        let (acceptor, stop) = (Arc::clone(&workers), Arc::clone(&stopped));
        let caller = thread::spawn(move || {
            let stop = Box::new(move || stop.store(true, Ordering::Relaxed));
            // What the thread does is nothing to the model.
            acceptor.admit(None, stop, |_| Ok(std::thread::spawn(|| {})))
        });
        workers.stop();
        workers.join();
        let let_in = caller.join().unwrap().is_ok();
        assert!(!let_in || stopped.load(Ordering::Relaxed), "it was let in behind the close");
        assert!(workers.state.lock().threads.is_empty(), "it is left running");
    }

    #[test]
    fn loom_who_comes_as_the_listener_closes_is_stopped_or_turned_away() {
        explore(nobody_is_let_in_behind_a_close);
    }

    #[test]
    #[should_panic(expected = "let in behind the close")]
    fn loom_twin_who_is_let_in_after_the_stop_is_found() {
        break_line("worker-starts-after-the-stop");
        explore(nobody_is_let_in_behind_a_close);
    }

    #[test]
    fn loom_who_is_accepted_as_the_listener_closes_is_stopped_or_turned_away() {
        explore(nobody_is_left_open);
    }

    #[test]
    #[should_panic(expected = "serves on after the close")]
    fn loom_twin_who_is_accepted_after_the_stop_is_found() {
        break_line("worker-serves-after-the-stop");
        explore(nobody_is_left_open);
    }
}
