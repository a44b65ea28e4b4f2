//! Entries that leave a group reach their sink in order, each once and none left out, whatever fails on the way.

use proptest::prelude::*;
use rep_stream::segments::{
    Folder, FolderError, SEGMENT_BYTES_MAX, Segment, SegmentError, SegmentSink, ShardId, ShipError,
    Shipper, sealed_before,
};
use rep_vlsn::{
    Draft, Flags, GroupId, Kind, LogConfig, LogPoint, MemDisk, NodeId, Opened, Record, Term, Vlsn,
    open, verify,
};

const GROUP: GroupId = GroupId([7; 16]);
const SHARD: ShardId = ShardId(3);

/// Segments of a few entries each, so that there are many.
fn tiny() -> LogConfig {
    LogConfig::default().with_segment_bytes(2048).with_tail_bytes(512)
}

/// `count` entries, a new term at every seventh.
fn records(count: u64) -> Vec<Record> {
    let mut made: Vec<Record> = Vec::new();
    for vlsn in 1..=count {
        let term = Term::new(1 + vlsn / 7);
        let opens = made.last().is_none_or(|last| last.point().term < term);
        let payload = vec![vlsn as u8; (vlsn % 90) as usize];
        let draft = match (vlsn, opens) {
            (1, _) => Draft::opening(Kind::GroupFounded, NodeId::new(1), b"founded"),
            (_, true) => Draft::opening(Kind::TermStart, NodeId::new(2), b""),
            (_, false) => Draft::new(Kind::Data, Flags::default(), &payload),
        };
        let crc = made.last().map_or(0, Record::header_crc);
        made.push(draft.stamp(LogPoint::new(term, Vlsn::new(vlsn)), crc, 0));
    }
    made
}

fn log_of(records: &[Record]) -> Opened<MemDisk> {
    log_with(tiny(), records)
}

fn log_with(config: LogConfig, records: &[Record]) -> Opened<MemDisk> {
    let mut log = open(MemDisk::new(), config).unwrap();
    log.writer.set_group(GROUP).unwrap();
    for group in records.chunks(5) {
        log.tail.stage(group);
        while log.writer.write_group(Vlsn::NULL).unwrap().is_some() {}
    }
    log.writer.sync().unwrap();
    log
}

fn folder(disk: &MemDisk) -> Folder<MemDisk> {
    Folder::open(disk.clone(), tiny(), SHARD).unwrap()
}

/// Ships until there is nothing more.
fn ship_all(log: &Opened<MemDisk>, upto: u64, folder: &mut Folder<MemDisk>) {
    let mut shipper = Shipper::new(GROUP, SHARD);
    while shipper.ship(&log.reader, Vlsn::new(upto), folder).unwrap().is_some() {}
}

#[track_caller]
fn holds(disk: &MemDisk, expected: &[Record]) {
    let report = verify(disk).unwrap();
    assert_eq!(report.entries, expected.len() as u64);
    let log = open(disk.clone(), tiny()).unwrap();
    let (first, last) = (expected[0].point(), expected[expected.len() - 1].point());
    assert_eq!((log.view.first(), log.view.last()), (first.vlsn, last));
    let mut read = Vec::new();
    while read.len() < expected.len() {
        let from = Vlsn::new(first.vlsn.get() + read.len() as u64);
        let batch = log.reader.batch(from, last.vlsn, 1 << 16, log.view.epoch()).unwrap();
        read.extend(batch.into_records());
    }
    assert_eq!(read, expected);
}

#[test]
fn an_archive_grows_with_the_log_and_is_a_log_itself() {
    let records = records(300);
    let log = log_of(&records);
    let disk = MemDisk::new();
    for upto in [1, 2, 120, 121, 300] {
        let mut folder = folder(&disk);
        ship_all(&log, upto, &mut folder);
        folder.close().unwrap();
        holds(&disk, &records[..upto as usize]);
    }
}

#[test]
fn only_full_files_of_durable_entries_count_as_sealed() {
    let log = log_of(&records(300));
    let files = log.reader.segments().unwrap();
    assert!(files.len() > 4);
    assert_eq!(sealed_before(&files, Vlsn::new(300)), files[files.len() - 1].first.prev());
    assert_eq!(sealed_before(&files, files[2].first), files[2].first.prev());
    assert_eq!(sealed_before(&files, files[1].first.prev().prev()), Vlsn::NULL);
    assert_eq!(sealed_before(&files[..1], Vlsn::new(300)), Vlsn::NULL);
}

#[test]
fn a_new_archive_of_a_cleaned_log_begins_with_what_is_left_and_an_old_one_meets_a_gap() {
    let records = records(300);
    let mut log = log_of(&records);
    let old = MemDisk::new();
    ship_all(&log, 40, &mut folder(&old));
    let first = log.writer.clean(Vlsn::new(150)).unwrap().get();
    assert!(first > 41);

    let new = MemDisk::new();
    ship_all(&log, 300, &mut folder(&new));
    holds(&new, &records[first as usize - 1..]);

    let mut shipper = Shipper::new(GROUP, SHARD);
    for _ in 0..2 {
        let refused = shipper.ship(&log.reader, Vlsn::new(300), &mut folder(&old));
        let Err(ShipError::Gap { acknowledged, first: begins }) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!((acknowledged.get(), begins.get()), (40, first));
    }
    holds(&old, &records[..40]);
}

