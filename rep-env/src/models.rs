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
mod pipeline;
mod shown;
mod slot;
mod tables;
mod turn;

use crate::sync::{Flaw, set_broken};
pub(crate) use rep_explore::{explore, explore_returns, never};

/// As [`explore`], with a line broken.
pub(crate) fn explore_broken(flaw: Flaw, model: impl Fn() + Send + Sync + 'static) {
    set_broken(Some(flaw));
    explore(model);
}
