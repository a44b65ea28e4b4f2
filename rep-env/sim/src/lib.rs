#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! `world` is the loop (`counts` its numbers) over `machine`s, `driver` what the threads of a real process do, `network`, `disk`, `clock` and `process` the
//! things under it, `archive` what entries are shipped to; `swarm` draws a world, `faults` breaks it, `workload` uses it; `oracle`, `history` and `recording` judge it; [`run`]
//! is one seed, [`report`] what a failure says (and [`build`] of which program), [`mod@case`] and [`mod@shrink`] make it
//! short and keep it, `passenger` lets a state machine of yours ride
//! along, [`planted`] the bugs that we planted, [`script`] whole groups as text.

mod archive;
pub mod build;
pub mod case;
mod clock;
mod counts;
pub mod coverage;
mod disk;
mod driver;
mod faults;
#[cfg(test)]
mod fires;
mod front;
mod history;
mod machine;
mod network;
pub mod oracle;
mod passenger;
pub mod planted;
mod process;
mod recording;
pub mod report;
mod rng;
pub mod run;
pub mod scenario;
mod schedule;
pub mod script;
pub mod shrink;
pub mod swarm;
mod trace;
mod workload;
mod world;

pub use build::Build;
pub use case::{Case, CaseError};
pub use counts::Counts;
pub use oracle::{Class, Invariant, Violation};
pub use passenger::run_seed_with;
pub use rep_store::contract::Subject;
pub use report::Failure;
pub use run::{Outcome, run_seed, run_seed_twice};
pub use swarm::Swarm;
pub use trace::Detail;
