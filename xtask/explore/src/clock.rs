//! Time that moves only because somebody waited for it.
//!
//! All threads of an exploration are run by the thread that began it, so each exploration has a clock of its own.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// A deadline that is further ahead never comes.
const HORIZON: Duration = Duration::from_secs(30 * 60);

thread_local! {
    static AHEAD: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// The present moment.
pub fn now() -> Instant {
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    *BEGAN.get_or_init(Instant::now) + AHEAD.get()
}

/// A deadline that may come before or after whatever else happens.
pub fn soon() -> Instant {
    now() + Duration::from_secs(1)
}

/// A deadline that never comes.
pub fn never() -> Instant {
    now() + 2 * HORIZON
}

/// When a wait ends that nobody ends.
pub(crate) enum Deadline {
    Passed,
    Soon(Instant),
    Never,
}

impl Deadline {
    pub(crate) fn of(deadline: Option<Instant>) -> Deadline {
        let now = now();
        match deadline {
            Some(deadline) if deadline <= now => Deadline::Passed,
            Some(deadline) if deadline - now < HORIZON => Deadline::Soon(deadline),
            Some(_) | None => Deadline::Never,
        }
    }
}

/// It is at least so late.
pub(crate) fn reach(deadline: Instant) {
    AHEAD.set(AHEAD.get() + deadline.saturating_duration_since(now()));
}

pub(crate) fn reset() {
    AHEAD.set(Duration::ZERO);
}
