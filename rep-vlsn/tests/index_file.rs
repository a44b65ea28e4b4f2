//! The index file shortens an opening, and is believed only as far as it fits.

mod common;

use common::{GROUP, Maker, Rng, all, entries, reopen, tiny, try_open, try_open_whole, write};
use rep_vlsn::{
    Disk, DiskFile, FileDisk, LogConfig, MemDisk, OpenError, Opened, Position, ReadError, Record,
    Vlsn, VlsnIndex, open, verify,
};
use std::time::Instant;

const INDEX: &str = "log/index";

/// Records of a long log with terms, in groups of `group`, each of them synced.
fn grown(disk: &MemDisk, count: usize, group: usize) -> (Opened<MemDisk>, Maker, Vec<Record>) {
    let mut opened = reopen(disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(9));
    let records: Vec<_> = (0..count).map(|_| maker.next(&mut rng)).collect();
    for group in records.chunks(group) {
        write(&mut opened.writer, &opened.tail, group);
        opened.writer.sync().unwrap();
    }
    (opened, maker, records)
}

fn closed(count: usize, group: usize) -> (MemDisk, Maker, Vec<Record>) {
    let disk = MemDisk::new();
    let (opened, maker, records) = grown(&disk, count, group);
    opened.writer.close(Vlsn::new(7)).unwrap();
    (disk, maker, records)
}

fn segments(disk: &MemDisk) -> Vec<String> {
    let names = disk.list("log").unwrap();
    let segments = names.iter().filter(|name| name.ends_with(".seg"));
    segments.map(|name| format!("log/{name}")).collect()
}

fn put_index(disk: &MemDisk, bytes: &[u8]) {
    if disk.contents(INDEX).is_some() {
        disk.remove(INDEX).unwrap();
    }
    disk.create(INDEX).unwrap().write_at(0, bytes).unwrap();
}

/// Opens by the index and by reading: both find the same, and every entry can be read.
fn same_as_read(disk: &MemDisk, records: &[Record]) -> Opened<MemDisk> {
    let whole = try_open_whole(&disk.image()).unwrap();
    let opened = reopen(disk);
    assert_eq!((&opened.view, opened.group), (&whole.view, whole.group));
    let synced = |opened: &Opened<MemDisk>| opened.marks.map(|mark| mark.synced);
    assert!(synced(&opened) <= Some(opened.view.last().vlsn));
    assert_eq!(opened.report.torn_at, whole.report.torn_at);
    assert_eq!(whole.report.told, 0);
    assert_eq!(entries(&opened), records);
    opened
}

#[test]
fn a_log_closed_in_order_is_opened_without_reading_an_entry() {
    let (disk, _, records) = closed(300, 3);
    let opened = same_as_read(&disk, &records);
    assert_eq!((opened.report.bytes, opened.report.told), (0, 300));
    assert_eq!(opened.report.entries, 300);
    assert_eq!(opened.marks.unwrap().dvlsn, Vlsn::new(7));
}

#[test]
fn after_a_kill_no_more_is_read_than_was_not_yet_told() {
    let disk = MemDisk::new();
    let (opened, mut maker, mut records) = grown(&disk, 300, 3);
    drop(opened);
    disk.kill();
    let longest = records.chunks(3).map(|group| group.iter().map(|r| r.bytes().len()).sum());
    let bound = 300 + longest.max().unwrap_or(0_usize) as u64;
    let mut opened = same_as_read(&disk, &records);
    assert!(opened.report.bytes <= bound, "{} of {bound}", opened.report.bytes);
    let next = maker.data(b"and on it goes");
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&next));
    records.push(next);
    drop(opened);
    disk.kill();
    // What an opening has read, no later one reads again.
    let opened = same_as_read(&disk, &records);
    assert_eq!(opened.report.told, 300);
}

/// It is synced when a segment ends: a power cut costs the segments that were open since, at most.
#[test]
fn a_power_cut_leaves_the_index_of_ended_segments() {
    let disk = MemDisk::new();
    let (opened, _, records) = grown(&disk, 300, 3);
    drop(opened);
    disk.power_cut(&mut || 0);
    let opened = same_as_read(&disk, &records);
    let last: u64 = segments(&disk).pop().unwrap()[4..24].parse().unwrap();
    assert!(opened.report.told >= last - 1, "{} before {last}", opened.report.told);
}

