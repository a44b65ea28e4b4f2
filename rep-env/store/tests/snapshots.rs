//! Snapshots across engines, and their bound.

use rep_store::{Databases, Entry, Snapshot, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};

fn filled(mut store: Databases) -> Databases {
    for vlsn in 1..=20_u64 {
        let mut set = WriteSet::new();
        for key in 0..200_u64 {
            let name = format!("d{}", key % 3);
            set.put(&name.as_str().into(), &(vlsn * 1000 + key).to_be_bytes(), &[7; 300]).unwrap();
        }
        let point = LogPoint::new(Term::new(1), Vlsn::new(vlsn));
        store.apply(&[Entry::data(point, 0, set.encode())], &mut Vec::new()).unwrap();
    }
    store
}

fn drain(mut snapshot: Box<dyn Snapshot>) -> Vec<bytes::Bytes> {
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
fn chunks_are_cut_near_their_size() {
    let chunks = drain(filled(Databases::memory()).snapshot().unwrap());
    let size = rep_store::snapshot::CHUNK_BYTES;
    assert!(chunks.len() > 4);
    let whole = &chunks[..chunks.len() - 2];
    assert!(whole.iter().all(|chunk| (size..size + 1024).contains(&chunk.len())));
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
