//! Snapshots across engines, and their bound.

use bytes::Bytes;
use rep_store::snapshot::{CHUNK_BYTES, CHUNK_BYTES_MIN};
use rep_store::{Databases, Entry, Snapshot, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::collections::BTreeSet;
use std::ops::Range;

fn filled(mut store: Databases) -> Databases {
    for vlsn in 1..=20_u64 {
        let mut set = WriteSet::new();
        for key in 0..200_u64 {
            let name = format!("d{}", key % 3);
            set.put(&name.as_str().into(), &(vlsn * 1000 + key).to_be_bytes(), &[7; 300]).unwrap();
        }
        apply(&mut store, vlsn, &set);
    }
    store
}

fn apply(store: &mut Databases, vlsn: u64, set: &WriteSet) {
    let point = LogPoint::new(Term::new(1), Vlsn::new(vlsn));
    store.apply(&[Entry::data(point, 0, set.encode())], &mut Vec::new()).unwrap();
}

/// Entry `vlsn` puts a value of that length to each of the keys.
fn fill(store: &mut Databases, vlsn: u64, database: &str, keys: Range<u64>, value_bytes: usize) {
    let mut set = WriteSet::new();
    for key in keys {
        let value = vec![vlsn as u8; value_bytes];
        set.put(&database.into(), &key.to_be_bytes(), &value).unwrap();
    }
    apply(store, vlsn, &set);
}

fn drain(mut snapshot: Box<dyn Snapshot>) -> Vec<Bytes> {
    std::iter::from_fn(|| snapshot.next_chunk().unwrap()).collect()
}

#[test]
fn too_many_snapshots_at_once_are_refused_until_one_is_dropped() {
    let store = filled(Databases::memory());
    let mut held = Vec::new();
    let refused = loop {
        match store.snapshot() {
            Ok(snapshot) => held.push(snapshot),
            Err(error) => break error,
        }
    };
    assert_eq!(held.len(), rep_store::databases::SNAPSHOTS_MAX);
    assert!(matches!(refused, StoreError::Busy { .. }));
    held.pop();
    store.snapshot().unwrap();
}

#[test]
fn chunks_are_within_their_bounds_and_as_long_as_was_meant() {
    let (mut store, mut bytes, mut count) = (Databases::memory(), 0, 0);
    for (at, value_bytes) in [10, 300, 4_000, 70_000].into_iter().enumerate() {
        fill(&mut store, at as u64 + 1, "d", 0..8_000_000 / (value_bytes as u64 + 14), value_bytes);
        let chunks = drain(store.snapshot().unwrap());
        let whole = &chunks[..chunks.len() - 2];
        let within = |chunk: &Bytes| (CHUNK_BYTES_MIN..=CHUNK_BYTES).contains(&chunk.len());
        assert!(whole.iter().all(within));
        bytes += whole.iter().map(Bytes::len).sum::<usize>();
        count += whole.len();
    }
    assert!((150 << 10..400 << 10).contains(&(bytes / count)), "{} on the average", bytes / count);
}

#[test]
fn a_pair_larger_than_a_chunk_is_one_of_its_own() {
    let mut store = Databases::memory();
    fill(&mut store, 1, "d", 0..10, 100);
    let mut set = WriteSet::new();
    set.put(&"d".into(), &5_u64.to_be_bytes(), &vec![1; 2 << 20]).unwrap();
    set.put(&"d".into(), &6_u64.to_be_bytes(), &vec![1; (1 << 20) - 10]).unwrap();
    apply(&mut store, 2, &set);
    let chunks = drain(store.snapshot().unwrap());
    let lengths: Vec<usize> = chunks.iter().map(Bytes::len).collect();
    assert!(lengths.len() == 5 && lengths[1] > 2 << 20 && lengths[2] > 1 << 20, "{lengths:?}");
    let mut other = Databases::memory();
    other.install(&mut chunks.into_iter().map(Ok)).unwrap();
    assert_eq!(other.digest().unwrap(), store.digest().unwrap());
}

/// Of 10 MiB, whatever pair is changed, added or removed, and in whatever place.
#[test]
fn a_state_that_differs_in_one_pair_has_the_same_chunks_but_a_few() {
    let mut store = Databases::memory();
    for database in 0..5_u64 {
        fill(&mut store, database + 1, &format!("d{database}"), 0..6_500, 300);
    }
    let mut before: BTreeSet<Bytes> = drain(store.snapshot().unwrap()).into_iter().collect();
    assert!(before.len() > 25, "{}", before.len());
    let mut most = 0;
    for round in 0..24_u64 {
        let (database, key) = (format!("d{}", round % 5), round * 7_919 % 6_500);
        let (key, mut set) = (key.to_be_bytes(), WriteSet::new());
        let database = database.as_str().into();
        match round % 4 {
            0 => set.put(&database, &key, b"short").unwrap(),
            1 => set.put(&database, &key, &[8; 3_000]).unwrap(),
            2 => set.put(&database, &[&key[..], b"+"].concat(), &[9; 300]).unwrap(),
            _ => set.delete(&database, &key).unwrap(),
        }
        apply(&mut store, 6 + round, &set);
        let after: BTreeSet<Bytes> = drain(store.snapshot().unwrap()).into_iter().collect();
        // The last chunk says the point, and differs always.
        most = most.max(after.difference(&before).count() - 1);
        before = after;
    }
    assert!((1..=5).contains(&most), "{most} chunks changed");
}

/// What was fetched of one state is of use for a later one, made elsewhere; and what is put together so is that later state.
#[test]
fn a_copy_goes_on_from_another_source_at_another_point() {
    let mut one = Databases::memory();
    fill(&mut one, 1, "d", 0..20_000, 200);
    let first = drain(one.snapshot().unwrap());
    let kept: BTreeSet<&Bytes> = first[..first.len() / 2].iter().collect();
    let mut other = Databases::memory();
    fill(&mut other, 1, "d", 0..20_000, 200);
    fill(&mut other, 2, "d", 10_000..10_010, 250);
    let second = drain(other.snapshot().unwrap());
    let had = second.iter().filter(|chunk| kept.contains(chunk)).count();
    assert!(had >= first.len() / 2 - 3, "{had} of {}", first.len() / 2);
    let put_together = second.iter().map(|chunk| Ok((*kept.get(chunk).unwrap_or(&chunk)).clone()));
    let mut sink = Databases::memory();
    sink.install(&mut put_together.into_iter()).unwrap();
    assert_eq!(
        (sink.applied(), sink.digest().unwrap()),
        (other.applied(), other.digest().unwrap())
    );
    // Chunks of two states are refused, whatever the order of their keys.
    let mixed = first[..first.len() / 2].iter().chain(&second[first.len() / 2..]).cloned();
    if mixed.clone().ne(second.iter().cloned()) {
        let mixed = sink.install(&mut mixed.map(Ok));
        assert!(matches!(mixed, Err(StoreError::BadChunk { .. })), "{mixed:?}");
    }
    let foreign = first[..first.len() - 1].iter().chain(&second[second.len() - 1..]);
    let foreign = sink.install(&mut foreign.cloned().map(Ok));
    assert!(matches!(foreign, Err(StoreError::BadChunk { .. })), "{foreign:?}");
}

#[test]
fn a_snapshot_tells_how_far_it_is() {
    let mut store = Databases::memory();
    fill(&mut store, 1, "d", 0..5_000, 200);
    let mut snapshot = store.snapshot().unwrap();
    let mut last = 0;
    assert_eq!(snapshot.progress(), Some((0, 5_000)));
    while snapshot.next_chunk().unwrap().is_some() {
        let (given, all) = snapshot.progress().unwrap();
        assert!(given >= last && all == 5_000);
        last = given;
    }
    assert_eq!(last, 5_000);
}

#[cfg(all(feature = "redb", feature = "fjall"))]
#[test]
fn engines_make_the_same_chunks_and_take_each_other_s() {
    let home = tempfile::tempdir().unwrap();
    let redb = |name: &str| Databases::redb(home.path().join(name)).unwrap();
    let fjall = |name: &str| Databases::fjall(home.path().join(name)).unwrap();
    let memory = filled(Databases::memory());
    let chunks = drain(memory.snapshot().unwrap());
    for other in [filled(redb("a")), filled(fjall("b"))] {
        assert_eq!(memory.digest().unwrap(), other.digest().unwrap());
        assert_eq!(chunks, drain(other.snapshot().unwrap()));
    }
    for mut empty in [Databases::memory(), redb("c"), fjall("d")] {
        empty.install(&mut chunks.iter().cloned().map(Ok)).unwrap();
        assert_eq!(empty.digest().unwrap(), memory.digest().unwrap());
        assert_eq!(empty.applied(), memory.applied());
    }
}
