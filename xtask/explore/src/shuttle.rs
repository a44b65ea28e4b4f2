//! Shuttle: many interleavings of something large, drawn at random, each of which can be had again.

use crate::clock::{self, Deadline};
use shuttle::rand::{Rng, thread_rng};
use shuttle::scheduler::{PctScheduler, RandomScheduler, ReplayScheduler, Scheduler};
use shuttle::{Config, FailurePersistence, MaxSteps, Runner};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU8, AtomicUsize as Count};
use std::time::Instant;

pub use shuttle::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
pub use shuttle::thread;
pub use shuttle::thread::yield_now;
pub use std::sync::Arc;

/// Executions of a scenario, if `REP_SHUTTLE_ITERATIONS` says nothing else.
const ITERATIONS: usize = 1000;

/// Preemptions that the second scheduler spends, at moments that it has chosen before.
const PCT_DEPTH: usize = 3;

/// A thread of a scenario runs code that was written for real stacks.
const STACK_BYTES: usize = 512 << 10;

/// Steps of an execution, at most. One that takes more waits for something that never comes.
const STEPS_MAX: usize = 200_000;

/// One wait in so many returns for no reason.
const SPURIOUS_ONE_IN: u32 = 8;

/// Steps that a deadline is ahead of a wait, at most.
const SOON_STEPS_MAX: u32 = 24;

/// Runs `scenario` many times and says how often: half of them by chance alone, half with few preemptions at moments chosen
/// by chance. What is named by `REP_SHUTTLE_REPLAY` is run instead, if it is.
///
/// # Panics
/// As the scenario does; the schedule is in a file then, or printed.
pub fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let scenario = Arc::new(scenario);
    if let Some(file) = env::var_os("REP_SHUTTLE_REPLAY") {
        let schedule = ReplayScheduler::new_from_file(PathBuf::from(file));
        println!("executions: {}", run(schedule.expect("a schedule"), &scenario));
        return;
    }
    let (seed, half) = (number("SEED", 0) as u64, number("ITERATIONS", ITERATIONS).div_ceil(2));
    let random = run(RandomScheduler::new_from_seed(seed, half), &scenario);
    let few = run(PctScheduler::new_from_seed(seed, PCT_DEPTH, half), &scenario);
    println!("executions: {}", random + few);
}

/// Runs one schedule that failed once.
///
/// # Panics
/// As it did.
pub fn replay(schedule: &str, scenario: impl Fn() + Send + Sync + 'static) {
    run(ReplayScheduler::new_from_encoded(schedule), &Arc::new(scenario));
}

/// Sees a broken `scenario` fail with `words` within as many executions as a whole one gets; says how many it took.
///
/// # Panics
/// If it does not fail, or with other words.
pub fn rejects(words: &str, scenario: impl Fn() + Send + Sync + 'static) {
    let begun = Arc::new(Count::new(0));
    let counting = Arc::clone(&begun);
    let ended = catch_unwind(AssertUnwindSafe(|| {
        explore(move || {
            counting.fetch_add(1, Ordering::Relaxed);
            scenario();
        });
    }));
    let payload = ended.expect_err("what is broken was not found");
    let said = payload.downcast_ref::<String>().map(String::as_str);
    let said = said.or(payload.downcast_ref::<&str>().copied()).unwrap_or_default();
    assert!(said.contains(words), "it failed, but of {said:?}");
    println!("executions: {}", begun.load(Ordering::Relaxed));
}

/// As many threads as that, each of which is told its number.
pub fn threads<T: Send + 'static>(
    count: usize,
    run: impl Fn(usize) -> T + Clone + Send + 'static,
) -> Vec<thread::JoinHandle<T>> {
    let start = |number| {
        let run = run.clone();
        thread::spawn(move || run(number))
    };
    (0..count).map(start).collect()
}

/// What each of them returned.
///
/// # Panics
/// If one did.
pub fn join<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads.into_iter().map(|thread| thread.join().expect("a thread panicked")).collect()
}

/// A number drawn anew in each execution, and the same again when its schedule is run again.
pub fn random() -> u64 {
    thread_rng().r#gen()
}

fn run<F: Fn() + Send + Sync + 'static>(
    scheduler: impl Scheduler + 'static,
    scenario: &Arc<F>,
) -> usize {
    let scenario = Arc::clone(scenario);
    Runner::new(scheduler, config()).run(move || {
        clock::reset();
        scenario();
    })
}

