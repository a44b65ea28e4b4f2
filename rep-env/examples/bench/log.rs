//! The log alone: appending, finding, opening.

use crate::Options;
use crate::parts::{Any, Table, ms};
use rep_vlsn::{
    Draft, FileDisk, Flags, GroupId, Kind, LogConfig, LogPoint, NodeId, Opened, Position, Record,
    Term, Vlsn, VlsnIndex, open,
};
use std::hint::black_box;
use std::io::{Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// Entries of one group when many are appended.
const GROUP: usize = 1000;
/// As many entries as the index is made for.
const INDEX_ENTRIES: u64 = 10_000_000;

pub(crate) fn append(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let dir = TempDir::new()?;
    let table = Table::begin(name, dir.path())?;
    for group in [1, 32, GROUP] {
        let home = dir.path().join(group.to_string());
        let mut log = Log::begin(&home)?;
        let (begun, mut entries) = (Instant::now(), 0);
        while begun.elapsed() < options.time {
            log.append(group)?;
            entries += group;
        }
        let took = begun.elapsed();
        let each = took / (entries / group) as u32;
        let what = format!("append of 100 byte payloads, {group} a sync");
        let share = format!("{:.2} x sync", each.as_secs_f64() / table.floor.sync.as_secs_f64());
        table.row(&what, &format!("{:.0} entries/s", entries as f64 / took.as_secs_f64()), &share);
    }
    Ok(())
}

pub(crate) fn index(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let dir = TempDir::new()?;
    let table = Table::begin(name, dir.path())?;
    let mut index = VlsnIndex::new(LogConfig::default().index_stride, Vlsn::NULL);
    let segment = Vlsn::new(1);
    for vlsn in 1..=INDEX_ENTRIES {
        index.register(Vlsn::new(vlsn), Position { segment, offset: vlsn * 148 });
    }
    let (begun, mut lookups, mut at) = (Instant::now(), 0_u64, 1_u64);
    while begun.elapsed() < options.time {
        for _ in 0..1024 {
            // A full-period step through the numbers: no lookup follows its neighbour.
            at = (at * 5 + 3) % INDEX_ENTRIES.next_power_of_two();
            black_box(index.floor(Vlsn::new(at % INDEX_ENTRIES + 1)));
        }
        lookups += 1024;
    }
    let each = begun.elapsed().as_nanos() as f64 / lookups as f64;
    let memory = index.memory_bytes() as f64 / f64::from(1 << 20);
    let what = format!("index lookup among {INDEX_ENTRIES} entries, which take {memory:.1} MiB");
    table.row(&what, &format!("{each:.0} ns"), "");
    Ok(())
}

/// A log of `--gib` GiB, 1/16 of one unless told: closed in order, killed, and read whole; beside a plain read of its files.
pub(crate) fn recovery(name: &str, options: &Options) -> Result<(), Box<dyn Any>> {
    let dir = TempDir::new()?;
    let home = dir.path().join("log");
    let bytes = (options.gib * f64::from(1 << 30)) as u64;
    let mut log = Log::begin(&home)?;
    while log.bytes < bytes {
        log.append(GROUP)?;
    }
    let entries = log.last.vlsn.get();
    drop(log);
    let table = Table::begin(name, dir.path())?;
    let size = format!("{entries} entries, {:.2} GiB", bytes as f64 / f64::from(1 << 30));
    let (read, killed) = (plain_read(&home)?, opening(&home, false)?);
    let closed = opening(&home, false)?;
    let whole = opening(&home, true)?;
    let ratio = |took: Duration| times(took, read);
    table.row(&format!("reading the files of {size}"), &ms(read), "");
    table.row("opening it after a kill, by its index", &ms(killed), &ratio(killed));
    table.row("opening it after a close, by its index", &ms(closed), &ratio(closed));
    table.row("opening it with every entry checked", &ms(whole), &ratio(whole));
    Ok(())
}

fn times(took: Duration, floor: Duration) -> String {
    format!("{:.4} of a read", took.as_secs_f64() / floor.as_secs_f64())
}

/// Opens a log and closes it in order; how long the opening took.
fn opening(home: &Path, verify: bool) -> Result<Duration, Box<dyn Any>> {
    let begun = Instant::now();
    let opened = open(FileDisk::open(home)?, LogConfig::default().with_verify_on_open(verify))?;
    let took = begun.elapsed();
    opened.writer.close(Vlsn::NULL)?;
    Ok(took)
}

fn plain_read(home: &Path) -> std::io::Result<Duration> {
    let (begun, mut buffer) = (Instant::now(), vec![0; 1 << 20]);
    for entry in std::fs::read_dir(home.join("log"))? {
        let mut file = std::fs::File::open(entry?.path())?;
        while file.read(&mut buffer)? > 0 {
            black_box(&buffer);
        }
    }
    Ok(begun.elapsed())
}

/// How long writing so many bytes takes in groups of 4 MiB, each synced: what no replica's disk can be faster than.
pub(crate) fn disk_floor(directory: &Path, bytes: u64) -> std::io::Result<Duration> {
    const PIECE: usize = 4 << 20;
    let mut file = std::fs::File::create(directory.join("disk-floor"))?;
    let (begun, piece) = (Instant::now(), vec![7; PIECE]);
    let mut left = bytes;
    while left > 0 {
        let now = left.min(PIECE as u64);
        file.write_all(&piece[..now as usize])?;
        file.sync_data()?;
        left -= now;
    }
    Ok(begun.elapsed())
}

/// A log that is written to.
struct Log {
    opened: Opened<FileDisk>,
    last: LogPoint,
    last_crc: u32,
    bytes: u64,
}

impl Log {
    fn begin(home: &Path) -> Result<Log, Box<dyn Any>> {
        let mut opened = open(FileDisk::open(home)?, LogConfig::default())?;
        opened.writer.set_group(GroupId([7; 16]))?;
        let mut log = Log { opened, last: LogPoint::NULL, last_crc: 0, bytes: 0 };
        let founding = Draft::opening(Kind::GroupFounded, NodeId::new(1), b"");
        let founding = log.stamp(Term::new(1), founding);
        log.write(&[founding])?;
        Ok(log)
    }

    fn append(&mut self, count: usize) -> Result<(), Box<dyn Any>> {
        let data = || Draft::new(Kind::Data, Flags::default(), &[7; 100]);
        let records: Vec<_> = (0..count).map(|_| self.stamp(self.last.term, data())).collect();
        self.write(&records)
    }

    fn stamp(&mut self, term: Term, draft: Draft) -> Record {
        let point = LogPoint::new(term, self.last.vlsn.next());
        let record = draft.stamp(point, self.last_crc, 1);
        (self.last, self.last_crc) = (point, record.header_crc());
        self.bytes += record.bytes().len() as u64;
        record
    }

    fn write(&mut self, records: &[Record]) -> Result<(), Box<dyn Any>> {
        self.opened.tail.stage(records);
        while self.opened.writer.write_group(Vlsn::NULL)?.is_some() {}
        self.opened.writer.sync()?;
        Ok(())
    }
}
