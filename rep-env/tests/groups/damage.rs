//! Directories that are damaged: their members come back by themselves as new ones, or, where nobody could admit them, not at all.

use crate::world::{BOTH, Net, PATIENCE, World, eventually};
use rep_env::config::OnDamage;
use rep_env::{Error, MemberType, NodeState, ReplicatedEnvironment, admin};
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The file that is damaged, in the home, and its bytes from now on.
fn flip_a_bit_in_the_log(home: &Path) -> (PathBuf, Vec<u8>) {
    let names = fs::read_dir(home.join("log")).unwrap().map(|entry| entry.unwrap().path());
    let mut segments: Vec<PathBuf> =
        names.filter(|path| path.extension().is_some_and(|extension| extension == "seg")).collect();
    segments.sort();
    let segment = segments.swap_remove(0);
    let needle = b"the first of all";
    let mut bytes = fs::read(&segment).unwrap();
    let at = bytes.windows(needle.len()).position(|window| window == needle).unwrap();
    bytes[at] ^= 1;
    fs::write(&segment, &bytes).unwrap();
    (PathBuf::from("log").join(segment.file_name().unwrap()), bytes)
}

fn rot_the_promise(home: &Path) -> (PathBuf, Vec<u8>) {
    let path = home.join("promise");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    for offset in [8, 69_632 + 8] {
        file.write_all_at(&[0xff; 64], offset).unwrap();
    }
    ("promise".into(), fs::read(path).unwrap())
}

fn rot_the_store(home: &Path) -> (PathBuf, Vec<u8>) {
    let path = home.join("store.redb");
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all_at(&[0xff; 64], 0).unwrap();
    ("store.redb".into(), fs::read(path).unwrap())
}

/// A group with something in its log, of which member `at` is down.
fn group_without(net: Net, at: &[usize]) -> World {
    let mut world = World::running(net, 3);
    world.put("alice", "the first of all");
    for number in 0..50 {
        world.put(&format!("k{number}"), &"some more".repeat(100));
    }
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    at.iter().for_each(|at| world.close(*at));
    world
}

/// The number under which the group lists `at` as a voter, once it does.
fn number_of_the_voter(world: &World, at: usize, other_than: u32) -> u32 {
    let name = format!("n{}", at + 1);
    eventually("a voter again", || {
        world.put("meanwhile", "writing goes on");
        let membership = world.env(world.master()).membership()?;
        let member = membership.members.into_iter().find(|member| member.name == name)?;
        let is_back = member.kind == MemberType::Electable && member.id != other_than;
        is_back.then_some(member.id)
    })
}

fn assert_comes_back(net: Net, damage: fn(&Path) -> (PathBuf, Vec<u8>)) {
    let mut world = group_without(net, &[2]);
    let home = world.home(2);
    let (file, bytes) = damage(&home);
    let back = world.open(2);
    assert_eq!(number_of_the_voter(&world, 2, 3), 4);
    eventually("a follower", || (back.state() == NodeState::Replica).then_some(()));
    let token = world.put("alice", "3");
    world.assert_everywhere(token, "alice", "3");
    if net == Net::Tcp {
        eventually("equal digests", || {
            let digest = |at| admin::digest(&world.address(at), PATIENCE).unwrap();
            let (first, second, third) = (digest(0), digest(1), digest(2));
            (first == second && second == third).then_some(())
        });
    }
    assert_eq!(fs::read(home.join("damaged-1").join(file)).unwrap(), bytes);
    assert!(home.join("damaged-1/identity").exists() && !home.join("damaged-2").exists());
    // It is an ordinary member from now on, also by the flags with which the group was founded, and counts for one.
    world.close(2);
    world.open(2);
    world.close(0);
    let token = world.put("alice", "4");
    world.assert_everywhere(token, "alice", "4");
}

#[test]
fn a_member_with_a_rotten_log_comes_back_as_a_new_one_while_the_group_writes() {
    BOTH.into_iter().for_each(|net| assert_comes_back(net, flip_a_bit_in_the_log));
}

#[test]
fn a_member_with_a_rotten_promise_comes_back_as_a_new_one() {
    assert_comes_back(Net::Memory, rot_the_promise);
}

/// Its log may have forgotten what the store held, so that is not made anew from the log.
#[test]
fn a_member_with_a_rotten_store_comes_back_as_a_new_one() {
    assert_comes_back(Net::Memory, rot_the_store);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        match entry.file_type().unwrap().is_dir() {
            true => copy(&entry.path(), &to.join(entry.file_name())),
            false => drop(fs::copy(entry.path(), to.join(entry.file_name())).unwrap()),
        }
    }
}