fn config() -> Config {
    let mut config = Config::new();
    config.stack_size = STACK_BYTES;
    config.max_steps = MaxSteps::FailAfter(STEPS_MAX);
    // That its atomics are sequentially consistent is known; orderings are loom's to look at.
    config.silence_warnings = true;
    config.failure_persistence = match env::var_os("REP_SHUTTLE_SCHEDULES") {
        Some(folder) => FailurePersistence::File(Some(PathBuf::from(folder))),
        None => FailurePersistence::Print,
    };
    config
}

fn number(name: &str, otherwise: usize) -> usize {
    let given = env::var(format!("REP_SHUTTLE_{name}")).ok();
    given.map_or(otherwise, |number| number.parse().expect("a number"))
}

/// A lock.
#[derive(Debug, Default)]
pub struct Mutex<T>(shuttle::sync::Mutex<T>);

impl<T> Mutex<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::Mutex::new(value))
    }

    /// Waits for the lock.
    ///
    /// # Panics
    /// In what is left of a scenario that has panicked.
    pub fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("the scenario goes on")
    }

    /// The lock, if it is free.
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        self.0.try_lock().ok()
    }
}

pub use shuttle::sync::MutexGuard;

/// Where threads wait to be notified.
#[derive(Debug)]
pub struct Condvar(Arc<shuttle::sync::Condvar>);

impl Default for Condvar {
    fn default() -> Self {
        Self(Arc::new(shuttle::sync::Condvar::new()))
    }
}

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

    /// Waits to be notified; true if the deadline came first. Now and then it returns for no reason.
    ///
    /// # Panics
    /// In what is left of a scenario that has panicked.
    pub fn wait_until<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        deadline: Option<Instant>,
    ) -> (MutexGuard<'a, T>, bool) {
        let deadline = Deadline::of(deadline);
        let alarm = match deadline {
            Deadline::Passed => Some(Alarm::set(&self.0, 0, clock::now())),
            Deadline::Soon(at) => {
                Some(Alarm::set(&self.0, thread_rng().gen_range(0..SOON_STEPS_MAX), at))
            }
            Deadline::Never if thread_rng().gen_ratio(1, SPURIOUS_ONE_IN) => {
                Some(Alarm::set(&self.0, 0, clock::now()))
            }
            Deadline::Never => None,
        };
        let guard = self.0.wait(guard).expect("the scenario goes on");
        let rang = alarm.is_some_and(|alarm| alarm.stop());
        (guard, rang && !matches!(deadline, Deadline::Never))
    }
}

/// Ends a wait after some steps. As it notifies all who wait, it gives others a return for no reason as well.
struct Alarm(Arc<AtomicU8>);

const SET: u8 = 0;
const RINGING: u8 = 1;
const STOPPED: u8 = 2;

impl Alarm {
    fn set(bell: &Arc<shuttle::sync::Condvar>, steps: u32, at: Instant) -> Alarm {
        let state = Arc::new(AtomicU8::new(SET));
        let (bell, alarm) = (Arc::clone(bell), Alarm(Arc::clone(&state)));
        shuttle::thread::spawn(move || {
            (0..steps).for_each(|_| yield_now());
            if state.load(Ordering::Relaxed) == SET {
                state.store(RINGING, Ordering::Relaxed);
                clock::reach(at);
            }
            // Again and again: the one whom it is for may be about to wait.
            while state.load(Ordering::Relaxed) != STOPPED {
                bell.notify_all();
                yield_now();
            }
        });
        alarm
    }

    /// The wait is over; whether it was by this.
    fn stop(self) -> bool {
        self.0.swap(STOPPED, Ordering::Relaxed) == RINGING
    }
}

/// A lock for one writer or many readers.
#[derive(Debug, Default)]
pub struct RwLock<T>(shuttle::sync::RwLock<T>);

pub use shuttle::sync::{RwLockReadGuard, RwLockWriteGuard};

impl<T> RwLock<T> {
    /// A lock around `value`.
    pub fn new(value: T) -> Self {
        Self(shuttle::sync::RwLock::new(value))
    }

    /// Waits until nobody writes.
    ///
    /// # Panics
    /// In what is left of a scenario that has panicked.
    pub fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect("the scenario goes on")
    }

    /// Waits until nobody else reads or writes.
    ///
    /// # Panics
    /// In what is left of a scenario that has panicked.
    pub fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect("the scenario goes on")
    }
}
