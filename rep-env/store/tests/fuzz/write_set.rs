//! Bytes as what one transaction changes, and changes as bytes: what is read is within every bound, is applied as it says,
//! and an equal write set has an equal encoding of the length that was foretold.

use crate::kit::Input;
use bytes::Bytes;
use rep_store::write_set::{KEY_BYTES_MAX, NAME_BYTES_MAX, WRITE_SET_BYTES_MAX};
use rep_store::{Database, Databases, Entry, StateMachine, StoreError, WriteSet};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::collections::BTreeMap;

type Model = BTreeMap<(String, Vec<u8>), Option<Vec<u8>>>;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    match input.is() {
        false => decoded(&Bytes::copy_from_slice(input.rest())),
        true => made(&mut input),
    }
}

fn decoded(payload: &Bytes) {
    let read = WriteSet::decode(payload);
    let point = LogPoint::new(Term::new(1), Vlsn::FIRST);
    let mut store = Databases::memory();
    let applied = store.apply(&[Entry::data(point, 7, payload.clone())], &mut Vec::new());
    assert_eq!(read.as_ref().ok().map(model), plain(payload), "as the layout says");
    let Ok(set) = read else {
        let error = applied.expect_err("a replica refuses what a reader refuses");
        assert!(matches!(error, StoreError::Corrupt { .. }), "{error}");
        return assert_eq!(store.applied(), LogPoint::NULL);
    };
    assert_eq!((applied.is_ok(), store.applied()), (true, point));
    check(&set);
    assert!(
        set.encoded_bytes() <= payload.len().max(1),
        "the net effect is no longer than its history"
    );
    let view = store.reader().view().expect("memory can be read");
    let mut left = 0;
    for (database, key, value) in set.iter() {
        assert_eq!(view.get(database, key).expect("memory can be read"), *value);
        left += u64::from(value.is_some());
    }
    let databases = view.databases().expect("memory can be read");
    let held = databases.iter().map(|database| view.len(database).expect("memory can be read"));
    assert_eq!(held.sum::<u64>(), left, "nothing that it does not say");
}

/// What a write set says, as a plain map.
fn model(set: &WriteSet) -> Model {
    let said = set.iter().map(|(database, key, value)| {
        ((database.name().to_owned(), key.to_vec()), value.as_ref().map(|value| value.to_vec()))
    });
    said.collect()
}

/// The layout, read in the plainest way; `None` for what it does not allow.
fn plain(mut rest: &[u8]) -> Option<Model> {
    let (&version, behind) = rest.split_first()?;
    rest = behind;
    let (mut model, mut selected) = ((version == 1).then(Model::new)?, None);
    while let Some((&operation, behind)) = rest.split_first() {
        rest = behind;
        let first = part(&mut rest)?;
        match (operation, &selected) {
            (1, _) if (1..=NAME_BYTES_MAX).contains(&first.len()) => {
                selected = Some(String::from_utf8(first).ok()?);
            }
            (2 | 3, Some(database)) if first.len() <= KEY_BYTES_MAX => {
                let value = if operation == 2 { Some(part(&mut rest)?) } else { None };
                model.insert((database.clone(), first), value);
            }
            _ => return None,
        }
    }
    Some(model)
}

/// Bytes behind their length in its shortest form.
fn part(rest: &mut &[u8]) -> Option<Vec<u8>> {
    let digits = 1 + rest.iter().take(5).position(|byte| byte & 0x80 == 0)?;
    let (length, behind) = rest.split_at(digits);
    let number = length.iter().rev().fold(0_u64, |sum, byte| sum << 7 | u64::from(byte & 0x7f));
    let is_shortest = digits == 1 || length[digits - 1] != 0;
    let bytes = behind.get(..usize::try_from(number).ok()?).filter(|_| is_shortest)?;
    *rest = &behind[bytes.len()..];
    Some(bytes.to_vec())
}

/// Changes in the order of the input, beside a plain map.
fn made(input: &mut Input<'_>) {
    let (mut set, mut model) = (WriteSet::new(), Model::new());
    while !input.is_empty() {
        let step = input.byte();
        let database = Database::new(String::from_utf8_lossy(input.short()).into_owned());
        let key = [input.short(), &vec![0; usize::from(step >> 4 == 15) * KEY_BYTES_MAX]].concat();
        let value = (step & 1 == 0).then(|| input.long().to_vec());
        let done = match &value {
            Some(value) => set.put(&database, &key, value),
            None => set.delete(&database, &key),
        };
        let is_named = !database.name().is_empty() && database.name().len() <= NAME_BYTES_MAX;
        assert_eq!(done.is_ok(), is_named && key.len() <= KEY_BYTES_MAX, "{done:?}");
        if done.is_ok() {
            model.insert((database.name().to_owned(), key), value);
        }
    }
    check(&set);
    assert_eq!(self::model(&set), model);
}

fn check(set: &WriteSet) {
    let encoded = set.encode();
    assert_eq!(encoded.len(), set.encoded_bytes());
    assert!(encoded.len() <= WRITE_SET_BYTES_MAX);
    let again = WriteSet::decode(&encoded).expect("what was written can be read");
    assert_eq!((&again, again.encode()), (set, encoded));
    let count = set.iter().count();
    assert_eq!((again.len(), again.is_empty()), (count, count == 0));
    for (database, key, _) in set.iter() {
        assert!(!database.name().is_empty() && database.name().len() <= NAME_BYTES_MAX);
        assert!(key.len() <= KEY_BYTES_MAX);
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let mut set = WriteSet::new();
    for (database, key, value) in [("b", "k", &[7; 128][..]), ("b", "", b""), ("a", "x", b"one")] {
        set.put(&database.into(), key.as_bytes(), value).expect("it is short");
    }
    set.delete(&"a".into(), b"gone").expect("it is short");
    let encoded = set.encode();
    let twice = [&encoded[..], &[2, 1, b'k', 1, b'v', 3, 1, b'k']].concat();
    // Lengths that are just too long, not the shortest, or beyond a number.
    let spelled: [&[u8]; 5] = [
        &[1, 1, 0x81, 0],
        &[1, 1, 0xff, 0xff, 0xff, 0xff, 0x1f],
        &[1, 1, 1, b'a', 3, 0x80, 0x80, 4],
        &[1, 1, 1, b'a', 2, 1, b'k', 0x85, 0x80, 0],
        &[1, 1, 1, b'a', 1, 1, b'b', 1, 1, b'a', 2, 0, 0],
    ];
    let mut seeds = vec![[&[0][..], &encoded].concat(), [&[0][..], &twice].concat()];
    seeds.extend(spelled.iter().map(|bytes| [&[0], *bytes].concat()));
    let put = |step: u8, database: &[u8], key: &[u8], value: &[u8]| {
        let parts = [&[step, database.len() as u8][..], database, &[key.len() as u8], key];
        [&parts.concat()[..], &(value.len() as u16).to_le_bytes(), value].concat()
    };
    let delete = [1, 1, b'd', 1, b'k'];
    let changes = [put(0, b"d", b"k", &[1; 200]), put(0, b"", b"k", b"v"), delete.to_vec()];
    seeds.push([&[1][..], &changes.concat(), &put(0, b"d", b"k", b"v")].concat());
    seeds.push([&[1][..], &put(0xf0, b"d", b"", b"v"), &put(0xf0, b"d", b"k", b"v")].concat());
    seeds
}