/// It would be elected, or help somebody to be, without what it acknowledged and lacks.
#[test]
fn an_older_copy_of_a_home_is_found_by_its_master_and_comes_back_as_a_new_member() {
    let mut world = World::steady(Net::Memory, 3);
    let (master, at) = (world.master(), world.replica());
    let before = world.put("alice", "the first of all");
    world.assert_everywhere(before, "alice", "the first of all");
    world.close(at);
    let (home, older) = (world.home(at), tempfile::tempdir().unwrap());
    copy(&home, older.path());
    world.open(at);
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    eventually("its master's count", || {
        let replicas = world.env(master).stats().replicas;
        let (name, vlsn) = (format!("n{}", at + 1), token.point().vlsn.get());
        replicas.iter().any(|it| it.name == name && it.synced >= Some(vlsn)).then_some(())
    });
    world.close(at);
    fs::remove_dir_all(&home).unwrap();
    copy(older.path(), &home);
    let image = world.open(at);
    let found = eventually("what its master remembers", || image.damage_found());
    assert!(found.contains("an older image of itself"), "{found}");
    eventually("silence", || (image.state() == NodeState::Shutdown).then_some(()));
    let refused = image.begin().map(drop).unwrap_err();
    assert!(matches!(&refused, Error::Halted { reason } if reason.contains(&found)), "{refused}");
    world.close(at);
    let back = world.open(at);
    number_of_the_voter(&world, at, at as u32 + 1);
    eventually("a follower", || (back.state() == NodeState::Replica).then_some(()));
    assert_eq!(world.master(), master, "the others did without it");
    let token = world.put("alice", "3");
    world.assert_everywhere(token, "alice", "3");
    assert!(home.join("damaged-1/identity").exists());
}

/// Who founded a group alone is told by its flags to found one; after it was set aside it must not.
#[test]
fn who_founded_the_group_alone_asks_those_whom_its_log_names() {
    let mut world = World::new(Net::Memory, 3);
    let config = world.own_config(0).bootstrap().build().unwrap();
    let founder = world.open_as(0, config);
    founder.wait_for_master(PATIENCE).unwrap();
    let group = founder.group();
    world.put("alice", "the first of all");
    for at in [1, 2] {
        let config = world.own_config(at).join([world.address(0)]).build().unwrap();
        world.open_as(at, config);
        number_of_the_voter(&world, at, 0);
    }
    world.close(0);
    rot_the_promise(&world.home(0));
    let config = world.own_config(0).bootstrap().build().unwrap();
    let back = world.open_as(0, config);
    assert_eq!(number_of_the_voter(&world, 0, 1), 4);
    let token = world.put("alice", "2");
    world.assert_everywhere(token, "alice", "2");
    assert_eq!(back.group(), group);
}

/// Two of three have rotted: what they have is what the third one lacks for a quorum, and nobody could admit them. So they lie where they are.
#[test]
fn where_most_are_damaged_none_is_set_aside_and_every_byte_lies_there() {
    let mut world = group_without(Net::Memory, &[1, 2]);
    let kept = [1, 2].map(|at| (at, flip_a_bit_in_the_log(&world.home(at))));
    let alone = world.env(0);
    eventually("it steps down", || (alone.state() != NodeState::Master).then_some(()));
    for (at, (file, bytes)) in kept {
        let config = world.config(at).build().unwrap();
        let error = ReplicatedEnvironment::open(config).unwrap_err();
        assert!(matches!(&error, Error::Damaged { what: "log", .. }), "{error}");
        assert!(error.to_string().contains("has a master without it"), "{error}");
        assert!(!world.home(at).join("damaged-1").exists());
        assert_eq!(fs::read(world.home(at).join(file)).unwrap(), bytes);
    }
}

#[test]
pub(super) fn a_member_that_is_to_refuse_its_damaged_directory_does() {
    let mut world = group_without(Net::Memory, &[2]);
    let home = world.home(2);
    flip_a_bit_in_the_log(&home);
    let config = world.config(2).on_damage(OnDamage::Refuse).build().unwrap();
    let error = ReplicatedEnvironment::open(config).unwrap_err();
    assert!(matches!(&error, Error::Damaged { what: "log", .. }), "{error}");
    assert!(!home.join("damaged-1").exists());
    world.open(2);
    number_of_the_voter(&world, 2, 3);
}
