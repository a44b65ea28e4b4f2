#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`message`] and [`handshake`] are what is said; `syncup` finds where two logs part; [`feeder`] and
//! [`replica`] are the two ends; [`window`] and [`acks`] are leaves. [`config`] and [`error`] hold the
//! settings and the ways to fail; `wire` holds the bytes. [`restore`] is for those whom no stream reaches any more; [`segments`] leave the group.

pub mod acks;
pub mod config;
pub mod error;
pub mod feeder;
pub mod handshake;
pub mod message;
pub mod replica;
pub mod restore;
pub mod segments;
pub mod window;

mod syncup;
mod wire;

pub use acks::{AckTable, RolledBackImage, commit_point};
pub use config::{FeederConfig, ReplicaConfig};
pub use error::{Breach, CloseReason, ConfigError, PeerError};
pub use feeder::{Feeder, FeederFacts, FeederOutput, FeederStats, Progress, SendFailed};
pub use handshake::{Handshake, RefuseReason, SyncUp};
pub use message::{BatchHeader, Connection, FeederMessage, ReplicaMessage};
pub use replica::{Replica, ReplicaFacts, ReplicaOutput, ReplicaStats};
pub use window::Window;
