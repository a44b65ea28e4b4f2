//! Every step of a forcing is a place to crash. The directory is a real member's, put on a disk that can lose power.

use super::*;
use crate::config::RepConfig;
use crate::{Consistency, NodeState, ReplicatedEnvironment};
use rep_net::mem::Hub;
use rep_vlsn::MemDisk;
use rep_vlsn::disk::DiskFile;
use std::fs;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PATIENCE: Duration = Duration::from_secs(60);
/// How differently the power fails at each step.
const CUTS: u64 = 6;

/// What is left of three members that have written something: the directory of the third.
fn left_behind() -> (TempDir, MemDisk) {
    let (dir, hub) = (TempDir::new().unwrap(), Hub::default());
    let members: Vec<String> = (1..=3).map(|at| format!("n{at}=place-{at}")).collect();
    let open = |at| {
        let config = RepConfig::builder("bank", format!("n{at}")).members(members.clone());
        let config = config.tune(|_, limits| limits.segment_bytes = 1 << 20);
        let config = config.transport(hub.transport()).home(dir.path().join(format!("n{at}")));
        ReplicatedEnvironment::open(config.build().unwrap()).unwrap()
    };
    let envs: Vec<ReplicatedEnvironment> = (1..=3).map(open).collect();
    let master = eventually(|| envs.iter().find(|env| env.state() == NodeState::Master));
    let mut txn = master.begin().unwrap();
    txn.put(&master.database("accounts"), b"alice", b"1").unwrap();
    let token = txn.commit().unwrap().wait().unwrap();
    eventually(|| envs[2].read(Consistency::AtLeast(token)).wait().ok());
    envs.iter().for_each(|env| env.close().unwrap());
    let disk = loaded(&dir.path().join("n3"));
    (dir, disk)
}

fn eventually<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(start.elapsed() < PATIENCE, "it did not come");
        std::thread::park_timeout(Duration::from_millis(2));
    }
}

/// A directory's cells and log, durable.
fn loaded(home: &Path) -> MemDisk {
    let disk = MemDisk::new();
    for folder in ["", "log"] {
        disk.create_dir("log").unwrap();
        for entry in fs::read_dir(home.join(folder)).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if entry.file_type().unwrap().is_file() && name != "LOCK" && name != "store.redb" {
                let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
                let file = disk.create(&name).unwrap();
                file.write_at(0, &fs::read(entry.path()).unwrap()).unwrap();
                file.sync().unwrap();
            }
        }
        disk.sync_dir(folder).unwrap();
    }
    disk
}

fn force(disk: &MemDisk) -> Result<Findings, NotRecovered> {
    force_on(disk, Path::new("(memory)"), &Order::alone(), None, 0)
}

fn entries(disk: &MemDisk) -> Vec<Record> {
    let seen = walk(disk, Vlsn::FIRST).unwrap().map(Result::unwrap);
    let entry = |seen| if let Seen::Entry(record, _) = seen { Some(record) } else { None };
    seen.filter_map(entry).collect()
}

/// Whether the member may be opened, as far as that is asked here.
fn opens(disk: &MemDisk) -> bool {
    refuse_half_done(disk, Path::new("(memory)")).is_ok()
}

fn fence(disk: &MemDisk) -> Fence {
    Fence::decode(&cell(disk, PROMISE_CELL, Path::new("")).unwrap().unwrap()).unwrap()
}

fn members(disk: &MemDisk) -> Vec<String> {
    let newest = newest_membership(disk, Vlsn::FIRST).unwrap().unwrap();
    let membership = Membership::from_record(&newest).unwrap();
    membership.members.into_values().map(|member| member.name).collect()
}

/// All of it is there: nothing that was there is another, each attempt has written in a term of its own, which it had promised to itself.
fn assert_forced(disk: &MemDisk, before: &[Record], why: &str) {
    let after = entries(disk);
    assert_eq!(after[..before.len()], *before, "{why}");
    let new = &after[before.len()..];
    assert!(new.len() >= 2 && opens(disk), "{why}: {} new entries", new.len());
    let promised = fence(disk);
    assert_eq!(promised.promised_to, Some(NodeId::new(3)), "{why}");
    let (last, opening) = (&new[new.len() - 1], &new[new.len() - 2]);
    assert_eq!(opening.opener(), promised.promised_to, "{why}");
    assert_eq!([opening, last].map(|it| it.point().term), [promised.term; 2], "{why}");
    assert_eq!(members(disk), ["n3"], "{why}");
}

/// A coin for each unsynced thing.
fn chance(seed: u64) -> impl FnMut() -> u64 {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    }
}

#[test]
fn a_crash_at_any_step_leaves_the_old_directory_or_one_that_is_forced_when_it_is_asked_again() {
    let (_dir, disk) = left_behind();
    let before = entries(&disk);
    let mut halves = 0;
    for op in 1.. {
        let image = disk.image();
        image.crash_after_ops(op);
        let first = force(&image);
        if !image.crashed() {
            first.unwrap();
            break;
        }
        for seed in 0..CUTS {
            let left = image.image();
            left.revive();
            left.power_cut(&mut chance(op * CUTS + seed));
            let why = format!("a crash at step {op}, cut {seed}");
            let found = entries(&left);
            assert_eq!(found[..before.len()], before[..], "{why}");
            let forced = members(&left) == ["n3"];
            if opens(&left) {
                assert!(forced || found.len() == before.len(), "{why}: half of it, and it opens");
            } else {
                halves += 1;
            }
            match force(&left) {
                Ok(_) => {}
                Err(NotRecovered::Refused(NotForced::HaveQuorum)) => assert!(forced, "{why}"),
                Err(other) => panic!("{why}: {other}"),
            }
            assert_forced(&left, &before, &why);
        }
    }
    assert!(halves > 0, "a crash between the steps is among those");
}

