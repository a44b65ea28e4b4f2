//! A log that runs is read again, and what has rotted in it is found.

mod common;

use common::{Maker, Rng, reopen, write};
use rep_vlsn::{Disk, DiskFile, MemDisk, Opened, Rot, Scrub, Scrubbed, Vlsn};
use std::collections::BTreeSet;

/// A running log of several files.
fn running(disk: &MemDisk) -> (Opened<MemDisk>, Maker) {
    let mut opened = reopen(disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(3));
    for _ in 0..12 {
        let group: Vec<_> = (0..3).map(|_| maker.next(&mut rng)).collect();
        write(&mut opened.writer, &opened.tail, &group);
        opened.writer.sync().unwrap();
    }
    (opened, maker)
}

fn files(disk: &MemDisk) -> Vec<String> {
    let names = disk.list("log").unwrap();
    let segments = names.iter().filter(|name| name.ends_with(".seg"));
    segments.map(|name| format!("log/{name}")).collect()
}

/// What a whole round finds, and how much it reads.
fn round(scrub: &mut Scrub<MemDisk>) -> (Vec<Rot>, u64) {
    let (mut found, mut read) = (Vec::new(), 0);
    loop {
        match scrub.step().unwrap() {
            Ok(Scrubbed::Read { bytes }) => read += bytes,
            Ok(_) => return (found, read),
            Err(rot) => found.push(rot),
        }
    }
}

fn flip(disk: &MemDisk, file: &str, at: u64) {
    let file = disk.open(file).unwrap().unwrap();
    let mut byte = [0];
    file.read_at(at, &mut byte).unwrap();
    file.write_at(at, &[byte[0] ^ 0x10]).unwrap();
}

#[test]
fn a_whole_log_is_read_whole_again_and_again_and_found_whole() {
    let disk = MemDisk::new();
    let (opened, _) = running(&disk);
    assert!(files(&disk).len() > 3);
    let mut scrub = opened.reader.scrub();
    let (found, read) = round(&mut scrub);
    assert_eq!(found, []);
    assert!(read > 0);
    assert_eq!(round(&mut scrub), (found, read));
    let mut nothing = reopen(&MemDisk::new()).reader.scrub();
    assert_eq!(nothing.step().unwrap(), Ok(Scrubbed::All));
}

/// Whatever byte of a full file that is read by anybody is another one: header, mark, entry. Zeros behind the last entry are nobody's.
#[test]
fn a_bit_that_has_changed_in_a_full_file_is_found_without_anybody_reading_it() {
    let disk = MemDisk::new();
    let (opened, _) = running(&disk);
    let names = files(&disk);
    let full = &names[..names.len() - 1];
    let mut entries = BTreeSet::new();
    for name in full {
        let bytes = disk.contents(name).unwrap();
        let end = bytes.iter().rposition(|byte| *byte != 0).unwrap() as u64;
        for at in (0..=end).step_by(7) {
            flip(&disk, name, at);
            let (found, _) = round(&mut opened.reader.scrub());
            assert!(found.iter().all(|rot| rot.segment == *name), "{found:?}");
            assert!(found.len() <= 1);
            // A mark between sound entries costs nothing, and is not rot.
            entries.extend(found.iter().map(|rot| rot.vlsn));
            let opens = rep_vlsn::verify(&disk).is_ok();
            assert!(
                found.is_empty() <= opens,
                "{name} {at}: an opening finds what a scrub does not"
            );
            flip(&disk, name, at);
        }
    }
    assert!(entries.len() as u64 > 10, "{entries:?}");
    assert_eq!(round(&mut opened.reader.scrub()).0, []);
}

#[test]
fn a_file_that_is_cleaned_away_while_it_is_read_is_nobodys() {
    let disk = MemDisk::new();
    let (mut opened, _) = running(&disk);
    let mut scrub = opened.reader.scrub();
    let first = files(&disk).swap_remove(0);
    assert!(matches!(scrub.step().unwrap(), Ok(Scrubbed::Read { .. })));
    // The first mark, and the entry behind it.
    (80..200).for_each(|at| flip(&disk, &first, at));
    assert_eq!(round(&mut opened.reader.scrub()).0.len(), 1);
    opened.writer.clean(Vlsn::new(20)).unwrap();
    assert_eq!(round(&mut scrub).0, []);
}

/// What follows the cut is another history, in the place of the one that was being read.
#[test]
fn a_file_that_is_cut_while_it_is_read_is_no_rot() {
    let disk = MemDisk::new();
    let (mut opened, mut maker) = running(&disk);
    let mut scrub = opened.reader.scrub();
    assert!(matches!(scrub.step().unwrap(), Ok(Scrubbed::Read { .. })));
    let epoch = opened.tail.epoch();
    let keep = opened.reader.read(Vlsn::FIRST, Vlsn::FIRST, 1, epoch).unwrap().last;
    opened.tail.truncate(keep, epoch.next());
    let cut = opened.writer.truncate(keep, epoch.next()).unwrap();
    (maker.last, maker.last_crc) = (cut.point, cut.last_crc);
    let records = [maker.open_term(9, 2), maker.data(&[7; 30])];
    write(&mut opened.writer, &opened.tail, &records);
    opened.writer.sync().unwrap();
    assert_eq!(round(&mut scrub).0, []);
}

#[test]
fn a_file_that_is_begun_between_the_cut_of_the_tail_and_that_of_the_files_is_no_rot() {
    let disk = MemDisk::new();
    let (mut opened, _) = running(&disk);
    let epoch = opened.tail.epoch();
    let keep = opened.reader.read(Vlsn::FIRST, Vlsn::FIRST, 1, epoch).unwrap().last;
    opened.tail.truncate(keep, epoch.next());
    let mut scrub = opened.reader.scrub();
    assert!(matches!(scrub.step().unwrap(), Ok(Scrubbed::Read { .. })));
    opened.writer.truncate(keep, epoch.next()).unwrap();
    assert_eq!(round(&mut scrub).0, []);
}
