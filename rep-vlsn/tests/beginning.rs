//! A log that begins with an entry from the middle of another one, whatever was there before and wherever it is interrupted.

mod common;

use bytes::Bytes;
use common::{GROUP, Maker, Rng, entries, reopen, tiny, try_open, write};
use proptest::prelude::*;
use rep_vlsn::{
    Beginning, BeginningError, Disk, DiskFile, Epoch, GroupId, LogPoint, MemDisk, NodeId,
    ReadError, Record, Term, TermStart, Vlsn, begin_with, inspect, verify,
};

/// A log of several segments in some terms, synced to its end.
fn log(seed: u64, count: usize) -> (MemDisk, Vec<Record>) {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(seed));
    let records: Vec<Record> = (0..count).map(|_| maker.next(&mut rng)).collect();
    for group in records.chunks(3) {
        write(&mut opened.writer, &opened.tail, group);
    }
    opened.writer.sync().unwrap();
    (disk, records)
}

/// Entry `at` of the log of `seed`, as its reader gives it.
fn beginning(seed: u64, at: u64) -> Beginning {
    let (disk, records) = log(seed, 60);
    reopen(&disk).reader.beginning(records[at as usize - 1].point()).unwrap()
}

fn segments(disk: &MemDisk) -> Vec<String> {
    let names = disk.list("log").unwrap_or_default();
    names.into_iter().filter(|name| name.ends_with(".seg")).map(|n| format!("log/{n}")).collect()
}

/// The log is the one entry, durably, and goes on behind it.
#[track_caller]
fn begins_with(disk: &MemDisk, beginning: &Beginning, above: Epoch) {
    let point = beginning.point();
    for fate in 0..2 {
        // Nothing of it hangs on a sync that is still to come.
        let image = disk.image();
        let disk = if fate == 0 { &image } else { disk };
        disk.power_cut(&mut || 0);
        let report = verify(disk).unwrap();
        assert_eq!((report.segments, report.entries, report.torn_at), (1, 1, None));
        let opened = reopen(disk);
        assert_eq!(entries(&opened), [beginning.record().clone()]);
        let view = &opened.view;
        assert_eq!((view.first(), view.last(), view.synced()), (point.vlsn, point, point.vlsn));
        assert!(view.contains(point) && view.epoch() > above);
        assert_eq!(view.history().starts(), [beginning.term_start()]);
        assert_eq!(opened.group, Some(beginning.group()));
        let marks = opened.marks.unwrap();
        assert_eq!((marks.synced, marks.dvlsn), (point.vlsn, point.vlsn));
        let below = opened.reader.read(point.vlsn.prev(), point.vlsn, 1, view.epoch());
        assert!(matches!(below, Err(ReadError::Cleaned { first }) if first == point.vlsn));
    }
}

/// What can lie where a log is to begin anew.
fn scenes() -> Vec<(&'static str, MemDisk)> {
    let damaged = |disk: MemDisk, name: &str| {
        assert!((0..160).all(|at| disk.flip_bit(name, at)));
        disk
    };
    let cell = |disk: MemDisk| {
        assert!(disk.flip_bit("cut", 9) && disk.flip_bit("cut", (68 << 10) + 9));
        disk
    };
    let (last, middle) = {
        let names = segments(&log(1, 40).0);
        (names[names.len() - 1].clone(), names[2].clone())
    };
    let headless = log(1, 40).0;
    headless.remove(&segments(&headless)[0]).unwrap();
    let cleaned = {
        let disk = log(1, 40).0;
        let mut opened = reopen(&disk);
        let keep = opened.view.point_at(Vlsn::new(35)).unwrap();
        opened.tail.truncate(keep, Epoch(4));
        opened.writer.truncate(keep, Epoch(4)).unwrap();
        opened.writer.clean(Vlsn::new(12)).unwrap();
        disk
    };
    let indexless = log(1, 40).0;
    indexless.remove("log/index").unwrap();
    let leftover = log(1, 40).0;
    for name in ["log/index.new", "log/00000000000000000025.seg.new"] {
        leftover.create(name).unwrap().write_at(0, &[1; 500]).unwrap();
    }
    vec![
        ("nothing", MemDisk::new()),
        ("a log", log(1, 40).0),
        ("a log that was cut at both ends", cleaned),
        ("a log with a damaged entry", damaged(log(1, 40).0, &middle)),
        ("a log with a damaged end", damaged(log(1, 40).0, &last)),
        ("a log without its head", headless),
        ("a log whose cell cannot be read", cell(log(1, 40).0)),
        ("a log without an index", indexless),
        ("a log with what a crash left", leftover),
        ("the log from which the entry is", log(7, 60).0),
    ]
}

fn epoch_of(disk: &MemDisk) -> Epoch {
    try_open(&disk.image()).map_or(Epoch(0), |opened| opened.view.epoch())
}

