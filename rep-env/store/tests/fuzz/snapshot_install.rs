//! A snapshot that comes from elsewhere: it is installed as the state that it was made of, or refused, and then the store
//! is as it was. Chunks are spoiled with and without their sums being put right, left out, repeated, cut in two.

use crate::kit::Input;
use bytes::Bytes;
use rep_store::{Databases, Digest, Entry, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};

const HEADER_BYTES: usize = 4;
const CRC_BYTES: usize = 4;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let source = store_of(&mut input);
    let mut snapshot = source.snapshot().expect("memory can be read");
    let next = || snapshot.next_chunk().expect("memory can be read").map(|chunk| chunk.to_vec());
    let mut chunks: Vec<Vec<u8>> = std::iter::from_fn(next).collect();
    let is_whole = input.is_empty();
    spoil(&mut chunks, &mut input);
    let mut store = before();
    let (applied, digest) = (store.applied(), digest(&store));
    let found = store.install(&mut chunks.iter().map(|chunk| Ok(Bytes::copy_from_slice(chunk))));
    match found {
        Ok(point) => {
            assert_eq!(store.applied(), point);
            assert_eq!(self::digest(&store), self::digest(&source), "it is that very state");
        }
        Err(StoreError::BadChunk { .. }) => {
            assert!(!is_whole, "{found:?}");
            assert_eq!((store.applied(), self::digest(&store)), (applied, digest), "as it was");
        }
        Err(other) => panic!("{other}"),
    }
}

fn digest(store: &Databases) -> Digest {
    store.digest().expect("memory can be read")
}

/// A store with a state of its own, which an install replaces or leaves.
fn before() -> Databases {
    let mut set = WriteSet::new();
    set.put(&"old".into(), b"key", b"value").expect("it is short");
    store_with(&set)
}

fn store_with(set: &WriteSet) -> Databases {
    let mut store = Databases::memory();
    let point = LogPoint::new(Term::new(3), Vlsn::FIRST);
    let entry = Entry::data(point, 0, set.encode());
    store.apply(&[entry], &mut Vec::new()).expect("a sound entry");
    store
}

fn store_of(input: &mut Input<'_>) -> Databases {
    let mut set = WriteSet::new();
    for _ in 0..input.below(12) {
        let database = ["a", "b", "long name"][input.below(3)];
        set.put(&database.into(), input.short(), input.short()).expect("it is short");
    }
    store_with(&set)
}

fn spoil(chunks: &mut Vec<Vec<u8>>, input: &mut Input<'_>) {
    while !input.is_empty() && !chunks.is_empty() {
        let which = input.below(chunks.len());
        let at = usize::from(input.word()) % (chunks[which].len() + 1);
        let kind = input.below(8);
        match kind {
            0 => chunks[which].truncate(at),
            1 => drop(chunks.remove(which)),
            2 => chunks.insert(which, chunks[which].clone()),
            3 => chunks.swap(which, 0),
            4 => cut_in_two(chunks, which, at),
            5 => {
                let bytes = input.short();
                chunks[which].iter_mut().skip(at).zip(bytes).for_each(|(old, new)| *old = *new);
            }
            6 => {
                let bytes = input.short().iter().copied();
                drop(chunks[which].splice(at..at, bytes));
            }
            _ => chunks[which].iter_mut().skip(at).take(1).for_each(|byte| *byte ^= 1),
        }
        if input.is() {
            seal(chunks);
        }
    }
}

/// Its pairs in two chunks, if it is cut between two of them: also a snapshot.
fn cut_in_two(chunks: &mut Vec<Vec<u8>>, which: usize, at: usize) {
    let chunk = &chunks[which];
    let body = HEADER_BYTES + 1;
    if at <= body || at + CRC_BYTES >= chunk.len() {
        return;
    }
    let (head, tail) = chunk.split_at(at);
    // The second one begins by naming the database of the first pair of all.
    let named = body + 2 + usize::from(*head.get(body + 1).unwrap_or(&0));
    let name = head.get(body..named).unwrap_or_default();
    let second = [&head[..body], name, tail].concat();
    let first = [head, &[0; CRC_BYTES]].concat();
    drop(chunks.splice(which..=which, [first, second]));
}

/// Makes sums right.
fn seal(chunks: &mut [Vec<u8>]) {
    for chunk in chunks {
        if let Some(content) = chunk.len().checked_sub(CRC_BYTES).filter(|at| *at >= HEADER_BYTES) {
            let sum = crc32c::crc32c(&chunk[..content]);
            chunk[content..].copy_from_slice(&sum.to_le_bytes());
        }
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let pairs = [&[3, 0, 1, b'k', 1, b'v', 0, 1, b'l', 0][..], &[2, 3, b'o', b'n', b'e', 2, 9, 9]];
    let with = |rest: &[u8]| [&pairs.concat()[..], rest].concat();
    let mut seeds = vec![vec![0], with(&[])];
    for sealed in [0, 1] {
        seeds.push(with(&[0, 10, 0, 7, sealed]));
        seeds.push(with(&[1, 24, 0, 7, sealed]));
        seeds.push(with(&[0, 0, 0, 2, sealed]));
        seeds.push(with(&[1, 0, 0, 1, sealed]));
        // Between the first two pairs, which are of one database; and within a pair.
        seeds.push(with(&[0, 13, 0, 4, sealed]));
        seeds.push(with(&[0, 11, 0, 4, sealed]));
        seeds.push(with(&[1, 4, 0, 5, 1, 4, sealed, 1, 20, 0, 5, 1, 4, sealed]));
        seeds.push(with(&[0, 13, 0, 6, 4, 3, 1, b'k', 0, sealed]));
        seeds.push(with(&[1, 0, 0, 3, sealed]));
    }
    seeds
}
