//! Loom: every interleaving of something small.

use crate::clock::{self, Deadline};
use std::cell::Cell;
use std::ops::{Deref, DerefMut};
use std::sync::Arc as Shared;
use std::sync::atomic::{AtomicU64 as Count, Ordering as CountOrdering};
use std::time::Instant;

pub use loom::sync::Arc;
pub use loom::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub use loom::thread;
pub use loom::thread::yield_now;

/// Preemptions of an interleaving, if `LOOM_MAX_PREEMPTIONS` says nothing else.
const PREEMPTIONS: usize = 3;

/// The waits of an execution that [`explore_returns`] lets return unasked, each in a run of its own.
const RETURNS_MAX: u32 = 2;

/// Runs `model` through all its interleavings and says how many those were.
pub fn explore(model: impl Fn() + Send + Sync + 'static) {
    let executions = run(Shared::new(model), None);
    println!("executions: {executions}");
}

/// As [`explore`], and then once more for each of the first waits of an execution: there it returns for no reason, and, if
/// it has a deadline that may come, because that came.
pub fn explore_returns(model: impl Fn() + Send + Sync + 'static) {
    let model = Shared::new(model);
    let injected = (0..RETURNS_MAX).flat_map(|nth| [Unasked::Spurious(nth), Unasked::Late(nth)]);
    let runs = [None].into_iter().chain(injected.map(Some));
    let executions: u64 = runs.map(|unasked| run(Shared::clone(&model), unasked)).sum();
    println!("executions: {executions}");
}

fn run(model: Shared<impl Fn() + Send + Sync + 'static>, unasked: Option<Unasked>) -> u64 {
    let executions = Shared::new(Count::new(0));
    let counting = Shared::clone(&executions);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = builder.preemption_bound.or(Some(PREEMPTIONS));
    builder.check(move || {
        counting.fetch_add(1, CountOrdering::Relaxed);
        clock::reset();
        UNASKED.set(unasked);
        model();
    });
    executions.load(CountOrdering::Relaxed)
}

/// A wait that returns though nobody notified it: the n-th of an execution, or the n-th that has a deadline that may come.
#[derive(Clone, Copy)]
enum Unasked {
    Spurious(u32),
    Late(u32),
}

thread_local! {
    static UNASKED: Cell<Option<Unasked>> = const { Cell::new(None) };
}

/// Counts a wait; whether it is the one that returns unasked.
fn returns_unasked(deadline: &Deadline) -> bool {
    let (next, now) = match (UNASKED.get(), deadline) {
        (Some(Unasked::Spurious(0) | Unasked::Late(0)), Deadline::Soon(_)) => (None, true),
        (Some(Unasked::Spurious(0)), _) => (None, true),
        (Some(Unasked::Spurious(nth)), _) => (Some(Unasked::Spurious(nth - 1)), false),
        (Some(Unasked::Late(nth)), Deadline::Soon(_)) => (Some(Unasked::Late(nth - 1)), false),
        (same, _) => (same, false),
    };
    UNASKED.set(next);
    now
}

/// A lock.
#[derive(Debug, Default)]
pub struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    ///
    /// # Panics
    /// In what is left of a model that has panicked.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        MutexGuard { mutex: self, held: Some(self.0.lock().expect("the model goes on")) }
    }

    /// The lock, if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok().map(|held| MutexGuard { mutex: self, held: Some(held) })
    }
}

/// A lock that is held; it knows which, so that a wait can let it go.
#[derive(Debug)]
pub struct MutexGuard<'a, T> {
    mutex: &'a Mutex<T>,
    held: Option<loom::sync::MutexGuard<'a, T>>,
}

impl<T> MutexGuard<'_, T> {
    /// Lets the lock go, lets others run, and takes it again.
    fn let_go(self) -> Self {
        let mutex = self.mutex;
        drop(self);
        loom::thread::yield_now();
        mutex.lock()
    }
}

impl<T> Deref for MutexGuard<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.held.as_deref().expect("held until it is dropped")
    }
}

impl<T> DerefMut for MutexGuard<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.held.as_deref_mut().expect("held until it is dropped")
    }
}

/// Where threads wait to be notified.
#[derive(Debug, Default)]
pub struct Condvar(loom::sync::Condvar);

impl Condvar {
    /// Nobody waits yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Wakes one.
    pub fn notify_one(&self) {
        self.0.notify_one();
    }

    /// Wakes all.
    pub fn notify_all(&self) {
        self.0.notify_all();
    }

    /// Waits to be notified; true if the deadline came first.
    ///
    /// # Panics
    /// In what is left of a model that has panicked.
    pub fn wait_until<'a, T>(
        &self,
        mut guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let deadline = Deadline::of(deadline);
        if let Deadline::Passed = deadline {
            return (guard.let_go(), true);
        }
        let unasked = UNASKED.get();
        if returns_unasked(&deadline) {
            let guard = guard.let_go();
            return match (unasked, deadline) {
                (Some(Unasked::Late(_)), Deadline::Soon(at)) => {
                    clock::reach(at);
                    (guard, true)
                }
                _ => (guard, false),
            };
        }
        let held = guard.held.take().expect("held until it is dropped");
        guard.held = Some(self.0.wait(held).expect("the model goes on"));
        (guard, false)
    }
}

/// A lock for one writer or many readers.
#[derive(Debug, Default)]
pub struct RwLock<T>(loom::sync::RwLock<T>);

pub use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    ///
    /// # Panics
    /// In what is left of a model that has panicked.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect("the model goes on")
    }

    /// Waits until nobody else reads or writes.
    ///
    /// # Panics
    /// In what is left of a model that has panicked.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect("the model goes on")
    }
}
