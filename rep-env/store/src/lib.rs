#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`state_machine`] is the seam and its contract; [`write_set`] is what an entry says; [`databases`]
//! is the built-in machine, [`view`] what its readers see; [`overlay`] lets write transactions
//! pipeline. Engines lie behind a private trait: [`memory`](Databases::memory) and, with the
//! features `redb` and `fjall`, a file and a directory.

mod digest;
mod engine;
#[cfg(feature = "fjall")]
mod fjall;
mod memory;
#[cfg(feature = "redb")]
mod redb;

#[cfg(feature = "contract")]
pub mod contract;
pub mod databases;
pub mod error;
pub mod overlay;
pub mod snapshot;
pub mod state_machine;
pub mod view;
pub mod write_set;

pub use databases::{Databases, Reader};
pub use digest::Digest;
pub use error::StoreError;
pub use memory::MemoryHome;
pub use overlay::{Overlay, Pending, Seq};
pub use state_machine::{Entry, Snapshot, StateMachine};
pub use view::View;
pub use write_set::{Database, WriteSet};
