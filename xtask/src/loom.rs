//! The concurrency models: every interleaving of a small piece, within a bound of preemptions.

mod models;

use crate::explore::{Explorer, Order};
use crate::run::Tally;
use crate::workspace::Workspace;
use anyhow::Context;
use std::time::Duration;

const LOOM: Explorer =
    Explorer { prefix: "loom_", list: "xtask/src/loom/models.rs", models: models::MODELS };

/// The bound for which the least numbers of interleavings were taken; with a lower one there are fewer.
const BOUND_OF_RECORD: u32 = 3;

/// What may be asked of the models.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the models whose name contains this
    #[arg(long)]
    pub(crate) filter: Option<String>,
    /// How many preemptions an interleaving may have
    #[arg(long, default_value_t = BOUND_OF_RECORD)]
    pub(crate) bound: u32,
    /// Kill the models if they have not ended after this many minutes, building included
    #[arg(long, default_value_t = 30.0)]
    pub(crate) minutes: f64,
}

impl Args {
    /// All models, with that bound.
    pub(crate) fn all(bound: u32) -> Self {
        Self { filter: None, bound, minutes: 30.0 }
    }
}

pub(crate) fn run(workspace: &Workspace, args: &Args, tally: &mut Tally) -> anyhow::Result<()> {
    let cargo = || {
        let mut cargo = workspace.cargo_with_cfg("rep_loom", "loom");
        cargo.env("LOOM_MAX_PREEMPTIONS", args.bound.to_string());
        cargo
    };
    let order = Order {
        filter: args.filter.as_deref(),
        limit: Duration::try_from_secs_f64(args.minutes * 60.0).context("--minutes")?,
        counts: args.bound >= BOUND_OF_RECORD,
        cargo: &cargo,
    };
    let seen = LOOM.run(workspace, &order, tally)?;
    let executions: u64 = seen.values().sum();
    println!(
        "loom: {} models, at most {} preemptions, {executions} interleavings",
        seen.len(),
        args.bound
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_model_is_listed_once_by_a_name_that_says_so() {
        super::LOOM.check_names();
    }
}
