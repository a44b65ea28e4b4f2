//! The databases and the overlay against maps.
//!
//! A little world is run: transactions are built over the overlay and admitted, admissions get their
//! place in the log, entries are applied in batches, the store is checkpointed and reopened. At
//! any moment a new transaction has to see the map of everything admitted, and the store's view the
//! map as of the entry that it names.

use bytes::Bytes;
use proptest::prelude::*;
use rep_store::{Database, Databases, Entry, MemoryHome, Overlay, Seq, StateMachine, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::collections::{BTreeMap, VecDeque};
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

type Model = BTreeMap<(String, Vec<u8>), Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    /// A transaction with these changes, admitted.
    Commit(Vec<(u8, u8, Option<u16>)>),
    /// The oldest admissions without a place get one.
    Assign(usize),
    /// So many entries are applied, in one batch.
    Apply(usize),
    Checkpoint,
    Reopen,
    /// The term ends: what has no place in the log yet is void.
    EndTerm,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let change = (0_u8..3, 0_u8..20, prop::option::weighted(0.7, any::<u16>()));
    let step = prop_oneof![
        8 => prop::collection::vec(change, 0..6).prop_map(Step::Commit),
        4 => (1_usize..6).prop_map(Step::Assign),
        4 => (1_usize..6).prop_map(Step::Apply),
        1 => Just(Step::Checkpoint),
        1 => Just(Step::Reopen),
        1 => Just(Step::EndTerm),
    ];
    prop::collection::vec(step, 0..60)
}

/// Where the databases lie, so that they can be opened again.
trait Place {
    fn open(&self) -> Databases;
}

impl Place for MemoryHome {
    fn open(&self) -> Databases {
        Databases::memory_in(self)
    }
}

/// A directory, and how it is opened.
#[cfg(any(feature = "redb", feature = "fjall"))]
struct OnDisk(tempfile::TempDir, fn(&std::path::Path) -> Result<Databases, rep_store::StoreError>);

#[cfg(any(feature = "redb", feature = "fjall"))]
impl Place for OnDisk {
    fn open(&self) -> Databases {
        self.1(&self.0.path().join("store")).unwrap()
    }
}

struct World<'a> {
    place: &'a dyn Place,
    store: Option<Databases>,
    overlay: Overlay,
    seq: u64,
    term: u64,
    /// Admitted, without a place.
    admitted: VecDeque<(Seq, Arc<WriteSet>)>,
    log: Vec<Entry>,
    /// The state after each entry of the log, from the empty one.
    states: Vec<Model>,
    /// The state with everything that was admitted.
    newest: Model,
}

impl<'a> World<'a> {
    fn new(place: &'a dyn Place) -> Self {
        World {
            place,
            store: Some(place.open()),
            overlay: Overlay::new(),
            seq: 0,
            term: 1,
            admitted: VecDeque::new(),
            log: Vec::new(),
            states: vec![Model::new()],
            newest: Model::new(),
        }
    }

