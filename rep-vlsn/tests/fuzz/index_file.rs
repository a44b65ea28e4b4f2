//! The index file, in whatever state: it shortens an opening or it does not, and never changes what is found. Even one
//! whose sums are right and whose content is made up only costs time, or is told apart when it is used.

use crate::common::{Maker, Rng, all, reopen, tiny, try_open_whole, write as write_records};
use crate::kit::Input;
use rep_vlsn::{Disk, DiskFile, MemDisk, Record, Vlsn, open};
use std::sync::LazyLock;

const INDEX: &str = "log/index";
const HEAD_BYTES: usize = 48;
const SECTION_BYTES: usize = 116;
/// Where a section says how many places it tells of,
const OFFSETS: usize = 84;
/// and how many memberships.
const MEMBERSHIPS: usize = 112;

/// A log, and its index as it was from time to time.
struct Base {
    disk: MemDisk,
    records: Vec<Record>,
    indexes: Vec<Vec<u8>>,
}

static BASE: LazyLock<Base> = LazyLock::new(base);

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let Base { disk, records, indexes } = &*BASE;
    let mut index = indexes[input.below(indexes.len())].clone();
    let is_sealed = input.is();
    spoil(&mut index, &mut input);
    if is_sealed {
        seal(&mut index);
    }
    let disk = disk.image();
    disk.remove(INDEX).expect("it is there");
    let file = disk.create(INDEX).expect("it is gone");
    file.write_at(0, &index).expect("a disk in memory");
    match is_sealed {
        true => made_up(&disk, records),
        false => as_if_read(&disk, records),
    }
}

/// Sums that are right come from a writer: what they cover is believed as far as it is witnessed.
fn as_if_read(disk: &MemDisk, records: &[Record]) {
    let whole = try_open_whole(&disk.image()).expect("the log is whole");
    let opened = reopen(disk);
    assert_eq!((&opened.view, opened.group), (&whole.view, whole.group));
    assert_eq!(opened.report.entries, records.len() as u64);
    assert_eq!(all(&opened.reader, opened.view.last(), opened.view.epoch()), records);
    drop(opened);
    assert_eq!(reopen(disk).report.told, records.len() as u64, "it was made again");
}

fn made_up(disk: &MemDisk, records: &[Record]) {
    let Ok(opened) = open(disk.clone(), tiny()) else { return };
    opened.view.invariants();
    let (last, epoch) = (opened.view.last(), opened.view.epoch());
    let newest = &records[records.len() - 1];
    assert_eq!(last, newest.point(), "the log ends where it ends");
    assert_eq!(opened.view.last_crc(), newest.header_crc(), "and goes on from there");
    for number in opened.reader.first().get()..=last.vlsn.get() {
        let vlsn = Vlsn::new(number);
        if let Ok(batch) = opened.reader.batch(vlsn, vlsn, 1, epoch) {
            assert_eq!(batch.records(), &records[number as usize - 1..number as usize]);
        }
    }
}

fn spoil(index: &mut Vec<u8>, input: &mut Input<'_>) {
    while !input.is_empty() {
        let at = usize::from(input.word()) % (index.len() + 1);
        match input.below(6) {
            0 => index.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << input.below(8)),
            1 => {
                let bytes = input.short();
                index.iter_mut().skip(at).zip(bytes).for_each(|(byte, new)| *byte = *new);
            }
            2 => index.truncate(at),
            3 => drop(index.drain(at..index.len().min(at + usize::from(input.byte())))),
            4 => {
                let again = index[at..index.len().min(at + usize::from(input.byte()))].to_vec();
                index.extend(again);
            }
            _ => change_list(index, input),
        }
    }
}

/// A section tells of places or of memberships that are none, or of fewer than it has, and is consistent about it.
fn change_list(index: &mut Vec<u8>, input: &mut Input<'_>) {
    let starts = sections(index);
    let Some(&start) = starts.get(input.below(starts.len().max(1))) else { return };
    let (length, offsets) = (u32_at(index, start) as usize, u32_at(index, start + OFFSETS));
    // The memberships stand before the places, which are the last in a section.
    let (count_at, behind) = match input.is() {
        true => (start + MEMBERSHIPS, 8 * offsets as usize),
        false => (start + OFFSETS, 0),
    };
    let end = start + length - behind.min(length - SECTION_BYTES);
    let taken = (8 * input.below(4)).min(8 * u32_at(index, count_at) as usize);
    let added: Vec<u8> = (0..input.below(4)).flat_map(|_| input.number().to_le_bytes()).collect();
    let change = added.len() as u32;
    for (at, less, more) in [(start, taken, change), (count_at, taken / 8, change / 8)] {
        let count = (u32_at(index, at) - less as u32).saturating_add(more);
        index[at..at + 4].copy_from_slice(&count.to_le_bytes());
    }
    drop(index.splice(end - taken..end, added));
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([0, 1, 2, 3].map(|byte| bytes[at + byte]))
}

