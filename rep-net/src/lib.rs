#![doc = include_str!("../README.md")]
//!
//! # Modules, in reading order
//!
//! [`channel`] is the contract, [`transport`] how channels come to be, [`service`] who answers on a port, [`hello`] and
//! [`frame`] what is on the wire (both pure), [`identity`] what certificates say, [`mem`], [`tcp`], `tls` and `quic` (features of those names) the transports, [`queue`] the one bounded queue that
//! sits under the memory channels and under the loops of those who use this crate. [`fault`] is bad weather around any of them, and `contract` (feature `contract`) the suite that
//! every channel passes, yours included.

mod calling;
pub mod channel;
mod closing;
#[cfg(feature = "contract")]
pub mod contract;
pub mod error;
pub mod fault;
pub mod frame;
pub mod hello;
pub mod identity;
pub mod limits;
pub mod mem;
pub mod mesh;
pub mod queue;
#[cfg(feature = "quic")]
pub mod quic;
mod seats;
pub mod service;
mod socket;
mod sync;
pub mod tcp;
#[cfg(feature = "tls")]
pub mod tls;
pub mod transport;
mod turn;
mod workers;

pub use bytes::Bytes;
pub use channel::{Channel, Peer, TrySent};
pub use error::{
    CertificateFault, DialError, FrameError, HelloError, NetError, ServiceError, TlsError,
};
pub use hello::{Hello, RefuseReason, Versions};
pub use identity::Identity;
pub use limits::Limits;
#[cfg(feature = "quic")]
pub use quic::QuicTransport;
pub use service::{Host, ServiceHandler, ServiceTable};
pub use tcp::TcpTransport;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsTransport};
pub use transport::{Address, Listener, Transport};
