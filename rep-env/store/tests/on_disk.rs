//! What only a store on a disk can get wrong: crashes, locks, foreign files.
#![cfg(any(feature = "redb", feature = "fjall"))]

mod common;

use rep_store::{Database, Databases, Digest, Entry, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::path::Path;

/// How each engine opens its place.
type Open = fn(&Path) -> Result<Databases, StoreError>;

const ENGINES: &[Open] = &[
    #[cfg(feature = "redb")]
    |path| Databases::redb(path),
    #[cfg(feature = "fjall")]
    |path| Databases::fjall(path),
];

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

/// Copies what a running store has on disk, as a crash of the process would leave it, and opens the copy.
fn crashed(open: Open, path: &Path, name: &str) -> Databases {
    let copy = path.with_file_name(name);
    common::copy(path, &copy);
    open(&copy).unwrap()
}

#[test]
fn a_crash_leaves_a_state_between_the_last_checkpoint_and_the_last_batch() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store");
        let log: Vec<Entry> = (1..=200).map(entry).collect();
        let states = digests(&log);
        let mut store = open(&path).unwrap();
        let mut checkpointed = LogPoint::NULL;
        for (at, batch) in log.chunks(7).enumerate() {
            apply(&mut store, batch);
            if at % 5 == 4 {
                checkpointed = store.checkpoint().unwrap();
            }
            let mut revived = crashed(open, &path, &format!("crash-{at}"));
            let applied = revived.applied();
            assert!((checkpointed..=store.applied()).contains(&applied), "{applied} at batch {at}");
            assert_eq!(revived.digest().unwrap(), states[&applied], "state and point parted");
            apply(&mut revived, &log);
            assert_eq!(revived.digest().unwrap(), states[&log[199].point]);
        }
    }
}

#[test]
fn a_crash_while_a_snapshot_is_installed_leaves_the_old_state() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store");
        let log: Vec<Entry> = (1..=100).map(entry).collect();
        let states = digests(&log);
        let mut source = Databases::memory();
        apply(&mut source, &log);
        let mut snapshot = source.snapshot().unwrap();
        let mut store = open(&path).unwrap();
        apply(&mut store, &log[..40]);
        let checkpointed = store.checkpoint().unwrap();
        let mut crashes = 0;
        let mut chunks = std::iter::from_fn(|| {
            let chunk = snapshot.next_chunk().unwrap()?;
            let revived = crashed(open, &path, &format!("crash-{crashes}"));
            assert_eq!(revived.applied(), checkpointed);
            assert_eq!(revived.digest().unwrap(), states[&checkpointed]);
            crashes += 1;
            Some(Ok(chunk))
        });
        let point = store.install(&mut chunks).unwrap();
        assert!(crashes > 1);
        let revived = crashed(open, &path, "crash-after");
        assert_eq!((point, revived.applied()), (log[99].point, log[99].point));
        assert_eq!(revived.digest().unwrap(), states[&point]);
    }
}

#[test]
fn a_view_left_behind_by_its_store_never_shows_another_state() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store");
        let log: Vec<Entry> = (1..=200).map(entry).collect();
        let mut store = open(&path).unwrap();
        apply(&mut store, &log[..100]);
        let (view, digest) = (store.reader().view().unwrap(), store.digest().unwrap());
        assert!(matches!(open(&path), Err(StoreError::Engine { .. })), "it is locked");
        drop(store);
        let mut store = open(&path).unwrap();
        log[100..].chunks(3).for_each(|batch| apply(&mut store, batch));
        match view.digest() {
            Ok(seen) => assert_eq!(seen, digest),
            Err(StoreError::Engine { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[cfg(feature = "redb")]
#[test]
fn a_file_that_is_no_store_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let garbage = home.path().join("garbage");
    std::fs::write(&garbage, vec![7; 10_000]).unwrap();
    assert!(matches!(Databases::redb(&garbage), Err(StoreError::Damaged { .. })));
    assert_eq!(std::fs::read(&garbage).unwrap(), vec![7; 10_000], "and left as it was");
    assert!(Databases::redb(home.path().join("no/such/directory")).is_err());
}

#[cfg(feature = "redb")]
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
        Err(StoreError::Format { found: 9, known: 2 }) => {}
        other => panic!("format 9 was met with {other:?}"),
    }
}

