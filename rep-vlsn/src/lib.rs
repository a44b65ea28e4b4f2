#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`ids`] names the places, [`history`] says which node opened which term where, [`record`] and
//! [`batch`] are the bytes, [`view`] is what the protocol cores borrow.

pub mod history;
pub mod ids;

#[cfg(feature = "log")]
pub mod batch;
#[cfg(feature = "log")]
pub mod record;
#[cfg(feature = "log")]
pub mod view;

pub use history::{History, HistoryError, Matchpoint, TermStart};
pub use ids::{Epoch, GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};

#[cfg(feature = "log")]
pub use batch::{Batch, BatchError};
#[cfg(feature = "log")]
pub use record::{Draft, Flags, Kind, Record, RecordError, RecordHeader, SyncClass};
#[cfg(feature = "log")]
pub use view::LogView;
