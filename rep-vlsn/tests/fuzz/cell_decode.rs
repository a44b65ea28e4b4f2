//! A cell's file after whatever a disk may have done to it: the cell tells a value that was stored, or says that it is
//! damaged. While one slot is whole, it is the newest value, and it is in both slots again after the opening.

use crate::kit::Input;
use rep_vlsn::{CellError, Disk, DiskFile, DurableCell, MemDisk, inspect_cell};

const NAME: &str = "promise";
const SLOT_BYTES: usize = 68 << 10;
const HEADER_BYTES: usize = 24;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let values: Vec<&[u8]> = (0..1 + input.below(3)).map(|_| input.short()).collect();
    let disk = MemDisk::new();
    let (mut cell, found) = DurableCell::open(disk.clone(), NAME).expect("a fresh one");
    assert_eq!(found, None);
    values.iter().for_each(|value| cell.store(value).expect("it is short"));
    let mut image = disk.contents(NAME).expect("it was stored");
    let newest = values[values.len() - 1];
    let is_sealed = input.is();
    spoil(&mut image, &mut input, newest.len());
    if is_sealed {
        seal(&mut image, newest.len());
    }
    let disk = disk_of(&image);
    let before = disk.contents(NAME);
    let state = inspect_cell(&disk, NAME).expect("it can be looked at");
    assert_eq!(disk.contents(NAME), before, "a look changes nothing");
    match DurableCell::open(disk.clone(), NAME) {
        Err(CellError::Damaged { .. }) => assert!(state.is_damaged()),
        Err(other) => panic!("{other}"),
        Ok((cell, found)) => {
            assert_eq!(state.value, found);
            let found = found.expect("the file is there");
            if !is_sealed {
                assert_eq!(&found[..], newest, "nothing that was not stored, and nothing older");
            }
            settled(&disk, cell, &found);
        }
    }
}

/// An opened cell is whole in both slots, and takes the next value, unless it has counted as far as one can.
fn settled(disk: &MemDisk, mut cell: DurableCell<MemDisk>, found: &[u8]) {
    let state = inspect_cell(disk, NAME).expect("it can be looked at");
    let [Some(first), Some(second)] = state.slots else { panic!("{state:?} is not mended") };
    assert_eq!((first, state.value.as_deref()), (second, Some(found)));
    if first < u64::MAX {
        cell.store(b"next").expect("the disk is well");
        let (_, value) = DurableCell::open(disk.clone(), NAME).expect("it was stored");
        assert_eq!(value.as_deref(), Some(&b"next"[..]));
    }
}

/// Changes the two slots, or how long the file is.
fn spoil(image: &mut Vec<u8>, input: &mut Input<'_>, value_bytes: usize) {
    while !input.is_empty() {
        let slot = SLOT_BYTES * input.below(2);
        let at = (slot + usize::from(input.byte()) % (HEADER_BYTES + value_bytes + 1))
            .min(image.len().saturating_sub(1));
        match input.below(4) {
            0 => image.iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1 << input.below(8)),
            1 => {
                let bytes = input.short();
                image.iter_mut().skip(at).zip(bytes).for_each(|(byte, new)| *byte = *new);
            }
            2 => image.truncate(at),
            _ => {
                // A write that went to the other slot.
                let other = (at + SLOT_BYTES) % (2 * SLOT_BYTES);
                let moved: Vec<u8> = image.iter().skip(at).take(64).copied().collect();
                image.iter_mut().skip(other).zip(moved).for_each(|(byte, new)| *byte = new);
            }
        }
    }
}

/// Makes the sums of both slots right for what they say.
fn seal(image: &mut [u8], value_bytes: usize) {
    for slot in image.chunks_mut(SLOT_BYTES) {
        if slot.len() < HEADER_BYTES {
            continue;
        }
        let length = u32::from_le_bytes([slot[16], slot[17], slot[18], slot[19]]) as usize;
        let length = length.min(value_bytes.max(300)).min(slot.len() - HEADER_BYTES);
        slot[16..20].copy_from_slice(&(length as u32).to_le_bytes());
        let sum = crc32c::crc32c(NAME.as_bytes());
        let sum = crc32c::crc32c_append(sum, &slot[..20]);
        let sum = crc32c::crc32c_append(sum, &slot[HEADER_BYTES..HEADER_BYTES + length]);
        slot[20..24].copy_from_slice(&sum.to_le_bytes());
    }
}

fn disk_of(image: &[u8]) -> MemDisk {
    let disk = MemDisk::new();
    let file = disk.create(NAME).expect("an empty disk");
    file.write_at(0, image).expect("a disk in memory");
    disk
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let values = [&[2, 3][..], b"one", &[4], b"more", &[5], b"three"].concat();
    let with = |rest: &[u8]| [&values, rest].concat();
    vec![
        with(&[0]),
        with(&[0, 0, 24, 0, 3]),
        with(&[0, 1, 30, 0, 3, 0, 4, 1, 3, 9, 9, 9]),
        with(&[1, 0, 8, 1, 2, 7, 7]),
        with(&[1, 1, 8, 1, 8, 255, 255, 255, 255, 255, 255, 255, 255]),
        with(&[0, 1, 20, 2]),
        with(&[0, 0, 0, 3]),
        vec![0, 0, 0],
    ]
}
