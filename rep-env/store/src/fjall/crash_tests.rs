//! Crashes at any byte of the journal, and power cuts that leave holes in it.
//!
//! What was synced stays; of the rest a killed process leaves a beginning, a power cut any part. Whatever is left
//! opens as a state that the store had, not older than its last checkpoint, or, after a power cut, is refused:
//! the engine does not read past a hole.

#[path = "../../tests/common/mod.rs"]
mod common;

use super::opening::newest_journal;
use super::*;
use crate::{Databases, Digest, Entry, StateMachine, WriteSet};
use rep_vlsn::{Term, Vlsn};
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;

fn entry(vlsn: u64) -> Entry {
    let mut set = WriteSet::new();
    for part in 0..3 {
        let key = (vlsn * 31 + part * 7) % 40;
        set.put(&"d".into(), &key.to_le_bytes(), &vec![vlsn as u8; 700]).unwrap();
    }
    set.delete(&"d".into(), &(vlsn * 5 % 40).to_le_bytes()).unwrap();
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

/// The digest after each entry, by a store in memory.
fn digests(upto: u64) -> BTreeMap<LogPoint, Digest> {
    let mut store = Databases::memory();
    let mut digests = BTreeMap::from([(LogPoint::NULL, store.digest().unwrap())]);
    for vlsn in 1..=upto {
        store.apply(&[entry(vlsn)], &mut Vec::new()).unwrap();
        digests.insert(store.applied(), store.digest().unwrap());
    }
    digests
}

/// A directory with a checkpoint and more behind it, as it is while the store runs.
struct Running {
    home: tempfile::TempDir,
    checkpointed: LogPoint,
    applied: LogPoint,
    synced_bytes: usize,
    journal: Vec<u8>,
}

impl Running {
    fn path(&self) -> PathBuf {
        self.home.path().join("copy")
    }

    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store");
        let mut fjall = Fjall::open(&path).unwrap();
        for vlsn in 1..=20 {
            apply(&mut fjall, vlsn);
            if vlsn % 7 == 0 {
                fjall.current.keyspace().unwrap().rotate_memtable_and_wait().unwrap();
            }
        }
        fjall.checkpoint().unwrap();
        let (checkpointed, synced_bytes) = (fjall.applied, journal_of(&path).len());
        (21..=30).for_each(|vlsn| apply(&mut fjall, vlsn));
        fjall.disk.persist(PersistMode::Buffer).unwrap();
        let (journal, applied) = (journal_of(&path), fjall.applied);
        common::copy(&path, &home.path().join("copy"));
        Running { home, checkpointed, applied, synced_bytes, journal }
    }

    /// What opens when the journal is this.
    fn with_journal(&self, journal: &[u8]) -> Result<Databases, StoreError> {
        let path = self.home.path().join("crashed");
        let _ = fs::remove_dir_all(&path);
        common::copy(&self.path(), &path);
        let file = fs::File::create(newest_journal(&path).unwrap().unwrap()).unwrap();
        (&file).write_all(journal).unwrap();
        file.set_len(1 << 20).unwrap();
        Databases::fjall(&path)
    }

    fn check(&self, store: &Databases, digests: &BTreeMap<LogPoint, Digest>) {
        let applied = store.applied();
        assert!((self.checkpointed..=self.applied).contains(&applied), "{applied}");
        assert_eq!(
            store.digest().unwrap(),
            digests[&applied],
            "state and point parted at {applied}"
        );
    }
}

fn apply(fjall: &mut Fjall, vlsn: u64) {
    let entry = entry(vlsn);
    let mut runs = Vec::new();
    crate::write_set::runs_of(&entry.payload, &mut runs).unwrap();
    fjall.apply(&runs, entry.point).unwrap();
}

/// The journal without the emptiness that it was made with.
fn journal_of(path: &Path) -> Vec<u8> {
    let mut bytes = fs::read(newest_journal(path).unwrap().unwrap()).unwrap();
    let length = bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1);
    bytes.truncate(length);
    bytes
}

/// The engine makes its journal long and empty. A process was killed while the length of a value was written: it read as
/// sixteen bytes that took none, an assertion failed, and the store could not be opened any more.
#[test]
fn a_journal_that_ends_anywhere_leaves_a_whole_state() {
    let (running, digests) = (Running::new(), digests(30));
    assert!(running.journal.len() > running.synced_bytes + 10_000);
    let mut seen = std::collections::BTreeSet::new();
    let cuts = (running.synced_bytes..running.journal.len()).step_by(97);
    for cut in cuts.chain([running.synced_bytes, running.journal.len()]) {
        let store = running.with_journal(&running.journal[..cut]).unwrap();
        running.check(&store, &digests);
        seen.insert(store.applied());
    }
    assert_eq!(seen.len(), 11, "every point from the checkpoint to the last batch");
}

#[test]
fn a_power_cut_leaves_a_whole_state_or_one_that_is_refused() {
    let (running, digests) = (Running::new(), digests(30));
    let (mut opened, mut refused, mut dice) = (0, 0, 7_u64);
    for _ in 0..60 {
        match running.with_journal(&with_holes(&running, &mut dice)) {
            Ok(store) => {
                running.check(&store, &digests);
                opened += 1;
            }
            Err(StoreError::Engine { .. }) => refused += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(opened > 0, "{opened} opened, {refused} refused");
}

/// The journal without some of the sectors that were not synced.
fn with_holes(running: &Running, dice: &mut u64) -> Vec<u8> {
    const SECTOR_BYTES: usize = 512;
    let mut journal = running.journal.clone();
    let first = running.synced_bytes.next_multiple_of(SECTOR_BYTES);
    for sector in journal[first..].chunks_mut(SECTOR_BYTES) {
        *dice =
            dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if *dice >> 61 == 0 {
            sector.fill(0);
        }
    }
    journal
}

#[test]
fn a_replacement_that_was_not_finished_is_forgotten() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    let mut fjall = Fjall::open(&path).unwrap();
    apply(&mut fjall, 1);
    let entry = entry(2);
    let mut runs = Vec::new();
    crate::write_set::runs_of(&entry.payload, &mut runs).unwrap();
    fjall.load(&runs).unwrap();
    fjall.checkpoint().unwrap();
    let copy = home.path().join("copy");
    common::copy(&path, &copy);
    let revived = Fjall::open(&copy).unwrap();
    assert_eq!((revived.applied.vlsn, revived.current.number), (Vlsn::new(1), 1));
    assert_eq!(revived.disk.keyspace_count(), 1);
}
