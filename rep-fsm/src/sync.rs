//! The only file that names locks, atomics and reference counts: std and parking_lot, or rep-explore's under `--cfg rep_loom` and
//! `--cfg rep_shuttle`, so that the explorers see every operation of a [`StateCell`](crate::StateCell).

#[cfg(not(any(rep_loom, rep_shuttle)))]
pub(crate) use real::{Arc, AtomicU64, Condvar, Mutex, Ordering, broken, yield_now};
#[cfg(any(rep_loom, rep_shuttle))]
pub(crate) use rep_explore::{Arc, AtomicU64, Condvar, Mutex, Ordering, broken, yield_now};

#[cfg(not(any(rep_loom, rep_shuttle)))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::hint::spin_loop as yield_now;
    pub(crate) use std::sync::Arc;
    pub(crate) use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::Instant;

    /// Whether a negative twin leaves this line out; here none ever does.
    pub(crate) const fn broken(_line: &str) -> bool {
        false
    }

    #[derive(Debug)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn new() -> Self {
            Self(parking_lot::Condvar::new())
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// Waits for a notification; true if the deadline came first. Wakes without cause now and then.
        pub(crate) fn wait_until<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            deadline: Option<Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            let late = match deadline {
                Some(deadline) => self.0.wait_until(&mut guard, deadline).timed_out(),
                None => {
                    self.0.wait(&mut guard);
                    false
                }
            };
            (guard, late)
        }
    }
}
