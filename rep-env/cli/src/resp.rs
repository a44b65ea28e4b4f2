//! The Redis port: the environment's database `resp`, for any language that has a Redis client.
//!
//! `request` cuts commands out of the bytes that arrive, `command` says what each of them is, `reads` and `writes` carry
//! them out on a view and in a transaction; `session` runs them in the order in which they came and keeps the replies
//! in that order, `reply` says how those look, `failure` what an error means, `scan` remembers where iterations stand;
//! `connection` is the thread of one client, and `server` accepts them. One rule stands above all: **every error reply
//! except `-UNKNOWNOUTCOME` means that the write has no effect, now or later.**

mod command;
mod connection;
mod failure;
mod glob;
mod info;
mod reads;
mod reply;
mod request;
mod scan;
mod server;
mod session;
mod writes;

pub(crate) use server::{RespConfig, RespServer};

/// The database that the port serves.
pub(crate) const DATABASE: &str = "resp";
/// The attribute by which a member announces where its Redis port is.
pub(crate) const ATTRIBUTE: &str = "resp";
/// The longest value or key taken, in bytes: an entry of the log, with room for its names.
const BULK_BYTES_MAX: usize = (8 << 20) - (64 << 10);
/// The longest reply, in bytes of values: a client may ask for one large value many times in one command.
const REPLY_BYTES_MAX: usize = 64 << 20;
