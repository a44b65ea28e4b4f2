//! Chunks whose checksum is right and whose content is not: a source with a fault, not a bad wire.

use super::*;
use crate::{Databases, Entry, StateMachine, WriteSet};
use rep_vlsn::{Term, Vlsn};

fn chunks() -> Vec<Bytes> {
    let mut set = WriteSet::new();
    for key in 0..40_u8 {
        set.put(&"d".into(), &[key], &vec![key; 60_000]).unwrap();
    }
    let point = LogPoint::new(Term::new(3), Vlsn::new(1));
    let mut store = Databases::memory();
    store.apply(&[Entry::data(point, 0, set.encode())], &mut Vec::new()).unwrap();
    let mut snapshot = store.snapshot().unwrap();
    std::iter::from_fn(|| snapshot.next_chunk().unwrap()).collect()
}

/// The chunk after `change` to everything before its checksum, which is made right again.
fn forged(chunk: &Bytes, change: impl FnOnce(&mut Vec<u8>)) -> Bytes {
    let mut content = chunk[..chunk.len() - CRC_BYTES].to_vec();
    change(&mut content);
    let crc = crc32c::crc32c(&content);
    content.extend(crc.to_le_bytes());
    content.into()
}

/// A chunk of pairs with this write set as its body.
fn pairs(chunk: &Bytes, body: &[u8]) -> Bytes {
    forged(chunk, |content| {
        content.truncate(HEADER_BYTES);
        content.extend(body);
    })
}

fn refused(chunks: &[Bytes]) -> &'static str {
    let mut store = Databases::memory();
    match store.install(&mut chunks.iter().cloned().map(Ok)) {
        Err(StoreError::BadChunk { what, .. }) => {
            assert_eq!(store.applied(), LogPoint::NULL);
            assert!(store.reader().view().unwrap().databases().unwrap().is_empty());
            what
        }
        other => panic!("forged chunks were met with {other:?}"),
    }
}

/// What is said when chunk `at` is forged by `change`.
fn refused_with(at: usize, change: impl FnOnce(&mut Vec<u8>)) -> &'static str {
    let mut chunks = chunks();
    chunks[at] = forged(&chunks[at], change);
    refused(&chunks)
}

#[test]
fn the_snapshot_itself_is_good_and_has_more_than_one_chunk_of_pairs() {
    let chunks = chunks();
    assert!(chunks.len() > 3);
    let mut store = Databases::memory();
    let point = store.install(&mut chunks.into_iter().map(Ok)).unwrap();
    assert_eq!(point, store.applied());
}

#[test]
fn headers_that_lie_are_refused() {
    assert_eq!(refused_with(0, |content| content[0] = 1), "unknown version");
    assert_eq!(refused_with(0, |content| content[2] = 1), "unknown version");
    assert_eq!(refused_with(0, |content| content[1] = 3), "unknown kind");
    assert_eq!(refused(&[Bytes::from_static(b"short")]), "it is shorter than a chunk");
    let long = forged(&chunks()[0], |content| content.resize(CHUNK_BYTES_MAX, 0));
    assert_eq!(refused(&[long]), "it is longer than a chunk");
}

#[test]
fn ends_that_do_not_add_up_are_refused() {
    let end = chunks().len() - 1;
    let lies = "count or digest differ";
    assert_eq!(refused_with(end, |content| content[HEADER_BYTES + 16] ^= 1), lies);
    assert_eq!(refused_with(end, |content| content[HEADER_BYTES + 24] ^= 1), lies);
    assert_eq!(refused_with(end, |content| content.push(0)), lies);
    assert_eq!(refused_with(end, |content| content.truncate(HEADER_BYTES + 15)), lies);
    assert_eq!(refused_with(1, |content| *content.last_mut().unwrap() ^= 1), lies);
    assert_eq!(refused(&chunks()[..end]), "the snapshot ends early");
}

#[test]
fn bodies_that_are_no_pairs_in_order_are_refused() {
    let with = |body: &[u8]| {
        let mut chunks = chunks();
        chunks[1] = pairs(&chunks[1], body);
        refused(&chunks)
    };
    assert_eq!(with(b""), "it holds no pairs");
    assert_eq!(with(&[1]), "it holds no pairs");
    assert_eq!(with(&[1, 1, 1, b'x']), "it holds no pairs");
    assert_eq!(with(&[1, 1, 1, b'x', 9]), "it holds no pairs");
    assert_eq!(with(&[1, 1, 1, b'x', 3, 1, 0]), "it deletes");
    assert_eq!(with(&[1, 1, 1, b'a', 2, 1, 200, 0]), "pairs are not in order");
    assert_eq!(with(&[1, 1, 1, b'd', 2, 1, 0, 0]), "pairs are not in order");
    assert_eq!(with(&[1, 1, 1, b'd', 2, 1, 200, 0, 2, 1, 200, 0]), "pairs are not in order");
}
