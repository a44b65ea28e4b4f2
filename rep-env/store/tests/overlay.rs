//! The overlay between what is admitted and what is applied.

use bytes::Bytes;
use rep_store::{Database, Databases, Entry, Overlay, Seq, StateMachine, View, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::sync::Arc;

fn point(vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(1), Vlsn::new(vlsn))
}

fn database() -> Database {
    Database::new("d")
}

/// A write set from (key, value) pairs; no value deletes.
fn writes(pairs: &[(&str, Option<&str>)]) -> Arc<WriteSet> {
    let mut set = WriteSet::new();
    for (key, value) in pairs {
        match value {
            Some(value) => set.put(&database(), key.as_bytes(), value.as_bytes()).unwrap(),
            None => set.delete(&database(), key.as_bytes()).unwrap(),
        }
    }
    Arc::new(set)
}

/// A store that applied one entry with these pairs.
fn store(pairs: &[(&str, Option<&str>)]) -> Databases {
    let mut store = Databases::memory();
    apply(&mut store, 1, &writes(pairs));
    store
}

fn apply(store: &mut Databases, vlsn: u64, writes: &WriteSet) {
    store.apply(&[Entry::data(point(vlsn), 0, writes.encode())], &mut Vec::new()).unwrap();
}

fn view(store: &Databases) -> View {
    store.reader().view().unwrap()
}

fn value(text: &str) -> Option<Bytes> {
    Some(Bytes::copy_from_slice(text.as_bytes()))
}

fn text(pairs: impl Iterator<Item = Result<(Bytes, Bytes), rep_store::StoreError>>) -> String {
    let pair = |item: Result<(Bytes, Bytes), _>| {
        let (key, value) = item.unwrap();
        format!("{}={}", String::from_utf8_lossy(&key), String::from_utf8_lossy(&value))
    };
    pairs.map(pair).collect::<Vec<_>>().join(" ")
}

#[test]
fn the_newest_admission_that_names_a_key_wins() {
    let store = store(&[("a", Some("0")), ("b", Some("0"))]);
    let mut overlay = Overlay::new();
    overlay.push(Seq(1), writes(&[("a", Some("1")), ("b", None)]), 10);
    overlay.push(Seq(2), writes(&[("a", Some("2"))]), 10);
    overlay.invariants();
    assert_eq!(overlay.get(&database(), b"a"), Some((value("2"), Seq(2))));
    assert_eq!(overlay.get(&database(), b"b"), Some((None, Seq(1))));
    assert_eq!(overlay.get(&database(), b"c"), None);
    assert_eq!(overlay.get(&"other".into(), b"a"), None);
    let txn = overlay.begin(view(&store));
    assert_eq!(txn.get(&database(), b"a").unwrap(), value("2"));
    assert!(!txn.exists(&database(), b"b").unwrap());
    assert_eq!(text(txn.range(&database(), ..)), "a=2");
}

#[test]
fn a_trim_drops_what_is_applied_and_nothing_else() {
    let mut store = store(&[]);
    let mut overlay = Overlay::new();
    let sets = [
        writes(&[("a", Some("1")), ("x", Some("1"))]),
        writes(&[("b", Some("2")), ("x", Some("2"))]),
        writes(&[("c", Some("3"))]),
    ];
    for (seq, set) in (1..).zip(&sets) {
        overlay.push(Seq(seq), Arc::clone(set), 100);
    }
    overlay.trim(point(50));
    assert_eq!((overlay.len(), overlay.bytes()), (3, 300), "without a VLSN an admission stays");
    let mut overlay = Overlay::new();
    for (seq, set) in (1..).zip(&sets) {
        overlay.push(Seq(seq), Arc::clone(set), 100);
    }
    assert!(overlay.assign(Seq(1), Vlsn::new(2)));
    assert!(overlay.assign(Seq(2), Vlsn::new(3)));
    apply(&mut store, 2, &sets[0]);
    let txn = overlay.begin(view(&store));
    overlay.invariants();
    assert_eq!((overlay.len(), overlay.bytes()), (2, 200));
    assert!(!overlay.contains(Seq(1)) && overlay.contains(Seq(2)));
    assert_eq!(overlay.vlsn_of(Seq(2)), Some(Vlsn::new(3)));
    assert_eq!(overlay.get(&database(), b"a"), None, "the view has it now");
    assert_eq!(overlay.get(&database(), b"x"), Some((value("2"), Seq(2))), "a newer write stays");
    assert_eq!(text(txn.range(&database(), ..)), "a=1 b=2 c=3 x=2");
    assert!(!overlay.assign(Seq(1), Vlsn::new(2)), "it has left");
}

#[test]
fn a_transaction_keeps_the_overlay_that_it_began_on() {
    let mut store = store(&[]);
    let mut overlay = Overlay::new();
    overlay.push(Seq(1), writes(&[("a", Some("1"))]), 1);
    let txn = overlay.begin(view(&store));
    overlay.assign(Seq(1), Vlsn::new(2));
    overlay.push(Seq(2), writes(&[("a", Some("2"))]), 1);
    apply(&mut store, 2, &writes(&[("a", Some("1"))]));
    overlay.trim(point(2));
    assert_eq!(txn.get(&database(), b"a").unwrap(), value("1"));
    overlay.drop_all();
    assert_eq!(txn.get(&database(), b"a").unwrap(), value("1"));
    assert_eq!((overlay.len(), overlay.bytes(), overlay.newest()), (0, 0, None));
    assert_eq!(overlay.get(&database(), b"a"), None);
}

