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
    /// Explore a smaller world with the model's shortcuts and without, and compare what the rules look at
    #[arg(long)]
    pub(crate) shortcuts: bool,
    /// Bounds and the rest go to the model as they are: `-- --help` lists them
    #[arg(last = true)]
    pub(crate) rest: Vec<String>,
}

/// As large as is gone through without shortcuts in a minute.
const COMPARED: &[&str] = &["--compare", "--terms", "2", "--entries", "0", "--crashes", "0"];

impl Args {
    /// Whether the shortcuts hide anything.
    pub(crate) fn shortcuts() -> Self {
        Args { shortcuts: true, ..Args::default() }
    }
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
    cargo.args(if args.shortcuts { COMPARED } else { &[] });
    cargo.args(&args.rest);
    cargo
}
