//! Zeros ahead of the end: how many, when, and that nobody is the worse for them.

mod common;

use bytes::Bytes;
use common::{GROUP, Maker, entries, write};
use rep_vlsn::{Disk, DiskFile, Epoch, LogConfig, LogError, MemDisk, Opened, Vlsn, open};
use std::io;
use std::sync::{Arc, Mutex};

/// A disk that notes what is written where, and has no space for zeros if that is asked of it.
#[derive(Clone, Debug, Default)]
struct Watched {
    inner: MemDisk,
    zeros: Arc<Mutex<Vec<(u64, u64)>>>,
    full: bool,
    broken: bool,
}

#[derive(Debug)]
struct WatchedFile {
    inner: <MemDisk as Disk>::File,
    disk: Watched,
}

impl Disk for Watched {
    type File = WatchedFile;

    fn create(&self, name: &str) -> io::Result<WatchedFile> {
        Ok(WatchedFile { inner: self.inner.create(name)?, disk: self.clone() })
    }

    fn open(&self, name: &str) -> io::Result<Option<WatchedFile>> {
        let file = self.inner.open(name)?;
        Ok(file.map(|inner| WatchedFile { inner, disk: self.clone() }))
    }

    fn list(&self, dir: &str) -> io::Result<Vec<String>> {
        self.inner.list(dir)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.inner.remove(name)
    }

    fn create_dir(&self, dir: &str) -> io::Result<()> {
        self.inner.create_dir(dir)
    }

    fn sync_dir(&self, dir: &str) -> io::Result<()> {
        self.inner.sync_dir(dir)
    }
}

impl DiskFile for WatchedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read_at(offset, buffer)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn write_vectored_at(&self, offset: u64, parts: &[Bytes]) -> io::Result<()> {
        if parts.iter().all(|part| part.iter().all(|byte| *byte == 0)) {
            if self.disk.full {
                return Err(io::ErrorKind::StorageFull.into());
            }
            if self.disk.broken {
                return Err(io::Error::other("broken"));
            }
            let bytes = parts.iter().map(|part| part.len() as u64).sum();
            self.disk.zeros.lock().unwrap().push((offset, bytes));
        }
        self.inner.write_vectored_at(offset, parts)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.inner.set_len(len)
    }

    fn allocate(&self, len: u64) -> io::Result<()> {
        self.inner.allocate(len)
    }

    fn len(&self) -> io::Result<u64> {
        self.inner.len()
    }

    fn sync(&self) -> io::Result<()> {
        self.inner.sync()
    }
}

impl Watched {
    fn log(&self) -> Opened<Watched> {
        let config = LogConfig::default().with_segment_bytes(SEGMENT).with_ahead_bytes(AHEAD);
        let mut opened = open(self.clone(), config).unwrap();
        opened.writer.set_group(GROUP).unwrap();
        opened
    }

    /// Where zeros were written since this was last asked, and how many.
    fn zeros(&self) -> Vec<(u64, u64)> {
        std::mem::take(&mut self.zeros.lock().unwrap())
    }

    fn is_synced(&self) -> bool {
        self.inner.is_synced(|name| name.ends_with(".seg"))
    }
}

const SEGMENT: u64 = 400_000;
const AHEAD: u64 = 100_000;
const HEADER: u64 = 80;
const MARK: u64 = 32;

/// Writes one entry, syncs, and writes ahead; how long the entry is in the file, with its mark.
fn append(opened: &mut Opened<Watched>, maker: &mut Maker, payload: usize) -> u64 {
    let record = maker.data(&vec![7; payload]);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&record));
    opened.writer.sync().unwrap();
    opened.writer.write_ahead().unwrap();
    MARK + record.bytes().len() as u64
}

fn begun(disk: &Watched) -> (Opened<Watched>, Maker, u64) {
    let (mut opened, mut maker) = (disk.log(), Maker::new());
    let first = maker.open_term(1, 1);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&first));
    opened.writer.sync().unwrap();
    (opened, maker, HEADER + MARK + first.bytes().len() as u64)
}

#[test]
fn zeros_are_written_behind_the_end_and_again_when_half_of_them_are_used() {
    let disk = Watched::default();
    let (mut opened, mut maker, mut end) = begun(&disk);
    assert_eq!(opened.writer.write_ahead().unwrap(), AHEAD);
    assert_eq!(disk.zeros(), [(end, AHEAD)]);
    assert_eq!(opened.writer.write_ahead().unwrap(), 0, "there are plenty");
    let mut reach = end + AHEAD;
    for _ in 0..30 {
        end += append(&mut opened, &mut maker, 9_000);
        let left = reach.saturating_sub(end);
        let zeros = disk.zeros();
        if left >= AHEAD / 2 {
            assert_eq!(zeros, []);
        } else {
            let due = (end + AHEAD).min(SEGMENT);
            let expected = if due > reach { vec![(reach, due - reach)] } else { Vec::new() };
            assert_eq!(zeros, expected, "left {left}");
            reach = due;
        }
    }
    assert!(reach < SEGMENT && reach > 3 * AHEAD);
}

