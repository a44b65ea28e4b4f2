//! The suite that every [`Disk`] has to pass: [`disk`]. For implementations of one's own, too.
//!
//! It tests what can be seen without cutting the power; that a sync means what it says has to be tested on
//! the real thing.

use crate::disk::{Disk, DiskFile};
use bytes::Bytes;
use std::io::ErrorKind;

/// Runs the whole suite over the disks that `make` makes, an empty one each time.
///
/// # Panics
///
/// If the disk breaks the contract.
pub fn disk<D: Disk>(mut make: impl FnMut() -> D) {
    names_are_taken_once(&make());
    bytes_read_back(&make());
    holes_and_allocated_space_read_as_zeros(&make());
    what_was_cut_off_does_not_come_back(&make());
    a_vectored_write_is_one_run(&make());
    a_rename_replaces(&make());
    handles_outlive_their_names(&make());
    directories_list_their_own_files(&make());
    malformed_names_are_refused(&make());
    threads_write_beside_each_other(&make());
}

fn read_all<F: DiskFile>(file: &F) -> Vec<u8> {
    let mut bytes = vec![0; file.len().unwrap() as usize];
    assert_eq!(file.read_at(0, &mut bytes).unwrap(), bytes.len());
    bytes
}

fn names_are_taken_once<D: Disk>(disk: &D) {
    assert!(disk.open("a").unwrap().is_none());
    let file = disk.create("a").unwrap();
    assert!(file.is_empty().unwrap());
    assert_eq!(disk.create("a").unwrap_err().kind(), ErrorKind::AlreadyExists);
    assert!(disk.open("a").unwrap().is_some());
    disk.remove("a").unwrap();
    assert!(disk.open("a").unwrap().is_none());
    assert_eq!(disk.remove("a").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(disk.create("none/a").unwrap_err().kind(), ErrorKind::NotFound);
}

fn bytes_read_back<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    file.write_at(0, b"one two three").unwrap();
    file.write_at(4, b"TWO").unwrap();
    let other = disk.open("a").unwrap().unwrap();
    assert_eq!(read_all(&other), b"one TWO three");
    let mut buffer = [0xff; 8];
    assert_eq!(other.read_at(8, &mut buffer).unwrap(), 5, "the file ends");
    assert_eq!(&buffer[..5], b"three");
    assert_eq!(other.read_at(13, &mut buffer).unwrap(), 0);
    assert_eq!(other.read_at(1 << 40, &mut buffer).unwrap(), 0);
    file.sync().unwrap();
    disk.sync_dir("").unwrap();
    assert_eq!(read_all(&other), b"one TWO three");
}

fn holes_and_allocated_space_read_as_zeros<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    file.write_at(9000, b"end").unwrap();
    let bytes = read_all(&file);
    assert_eq!(bytes.len(), 9003);
    assert!(bytes[..9000].iter().all(|byte| *byte == 0));
    file.allocate(20_000).unwrap();
    assert_eq!(file.len().unwrap(), 20_000);
    file.allocate(10).unwrap();
    assert_eq!(file.len().unwrap(), 20_000, "allocation never cuts");
    let bytes = read_all(&file);
    assert_eq!(&bytes[9000..9003], b"end");
    assert!(bytes[9003..].iter().all(|byte| *byte == 0));
}

fn what_was_cut_off_does_not_come_back<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    file.write_at(0, &[7; 10_000]).unwrap();
    file.sync().unwrap();
    file.set_len(5001).unwrap();
    assert_eq!(file.len().unwrap(), 5001);
    file.set_len(6000).unwrap();
    file.allocate(12_000).unwrap();
    let bytes = read_all(&file);
    assert!(bytes[..5001].iter().all(|byte| *byte == 7));
    assert!(bytes[5001..].iter().all(|byte| *byte == 0));
}

fn a_vectored_write_is_one_run<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    let parts: Vec<Bytes> = (0..3000_u32).map(|n| Bytes::from(n.to_le_bytes().to_vec())).collect();
    let mut with_empty = parts.clone();
    with_empty.insert(0, Bytes::new());
    with_empty.insert(1500, Bytes::new());
    file.write_vectored_at(5, &with_empty).unwrap();
    assert_eq!(read_all(&file)[5..], parts.concat());
    file.write_vectored_at(5, &[]).unwrap();
    assert_eq!(file.len().unwrap(), 5 + 12_000);
}

fn a_rename_replaces<D: Disk>(disk: &D) {
    disk.create("a").unwrap().write_at(0, b"a").unwrap();
    disk.create("b").unwrap().write_at(0, b"b").unwrap();
    disk.rename("a", "b").unwrap();
    assert!(disk.open("a").unwrap().is_none());
    assert_eq!(read_all(&disk.open("b").unwrap().unwrap()), b"a");
    assert_eq!(disk.rename("a", "b").unwrap_err().kind(), ErrorKind::NotFound);
}

fn handles_outlive_their_names<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    file.write_at(0, b"still").unwrap();
    disk.rename("a", "b").unwrap();
    file.write_at(5, b" here").unwrap();
    assert_eq!(read_all(&disk.open("b").unwrap().unwrap()), b"still here");
    disk.remove("b").unwrap();
    assert_eq!(read_all(&file), b"still here");
    disk.create("b").unwrap();
    assert_eq!(read_all(&file), b"still here");
}

fn directories_list_their_own_files<D: Disk>(disk: &D) {
    assert!(disk.list("log").unwrap().is_empty());
    disk.create_dir("log").unwrap();
    disk.create_dir("log").unwrap();
    disk.create("log/b").unwrap();
    disk.create("log/a").unwrap();
    disk.create("c").unwrap();
    disk.sync_dir("log").unwrap();
    assert_eq!(disk.list("log").unwrap(), ["a", "b"]);
    let root = disk.list("").unwrap();
    assert!(root.contains(&"c".to_owned()) && !root.contains(&"log".to_owned()));
}

fn malformed_names_are_refused<D: Disk>(disk: &D) {
    for name in ["", "/a", "a/", "../a", "a/../b", ".", "a//b"] {
        assert!(disk.create(name).is_err(), "{name:?}");
    }
}

fn threads_write_beside_each_other<D: Disk>(disk: &D) {
    let file = disk.create("a").unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u8 {
            let file = &file;
            scope.spawn(move || {
                for at in 0..64 {
                    let place = (at * 4 + u64::from(thread)) * 100;
                    file.write_at(place, &[thread + 1; 100]).unwrap();
                }
            });
        }
    });
    let bytes = read_all(&file);
    for (index, run) in bytes.chunks(100).enumerate() {
        assert!(run.iter().all(|byte| *byte == (index % 4) as u8 + 1));
    }
}
