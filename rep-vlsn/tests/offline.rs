//! Looking at a log leaves it as it is, and sees what an opening would see.

mod common;

use common::{Maker, Rng, reopen, try_open_whole, write};
use rep_vlsn::{
    Disk, DiskFile, DurableCell, FileDisk, MemDisk, OpenError, Record, Seen, Vlsn, inspect,
    inspect_cell, walk,
};
use std::io::ErrorKind;

/// A log of several segments in some terms; closed in order, or with a last group that was never synced.
fn log(seed: u64, close: bool) -> (MemDisk, Vec<Record>) {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(seed));
    let mut records = Vec::new();
    for group in 0..14 {
        let group: Vec<_> = (0..1 + group % 3).map(|_| maker.next(&mut rng)).collect();
        write(&mut opened.writer, &opened.tail, &group);
        records.extend(group);
        if close || records.len() < 24 {
            opened.writer.sync().unwrap();
        }
    }
    if close {
        opened.writer.close(Vlsn::new(20)).unwrap();
    }
    (disk, records)
}

/// Every file, with its bytes.
fn everything(disk: &MemDisk) -> Vec<(String, Vec<u8>)> {
    let in_log = disk.list("log").unwrap().into_iter().map(|name| format!("log/{name}"));
    let names = disk.list("").unwrap().into_iter().chain(in_log);
    names.map(|name| (name.clone(), disk.contents(&name).unwrap())).collect()
}

fn segments(disk: &MemDisk) -> Vec<String> {
    let all = everything(disk).into_iter().map(|(name, _)| name);
    all.filter(|name| name.ends_with(".seg")).collect()
}

/// Rot anywhere: the look finds damage where an opening finds it, and counts as many entries; and it changes no byte, where the
/// opening cuts, mends and marks.
#[test]
fn a_look_judges_as_an_opening_does_and_changes_nothing() {
    let (mut damaged, mut torn, mut whole) = (0, 0, 0);
    for close in [true, false] {
        let (disk, _) = log(5, close);
        for name in segments(&disk).into_iter().chain(["cut".to_owned()]) {
            // Of the cell, as much as has a meaning.
            let len = disk.contents(&name).unwrap().len() as u64;
            for offset in (0..if name == "cut" { 64 } else { len }).step_by(3) {
                let image = disk.image();
                image.flip_bit(&name, offset);
                let before = everything(&image);
                let found = inspect(&image).unwrap();
                assert_eq!(everything(&image), before, "{name} {offset}");
                match (try_open_whole(&image), found.damage) {
                    (Ok(opened), None) => {
                        assert_eq!(opened.view.last(), found.last);
                        assert_eq!(opened.report.entries, found.report.entries);
                        assert_eq!(opened.report.torn_at, found.report.torn_at);
                        assert_eq!(opened.report.torn_at.is_some(), found.torn.is_some());
                        assert_eq!(opened.marks, found.marks);
                        torn += u32::from(found.torn.is_some());
                        whole += u32::from(found.torn.is_none());
                    }
                    (Err(opening), Some(found)) => {
                        assert_eq!(opening.to_string(), found.to_string());
                        damaged += 1;
                    }
                    (opening, look) => panic!("{name} {offset}: {opening:?} but {look:?}"),
                }
            }
        }
    }
    assert!(damaged > 500 && torn > 50 && whole > 50, "{damaged} {torn} {whole}");
}

#[test]
fn a_torn_tail_is_told_with_its_place_and_left() {
    let (disk, records) = log(9, true);
    let name = segments(&disk).pop().unwrap();
    let file = disk.open(&name).unwrap().unwrap();
    let found = inspect(&disk).unwrap();
    assert_eq!((found.torn, found.report.entries), (None, records.len() as u64));
    let end = disk.contents(&name).unwrap().iter().rposition(|byte| *byte != 0).unwrap() as u64 + 1;
    file.write_at(end, b"half a record").unwrap();
    let found = inspect(&disk).unwrap();
    let place = found.torn.unwrap();
    // The closing mark's checksum may end in zeros.
    assert!(place.segment == name && place.offset >= end && place.offset < end + 4, "{place:?}");
    assert_eq!(found.report.torn_at, Some(Vlsn::new(records.len() as u64 + 1)));
    assert!(inspect(&disk).unwrap().torn.is_some(), "it is still there");
}

