//! What `chaos` is where there is no Linux.

use crate::steps::Outcome;
use crate::workspace::Workspace;

/// What may be asked of `chaos`: anything, to be told that it cannot be done.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<String>,
}

impl Args {
    pub(crate) fn all() -> Args {
        Args { rest: Vec::new() }
    }
}

pub(crate) fn run(_: &Workspace, _: &Args) -> anyhow::Result<Outcome> {
    Ok(Outcome::Skipped("needs Linux: its namespaces, loop devices and ext4".to_owned()))
}
