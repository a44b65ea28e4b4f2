//! The `rep` binary: a replicated store for any language, and a demonstration that it survives its master.
//!
//! `serve` runs one member of a group, with a Redis port if asked; `resp` is that port. `status` and `ping` ask a running
//! member how it is, `log` looks at what one that does not run has left. `certs` makes the certificates that members know each
//! other by. `bench` measures a running group. `demo` runs a whole group, kills masters under load and looks for what was lost.

mod bench;
#[cfg(feature = "tls")]
mod certs;
mod client;
mod copy;
mod demo;
mod log;
mod members;
mod options;
mod orders;
mod ping;
mod print;
mod recover;
mod resp;
mod serve;
mod status;
mod trust;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Replication that survives its master.
#[derive(Debug, Parser)]
#[command(name = "rep", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Start a group, kill its master under load twice, and look whether anything was lost
    Demo(demo::Args),
    /// Run one member of a group until SIGTERM or SIGINT
    Serve(Box<serve::Args>),
    /// Ask a running member whether it is there, and how fast it answers. Exit code: 0 it answered, 2 it did not
    Ping(ping::Args),
    /// Look at the log of a member that does not run. Exit code: 0 it is whole, 1 it is damaged, 2 it cannot be looked at
    Log(log::Args),
    /// Write to a running group and print rates and latencies beside what this machine needs for a sync and a round trip
    Bench(bench::Args),
    #[cfg(feature = "tls")]
    Certs(certs::Args),
    /// Hand the mastership over to another member. Exit code: 0 it is done, 1 it is not
    TransferMaster(orders::TransferArgs),
    /// Stop every member of a group, once all of them hold the same. Exit code: 0 it is done, 1 it is not
    ShutdownGroup(orders::ShutdownArgs),
    /// List who belongs to a group. Exit code: 0 they are listed, 1 they are not
    Members(members::ListArgs),
    /// Make a running node a member of a group, and wait until it is. Exit code: 0 it is, 1 it is not, or not yet
    Add(members::AddArgs),
    /// Remove a member from its group. Exit code: 0 it is done, 1 it is not
    Remove(members::RemoveArgs),
    /// Record where a member listens from now on, or how much it is preferred as master. Exit code: 0 it is done, 1 it is not
    UpdateMember(members::UpdateArgs),
    /// Set how many voters promise a master and sync an entry. Exit code: 0 it is done, 1 it is not
    SetQuorums(members::QuorumsArgs),
    /// Replace a member's copy of the state by that of another member, and wait until it is in place. Exit code: 0 it is (with --no-wait: it
    /// has begun), 1 it is not
    Restore(copy::RestoreArgs),
    /// Go on from one member's directory when a quorum is gone for good. Exit code: 0 it is done, 1 it is not
    Recover(recover::Args),
    /// List what can be set, with defaults, bounds and effects
    Options(options::Args),
    /// Ask a running member how it and its group are. Exit code: 0 there is a master, 1 there is none, 2 nobody answers
    Status(status::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Ping(args) => ping::run(&args),
        Command::Log(args) => Ok(log::run(&args)),
        Command::Bench(args) => bench::run(&args),
        #[cfg(feature = "tls")]
        Command::Certs(args) => Ok(certs::run(&args)),
        Command::TransferMaster(args) => orders::transfer(&args),
        Command::ShutdownGroup(args) => orders::shut_down(&args),
        Command::Members(args) => members::list(&args),
        Command::Add(args) => members::add(&args),
        Command::Remove(args) => members::remove(&args),
        Command::UpdateMember(args) => members::update(&args),
        Command::SetQuorums(args) => members::set_quorums(&args),
        Command::Restore(args) => copy::restore(&args),
        Command::Recover(args) => recover::run(&args),
        Command::Options(args) => options::run(&args),
        Command::Status(args) => status::run(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("rep: {error:#}");
        ExitCode::FAILURE
    })
}
