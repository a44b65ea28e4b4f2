#![doc = include_str!("../README.md")]
//!
//! # Reading order
//!
//! [`quorum`] and [`electorate`] say who votes and how many it takes; [`promise`] is what must be durable
//! before it is spoken; [`message`] is what members say; [`ranking`] picks the winner among promisers;
//! [`detector`] tells when a master is late; [`election`] is the core in which they meet, told by
//! [`config`], telling by [`output`]. [`nearest`] stands apart: a pure ranking that grants nothing.

pub mod config;
pub mod detector;
pub mod election;
pub mod electorate;
pub mod error;
pub mod message;
pub mod nearest;
pub mod output;
pub mod promise;
pub mod quorum;
pub mod ranking;
mod rng;

pub use config::ElectionConfig;
pub use detector::Detector;
pub use election::{Election, ElectionStatus, PhaseName, Sender, Standing};
pub use electorate::{Electorate, Voter};
pub use error::{FenceError, PeerError, QuorumError};
pub use message::{Message, Promiser, Reason};
pub use nearest::{ElectionOutcome, elect};
pub use output::{Event, Lost, Output};
pub use promise::Fence;
pub use quorum::{Acks, Needs};
