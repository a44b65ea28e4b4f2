//! Everything that has to pass before a change lands, in the order in which it fails fastest.
//!
//! Stable Rust and cargo's own subcommands only, under thirty minutes on two cold cores. What takes longer is `nightly`'s.

use crate::run::{Tally, run_seeing};
use crate::steps::{Outcome, Step, minutes, run_all};
use crate::workspace::Workspace;
use crate::{loom, sim, suites, tidy};
use anyhow::{bail, ensure};
use std::process::Command;
use std::time::Duration;

/// What may be asked of `ci`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only these steps (fmt, tidy, clippy, tests, alone, docs, loom, sim, demo)
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
}

/// No command may take longer than this: what hangs is killed, and said to have hung.
const COMMAND_LIMIT: Duration = minutes(20);

const SIM_MINUTES: u64 = 3;

/// More than three minutes can hold: the time is the bound.
const SIM_SEEDS: u64 = 100_000;

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let mut steps = steps(workspace);
    if let Some(unknown) =
        args.only.iter().find(|name| steps.iter().all(|step| step.name != **name))
    {
        bail!("there is no step {unknown:?}");
    }
    steps.retain(|step| args.only.is_empty() || args.only.iter().any(|name| name == step.name));
    run_all(steps)
}

type Work = fn(&Workspace, &mut Tally) -> anyhow::Result<()>;

pub(crate) fn steps(workspace: &Workspace) -> Vec<Step<'_>> {
    let rows: [(&'static str, Duration, &str, Work); 9] = [
        ("fmt", minutes(1), "cargo fmt --all", fmt),
        ("tidy", minutes(1), "cargo xtask tidy", |workspace, _| tidy::run(workspace)),
        (
            "clippy",
            minutes(5),
            "cargo clippy --workspace --all-targets --all-features -- -D warnings",
            clippy,
        ),
        ("tests", minutes(8), "cargo xtask test", tests),
        ("alone", minutes(4), "cargo xtask ci --only alone", alone),
        ("docs", minutes(3), "cargo xtask ci --only docs", docs),
        ("loom", minutes(4), "cargo xtask loom", models),
        ("sim", minutes(SIM_MINUTES + 2), "the `cargo xtask sim` line printed above", simulate),
        ("demo", minutes(3), "cargo rep demo", demo),
    ];
    let step = |(name, budget, again, work): (&'static str, Duration, &str, Work)| Step {
        name,
        budget,
        again: again.to_owned(),
        work: Box::new(move |tally| work(workspace, tally).map(|()| Outcome::Done)),
    };
    rows.into_iter().map(step).collect()
}

fn limited(command: &mut Command, tally: &mut Tally) -> anyhow::Result<()> {
    run_seeing(command, Some(COMMAND_LIMIT), |line| tally.count(line))
}

fn fmt(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    limited(workspace.cargo().args(["fmt", "--all", "--check"]), tally)
}

fn clippy(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args([
        "clippy",
        "--workspace",
        "--all-targets",
        "--all-features",
        "--",
        "-D",
        "warnings",
    ]);
    limited(&mut cargo, tally)
}

/// Without the doc tests, which are built apart in any case and belong to `docs`.
fn tests(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--all-features"]);
    cargo.args(["--lib", "--bins", "--tests", "--examples"]);
    suites::run(cargo, COMMAND_LIMIT, tally)
}

/// Each crate has a use without the rest, so each has to build without what the rest would switch on. By clippy, because
/// `check` alone has no way to refuse the warnings of one crate without building all that it leans on anew.
fn alone(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    for package in workspace.packages.iter().filter(|package| package.name != "xtask") {
        for features in [&["--no-default-features"][..], &[], &["--all-features"]] {
            let mut cargo = workspace.cargo();
            cargo.args(["clippy", "--quiet", "--package", &package.name]).args(features);
            cargo.args(["--", "-D", "warnings"]);
            limited(&mut cargo, tally)?;
        }
    }
    nothing_unasked_for(workspace)
}

/// Channels have to be had without a runtime and without any cryptography.
fn nothing_unasked_for(workspace: &Workspace) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    let tree =
        cargo.args(["tree", "-p", "rep-net", "-e", "normal", "--prefix", "none"]).output()?;
    ensure!(tree.status.success(), "cargo tree: {}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8_lossy(&tree.stdout);
    for crate_name in ["tokio", "rustls", "ring", "quinn"] {
        let has = tree.lines().any(|line| line.split(' ').next() == Some(crate_name));
        ensure!(!has, "rep-net brings {crate_name} along though nobody asked for it");
    }
    Ok(())
}

fn docs(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings").args([
        "doc",
        "--workspace",
        "--no-deps",
        "--all-features",
    ]);
    limited(&mut cargo, tally)?;
    let mut cargo = workspace.cargo();
    cargo.env("RUSTDOCFLAGS", "-D warnings").args([
        "test",
        "--doc",
        "--workspace",
        "--all-features",
        "--no-fail-fast",
    ]);
    limited(&mut cargo, tally)
}

fn models(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    loom::run(workspace, &loom::Args::all(3), tally)
}

/// Seeds that no other tree has run: the same ones each time would be a test of yesterday's bugs, and other ones each time would let a change
/// pass here and fail there. What is found without a change is the business of `nightly`.
fn simulate(workspace: &Workspace, _: &mut Tally) -> anyhow::Result<()> {
    let args = sim::Args {
        seeds: Some(SIM_SEEDS),
        seed: Some(sim::seed_of(&tidy::Tree::read(workspace)?).to_string()),
        minutes: Some(SIM_MINUTES as f64),
        ..sim::Args::default()
    };
    sim::run_within(workspace, &args, COMMAND_LIMIT)
}

fn demo(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    for transport in ["tcp", "quic", "memory"] {
        let mut cargo = workspace.cargo();
        cargo.args(["run", "--quiet", "--release", "--package", "rep-cli", "--bin", "rep", "--"]);
        limited(cargo.args(["demo", "--json", "--transport", transport]), tally)?;
    }
    Ok(())
}
