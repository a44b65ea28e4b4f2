//! What has rotted in the home of a member that runs is found before anybody reads it, or by who reads it first.

mod readers;

use crate::membership::Load;
use crate::world::{Net, PATIENCE, World, eventually, put, steady, view_at};
use rep_env::config::{Limits, Timing};
use rep_env::{Error, MemberType, NodeState, ReplicatedEnvironment, Vlsn, admin};
use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

fn scrubbed(timing: &mut Timing, limits: &mut Limits) {
    steady(timing);
    timing.election_timeout = Duration::from_millis(1500);
    limits.segment_bytes = 1 << 20;
    limits.scrub_bytes_per_s = 1 << 30;
    // What is read of the log is read from the files.
    limits.tail_bytes_max = 64 << 10;
}

/// The files of a log, oldest first.
fn files(home: &Path) -> Vec<PathBuf> {
    let names = fs::read_dir(home.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        names.filter(|it| it.extension().is_some_and(|it| it == "seg")).collect();
    files.sort();
    files
}

/// Flips a bit in the middle of an entry of the oldest file, in place: nobody is told.
fn flip_a_bit(home: &Path) {
    flip_a_bit_of(&files(home).swap_remove(0));
}

fn flip_a_bit_of(path: &Path) {
    let bytes = fs::read(path).unwrap();
    let needle = [b'x'; 64];
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap() as u64;
    let file = OpenOptions::new().write(true).open(path).unwrap();
    file.write_all_at(b"y", at + 5).unwrap();
}

fn rot_the_promise(home: &Path) {
    let file = OpenOptions::new().write(true).open(home.join("promise")).unwrap();
    for offset in [8, 69_632 + 8] {
        file.write_all_at(&[0xff; 64], offset).unwrap();
    }
}

/// Writes until the log has full files, and everybody has applied them.
fn fill(world: &World) {
    let value = "x".repeat(100 << 10);
    let tokens: Vec<_> = (0..25).map(|number| world.put(&format!("k{number}"), &value)).collect();
    let last = tokens[24];
    // Who has applied it all reads no more of it than the scrub does.
    world.running_envs().for_each(|env| drop(view_at(env, last)));
    for at in (0..world.envs.len()).filter(|at| world.envs[*at].is_some()) {
        eventually("full files", || (files(&world.home(at)).len() > 2).then_some(()));
    }
}

fn is_back(world: &World, at: usize, other_than: u32) -> Option<u32> {
    let name = format!("n{}", at + 1);
    let membership = world.env(world.master()).membership()?;
    let member = membership.members.into_iter().find(|member| member.name == name)?;
    (member.kind == MemberType::Electable && member.id != other_than).then_some(member.id)
}

fn assert_found_and_back(mut world: World, at: usize, rot: fn(&Path), what: &str) {
    let (env, id) = (world.env(at).clone(), at as u32 + 1);
    eventually("a round", || (env.stats().scrubs > 0).then_some(()));
    assert_eq!(env.damage_found(), None);
    let load = Load::at(&world);
    rot(&world.home(at));
    let found = eventually("damage that is found", || env.damage_found());
    assert!(found.starts_with(what), "{found}");
    eventually("silence", || (env.state() == NodeState::Shutdown).then_some(()));
    let refused = env.begin().map(drop).unwrap_err();
    assert!(matches!(&refused, Error::Halted { reason } if reason.contains(what)), "{refused}");
    if world.net == Net::Tcp {
        let problems = admin::status(&world.address(at), PATIENCE).unwrap().problems;
        let said = |problem: &String| problem.starts_with("halted: damage was found: ");
        assert!(problems.iter().any(said), "{problems:?}");
    }
    assert_eq!(env.stats().damage_found, 1);
    // The group goes on without it, and what it has is not given up before.
    let rest: Vec<usize> = (0..3).filter(|other| *other != at).collect();
    eventually("another master", || {
        rest.iter().any(|at| world.env(*at).state() == NodeState::Master).then_some(())
    });
    eventually("their word", || env.others_have_a_master(PATIENCE).unwrap().then_some(()));
    world.close(at);
    world.put("meanwhile", "writing goes on");
    let config = world.config(at).tune(scrubbed).build().unwrap();
    let back = world.open_as(at, config);
    load.follow(&world);
    eventually("a voter again", || {
        world.put("meanwhile", "writing goes on");
        is_back(&world, at, id)
    });
    eventually("a follower", || (back.state() == NodeState::Replica).then_some(()));
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    assert!(world.home(at).join("damaged-1/identity").exists());
    eventually("a round", || (back.stats().scrubs > 0).then_some(()));
    assert_eq!(back.damage_found(), None);
    load.assert_kept(&world);
}

#[test]
fn a_bit_that_rots_in_a_full_file_of_a_replica_is_found_and_the_group_never_stops() {
    let world = World::tuned(Net::Tcp, 3, scrubbed);
    fill(&world);
    let at = world.replica();
    assert_found_and_back(world, at, flip_a_bit, "log: entry ");
}

#[test]
fn a_bit_that_rots_in_a_full_file_of_the_master_is_found_and_another_one_reigns() {
    let world = World::tuned(Net::Memory, 3, scrubbed);
    fill(&world);
    let at = world.master();
    assert_found_and_back(world, at, flip_a_bit, "log: entry ");
}

#[test]
fn a_promise_that_rots_is_found_before_it_is_asked_for() {
    let world = World::tuned(Net::Memory, 3, scrubbed);
    world.put("alice", "1");
    let at = world.replica();
    assert_found_and_back(world, at, rot_the_promise, "promise: ");
}

fn alone(bytes_per_s: u64) -> (World, ReplicatedEnvironment) {
    let mut world = World::new(Net::Memory, 1);
    let config = world.config(0).tune(|timing, limits| {
        scrubbed(timing, limits);
        timing.election_timeout = Duration::from_millis(300);
        limits.scrub_bytes_per_s = bytes_per_s;
    });
    let env = world.open_as(0, config.build().unwrap());
    env.wait_for_master(PATIENCE).unwrap();
    fill(&world);
    (world, env)
}

#[test]
fn the_only_copy_says_that_it_is_damaged_and_goes_on() {
    let (world, env) = alone(1 << 30);
    flip_a_bit(&world.home(0));
    let found = eventually("damage that is found", || env.damage_found());
    let rounds = env.stats().scrubs;
    eventually("more rounds", || (env.stats().scrubs > rounds + 1).then_some(()));
    assert_eq!((env.stats().damage_found, env.damage_found()), (1, Some(found)));
    put(&env, "alice", "1").unwrap();
    assert_eq!(env.others_have_a_master(PATIENCE), Ok(false));
}

#[test]
pub(super) fn a_log_is_read_again_as_fast_as_told() {
    let (_fast, fast) = alone(1 << 30);
    let (_slow, slow) = alone(64 << 10);
    let (_never, never) = alone(0);
    // A round from here on takes half a minute.
    eventually("a beginning", || (slow.stats().scrubbed_bytes > 0).then_some(()));
    let rounds = (slow.stats().scrubs, fast.stats().scrubs);
    eventually("two rounds", || (fast.stats().scrubs >= rounds.1 + 2).then_some(()));
    assert_eq!(slow.stats().scrubs, rounds.0);
    assert_eq!((never.stats().scrubs, never.stats().scrubbed_bytes), (0, 0));
}

/// A newcomer is fed nothing that has rotted: it is given a copy, by whose state that is covered. Two of two are needed then, so the damaged one goes on;
/// and no longer than until there are enough others.
fn assert_succeeded(tune: fn(&mut Timing, &mut Limits)) {
    let mut world = World::new(Net::Tcp, 3);
    let config = world.own_config(0).bootstrap().tune(tune).build().unwrap();
    let env = world.open_as(0, config);
    env.wait_for_master(PATIENCE).unwrap();
    fill(&world);
    flip_a_bit(&world.home(0));
    let join = |world: &mut World, at: usize, helper: usize| {
        let config = world.own_config(at).join([world.address(helper)]).tune(tune).build();
        world.open_as(at, config.unwrap());
    };
    join(&mut world, 1, 0);
    world.wait_for(1, MemberType::Electable);
    let found = env.damage_found().expect("damage was found");
    assert!(found.starts_with("log: entry "), "{found}");
    let (scrubs, spoken) = (env.stats().scrubs, env.stats().steps);
    eventually("more rounds", || {
        let stats = env.stats();
        let more = stats.scrubs > scrubs + 2 || scrubs == 0;
        (more && stats.steps > spoken + 10).then_some(())
    });
    put(&env, "alice", "1").unwrap();
    let problems = admin::status(&world.address(0), PATIENCE).unwrap().problems;
    let said = |problem: &String| {
        problem.starts_with("damage was found: ") && problem.contains("add members until")
    };
    assert!(problems.iter().any(said), "{problems:?}");
    join(&mut world, 2, 1);
    eventually("silence", || (env.state() == NodeState::Shutdown).then_some(()));
    world.wait_for(2, MemberType::Electable);
    world.close(0);
    join(&mut world, 0, 1);
    // As a new member; or as itself, if what had rotted was cleaned away meanwhile, as its store and the others have it.
    eventually("a follower", || (world.env(0).state() == NodeState::Replica).then_some(()));
    world.wait_for(0, MemberType::Electable);
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    world.assert_everywhere(token, "k0", &"x".repeat(100 << 10));
    assert!(*world.env(0).vlsn_range().unwrap().start() > Vlsn::FIRST, "the rot is gone");
    assert_eq!(world.env(0).damage_found(), None);
}

#[test]
fn the_only_copy_that_is_damaged_goes_on_until_others_can() {
    assert_succeeded(scrubbed);
}

#[test]
fn the_only_copy_whose_damage_a_newcomer_meets_goes_on_until_others_can() {
    assert_succeeded(readers::unscrubbed);
}
