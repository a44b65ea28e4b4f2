//! One thread stages and cuts, one writes, several read: each reader sees the log of the epoch it named.

mod common;

use common::{GROUP, Maker, Rng, tiny};
use rep_vlsn::{
    Epoch, LogPoint, LogReader, LogWriter, MemDisk, ReadError, Record, Tail, Vlsn, open,
};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;

/// To Miri each is a hundred times as long.
const ROUNDS: u64 = if cfg!(miri) { 16 } else { 600 };

enum Command {
    Truncate(LogPoint, Epoch),
    Clean(Vlsn),
    Stop,
}

/// The log of each epoch, as it was when the epoch ended.
type Logs = BTreeMap<Epoch, Vec<Record>>;

fn stage_and_cut(tail: &Tail, commands: &mpsc::SyncSender<Command>, mut rng: Rng) -> Logs {
    let (mut maker, mut log, mut logs) = (Maker::new(), Vec::new(), Logs::new());
    let (mut epoch, mut term, mut cleaned) = (Epoch(0), 0, 0);
    for round in 0..ROUNDS {
        for _ in 0..1 + rng.below(4) {
            let opens = maker.last.term.get() < term || log.is_empty();
            let record = if opens { maker.open_term(term + 1, 1) } else { maker.next(&mut rng) };
            term = record.point().term.get();
            tail.stage(std::slice::from_ref(&record));
            log.push(record);
        }
        if round % 7 == 3 {
            let keep = (log.len() - rng.below(12) as usize % log.len()).max(cleaned + 1);
            logs.insert(epoch, log.clone());
            log.truncate(keep);
            epoch = epoch.next();
            let last = log.last().unwrap();
            maker = Maker { last: last.point(), last_crc: last.header_crc() };
            term += 1;
            tail.truncate(last.point(), epoch);
            commands.send(Command::Truncate(last.point(), epoch)).unwrap();
            tail.nudge();
        }
        if round % 50 == 49 {
            cleaned = log.len().saturating_sub(60);
            commands.send(Command::Clean(Vlsn::new(cleaned as u64))).unwrap();
            tail.nudge();
        }
        if rng.below(3) == 0 {
            thread::yield_now();
        }
    }
    logs.insert(epoch, log);
    commands.send(Command::Stop).unwrap();
    tail.nudge();
    logs
}

fn write_on(mut writer: LogWriter<MemDisk>, tail: &Tail, commands: &mpsc::Receiver<Command>) {
    loop {
        tail.wait_unwritten(None);
        while let Ok(command) = commands.try_recv() {
            match command {
                Command::Truncate(keep, epoch) => {
                    let truncated = writer.truncate(keep, epoch).unwrap();
                    assert!(truncated.point == keep || tail.epoch() > epoch);
                }
                Command::Clean(before) => {
                    writer.clean(before).unwrap();
                }
                Command::Stop => {
                    while writer.write_group(Vlsn::NULL).unwrap().is_some() {}
                    return writer.close(Vlsn::NULL).unwrap();
                }
            }
        }
        if let Some(written) = writer.write_group(Vlsn::NULL).unwrap() {
            let synced = writer.sync().unwrap();
            assert_eq!((synced.point, synced.epoch), (written.last, written.epoch));
            writer.write_ahead().unwrap();
        }
    }
}

fn read_on(
    reader: &LogReader<MemDisk>,
    stop: &AtomicBool,
    mut rng: Rng,
) -> Vec<(Epoch, LogPoint, Vec<Record>)> {
    let mut samples = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let (epoch, last) = (reader.tail().epoch(), reader.tail().last().vlsn);
        let from = Vlsn::new(1 + last.get().saturating_sub(rng.below(80)));
        let to = Vlsn::new(from.get() + rng.below(20));
        match reader.batch(from, to, 2000, epoch) {
            Ok(batch) => {
                let prev = reader.read(from, from, 1, epoch).map_or(LogPoint::NULL, |run| run.prev);
                samples.push((epoch, prev, batch.into_records()));
            }
            Err(ReadError::Truncated | ReadError::Cleaned { .. } | ReadError::NotYet) => {}
            Err(error) => panic!("entry {from}: {error}"),
        }
    }
    samples
}

#[test]
fn readers_see_the_log_of_the_epoch_that_they_named() {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), tiny()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let (writer, reader, tail) = (opened.writer, opened.reader, opened.tail);
    let (sender, receiver) = mpsc::sync_channel(16);
    let stop = AtomicBool::new(false);
    let (logs, samples) = thread::scope(|scope| {
        let readers: Vec<_> = (0..3)
            .map(|n| {
                scope.spawn({
                    let (reader, stop) = (reader.clone(), &stop);
                    move || read_on(&reader, stop, Rng(n))
                })
            })
            .collect();
        let writing = scope.spawn({
            let tail = tail.clone();
            move || write_on(writer, &tail, &receiver)
        });
        let logs = stage_and_cut(&tail, &sender, Rng(99));
        writing.join().unwrap();
        stop.store(true, Ordering::Relaxed);
        let samples: Vec<_> =
            readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        (logs, samples)
    });
    for (epoch, prev, records) in &samples {
        let from = records[0].point().vlsn.get() as usize - 1;
        assert_eq!(logs[epoch][from..from + records.len()], records[..]);
        if from > 0 && *prev != LogPoint::NULL {
            assert_eq!(logs[epoch][from - 1].point(), *prev);
        }
    }
    assert!(samples.len() > if cfg!(miri) { 0 } else { 50 }, "{} reads", samples.len());
    let log = logs.last_key_value().unwrap().1;
    let opened = common::reopen(&disk);
    let first = opened.view.first().get() as usize;
    assert_eq!(common::entries(&opened), log[first - 1..]);
}
