//! The one place that knows whether locks are real or explored.
//!
//! Under `--cfg rep_loom` and `--cfg rep_shuttle` the lock and the condition variable are rep-explore's, so that a test is run
//! through every order, or through many orders, in which threads could have met. `Arc` and the atomics stay the standard
//! library's: what is explored (the queue, turns, cuts, endpoints of a mesh, a listener's close and its workers, and of QUIC the outbox, the pool, what is waited for) keeps all of its state under
//! locks and uses atomics for nothing.

// What is set once, counted or flagged orders nothing that a model would have to try: nobody waits for it but under a lock.
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

#[cfg(not(any(rep_loom, rep_shuttle)))]
pub(crate) use real::{Condvar, Mutex, MutexGuard, broken};
#[cfg(any(rep_loom, rep_shuttle))]
pub(crate) use rep_explore::{Condvar, Mutex, MutexGuard, broken};

#[cfg(not(any(rep_loom, rep_shuttle)))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    use std::time::Instant;

    /// Whether a model leaves that line out: never here.
    pub(crate) const fn broken(_line: &str) -> bool {
        false
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        /// Waits to be notified, or until `deadline`; whether it passed. May wake for no reason.
        pub(crate) fn wait_until<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            deadline: Option<Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            let timed_out = match deadline {
                Some(deadline) => self.0.wait_until(&mut guard, deadline).timed_out(),
                None => {
                    self.0.wait(&mut guard);
                    false
                }
            };
            (guard, timed_out)
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
