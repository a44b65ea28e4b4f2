//! `rep log`: what a member's log holds, read from its directory while nobody has it open.

mod dump;
mod verify;

use anyhow::Context;
use rep_env::log::{FileDisk, OpenError};
use std::path::Path;
use std::process::ExitCode;

/// An entry that was synced cannot be read.
const DAMAGED: u8 = 1;
/// The directory cannot be looked at.
const CANNOT: u8 = 2;

/// Look at the log in a member's home directory, or in a folder that is shipped to. The directory is locked meanwhile, and nothing in it is changed: what a
/// crash has left is still there afterwards. Exit code: 0 the log is whole, 1 it is damaged, 2 it cannot be looked at
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Print the entries, one a line
    Dump(dump::Args),
    /// Read and check every entry, mark and cell
    Verify(verify::Args),
}

pub(crate) fn run(args: &Args) -> ExitCode {
    let ended = match &args.command {
        Command::Dump(args) => dump::run(args),
        Command::Verify(args) => verify::run(args),
    };
    ended.unwrap_or_else(|error| {
        eprintln!("rep: {error:#}");
        ExitCode::from(CANNOT)
    })
}

fn open(dir: &Path) -> anyhow::Result<FileDisk> {
    let disk = FileDisk::open_read_only(dir)
        .with_context(|| format!("cannot look at {}", dir.display()))?;
    if !dir.join("log").is_dir() {
        anyhow::bail!(
            "{} holds no log: it is no member's home directory, nor a folder that is shipped to",
            dir.display()
        );
    }
    Ok(disk)
}

/// Whether this says that the log is damaged, and not that it could not be looked at.
fn is_damage(error: &OpenError) -> bool {
    use rep_env::log::CellError;
    matches!(error, OpenError::Damaged { .. } | OpenError::Cell(CellError::Damaged { .. }))
}