#[test]
fn zeros_end_with_the_segment_and_begin_anew_in_the_next() {
    let disk = Watched::default();
    let (mut opened, mut maker, _) = begun(&disk);
    for _ in 0..60 {
        append(&mut opened, &mut maker, 12_000);
    }
    let zeros = disk.zeros();
    assert!(zeros.iter().all(|(at, bytes)| at + bytes <= SEGMENT), "{zeros:?}");
    let turns = zeros.windows(2).filter(|pair| pair[1].0 < pair[0].0).count();
    assert_eq!(turns, disk.list("log").unwrap().iter().filter(|n| n.ends_with(".seg")).count() - 1);
    drop(opened);
    assert_eq!(entries(&open(disk.inner, LogConfig::default()).unwrap()).len(), 61);
}

#[test]
fn a_bulk_load_is_not_written_twice() {
    let disk = Watched::default();
    let (mut opened, mut maker, mut end) = begun(&disk);
    end += append(&mut opened, &mut maker, 70_000);
    assert_eq!(disk.zeros(), []);
    end += append(&mut opened, &mut maker, 10);
    assert_eq!(disk.zeros(), [(end, AHEAD)], "small groups again");
    end += append(&mut opened, &mut maker, 120_000);
    end += append(&mut opened, &mut maker, 10);
    assert_eq!(disk.zeros(), [(end, AHEAD)], "behind what outran them");
}

#[test]
fn zeros_are_durable_with_the_next_sync() {
    let disk = Watched::default();
    let (mut opened, _, _) = begun(&disk);
    assert!(disk.is_synced());
    opened.writer.write_ahead().unwrap();
    assert!(!disk.is_synced());
    opened.writer.sync().unwrap();
    assert!(disk.is_synced());
}

#[test]
fn what_was_cut_is_written_with_zeros_again() {
    let disk = Watched::default();
    let (mut opened, mut maker, end) = begun(&disk);
    let keep = maker.last;
    opened.writer.write_ahead().unwrap();
    append(&mut opened, &mut maker, 30_000);
    disk.zeros();
    opened.tail.truncate(keep, Epoch(1));
    opened.writer.truncate(keep, Epoch(1)).unwrap();
    let bytes = disk.inner.contents("log/00000000000000000001.seg").unwrap();
    assert!(bytes[end as usize..].iter().all(|byte| *byte == 0), "nothing stale is left");
    assert_eq!(bytes.len() as u64, SEGMENT);
    // The file system gave the space back and has reserved other space since.
    assert_eq!(opened.writer.write_ahead().unwrap(), AHEAD);
    assert_eq!(disk.zeros(), [(end, AHEAD)]);
}

#[test]
fn no_space_for_zeros_harms_nobody() {
    let disk = Watched { full: true, ..Watched::default() };
    let (mut opened, mut maker, _) = begun(&disk);
    assert_eq!(opened.writer.write_ahead().unwrap(), 0);
    for _ in 0..4 {
        append(&mut opened, &mut maker, 9_000);
    }
    assert!(!opened.writer.is_poisoned());
    drop(opened);
    assert_eq!(entries(&open(disk.inner, LogConfig::default()).unwrap()).len(), 5);
}

/// A disk that fails to write what nobody needs will not be trusted with what somebody does.
#[test]
fn a_disk_that_cannot_write_zeros_is_broken() {
    let disk = Watched { broken: true, ..Watched::default() };
    let (mut opened, _, _) = begun(&disk);
    assert!(matches!(opened.writer.write_ahead(), Err(LogError::Io { .. })));
    assert!(opened.writer.is_poisoned());
    assert!(matches!(opened.writer.write_group(Vlsn::NULL), Err(LogError::Poisoned)));
}

#[test]
fn none_are_written_if_none_are_wanted() {
    let disk = Watched::default();
    let mut opened = open(disk.clone(), LogConfig::default().with_ahead_bytes(0)).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    assert_eq!(opened.writer.write_ahead().unwrap(), 0, "there is no segment");
    write(&mut opened.writer, &opened.tail, &[Maker::new().open_term(1, 1)]);
    assert_eq!(opened.writer.write_ahead().unwrap(), 0);
    assert_eq!(disk.zeros(), []);
}
