//! What the threads of a node share, at work under many threads at once, by `cargo xtask shuttle`.
//!
//! A model in [`models`](crate::models) is small enough for every interleaving; here many are drawn by chance, of something
//! as large as life. Each promise has a negative twin in which one line of the very same code is
//! [broken](crate::sync::Flaw).

mod commit;
mod credit;
mod helm;
mod node;
mod turn;

use crate::sync::{Flaw, set_broken};
pub(crate) use rep_explore::{explore, join, threads};

/// Sees the scenario fail with `words` when that line is broken.
pub(crate) fn rejects(flaw: Flaw, words: &str, scenario: impl Fn() + Send + Sync + 'static) {
    set_broken(Some(flaw));
    rep_explore::rejects(words, scenario);
}
