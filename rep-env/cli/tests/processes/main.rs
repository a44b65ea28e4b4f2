//! The `rep` binary as others meet it: real processes, real signals, a Redis client that is not ours.
//!
//! No test here sleeps for luck; each waits for a condition, with a deadline far beyond what it should take. Tests that
//! start a whole group under load take turns, so that they measure the group and not each other.

mod comes_back;
mod commands;
mod demo;
mod failover;
mod group;
mod line;
mod load;
mod membership;
mod orders;
mod password;
mod recover;
mod restore;
mod settings;
mod shipping;
mod status;
mod strangers;
#[cfg(feature = "tls")]
mod tls;
mod tools;
mod transactions;
