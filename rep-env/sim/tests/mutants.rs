//! Planted bugs that a scene shows, and hardly any world of the default swarm. Built with `--cfg rep_mutants`; otherwise there is nothing here.
#![cfg(rep_mutants)]

use rep_sim::scenario::run_scene;
use rep_sim::{Detail, planted};

/// Within so many seeds each is found.
const SEEDS: u64 = 500;

fn found(scene: &str) -> bool {
    (0..SEEDS).any(|seed| run_scene(scene, seed, Detail::Hash).is_err())
}

/// One bug a process: what is planted stays.
#[test]
fn a_quorum_that_is_forced_in_the_next_term_is_found_in_its_scene() {
    planted::enable("forced-in-the-next-term").unwrap();
    assert!(found("forced"));
}