/// Where the sections begin, of which the head of each says how long it is.
fn sections(index: &[u8]) -> Vec<usize> {
    let mut starts = Vec::new();
    let mut at = HEAD_BYTES;
    while at + SECTION_BYTES <= index.len() {
        let length = u32_at(index, at) as usize;
        if length < SECTION_BYTES || at + length > index.len() {
            break;
        }
        starts.push(at);
        at += length;
    }
    starts
}

/// Makes the sums right: of the head, and of all sections that have their length.
fn seal(index: &mut [u8]) {
    if index.len() < HEAD_BYTES {
        return;
    }
    let head = &mut index[..HEAD_BYTES];
    let sum = crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &head[16..]);
    head[12..16].copy_from_slice(&sum.to_le_bytes());
    let seed = crc32c::crc32c(head);
    for start in sections(index) {
        let length = u32_at(index, start) as usize;
        let section = &mut index[start..start + length];
        let sum = crc32c::crc32c_append(seed, &section[..4]);
        let sum = crc32c::crc32c_append(sum, &section[8..]);
        section[4..8].copy_from_slice(&sum.to_le_bytes());
    }
}

fn base() -> Base {
    let disk = MemDisk::new();
    let mut opened = reopen(&disk);
    let (mut maker, mut rng) = (Maker::new(), Rng(9));
    let (mut records, mut indexes) = (Vec::new(), Vec::new());
    for round in 0..20 {
        let group: Vec<_> = (0..3).map(|_| maker.next(&mut rng)).collect();
        write_records(&mut opened.writer, &opened.tail, &group);
        opened.writer.sync().expect("the disk is well");
        records.extend(group);
        if round % 5 == 4 {
            indexes.extend(disk.contents(INDEX));
        }
    }
    opened.writer.close(Vlsn::new(7)).expect("the disk is well");
    indexes.extend(disk.contents(INDEX));
    indexes.reverse();
    Base { disk, records, indexes }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for which in 0..BASE.indexes.len() as u8 {
        seeds.push(vec![which, 0]);
        seeds.push(vec![which, 1]);
        seeds.push(vec![which, 0, 60, 0, 0, 3]);
    }
    let newest = &BASE.indexes[0];
    let starts = sections(newest);
    let word = |at: usize, bytes: &[u8]| {
        [&[0, 1][..], &(at as u16).to_le_bytes(), &[1, bytes.len() as u8], bytes].concat()
    };
    // Of the first section and of the last: its segment, where it begins and ends, its last record, its marks; and its
    // sums and how many openings and places it has.
    for start in [starts[0], starts[starts.len() - 1]] {
        for at in [8, 16, 24, 32, 40, 48, 88, 96] {
            seeds.push(word(start + at, &[255; 8]));
            seeds.push(word(start + at, &[2, 0, 0, 0, 0, 0, 0, 0]));
        }
        for at in [56, 60, 80, OFFSETS, MEMBERSHIPS] {
            seeds.push(word(start + at, &[255; 4]));
            seeds.push(word(start + at, &[0; 4]));
        }
    }
    for section in 0..starts.len() as u8 {
        for memberships in [0, 1] {
            let list = [0, 1, 0, 0, 5, section, memberships];
            seeds.push([&list[..], &[0, 2, 100, 90]].concat());
            seeds.push([&list[..], &[2, 0]].concat());
            seeds.push([&list[..], &[1, 1, 200]].concat());
        }
        // The last entry of the stretch, twice.
        let last = newest[starts[usize::from(section)] + 48];
        seeds.push(vec![0, 1, 0, 0, 5, section, 1, 0, 2, last, last]);
    }
    seeds.push([&[0, 1, 40, 0, 1, 8][..], &[0; 8]].concat());
    seeds
}
