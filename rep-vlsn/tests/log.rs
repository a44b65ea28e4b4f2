//! The log from outside: what is appended is read, whatever happened in between.

mod common;

use bytes::Bytes;
use common::{GROUP, Maker, Rng, all, entries, reopen, tiny, try_open, write};
use rep_vlsn::{
    Batch, Epoch, GroupId, LogConfig, LogError, LogPoint, MemDisk, OpenError, ReadError, Term,
    Vlsn, open,
};

#[test]
fn a_log_reads_back_what_was_appended_across_segments_and_openings() {
    let disk = MemDisk::new();
    let mut maker = Maker::new();
    let mut rng = Rng(1);
    let mut written = Vec::new();
    for _ in 0..5 {
        let mut opened = reopen(&disk);
        assert_eq!(entries(&opened), written);
        for _ in 0..7 {
            let group: Vec<_> = (0..rng.below(6)).map(|_| maker.next(&mut rng)).collect();
            write(&mut opened.writer, &opened.tail, &group);
            written.extend(group);
            let synced = opened.writer.sync().unwrap();
            assert_eq!(synced.point, maker.last);
            assert_eq!(all(&opened.reader, maker.last, synced.epoch), written);
        }
        opened.writer.close(Vlsn::new(3)).unwrap();
    }
    let opened = reopen(&disk);
    assert_eq!(opened.group, Some(GROUP));
    assert_eq!(opened.marks.unwrap().dvlsn, Vlsn::new(3));
    assert_eq!(opened.marks.unwrap().synced, maker.last.vlsn);
    assert_eq!(opened.report.torn_at, None);
    assert!(opened.report.segments > 3);
    assert_eq!(opened.report.entries, written.len() as u64);
}

fn appended(disk: &MemDisk, seed: u64, count: usize) -> (Maker, Vec<rep_vlsn::Record>) {
    let (mut maker, mut rng) = (Maker::new(), Rng(seed));
    let records: Vec<_> = (0..count).map(|_| maker.next(&mut rng)).collect();
    let mut opened = reopen(disk);
    for group in records.chunks(3) {
        write(&mut opened.writer, &opened.tail, group);
        opened.writer.sync().unwrap();
    }
    opened.writer.close(Vlsn::NULL).unwrap();
    (maker, records)
}

#[test]
fn a_fresh_disk_holds_an_empty_log() {
    let disk = MemDisk::new();
    for _ in 0..2 {
        let opened = open(disk.clone(), tiny()).unwrap();
        assert!(opened.view.is_empty());
        assert_eq!((opened.group, opened.marks), (None, None));
        let epoch = opened.view.epoch();
        let nothing = opened.reader.read(Vlsn::FIRST, Vlsn::FIRST, 100, epoch);
        assert!(matches!(nothing, Err(ReadError::NotYet)));
        opened.writer.close(Vlsn::NULL).unwrap();
    }
}

#[test]
fn one_sync_makes_many_groups_durable_and_an_idle_sync_asks_nothing_of_the_disk() {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), LogConfig::default()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let (mut maker, mut rng) = (Maker::new(), Rng(4));
    write(&mut opened.writer, &opened.tail, &[maker.next(&mut rng)]);
    let before = disk.syncs_count();
    for _ in 0..20 {
        write(&mut opened.writer, &opened.tail, &[maker.next(&mut rng)]);
    }
    assert_eq!(disk.syncs_count(), before);
    assert_eq!(opened.writer.sync().unwrap().point, maker.last);
    assert_eq!(opened.writer.sync().unwrap().point, maker.last);
    assert_eq!(disk.syncs_count(), before + 1);
    disk.power_cut(&mut || 0);
    assert_eq!(reopen(&disk).view.last(), maker.last);
}

#[test]
fn a_failed_sync_poisons_the_log() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(5));
    let records: Vec<_> = (0..4).map(|_| maker.next(&mut rng)).collect();
    write(&mut opened.writer, &opened.tail, &records);
    disk.fail_next_sync();
    assert!(matches!(opened.writer.sync(), Err(LogError::Io { .. })));
    assert!(opened.writer.is_poisoned());
    assert!(matches!(opened.writer.sync(), Err(LogError::Poisoned)));
    assert!(matches!(opened.writer.write_group(Vlsn::NULL), Err(LogError::Poisoned)));
    let keep = records[1].point();
    assert!(matches!(opened.writer.truncate(keep, Epoch(1)), Err(LogError::Poisoned)));
    assert!(matches!(opened.writer.clean(Vlsn::new(2)), Err(LogError::Poisoned)));
    assert!(matches!(opened.writer.close(Vlsn::NULL), Err(LogError::Poisoned)));
}

