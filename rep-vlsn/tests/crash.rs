//! The log loses nothing that a sync vouched for, wherever it is interrupted.

mod common;

use common::world::World;

/// Runs the steps of a seed and counts the operations that they ask of the disk.
fn ops_of(seed: u64, steps: usize) -> u64 {
    let mut world = World::new(seed);
    for _ in 0..steps {
        world.step().unwrap();
    }
    world.disk.ops_count()
}

/// Every write and every sync is a place to crash, with several outcomes of each crash.
#[test]
fn whatever_operation_is_the_last_the_log_keeps_what_was_synced() {
    let (seeds, steps) = (5, 50);
    for seed in 0..seeds {
        for op in 1..=ops_of(seed, steps) {
            let mut world = World::new(seed);
            world.disk.crash_after_ops(op);
            let crashed = (0..steps).any(|_| world.step().is_err());
            assert!(crashed || world.disk.crashed(), "operation {op} of seed {seed}");
            world.rng = common::Rng(seed << 32 | op);
            world.crash();
            for _ in 0..5 {
                world.step().unwrap();
            }
            world.crash();
        }
    }
}

/// Long lives with many crashes: what an earlier life left behind never comes back.
#[test]
fn a_log_that_crashes_again_and_again_never_shows_a_stale_entry() {
    let (mut grown, mut told) = (0, 0);
    for seed in 0..120 {
        let mut world = World::new(1_000 + seed);
        for _ in 0..12 {
            world.disk.crash_after_ops(5 + world.rng.below(60));
            while world.step().is_ok() {}
            world.crash();
        }
        grown += world.len();
        told += world.told;
    }
    assert!(grown > 120 * 5, "the logs grew all the same: {grown}");
    assert!(told > 10_000, "the index files were of use: {told}");
}