#[test]
fn what_is_said_to_be_done_outlives_the_power() {
    let (_dir, disk) = left_behind();
    let before = entries(&disk);
    for seed in 0..64 {
        let image = disk.image();
        force(&image).unwrap();
        image.power_cut(&mut chance(seed));
        assert_forced(&image, &before, &format!("cut {seed}"));
    }
}

#[test]
fn looking_changes_nothing_and_says_what_would_be_written() {
    let (_dir, disk) = left_behind();
    let ops = disk.ops_count();
    let found = examine_on(&disk, Path::new(""), &Order::alone(), None).unwrap();
    assert_eq!(disk.ops_count(), ops);
    assert_eq!((&*found.group_name, &*found.name, found.begun), ("bank", "n3", false));
    assert_eq!(found.last, entries(&disk).last().unwrap().point());
    assert!(!found.known_durable.is_null() && found.known_durable <= found.last.vlsn);
    let names = |recorded: &[Recorded]| -> Vec<String> {
        recorded.iter().map(|member| member.name.clone()).collect()
    };
    assert_eq!(names(&found.survivors), ["n3"]);
    assert_eq!(names(&found.cast_out), ["n1", "n2"]);
    let term = fence(&disk).term.max(found.last.term);
    assert_eq!(found.term, Some(Term::new(term.get() + rep_node::TERMS_SKIPPED)));
    force(&disk).unwrap();
    assert_eq!(fence(&disk).term, found.term.unwrap());
}

#[test]
fn an_order_that_was_begun_may_be_given_again_with_others() {
    let (_dir, disk) = left_behind();
    let path = Path::new("");
    let begun = fence(&disk);
    let begun = Fence { term: begun.term, promised_to: Some(NodeId::new(3)) };
    let (mut forcing, _) = home::open_cell(&disk, FORCING_CELL, path).unwrap();
    forcing.store(&begun.encode()).unwrap();
    let both = Order::alone().survivors(["n3", "n1"]);
    let found = force_on(&disk, path, &both, None, 0).unwrap();
    assert!(found.begun && opens(&disk), "two of three would need no force; but it was begun");
    assert_eq!(members(&disk), ["n1", "n3"]);
    // All of that was written, and the end of it was not noted.
    let promised = fence(&disk);
    let (mut forcing, _) = home::open_cell(&disk, FORCING_CELL, path).unwrap();
    forcing.store(&promised.encode()).unwrap();
    let written = entries(&disk).len();
    let found = force_on(&disk, path, &both, None, 0).unwrap();
    assert_eq!((found.term, entries(&disk).len()), (None, written), "it is only noted");
    assert!(opens(&disk));
}

#[test]
fn a_store_that_holds_what_the_log_does_not_is_refused_before_anything_is_written() {
    let (_dir, disk) = left_behind();
    let last = entries(&disk).last().unwrap().point();
    let (ops, path) = (disk.ops_count(), Path::new(""));
    let ahead = LogPoint::new(last.term, last.vlsn.next());
    let refused = force_on(&disk, path, &Order::alone(), Some(ahead), 0).unwrap_err();
    assert!(matches!(refused, NotRecovered::Home(Error::StoreAheadOfLog { .. })), "{refused}");
    assert_eq!(disk.ops_count(), ops);
    let other = LogPoint::new(last.term.next(), last.vlsn);
    let refused = force_on(&disk, path, &Order::alone(), Some(other), 0).unwrap_err();
    assert!(matches!(refused, NotRecovered::Home(Error::StoreAheadOfLog { .. })), "{refused}");
    assert!(opens(&disk) && members(&disk).len() == 3);
}

/// The next opening would put the copy, and a log of its own, in the place of what was just written.
#[test]
fn a_copy_that_waits_to_be_put_in_place_is_not_written_beside() {
    let (_dir, disk) = left_behind();
    disk.create_dir("restore").unwrap();
    let (mut copy, _) = home::open_cell(&disk, "restore/cell", Path::new("")).unwrap();
    let mut complete = [0; 32];
    (complete[0], complete[1]) = (1, 1);
    copy.store(&complete).unwrap();
    let (before, promised) = (entries(&disk), fence(&disk));
    let refused = force(&disk).unwrap_err();
    assert!(matches!(refused, NotRecovered::CopyWaits { .. }), "{refused}");
    assert!(opens(&disk) && entries(&disk) == before && fence(&disk) == promised);
}

/// An image that was told so, and is all that is left: its quorum was forced, and then it did not open.
#[test]
fn what_is_left_may_be_an_older_image_that_was_told_so() {
    let (_dir, disk) = left_behind();
    let (mut disowned, _) = home::open_cell(&disk, home::DISOWNED_CELL, Path::new("")).unwrap();
    disowned.store(b"an older image").unwrap();
    let is_refused = || home::refuse_disowned(&disk, Path::new("")).is_err();
    assert!(is_refused());
    assert_eq!(force(&disk).unwrap().disowned.as_deref(), Some("an older image"));
    assert!(!is_refused());
}
