//! What was synced and is not whole any more is reported, never cut.

mod common;

use common::{Maker, Rng, entries, reopen, try_open_whole, write};
use rep_vlsn::{Disk, DiskFile, MemDisk, OpenError, Record, Vlsn};

/// A log of several segments, and its records; closed in order or left as it is.
fn small_log(close: bool) -> (MemDisk, Vec<Record>) {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(3));
    let mut records = Vec::new();
    for _ in 0..12 {
        let group: Vec<_> = (0..3).map(|_| maker.next(&mut rng)).collect();
        write(&mut opened.writer, &opened.tail, &group);
        opened.writer.sync().unwrap();
        records.extend(group);
    }
    if close {
        opened.writer.close(Vlsn::new(30)).unwrap();
    }
    (disk, records)
}

fn segments(disk: &MemDisk) -> Vec<String> {
    let names = disk.list("log").unwrap();
    let segments = names.iter().filter(|name| name.ends_with(".seg"));
    segments.map(|name| format!("log/{name}")).collect()
}

/// Opens a damaged log: either it holds at least `floor` entries, or the damage is reported as such and
/// the files are as they were. Tells whether it opened.
fn report_or_keep(disk: &MemDisk, records: &[Record], floor: usize) -> bool {
    let before: Vec<_> = segments(disk).iter().map(|name| disk.contents(name)).collect();
    match try_open_whole(disk) {
        Ok(opened) => {
            let found = entries(&opened);
            assert!(found.len() >= floor, "{} entries of {floor}", found.len());
            assert_eq!(found, records[..found.len()]);
            true
        }
        Err(OpenError::Damaged { vlsn, .. }) => {
            assert!(vlsn.get() as usize <= records.len() + 1);
            let after: Vec<_> = segments(disk).iter().map(|name| disk.contents(name)).collect();
            assert_eq!(after, before, "what is damaged is left alone");
            false
        }
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_closed_log_costs_nothing_or_is_reported() {
    let (disk, records) = small_log(true);
    let (mut opened, mut reported) = (0, 0);
    for name in segments(&disk) {
        for offset in 0..disk.contents(&name).unwrap().len() as u64 {
            let image = disk.image();
            assert!(image.flip_bit(&name, offset));
            match report_or_keep(&image, &records, records.len()) {
                true => opened += 1,
                false => reported += 1,
            }
        }
    }
    let bytes: usize = records.iter().map(|record| record.bytes().len()).sum();
    assert!(reported >= bytes, "each byte of a record counts: {reported} of {bytes}");
    assert!(opened > 0, "marks and empty space do not: {opened}");
}

/// Without a closing mark the last group is the stated limit: everything before it is vouched for.
#[test]
fn a_flipped_bit_at_or_below_the_last_mark_is_never_taken_for_a_torn_tail() {
    let (disk, records) = small_log(false);
    for name in segments(&disk) {
        for offset in 0..disk.contents(&name).unwrap().len() as u64 {
            let image = disk.image();
            image.flip_bit(&name, offset);
            report_or_keep(&image, &records, records.len() - 3);
        }
    }
}

/// The limit is one group after a crash, and none after the opening that follows.
#[test]
fn recovery_notes_what_it_has_made_durable() {
    let (disk, records) = small_log(false);
    drop(reopen(&disk));
    let name = segments(&disk).pop().unwrap();
    let end = disk.contents(&name).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
    for offset in 0..=end {
        let image = disk.image();
        image.flip_bit(&name, offset);
        report_or_keep(&image, &records, records.len());
    }
}

#[test]
fn a_hole_of_zeros_in_the_middle_is_damage_and_not_the_end() {
    let (disk, records) = small_log(true);
    for name in segments(&disk) {
        let len = disk.contents(&name).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64;
        for offset in (80..len - 100).step_by(37) {
            let image = disk.image();
            image.open(&name).unwrap().unwrap().write_at(offset, &[0; 64]).unwrap();
            report_or_keep(&image, &records, records.len());
        }
    }
}

#[test]
fn a_missing_segment_is_damage_wherever_it_is_missed() {
    let (disk, _) = small_log(true);
    let names = segments(&disk);
    assert!(names.len() >= 3);
    for name in &names[..names.len() - 1] {
        let image = disk.image();
        image.remove(name).unwrap();
        assert!(matches!(try_open_whole(&image), Err(OpenError::Damaged { .. })), "{name}");
    }
    names.iter().for_each(|name| disk.remove(name).unwrap());
    assert!(matches!(try_open_whole(&disk), Err(OpenError::Damaged { vlsn: Vlsn::FIRST, .. })));
}

#[test]
fn a_cleaned_log_misses_the_segment_that_it_begins_with() {
    let (disk, _) = small_log(true);
    let mut opened = reopen(&disk);
    let first = opened.writer.clean(Vlsn::new(30)).unwrap();
    opened.writer.close(Vlsn::NULL).unwrap();
    let before = segments(&disk);
    disk.remove(&before[0]).unwrap();
    let found = try_open_whole(&disk).unwrap_err();
    assert!(
        matches!(found, OpenError::Damaged { vlsn, .. } if vlsn == first && first > Vlsn::FIRST)
    );
    assert_eq!(segments(&disk), before[1..]);
}

#[test]
fn a_segment_in_another_ones_place_is_damage() {
    let (disk, _) = small_log(true);
    let names = segments(&disk);
    for (from, to) in [(0, 1), (1, 0), (1, 2), (2, 1)] {
        let image = disk.image();
        let bytes = image.contents(&names[from]).unwrap();
        let file = image.open(&names[to]).unwrap().unwrap();
        file.set_len(0).unwrap();
        file.write_at(0, &bytes).unwrap();
        assert!(
            matches!(try_open_whole(&image), Err(OpenError::Damaged { .. })),
            "{from} over {to}"
        );
    }
}

/// A payload may hold anything, also a copy of this very log as it was, elsewhere, further on: the marks in
/// it must not vouch for entries that are missing here.
#[test]
fn a_mark_inside_a_payload_vouches_for_nothing() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let first = maker.open_term(1, 1);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&first));
    drop(opened);
    let name = segments(&disk).remove(0);
    let further_on = disk.image();
    let mut opened = reopen(&further_on);
    let mut other = maker.clone();
    for _ in 0..6 {
        write(&mut opened.writer, &opened.tail, &[other.data(b"x")]);
        opened.writer.sync().unwrap();
    }
    let copied = further_on.contents(&name).unwrap()[80..900].to_vec();
    // A record with the copy inside was never synced, and its header is torn.
    let mut opened = reopen(&disk);
    let record = maker.data(&copied);
    write(&mut opened.writer, &opened.tail, std::slice::from_ref(&record));
    drop(opened);
    let bytes = disk.contents(&name).unwrap();
    let at = bytes.windows(48).position(|window| window == &record.bytes()[..48]).unwrap();
    disk.open(&name).unwrap().unwrap().write_at(at as u64, &[0xaa; 20]).unwrap();
    let opened = reopen(&disk);
    assert_eq!(opened.report.torn_at, Some(record.point().vlsn));
    assert_eq!(entries(&opened), [first]);
}