    fn store(&mut self) -> &mut Databases {
        self.store.as_mut().expect("it is open")
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Commit(changes) => self.commit(changes),
            Step::Assign(count) => (0..count).for_each(|_| self.assign()),
            Step::Apply(count) => self.apply(count),
            Step::Checkpoint => {
                let applied = self.store().applied();
                assert_eq!(self.store().checkpoint().unwrap(), applied);
            }
            Step::Reopen => {
                self.store = None;
                self.store = Some(self.place.open());
                // A process that starts knows nothing of admissions: those in the log are applied,
                // the others are gone.
                self.end_term();
            }
            Step::EndTerm => self.end_term(),
        }
        self.check();
    }

    fn commit(&mut self, changes: Vec<(u8, u8, Option<u16>)>) {
        let view = self.store().reader().view().unwrap();
        let mut txn = self.overlay.begin(view);
        for (database, key, value) in changes {
            let name = Database::new(format!("d{database}"));
            let at = (name.name().to_owned(), vec![key]);
            let before = txn.get(&name, &[key]).unwrap();
            assert_eq!(before.as_deref(), self.newest.get(&at).map(Vec::as_slice));
            match value {
                Some(value) => {
                    txn.put(&name, &[key], &value.to_le_bytes()).unwrap();
                    self.newest.insert(at, value.to_le_bytes().to_vec());
                }
                None => {
                    txn.delete(&name, &[key]).unwrap();
                    self.newest.remove(&at);
                }
            }
        }
        self.check_transaction(&txn);
        let writes = Arc::new(txn.into_writes());
        self.seq += 1;
        self.overlay.push(Seq(self.seq), Arc::clone(&writes), writes.encoded_bytes());
        self.admitted.push_back((Seq(self.seq), writes));
    }

    fn assign(&mut self) {
        let Some((seq, writes)) = self.admitted.pop_front() else { return };
        let vlsn = Vlsn::new(self.log.len() as u64 + 1);
        assert!(self.overlay.assign(seq, vlsn));
        let payload = writes.encode();
        assert_eq!(WriteSet::decode(&payload).unwrap(), *writes);
        self.log.push(Entry::data(LogPoint::new(Term::new(self.term), vlsn), 0, payload));
        let mut state = self.states[self.states.len() - 1].clone();
        for (database, key, value) in writes.iter() {
            let at = (database.name().to_owned(), key.to_vec());
            match value {
                Some(value) => drop(state.insert(at, value.to_vec())),
                None => drop(state.remove(&at)),
            }
        }
        self.states.push(state);
    }

    fn apply(&mut self, count: usize) {
        let applied = self.store().applied().vlsn.get() as usize;
        // Begins a little earlier, for entries come again after a crash.
        let batch = applied.saturating_sub(2)..(applied + count).min(self.log.len());
        let batch = self.log[batch].to_vec();
        self.store().apply(&batch, &mut Vec::new()).unwrap();
    }

    fn end_term(&mut self) {
        self.admitted.clear();
        self.overlay.drop_all();
        self.term += 1;
        self.newest = self.states[self.states.len() - 1].clone();
        // A new master applies all that is in its log before it takes writes.
        self.apply(usize::MAX / 2);
    }

    fn check(&mut self) {
        self.overlay.invariants();
        let view = self.store().reader().view().unwrap();
        let model = self.states[view.applied().vlsn.get() as usize].clone();
        let mut seen = Model::new();
        for database in view.databases().unwrap() {
            let pairs: Vec<_> = view.range(&database, ..).map(Result::unwrap).collect();
            assert_eq!(pairs.len() as u64, view.len(&database).unwrap());
            assert!(!pairs.is_empty(), "a database exists while it holds a key");
            for (key, value) in pairs {
                assert_eq!(view.get(&database, &key).unwrap(), Some(value.clone()));
                seen.insert((database.name().to_owned(), key.to_vec()), value.to_vec());
            }
        }
        assert_eq!(seen, model, "the view at {}", view.applied());
        let txn = rep_store::Pending::new(view, self.overlay.snapshot());
        self.check_transaction(&txn);
    }

    /// A transaction sees what is newest, whole and in parts.
    fn check_transaction(&self, txn: &rep_store::Pending) {
        for number in 0..3 {
            let name = format!("d{number}");
            let database = Database::new(name.as_str());
            for bounds in [
                (Bound::Unbounded, Bound::Unbounded),
                (Bound::Included(vec![5]), Bound::Excluded(vec![12])),
                (Bound::Excluded(vec![3]), Bound::Included(vec![17])),
            ] {
                let (from, to) = (slice(&bounds.0), slice(&bounds.1));
                let got: Vec<_> = txn.range(&database, (from, to)).map(Result::unwrap).collect();
                let pairs = self.newest.iter().filter(|((other, _), _)| *other == name);
                let inside =
                    pairs.filter(|((_, key), _)| bounds.contains(key)).map(|((_, key), value)| {
                        (Bytes::from(key.clone()), Bytes::from(value.clone()))
                    });
                assert_eq!(got, inside.collect::<Vec<_>>());
            }
        }
    }
}

fn slice(bound: &Bound<Vec<u8>>) -> Bound<&[u8]> {
    bound.as_ref().map(Vec::as_slice)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn databases_in_memory_are_maps(steps in steps()) {
        let home = MemoryHome::new();
        let mut world = World::new(&home);
        steps.into_iter().for_each(|step| world.step(step));
    }
}

#[cfg(feature = "redb")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn databases_in_redb_are_maps(steps in steps()) {
        let place = OnDisk(tempfile::tempdir().unwrap(), |path| Databases::redb(path));
        let mut world = World::new(&place);
        steps.into_iter().for_each(|step| world.step(step));
    }
}

#[cfg(feature = "fjall")]
proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn databases_in_fjall_are_maps(steps in steps()) {
        let place = OnDisk(tempfile::tempdir().unwrap(), |path| Databases::fjall(path));
        let mut world = World::new(&place);
        steps.into_iter().for_each(|step| world.step(step));
    }
}
proptest! {
    #[test]
    fn any_bytes_are_a_write_set_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), good in any::<bool>()) {
        let mut bytes = bytes;
        if good && !bytes.is_empty() {
            bytes[0] = 1;
        }
        if let Ok(set) = WriteSet::decode(&Bytes::from(bytes)) {
            let again = set.encode();
            prop_assert_eq!(again.len(), set.encoded_bytes());
            prop_assert_eq!(WriteSet::decode(&again).unwrap(), set);
        }
    }
}
