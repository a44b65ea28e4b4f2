//! The one place that chooses between real locks and loom's.
//!
//! Loom explores the tail, which is where threads wait for each other. The table of segments and the disk in
//! memory are locked for one look or one change at a time, wait for nothing, and keep real locks in both worlds.

#[cfg(all(feature = "log", not(rep_loom)))]
mod chosen {
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

#[cfg(all(feature = "log", rep_loom))]
mod chosen {
    pub(crate) use loom::sync::Arc;
    use std::time::Instant;

    pub(crate) type Guard<'a, T> = loom::sync::MutexGuard<'a, T>;

    #[derive(Debug, Default)]
    pub(crate) struct Monitor<T> {
        value: loom::sync::Mutex<T>,
        bell: loom::sync::Condvar,
    }

    impl<T> Monitor<T> {
        pub(crate) fn new(value: T) -> Self {
            Monitor { value: loom::sync::Mutex::new(value), bell: loom::sync::Condvar::new() }
        }

        pub(crate) fn lock(&self) -> Guard<'_, T> {
            self.value.lock().expect("no test poisons a lock")
        }

        pub(crate) fn ring(&self) {
            self.bell.notify_all();
        }

        /// Loom has no clock: a deadline is never reached.
        pub(crate) fn wait<'a>(
            &'a self,
            guard: Guard<'a, T>,
            _deadline: Option<Instant>,
        ) -> (Guard<'a, T>, bool) {
            (self.bell.wait(guard).expect("no test poisons a lock"), false)
        }
    }
}

#[cfg(feature = "log")]
pub(crate) use chosen::{Arc, Guard, Monitor};

#[cfg(feature = "log")]
pub(crate) use parking_lot::{Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// For the set of planted bugs, which the bare words have too.
#[cfg(rep_mutants)]
pub(crate) mod planted {
    pub(crate) use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
}
