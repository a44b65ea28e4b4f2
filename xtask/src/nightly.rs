//! What is too long for `ci`: more interleavings, hours of simulation, every planted bug, undefined behaviour, real faults.
//!
//! A step that cannot be run here says SKIPPED and makes the whole fail: a night without a check is not a green night.

use crate::run::{Tally, run_counting};
use crate::steps::{Outcome, Step, minutes, run_all};
use crate::workspace::Workspace;
use crate::{chaos, fuzz, loom, miri, model, mutants, sanitize, shuttle, sim, tidy};
use std::time::Duration;

/// What may be asked of `nightly`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How long to simulate
    #[arg(long, default_value_t = 360.0)]
    sim_minutes: f64,
}

pub(crate) fn run(workspace: &Workspace, args: &Args) -> anyhow::Result<()> {
    let sim_minutes = args.sim_minutes;
    run_all(vec![
        step("tidy", minutes(1), "cargo xtask tidy", move |_| done(tidy::run(workspace))),
        step("tests", minutes(20), "cargo xtask test --release", move |tally| {
            done(tests(workspace, tally))
        }),
        step("restore", minutes(15), RESTORE, move |tally| done(restore(workspace, tally))),
        step("loom", minutes(40), "cargo xtask loom --bound 4", move |tally| {
            done(models(workspace, tally))
        }),
        step(
            "shuttle",
            minutes(20),
            "the `cargo xtask shuttle` line printed above",
            move |tally| {
                done(shuttle::run(
                    workspace,
                    &shuttle::Args::all(shuttle::NIGHTLY_ITERATIONS),
                    tally,
                ))
            },
        ),
        step("model", minutes(15), "cargo xtask model", move |_| {
            done(model::run(workspace, &model::Args::default()))
        }),
        step("shortcuts", minutes(5), "cargo xtask model --shortcuts", move |_| {
            done(model::run(workspace, &model::Args::shortcuts()))
        }),
        step("mutants", minutes(60), "cargo xtask mutants", move |_| {
            done(mutants::run(workspace, &mutants::Args::default()))
        }),
        step("coverage", minutes(20), "cargo xtask sim --coverage --seeds 10000", move |_| {
            done(coverage(workspace))
        }),
        step(
            "churn",
            minutes(40),
            "cargo xtask sim --scene churn --hours 1 --seeds 200",
            move |_| done(churn(workspace)),
        ),
        step(
            "miri",
            minutes(30),
            "cargo xtask miri --filter the suite that failed",
            move |tally| miri::run(workspace, &miri::Args::default(), tally),
        ),
        step(
            "sanitize",
            minutes(15),
            "cargo xtask sanitize --filter the suite that failed",
            move |tally| sanitize::run(workspace, &sanitize::Args::default(), tally),
        ),
        step("chaos", minutes(90), "cargo xtask chaos", move |_| {
            chaos::run(workspace, &chaos::Args::all())
        }),
        step(
            "fuzz",
            minutes(10)
                + Duration::from_secs_f64(60.0 * fuzz::NIGHTLY_MINUTES)
                    * fuzz::NIGHTLY_TARGETS as u32,
            "cargo xtask fuzz --target the one that failed",
            move |_| fuzz::run_nightly(workspace),
        ),
        step(
            "sim",
            Duration::from_secs_f64(60.0 * sim_minutes),
            "the `cargo xtask sim` line printed above",
            move |_| done(simulate(workspace, sim_minutes)),
        ),
    ])
}

fn step<'a>(
    name: &'static str,
    budget: Duration,
    again: &str,
    work: impl FnMut(&mut Tally) -> anyhow::Result<Outcome> + 'a,
) -> Step<'a> {
    Step { name, budget, again: again.to_owned(), work: Box::new(work) }
}

fn done(outcome: anyhow::Result<()>) -> anyhow::Result<Outcome> {
    outcome.map(|()| Outcome::Done)
}

/// Optimised, and with ten times the random cases.
fn tests(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.env("PROPTEST_CASES", "2560").env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true");
    // A target directory of its own, or every optimised build after it would start over.
    cargo.env("CARGO_TARGET_DIR", workspace.target.join("nightly"));
    run_counting(
        cargo.args(["test", "--workspace", "--all-features", "--release", "--no-fail-fast"]),
        tally,
    )
}

/// What a group of processes does at its full size, and as often as a middle wants.
const RESTORE: &str = "REP_RESTORE_MIB=2048 REP_TRANSFERS=20 cargo test --release -p rep-cli --test processes -- --nocapture a_source_that under_load";

fn restore(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    let mut cargo = workspace.cargo();
    cargo.env("REP_RESTORE_MIB", "2048").env("REP_TRANSFERS", "20");
    cargo.args(["test", "--release", "--package", "rep-cli", "--test", "processes", "--"]);
    run_counting(cargo.args(["--nocapture", "a_source_that", "under_load"]), tally)
}

fn models(workspace: &Workspace, tally: &mut Tally) -> anyhow::Result<()> {
    loom::run(workspace, &loom::Args::all(4), tally)
}

fn simulate(workspace: &Workspace, minutes: f64) -> anyhow::Result<()> {
    let args = sim::Args {
        seeds: Some(u64::MAX >> 1),
        seed: Some(sim::fresh_seed().to_string()),
        minutes: Some(minutes),
        ..sim::Args::default()
    };
    sim::run(workspace, &args)
}

/// Groups that live for years: an hour each, none of which may outgrow its disk.
fn churn(workspace: &Workspace) -> anyhow::Result<()> {
    let args = sim::Args {
        seeds: Some(200),
        seed: Some(sim::fresh_seed().to_string()),
        scene: Some("churn".to_owned()),
        hours: Some(1.0),
        ..sim::Args::default()
    };
    sim::run(workspace, &args)
}

/// Enough seeds to have met everything, or the worlds are too tame.
fn coverage(workspace: &Workspace) -> anyhow::Result<()> {
    let args = sim::Args { seeds: Some(10_000), coverage: true, ..sim::Args::default() };
    sim::run(workspace, &args)
}
