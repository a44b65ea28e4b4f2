//! What the transports over sockets share: dialling, taking calls, the Hello, and the channel that comes of it.
//!
//! A transport is what it lays over a connection before the Hello ([`Covering`]): TCP nothing, TLS a session that proves who is
//! at the other end. Everything else, the bounds and the closing included, is the same and lies here.

mod channel;
mod connect;
mod cover;
mod dialling;
mod handshake;
mod listener;
mod reading;
mod writing;

#[cfg(feature = "quic")]
pub(crate) use connect::bind;
pub(crate) use cover::Plain;
#[cfg(feature = "tls")]
pub(crate) use cover::{Cover, Covered, Covering, End, Patience, Side};
pub(crate) use dialling::dial;
#[cfg(feature = "tls")]
pub(crate) use handshake::{HandshakeError, ended};
pub(crate) use listener::{listen, start as listen_on};
#[cfg(feature = "tls")]
pub(crate) use reading::ReadHalf;
#[cfg(feature = "tls")]
pub(crate) use writing::write_all;