/// Memory reaches further back than the files, and does not say what its first entry follows. That was told as a log that cannot be read, for which a log waits.
#[test]
fn an_archive_that_ends_before_a_cleaned_head_meets_a_gap_though_memory_has_what_comes_next() {
    let records = records(300);
    let mut log = log_with(tiny().with_tail_bytes(1 << 20), &records);
    let mut folder = folder(&MemDisk::new());
    ship_all(&log, 40, &mut folder);
    assert!(log.writer.clean(Vlsn::new(150)).unwrap().get() > 41);
    assert!(log.reader.batch(Vlsn::new(41), Vlsn::new(50), 1 << 16, log.view.epoch()).is_ok());
    let refused = Shipper::new(GROUP, SHARD).ship(&log.reader, Vlsn::new(300), &mut folder);
    assert!(matches!(refused, Err(ShipError::Gap { .. })), "{refused:?}");
}

#[test]
fn a_log_that_is_cleaned_while_it_is_shipped_leaves_a_gap_that_is_told() {
    let records = records(300);
    let mut log = log_of(&records);
    let disk = MemDisk::new();
    let mut folder = folder(&disk);
    let mut shipper = Shipper::new(GROUP, SHARD);
    shipper.ship(&log.reader, Vlsn::new(40), &mut folder).unwrap();
    log.writer.clean(Vlsn::new(150)).unwrap();
    let refused = shipper.ship(&log.reader, Vlsn::new(300), &mut folder);
    assert!(matches!(refused, Err(ShipError::Gap { .. })), "{refused:?}");
    drop(folder);
    holds(&disk, &records[..40]);
}

#[test]
fn another_member_goes_on_where_one_ended() {
    // The files of the two are cut at other entries.
    let records = records(200);
    let one = log_of(&records[..90]);
    let other = {
        let mut log = open(MemDisk::new(), tiny().with_segment_bytes(3000)).unwrap();
        log.writer.set_group(GROUP).unwrap();
        log.tail.stage(&records);
        while log.writer.write_group(Vlsn::NULL).unwrap().is_some() {}
        log.writer.sync().unwrap();
        log
    };
    let disk = MemDisk::new();
    ship_all(&one, 83, &mut folder(&disk));
    ship_all(&other, 200, &mut folder(&disk));
    holds(&disk, &records);
    // The first one is behind now, and has nothing to ship.
    ship_all(&one, 90, &mut folder(&disk));
    holds(&disk, &records);
}

#[test]
fn a_sink_of_another_history_group_or_shard_is_told_apart() {
    let log = log_of(&records(60));
    let (disk, mut shipper) = (MemDisk::new(), Shipper::new(GROUP, SHARD));
    let mut other = records(20);
    let last = other.pop().unwrap().point();
    let forged = LogPoint::new(last.term.next(), last.vlsn);
    let crc = other[other.len() - 1].header_crc();
    other.push(Draft::opening(Kind::TermStart, NodeId::new(9), b"").stamp(forged, crc, 0));
    ship_all(&log_of(&other), 20, &mut folder(&disk));
    let refused = shipper.ship(&log.reader, Vlsn::new(60), &mut folder(&disk));
    assert!(matches!(refused, Err(ShipError::Diverged { theirs }) if theirs == forged));

    let foreign =
        Shipper::new(GroupId([8; 16]), SHARD).ship(&log.reader, Vlsn::new(60), &mut folder(&disk));
    assert!(matches!(foreign, Err(ShipError::Sink(FolderError::OtherGroup { .. }))));
    let elsewhere =
        Shipper::new(GROUP, ShardId(4)).ship(&log.reader, Vlsn::new(60), &mut folder(&disk));
    assert!(matches!(elsewhere, Err(ShipError::Sink(FolderError::OtherShard { .. }))));
}

#[test]
fn a_folder_takes_what_follows_and_nothing_else() {
    let log = log_of(&records(60));
    let made = |from: u64, to: u64| {
        let batch =
            log.reader.batch(Vlsn::new(from), Vlsn::new(to), 1 << 20, log.view.epoch()).unwrap();
        let beginning = log.reader.beginning(batch.first_point()).unwrap();
        Segment::new(SHARD, beginning, batch).unwrap()
    };
    let disk = MemDisk::new();
    let mut folder = folder(&disk);
    folder.take(&made(10, 20)).unwrap();
    for (from, to) in [(10, 20), (20, 21), (22, 30), (1, 9)] {
        let refused = folder.take(&made(from, to));
        assert!(matches!(refused, Err(FolderError::DoesNotFollow { .. })), "{from}: {refused:?}");
    }
    folder.take(&made(21, 22)).unwrap();
    assert_eq!(folder.range().unwrap().0, Vlsn::new(10));
    assert_eq!(folder.acknowledged(GROUP, SHARD).unwrap().vlsn, Vlsn::new(22));
}

