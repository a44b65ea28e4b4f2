//! The one place that knows whether locks are real or explored.
//!
//! Under `--cfg rep_loom` the lock and the condition variable are loom's, which runs a test through every order in which threads could
//! have met. `Arc` and the atomics stay the standard library's: what is modelled (the queue) keeps all of its state
//! under one lock and uses atomics for nothing.

pub(crate) use imp::{Condvar, Mutex, MutexGuard};
pub(crate) use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(not(rep_loom))]
mod imp {
    use std::time::Instant;

    pub(crate) use parking_lot::{Mutex, MutexGuard};

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        /// Waits to be notified, or until `deadline`; whether it passed. May wake for no reason.
        pub(crate) fn wait<'a, T>(
            &self,
            _mutex: &'a Mutex<T>,
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

#[cfg(rep_loom)]
mod imp {
    use std::time::Instant;

    pub(crate) use loom::sync::MutexGuard;

    #[derive(Debug, Default)]
    pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

    impl<T> Mutex<T> {
        pub(crate) fn new(value: T) -> Self {
            Self(loom::sync::Mutex::new(value))
        }

        pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
            self.0.lock().expect("no thread panics while it holds the lock")
        }

        pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
            self.0.try_lock().ok()
        }
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(loom::sync::Condvar);

    impl Condvar {
        /// Loom knows no time. A wait with a deadline is one that always times out, before or after whatever the other
        /// threads do meanwhile; one without waits to be notified.
        pub(crate) fn wait<'a, T>(
            &self,
            mutex: &'a Mutex<T>,
            guard: MutexGuard<'a, T>,
            deadline: Option<Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            if deadline.is_some() {
                drop(guard);
                loom::thread::yield_now();
                return (mutex.lock(), true);
            }
            (self.0.wait(guard).expect("no thread panics while it holds the lock"), false)
        }

        pub(crate) fn notify_one(&self) {
            self.0.notify_one();
        }

        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }
    }
}