#[test]
fn own_writes_lie_over_the_overlay_over_the_view() {
    let store = store(&[("a", Some("v")), ("b", Some("v")), ("c", Some("v")), ("d", Some("v"))]);
    let mut overlay = Overlay::new();
    overlay.push(Seq(7), writes(&[("b", Some("o")), ("c", None), ("e", Some("o"))]), 1);
    let mut txn = overlay.begin(view(&store));
    txn.put(&database(), b"d", b"own").unwrap();
    txn.delete(&database(), b"e").unwrap();
    txn.put(&database(), b"f", b"own").unwrap();
    assert_eq!(text(txn.range(&database(), ..)), "a=v b=o d=own f=own");
    assert_eq!(text(txn.range(&database(), &b"b"[..]..&b"d"[..])), "b=o");
    assert_eq!(text(txn.range(&database(), &b"d"[..]..=&b"d"[..])), "d=own");
    assert_eq!(text(txn.range(&database(), &b"b"[..]..=&b"b"[..])), "b=o");
    assert_eq!(text(view(&store).range(&database(), &b"b"[..]..=&b"b"[..])), "b=v");
    let after: (std::ops::Bound<&[u8]>, _) =
        (std::ops::Bound::Excluded(b"b"), std::ops::Bound::Included(&b"f"[..]));
    assert_eq!(text(txn.range(&database(), after)), "d=own f=own");
    assert_eq!(text(txn.range(&database(), &b"d"[..]..&b"b"[..])), "", "crossed bounds");
    assert_eq!(text(txn.range(&"none".into(), ..)), "");
    assert_eq!(txn.writes().len(), 3);
}

#[test]
fn a_transaction_remembers_the_newest_admission_that_it_read() {
    let store = store(&[("a", Some("v")), ("z", Some("v"))]);
    let mut overlay = Overlay::new();
    overlay.push(Seq(1), writes(&[("b", Some("1"))]), 1);
    overlay.push(Seq(2), writes(&[("c", None)]), 1);
    overlay.push(Seq(3), writes(&[("d", Some("3"))]), 1);
    let read = |act: &dyn Fn(&rep_store::Pending)| {
        let txn = rep_store::Pending::new(view(&store), overlay.snapshot());
        act(&txn);
        txn.newest_read()
    };
    assert_eq!(read(&|_| {}), None);
    let get = |key: &'static [u8]| read(&move |txn| drop(txn.get(&database(), key)));
    assert_eq!(get(b"a"), None, "what is applied needs no waiting");
    assert_eq!(get(b"nothing"), None);
    assert_eq!(get(b"b"), Some(Seq(1)));
    assert_eq!(get(b"c"), Some(Seq(2)), "a deletion is read too");
    let both = read(&|txn| {
        drop(txn.get(&database(), b"d"));
        drop(txn.get(&database(), b"b"));
    });
    assert_eq!(both, Some(Seq(3)), "the newest, not the last");
    let first = |count: usize| {
        read(&move |txn| drop(txn.range(&database(), ..).take(count).collect::<Vec<_>>()))
    };
    assert_eq!(first(1), None);
    assert_eq!(first(2), Some(Seq(1)));
    assert_eq!(first(usize::MAX), Some(Seq(3)));
    let upto_c = read(&|txn| txn.range(&database(), ..&b"d"[..]).for_each(drop));
    assert_eq!(upto_c, Some(Seq(2)), "the deletion on the way counts");
}

#[test]
fn own_writes_are_no_reading_of_others() {
    let store = store(&[]);
    let mut overlay = Overlay::new();
    overlay.push(Seq(1), writes(&[("a", Some("1"))]), 1);
    let mut txn = overlay.begin(view(&store));
    txn.put(&database(), b"a", b"own").unwrap();
    assert_eq!(txn.get(&database(), b"a").unwrap(), value("own"));
    assert_eq!(text(txn.range(&database(), ..)), "a=own");
    assert_eq!(txn.newest_read(), None);
}

#[test]
#[should_panic(expected = "begins on the newest view")]
fn a_transaction_cannot_begin_on_a_view_older_than_a_trim() {
    let mut store = store(&[]);
    let old = view(&store);
    apply(&mut store, 2, &writes(&[("a", Some("1"))]));
    let mut overlay = Overlay::new();
    overlay.begin(view(&store));
    overlay.begin(old);
}

#[test]
#[should_panic(expected = "keeps the order of admission")]
fn the_log_cannot_turn_the_order_of_admission() {
    let mut overlay = Overlay::new();
    overlay.push(Seq(1), writes(&[]), 1);
    overlay.push(Seq(2), writes(&[]), 1);
    overlay.assign(Seq(2), Vlsn::new(5));
    overlay.assign(Seq(1), Vlsn::new(6));
}

#[test]
fn what_others_hold_can_cross_threads() {
    fn is_send<T: Send>() {}
    fn is_shared<T: Send + Sync + Clone>() {}
    is_send::<rep_store::Pending>();
    is_send::<Overlay>();
    is_send::<rep_store::view::Range>();
    is_shared::<View>();
    is_shared::<rep_store::Reader>();
    is_shared::<rep_store::overlay::OverlaySnapshot>();
}