#[test]
fn power_lost_at_any_operation_of_the_archive_costs_nothing_and_repeats_nothing() {
    let records = records(90);
    for begin in [Vlsn::FIRST, Vlsn::new(33)] {
        let mut log = log_of(&records);
        log.writer.clean(begin).unwrap();
        let first = log.reader.first().get() as usize;
        let mut operation = 0;
        loop {
            let disk = MemDisk::new();
            disk.crash_after_ops(operation);
            let mut shipper = Shipper::new(GROUP, SHARD);
            let ended = ship_in_steps(&disk, &mut shipper, &log);
            if ended.is_ok() {
                break;
            }
            let mut seed = operation;
            disk.power_cut(&mut || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                seed >> 33
            });
            disk.revive();
            ship_in_steps(&disk, &mut shipper, &log).unwrap();
            holds(&disk, &records[first - 1..]);
            operation += 1;
        }
        assert!(operation > 60, "only {operation} operations");
    }
}

/// Ships until there is nothing more, or the power goes. What a shipper was told to be there is there.
fn ship_in_steps(
    disk: &MemDisk,
    shipper: &mut Shipper,
    log: &Opened<MemDisk>,
) -> Result<(), Box<dyn std::error::Error>> {
    let told = shipper.acknowledged().unwrap_or_default();
    let mut folder = Folder::open(disk.clone(), tiny(), SHARD)?;
    assert!(
        folder.range().map_or(LogPoint::NULL, |range| range.1) >= told,
        "{told} was acknowledged"
    );
    for upto in [20, 21, 70, 90] {
        while shipper.ship(&log.reader, Vlsn::new(upto), &mut folder)?.is_some() {}
    }
    Ok(())
}

#[test]
fn a_full_or_failing_archive_takes_the_rest_when_it_can() {
    let records = records(200);
    let log = log_of(&records);
    let disk = MemDisk::new();
    let mut folder = folder(&disk);
    let mut shipper = Shipper::new(GROUP, SHARD);
    shipper.ship(&log.reader, Vlsn::new(30), &mut folder).unwrap();
    disk.fill(true);
    let full = shipper.ship(&log.reader, Vlsn::new(120), &mut folder);
    assert!(matches!(full, Err(ShipError::Sink(FolderError::Log(_)))), "{full:?}");
    disk.cure();
    disk.fail_next_sync();
    let failed = shipper.ship(&log.reader, Vlsn::new(120), &mut folder);
    assert!(matches!(failed, Err(ShipError::Sink(_))), "{failed:?}");
    while shipper.ship(&log.reader, Vlsn::new(200), &mut folder).unwrap().is_some() {}
    drop(folder);
    holds(&disk, &records);
}

/// The segments of a log, encoded.
fn encoded(count: u64, runs: u64) -> Vec<bytes::Bytes> {
    let log = log_of(&records(count));
    let run = |at: u64| {
        let (from, to) = (Vlsn::new(1 + at * count / runs), Vlsn::new((at + 1) * count / runs));
        let batch = log.reader.batch(from, to, 1 << 20, log.view.epoch()).unwrap();
        let beginning = log.reader.beginning(batch.first_point()).unwrap();
        Segment::new(SHARD, beginning, batch).unwrap().encode()
    };
    (0..runs).map(run).collect()
}

#[test]
fn a_segment_says_what_it_was_made_of() {
    for bytes in encoded(60, 4) {
        let segment = Segment::decode(bytes.clone()).unwrap();
        assert_eq!((segment.group(), segment.shard()), (GROUP, SHARD));
        assert_eq!(segment.prev().vlsn.next(), segment.first().vlsn);
        assert_eq!(segment.encode(), bytes);
        for length in 0..bytes.len() {
            assert!(Segment::decode(bytes.slice(..length)).is_err(), "{length}");
        }
    }
    let long = bytes::Bytes::from(vec![1; SEGMENT_BYTES_MAX + 1]);
    assert!(matches!(Segment::decode(long), Err(SegmentError::TooLong { .. })));
}

#[test]
fn equal_entries_have_equal_digests_at_every_member() {
    let digests = |runs: Vec<bytes::Bytes>| -> Vec<_> {
        runs.into_iter().map(|run| Segment::decode(run).unwrap().digest()).collect()
    };
    assert_eq!(digests(encoded(60, 4)), digests(encoded(60, 4)));
    assert_ne!(digests(encoded(60, 4))[0], digests(encoded(60, 3))[0]);
}

proptest! {
    #[test]
    fn a_changed_segment_is_refused(at in 0usize..4000, with in 1u8..) {
        let bytes = encoded(40, 1).remove(0);
        let mut changed = bytes.to_vec();
        let at = at % changed.len();
        changed[at] ^= with;
        prop_assert!(Segment::decode(changed.into()).is_err());
    }

    #[test]
    fn bytes_are_a_segment_or_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        prop_assert!(Segment::decode(bytes.into()).is_err());
    }
}
