//! Every interleaving of a small cell, by `cargo xtask loom`.
//!
//! Each promise has a negative twin: the same idea with one ordering or one lock left out, which the model checker has
//! to reject. A checker that rejects nothing proves nothing.
#![cfg(rep_loom)]

use rep_explore::{Arc, AtomicBool, AtomicU64, Condvar, Mutex, Ordering, explore, thread};
use rep_fsm::cell::WORDS;
use rep_fsm::{CellValue, StateCell, StateEvent, WaitError};

/// Two words that have to match, as a state and its term have to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Pair(u64);

const LAST: Pair = Pair(9);

impl CellValue for Pair {
    fn to_words(self) -> [u64; WORDS] {
        [self.0, self.0, 0]
    }

    fn from_words([state, term, _]: [u64; WORDS]) -> Self {
        assert_eq!(state, term, "torn");
        Pair(state)
    }

    fn is_last(&self) -> bool {
        *self == LAST
    }
}

#[test]
fn loom_a_reader_sees_whole_values_while_the_ring_goes_around() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let reader = {
            let cell = cell.clone();
            thread::spawn(move || cell.get())
        };
        // Once around the ring of two and into its first slot again, under the reader's eyes.
        for value in 1..=2 {
            cell.set(Pair(value));
        }
        assert!(reader.join().unwrap().0 <= 2);
        assert_eq!(cell.get(), Pair(2));
    });
}

#[test]
fn loom_a_reader_never_goes_back() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let reader = {
            let cell = cell.clone();
            thread::spawn(move || (cell.get(), cell.get()))
        };
        cell.set(Pair(1));
        let (first, second) = reader.join().unwrap();
        assert!(second.0 >= first.0, "went back from {first:?} to {second:?}");
    });
}

#[test]
fn loom_once_a_demotion_returned_nobody_told_of_it_sees_the_master() {
    explore(|| {
        let cell = StateCell::new(Pair(1));
        let demoted = Arc::new(AtomicBool::new(false));
        let writer = {
            let (cell, demoted) = (cell.clone(), Arc::clone(&demoted));
            thread::spawn(move || {
                cell.set(Pair(2));
                demoted.store(true, Ordering::Release);
            })
        };
        if demoted.load(Ordering::Acquire) {
            assert_eq!(cell.get(), Pair(2), "a write would have been accepted after the demotion");
        }
        writer.join().unwrap();
    });
}

#[test]
fn loom_a_waiter_never_sleeps_past_the_last_value() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let waiter = {
            let cell = cell.clone();
            thread::spawn(move || cell.wait(None, |seen| *seen == Pair(7)))
        };
        cell.set(Pair(1));
        cell.set(LAST);
        assert_eq!(waiter.join().unwrap(), Err(WaitError::Ended));
    });
}

#[test]
fn loom_two_writers_leave_one_story_for_a_subscriber() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let mut news = cell.subscribe();
        let other = {
            let cell = cell.clone();
            thread::spawn(move || {
                cell.set(Pair(1));
            })
        };
        cell.set(LAST);
        other.join().unwrap();
        assert_eq!(news.next(), Some(StateEvent::Present(Pair(0))));
        let mut before = Pair(0);
        for event in news {
            let StateEvent::Changed { old, new } = event else { panic!("Present comes once") };
            assert_eq!(old, before);
            before = new;
        }
        assert_eq!((before, cell.get()), (LAST, LAST));
    });
}

#[test]
fn loom_a_subscriber_is_woken_and_ends() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let news = cell.subscribe();
        let listener = thread::spawn(move || news.last());
        cell.set(LAST);
        let last = listener.join().unwrap().expect("the present value at least");
        assert_eq!(last.value(), LAST);
    });
}

#[test]
fn loom_a_slow_subscriber_is_told_one_story_within_its_bound() {
    explore(|| {
        let cell = StateCell::new(Pair(0));
        let mut news = cell.subscribe_bounded(4);
        let writer = {
            let cell = cell.clone();
            thread::spawn(move || {
                (1..=4).for_each(|value| assert!(cell.set(Pair(value))));
                cell.set(LAST)
            })
        };
        let first = news.next().expect("the present value at least");
        assert!(matches!(first, StateEvent::Present(_)));
        let mut before = first.value();
        let mut items = 1;
        for event in news {
            let StateEvent::Changed { old, new } = event else { panic!("Present comes once") };
            assert_eq!(old, before);
            before = new;
            items += 1;
        }
        assert_eq!(before, LAST);
        // The bound, the one that was taken meanwhile, and no more.
        assert!(items <= 6, "{items} items");
        assert!(writer.join().unwrap());
    });
}

/// The ring of `cell/slots.rs`, with its words stored and loaded by the orderings given.
struct TwinSlots {
    newest: AtomicU64,
    ring: [[AtomicU64; 3]; 2],
    store: Ordering,
    load: Ordering,
}

impl TwinSlots {
    fn new(store: Ordering, load: Ordering) -> Self {
        let slot =
            |version| [AtomicU64::new(version), AtomicU64::new(version), AtomicU64::new(version)];
        Self { newest: AtomicU64::new(1), ring: [slot(0), slot(1)], store, load }
    }

    fn publish(&self, version: u64) {
        let [stamp, state, term] = &self.ring[(version % 2) as usize];
        stamp.store(0, Ordering::Relaxed);
        state.store(version, self.store);
        term.store(version, self.store);
        stamp.store(version, Ordering::Release);
        self.newest.store(version, Ordering::Release);
    }

    fn read(&self) -> Option<(u64, u64)> {
        let version = self.newest.load(Ordering::Acquire);
        let [stamp, state, term] = &self.ring[(version % 2) as usize];
        let words = (state.load(self.load), term.load(self.load));
        (stamp.load(Ordering::Relaxed) == version).then_some(words)
    }
}

fn read_while_the_ring_goes_around(store: Ordering, load: Ordering) {
    explore(move || {
        let slots = Arc::new(TwinSlots::new(store, load));
        let writer = {
            let slots = Arc::clone(&slots);
            thread::spawn(move || (2..=4).for_each(|version| slots.publish(version)))
        };
        if let Some((state, term)) = slots.read() {
            assert_eq!(state, term, "torn");
        }
        writer.join().unwrap();
    });
}

#[test]
fn loom_the_twin_ring_with_its_orderings_is_whole() {
    read_while_the_ring_goes_around(Ordering::Release, Ordering::Acquire);
}

#[test]
#[should_panic(expected = "torn")]
fn loom_twin_words_stored_relaxed_are_torn() {
    read_while_the_ring_goes_around(Ordering::Relaxed, Ordering::Acquire);
}

#[test]
#[should_panic(expected = "torn")]
fn loom_twin_words_loaded_relaxed_are_torn() {
    read_while_the_ring_goes_around(Ordering::Release, Ordering::Relaxed);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_version_compared_outside_the_lock_is_slept_over() {
    // std's Arc, because loom's looks for its model when it is dropped, and a deadlock ends the model first.
    use std::sync::Arc as StdArc;
    explore(|| {
        let version = StdArc::new(AtomicU64::new(0));
        let hub = StdArc::new((Mutex::new(()), Condvar::new()));
        let writer = {
            let (version, hub) = (StdArc::clone(&version), StdArc::clone(&hub));
            thread::spawn(move || {
                version.store(1, Ordering::Release);
                hub.1.notify_all();
            })
        };
        if version.load(Ordering::Acquire) == 0 {
            drop(hub.1.wait_until(hub.0.lock(), None));
        }
        writer.join().unwrap();
    });
}