/// After a failed sync the kernel takes the pages for clean: they read as written, and no later sync writes
/// them. The next opening believes what it reads, so it has to make it durable, page by page.
#[test]
fn what_a_failed_sync_left_behind_is_made_durable_by_the_next_opening() {
    let disk = MemDisk::new();
    let config = || tiny().with_segment_bytes(100_000);
    let mut opened = open(disk.clone(), config()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1)];
    records.extend((0..12).map(|n| maker.data(&[n; 3000])));
    write(&mut opened.writer, &opened.tail, &records[..4]);
    opened.writer.sync().unwrap();
    write(&mut opened.writer, &opened.tail, &records[4..]);
    disk.fail_next_sync();
    opened.writer.sync().unwrap_err();
    disk.kill();
    assert_eq!(entries(&open(disk.clone(), config()).unwrap()), records);
    disk.power_cut(&mut || 0);
    assert_eq!(entries(&open(disk, config()).unwrap()), records);
}

#[test]
fn a_failed_write_poisons_the_log() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    write(&mut opened.writer, &opened.tail, &[maker.open_term(1, 1)]);
    opened.writer.sync().unwrap();
    opened.tail.stage(&[maker.data(b"lost")]);
    disk.fail_next_write();
    assert!(matches!(opened.writer.write_group(Vlsn::NULL), Err(LogError::Io { .. })));
    assert!(matches!(opened.writer.sync(), Err(LogError::Poisoned)));
    disk.kill();
    assert_eq!(reopen(&disk).view.last().vlsn, Vlsn::FIRST);
}

#[test]
fn nothing_is_written_before_the_log_knows_its_group_and_it_has_one_for_ever() {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), tiny()).unwrap();
    opened.tail.stage(&[Maker::new().open_term(1, 1)]);
    assert!(matches!(opened.writer.write_group(Vlsn::NULL), Err(LogError::NoGroup)));
    opened.writer.set_group(GROUP).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    assert!(opened.writer.write_group(Vlsn::NULL).unwrap().is_some());
    let other = GroupId([9; 16]);
    assert!(matches!(opened.writer.set_group(other), Err(LogError::WrongGroup { .. })));
    opened.writer.close(Vlsn::NULL).unwrap();
    let mut opened = open(disk, tiny()).unwrap();
    assert_eq!(opened.group, Some(GROUP));
    assert!(matches!(opened.writer.set_group(other), Err(LogError::WrongGroup { .. })));
}

