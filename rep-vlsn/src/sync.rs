//! The one place that chooses between real locks and explored ones.
//!
//! What is explored is the tail, where threads wait for each other, and the table of segments, which readers share with the
//! writer. The disk in memory is locked for one look or one change at a time, waits for nothing, and keeps a real lock.

#[cfg(all(feature = "log", not(any(rep_loom, rep_shuttle))))]
mod real {
    pub(crate) use parking_lot::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    pub(crate) use std::sync::Arc;
    use std::time::Instant;

    pub(crate) type Guard<'a, T> = parking_lot::MutexGuard<'a, T>;

    /// A value behind a lock, and a bell that rings when it changes.
    #[derive(Debug, Default)]
    pub(crate) struct Monitor<T> {
        value: parking_lot::Mutex<T>,
        bell: parking_lot::Condvar,
    }

    impl<T> Monitor<T> {
        pub(crate) fn new(value: T) -> Self {
            Monitor { value: parking_lot::Mutex::new(value), bell: parking_lot::Condvar::new() }
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.value.lock()
        }

        pub(crate) fn ring(&self) {
            self.bell.notify_all();
        }

        /// Waits for the bell; says whether the deadline came first.
        pub(crate) fn wait<'a>(
            &'a self,
            mut guard: Guard<'a, T>,
            deadline: Option<Instant>,
        ) -> (Guard<'a, T>, bool) {
            let late = match deadline {
                Some(at) => self.bell.wait_until(&mut guard, at).timed_out(),
                None => {
                    self.bell.wait(&mut guard);
                    false
                }
            };
            (guard, late)
        }
    }
}

#[cfg(all(feature = "log", any(rep_loom, rep_shuttle)))]
mod explored {
    pub(crate) use rep_explore::{RwLock, RwLockReadGuard, RwLockWriteGuard};
    // Nobody waits for a count of handles. And loom's cannot be dropped by a model that was found to hang, which then dies without
    // a word.
    pub(crate) use std::sync::Arc;
    use std::time::Instant;

    pub(crate) type Guard<'a, T> = rep_explore::MutexGuard<'a, T>;

    #[derive(Debug, Default)]
    pub(crate) struct Monitor<T> {
        value: rep_explore::Mutex<T>,
        bell: rep_explore::Condvar,
    }

    impl<T> Monitor<T> {
        pub(crate) fn new(value: T) -> Self {
            Monitor { value: rep_explore::Mutex::new(value), bell: rep_explore::Condvar::new() }
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.value.lock()
        }

        pub(crate) fn ring(&self) {
            self.bell.notify_all();
        }

        pub(crate) fn wait<'a>(
            &'a self,
            guard: Guard<'a, T>,
            deadline: Option<Instant>,
        ) -> (Guard<'a, T>, bool) {
            self.bell.wait_until(guard, deadline)
        }
    }
}

#[cfg(all(feature = "log", any(rep_loom, rep_shuttle)))]
pub(crate) use explored::{Arc, Guard, Monitor, RwLock, RwLockReadGuard, RwLockWriteGuard};
#[cfg(all(feature = "log", not(any(rep_loom, rep_shuttle))))]
pub(crate) use real::{Arc, Guard, Monitor, RwLock, RwLockReadGuard, RwLockWriteGuard};

#[cfg(feature = "log")]
pub(crate) use parking_lot::{Mutex, MutexGuard};

/// For the set of planted bugs, which the bare words have too.
#[cfg(rep_mutants)]
pub(crate) mod planted {
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
}
