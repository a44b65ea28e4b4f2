//! How much memory, and how much of a file, things may take.

use super::{NEVER, Weather, begin_put, group, under};
use crate::world::{Net, World, eventually, put, steady};
use rep_env::config::{Limits, Timing};
use rep_env::net::mem::Hub;
use rep_env::{Error, NodeState, ReplicatedEnvironment};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;

fn alone(tune: impl Fn(&mut Timing, &mut Limits)) -> (World, ReplicatedEnvironment) {
    let (world, _) = group(1, tune);
    world.put("alice", "0");
    let env = world.env(0).clone();
    (world, env)
}

/// Commits almost a megabyte at a time, faster than a disk takes it, until that is refused; the bound that is named.
fn fill(env: &ReplicatedEnvironment) -> u64 {
    let value = vec![7; 900 << 10];
    let refused = eventually("a refusal", || begin_put(env, &value).err());
    match refused {
        Error::Busy { bytes_max, .. } => bytes_max,
        other => panic!("{other}"),
    }
}

#[test]
pub(super) fn no_more_than_so_much_waits_for_the_disk() {
    for bytes_max in [1 << 20, 2 << 20] {
        let (_world, env) = alone(|timing, limits| {
            timing.busy_wait = std::time::Duration::ZERO;
            limits.overlay_bytes_max = 1 << 40;
            limits.unsynced_bytes_max = bytes_max;
        });
        assert_eq!(fill(&env), bytes_max);
        assert!(env.stats().unsynced_bytes <= bytes_max);
    }
}

#[test]
pub(super) fn no_more_than_so_much_is_committed_and_not_applied() {
    for bytes_max in [1 << 20, 2 << 20] {
        let (_world, env) = alone(|timing, limits| {
            timing.busy_wait = std::time::Duration::ZERO;
            limits.overlay_bytes_max = bytes_max;
        });
        assert_eq!(fill(&env), bytes_max);
        assert!(env.stats().overlay_bytes <= bytes_max);
    }
}

fn segments(world: &World, at: usize) -> Vec<PathBuf> {
    let files = fs::read_dir(world.home(at).join("log")).unwrap();
    let paths = files.map(|file| file.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|ext| ext == "seg")).collect()
}

/// A member is away while a megabyte is written, and the others' files are spoilt before it is back: what it can still
/// get comes from memory.
#[test]
pub(super) fn so_much_of_the_log_is_sent_without_the_disk() {
    let away_while_written = |bytes_max| {
        let tune = move |timing: &mut Timing, limits: &mut Limits| {
            steady(timing);
            limits.tail_bytes_max = bytes_max;
        };
        let (mut world, weather) = group(3, tune);
        world.put("alice", "0");
        let master = world.master();
        let away = (master + 1) % 3;
        world.close(away);
        for number in 0..20 {
            world.put("alice", &format!("{number}{}", "x".repeat(50 << 10)));
        }
        assert_eq!(world.master(), master);
        let others = (0..3).filter(|at| *at != away);
        for path in others.flat_map(|at| segments(&world, at)) {
            let file = OpenOptions::new().write(true).open(&path).unwrap();
            let len = file.metadata().unwrap().len() as usize;
            file.write_all_at(&vec![7; len - 80], 80).unwrap();
        }
        let last = *world.env(master).vlsn_range().unwrap().end();
        let config = under(&weather, &mut world, away);
        world.open_as(away, config.tune(tune).build().unwrap());
        (world, away, last)
    };
    let has_all = |(world, away, last): &(World, usize, _)| {
        world.env(*away).vlsn_range().is_some_and(|range| range.end() >= last)
    };
    let files = away_while_written(64 << 10);
    let memory = away_while_written(16 << 20);
    eventually("all of it", || has_all(&memory).then_some(()));
    assert!(!has_all(&files));
}

#[test]
pub(super) fn a_member_that_does_not_read_is_given_up_at_so_much() {
    let of = |bytes_max| {
        let mut world = World::new(Net::Memory, 2);
        let mut limits = rep_env::net::Limits::default();
        limits.queue_items_max = 4;
        world.hub = Hub::new(limits);
        let weather = Arc::new(Weather::default());
        world.found(|world, at| {
            under(&weather, world, at).tune(|timing, limits| {
                steady(timing);
                timing.heartbeat = std::time::Duration::from_millis(1);
                limits.outgoing_bytes_max = bytes_max;
            })
        });
        world.put("alice", "0");
        (world, weather)
    };
    // The member with the smaller name dials: what the master sends is held back at that end. A channel that is given up is
    // dialled again at once, so that the dials tell of it.
    let dials = |(world, _): &(World, Arc<Weather>)| world.env(0).stats().dials;
    let hold = |group: &(World, Arc<Weather>)| {
        let (world, weather) = group;
        match world.master() {
            0 => weather.hold_sends(),
            _ => weather.hold_reads(),
        }
        dials(group)
    };
    let (never, soon) = (of(16 << 20), of(4 << 10));
    let (never_dialled, soon_dialled) = (hold(&never), hold(&soon));
    eventually("another dial", || (dials(&soon) > soon_dialled).then_some(()));
    assert_eq!(dials(&never), never_dialled);
}