#[test]
fn a_walk_shows_every_entry_from_anywhere_and_where_it_stands() {
    let (disk, records) = log(11, true);
    for from in (1..=records.len() as u64 + 3).map(Vlsn::new) {
        let mut seen = Vec::new();
        let mut marks = 0;
        for item in walk(&disk, from).unwrap() {
            match item.unwrap() {
                Seen::Entry(record, place) => {
                    let at = place.offset as usize;
                    let file = disk.contents(&place.segment).unwrap();
                    assert_eq!(&file[at..at + record.bytes().len()], &record.bytes()[..]);
                    seen.push(record);
                }
                Seen::Mark(_, place) => {
                    let at = place.offset as usize;
                    assert_eq!(&disk.contents(&place.segment).unwrap()[at..at + 4], b"MARK");
                    marks += 1;
                }
                Seen::End { due, .. } => assert_eq!(due, Vlsn::new(records.len() as u64 + 1)),
                other => panic!("{other:?}"),
            }
        }
        let begins = seen.first().map_or(from, |record| record.point().vlsn);
        assert!(begins <= from && marks > 0);
        assert_eq!(seen, records[begins.get() as usize - 1..]);
    }
}

#[test]
fn a_walk_ends_at_damage_and_names_it() {
    let (disk, records) = log(13, true);
    let name = segments(&disk)[1].clone();
    let Some(Ok(Seen::Entry(hit, place))) = walk(&disk, Vlsn::FIRST)
        .unwrap()
        .find(|seen| matches!(seen, Ok(Seen::Entry(_, place)) if place.segment == name))
    else {
        panic!("the second segment holds an entry");
    };
    assert!(disk.flip_bit(&name, place.offset + 20));
    let mut seen = walk(&disk, Vlsn::FIRST).unwrap();
    let entries = seen.by_ref().filter(|seen| matches!(seen, Ok(Seen::Entry(..)))).count();
    assert_eq!(entries as u64, hit.point().vlsn.get() - 1);
    assert!(seen.next().is_none());
    let last = walk(&disk, Vlsn::FIRST).unwrap().last().unwrap();
    let Err(OpenError::Damaged { vlsn, segment, offset, .. }) = last else { panic!("{last:?}") };
    assert_eq!((vlsn, segment, offset), (hit.point().vlsn, name, place.offset));
    assert!(records.len() > entries);
}

/// Opening a cell writes its damaged slot again; whoever only looks must not.
#[test]
fn a_cell_is_told_slot_by_slot_and_left_as_it_is() {
    let disk = MemDisk::new();
    let look = |disk: &MemDisk| inspect_cell(disk, "promise").unwrap();
    assert!(!look(&disk).exists && !look(&disk).is_damaged());
    let (mut cell, _) = DurableCell::open(disk.clone(), "promise").unwrap();
    cell.store(b"one").unwrap();
    cell.store(b"two").unwrap();
    assert_eq!(look(&disk).slots, [Some(2), Some(2)]);
    assert_eq!(look(&disk).value.as_deref(), Some(&b"two"[..]));
    assert!(disk.flip_bit("promise", 25));
    let before = disk.contents("promise");
    for _ in 0..2 {
        let state = look(&disk);
        assert_eq!((state.slots, state.is_damaged()), ([None, Some(2)], false));
        assert_eq!(state.value.as_deref(), Some(&b"two"[..]));
    }
    assert_eq!(disk.contents("promise"), before);
    assert!(disk.flip_bit("promise", (68 << 10) + 25));
    assert!(look(&disk).is_damaged());
}

#[test]
fn a_directory_that_is_only_looked_at_is_locked_and_cannot_be_changed() {
    let dir = tempfile::tempdir().unwrap();
    let kind = |result: std::io::Result<FileDisk>| result.map(drop).unwrap_err().kind();
    assert_eq!(kind(FileDisk::open_read_only(dir.path().join("absent"))), ErrorKind::NotADirectory);
    // A copy without a lock of its own may be looked at, too, and gets none.
    FileDisk::open_read_only(dir.path()).unwrap();
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

    let disk = FileDisk::open(dir.path()).unwrap();
    disk.create("file").unwrap().write_at(0, b"bytes").unwrap();
    assert_eq!(kind(FileDisk::open_read_only(dir.path())), ErrorKind::WouldBlock);
    drop(disk);

    let look = FileDisk::open_read_only(dir.path()).unwrap();
    assert_eq!(kind(FileDisk::open(dir.path())), ErrorKind::WouldBlock);
    let file = look.open("file").unwrap().unwrap();
    assert_eq!(file.len().unwrap(), 5);
    assert!(file.write_at(0, b"other").is_err());
    for refused in [
        look.create("new").map(drop),
        look.remove("file"),
        look.rename("file", "other"),
        look.create_dir("dir"),
    ] {
        assert_eq!(refused.unwrap_err().kind(), ErrorKind::ReadOnlyFilesystem);
    }
}
