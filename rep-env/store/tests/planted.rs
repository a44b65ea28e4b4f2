//! The planted bugs of this crate are found by its own suites, not only by the simulator.
//!
//! One test, for the set of planted bugs belongs to the process.
#![cfg(rep_mutants)]

use bytes::Bytes;
use rep_store::contract::{self, Subject};
use rep_store::{
    Database, Databases, Digest, Entry, MemoryHome, Overlay, Reader, Seq, StateMachine, WriteSet,
};
use rep_vlsn::{LogPoint, Term, Vlsn, mutants};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

struct InMemory(MemoryHome);

impl Subject for InMemory {
    type Machine = Databases;

    fn open(&mut self) -> Databases {
        Databases::memory_in(&self.0)
    }

    fn payload(&self, vlsn: Vlsn) -> Bytes {
        writes(vlsn.get()).encode()
    }

    fn nonsense(&self) -> Option<Bytes> {
        None
    }

    fn observe(reader: &Reader) -> (LogPoint, Digest) {
        let view = reader.view().unwrap();
        (view.applied(), view.digest().unwrap())
    }
}

fn writes(number: u64) -> Arc<WriteSet> {
    let mut set = WriteSet::new();
    set.put(&"d".into(), b"last", &number.to_le_bytes()).unwrap();
    Arc::new(set)
}

fn the_contract() {
    contract::check(|| InMemory(MemoryHome::new()));
}

/// Each transaction reads what the one before it wrote, while the store lags by a few.
fn a_pipeline() {
    let (mut store, mut overlay) = (Databases::memory(), Overlay::new());
    for number in 1..=20_u64 {
        let txn = overlay.begin(store.reader().view().unwrap());
        overlay.invariants();
        let read = txn.get(&Database::new("d"), b"last").unwrap();
        let expected = (number > 1).then(|| Bytes::copy_from_slice(&(number - 1).to_le_bytes()));
        assert_eq!(read, expected);
        overlay.push(Seq(number), writes(number), 1);
        overlay.assign(Seq(number), Vlsn::new(number));
        if number % 4 == 1 {
            let applied = store.applied().vlsn.get();
            let entry = |vlsn| {
                let point = LogPoint::new(Term::new(1), Vlsn::new(vlsn));
                Entry::data(point, 0, writes(vlsn).encode())
            };
            let batch: Vec<Entry> = (applied + 1..=number - number.min(1)).map(entry).collect();
            store.apply(&batch, &mut Vec::new()).unwrap();
        }
    }
}

#[test]
fn every_planted_bug_is_found() {
    the_contract();
    a_pipeline();
    let suites: [(&str, fn()); 3] = [
        ("store-apply-twice", the_contract),
        ("overlay-trim-too-far", a_pipeline),
        ("overlay-oldest-wins", a_pipeline),
    ];
    for (name, suite) in suites {
        mutants::enable(name);
        let outcome = catch_unwind(AssertUnwindSafe(suite));
        mutants::disable_all();
        assert!(outcome.is_err(), "{name} went unseen");
    }
}
