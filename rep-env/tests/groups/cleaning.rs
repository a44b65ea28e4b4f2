//! Logs that do not grow for ever.

use crate::world::{Net, World, eventually, steady};
use rep_env::config::{Limits, Timing};
use std::fs;
use std::time::{Duration, Instant, SystemTime};

const SEGMENT: u64 = 1 << 20;
/// What a log may take here: what is kept for others, what is written and not in a checkpoint, and three files that are only
/// partly of either.
const BOUND: u64 = 2 * SEGMENT + SEGMENT + 3 * SEGMENT;

fn cleaning() -> World {
    World::tuned(Net::Memory, 3, |timing, limits| {
        steady(timing);
        limits.segment_bytes = SEGMENT;
        limits.checkpoint_bytes = SEGMENT;
        limits.log_retention_bytes = 2 * SEGMENT;
    })
}

fn log_bytes(world: &World, at: usize) -> u64 {
    let files = fs::read_dir(world.home(at).join("log")).unwrap();
    // A file may go while it is looked at.
    files.map(|file| file.unwrap().metadata().map_or(0, |it| it.len())).sum()
}

fn first(world: &World, at: usize) -> u64 {
    world.env(at).vlsn_range().expect("the newest file stays").start().get()
}

#[test]
fn every_members_log_stays_within_its_bound_and_a_restart_finds_everything() {
    let mut world = cleaning();
    let value = "x".repeat(200 << 10);
    for number in 0..60 {
        world.put(&format!("key-{number}"), &value);
        if number % 10 == 9 {
            for at in 0..3 {
                let within = || (log_bytes(&world, at) <= BOUND).then_some(());
                eventually("a log within its bound", within);
            }
        }
    }
    (0..3).for_each(|at| eventually("a cleaning", || (first(&world, at) > 1).then_some(())));
    (0..3).for_each(|at| world.close(at));
    (0..3).for_each(|at| drop(world.open(at)));
    let token = world.put("last", "written");
    for number in 0..60 {
        world.assert_everywhere(token, &format!("key-{number}"), &value);
    }
    assert!(world.env(0).group().is_some(), "what the head of the log said is remembered");
}

/// A log is kept for three minutes. Its files were written an hour ago, by their times, when it is opened: after three seconds they go.
#[test]
fn a_restart_makes_no_file_younger() {
    let kept_for = Duration::from_secs(192);
    let tune = |timing: &mut Timing, limits: &mut Limits| {
        steady(timing);
        timing.log_retention = kept_for;
        limits.segment_bytes = SEGMENT;
        limits.checkpoint_bytes = 64 << 10;
    };
    let mut world = World::tuned(Net::Memory, 3, tune);
    let value = "x".repeat(900 << 10);
    for number in 0..4 {
        world.put(&format!("key-{number}"), &value);
    }
    let replica = world.replica();
    eventually("files", || (segments(&world, replica).len() > 2).then_some(()));
    world.close(replica);
    for file in segments(&world, replica) {
        let hour_ago = SystemTime::now() - Duration::from_secs(3600);
        fs::File::options().append(true).open(file).unwrap().set_modified(hour_ago).unwrap();
    }
    let opened = Instant::now();
    let config = world.config(replica).tune(tune).build().unwrap();
    world.open_as(replica, config);
    eventually("a cleaning", || {
        world.put("more", &value[..80 << 10]);
        (first(&world, replica) > 1).then_some(())
    });
    assert!(opened.elapsed() < kept_for, "it would have gone by then in any case");
}

fn segments(world: &World, at: usize) -> Vec<std::path::PathBuf> {
    let files = fs::read_dir(world.home(at).join("log")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|it| it == "seg")).collect()
}

/// However it was opened: a power cut may take what fjall was told to keep, and then only the log has it.
#[cfg(feature = "fjall")]
#[test]
fn a_store_that_may_have_to_be_built_again_keeps_the_log_whole() {
    let mut world = World::new(Net::Memory, 1);
    let store = rep_env::Databases::fjall(world.home(0).with_extension("own")).unwrap();
    let config = world.config(0).tune(|_, limits| {
        limits.segment_bytes = SEGMENT;
        limits.checkpoint_bytes = SEGMENT;
        limits.log_retention_bytes = 2 * SEGMENT;
    });
    let env = rep_env::ReplicatedEnvironment::open_with(config.build().unwrap(), store).unwrap();
    world.envs[0] = Some(env.clone());
    let value = "x".repeat(200 << 10);
    eventually("checkpoints", || {
        world.put("key", &value);
        (env.stats().checkpoints >= 6).then_some(())
    });
    assert_eq!(first(&world, 0), 1, "nothing of it is cleaned away");
}
