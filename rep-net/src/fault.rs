//! Bad weather around any transport: delay, loss, duplication, cuts. For tests, yours and ours.
//!
//! [`Faults::around`] wraps a transport. What is dialled through it goes through the weather in both directions; what is listened to does not, or
//! everything would be met twice. What happens to a frame follows from the seed, where the channel goes, which service it is for, the how manieth of
//! those it is, and the number of the frame; from no clock and no other thread. So the same seed does the same to the same frames, and
//! [`trace`](Faults::trace) tells what.
//!
//! Delay and cuts keep the contract of a [`Channel`]: a frame comes later, or when the cut is over, as over a network that repeats what is lost. Loss
//! and duplication break it, on purpose, for protocols that claim to bear that. Frames of one channel never change places; those of different
//! channels do, as each has delays of its own.
//!
//! ```
//! use rep_net::fault::{Faults, Weather};
//! use rep_net::mem::Hub;
//! use std::time::Duration;
//!
//! let faults = Faults::new(Weather::calm(7).delay_max(Duration::from_millis(20)).lost_per_thousand(5));
//! let transport = faults.around(Hub::default().transport());
//! // Give `transport` to what is to be tested; then nothing reaches n2 until this is dropped:
//! let cut = faults.cut(&"n2".into());
//! # drop((transport, cut));
//! ```

mod channel;
mod fate;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::service::ServiceTable;
use crate::sync::{Condvar, Mutex, broken};
use crate::transport::{Address, Listener, Transport};
use channel::FaultyChannel;
pub use fate::Weather;

/// As many events are kept for [`Faults::trace`].
pub const TRACE_EVENTS_MAX: usize = 1 << 16;

/// Weather, and the cuts of the moment. Shared by the transports and channels around which it is.
#[derive(Debug)]
pub struct Faults {
    weather: Weather,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    cuts: BTreeMap<u64, Ends>,
    cuts_made: u64,
    /// How many channels there have been to an address for a service.
    dialled: BTreeMap<(Address, String), u64>,
    trace: Vec<Event>,
}

/// What a cut cuts.
#[derive(Debug)]
struct Ends {
    address: Address,
    direction: Option<Direction>,
}

/// Which way a frame goes, as the dialling end sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Direction {
    /// To where was dialled.
    Out,
    /// From there.
    In,
}

/// What happened to a frame, if anything did.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub struct Event {
    /// Where the channel goes.
    pub address: Address,
    /// For which service.
    pub service: String,
    /// The how manieth of those it is, from 0.
    pub channel: u64,
    /// Which way the frame went.
    pub direction: Direction,
    /// Its number there, from 0.
    pub frame: u64,
    /// What happened to it.
    pub what: What,
}

/// What may happen to a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum What {
    /// It came, so much later.
    Delayed(Duration),
    /// It never came.
    Lost,
    /// It came twice.
    Doubled,
}

impl Faults {
    /// Weather, and no cuts yet.
    pub fn new(weather: Weather) -> Arc<Self> {
        Arc::new(Self { weather, state: Mutex::default(), changed: Condvar::default() })
    }

    /// That transport in this weather.
    pub fn around(self: &Arc<Self>, transport: Arc<dyn Transport>) -> Arc<dyn Transport> {
        Arc::new(FaultyTransport { transport, faults: Arc::clone(self) })
    }

    /// Cuts the way to that address and back, for everything that is dialled, until the cut is dropped.
    #[must_use = "a cut ends when it is dropped"]
    pub fn cut(self: &Arc<Self>, address: &Address) -> Cut {
        self.cut_ends(address, None)
    }

    /// Cuts one direction alone.
    #[must_use = "a cut ends when it is dropped"]
    pub fn cut_one_way(self: &Arc<Self>, address: &Address, direction: Direction) -> Cut {
        self.cut_ends(address, Some(direction))
    }

    fn cut_ends(self: &Arc<Self>, address: &Address, direction: Option<Direction>) -> Cut {
        let mut state = self.state.lock();
        let id = state.cuts_made;
        state.cuts_made += 1;
        state.cuts.insert(id, Ends { address: address.clone(), direction });
        Cut { faults: Arc::clone(self), id }
    }

    /// What has happened to frames so far, channel by channel and not as it happened: threads have no part in it. At most
    /// [`TRACE_EVENTS_MAX`] events; what came later is left out.
    pub fn trace(&self) -> Vec<Event> {
        let mut trace = self.state.lock().trace.clone();
        trace.sort();
        trace
    }

