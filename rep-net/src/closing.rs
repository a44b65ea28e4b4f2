//! Whether a listener is closed, for those who pause between two attempts.

use std::time::Instant;

use crate::sync::{Condvar, Mutex, broken};

/// Set once, when nobody is to go on; whoever pauses hears of it at once.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    begun: Mutex<bool>,
    told: Condvar,
}

impl Closing {
    /// Nobody goes on from now on; whoever pauses is woken.
    pub(crate) fn begin(&self) {
        *self.begun.lock() = true;
        if !broken("closing-begins-in-silence") {
            self.told.notify_all();
        }
    }

    pub(crate) fn has_begun(&self) -> bool {
        *self.begun.lock()
    }

    /// Pauses until then; true, and no later than that, if the closing has begun.
    pub(crate) fn pause(&self, until: Instant) -> bool {
        let mut begun = self.begun.lock();
        let mut passed = false;
        while !*begun && !passed {
            (begun, passed) = self.told.wait_until(begun, Some(until));
        }
        *begun
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, explore_returns, never, soon, thread};
    use std::sync::Arc;

    /// Two acceptors pause after a failed accept, each as long as it can, while the listener is closed.
    fn all_who_pause_end() {
        let closing = Arc::new(Closing::default());
        let acceptors = [(); 2].map(|()| {
            let closing = Arc::clone(&closing);
            thread::spawn(move || closing.pause(never()))
        });
        closing.begin();
        for acceptor in acceptors {
            assert!(acceptor.join().unwrap(), "nothing else ends its pause");
        }
    }

    #[test]
    fn loom_a_close_ends_every_pause() {
        explore(all_who_pause_end);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_close_that_begins_in_silence_is_paused_over() {
        break_line("closing-begins-in-silence");
        explore(all_who_pause_end);
    }

    #[test]
    fn loom_whoever_tries_again_after_a_pause_was_not_closed_before_it() {
        explore_returns(|| {
            let closing = Arc::new(Closing::default());
            let acceptor = Arc::clone(&closing);
            let acceptor = thread::spawn(move || acceptor.pause(soon()) || acceptor.has_begun());
            closing.begin();
            acceptor.join().unwrap();
            assert!(closing.pause(never()), "a pause that comes later is none");
        });
    }
}