#[test]
pub(super) fn the_store_is_made_durable_after_so_much() {
    let of = |bytes| {
        let (world, env) = alone(move |timing, limits| {
            timing.checkpoint_interval = NEVER;
            limits.checkpoint_bytes = bytes;
        });
        put(&env, "alice", &"x".repeat(100 << 10)).unwrap();
        (world, env)
    };
    let ((_late_world, late), (_soon_world, soon)) = (of(64 << 20), of(64 << 10));
    eventually("a checkpoint", || (soon.stats().checkpoints >= 1).then_some(()));
    assert_eq!(late.stats().checkpoints, 0);
}

#[test]
pub(super) fn a_file_of_the_log_is_so_long() {
    for bytes in [1 << 20, 3 << 20] {
        let (world, _) = alone(move |_, limits| limits.segment_bytes = bytes);
        let lengths = segments(&world, 0).into_iter().map(|path| fs::metadata(path).unwrap().len());
        assert_eq!(lengths.collect::<Vec<_>>(), [bytes]);
    }
}

/// A member is away while megabytes are written and made durable in the store; the first entry that the master still has.
pub(super) fn first_kept(tune: impl Fn(&mut Timing, &mut Limits)) -> (World, impl Fn() -> u64) {
    let (mut world, _) = group(3, |timing, limits| {
        steady(timing);
        limits.checkpoint_bytes = 64 << 10;
        tune(timing, limits);
    });
    let away = world.replica();
    world.close(away);
    let env = world.env(world.master()).clone();
    let value = "x".repeat(900 << 10);
    for _ in 0..4 {
        put(&env, "alice", &value).unwrap();
    }
    (world, move || env.vlsn_range().expect("the newest file stays").start().get())
}

#[test]
pub(super) fn so_much_of_the_log_is_kept_for_a_member_that_is_away() {
    let of = |bytes| first_kept(move |_, limits| limits.log_retention_bytes = bytes);
    let ((_large_world, large), (_small_world, small)) = (of(64 << 20), of(1 << 20));
    eventually("a cleaning", || (small() > 1).then_some(()));
    assert_eq!(large(), 1);
}

#[test]
pub(super) fn so_much_of_the_disk_is_left_to_others() {
    let of = |reserve: u64| {
        let mut world = World::new(Net::Memory, 1);
        let config = world.config(0).tune(|_, limits| limits.disk_reserve_bytes = reserve);
        let env = world.open_as(0, config.build().unwrap());
        (world, env)
    };
    // No disk has as much as the first is to leave free.
    let ((_full_world, full), (_roomy_world, roomy)) = (of(1 << 50), of(1 << 20));
    eventually("a master", || (roomy.state() == NodeState::Master).then_some(()));
    assert_ne!(full.state(), NodeState::Master);
}

/// Half of the cache may hold what is not yet in the file; what is more goes there long before it is made durable.
#[cfg(feature = "redb")]
#[test]
pub(super) fn so_much_of_the_store_waits_in_memory() {
    use std::os::unix::fs::MetadataExt;
    let of = |bytes: u64| {
        let (world, _) = group(1, |timing, limits| {
            timing.checkpoint_interval = NEVER;
            limits.checkpoint_bytes = 1 << 30;
            limits.store_cache_bytes = bytes;
        });
        let value = "x".repeat(900 << 10);
        for number in 0..8 {
            world.put(&format!("key-{number}"), &value);
        }
        let env = world.env(0).clone();
        eventually("all of it applied", || (env.stats().entries_applied > 8).then_some(()));
        // What is allocated and holds nothing has no blocks.
        let blocks = fs::metadata(world.home(0).join("store.redb")).unwrap().blocks();
        (world, blocks * 512)
    };
    let ((_small_world, small), (_large_world, large)) = (of(1 << 20), of(1 << 30));
    assert!(small > 6 << 20, "{small} bytes in the file");
    assert!(large < 2 << 20, "{large} bytes in the file");
}

#[test]
pub(super) fn a_copy_is_given_as_fast_as_told() {
    let of = |bytes_per_s: u64| {
        let (world, _) = group(3, |timing, limits| {
            steady(timing);
            limits.restore_bytes_per_s = bytes_per_s;
        });
        let (master, replica) = (world.master(), world.replica());
        for number in 0..40 {
            world.put(&format!("key-{number}"), &"x".repeat(100 << 10));
        }
        let env = world.env(replica).clone();
        env.restore_from(world.env(master).name()).unwrap();
        (world, move || env.stats().restores)
    };
    // The one takes a minute, the other no time.
    let ((_slow_world, slow), (_fast_world, fast)) = (of(64 << 10), of(1 << 30));
    eventually("a copy in its place", || (fast() == 1).then_some(()));
    assert_eq!(slow(), 0);
}
