#![doc = include_str!("../README.md")]
//!
//! # Modules, in reading order
//!
//! [`channel`] is the contract, [`transport`] how channels come to be, [`service`] who answers on a port, [`hello`] and
//! [`frame`] what is on the wire (both pure), [`mem`] and [`tcp`] the transports, [`queue`] the one bounded queue that
//! sits under the memory channels and under the loops of those who use this crate. `contract` (feature `contract`) is the suite that
//! every channel passes, yours included.

pub mod channel;
#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod frame;
pub mod hello;
pub mod limits;
pub mod mem;
pub mod queue;
pub mod service;
mod sync;
pub mod tcp;
pub mod transport;
mod workers;

pub use bytes::Bytes;
pub use channel::{Channel, Peer, TrySent};
pub use error::{DialError, FrameError, HelloError, NetError, ServiceError};
pub use hello::{Hello, RefuseReason, Versions};
pub use limits::Limits;
pub use service::{Host, ServiceHandler, ServiceTable};
pub use tcp::TcpTransport;
pub use transport::{Address, Listener, Transport};
