//! The concurrency scenarios: what is too large for loom, run through many interleavings drawn at random.
//!
//! Half of them are drawn by chance alone; half have few preemptions, at moments chosen by chance. A schedule that failed is
//! kept in a file, from which it can be run again.

mod scenarios;

use crate::explore::{Explorer, Order};
use crate::run::Tally;
use crate::sim::fresh_seed;
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use std::path::PathBuf;
use std::time::Duration;

const SHUTTLE: Explorer = Explorer {
    prefix: "shuttle_",
    list: "xtask/src/shuttle/scenarios.rs",
    models: scenarios::SCENARIOS,
};

/// The iterations for which the least numbers of executions were taken.
const ITERATIONS_OF_RECORD: usize = 2_000;

/// Iterations of each scenario in a night.
pub(crate) const NIGHTLY_ITERATIONS: usize = 20_000;

/// What may be asked of the scenarios.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the scenarios whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// How many interleavings of each to draw
    #[arg(long, default_value_t = ITERATIONS_OF_RECORD)]
    iterations: usize,
    /// What to draw them from; by default a seed that nobody has used yet
    #[arg(long)]
    seed: Option<u64>,
    /// Kill the scenarios if they have not ended after this many minutes, building included
    #[arg(long, default_value_t = 30.0)]
    minutes: f64,
    /// Run the schedule in this file, of the one scenario that --filter names
    #[arg(long)]
    replay: Option<PathBuf>,
}

impl Args {
    /// All scenarios, so many interleavings of each.
    pub(crate) fn all(iterations: usize) -> Self {
        Self { filter: None, iterations, seed: None, minutes: 60.0, replay: None }
    }
}

pub(crate) fn run(workspace: &Workspace, args: &Args, tally: &mut Tally) -> anyhow::Result<()> {
    if args.replay.is_some() && args.filter.is_none() {
        bail!("--replay runs one scenario: name it with --filter");
    }
    let replay = args.replay.as_ref().map(|file| file.canonicalize().context("--replay"));
    let replay = replay.transpose()?;
    let schedules = workspace.target.join("shuttle/schedules");
    if replay.is_none() {
        let _ = std::fs::remove_dir_all(&schedules);
    }
    std::fs::create_dir_all(&schedules)?;
    let seed = args.seed.unwrap_or_else(fresh_seed);
    println!("shuttle: cargo xtask shuttle --iterations {} --seed {seed}", args.iterations);
    let cargo = || {
        let mut cargo = workspace.cargo_with_cfg("rep_shuttle", "shuttle");
        cargo.env("REP_SHUTTLE_ITERATIONS", args.iterations.to_string());
        cargo.env("REP_SHUTTLE_SEED", seed.to_string()).env("REP_SHUTTLE_SCHEDULES", &schedules);
        cargo.envs(replay.iter().map(|file| ("REP_SHUTTLE_REPLAY", file)));
        cargo
    };
    let order = Order {
        filter: args.filter.as_deref(),
        limit: Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?,
        counts: replay.is_none() && args.iterations >= ITERATIONS_OF_RECORD,
        cargo: &cargo,
    };
    let seen = SHUTTLE.run(workspace, &order, tally).with_context(|| {
        "to run a schedule again: cargo xtask shuttle --filter NAME --replay the file named above"
    })?;
    let executions: u64 = seen.values().sum();
    println!("shuttle: {} scenarios, seed {seed}, {executions} executions", seen.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_scenario_is_listed_once_by_a_name_that_says_so() {
        super::SHUTTLE.check_names();
    }
}
