//! The formats of `docs/log-format.md`, pinned byte for byte. A change here is a change of format.

mod common;

use common::{GROUP, Maker};
use rep_vlsn::{
    Beginning, Disk, DiskFile, Draft, DurableCell, Flags, Kind, LogConfig, LogPoint, MemDisk,
    NodeId, Record, SyncClass, Term, Vlsn, open,
};

/// The bytes of a golden file: hex, with `#` comments.
fn golden(text: &str) -> Vec<u8> {
    let digits: String = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or(""))
        .flat_map(str::chars)
        .filter(|c| !c.is_whitespace())
        .collect();
    let byte = |at: usize| u8::from_str_radix(&digits[at..at + 2], 16).expect("hex");
    (0..digits.len()).step_by(2).map(byte).collect()
}

fn hex(bytes: &[u8]) -> String {
    let lines =
        bytes.chunks(16).map(|line| line.iter().map(|byte| format!("{byte:02x}")).collect());
    lines.collect::<Vec<String>>().join("\n")
}

#[track_caller]
fn same(found: &[u8], text: &str) {
    assert!(found == golden(text), "found\n{}\nand not\n{}", hex(found), hex(&golden(text)));
}

fn opening() -> Record {
    let point = LogPoint::new(Term::new(3), Vlsn::FIRST);
    Draft::opening(Kind::GroupFounded, NodeId::new(2), b"").stamp(point, 0, 1_700_000_000_123)
}

fn record() -> Record {
    let replica_sync = SyncClass::NoSync;
    let flags = Flags { replica_sync, local_sync: SyncClass::WriteNoSync, session_prefix: true };
    let point = LogPoint::new(Term::new(3), Vlsn::new(2));
    let draft = Draft::new(Kind::Data, flags, b"hello, log");
    draft.stamp(point, opening().header_crc(), 1_700_000_000_456)
}

fn membership() -> Record {
    let draft = Draft::new(Kind::Membership, Flags::default(), b"\x01who");
    let point = LogPoint::new(Term::new(3), Vlsn::new(3));
    draft.stamp(point, record().header_crc(), 1_700_000_000_789)
}

/// The first segment of a log of two entries, and the second segment, which begins with a third.
fn segments() -> (Vec<u8>, Vec<u8>) {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), LogConfig::default().with_segment_bytes(350)).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    common::write(&mut opened.writer, &opened.tail, &[opening(), record()]);
    opened.writer.sync().unwrap();
    let mut maker = Maker { last: record().point(), last_crc: record().header_crc() };
    opened.tail.stage(&[maker.data(&[1; 100])]);
    opened.writer.write_group(Vlsn::FIRST).unwrap();
    let segment = |first: u64| disk.contents(&format!("log/{first:020}.seg")).unwrap();
    (segment(1), segment(3))
}

#[test]
fn a_record_is_as_it_was() {
    same(opening().bytes(), include_str!("golden/record_opening.hex"));
    same(record().bytes(), include_str!("golden/record.hex"));
    same(membership().bytes(), include_str!("golden/record_membership.hex"));
    let read = Record::split_from(&mut golden(include_str!("golden/record.hex")).into()).unwrap();
    assert_eq!(read, record());
}

#[test]
fn a_segment_header_is_as_it_was() {
    let (first, second) = segments();
    same(&first[..80], include_str!("golden/segment_header_first.hex"));
    same(&second[..80], include_str!("golden/segment_header.hex"));
}

#[test]
fn a_mark_is_as_it_was() {
    let (first, second) = segments();
    same(&first[80..112], include_str!("golden/mark_first.hex"));
    same(&second[80..112], include_str!("golden/mark.hex"));
    assert_eq!(second[112..160], common_record(&second));
}

fn common_record(second: &[u8]) -> Vec<u8> {
    // Records follow their mark at once.
    let read = Record::split_from(&mut second[112..].to_vec().into()).unwrap();
    read.bytes()[..48].to_vec()
}

#[test]
fn a_cell_is_as_it_was() {
    let disk = MemDisk::new();
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"first").unwrap();
    cell.store(b"second").unwrap();
    let bytes = disk.contents("promise").unwrap();
    same(&bytes[..30], include_str!("golden/cell.hex"));
    let (one, other) = bytes.split_at(68 << 10);
    assert_eq!(one, other, "both slots say the same, and have their room");
    assert!(one[30..].iter().all(|byte| *byte == 0));
}

#[test]
fn the_cut_cell_is_as_it_was() {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), LogConfig::default()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    common::write(&mut opened.writer, &opened.tail, &[opening(), record()]);
    let epoch = opened.view.epoch().next();
    opened.tail.truncate(opening().point(), epoch);
    opened.writer.truncate(opening().point(), epoch).unwrap();
    same(&disk.contents("cut").unwrap()[..64], include_str!("golden/cut.hex"));
}

/// A log of two entries that was closed, and how it is opened.
fn indexed() -> (MemDisk, LogConfig) {
    let disk = MemDisk::new();
    let mut config = LogConfig::default();
    config.index_stride = 2;
    let mut opened = open(disk.clone(), config.clone()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    common::write(&mut opened.writer, &opened.tail, &[opening(), record()]);
    opened.writer.close(Vlsn::NULL).unwrap();
    (disk, config)
}

#[test]
fn the_index_file_is_as_it_was() {
    let (disk, _) = indexed();
    same(&disk.contents("log/index").unwrap(), include_str!("golden/index.hex"));
}

/// A log that an earlier version has left is read once, and from then on its index is one of today.
#[test]
fn an_index_file_of_version_1_is_made_anew() {
    let (disk, config) = indexed();
    disk.remove("log/index").unwrap();
    let index = disk.create("log/index").unwrap();
    index.write_at(0, &golden(include_str!("golden/index_v1.hex"))).unwrap();
    for told in [0, 2] {
        let opened = open(disk.clone(), config.clone()).unwrap();
        assert_eq!((opened.report.told, opened.report.entries), (told, 2));
        assert_eq!(opened.view.memberships(), [opening().point()]);
    }
    same(&disk.contents("log/index").unwrap(), include_str!("golden/index.hex"));
}

#[test]
fn a_beginning_is_as_it_was() {
    let disk = MemDisk::new();
    let mut opened = open(disk, LogConfig::default()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    common::write(&mut opened.writer, &opened.tail, &[opening(), record()]);
    let beginning = opened.reader.beginning(record().point()).unwrap();
    same(&beginning.encode(), include_str!("golden/beginning.hex"));
    let read = Beginning::decode(golden(include_str!("golden/beginning.hex")).into());
    assert_eq!(read, Ok(beginning));
}
