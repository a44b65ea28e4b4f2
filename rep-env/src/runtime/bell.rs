//! A bell for those who wait until "something" about the node has changed: they look, listen, and look again.

use crate::sync::{Condvar, Flaw, Mutex, broken};
use std::time::Instant;

/// Rung after each change that somebody may wait for.
#[derive(Debug, Default)]
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
}

#[derive(Debug, Default)]
struct State {
    strokes: u64,
    listening: usize,
}

/// How often the bell had rung when somebody looked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Heard(u64);

impl Bell {
    /// To be asked before looking: what changes after the look will be heard.
    pub(crate) fn heard(&self) -> Heard {
        Heard(self.state.lock().strokes)
    }

    /// Sleeps until the bell rings once more than `heard`; false at the deadline.
    pub(crate) fn wait(&self, heard: Heard, deadline: Instant) -> bool {
        let mut state = self.state.lock();
        let mut late = false;
        while state.strokes == heard.0 {
            if late {
                return false;
            }
            if broken(Flaw::LookThenSleep) {
                drop(state);
                state = self.state.lock();
            }
            state.listening += 1;
            (state, late) = self.rung.wait_until(state, Some(deadline));
            state.listening -= 1;
        }
        true
    }

    pub(crate) fn ring(&self) {
        let mut state = self.state.lock();
        state.strokes += 1;
        let somebody_listens = state.listening > 0;
        drop(state);
        if somebody_listens {
            self.rung.notify_all();
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_stroke_between_look_and_wait_is_heard() {
        let bell = Bell::default();
        let heard = bell.heard();
        assert!(!bell.wait(heard, Instant::now()));
        bell.ring();
        assert!(bell.wait(heard, Instant::now()));
    }
}
