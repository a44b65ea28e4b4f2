//! The simulator, built for speed and started with the arguments it was asked for.

use crate::run::run_seeing;
use crate::tidy::Tree;
use crate::workspace::Workspace;
use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// What may be asked of the simulator.
#[derive(Clone, Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// How many seeds to run
    #[arg(long)]
    pub(crate) seeds: Option<u64>,
    /// The first seed
    #[arg(long)]
    pub(crate) seed: Option<String>,
    /// Stop after this many minutes, whatever is left
    #[arg(long)]
    pub(crate) minutes: Option<f64>,
    /// Play a scene instead of the swarm: je, healthy, rejoin, partial, outputs, arbiter, designated, relay, churn, kill, freeze
    #[arg(long)]
    pub(crate) scene: Option<String>,
    /// No fault at all: loaded groups, none of which may elect a second master
    #[arg(long)]
    pub(crate) healthy: bool,
    /// Virtual hours of each healthy group, or of the scene churn (1)
    #[arg(long)]
    pub(crate) hours: Option<f64>,
    /// Plant this bug first, in a build of its own
    #[arg(long)]
    pub(crate) mutant: Option<String>,
    /// Seconds that may be spent on making a failing seed small (60; with a planted bug or a scene 0)
    #[arg(long)]
    pub(crate) shrink: Option<f64>,
    /// Play the case in this file instead of seeds
    #[arg(long)]
    pub(crate) replay: Option<String>,
    /// Tell what the seeds have met, with the probes in the code: a build of its own
    #[arg(long)]
    pub(crate) coverage: bool,
    /// Anything else goes to the simulator as it is
    #[arg(last = true)]
    pub(crate) rest: Vec<String>,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    run_seeing(&mut command(workspace, args), None, |_| ())
}

/// As [`run`], killed when it takes far longer than asked: a simulator that hangs has found something too.
pub(crate) fn run_within(
    workspace: &Workspace,
    args: &Args,
    limit: Duration,
) -> anyhow::Result<()> {
    run_seeing(&mut command(workspace, args), Some(limit), |_| ())
}

/// The command that runs the simulator with these arguments.
pub(crate) fn command(workspace: &Workspace, args: &Args) -> Command {
    let mut cargo = match &args.mutant {
        Some(_) => workspace.cargo_with_cfg("rep_mutants", "mutants"),
        None if args.coverage => workspace.cargo_with_cfg("rep_coverage", "coverage"),
        None => workspace.cargo(),
    };
    cargo.args(["run", "--quiet", "--release", "--package", "rep-sim", "--bin", "rep-sim", "--"]);
    let option = |name: &str, value: Option<String>| value.map(|value| [name.to_owned(), value]);
    cargo.args(option("--seeds", args.seeds.map(|seeds| seeds.to_string())).into_iter().flatten());
    cargo.args(option("--seed", args.seed.clone()).into_iter().flatten());
    cargo.args(
        option("--minutes", args.minutes.map(|minutes| minutes.to_string())).into_iter().flatten(),
    );
    cargo.args(option("--scene", args.scene.clone()).into_iter().flatten());
    cargo.args(args.healthy.then_some("--healthy"));
    cargo.args(option("--hours", args.hours.map(|hours| hours.to_string())).into_iter().flatten());
    cargo.args(option("--mutant", args.mutant.clone()).into_iter().flatten());
    cargo.args(option("--replay", args.replay.clone()).into_iter().flatten());
    cargo.args(
        option("--shrink", args.shrink.map(|seconds| seconds.to_string())).into_iter().flatten(),
    );
    cargo.args(args.coverage.then_some("--coverage"));
    // What is found is kept, where the tests play it again; of planted bugs only what was made small.
    if args.mutant.is_none() || args.shrink.is_some() {
        cargo.args(["--save", CORPUS]);
    }
    cargo.args(&args.rest);
    cargo
}

/// Where cases are kept.
pub(crate) const CORPUS: &str = "rep-env/sim/corpus";

/// A first seed that nobody has run yet. It is printed with the command, so what it finds can be run again.
pub(crate) fn fresh_seed() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // Seconds, far apart: the seeds that follow it belong to this run alone.
    since.as_secs() * 1_000_000
}

/// The first seed of these sources: a change of the simulator, or of anything that runs in it, brings seeds that nobody has run yet, and one
/// tree plays the same ones wherever it is tested, so that it passes twice or fails twice.
pub(crate) fn seed_of(tree: &Tree) -> u64 {
    let packages = made_of(tree, "rep-sim");
    let folders: Vec<String> = packages.iter().map(|dir| format!("{dir}/src/")).collect();
    let ours = |path: &str| folders.iter().any(|folder| path.starts_with(folder.as_str()));
    // Directories are read in no order of their own.
    let sources: BTreeMap<_, _> = tree
        .rust()
        .filter(|source| ours(&source.path))
        .map(|source| (&source.path, &source.text))
        .collect();
    let mut hasher = DefaultHasher::new();
    sources.hash(&mut hasher);
    // A million apart, as those of the clock, and printed as shortly.
    (hasher.finish() >> 32) * 1_000_000
}

/// The folders of a package and of all packages of ours that it leans on.
fn made_of(tree: &Tree, name: &str) -> BTreeSet<String> {
    let mut folders = BTreeSet::new();
    let mut names = vec![name];
    while let Some(name) = names.pop() {
        let Some(package) = tree.packages.iter().find(|package| package.name == name) else {
            continue;
        };
        if folders.insert(package.dir.clone()) {
            names.extend(package.dependencies.iter().map(String::as_str));
        }
    }
    folders
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Package;

    fn tree(node: &str, unrelated: &str) -> Tree {
        let mut tree =
            Tree::of(&[("env/node/src/lib.rs", node), ("env/cli/src/main.rs", unrelated)]);
        let package = |name: &str, dir: &str, dependencies: &[&str]| Package {
            name: name.to_owned(),
            dir: dir.to_owned(),
            dependencies: dependencies.iter().map(|it| (*it).to_owned()).collect(),
        };
        tree.packages = vec![
            package("rep-sim", "env/sim", &["rep-node", "serde"]),
            package("rep-node", "env/node", &["rep-node"]),
            package("rep-cli", "env/cli", &["rep-node"]),
        ];
        tree
    }

    #[test]
    fn seeds_change_with_what_runs_in_the_simulator_and_with_nothing_else() {
        let seed = seed_of(&tree("one", "a"));
        assert_eq!(seed, seed_of(&tree("one", "b")));
        assert_ne!(seed, seed_of(&tree("two", "a")));
    }
}
