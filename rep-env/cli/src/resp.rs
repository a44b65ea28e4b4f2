//! The Redis port: the environment's database `resp`, for any language that has a Redis client.
//!
//! `request` cuts commands out of the bytes that arrive, `command` says what each of them is, `reads` and `writes` carry
//! them out on a view and in a transaction, `multi` several of them at once; `session` runs one client's commands in the order in
//! which they came, its `row` keeps the replies in that order, `reply` says how those look, `failure` what an error means,
//! `scan` remembers where iterations stand. None of these waits for anything: a `front` is a thread that serves
//! many clients (`connection`), sleeps in `poll` until one of them has something to say or its `mailbox` has news, and
//! commits what many of them write together (`batches`). What takes long is left to the `helper`. `memory` is the one budget that
//! all clients share, and `server` starts and ends it all. One rule stands above the rest: **every error reply
//! except `-UNKNOWNOUTCOME` means that the write has no effect, now or later.**

mod batches;
mod command;
mod connection;
mod failure;
mod front;
mod glob;
mod helper;
mod info;
mod looks;
mod mailbox;
mod memory;
mod multi;
mod password;
mod poll;
mod reads;
mod reply;
mod request;
mod scan;
mod server;
mod session;
mod writes;

pub(crate) use password::Password;
pub(crate) use server::{RespConfig, RespServer};

/// The database that the port serves.
pub(crate) const DATABASE: &str = "resp";
/// The attribute by which a member announces where its Redis port is.
pub(crate) const ATTRIBUTE: &str = "resp";
/// The longest value or key taken, in bytes: an entry of the log, with room for its names.
const BULK_BYTES_MAX: usize = (8 << 20) - (64 << 10);
/// The longest reply, in bytes of values: a client may ask for one large value many times in one command.
const REPLY_BYTES_MAX: usize = 64 << 20;
