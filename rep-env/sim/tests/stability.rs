//! Groups that are well, and groups that lose their master: what they do, and how long it takes.

use rep_sim::scenario::{Failover, run_churn, run_healthy, run_scene};
use rep_sim::{Detail, Outcome};
use std::time::Duration;

fn play(name: &str, seeds: u64) -> Vec<Outcome> {
    let run = |seed| run_scene(name, seed, Detail::Hash).unwrap_or_else(|why| panic!("{why}"));
    (0..seeds).map(run).collect()
}

fn failovers(name: &str, seeds: u64) -> Vec<Failover> {
    play(name, seeds)
        .into_iter()
        .map(|outcome| outcome.failover.expect("it was measured"))
        .collect()
}

/// `cargo xtask sim --healthy --hours 1` plays an hour to each.
#[test]
fn a_loaded_group_that_is_well_elects_once() {
    for seed in 0..8 {
        let outcome = run_healthy(seed, Duration::from_secs(40), Detail::Hash);
        let outcome = outcome.unwrap_or_else(|why| panic!("{why}"));
        assert_eq!(outcome.counts.elections, 1, "seed {seed}");
        assert!(outcome.counts.acked > 50, "seed {seed} was no load: {:?}", outcome.counts);
    }
}

/// `cargo xtask sim --scene churn --hours 1 --seeds 200` plays an hour to each.
#[test]
fn members_come_and_go_and_no_log_outgrows_its_bound() {
    for seed in 0..6 {
        let outcome = run_churn(seed, Duration::from_secs(600), Detail::Hash);
        let counts = outcome.unwrap_or_else(|why| panic!("{why}")).counts;
        let moved = [counts.wipes, counts.restored, counts.changed, counts.cleanings];
        assert!(moved.iter().all(|count| *count > 0), "seed {seed} was no churn: {counts:?}");
    }
}

#[test]
fn a_member_that_was_cut_off_comes_back_without_an_election() {
    for outcome in play("rejoin", 4) {
        assert_eq!(outcome.counts.elections, 1);
        assert!(outcome.counts.cuts > 20, "members came and went");
    }
}

#[test]
fn a_group_serves_writes_as_long_as_somebody_is_linked_to_a_majority() {
    for outcome in play("partial", 6) {
        assert!(outcome.counts.cuts > 20, "links were cut");
    }
}

/// A redial that is refused is silence at once: what is left are round trips and syncs.
#[test]
fn a_killed_master_costs_round_trips_and_not_a_timeout() {
    let mut all = failovers("kill", 60);
    let late = all.iter().filter(|failover| failover.acked > failover.bound).count();
    assert!(late <= 3, "{late} of 60 took longer than their steps may take");
    all.sort_by_key(|failover| failover.acked);
    assert!(all[30].acked < Duration::from_millis(100), "median {:?}", all[30]);
}

/// Nothing tells a frozen master from a slow one but time: the longest silence, and 300 ms.
#[test]
fn a_frozen_master_costs_one_election_timeout() {
    for failover in failovers("freeze", 60) {
        assert!(failover.acked <= failover.bound, "{failover:?}");
        assert!(
            failover.crowned > Duration::from_millis(450),
            "nobody may give up sooner: {failover:?}"
        );
    }
}