/// A founding had made the first segment when the power failed, and the founding entry was lost. Nobody knew of that
/// group; the members founded another. The directory used to refuse it for ever, for the sake of an empty file.
#[test]
fn a_log_that_lost_its_founding_entry_takes_the_group_that_is_founded_next() {
    let disk = MemDisk::new();
    let mut opened = open(disk.clone(), tiny()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    opened.tail.stage(&[Maker::new().open_term(1, 1)]);
    opened.writer.write_group(Vlsn::NULL).unwrap();
    disk.power_cut(&mut || 0);
    let mut opened = open(disk.clone(), tiny()).unwrap();
    assert_eq!((opened.group, opened.view.last()), (Some(GROUP), LogPoint::NULL));
    let other = GroupId([9; 16]);
    opened.writer.set_group(other).unwrap();
    let mut maker = Maker::new();
    let records = vec![maker.open_term(3, 2), maker.data(b"kept")];
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.sync().unwrap();
    disk.power_cut(&mut || 0);
    let opened = open(disk, tiny()).unwrap();
    assert_eq!((opened.group, entries(&opened)), (Some(other), records));
}

#[test]
fn a_reader_of_an_earlier_epoch_is_told_and_gets_no_bytes() {
    let disk = MemDisk::new();
    let (mut maker, records) = appended(&disk, 6, 20);
    let mut opened = reopen(&disk);
    let old = opened.view.epoch();
    let keep = records[9].point();
    opened.tail.truncate(keep, old.next());
    let (from, to) = (Vlsn::new(5), Vlsn::new(20));
    assert!(matches!(opened.reader.read(from, to, 9000, old), Err(ReadError::Truncated)));
    // Before the writer has cut the files, what is kept can be read, and nothing after it.
    let run = opened.reader.read(from, to, 9000, old.next()).unwrap();
    assert_eq!((run.first, run.last, run.prev), (from, keep, records[3].point()));
    let after = opened.reader.read(keep.vlsn.next(), to, 9000, old.next());
    assert!(matches!(after, Err(ReadError::NotYet)));
    // Nor when other entries have been staged in place of those that the files still hold.
    maker.last = keep;
    maker.last_crc = records[9].header_crc();
    let next = maker.open_term(90, 1);
    opened.tail.stage(std::slice::from_ref(&next));
    let run = opened.reader.read(from, to, 9000, old.next()).unwrap();
    assert_eq!((run.first, run.last), (from, keep));
    opened.writer.truncate(keep, old.next()).unwrap();
    let found = all(&opened.reader, maker.last, old.next());
    assert_eq!(found, [&records[..10], std::slice::from_ref(&next)].concat());
    let run = opened.reader.batch(next.point().vlsn, to, 9000, old.next()).unwrap();
    assert_eq!(run.records(), [next]);
}

#[test]
fn a_truncation_writes_what_is_kept_and_only_staged() {
    let disk = MemDisk::new();
    let (mut maker, records) = appended(&disk, 7, 5);
    let mut opened = reopen(&disk);
    let staged: Vec<_> = (0..4).map(|_| maker.data(b"staged")).collect();
    opened.tail.stage(&staged);
    let keep = staged[1].point();
    opened.tail.truncate(keep, Epoch(1));
    let truncated = opened.writer.truncate(keep, Epoch(1)).unwrap();
    assert_eq!((truncated.point, truncated.last_crc), (keep, staged[1].header_crc()));
    disk.power_cut(&mut || 0);
    assert_eq!(entries(&reopen(&disk)), [&records[..], &staged[..2]].concat());
}

/// The loop cuts the log twice before the writer hears of it: the first call cannot write what the tail no longer has.
#[test]
fn a_truncation_overtaken_by_a_deeper_one_leaves_the_log_to_it() {
    let disk = MemDisk::new();
    let (mut maker, records) = appended(&disk, 8, 5);
    let mut opened = reopen(&disk);
    let staged: Vec<_> = (0..4).map(|_| maker.data(b"staged")).collect();
    opened.tail.stage(&staged);
    opened.tail.truncate(staged[2].point(), Epoch(1));
    opened.tail.truncate(records[3].point(), Epoch(2));
    let first = opened.writer.truncate(staged[2].point(), Epoch(1)).unwrap();
    assert_eq!((first.point, first.epoch), (records[4].point(), Epoch(1)));
    assert_eq!(opened.writer.write_group(Vlsn::NULL).unwrap(), None);
    let second = opened.writer.truncate(records[3].point(), Epoch(2)).unwrap();
    assert_eq!((second.point, second.epoch), (records[3].point(), Epoch(2)));
    disk.power_cut(&mut || 0);
    assert_eq!(entries(&reopen(&disk)), records[..4]);
}

#[test]
fn a_cut_after_an_entry_that_is_not_held_is_refused_and_does_no_harm() {
    let disk = MemDisk::new();
    let (maker, records) = appended(&disk, 9, 12);
    let mut opened = reopen(&disk);
    let foreign = LogPoint::new(Term::new(77), Vlsn::new(5));
    assert!(matches!(opened.writer.truncate(foreign, Epoch(1)), Err(LogError::NotHeld { .. })));
    assert_eq!(opened.writer.sync().unwrap().point, maker.last);
    drop(opened);
    assert_eq!(entries(&reopen(&disk)), records);
}

#[test]
fn a_cleaned_log_says_where_it_begins_and_still_knows_who_opened_its_first_term() {
    let disk = MemDisk::new();
    let (_, records) = appended(&disk, 10, 60);
    let mut opened = reopen(&disk);
    let epoch = opened.view.epoch();
    let first = opened.writer.clean(Vlsn::new(30)).unwrap();
    assert!(first > Vlsn::FIRST && first <= Vlsn::new(30));
    assert_eq!(opened.reader.first(), first);
    let below = opened.reader.read(first.prev(), first, 100, epoch);
    assert!(matches!(below, Err(ReadError::Cleaned { first: told }) if told == first));
    let run = opened.reader.read(first, first, 100, epoch).unwrap();
    assert_eq!(run.prev, records[first.get() as usize - 2].point());
    let mut view = opened.view.clone();
    view.clean(first);
    opened.writer.close(Vlsn::NULL).unwrap();
    let opened = reopen(&disk);
    assert_eq!(opened.view.history(), view.history());
    assert_eq!(entries(&opened), records[first.get() as usize - 1..]);
}

#[test]
fn cleaning_never_takes_the_segment_that_is_written_to() {
    let disk = MemDisk::new();
    let (mut maker, _) = appended(&disk, 11, 40);
    let mut opened = reopen(&disk);
    let first = opened.writer.clean(Vlsn::new(10_000)).unwrap();
    assert!(first <= maker.last.vlsn.next());
    write(&mut opened.writer, &opened.tail, &[maker.data(b"more")]);
    assert_eq!(opened.writer.sync().unwrap().point, maker.last);
}

#[test]
fn a_record_longer_than_a_segment_or_a_read_travels_alone() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let long = vec![3; 300_000];
    let records =
        [maker.open_term(1, 2), maker.data(&long), maker.data(b"short"), maker.data(&long)];
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.close(Vlsn::NULL).unwrap();
    let opened = reopen(&disk);
    let epoch = opened.view.epoch();
    let run = opened.reader.read(Vlsn::new(2), Vlsn::new(4), 10, epoch).unwrap();
    assert_eq!((run.bytes, run.last.vlsn), (long.len() + 48, Vlsn::new(2)));
    assert_eq!(entries(&opened), records);
}