#[test]
fn a_damaged_mark_with_sound_records_behind_it_is_stepped_over_and_counted() {
    let (disk, records) = small_log(true);
    let name = &segments(&disk)[0];
    disk.flip_bit(name, 80 + 13);
    let opened = try_open_whole(&disk).unwrap();
    assert_eq!(opened.report.damaged_marks, 1);
    assert_eq!(entries(&opened), records);
}

/// A sound record of the right number behind the tear, left from an earlier life, does not rejoin the chain.
#[test]
fn a_record_whose_predecessor_is_another_is_no_continuation() {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let mut maker = Maker::new();
    let first = maker.open_term(1, 1);
    let mut other = maker.clone();
    let (ours, theirs) = (maker.data(b"ours"), other.data(b"them"));
    let stale = other.data(b"stale");
    write(&mut opened.writer, &opened.tail, &[first.clone(), ours.clone()]);
    drop(opened);
    let name = &segments(&disk)[0];
    let end = (80 + 32 + first.bytes().len() + ours.bytes().len()) as u64;
    disk.open(name).unwrap().unwrap().write_at(end, stale.bytes()).unwrap();
    assert_eq!(theirs.point(), ours.point());
    assert_eq!(entries(&reopen(&disk)), [first, ours]);
    let bytes = disk.contents(name).unwrap();
    let found = bytes.windows(stale.bytes().len()).any(|window| window == &stale.bytes()[..]);
    assert!(!found, "it is erased");
}
