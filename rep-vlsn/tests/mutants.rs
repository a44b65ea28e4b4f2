//! Each planted bug is found by the tests that should find it.
#![cfg(rep_mutants)]

mod common;

use common::world::World;
use common::{Maker, Rng, reopen, try_open_whole, write};
use rep_vlsn::{
    Disk, DiskFile, DurableCell, Epoch, Holder, LogConfig, LogPoint, MemDisk, ReadError, SyncPlan,
    Vlsn, begin_with, mutants,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

/// Random lives of a log, with crashes.
fn lives() {
    for seed in 0..400 {
        let mut world = World::new(seed);
        for _ in 0..8 {
            world.disk.crash_after_ops(5 + world.rng.below(60));
            while world.step().is_ok() {}
            world.crash();
        }
    }
}

/// A log with damage in its first group, and marks behind it that vouch for that.
fn damage() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    write(&mut opened.writer, &opened.tail, &[maker.open_term(1, 1), maker.data(b"synced")]);
    opened.writer.close(Vlsn::NULL).unwrap();
    let name = format!("log/{}", disk.list("log").unwrap()[0]);
    disk.flip_bit(&name, 80 + 32 + 60);
    assert!(try_open_whole(&disk).is_err(), "what was synced is reported, never cut");
}

fn cells() {
    for op in 1..40 {
        let disk = MemDisk::new();
        let mut rng = Rng(op);
        disk.crash_after_ops(op);
        let mut stored = 0;
        if let Ok((mut cell, _)) = DurableCell::open(disk.clone(), "promise") {
            while cell.store(&[stored + 1]).is_ok() {
                stored += 1;
            }
        }
        disk.power_cut(&mut || rng.next());
        let found = DurableCell::open(disk, "promise").unwrap().1.map_or(0, |value| value[0]);
        assert!(found >= stored, "{found} of {stored}");
    }
}

/// Cells whose store failed at its first sync, told again after a restart, and torn in the next store.
fn worn_cells() {
    for fate in 0..60 {
        let disk = MemDisk::new();
        let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
        cell.store(&[1; 900]).unwrap();
        disk.fail_next_sync();
        assert!(cell.store(&[2; 900]).is_err());
        disk.kill();
        let (mut cell, told) = DurableCell::open(disk.clone(), "promise").unwrap();
        disk.crash_after_ops(2);
        assert!(cell.store(&[3; 900]).is_err());
        let mut rng = Rng(fate);
        disk.power_cut(&mut || rng.next());
        let found = DurableCell::open(disk, "promise").unwrap().1.unwrap();
        assert!(found[0] >= told.unwrap()[0], "what an opening told is forgotten");
    }
}

/// A record of another history behind the end.
fn strangers() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let first = maker.open_term(1, 1);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&first));
    drop(opened);
    let mut other = Maker { last: first.point(), last_crc: 77 };
    let name = format!("log/{}", disk.list("log").unwrap()[0]);
    let end = (80 + 32 + first.bytes().len()) as u64;
    disk.open(&name).unwrap().unwrap().write_at(end, other.data(b"x").bytes()).unwrap();
    assert_eq!(reopen(&disk).view.last(), first.point());
}

fn epochs() {
    let disk = MemDisk::new();
    let opened = reopen(&disk);
    let mut maker = Maker::new();
    opened.tail.stage(&[maker.open_term(1, 1), maker.data(b"x")]);
    opened.tail.truncate(LogPoint::NULL, Epoch(1));
    opened.tail.stage(&[Maker::new().open_term(2, 2)]);
    let read = opened.reader.read(Vlsn::FIRST, Vlsn::FIRST, 1, Epoch(0));
    assert!(matches!(read, Err(ReadError::Truncated)));
}

/// A log that begins anew and is interrupted while the old one is removed: no piece of that passes for a log.
fn beginnings() {
    let old = MemDisk::new();
    let mut opened = reopen(&old);
    let (mut maker, mut rng) = (Maker::new(), Rng(1));
    let records: Vec<_> = (0..40).map(|_| maker.next(&mut rng)).collect();
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.sync().unwrap();
    let beginning = opened.reader.beginning(records[20].point()).unwrap();
    for (op, fate) in (1..40).flat_map(|op| (0..12).map(move |fate| (op, fate))) {
        let disk = old.image();
        disk.crash_after_ops(op);
        let _ = begin_with(&disk, &LogConfig::default(), &beginning);
        let mut rng = Rng(op << 8 | fate);
        disk.power_cut(&mut || rng.next());
        let Ok(opened) = try_open_whole(&disk) else { continue };
        let found = (opened.view.first(), opened.view.last());
        let anew = (records[20].point().vlsn, records[20].point());
        assert!([(Vlsn::FIRST, records[39].point()), anew].contains(&found), "{found:?}");
    }
}

fn intervals() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    write(&mut opened.writer, &opened.tail, &[maker.open_term(1, 1)]);
    let mut plan = SyncPlan::new(Duration::from_millis(100), 1 << 20);
    opened.tail.stage_as(Holder::Master, &[maker.lazy(b"x")]);
    let written = opened.writer.write_group(Vlsn::NULL).unwrap().unwrap();
    plan.note_written(Duration::ZERO, &written);
    assert!(plan.is_due(Duration::from_millis(100)));
}

fn found(name: &str, suite: fn()) -> bool {
    mutants::enable(name);
    let result = catch_unwind(AssertUnwindSafe(suite));
    mutants::disable_all();
    result.is_err()
}

/// One test, because the set of planted bugs belongs to the process.
#[test]
fn every_planted_bug_is_found_and_without_one_nothing_is() {
    let suites: [(&str, fn()); 15] = [
        ("vlsn-skip-log-sync", lives),
        ("vlsn-skip-cut-cell", lives),
        ("vlsn-keep-stale-tail", lives),
        ("vlsn-no-epoch", lives),
        ("vlsn-zeros-over-data", lives),
        ("vlsn-cut-leaves-bytes", lives),
        ("vlsn-stale-index", lives),
        ("log-membership-forgotten", lives),
        ("vlsn-skip-cell-sync", cells),
        ("vlsn-mend-trusts-memory", worn_cells),
        ("vlsn-truncate-on-damage", damage),
        ("vlsn-no-predecessor-chain", strangers),
        ("vlsn-reader-ignores-epoch", epochs),
        ("vlsn-begin-removes-at-once", beginnings),
        ("dur-never-sync", intervals),
    ];
    for (_, suite) in suites {
        suite();
    }
    let missed: Vec<&str> = suites
        .into_iter()
        .filter(|(name, suite)| !found(name, *suite))
        .map(|(name, _)| name)
        .collect();
    assert!(missed.is_empty(), "not found: {missed:?}");
}