    fn note(&self, event: Event) {
        let mut state = self.state.lock();
        if state.trace.len() < TRACE_EVENTS_MAX {
            state.trace.push(event);
        }
    }

    /// Waits until that holds; false if the deadline passes first.
    fn wait_until(&self, deadline: Option<Instant>, holds: impl Fn(&State) -> bool) -> bool {
        let mut state = self.state.lock();
        let mut passed = false;
        while !holds(&state) {
            if passed {
                return false;
            }
            (state, passed) = self.changed.wait_until(state, deadline);
        }
        true
    }

    /// Has whoever waits look again.
    fn tell(&self) {
        // Who has looked and does not wait yet has the lock: it waits before it is told.
        if !broken("faults-told-past-the-lock") {
            drop(self.state.lock());
        }
        self.changed.notify_all();
    }
}

impl State {
    fn is_cut(&self, address: &Address, direction: Direction) -> bool {
        let cuts_it = |ends: &Ends| {
            ends.address == *address && ends.direction.is_none_or(|cut| cut == direction)
        };
        self.cuts.values().any(cuts_it)
    }
}

/// A cut; it ends when this is dropped, and what was held up goes on.
#[derive(Debug)]
pub struct Cut {
    faults: Arc<Faults>,
    id: u64,
}

impl Drop for Cut {
    fn drop(&mut self) {
        self.faults.state.lock().cuts.remove(&self.id);
        if !broken("cut-ends-in-silence") {
            self.faults.changed.notify_all();
        }
    }
}

#[derive(Debug)]
struct FaultyTransport {
    transport: Arc<dyn Transport>,
    faults: Arc<Faults>,
}

impl Transport for FaultyTransport {
    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        let is_open = |state: &State| {
            ![Direction::Out, Direction::In].iter().any(|way| state.is_cut(address, *way))
        };
        if !self.faults.wait_until(Some(deadline), is_open) {
            let during = "waiting for the end of a cut";
            return Err(DialError::TimedOut { address: address.clone(), during });
        }
        let channel = self.transport.dial(address, hello, deadline)?;
        Ok(Arc::new(FaultyChannel::new(channel, Arc::clone(&self.faults), address, hello)))
    }

    fn proof_expires(&self) -> Option<std::time::SystemTime> {
        self.transport.proof_expires()
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        self.transport.listen(address, services)
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{AtomicBool, Ordering, break_line, explore, thread};

    /// Two wait for the end of two cuts, each in one direction.
    fn a_cut_ends_for_all() {
        let faults = Faults::new(Weather::calm(1));
        let address: Address = "n2".into();
        let cuts = [Direction::Out, Direction::In].map(|way| faults.cut_one_way(&address, way));
        let waiting = [Direction::Out, Direction::In].map(|way| {
            let (faults, address) = (Arc::clone(&faults), address.clone());
            thread::spawn(move || faults.wait_until(None, |state| !state.is_cut(&address, way)))
        });
        drop(cuts);
        for waiting in waiting {
            assert!(waiting.join().unwrap());
        }
    }

    #[test]
    fn loom_whoever_waits_for_the_end_of_a_cut_is_woken() {
        explore(a_cut_ends_for_all);
    }

    /// Who waits for the end of a cut is closed upon, as [`FaultyChannel`] does it: something is set, and all are told to look.
    fn a_close_ends_a_wait() {
        let faults = Faults::new(Weather::calm(1));
        let address: Address = "n2".into();
        let _cut = faults.cut(&address);
        let closed = Arc::new(AtomicBool::new(false));
        let (waiting, seen, at) = (Arc::clone(&faults), Arc::clone(&closed), address.clone());
        let waiting = thread::spawn(move || {
            let may_pass =
                |state: &State| seen.load(Ordering::Acquire) || !state.is_cut(&at, Direction::Out);
            waiting.wait_until(None, may_pass)
        });
        closed.store(true, Ordering::Release);
        faults.tell();
        assert!(waiting.join().unwrap());
    }

    #[test]
    fn loom_who_is_closed_upon_waits_for_no_cut() {
        explore(a_close_ends_a_wait);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_who_is_told_past_the_lock_sleeps_for_ever() {
        break_line("faults-told-past-the-lock");
        explore(a_close_ends_a_wait);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_cut_that_ends_in_silence_is_found() {
        break_line("cut-ends-in-silence");
        explore(a_cut_ends_for_all);
    }
}
