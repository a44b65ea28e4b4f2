//! What a crash leaves of a store on disk: a copy, made while it runs.

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

/// Files are read in pieces of this size (64 KiB).
const PIECE_BYTES: usize = 64 << 10;

/// Copies a file, or a directory with all that is in it.
pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_file() {
        return copy_file(from, to);
    }
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        copy(&entry.path(), &to.join(entry.file_name()));
    }
}

/// Journals are made long and mostly empty; what is empty stays a hole.
fn copy_file(from: &Path, to: &Path) {
    let (mut from, mut to) = (fs::File::open(from).unwrap(), fs::File::create(to).unwrap());
    let (mut piece, empty) = (vec![0; PIECE_BYTES], vec![0; PIECE_BYTES]);
    let mut length = 0;
    loop {
        let read = from.read(&mut piece).unwrap();
        if read == 0 {
            return to.set_len(length).unwrap();
        }
        if piece[..read] != empty[..read] {
            to.seek(SeekFrom::Start(length)).unwrap();
            to.write_all(&piece[..read]).unwrap();
        }
        length += read as u64;
    }
}