/// Values of every length in which pages may be filled, each in the place of each other: what is cut is whole again.
#[test]
fn a_long_value_is_whole_whatever_was_there_before() {
    const LENGTHS: [usize; 11] =
        [0, 100, 4_070, 4_076, 4_077, 4_096, 5_100, 5_101, 8_172, 8_192, 70_000];
    let pairs = || LENGTHS.into_iter().flat_map(|one| LENGTHS.map(|other| [one, other]));
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("store");
        let (mut store, mut model) = (open(&path).unwrap(), Databases::memory());
        for round in 0..3_usize {
            let mut set = WriteSet::new();
            for (at, lengths) in pairs().enumerate() {
                let key = (at as u64).to_be_bytes();
                match lengths.get(round) {
                    Some(length) => {
                        set.put(&"d".into(), &key, &vec![round as u8; *length]).unwrap()
                    }
                    // A value that is gone leaves nothing that a later one would go on with.
                    None if at % 2 == 0 => set.delete(&"d".into(), &key).unwrap(),
                    None => set.put(&"d".into(), &key, &[9; 4_076]).unwrap(),
                }
            }
            let point = LogPoint::new(Term::new(1), Vlsn::new(round as u64 + 1));
            let entry = [Entry::data(point, 0, set.encode())];
            apply(&mut store, &entry);
            apply(&mut model, &entry);
            store.checkpoint().unwrap();
            assert_eq!(store.digest().unwrap(), model.digest().unwrap(), "round {round}");
            let (view, expected) = (store.reader().view().unwrap(), model.reader().view().unwrap());
            for at in 0..pairs().count() as u64 {
                let [got, expected] = [&view, &expected]
                    .map(|view| view.get(&"d".into(), &at.to_be_bytes()).unwrap());
                assert_eq!(got, expected, "key {at} in round {round}");
            }
            drop(view);
            drop(store);
            store = open(&path).unwrap();
        }
        assert_eq!(store.digest().unwrap(), model.digest().unwrap());
    }
}

/// Before values were cut they lay whole under their keys, whatever their length.
#[cfg(feature = "redb")]
#[test]
fn a_file_of_the_first_format_is_read_and_is_none_of_it_any_more() {
    const META: redb::TableDefinition<'_, &str, &[u8]> = redb::TableDefinition::new("rep");
    const PAIRS: redb::TableDefinition<'_, &[u8], &[u8]> = redb::TableDefinition::new("db.d");
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store.redb");
    drop(Databases::redb(&path).unwrap());
    let lengths = [100_usize, 4_083, 4_096, 8_179];
    {
        let file = redb::Database::create(&path).unwrap();
        let txn = file.begin_write().unwrap();
        txn.open_table(META).unwrap().insert("format", &1_u32.to_le_bytes()[..]).unwrap();
        for (key, length) in lengths.into_iter().enumerate() {
            let (key, value) = ([key as u8], vec![7; length]);
            txn.open_table(PAIRS).unwrap().insert(&key[..], &value[..]).unwrap();
        }
        txn.commit().unwrap();
    }
    let store = Databases::redb(&path).unwrap();
    let view = store.reader().view().unwrap();
    for (key, length) in lengths.into_iter().enumerate() {
        let value = view.get(&"d".into(), &[key as u8]).unwrap();
        assert_eq!(value.as_deref(), Some(&vec![7; length][..]));
    }
    drop((view, store));
    let file = redb::Database::create(&path).unwrap();
    let txn = redb::ReadableDatabase::begin_read(&file).unwrap();
    let format = txn.open_table(META).unwrap().get_owned("format").unwrap().unwrap();
    assert_eq!(
        format.value(),
        2_u32.to_le_bytes(),
        "an older version must not take heads for values"
    );
}

#[test]
fn a_database_of_the_engine_s_own_name_is_one_like_others() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(&home.path().join("store")).unwrap();
        let mut set = WriteSet::new();
        set.put(&"rep".into(), b"applied", b"mine").unwrap();
        let point = LogPoint::new(Term::new(1), Vlsn::new(1));
        apply(&mut store, &[Entry::data(point, 0, set.encode())]);
        let view = store.reader().view().unwrap();
        assert_eq!(view.applied(), point);
        assert_eq!(view.databases().unwrap(), [Database::new("rep")]);
        assert_eq!(view.get(&"db.rep".into(), b"applied").unwrap(), None);
    }
}

#[cfg(feature = "fjall")]
#[test]
fn a_directory_that_is_no_store_is_refused_and_left_as_it_is() {
    let home = tempfile::tempdir().unwrap();
    let foreign = home.path().join("foreign");
    std::fs::create_dir(&foreign).unwrap();
    std::fs::write(foreign.join("letter"), "dear").unwrap();
    let refused = Databases::fjall(&foreign);
    assert!(matches!(refused, Err(StoreError::Format { found: 0, .. })), "{refused:?}");
    let names: Vec<_> =
        std::fs::read_dir(&foreign).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["letter"]);
    assert!(Databases::fjall(foreign.join("letter")).is_err());
    assert!(Databases::fjall(home.path().join("no/such/directory")).is_err());
}

