//! The `rep` binary: a replicated store for any language, and a demonstration that it survives its master.
//!
//! `serve` runs one member of a group, with a Redis port if asked; `resp` is that port. `status` asks a running member how
//! it is. `demo` runs a whole group, kills masters under load and looks for what was lost.

mod demo;
mod options;
mod print;
mod resp;
mod serve;
mod status;

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
    /// List what can be set, with defaults, bounds and effects
    Options(options::Args),
    /// Ask a running member how it and its group are. Exit code: 0 there is a master, 1 there is none, 2 nobody answers
    Status(status::Args),
}

fn main() -> ExitCode {
    let ended = match Cli::parse().command {
        Command::Demo(args) => demo::run(&args),
        Command::Serve(args) => serve::run(&args),
        Command::Options(args) => options::run(&args),
        Command::Status(args) => status::run(&args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("rep: {error:#}");
        ExitCode::FAILURE
    })
}
