//! What only a store in a file can get wrong: crashes, locks, foreign files.
#![cfg(feature = "redb")]

use rep_store::{Database, Databases, Digest, Entry, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::collections::BTreeMap;
use std::path::Path;

fn entry(vlsn: u64) -> Entry {
    let mut set = WriteSet::new();
    let database = Database::new(format!("d{}", vlsn % 3));
    set.put(&database, &(vlsn % 50).to_le_bytes(), &vec![vlsn as u8; 500]).unwrap();
    set.delete(&database, &(vlsn * 7 % 50).to_le_bytes()).unwrap();
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

fn apply(store: &mut Databases, entries: &[Entry]) {
    store.apply(entries, &mut Vec::new()).unwrap();
}

/// The digest after each entry, by a store in memory.
fn digests(log: &[Entry]) -> BTreeMap<LogPoint, Digest> {
    let mut store = Databases::memory();
    let mut digests = BTreeMap::from([(LogPoint::NULL, store.digest().unwrap())]);
    for entry in log {
        apply(&mut store, std::slice::from_ref(entry));
        digests.insert(entry.point, store.digest().unwrap());
    }
    digests
}

/// Copies the file of a running store, as a crash of the process would leave it, and opens the copy.
fn crashed(path: &Path, name: &str) -> Databases {
    let copy = path.with_file_name(name);
    std::fs::copy(path, &copy).unwrap();
    Databases::redb(copy).unwrap()
}

#[test]
fn a_crash_leaves_a_state_between_the_last_checkpoint_and_the_last_batch() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let log: Vec<Entry> = (1..=200).map(entry).collect();
    let states = digests(&log);
    let mut store = Databases::redb(&path).unwrap();
    let mut checkpointed = LogPoint::NULL;
    for (at, batch) in log.chunks(7).enumerate() {
        apply(&mut store, batch);
        if at % 5 == 4 {
            checkpointed = store.checkpoint().unwrap();
        }
        let mut revived = crashed(&path, &format!("crash-{at}"));
        let applied = revived.applied();
        assert!((checkpointed..=store.applied()).contains(&applied), "{applied} at batch {at}");
        assert_eq!(revived.digest().unwrap(), states[&applied], "state and point parted");
        apply(&mut revived, &log);
        assert_eq!(revived.digest().unwrap(), states[&log[199].point]);
    }
}

#[test]
fn a_crash_while_a_snapshot_is_installed_leaves_the_old_state() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let log: Vec<Entry> = (1..=100).map(entry).collect();
    let states = digests(&log);
    let mut source = Databases::memory();
    apply(&mut source, &log);
    let mut snapshot = source.snapshot().unwrap();
    let mut store = Databases::redb(&path).unwrap();
    apply(&mut store, &log[..40]);
    let checkpointed = store.checkpoint().unwrap();
    let mut crashes = 0;
    let mut chunks = std::iter::from_fn(|| {
        let chunk = snapshot.next_chunk().unwrap()?;
        let revived = crashed(&path, &format!("crash-{crashes}"));
        assert_eq!(revived.applied(), checkpointed);
        assert_eq!(revived.digest().unwrap(), states[&checkpointed]);
        crashes += 1;
        Some(Ok(chunk))
    });
    let point = store.install(&mut chunks).unwrap();
    assert!(crashes > 1);
    let revived = crashed(&path, "crash-after");
    assert_eq!((point, revived.applied()), (log[99].point, log[99].point));
    assert_eq!(revived.digest().unwrap(), states[&point]);
}

#[test]
fn a_view_left_behind_by_its_store_never_shows_another_state() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let log: Vec<Entry> = (1..=200).map(entry).collect();
    let mut store = Databases::redb(&path).unwrap();
    apply(&mut store, &log[..100]);
    let (view, digest) = (store.reader().view().unwrap(), store.digest().unwrap());
    assert!(matches!(Databases::redb(&path), Err(StoreError::Engine { .. })), "the file is locked");
    drop(store);
    let mut store = Databases::redb(&path).unwrap();
    log[100..].chunks(3).for_each(|batch| apply(&mut store, batch));
    match view.digest() {
        Ok(seen) => assert_eq!(seen, digest),
        Err(StoreError::Engine { .. }) => {}
        Err(other) => panic!("{other}"),
    }
}

#[test]
fn a_file_that_is_no_store_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let garbage = home.path().join("garbage");
    std::fs::write(&garbage, vec![7; 10_000]).unwrap();
    assert!(matches!(Databases::redb(&garbage), Err(StoreError::Engine { .. })));
    assert_eq!(std::fs::read(&garbage).unwrap(), vec![7; 10_000], "and left as it was");
    assert!(Databases::redb(home.path().join("no/such/directory")).is_err());
}

#[test]
fn a_file_of_another_format_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    let mut store = Databases::redb(&path).unwrap();
    apply(&mut store, &[entry(1)]);
    drop(store);
    {
        const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("rep");
        let file = redb::Database::create(&path).unwrap();
        let txn = file.begin_write().unwrap();
        txn.open_table(META).unwrap().insert("format", &9_u32.to_le_bytes()[..]).unwrap();
        txn.commit().unwrap();
    }
    match Databases::redb(&path) {
        Err(StoreError::Format { found: 9, known: 1 }) => {}
        other => panic!("format 9 was met with {other:?}"),
    }
}

#[test]
fn a_database_of_the_engine_s_own_name_is_one_like_others() {
    let home = tempfile::tempdir().unwrap();
    let mut store = Databases::redb(home.path().join("store.redb")).unwrap();
    let mut set = WriteSet::new();
    set.put(&"rep".into(), b"applied", b"mine").unwrap();
    let point = LogPoint::new(Term::new(1), Vlsn::new(1));
    apply(&mut store, &[Entry::data(point, 0, set.encode())]);
    let view = store.reader().view().unwrap();
    assert_eq!(view.applied(), point);
    assert_eq!(view.databases().unwrap(), [Database::new("rep")]);
    assert_eq!(view.get(&"db.rep".into(), b"applied").unwrap(), None);
}
