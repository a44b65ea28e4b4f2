#![doc = include_str!("../README.md")]
//!
//! # Where to read on
//!
//! In this order, from what everybody does first to what few ever need:
//!
//! 1. [`RepConfig`] is what can be chosen; [`config::options`] is the same as a table, with units, defaults and bounds.
//! 2. [`ReplicatedEnvironment`] is what can be done.
//! 3. [`WriteTxn`] is how writes come to be, [`CommitHandle`] what becomes of them, [`Durability`] how much has to have
//!    happened before one counts, and what each choice survives.
//! 4. [`Consistency`] is what a read may ask for; a [`View`] is what it gets, and a [`CommitToken`] is how to see one's own writes
//!    anywhere.
//! 5. [`Error`] is what happens instead, and its [`Verdict`] what to do about it.
//! 6. [`Events`] and [`Stats`] are what can be watched; [`admin`] is the same over the wire.
//! 7. [`StateMachine`] is what to implement for a log about something else than databases;
//!    [`open_with`](ReplicatedEnvironment::open_with) opens it, [`replicate`](ReplicatedEnvironment::replicate) feeds it.
//! 8. [`services`] are the application's own, on the node's port.
//! 9. [`shipping`] is for entries that leave the group: an archive, another system.
//! 10. [`recover`] is for the one directory that is left of a group whose quorum is gone for good.
//!
//! [`net`], [`mod@log`] and [`store`] are the crates below, under names that say what they are for here. The threads are in `runtime`, which
//! nobody calls.

pub mod admin;
pub mod commit;
pub mod config;
pub mod environment;
pub mod error;
pub mod events;
mod join;
pub mod member;
pub mod membership;
#[cfg(all(test, rep_loom))]
mod models;
mod orders;
mod questions;
pub mod read;
pub mod recover;
pub mod replicate;
mod runtime;
#[cfg(all(test, rep_shuttle))]
mod scenarios;
pub mod services;
pub mod shipping;
pub mod stats;
mod sync;
pub mod transaction;
mod waiter;

pub use commit::{CommitHandle, CommitToken};
pub use config::{RepConfig, StoreKind};
pub use environment::ReplicatedEnvironment;
pub use error::{Error, Unacknowledged, Verdict};
pub use events::{Event, Events, RestoreEvent, RestoreProgress, StateEvent, StateEvents};
pub use member::Member;
pub use membership::{CatchUp, GroupMember, Joining, MemberUpdate, Membership, NewMember, Stage};
pub use read::{Consistency, ReadHandle};
pub use replicate::ReplicateHandle;
pub use shipping::{ShipProblem, Shipping};
pub use stats::{ReplicaStats, Stats};
pub use transaction::{TxnRange, WriteTxn};

pub use rep_fsm::NodeState;
pub use rep_net as net;
pub use rep_node::{Acks, Durability, MemberType, NotChanged, Quorums};
pub use rep_store as store;
pub use rep_store::{Database, Databases, StateMachine, View};
pub use rep_vlsn as log;
pub use rep_vlsn::{GroupId, LogPoint, NodeId, SyncClass, Term, Vlsn};