#[test]
fn an_index_that_is_gone_or_damaged_anywhere_costs_time_and_nothing_else() {
    let (disk, _, records) = closed(60, 3);
    let sound = disk.contents(INDEX).unwrap();
    let image = disk.image();
    image.remove(INDEX).unwrap();
    assert_eq!(same_as_read(&image, &records).report.told, 0);
    assert_eq!(same_as_read(&image, &records).report.told, 60, "it was made again");
    for at in 0..sound.len() {
        let image = disk.image();
        image.flip_bit(INDEX, at as u64);
        let opened = same_as_read(&image, &records);
        assert!(opened.report.told < 60, "byte {at} counts");
        drop(opened);
        assert_eq!(same_as_read(&image, &records).report.told, 60, "byte {at}: it was made again");
    }
    for len in 0..sound.len() {
        let image = disk.image();
        put_index(&image, &sound[..len]);
        same_as_read(&image, &records);
    }
}

/// Every index that the log ever had, put beside the log as it is in the end.
#[test]
fn an_older_index_copied_in_never_changes_what_is_found() {
    for seed in 0..8 {
        let disk = MemDisk::new();
        let (mut opened, mut maker, mut rng) = (reopen(&disk), Maker::new(), Rng(seed));
        let (mut log, mut term, mut indexes): (Vec<Record>, _, Vec<Vec<u8>>) =
            (Vec::new(), 0, Vec::new());
        for round in 0..150 {
            let opens = log.is_empty() || maker.last.term.get() < term;
            let record = if opens { maker.open_term(term + 1, 1) } else { maker.next(&mut rng) };
            term = record.point().term.get();
            log.push(record.clone());
            write(&mut opened.writer, &opened.tail, &[record]);
            opened.writer.sync().unwrap();
            if round % 11 == 10 {
                let keep = log.len() - 1 - rng.below(log.len() as u64 - 1) as usize / 2;
                log.truncate(keep);
                let (point, epoch) = (log[keep - 1].point(), opened.tail.epoch().next());
                opened.tail.truncate(point, epoch);
                opened.writer.truncate(point, epoch).unwrap();
                maker = Maker { last: point, last_crc: log[keep - 1].header_crc() };
                term += 1;
            }
            indexes.extend(disk.contents(INDEX));
        }
        indexes.dedup();
        assert!(indexes.len() > 10);
        for index in indexes {
            let image = disk.image();
            put_index(&image, &index);
            same_as_read(&image, &log);
        }
    }
}

/// The last record's witness would do for most of it: the epoch says it of the whole file, and before anything is read.
#[test]
fn a_truncation_ends_the_index_of_before_and_begins_another() {
    let (disk, _, records) = closed(200, 3);
    let before = disk.contents(INDEX).unwrap();
    let mut opened = reopen(&disk);
    let epoch = opened.view.epoch().next();
    opened.tail.truncate(records[120].point(), epoch);
    opened.writer.truncate(records[120].point(), epoch).unwrap();
    drop(opened);
    let after = disk.contents(INDEX).unwrap();
    assert!(after.len() < before.len() * 3 / 4, "it tells of nothing that was cut");
    let image = disk.image();
    put_index(&image, &before);
    assert_eq!(same_as_read(&image, &records[..121]).report.told, 0);
    assert!(same_as_read(&disk, &records[..121]).report.told > 100);
    assert_eq!(same_as_read(&disk, &records[..121]).report.told, 121);
}

/// Two members hold the same entries in other places: between them stand other marks.
#[test]
fn the_index_of_another_member_never_changes_what_is_found() {
    let (ours, _, records) = closed(200, 3);
    for group in [1, 2, 4, 7] {
        let (theirs, _, same) = closed(200, group);
        assert_eq!(same, records);
        let image = ours.image();
        put_index(&image, &theirs.contents(INDEX).unwrap());
        same_as_read(&image, &records);
        // And the log goes on, is cut in the middle, and is whole.
        let mut opened = reopen(&image);
        let epoch = opened.view.epoch().next();
        opened.tail.truncate(records[120].point(), epoch);
        opened.writer.truncate(records[120].point(), epoch).unwrap();
        drop(opened);
        same_as_read(&image, &records[..121]);
    }
}

