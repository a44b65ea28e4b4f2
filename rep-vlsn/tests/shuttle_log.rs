//! A log with its tail, its writer and many readers, while it is cut and while the power fails, by `cargo xtask shuttle`.
#![cfg(rep_shuttle)]

mod common;

use common::{GROUP, Maker, Rng, entries, reopen, tiny};
use rep_explore::{
    Arc, AtomicBool, Mutex, Ordering, explore, join, random, rejects, soon, thread, threads,
    yield_now,
};
use rep_vlsn::{
    Epoch, LogPoint, LogReader, LogWriter, MemDisk, Opened, ReadError, Record, Tail, Vlsn, open,
};
use std::collections::{BTreeMap, VecDeque};

const READERS: usize = 4;
const ROUNDS: u64 = 8;

/// The log of each epoch, as it was when the epoch ended.
type Logs = BTreeMap<Epoch, Vec<Record>>;

/// The cuts that the writer has not made yet.
type Cuts = Arc<Mutex<VecDeque<(LogPoint, Epoch)>>>;

fn opened(disk: &MemDisk) -> Opened<MemDisk> {
    let mut opened = open(disk.clone(), tiny()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    opened
}

/// Stages a few records a round, and cuts some of them off again twice.
fn stage_and_cut(tail: &Tail, cuts: &Cuts) -> Logs {
    let (mut maker, mut log, mut logs) = (Maker::new(), Vec::new(), Logs::new());
    let (mut epoch, mut term) = (Epoch(0), 1);
    for round in 0..ROUNDS {
        let opens = round == 0 || maker.last.term.get() < term;
        let record = if opens { maker.open_term(term, 1) } else { maker.data(&[round as u8; 200]) };
        tail.stage(std::slice::from_ref(&record));
        log.push(record);
        if round % 4 == 3 {
            logs.insert(epoch, log.clone());
            log.truncate(log.len() - 2);
            let last = log.last().unwrap();
            maker = Maker { last: last.point(), last_crc: last.header_crc() };
            (epoch, term) = (epoch.next(), term + 1);
            tail.truncate(last.point(), epoch);
            cuts.lock().push_back((last.point(), epoch));
            tail.nudge();
        }
    }
    logs.insert(epoch, log);
    logs
}

fn write_on(mut writer: LogWriter<MemDisk>, tail: &Tail, cuts: &Cuts, stop: &AtomicBool) {
    loop {
        let waits = tail.wait_unwritten(Some(soon()));
        let stops = stop.load(Ordering::Relaxed) && !waits;
        let cut = cuts.lock().pop_front();
        if let Some((keep, epoch)) = cut {
            writer.truncate(keep, epoch).unwrap();
        } else if let Some(written) = writer.write_group(Vlsn::NULL).unwrap() {
            let synced = writer.sync().unwrap();
            assert_eq!((synced.point, synced.epoch), (written.last, written.epoch));
        } else if stops {
            return writer.close(Vlsn::NULL).unwrap();
        }
    }
}

/// What was read, and by whose log it has to be so: that of the epoch in which the reader learnt of the entries, or, in the
/// twin, of whatever epoch there is afterwards.
fn read_on(
    reader: &LogReader<MemDisk>,
    number: usize,
    asks_afterwards: bool,
) -> Vec<(Epoch, Record)> {
    let (mut samples, mut rng) = (Vec::new(), Rng(number as u64));
    for _ in 0..4 {
        let (epoch, last) = (reader.tail().epoch(), reader.tail().last().vlsn);
        reader.tail().wait_for(last.next(), Some(soon()));
        let from = Vlsn::new(1 + rng.below(last.get() + 1));
        match reader.batch(from, last.next(), 600, epoch) {
            Ok(batch) => {
                let epoch = if asks_afterwards { reader.tail().epoch() } else { epoch };
                samples.extend(batch.into_records().into_iter().map(|record| (epoch, record)));
            }
            Err(ReadError::Truncated | ReadError::NotYet) => {}
            Err(error) => panic!("entry {from}: {error}"),
        }
    }
    samples
}

fn read_while_it_is_cut(asks_afterwards: bool) {
    let disk = MemDisk::new();
    let Opened { writer, reader, tail, .. } = opened(&disk);
    let (cuts, stop) = (Cuts::default(), Arc::new(AtomicBool::new(false)));
    let writing = thread::spawn({
        let (tail, cuts, stop) = (tail.clone(), Arc::clone(&cuts), Arc::clone(&stop));
        move || write_on(writer, &tail, &cuts, &stop)
    });
    let reading = threads(READERS, move |number| read_on(&reader, number, asks_afterwards));
    let logs = stage_and_cut(&tail, &cuts);
    let samples = join(reading);
    stop.store(true, Ordering::Relaxed);
    writing.join().unwrap();
    for (epoch, record) in samples.into_iter().flatten() {
        let at = record.point().vlsn.get() as usize - 1;
        assert_eq!(logs[&epoch].get(at), Some(&record), "the log of the epoch that was named");
    }
    assert_eq!(entries(&reopen(&disk)), *logs.last_key_value().unwrap().1);
}

#[test]
fn shuttle_readers_see_the_log_of_the_epoch_that_they_named() {
    explore(|| read_while_it_is_cut(false));
}

#[test]
fn shuttle_twin_a_reader_that_asks_for_the_epoch_afterwards_is_found() {
    rejects("the log of the epoch that was named", || read_while_it_is_cut(true));
}

/// When the one who committed an entry is told that it is durable.
#[derive(Clone, Copy, PartialEq)]
enum Told {
    /// When a sync has covered it.
    Synced,
    /// Twin: when it is written.
    Written,
    /// Twin: when a sync is over, whatever it covered.
    Staged,
}

/// What was vouched for, so long as there is power.
#[derive(Default)]
struct Vouched {
    up_to: Vlsn,
    power_failed: bool,
}

fn commit_while_the_power_fails(told: Told) {
    let disk = MemDisk::new();
    let Opened { mut writer, tail, .. } = opened(&disk);
    let vouched = Arc::new(Mutex::new(Vouched::default()));
    let writing = thread::spawn({
        let (tail, vouched) = (tail.clone(), Arc::clone(&vouched));
        move || {
            let vouch = |point: Vlsn| {
                let mut vouched = vouched.lock();
                if !vouched.power_failed {
                    vouched.up_to = vouched.up_to.max(point);
                }
            };
            while tail.wait_unwritten(None) {
                let Ok(Some(written)) = writer.write_group(Vlsn::NULL) else { return };
                if told == Told::Written {
                    vouch(written.last.vlsn);
                }
                // A disk takes its time.
                yield_now();
                let Ok(synced) = writer.sync() else { return };
                match told {
                    Told::Synced | Told::Written => vouch(synced.point.vlsn),
                    Told::Staged => vouch(tail.last().vlsn),
                }
            }
        }
    });
    let failing = thread::spawn({
        let (disk, vouched) = (disk.clone(), Arc::clone(&vouched));
        move || {
            (0..random() % 32).for_each(|_| yield_now());
            let mut vouched = vouched.lock();
            vouched.power_failed = true;
            disk.power_cut(&mut random);
        }
    });
    let mut maker = Maker::new();
    tail.stage(&[maker.open_term(1, 1)]);
    (0..6).for_each(|number| tail.stage(&[maker.data(&[number; 100])]));
    tail.close();
    writing.join().unwrap();
    failing.join().unwrap();
    let last = entries(&reopen(&disk)).last().map_or(Vlsn::NULL, |record| record.point().vlsn);
    assert!(last >= vouched.lock().up_to, "what was vouched for is there");
}

#[test]
fn shuttle_what_was_vouched_for_outlives_the_power() {
    explore(|| commit_while_the_power_fails(Told::Synced));
}

#[test]
fn shuttle_twin_what_is_written_and_vouched_for_is_lost() {
    rejects("what was vouched for", || commit_while_the_power_fails(Told::Written));
}

#[test]
fn shuttle_twin_a_sync_that_vouches_for_what_came_meanwhile_is_found() {
    rejects("what was vouched for", || commit_while_the_power_fails(Told::Staged));
}
