//! The one place that knows whether locks are real or explored: parking_lot and std, or loom's under `--cfg rep_loom`.
//!
//! What has to be explored is small: the slot that resolves once ([`waiter`](crate::waiter)), the turn, and the credit.

// What is counted or set once orders nothing that a model would have to try.
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

#[cfg(not(rep_loom))]
pub(crate) use real::{Condvar, Mutex, MutexGuard};

#[cfg(rep_loom)]
pub(crate) use model::{Condvar, Mutex, MutexGuard};

#[cfg(not(rep_loom))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    use std::time::Instant;

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
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

#[cfg(rep_loom)]
mod model {
    pub(crate) use loom::sync::MutexGuard;
    use std::time::Instant;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("a model that panicked has ended")
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// In a model a deadline is always past: what matters is that a wait *without* one never sleeps for ever.
        pub(crate) fn wait_until<'a, T>(
            &self,
            guard: MutexGuard<'a, T>,
            deadline: Option<Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            match deadline {
                Some(_) => (guard, true),
                None => (self.0.wait(guard).expect("a model that panicked has ended"), false),
            }
        }
    }
}
