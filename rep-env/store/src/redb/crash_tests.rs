//! Crashes at every write and sync of the file.
//!
//! The file's writes are recorded. A process that is killed leaves those before some moment; a power cut
//! leaves those that were synced and any of the others. Whatever is left has to open as a state that
//! the store had, not older than its last checkpoint.

use super::*;
use crate::{Databases, Digest, Entry, StateMachine, WriteSet};
use parking_lot::Mutex;
use rep_vlsn::{Term, Vlsn};
use std::io;

#[derive(Clone, Debug)]
enum Event {
    Write(u64, Vec<u8>),
    SetLength(u64),
    Sync,
    /// The store begins something: what is checkpointed, and how far it may be when that is done.
    Step {
        checkpointed: LogPoint,
        upto: LogPoint,
    },
}

#[derive(Clone, Debug, Default)]
struct Recorder {
    file: Arc<Mutex<Vec<u8>>>,
    events: Arc<Mutex<Vec<Event>>>,
}

impl Recorder {
    fn record(&self, event: Event) {
        play(&mut self.file.lock(), &event);
        self.events.lock().push(event);
    }
}

fn play(file: &mut Vec<u8>, event: &Event) {
    match event {
        Event::Write(at, data) => file[*at as usize..][..data.len()].copy_from_slice(data),
        Event::SetLength(length) => file.resize(*length as usize, 0),
        Event::Sync | Event::Step { .. } => {}
    }
}

impl engine::StorageBackend for Recorder {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file.lock().len() as u64)
    }

    fn read(&self, at: u64, out: &mut [u8]) -> io::Result<()> {
        out.copy_from_slice(&self.file.lock()[at as usize..][..out.len()]);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.record(Event::SetLength(length));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.record(Event::Sync);
        Ok(())
    }

    fn write(&self, at: u64, data: &[u8]) -> io::Result<()> {
        self.record(Event::Write(at, data.to_vec()));
        Ok(())
    }
}

fn open(recorder: Recorder) -> Databases {
    let file = engine::Database::builder()
        .set_cache_size(1 << 20)
        .create_with_backend(recorder)
        .expect("what a crash left opens");
    Databases::over(Box::new(Redb::over(file).expect("it is ours")))
}