#[cfg(feature = "fjall")]
#[test]
fn a_directory_of_another_format_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    drop(Databases::fjall(&path).unwrap());
    std::fs::write(path.join("rep-format"), "9\n").unwrap();
    let refused = Databases::fjall(&path);
    assert!(matches!(refused, Err(StoreError::Format { found: 9, known: 1 })), "{refused:?}");
}

/// A process that died while it made its directory left half of one, in which the next found a lock and no version.
#[cfg(feature = "fjall")]
#[test]
fn a_directory_that_was_only_half_made_is_made_again() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("store");
    std::fs::create_dir(home.path().join("store.new")).unwrap();
    std::fs::write(home.path().join("store.new/lock"), "").unwrap();
    std::fs::write(home.path().join("store.new/0.jnl"), "half").unwrap();
    let mut store = Databases::fjall(&path).unwrap();
    apply(&mut store, &[entry(1)]);
    drop(store);
    assert_eq!(Databases::fjall(&path).unwrap().applied(), entry(1).point);
    assert!(!home.path().join("store.new").exists());
}

/// Writes keys of the greatest length, some of which differ only in their last bytes, and looks from all sides.
#[test]
fn the_longest_keys_lie_in_order_like_all_others() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(&home.path().join("store")).unwrap();
        let mut memory = Databases::memory();
        let name = Database::new("n".repeat(255));
        let log: Vec<Entry> = (1..=40).map(|vlsn| long_keys(&name, vlsn)).collect();
        for batch in log.chunks(3) {
            apply(&mut store, batch);
            apply(&mut memory, batch);
            assert_eq!(store.digest().unwrap(), memory.digest().unwrap());
        }
        drop(store);
        let mut store = open(&home.path().join("store")).unwrap();
        apply(&mut store, &log);
        assert_eq!(store.digest().unwrap(), memory.digest().unwrap());
        let views = [store.reader().view().unwrap(), memory.reader().view().unwrap()];
        assert_eq!(views[0].len(&name).unwrap(), views[1].len(&name).unwrap());
        let keys: Vec<_> = views[1].range(&name, ..).map(|pair| pair.unwrap().0).collect();
        assert!(keys.len() > 5);
        for key in &keys {
            let pairs = views.each_ref().map(|view| {
                let around = [
                    view.range(&name, ..&key[..]).count(),
                    view.range(&name, ..=&key[..]).count(),
                    view.range(&name, &key[..]..).count(),
                    view.range(&name, (Bound::Excluded(&key[..]), Bound::Unbounded)).count(),
                    view.range(&name, &key[..]..&keys[keys.len() - 1][..]).count(),
                ];
                (view.get(&name, key).unwrap(), around)
            });
            assert_eq!(pairs[0], pairs[1]);
        }
    }
}

fn long_keys(database: &Database, vlsn: u64) -> Entry {
    let mut set = WriteSet::new();
    for (length, last) in [(65_536, vlsn % 5), (65_000, 0), (65_001, vlsn % 2), (64_999, 0), (1, 7)]
    {
        let mut key = vec![0; length];
        key[length - 1] = last as u8;
        match (vlsn + length as u64) % 4 {
            0 => set.delete(database, &key).unwrap(),
            _ => set.put(database, &key, &vlsn.to_le_bytes()).unwrap(),
        }
    }
    Entry::data(LogPoint::new(Term::new(1), Vlsn::new(vlsn)), 0, set.encode())
}

#[test]
fn databases_that_cannot_exist_and_stretches_of_nothing_are_empty() {
    for open in ENGINES.iter().copied() {
        let home = tempfile::tempdir().unwrap();
        let mut store = open(&home.path().join("store")).unwrap();
        apply(&mut store, &[entry(1), entry(2)]);
        let view = store.reader().view().unwrap();
        for name in [String::new(), "x".repeat(300), "absent".into()] {
            let database = Database::new(name);
            assert_eq!(view.get(&database, b"k").unwrap(), None);
            assert_eq!((view.len(&database).unwrap(), view.range(&database, ..).count()), (0, 0));
        }
        assert_eq!(view.range(&"d1".into(), ..&b""[..]).count(), 0);
        assert_eq!(view.range(&"d1".into(), &b"z"[..]..&b"a"[..]).count(), 0);
    }
}