/// What an opening does not read may rot unseen, but never unnoticed: no reader is given it.
#[test]
fn damage_in_what_was_not_read_is_found_by_whoever_reads_it_and_by_a_check() {
    let (disk, _, records) = closed(60, 3);
    let (mut late, mut early) = (0, 0);
    for name in segments(&disk) {
        let content = disk.contents(&name).unwrap();
        let end = content.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (80..=end).step_by(5) {
            let image = disk.image();
            image.flip_bit(&name, at as u64);
            let checked = verify(&image);
            let read = try_open_whole(&image.image());
            assert_eq!(checked.is_err(), read.is_err(), "a check tells what an opening tells");
            let Ok(opened) = try_open(&image) else {
                early += 1;
                assert!(checked.is_err());
                continue;
            };
            let last = opened.view.last();
            assert_eq!(last, records[59].point());
            let mut damaged = false;
            for vlsn in 1..=60 {
                let vlsn = Vlsn::new(vlsn);
                match opened.reader.batch(vlsn, vlsn, 1, opened.view.epoch()) {
                    Ok(batch) => {
                        assert_eq!(batch.records()[0], records[vlsn.get() as usize - 1]);
                    }
                    Err(ReadError::Damaged { .. }) => damaged = true,
                    Err(other) => panic!("{other}"),
                }
            }
            match checked {
                Ok(_) => assert!(!damaged),
                Err(OpenError::Damaged { .. }) => {
                    assert!(damaged);
                    late += 1;
                }
                Err(other) => panic!("{other}"),
            }
        }
    }
    assert!(late > 100 && early > 0, "late {late}, early {early}");
}

#[test]
fn a_check_changes_nothing() {
    let disk = MemDisk::new();
    let (opened, _, _) = grown(&disk, 60, 3);
    drop(opened);
    disk.create("log/00000000000000000099.seg.new").unwrap();
    let files = |disk: &MemDisk| {
        let names = disk.list("log").unwrap();
        names
            .into_iter()
            .map(|name| (disk.contents(&format!("log/{name}")), name))
            .collect::<Vec<_>>()
    };
    let before = files(&disk);
    let report = verify(&disk).unwrap();
    assert_eq!((report.entries, report.told, report.leftovers), (60, 0, 1));
    assert_eq!(files(&disk), before);
}

#[test]
fn a_log_whose_index_cannot_be_written_goes_on_without_it() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1)];
    records.extend((0..20).map(|_| maker.data(&[5; 40])));
    write(&mut opened.writer, &opened.tail, &records[..5]);
    disk.fail_next_write();
    opened.writer.sync().unwrap();
    for record in &records[5..] {
        write(&mut opened.writer, &opened.tail, std::slice::from_ref(record));
        opened.writer.sync().unwrap();
    }
    opened.writer.close(Vlsn::NULL).unwrap();
    assert_eq!(same_as_read(&disk, &records).report.told, 0);
}

#[test]
fn cleaned_segments_leave_the_index_in_the_end() {
    let disk = MemDisk::new();
    let mut config = tiny();
    config.segment_bytes = 20_000;
    config.index_stride = 1;
    let mut opened = open(disk.clone(), config.clone()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    write(&mut opened.writer, &opened.tail, &[maker.open_term(1, 1)]);
    let mut longest = 0;
    for _ in 0..1_500 {
        let records: Vec<_> = (0..20).map(|_| maker.data(b"")).collect();
        write(&mut opened.writer, &opened.tail, &records);
        opened.writer.clean(maker.last.vlsn).unwrap();
        longest = longest.max(disk.contents(INDEX).map_or(0, |bytes| bytes.len()));
    }
    assert!(longest > 60_000, "there was something to clean: {longest}");
    assert!(longest < 100_000, "the index of a cleaned log does not grow: {longest}");
    opened.writer.close(Vlsn::NULL).unwrap();
    let opened = open(disk, config).unwrap();
    assert_eq!(opened.report.told, opened.report.entries);
    assert_eq!(entries(&opened).last().unwrap().point(), maker.last);
}

#[test]
fn another_stride_makes_the_index_anew() {
    let (disk, _, records) = closed(100, 3);
    let mut config = tiny();
    config.index_stride = 7;
    let opened = open(disk.clone(), config.clone()).unwrap();
    assert_eq!((opened.report.told, entries(&opened)), (0, records.clone()));
    drop(opened);
    let opened = open(disk, config).unwrap();
    assert_eq!((opened.report.told, entries(&opened)), (100, records));
}

#[test]
fn the_index_of_ten_million_small_entries_fits_into_sixteen_mebibytes() {
    let mut index = VlsnIndex::new(LogConfig::default().index_stride, Vlsn::NULL);
    let per_segment = (64 << 20) / 148;
    for vlsn in 1..=10_000_000_u64 {
        let segment = Vlsn::new((vlsn - 1) / per_segment * per_segment + 1);
        let offset = 80 + (vlsn - segment.get()) * 148;
        index.register(Vlsn::new(vlsn), Position { segment, offset });
    }
    let bytes = index.memory_bytes();
    assert!(bytes <= 16 << 20, "{bytes} bytes");
    println!("10 million entries: {bytes} bytes");
}

/// A read from the files is a slice for each stretch between two marks, whatever the number of its entries.
#[test]
fn a_run_from_the_files_is_one_slice_for_each_group() {
    let disk = MemDisk::new();
    let config = LogConfig::default().with_tail_bytes(0);
    let mut opened = open(disk, config).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1)];
    records.extend((1..400).map(|_| maker.data(&[1; 50])));
    for group in records.chunks(100) {
        write(&mut opened.writer, &opened.tail, group);
    }
    let epoch = opened.view.epoch();
    let run = opened.reader.read(Vlsn::FIRST, Vlsn::new(400), 1 << 20, epoch).unwrap();
    assert_eq!((run.slices.len(), run.last), (4, maker.last));
    let wire: Vec<u8> = records.iter().flat_map(|record| record.bytes().to_vec()).collect();
    assert_eq!(run.slices.concat(), wire);
    let run = opened.reader.read(Vlsn::new(120), Vlsn::new(180), 1 << 20, epoch).unwrap();
    assert_eq!((run.slices.len(), run.last.vlsn), (1, Vlsn::new(180)));
    assert_eq!(run.bytes, 61 * 98);
}