#[test]
fn whatever_was_there_is_gone_and_the_log_is_the_one_entry() {
    for at in [1, 2, 25, 60] {
        let beginning = beginning(7, at);
        for (scene, disk) in scenes() {
            println!("{scene}, entry {at}");
            let before = epoch_of(&disk);
            begin_with(&disk, &tiny(), &beginning).unwrap();
            begins_with(&disk, &beginning, before);
            let before = epoch_of(&disk);
            begin_with(&disk, &tiny(), &beginning).unwrap();
            begins_with(&disk, &beginning, before);
        }
    }
}

/// The rest of the source's entries follow, over crashes, cuts and cleanings as in any log.
#[test]
fn a_log_that_began_anew_goes_on_as_any_other() {
    let (_, records) = log(7, 60);
    for at in [1_usize, 2, 25, 59] {
        let disk = log(1, 40).0;
        begin_with(&disk, &tiny(), &beginning(7, at as u64)).unwrap();
        let mut opened = reopen(&disk);
        for group in records[at..].chunks(4) {
            write(&mut opened.writer, &opened.tail, group);
        }
        opened.writer.sync().unwrap();
        drop(opened);
        disk.power_cut(&mut || 0);
        let mut opened = reopen(&disk);
        assert_eq!(entries(&opened), records[at - 1..]);
        // Back to the first entry, which is never cut: it is durable in the group.
        let (keep, epoch) = (records[at - 1].point(), opened.view.epoch().next());
        opened.tail.truncate(keep, epoch);
        opened.writer.truncate(keep, epoch).unwrap();
        drop(opened);
        assert_eq!(entries(&reopen(&disk)), records[at - 1..at]);
    }
}

/// The power fails after any operation, and in one run in two again in the next attempt. Whoever looks between
/// finds the old log, the new one or damage, and no piece of the old one that passes for a whole.
#[test]
fn an_interrupted_beginning_leads_to_the_same_end_when_it_is_made_again() {
    let beginning = beginning(7, 25);
    let mut found = [0; 3];
    for (scene, disk) in scenes() {
        let old = try_open(&disk.image()).map(|opened| entries(&opened));
        let count = {
            let image = disk.image();
            let before = image.ops_count();
            begin_with(&image, &tiny(), &beginning).unwrap();
            image.ops_count() - before
        };
        for (op, fate) in (1..=count).flat_map(|op| (0..12).map(move |fate| (op, fate))) {
            let image = disk.image();
            let mut rng = Rng(op << 8 | fate);
            for _ in 0..1 + fate % 2 {
                image.crash_after_ops(op);
                let _ = begin_with(&image, &tiny(), &beginning);
                image.power_cut(&mut || rng.next());
                match try_open(&image.image()).map(|opened| entries(&opened)) {
                    Err(_) => found[0] += 1,
                    Ok(records) if records == [beginning.record().clone()] => found[1] += 1,
                    Ok(records) if old.as_ref().is_ok_and(|old| *old == records) => found[2] += 1,
                    Ok(records) => {
                        panic!("{scene}, operation {op}: a piece of the log: {records:?}")
                    }
                }
            }
            begin_with(&image, &tiny(), &beginning).unwrap();
            begins_with(&image, &beginning, Epoch(0));
        }
    }
    assert!(found.iter().all(|count| *count > 10), "{found:?}");
}

#[test]
fn a_full_disk_has_room_for_the_new_log_once_the_old_one_is_gone() {
    let beginning = beginning(7, 25);
    let disk = log(1, 40).0;
    disk.fill(true);
    assert!(begin_with(&disk, &tiny(), &beginning).is_err(), "a disk without any space at all");
    assert!(segments(&disk).is_empty(), "what was the log is given back first");
    disk.fill(false);
    begin_with(&disk, &tiny(), &beginning).unwrap();
    begins_with(&disk, &beginning, Epoch(0));
}

#[test]
fn an_entry_longer_than_a_segment_is_a_beginning_too() {
    let (mut maker, disk) = (Maker::new(), MemDisk::new());
    maker.open_term(1, 1);
    let (prev, record) = (maker.last, maker.data(&[5; 9_000]));
    let opening = TermStart { term: Term::new(1), start: Vlsn::FIRST, node: NodeId::new(1) };
    let beginning = Beginning::new(GROUP, prev, Some(opening), record).unwrap();
    begin_with(&disk, &tiny(), &beginning).unwrap();
    begins_with(&disk, &beginning, Epoch(0));
    assert!(inspect(&disk).unwrap().damage.is_none());
}

#[test]
fn every_entry_in_the_files_is_given_and_no_other() {
    let (disk, records) = log(7, 60);
    let mut opened = reopen(&disk);
    for record in &records {
        let found = opened.reader.beginning(record.point()).unwrap();
        assert_eq!(found.record(), record);
        assert_eq!(found.prev().vlsn, record.point().vlsn.prev());
        assert_eq!(found.group(), GROUP);
        assert_eq!(Some(found.term_start()), opened.view.history().start_of(record.point().vlsn));
        assert_eq!(Beginning::decode(found.encode()), Ok(found));
    }
    let point = records[30].point();
    let other = LogPoint::new(point.term.next(), point.vlsn);
    assert!(matches!(opened.reader.beginning(other), Err(ReadError::Truncated)));
    let next = opened.view.last().vlsn.next();
    let beyond = LogPoint::new(point.term, next);
    assert!(matches!(opened.reader.beginning(beyond), Err(ReadError::NotYet)));
    let first = opened.writer.clean(Vlsn::new(30)).unwrap();
    let cleaned = opened.reader.beginning(records[3].point());
    assert!(matches!(cleaned, Err(ReadError::Cleaned { first: at }) if at == first));
    let head = opened.reader.beginning(records[first.get() as usize - 1].point()).unwrap();
    assert_eq!(head.prev(), records[first.get() as usize - 2].point());
    let empty = reopen(&MemDisk::new()).reader;
    assert!(matches!(empty.beginning(point), Err(ReadError::NotYet)));
}

