//! The explicit-state model, built for speed and started with the bounds it was asked for.

use crate::run::run_seeing;
use crate::workspace::Workspace;
use std::process::Command;

/// What may be asked of the model.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// Plant each known bug in turn, in a build of its own, and print the table of what found it
    #[arg(long)]
    pub(crate) planted: bool,
    /// Plant this bug first, in a build of its own
    #[arg(long)]
    pub(crate) mutant: Option<String>,
    /// Bounds and the rest go to the model as they are: `-- --help` lists them
    #[arg(last = true)]
    pub(crate) rest: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    run_seeing(&mut command(workspace, args), None, |_| ())
}

fn command(workspace: &Workspace, args: &Args) -> Command {
    let mut cargo = match args.planted || args.mutant.is_some() {
        true => workspace.cargo_with_cfg("rep_mutants", "mutants"),
        false => workspace.cargo(),
    };
    cargo.args(["run", "--quiet", "--release", "--package", "rep-model", "--"]);
    cargo.args(args.planted.then_some("--planted"));
    cargo.args(args.mutant.iter().flat_map(|name| ["--mutant", name]));
    cargo.args(&args.rest);
    cargo
}
