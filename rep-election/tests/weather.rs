//! Random schedules: loss, duplication, delay, crashes with lost unsynced writes, wiped directories, cut
//! links. The world checks its rules at every step; after the weather clears there must be a master.

#[path = "support/world.rs"]
#[allow(dead_code)]
mod world;

#[path = "support/storm.rs"]
#[allow(dead_code)]
mod storm;

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

#[test]
fn a_node_that_comes_back_does_not_disturb_the_master() {
    storm::isolated_and_back();
}

#[test]
fn a_node_that_lost_its_master_alone_unseats_nobody() {
    storm::cut_off_from_the_master_alone();
}
