//! Random schedules: loss, duplication, delay, crashes with lost unsynced writes, wiped directories, cut
//! links. The world checks its rules at every step; after the weather clears there must be a master.

#[path = "support/world.rs"]
#[allow(dead_code)]
mod world;

#[path = "support/storm.rs"]
#[allow(dead_code)]
mod storm;

#[path = "support/churn.rs"]
mod churn;

use churn::{Changes, churn};
use storm::storm;

#[test]
fn three_nodes_keep_the_rules_in_foul_weather() {
    for seed in 0..300 {
        storm(3, true, seed);
    }
}

#[test]
fn five_nodes_keep_the_rules_in_foul_weather() {
    for seed in 0..150 {
        storm(5, true, seed);
    }
}

#[test]
fn foundings_keep_the_rules_in_foul_weather() {
    for seed in 0..150 {
        storm(3, false, seed);
    }
}

#[test]
fn one_and_two_nodes_keep_the_rules_in_foul_weather() {
    for seed in 0..60 {
        storm(1, true, seed);
        storm(2, true, seed);
    }
}

/// Members are added, promoted and removed meanwhile, and quorums get other sizes.
#[test]
fn changing_groups_keep_the_rules_in_foul_weather() {
    let mut all = Changes::default();
    for seed in 0..300 {
        let (voters, spares) = [(1, 4), (3, 4), (5, 3)][seed as usize % 3];
        let Changes { logged, durable, rolled_back } = churn(voters, spares, seed);
        all.logged += logged;
        all.durable += durable;
        all.rolled_back += rolled_back;
    }
    assert!(all.durable > 300 && all.rolled_back > 10, "{all:?}");
}

#[test]
fn a_node_that_comes_back_does_not_disturb_the_master() {
    storm::isolated_and_back();
}

#[test]
fn a_node_that_lost_its_master_alone_unseats_nobody() {
    storm::cut_off_from_the_master_alone();
}

/// A link takes 1 ms and a fence 2 ms. Returns how long the group was without a master that is served.
fn outage(size: u32, unseen: bool, seed: u64) -> std::time::Duration {
    let mut world = world::World::new(size, true, world::Weather::FAIR, seed);
    world.run_until(world::ms(3_000), world::World::is_served);
    world.run_for(world::ms(1_000));
    let (_, master) = world.master().unwrap();
    world.crash(master, unseen);
    let crashed_at = world.now;
    world.run_until(world::ms(10_000), world::World::is_served);
    world.now - crashed_at
}

fn worst_outages(unseen: bool) -> (std::time::Duration, std::time::Duration) {
    let outages = |size| {
        let mut all: Vec<_> = (0..100).map(|seed| outage(size, unseen, seed)).collect();
        all.sort_unstable();
        all
    };
    let (three, five) = (outages(3), outages(5));
    (three[99].max(five[99]), three[50].max(five[50]))
}

#[test]
fn a_kill_costs_a_stagger_and_some_round_trips() {
    let (worst, median) = worst_outages(false);
    assert!(median < world::ms(50), "{median:?}");
    assert!(worst < world::ms(100), "{worst:?}");
}

#[test]
fn a_freeze_costs_one_election_timeout() {
    let (worst, median) = worst_outages(true);
    assert!(median < world::ms(900), "{median:?}");
    assert!(worst < world::ms(1_000), "{worst:?}");
}
