#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`Operation`] is what a history is made of and [`Model`] what an object does; [`check`] searches for an order (`wgl`), within
//! a [`Budget`]. [`Register`] and [`Kv`] are models. `unique`, `log`, `list`, `set` and `session` need no search.
//! [`minimize()`] finds what a bad history is bad for, [`timeline`] draws it. [`judge()`] does all that for
//! [`Entry`] by entry, as `jsonl` reads them (a feature, on by default).

mod chain;
mod entry;
mod error;
#[cfg(feature = "jsonl")]
pub mod jsonl;
mod judge;
mod kv;
mod list;
mod log;
mod minimize;
mod model;
mod operation;
mod register;
mod session;
mod set;
pub mod timeline;
mod unique;
mod value;
mod verdict;
mod wgl;

pub use entry::{Call, Entry, Outcome};
pub use error::{HistoryError, Problem};
pub use judge::{Counterexample, Judgement, ModelKind, judge};
pub use kv::{Kv, KvOp};
pub use list::{ListAnomaly, ListOp, check_list};
pub use log::{LogAnomaly, LogOp, check_log};
pub use minimize::{Smallest, minimize};
pub use model::{Effect, Model};
pub use operation::{Moment, Operation};
pub use register::{Register, RegisterOp};
pub use session::{Access, Broken, Guarantee, SessionStep, check_sessions};
pub use set::{SetOp, SetReport, check_set};
pub use unique::{NotApplicable, RegisterAnomaly, check_unique_register};
pub use value::Value;
pub use verdict::{BYTES_MAX_DEFAULT, Budget, GaveUp, STATES_MAX_DEFAULT, Verdict};
pub use wgl::check;
