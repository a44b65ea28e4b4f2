//! The concurrency models: every interleaving of a small piece, within a bound of preemptions.
//!
//! A model that was renamed, or lost its `#[test]`, passes by not being run. So all models stand in [`MODELS`]: one that
//! is listed and did not run is a failure, and so is one that ran and is not listed. Models named `loom_twin_*` are
//! negative twins: the same idea with one ordering or lock left out, which the checker has to reject.

use crate::run::{Tally, run_seeing};
use crate::workspace::Workspace;
use anyhow::{Context, bail};
use std::collections::BTreeSet;

/// What may be asked of the models.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run only the models whose name contains this
    #[arg(long)]
    pub(crate) filter: Option<String>,
    /// How many preemptions an interleaving may have
    #[arg(long, default_value_t = 3)]
    pub(crate) bound: u32,
}

struct Models {
    package: &'static str,
    binary: &'static str,
    names: &'static [&'static str],
}

const MODELS: &[Models] = &[
    Models {
        package: "rep-env",
        binary: "loom_helm",
        names: &[
            "loom_a_close_meets_a_driver_and_the_watch_ends",
            "loom_news_is_driven_whoever_brings_it_and_the_watch_ends",
            "loom_twin_looking_and_then_leaving_loses_news",
            "loom_what_is_handed_over_is_driven_by_the_watch",
            "loom_who_waits_for_room_is_served_by_the_watch",
        ],
    },
    Models {
        package: "rep-fsm",
        binary: "loom_state_cell",
        names: &[
            "loom_a_reader_never_goes_back",
            "loom_a_reader_sees_whole_values_while_the_ring_goes_around",
            "loom_a_subscriber_is_woken_and_ends",
            "loom_a_waiter_never_sleeps_past_the_last_value",
            "loom_once_a_demotion_returned_nobody_told_of_it_sees_the_master",
            "loom_the_twin_ring_with_its_orderings_is_whole",
            "loom_twin_a_version_compared_outside_the_lock_is_slept_over",
            "loom_twin_words_loaded_relaxed_are_torn",
            "loom_twin_words_stored_relaxed_are_torn",
            "loom_two_writers_leave_one_story_for_a_subscriber",
        ],
    },
    Models {
        package: "rep-net",
        binary: "loom_queue",
        names: &[
            "loom_a_fill_meets_a_close_and_the_item_is_somewhere",
            "loom_a_full_producer_wakes_on_close_and_has_its_item_back",
            "loom_a_full_producer_wakes_when_room_is_made",
            "loom_a_place_given_back_wakes_who_waits_for_it",
            "loom_a_producer_that_gives_up_holds_up_nobody",
            "loom_a_reserved_place_is_filled_though_the_lane_is_full",
            "loom_close_wakes_every_consumer_and_loses_nothing",
            "loom_nothing_is_lost_and_each_producer_keeps_its_order",
            "loom_twin_a_close_that_wakes_one_is_found",
            "loom_twin_a_push_that_wakes_nobody_is_found",
            "loom_twin_a_quitter_that_stays_in_the_row_is_found",
            "loom_twin_looking_and_then_waiting_is_found",
            "loom_twin_room_that_wakes_one_producer_is_found",
        ],
    },
    Models {
        package: "rep-vlsn",
        binary: "loom_tail",
        names: &[
            "loom_a_reader_that_waits_for_an_entry_is_woken_by_it_or_by_the_end",
            "loom_a_write_begun_before_a_cut_does_not_count_as_written_after_it",
            "loom_a_writer_that_waits_is_woken_by_what_is_staged_and_by_the_end",
            "loom_twin_a_writer_that_asks_for_the_epoch_afterwards_loses_an_entry",
        ],
    },
];