/// Entries that are still in the tail are read from there, older ones from files, and nobody sees the seam.
#[test]
fn a_read_joins_files_and_tail() {
    let disk = MemDisk::new();
    let mut config = tiny();
    config.tail_bytes = 1000;
    let mut opened = open(disk, config).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let (mut maker, mut rng) = (Maker::new(), Rng(12));
    let records: Vec<_> = (0..80).map(|_| maker.next(&mut rng)).collect();
    write(&mut opened.writer, &opened.tail, &records);
    let staged: Vec<_> = (0..10).map(|_| maker.next(&mut rng)).collect();
    opened.tail.stage(&staged);
    assert!(opened.tail.get(Vlsn::FIRST..=Vlsn::FIRST, 1).is_none(), "the tail has let go of it");
    let found = all(&opened.reader, maker.last, Epoch(0));
    assert_eq!(found, [records, staged].concat());
    let wire: Vec<u8> = found.iter().flat_map(|record| record.bytes().to_vec()).collect();
    assert_eq!(Batch::parse(Bytes::from(wire)).unwrap().records(), found);
    opened.tail.close();
    assert!(matches!(
        opened.reader.read(Vlsn::FIRST, Vlsn::FIRST, 1, Epoch(0)),
        Err(ReadError::Closed)
    ));
}

#[test]
fn a_segment_of_a_newer_format_or_of_another_group_is_refused() {
    let disk = MemDisk::new();
    appended(&disk, 13, 40);
    let (first, second) = {
        use rep_vlsn::Disk;
        let names = disk.list("log").unwrap();
        (format!("log/{}", names[0]), format!("log/{}", names[1]))
    };
    let rewritten = |name: &str, at: usize, byte: u8| {
        use rep_vlsn::{Disk, DiskFile};
        let image = disk.image();
        let mut header = image.contents(name).unwrap()[..80].to_vec();
        header[at] = byte;
        let crc = crc32c::crc32c(&header[..76]);
        header[76..80].copy_from_slice(&crc.to_le_bytes());
        image.open(name).unwrap().unwrap().write_at(0, &header).unwrap();
        try_open(&image).unwrap_err()
    };
    assert!(matches!(rewritten(&first, 8, 2), OpenError::Version { found: 2, known: 1, .. }));
    assert!(matches!(rewritten(&second, 20, 1), OpenError::Foreign { ours: GROUP, .. }));
}

/// Random appending, syncing, cutting at both ends, closing and opening: the log is the list.
#[test]
fn a_log_agrees_with_a_plain_list_through_a_long_life() {
    for seed in 0..25 {
        let mut world = common::world::World::new(50_000 + seed);
        for _ in 0..120 {
            world.step().unwrap();
            world.reads_agree();
        }
        assert!(world.len() > 20);
    }
}

