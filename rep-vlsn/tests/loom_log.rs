//! A log in its files under every interleaving: while it is cut and read, and while commits share a sync.
//! Run with `--cfg rep_loom`.
#![cfg(rep_loom)]

mod common;

use common::{Maker, entries, reopen, write};
use rep_explore::{Condvar, Mutex, break_line, explore, thread};
use rep_vlsn::{LogWriter, MemDisk, Opened, ReadError, Tail, Vlsn};
use std::sync::Arc;

/// Three entries are in the files and nowhere else. The last two are cut, and another one takes their place; meanwhile
/// somebody looks for it in the index.
fn a_reader_meets_a_cut() {
    let Opened { mut writer, reader, tail, .. } = reopen(&MemDisk::new());
    let mut maker = Maker::new();
    let old = [maker.open_term(1, 1), maker.data(b"old"), maker.data(b"older")];
    write(&mut writer, &tail, &old);
    let (named, next) = (tail.epoch(), tail.epoch().next());
    let reading = thread::spawn(move || {
        let epoch = reader.tail().epoch();
        (epoch, reader.batch(Vlsn::new(2), Vlsn::new(2), 1, epoch))
    });
    let keep = old[0].point();
    let mut maker = Maker { last: keep, last_crc: old[0].header_crc() };
    let new = maker.open_term(2, 1);
    tail.truncate(keep, next);
    writer.truncate(keep, next).unwrap();
    write(&mut writer, &tail, std::slice::from_ref(&new));
    let (epoch, read) = reading.join().unwrap();
    let log = if epoch == named { &old[1] } else { &new };
    match read {
        Ok(batch) => assert_eq!(batch.records()[0], *log, "the log of the epoch that was named"),
        Err(ReadError::Truncated | ReadError::NotYet) => {}
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn loom_a_reader_sees_the_log_of_the_epoch_that_it_named_or_nothing() {
    explore(a_reader_meets_a_cut);
}

#[test]
#[should_panic(expected = "the log of the epoch that was named")]
fn loom_twin_a_reader_that_looks_at_no_epoch_is_found() {
    break_line("vlsn-reader-ignores-epoch");
    explore(a_reader_meets_a_cut);
}

/// What those who committed are told.
#[derive(Default)]
struct Told {
    durable: Vlsn,
    failed: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Fails {
    Nothing,
    Sync,
    /// Twin: one of those who wait is told of the failure.
    SyncAndTellsOne,
}

struct Group {
    maker: Mutex<Maker>,
    tail: Tail,
    told: Mutex<Told>,
    changed: Condvar,
    disk: MemDisk,
}

impl Group {
    /// Whether the commit succeeded, and with which number. Then the power fails, and takes all that is not synced.
    fn commit(&self) -> Option<Vlsn> {
        let mut maker = self.maker.lock();
        let record = maker.data(b"a write");
        self.tail.stage(std::slice::from_ref(&record));
        drop(maker);
        let vlsn = record.point().vlsn;
        let mut told = self.told.lock();
        while told.durable < vlsn && !told.failed {
            (told, _) = self.changed.wait_until(told, None);
        }
        let succeeded = told.durable >= vlsn;
        drop(told);
        if succeeded {
            self.disk.power_cut(&mut || 0);
        }
        succeeded.then_some(vlsn)
    }

    /// Groups, each with one sync, until `last` is durable or the disk has failed.
    fn write_on(&self, mut writer: LogWriter<MemDisk>, last: Vlsn, fails: Fails) {
        loop {
            self.tail.wait_unwritten(None);
            let synced = writer.write_group(Vlsn::NULL).and_then(|_| writer.sync());
            let mut told = self.told.lock();
            match synced {
                Ok(synced) => told.durable = synced.point.vlsn,
                Err(_) => told.failed = true,
            }
            let ends = told.failed || told.durable == last;
            if told.failed && fails == Fails::SyncAndTellsOne {
                self.changed.notify_one();
            } else {
                self.changed.notify_all();
            }
            drop(told);
            if ends {
                return;
            }
        }
    }
}

/// Two commits that may share a sync. What was told to be durable is there without power, and a disk that fails fails all who
/// wait for it.
fn commits_share_a_sync(fails: Fails) {
    let disk = MemDisk::new();
    let Opened { mut writer, tail, .. } = reopen(&disk);
    let mut maker = Maker::new();
    write(&mut writer, &tail, &[maker.open_term(1, 1)]);
    writer.sync().unwrap();
    if fails != Fails::Nothing {
        disk.fail_next_sync();
    }
    let last = Vlsn::new(3);
    let (told, changed) = (Mutex::new(Told::default()), Condvar::new());
    let group = Group { maker: Mutex::new(maker), tail, told, changed, disk: disk.clone() };
    let group = Arc::new(group);
    let committing = [(); 2].map(|()| {
        let group = Arc::clone(&group);
        thread::spawn(move || group.commit())
    });
    group.write_on(writer, last, fails);
    let durable = committing.map(|thread| thread.join().unwrap()).into_iter().flatten().max();
    assert!(fails == Fails::Nothing || durable.is_none(), "a failed sync fails all who wait");
    let there = entries(&reopen(&disk)).last().map(|record| record.point().vlsn);
    assert!(there >= durable, "what was told to be durable is there");
}

#[test]
fn loom_a_commit_that_is_told_to_be_durable_was_covered_by_its_sync() {
    explore(|| commits_share_a_sync(Fails::Nothing));
}

#[test]
#[should_panic(expected = "what was told to be durable is there")]
fn loom_twin_a_log_that_skips_its_sync_is_found() {
    break_line("vlsn-skip-log-sync");
    explore(|| commits_share_a_sync(Fails::Nothing));
}

#[test]
fn loom_a_sync_that_fails_is_told_to_all_who_wait_for_it() {
    explore(|| commits_share_a_sync(Fails::Sync));
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_failure_that_is_told_to_one_is_found() {
    explore(|| commits_share_a_sync(Fails::SyncAndTellsOne));
}
