//! What one thread has at a time, and others wait for until their own deadlines.

use std::time::Instant;

use crate::sync::{Condvar, Mutex, broken};

/// Something that is here, or out with the thread that took it.
#[derive(Debug)]
pub(crate) struct Turn<T> {
    here: Mutex<Option<T>>,
    returned: Condvar,
}

impl<T> Turn<T> {
    pub(crate) fn new(it: T) -> Self {
        Self { here: Mutex::new(Some(it)), returned: Condvar::default() }
    }

    /// Takes it, waiting for whoever has it; none if the deadline passes first.
    pub(crate) fn take(&self, deadline: Instant) -> Option<T> {
        let mut here = self.here.lock();
        let mut passed = false;
        loop {
            // Also after the deadline: who was told that it is here must not leave it to nobody.
            if let Some(it) = here.take() {
                return Some(it);
            }
            if passed {
                return None;
            }
            (here, passed) = self.returned.wait_until(here, Some(deadline));
        }
    }

    /// Brings it back, for the next.
    pub(crate) fn give_back(&self, it: T) {
        *self.here.lock() = Some(it);
        if !broken("turn-comes-in-silence") {
            self.returned.notify_one();
        }
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, explore_returns, never, soon, thread};
    use std::sync::Arc;

    /// Two who each take it once and bring it back, and a third who does the same.
    fn everybody_has_a_turn() {
        let turn = Arc::new(Turn::new(0));
        let others: Vec<_> = (0..2)
            .map(|_| {
                let turn = Arc::clone(&turn);
                thread::spawn(move || {
                    let count: u32 = turn.take(never()).unwrap();
                    turn.give_back(count + 1);
                })
            })
            .collect();
        let count = turn.take(never()).unwrap();
        turn.give_back(count + 1);
        others.into_iter().for_each(|other| other.join().unwrap());
        assert_eq!(turn.take(never()), Some(3), "it was with one at a time");
    }

    #[test]
    fn loom_it_is_with_one_at_a_time_and_comes_to_everybody() {
        explore(everybody_has_a_turn);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_turn_that_comes_in_silence_is_found() {
        break_line("turn-comes-in-silence");
        explore(everybody_has_a_turn);
    }

    #[test]
    fn loom_who_stops_waiting_for_its_turn_leaves_it_to_the_next() {
        explore_returns(|| {
            let turn = Arc::new(Turn::new(()));
            turn.take(never()).unwrap();
            let (impatient, patient) = (Arc::clone(&turn), Arc::clone(&turn));
            let impatient = thread::spawn(move || {
                if impatient.take(soon()).is_some() {
                    impatient.give_back(());
                }
            });
            let patient = thread::spawn(move || {
                patient.take(never()).expect("it comes");
                patient.give_back(());
            });
            turn.give_back(());
            impatient.join().unwrap();
            patient.join().unwrap();
        });
    }
}
