#![doc = include_str!("../README.md")]

#[cfg(all(rep_loom, rep_shuttle))]
compile_error!("one explorer at a time");

#[cfg(any(rep_loom, rep_shuttle))]
mod clock;
#[cfg(rep_loom)]
#[path = "loom.rs"]
mod explorer;
#[cfg(rep_shuttle)]
#[path = "shuttle.rs"]
mod explorer;
#[cfg(any(rep_loom, rep_shuttle))]
mod flaw;

#[cfg(any(rep_loom, rep_shuttle))]
pub use clock::{never, now, soon};
#[cfg(any(rep_loom, rep_shuttle))]
mod tasks;

#[cfg(any(rep_loom, rep_shuttle))]
pub use explorer::*;
#[cfg(any(rep_loom, rep_shuttle))]
pub use flaw::{break_line, broken};
#[cfg(any(rep_loom, rep_shuttle))]
pub use tasks::block_on;