pub(crate) fn run(workspace: &Workspace, args: &Args, tally: &mut Tally) -> anyhow::Result<()> {
    let unlisted = unlisted_binaries(workspace)?;
    if !unlisted.is_empty() {
        bail!(
            "test binaries of models that xtask/src/loom.rs does not list: {}",
            unlisted.join(", ")
        );
    }
    let mut ran = 0;
    for models in MODELS {
        ran += run_binary(workspace, models, args, tally)
            .with_context(|| format!("models of {}", models.package))?;
    }
    if ran == 0 {
        bail!("no model has {:?} in its name", args.filter);
    }
    println!("loom: {ran} models, at most {} preemptions", args.bound);
    Ok(())
}

fn run_binary(
    workspace: &Workspace,
    models: &Models,
    args: &Args,
    tally: &mut Tally,
) -> anyhow::Result<usize> {
    let filter = args.filter.as_deref().unwrap_or_default();
    let expected: BTreeSet<_> =
        models.names.iter().copied().filter(|name| name.contains(filter)).collect();
    if expected.is_empty() {
        return Ok(0);
    }
    let mut cargo = workspace.cargo_with_cfg("rep_loom", "loom");
    cargo
        .env("CARGO_PROFILE_RELEASE_DEBUG_ASSERTIONS", "true")
        .env("LOOM_MAX_PREEMPTIONS", args.bound.to_string());
    cargo.args([
        "test",
        "--release",
        "--all-features",
        "-p",
        models.package,
        "--test",
        models.binary,
    ]);
    cargo.args(["--", "--test-threads=2", filter]);
    let mut seen = BTreeSet::new();
    run_seeing(&mut cargo, None, |line| {
        tally.count(line);
        seen.extend(passed_model(line).map(str::to_owned));
    })?;
    compare(&expected, &seen)?;
    Ok(seen.len())
}

/// The name in a line such as `test loom_x - should panic ... ok`.
fn passed_model(line: &str) -> Option<&str> {
    line.strip_prefix("test ")?.strip_suffix(" ... ok")?.split(' ').next()
}

fn compare(expected: &BTreeSet<&str>, seen: &BTreeSet<String>) -> anyhow::Result<()> {
    let missing: Vec<_> = expected.iter().filter(|name| !seen.contains(**name)).copied().collect();
    let unlisted: Vec<_> =
        seen.iter().filter(|name| !expected.contains(name.as_str())).cloned().collect();
    if !missing.is_empty() || !unlisted.is_empty() {
        bail!(
            "listed in xtask/src/loom.rs but not run: {missing:?}; run but not listed: {unlisted:?}"
        );
    }
    Ok(())
}

/// Every `tests/loom_*.rs` that [`MODELS`] does not know.
fn unlisted_binaries(workspace: &Workspace) -> anyhow::Result<Vec<String>> {
    let mut unlisted = Vec::new();
    for package in &workspace.packages {
        let Ok(entries) = workspace.root.join(&package.dir).join("tests").read_dir() else {
            continue;
        };
        for entry in entries {
            let file = entry?.file_name().to_string_lossy().into_owned();
            let Some(binary) = file.strip_suffix(".rs").filter(|name| name.starts_with("loom_"))
            else {
                continue;
            };
            if !MODELS
                .iter()
                .any(|models| models.package == package.name && models.binary == binary)
            {
                unlisted.push(format!("{}/tests/{file}", package.dir));
            }
        }
    }
    Ok(unlisted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_that_did_not_run_and_one_that_nobody_listed_are_failures() {
        let expected = BTreeSet::from(["loom_a", "loom_b"]);
        let seen = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect();
        assert!(compare(&expected, &seen(&["loom_a", "loom_b"])).is_ok());
        assert!(compare(&expected, &seen(&["loom_a"])).is_err());
        assert!(compare(&expected, &seen(&["loom_a", "loom_b", "loom_c"])).is_err());
    }

    #[test]
    fn only_models_that_passed_count_as_run() {
        assert_eq!(passed_model("test loom_a ... ok"), Some("loom_a"));
        assert_eq!(passed_model("test loom_a - should panic ... ok"), Some("loom_a"));
        assert_eq!(passed_model("test loom_a ... FAILED"), None);
        assert_eq!(passed_model("test loom_a ... ignored"), None);
    }
}