/// Payloads of every length class, through memory and a real directory, with the tail and without.
#[test]
fn payloads_from_four_kibibytes_to_eight_mebibytes_read_back_and_are_indexed() {
    let home = tempfile::tempdir().unwrap();
    lengths_read_back(&MemDisk::new(), MemDisk::kill);
    lengths_read_back(&FileDisk::open(home.path()).unwrap(), |_| {});
}

fn lengths_read_back<D: Disk>(disk: &D, crash: fn(&D)) {
    let config = LogConfig::default().with_segment_bytes(3 << 20).with_tail_bytes(1 << 20);
    let mut opened = open(disk.clone(), config.clone()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    let mut records = vec![maker.open_term(1, 1)];
    for shift in [12, 13, 16, 20, 23, 12, 22] {
        records.push(maker.data(&vec![shift as u8; 1 << shift]));
        records.push(maker.data(&vec![shift as u8; (1 << shift) - 49]));
    }
    for group in records.chunks(3) {
        write(&mut opened.writer, &opened.tail, group);
        opened.writer.sync().unwrap();
    }
    assert!(all(&opened.reader, maker.last, opened.view.epoch()) == records);
    drop(opened);
    crash(disk);
    let opened = open(disk.clone(), config.clone()).unwrap();
    assert!(opened.report.told > 0);
    assert!(all(&opened.reader, maker.last, opened.view.epoch()) == records);
    opened.writer.close(Vlsn::NULL).unwrap();
    let opened = open(disk.clone(), config.clone()).unwrap();
    assert_eq!((opened.report.bytes, opened.report.told), (0, records.len() as u64));
    drop(opened);
    assert_eq!(verify(disk).unwrap().entries, records.len() as u64);
}

/// How long it takes is printed; that little is read is asserted.
#[test]
fn a_long_log_is_opened_without_reading_it() {
    let mebibytes: usize =
        std::env::var("REP_VLSN_LOG_MIB").map_or(24, |text| text.parse().unwrap());
    let home = tempfile::tempdir().unwrap();
    let segment_bytes = if mebibytes > 200 { 64 << 20 } else { 4 << 20 };
    let config = LogConfig::default().with_segment_bytes(segment_bytes);
    let mut opened = open(FileDisk::open(home.path()).unwrap(), config.clone()).unwrap();
    opened.writer.set_group(GROUP).unwrap();
    let mut maker = Maker::new();
    opened.tail.stage(&[maker.open_term(1, 1)]);
    for _ in 0..mebibytes * 4 {
        let records: Vec<_> = (0..(256 << 10) / 148).map(|_| maker.data(&[7; 100])).collect();
        opened.tail.stage(&records);
        opened.writer.write_group(Vlsn::NULL).unwrap();
        opened.writer.sync().unwrap();
    }
    drop(opened);
    for (what, verify, bytes_max) in [
        ("after a kill, by the index", false, 5 << 20),
        ("by reading all", true, u64::MAX),
        ("by the index again", false, 0),
    ] {
        let config = config.clone().with_verify_on_open(verify);
        let begun = Instant::now();
        let opened = open(FileDisk::open(home.path()).unwrap(), config).unwrap();
        println!("{mebibytes} MiB, {what}: {:?} ({:?})", begun.elapsed(), opened.report);
        assert_eq!(opened.view.last(), maker.last);
        assert!(opened.report.bytes <= bytes_max);
    }
}
