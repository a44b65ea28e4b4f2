//! Small models of what the threads of a node share, run through every order in which those could have met, by
//! `cargo xtask loom`.
//!
//! The clock stands still here: a deadline has passed already or never comes, so a wait that only its deadline would end
//! is found as a deadlock. Each promise has a negative twin in which one line of the very same code is
//! [broken](crate::sync::Flaw).

mod bell;
mod board;
mod commit;
mod credit;
mod slot;
mod turn;

use crate::sync::{Flaw, now, set_broken};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Runs `model` through all its interleavings and says how many those were.
pub(crate) fn explore(model: impl Fn() + Send + Sync + 'static) {
    let executions = std::sync::Arc::new(AtomicU64::new(0));
    let counting = std::sync::Arc::clone(&executions);
    loom::model(move || {
        counting.fetch_add(1, Ordering::Relaxed);
        model();
    });
    println!("executions: {}", executions.load(Ordering::Relaxed));
}

/// As [`explore`], with a line broken.
pub(crate) fn explore_broken(flaw: Flaw, model: impl Fn() + Send + Sync + 'static) {
    set_broken(Some(flaw));
    explore(model);
}

/// A deadline that never comes.
fn never() -> Instant {
    now() + Duration::from_secs(3600)
}