#[test]
fn rot_on_the_way_to_the_entry_is_told() {
    let (disk, records) = log(7, 60);
    let opened = reopen(&disk);
    let heads: Vec<_> = opened.reader.segments().unwrap().iter().map(|s| s.first).collect();
    let pair = heads.windows(2).find(|pair| pair[1] > pair[0].next()).expect("a longer segment");
    let head = pair[0];
    let name = format!("log/{:020}.seg", head.get());
    assert!(disk.flip_bit(&name, 80 + 32 + 20));
    let last = records[head.get() as usize].point();
    let found = opened.reader.beginning(last);
    assert!(matches!(found, Err(ReadError::Damaged { .. })), "{found:?}");
}

#[test]
fn parts_that_do_not_agree_are_no_beginning() {
    let mut maker = Maker::new();
    let first = maker.open_term(3, 2);
    let second = maker.data(b"x");
    let group = GroupId([1; 16]);
    let opening = TermStart { term: Term::new(3), start: Vlsn::FIRST, node: NodeId::new(2) };
    let made =
        |prev, opening, record: &Record| Beginning::new(group, prev, opening, record.clone());
    assert!(made(LogPoint::NULL, None, &first).is_ok());
    assert!(made(first.point(), Some(opening), &second).is_ok());
    let later = TermStart { start: Vlsn::new(2), ..opening };
    let other = TermStart { term: Term::new(2), ..opening };
    for wrong in [
        made(first.point(), None, &second),
        made(LogPoint::NULL, Some(opening), &first),
        made(second.point(), Some(opening), &second),
        made(first.point(), Some(later), &second),
        made(first.point(), Some(other), &second),
        made(LogPoint::new(Term::ZERO, Vlsn::FIRST), Some(opening), &second),
    ] {
        assert_eq!(wrong, Err(BeginningError::Before));
    }
    let prev = LogPoint::new(Term::new(2), Vlsn::FIRST);
    let unopened = made(prev, Some(other), &second);
    assert!(matches!(unopened, Err(BeginningError::NotChained { .. })), "{unopened:?}");
    let prev = LogPoint::new(Term::new(4), Vlsn::FIRST);
    let falling = made(prev, Some(TermStart { term: prev.term, ..opening }), &second);
    assert!(matches!(falling, Err(BeginningError::NotChained { .. })), "{falling:?}");
    let bytes = [&made(LogPoint::NULL, None, &first).unwrap().encode()[..], b"behind"].concat();
    assert_eq!(Beginning::decode(bytes.into()), Err(BeginningError::Behind { bytes: 6 }));
}

proptest! {
    /// Any bytes, and those of a header that is sealed anew, so that what it says is looked at.
    #[test]
    fn any_bytes_are_judged_without_a_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        at in 1..=60_u64, place in 8..76_usize, change in 1..=255_u8,
    ) {
        let _ = Beginning::decode(Bytes::from(bytes));
        let mut sealed = beginning(7, at).encode().to_vec();
        sealed[place] ^= change;
        let sum = crc32c::crc32c(&sealed[..76]);
        sealed[76..80].copy_from_slice(&sum.to_le_bytes());
        if let Ok(found) = Beginning::decode(sealed.clone().into()) {
            prop_assert_eq!(&found.encode()[..], &sealed[..]);
            let disk = MemDisk::new();
            begin_with(&disk, &tiny(), &found).unwrap();
            let opened = rep_vlsn::open(disk, tiny()).unwrap();
            prop_assert_eq!(opened.view.last(), found.point());
            prop_assert_eq!(opened.view.history().starts(), &[found.term_start()][..]);
        }
    }

    /// Whatever one byte says instead, it is refused.
    #[test]
    fn one_changed_byte_is_always_noticed(at in 1..=60_u64, place in any::<prop::sample::Index>(), change in 1..=255_u8) {
        let mut bytes = beginning(7, at).encode().to_vec();
        let place = place.index(bytes.len());
        bytes[place] ^= change;
        prop_assert!(Beginning::decode(bytes.into()).is_err());
    }

    #[test]
    fn a_beginning_cut_short_is_refused(at in 1..=60_u64, length in any::<prop::sample::Index>()) {
        let bytes = beginning(7, at).encode();
        prop_assert!(Beginning::decode(bytes.slice(..length.index(bytes.len()))).is_err());
    }
}