fn entry(vlsn: u64) -> Entry {
    let mut set = WriteSet::new();
    for part in 0..3 {
        let key = (vlsn * 31 + part * 7) % 40;
        // Every fifth value is cut, and the next one under its key may not be.
        let length = if (vlsn + part).is_multiple_of(5) { 4_100 } else { 700 };
        set.put(&"d".into(), &key.to_le_bytes(), &vec![vlsn as u8; length]).unwrap();
    }
    set.delete(&"d".into(), &(vlsn * 5 % 40).to_le_bytes()).unwrap();
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

/// Runs a store for a while; what it wrote, and its digest at each point.
fn recorded() -> (Vec<Event>, BTreeMap<LogPoint, Digest>) {
    let recorder = Recorder::default();
    let mut store = open(recorder.clone());
    let mut digests = BTreeMap::from([(LogPoint::NULL, store.digest().unwrap())]);
    let mut checkpointed = LogPoint::NULL;
    let step = |checkpointed, upto| recorder.events.lock().push(Event::Step { checkpointed, upto });
    for vlsn in 1..=45 {
        let entry = entry(vlsn);
        step(checkpointed, entry.point);
        store.apply(std::slice::from_ref(&entry), &mut Vec::new()).unwrap();
        digests.insert(entry.point, store.digest().unwrap());
        if vlsn % 5 == 0 {
            checkpointed = store.checkpoint().unwrap();
        }
    }
    step(checkpointed, checkpointed);
    let events = recorder.events.lock().clone();
    (events, digests)
}

/// Whether the store of this file has a state it may have, and what it cost to find out.
fn check(file: Vec<u8>, bounds: (LogPoint, LogPoint), digests: &BTreeMap<LogPoint, Digest>) {
    let recorder = Recorder { file: Arc::new(Mutex::new(file)), ..Recorder::default() };
    let store = open(recorder.clone());
    let applied = store.applied();
    assert!((bounds.0..=bounds.1).contains(&applied), "{applied} is not within {bounds:?}");
    assert_eq!(store.digest().unwrap(), digests[&applied], "state and point parted at {applied}");
    drop(store);
    let file = engine::Database::builder().create_with_backend(recorder).unwrap();
    assert!(!table_names(&file).iter().any(|name| name.starts_with("new.")), "tables are left");
}

fn table_names(file: &engine::Database) -> Vec<String> {
    let txn = file.begin_read().unwrap();
    txn.list_tables().unwrap().map(|table| table.name().to_owned()).collect()
}

/// Puts another state, of many transactions, in the place of one that is checkpointed; what was written, and both digests.
fn replaced() -> (Vec<Event>, BTreeMap<LogPoint, Digest>) {
    let mut other = Databases::memory().with_chunk_bytes_min(16 << 10);
    (1..=20).map(entry).chain([large_entry(21)]).for_each(|entry| {
        other.apply(&[entry], &mut Vec::new()).unwrap();
    });
    let recorder = Recorder::default();
    let mut store = open(recorder.clone());
    (1..=3).for_each(|vlsn| store.apply(&[entry(vlsn)], &mut Vec::new()).unwrap());
    let old = store.checkpoint().unwrap();
    let (old_digest, new) = (store.digest().unwrap(), other.applied());
    recorder.events.lock().push(Event::Step { checkpointed: old, upto: new });
    store.install(&mut chunks_of(&other)).unwrap();
    recorder.events.lock().push(Event::Step { checkpointed: new, upto: new });
    store.checkpoint().unwrap();
    let digests = BTreeMap::from([(old, old_digest), (new, other.digest().unwrap())]);
    (recorder.events.lock().clone(), digests)
}

/// The same with most of the other state loaded ahead, while the old one goes on and is checkpointed.
fn replaced_by_what_was_loaded() -> (Vec<Event>, BTreeMap<LogPoint, Digest>) {
    let mut other = Databases::memory().with_chunk_bytes_min(4 << 10);
    (1..=20).map(entry).chain([large_entry(21)]).for_each(|entry| {
        other.apply(&[entry], &mut Vec::new()).unwrap();
    });
    let recorder = Recorder::default();
    let mut store = open(recorder.clone());
    let mut digests = BTreeMap::new();
    let mut checkpointed = LogPoint::NULL;
    let step = |checkpointed, upto| recorder.events.lock().push(Event::Step { checkpointed, upto });
    let mut chunks = chunks_of(&other);
    for vlsn in 1..=15 {
        let entry = entry(vlsn);
        step(checkpointed, entry.point);
        store.apply(std::slice::from_ref(&entry), &mut Vec::new()).unwrap();
        assert!(store.load(&chunks.next().expect("there are more").unwrap()).unwrap());
        digests.insert(entry.point, store.digest().unwrap());
        if vlsn % 4 == 0 {
            checkpointed = store.checkpoint().unwrap();
        }
    }
    digests.insert(other.applied(), other.digest().unwrap());
    step(checkpointed, other.applied());
    store.install(&mut chunks).unwrap();
    step(other.applied(), other.applied());
    store.checkpoint().unwrap();
    digests.insert(LogPoint::NULL, open(Recorder::default()).digest().unwrap());
    (recorder.events.lock().clone(), digests)
}

/// More than one chunk, in two databases.
fn large_entry(vlsn: u64) -> Entry {
    let mut set = WriteSet::new();
    for key in 0..50_u8 {
        set.put(&"d".into(), &[key], &vec![key; 6_000]).unwrap();
        set.put(&"e".into(), &[key], &vec![key; 300]).unwrap();
    }
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

fn chunks_of(store: &Databases) -> impl Iterator<Item = Result<Bytes, StoreError>> + use<> {
    let mut snapshot = store.snapshot().unwrap();
    std::iter::from_fn(move || snapshot.next_chunk().transpose())
}

/// An error among the chunks comes when transactions of the new state have been committed: nothing is left of them.
#[test]
fn a_replacement_that_is_broken_off_leaves_the_old_state_and_no_table() {
    let mut other = Databases::memory().with_chunk_bytes_min(16 << 10);
    other.apply(&[large_entry(1)], &mut Vec::new()).unwrap();
    let broken = StoreError::SourceFailed { reason: "gone".to_owned() };
    let file = engine::Database::builder().create_with_backend(Recorder::default()).unwrap();
    let mut redb = Redb::over(file).unwrap();
    let digest = |redb: &Redb| redb.source().view().unwrap().digest().unwrap();
    let before = digest(&redb);
    let chunks = chunks_of(&other).filter(|chunk| chunk.as_ref().is_ok_and(|chunk| chunk[1] == 1));
    let mut receiver = crate::snapshot::Receiver::default();
    let mut chunks = chunks.chain([Err(broken)]);
    crate::snapshot::install(&mut receiver, &mut redb, &mut chunks).unwrap_err();
    assert!(table_names(&redb.file).iter().any(|name| name.starts_with("new.")));
    redb.unload();
    assert_eq!(digest(&redb), before);
    assert_eq!(table_names(&redb.file), ["rep"]);
}

/// Two pages for each pair of a little more than one would be the double of everything.
#[test]
fn pairs_of_a_page_and_a_little_waste_little() {
    let file = engine::Database::builder().create_with_backend(Recorder::default()).unwrap();
    let mut redb = Redb::over(file).unwrap();
    let value = [7; 4 << 10];
    let keys: Vec<[u8; 4]> = (0..500_u32).map(u32::to_be_bytes).collect();
    let changes = keys.iter().map(|key| (&key[..], Some(&value[..]))).collect();
    redb.apply(&[Run { database: "d", changes }], LogPoint::NULL).unwrap();
    let txn = redb.file.begin_read().unwrap();
    let pages = |name| txn.open_table(definition(name)).unwrap().stats().unwrap();
    let (heads, tails) = (pages("db.d"), pages("tail.d"));
    assert_eq!((heads.leaf_pages(), heads.fragmented_bytes() < 64 << 10), (500, true));
    assert!(tails.leaf_pages() < 20, "{} pages of tails", tails.leaf_pages());
}

#[test]
fn a_kill_at_any_write_leaves_a_whole_state() {
    assert!(kill_at_any_write(&recorded()) > 10);
}

#[test]
fn a_kill_at_any_write_of_a_replacement_leaves_the_old_state_or_the_new_one() {
    assert!(kill_at_any_write(&replaced()) > 3);
}

#[test]
fn a_power_cut_at_any_sync_leaves_a_whole_state() {
    cut_power_at_any_sync(&recorded());
}

#[test]
fn a_power_cut_at_any_sync_of_a_replacement_leaves_the_old_state_or_the_new_one() {
    cut_power_at_any_sync(&replaced());
}

/// In between lie states of which a checkpoint has made a half of the new one durable.
#[test]
fn a_kill_or_a_power_cut_while_a_state_is_loaded_beside_another_leaves_one_of_them() {
    let run = replaced_by_what_was_loaded();
    assert!(kill_at_any_write(&run) > 10);
    cut_power_at_any_sync(&run);
}

/// How many syncs there were.
fn kill_at_any_write((events, digests): &(Vec<Event>, BTreeMap<LogPoint, Digest>)) -> usize {
    let (mut file, mut bounds) = (Vec::new(), None);
    for event in events {
        play(&mut file, event);
        match event {
            Event::Step { checkpointed, upto } => bounds = Some((*checkpointed, *upto)),
            Event::Write(..) | Event::SetLength(_) | Event::Sync => {
                bounds.into_iter().for_each(|bounds| check(file.clone(), bounds, digests));
            }
        }
    }
    events.iter().filter(|event| matches!(event, Event::Sync)).count()
}

fn cut_power_at_any_sync((events, digests): &(Vec<Event>, BTreeMap<LogPoint, Digest>)) {
    let (mut synced, mut bounds, mut dice) = (Vec::new(), None, 7_u64);
    let mut unsynced: Vec<&Event> = Vec::new();
    for event in events {
        match event {
            Event::Step { checkpointed, upto } => bounds = Some((*checkpointed, *upto)),
            Event::Write(..) | Event::SetLength(_) => unsynced.push(event),
            Event::Sync => {
                for _ in 0..3 {
                    let Some(bounds) = bounds else { break };
                    check(some_of(&synced, &unsynced, &mut dice), bounds, digests);
                }
                unsynced.drain(..).for_each(|event| play(&mut synced, event));
            }
        }
    }
}

/// The synced file with some of the writes that were not.
fn some_of(synced: &[u8], unsynced: &[&Event], dice: &mut u64) -> Vec<u8> {
    let mut file = synced.to_vec();
    for event in unsynced {
        *dice =
            dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let is_kept = *dice >> 63 == 0;
        // A file that did not grow has no room for what was written behind its end.
        if is_kept || matches!(event, Event::SetLength(_)) {
            play(&mut file, event);
        }
    }
    file
}
