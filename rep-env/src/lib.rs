#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`config`] says what can be chosen, [`environment`] what can be done; [`transaction`] how writes come to be,
//! [`commit`] and [`read`] what they and reads promise; [`error`] what to do when a promise cannot be kept; [`events`] and
//! [`stats`] what can be watched, [`admin`] the same over the wire. `runtime` has the threads.

pub mod admin;
pub mod commit;
pub mod config;
pub mod environment;
pub mod error;
pub mod events;
pub mod member;
#[cfg(all(test, rep_loom))]
mod models;
pub mod read;
pub mod replicate;
mod runtime;
pub mod services;
pub mod stats;
mod sync;
pub mod transaction;
mod waiter;

pub use commit::{CommitHandle, CommitToken};
pub use config::{RepConfig, StoreKind};
pub use environment::ReplicatedEnvironment;
pub use error::{Error, Verdict};
pub use events::{StateEvent, StateEvents};
pub use member::Member;
pub use read::{Consistency, ReadHandle};
pub use replicate::ReplicateHandle;
pub use stats::{ReplicaStats, Stats};
pub use transaction::{TxnRange, WriteTxn};

pub use rep_fsm::NodeState;
pub use rep_net as net;
pub use rep_node::{Acks, Durability};
pub use rep_store as store;
pub use rep_store::{Database, Databases, StateMachine, View};
pub use rep_vlsn as log;
pub use rep_vlsn::{GroupId, LogPoint, NodeId, SyncClass, Term, Vlsn};
