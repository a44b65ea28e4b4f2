//! Planted bugs, for finding out whether the tests would find real ones.
//!
//! A site asks `mutant!("name")`; under `--cfg rep_mutants` it is true once the name was enabled, and
//! in every other build it is the constant `false`. The set belongs to the process: a test that
//! enables a bug runs in a process of its own, or with nothing beside it.

use crate::sync::planted::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::collections::BTreeSet;

static PLANTED: OnceLock<Mutex<BTreeSet<String>>> = OnceLock::new();

fn planted() -> MutexGuard<'static, BTreeSet<String>> {
    PLANTED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Plants the bug `name`, from now on, for this process.
pub fn enable(name: &str) {
    planted().insert(name.to_owned());
}

/// Takes every planted bug out again.
pub fn disable_all() {
    planted().clear();
}

/// Whether the bug `name` is planted.
pub fn on(name: &str) -> bool {
    planted().contains(name)
}