#[test]
fn a_nudge_ends_a_wait_once() {
    let disk = MemDisk::new();
    let opened = reopen(&disk);
    opened.tail.nudge();
    assert!(!opened.tail.wait_unwritten(None));
    let soon = std::time::Instant::now();
    assert!(!opened.tail.wait_unwritten(Some(soon)));
    opened.tail.nudge();
    opened.tail.stage(&[Maker::new().open_term(1, 1)]);
    assert!(opened.tail.wait_unwritten(None));
    assert!(opened.tail.wait_for(Vlsn::FIRST, None));
    assert!(!opened.tail.wait_for(Vlsn::new(2), Some(soon)));
    assert_eq!(opened.tail.unwritten_bytes(), opened.tail.bytes());
    opened.tail.close();
    assert!(!opened.tail.wait_for(Vlsn::new(2), None));
}

/// The tail keeps the newest records within its budget, and whatever waits to be written beyond it.
#[test]
fn the_tail_keeps_to_its_budget_once_its_records_are_written() {
    let mut config = tiny();
    config.tail_bytes = 500;
    let mut opened = open(MemDisk::new(), config).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    opened.tail.stage(&[maker.open_term(1, 1)]);
    let records: Vec<_> = (0..50).map(|_| maker.data(&[0; 52])).collect();
    opened.tail.stage(&records);
    assert_eq!(opened.tail.bytes(), 52 + 50 * 100);
    while opened.writer.write_group(Vlsn::NULL).unwrap().is_some() {}
    assert_eq!((opened.tail.bytes(), opened.tail.unwritten_bytes()), (500, 0));
    assert!(opened.tail.get(Vlsn::new(47)..=Vlsn::new(51), 1 << 20).is_some());
    assert!(opened.tail.get(Vlsn::new(46)..=Vlsn::new(51), 1 << 20).is_none());
}

/// A full disk is waited for, not given up: nothing that was staged is lost, and nothing that was written is in doubt.
#[test]
fn a_full_disk_poisons_nothing_and_what_waits_is_written_when_there_is_space() {
    let disk = MemDisk::new();
    let (mut maker, mut rng) = (Maker::new(), Rng(3));
    let mut records: Vec<_> = (0..4).map(|_| maker.next(&mut rng)).collect();
    let mut opened = reopen(&disk);
    write(&mut opened.writer, &opened.tail, &records);
    disk.fill(true);
    let refused = loop {
        records.push(maker.next(&mut rng));
        opened.tail.stage(&records[records.len() - 1..]);
        match opened.writer.write_group(Vlsn::NULL) {
            Ok(_) => opened.writer.sync().map(|_| ()).unwrap(),
            Err(error) => break error,
        }
    };
    assert!(matches!(refused, LogError::Full { .. }), "{refused}");
    assert!(matches!(opened.writer.write_group(Vlsn::NULL), Err(LogError::Full { .. })));
    assert!(!opened.writer.is_poisoned());
    opened.writer.sync().unwrap();
    disk.fill(false);
    let written = opened.writer.write_group(Vlsn::NULL).unwrap().unwrap();
    assert_eq!(written.last, maker.last);
    opened.writer.close(Vlsn::NULL).unwrap();
    assert_eq!(entries(&reopen(&disk)), records);
}

/// A cut writes what it keeps before it cuts anything. Without space it is asked for again, and the log is sound meanwhile.
#[test]
fn a_cut_that_has_no_space_for_what_it_keeps_may_be_made_again() {
    let disk = MemDisk::new();
    let (mut maker, mut rng) = (Maker::new(), Rng(3));
    let mut records: Vec<_> = (0..4).map(|_| maker.next(&mut rng)).collect();
    let mut opened = reopen(&disk);
    write(&mut opened.writer, &opened.tail, &records);
    disk.fill(true);
    loop {
        records.push(maker.next(&mut rng));
        opened.tail.stage(&records[records.len() - 1..]);
        match opened.writer.write_group(Vlsn::NULL) {
            Ok(_) => opened.writer.sync().map(|_| ()).unwrap(),
            Err(LogError::Full { .. }) => break,
            Err(error) => panic!("{error}"),
        }
    }
    let keep = maker.last;
    records.push(maker.next(&mut rng));
    opened.tail.stage(&records[records.len() - 1..]);
    let epoch = Epoch(1);
    opened.tail.truncate(keep, epoch);
    for _ in 0..2 {
        let refused = opened.writer.truncate(keep, epoch).unwrap_err();
        assert!(matches!(refused, LogError::Full { .. }), "{refused}");
        assert!(!opened.writer.is_poisoned());
    }
    disk.fill(false);
    assert_eq!(opened.writer.truncate(keep, epoch).unwrap().point, keep);
    opened.writer.close(Vlsn::NULL).unwrap();
    records.pop();
    assert_eq!(entries(&reopen(&disk)), records);
}
