//! Where a pair lies in the one keyspace, and what lies in a stretch of it.
//!
//! ```text
//! length of the name  u8      1 to 255
//! name                        of the database
//! key                         up to 65,000 bytes of it
//! 0                   u8      only if the key is longer: its rest is in the value
//! ```
//!
//! The engine takes keys of 65,535 bytes, we take 64 KiB and a name. So long keys with the same beginning
//! share a *bucket*: one value with their rests and values in it. A bucket sorts after the key that is just its
//! beginning and before all that follow, as the long keys in it do; so the order of stored keys is the
//! order of keys.

use crate::StoreError;
use crate::view::are_crossed;
use crate::write_set::NAME_BYTES_MAX;
use bytes::{BufMut, Bytes};
use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;

/// What of a key lies in the stored key.
const HEAD_BYTES: usize = 65_000;
const _: () = assert!(1 + NAME_BYTES_MAX + HEAD_BYTES < u16::MAX as usize);

/// The first place where a pair can lie.
pub(super) const FIRST: &[u8] = &[1];

/// Where the pair of a key lies.
pub(super) struct Place<'k> {
    pub(super) stored: Vec<u8>,
    /// What of the key is in the bucket at `stored`, if that is one.
    pub(super) rest: Option<&'k [u8]>,
}

impl<'k> Place<'k> {
    /// `None` for a database that cannot exist.
    pub(super) fn of(database: &str, key: &'k [u8]) -> Option<Self> {
        let mut stored = prefix(database)?;
        match key.split_at_checked(HEAD_BYTES).filter(|(_, rest)| !rest.is_empty()) {
            None => {
                stored.extend(key);
                Some(Place { stored, rest: None })
            }
            Some((head, rest)) => {
                stored.extend(head);
                stored.push(0);
                Some(Place { stored, rest: Some(rest) })
            }
        }
    }
}

fn prefix(database: &str) -> Option<Vec<u8>> {
    let length = u8::try_from(database.len()).ok().filter(|length| *length > 0)?;
    let mut prefix = Vec::with_capacity(1 + database.len());
    prefix.push(length);
    prefix.extend(database.as_bytes());
    Some(prefix)
}

/// The first place behind the pairs of a database.
pub(super) fn after(database: &str) -> Vec<u8> {
    let mut place = prefix(database).expect("it has pairs");
    // UTF-8 has no byte 0xff, so the last byte can be raised.
    *place.last_mut().expect("a name is not empty") += 1;
    place
}

/// The database that the pair at this place belongs to.
pub(super) fn database_of(stored: &[u8]) -> Result<&str, StoreError> {
    let name = stored.split_first().and_then(|(length, rest)| rest.get(..usize::from(*length)));
    name.and_then(|name| std::str::from_utf8(name).ok()).ok_or_else(|| unreadable("a key"))
}

/// The places between two keys of a database.
pub(super) struct Stretch {
    pub(super) stored: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    keys: (Bound<Vec<u8>>, Bound<Vec<u8>>),
    prefix_bytes: usize,
}

/// What lies at one place.
pub(super) enum Pairs {
    One((Bytes, Bytes)),
    Many(Vec<(Bytes, Bytes)>),
}

impl Stretch {
    /// `None` if nothing can lie there.
    pub(super) fn of(database: &str, start: Bound<&[u8]>, end: Bound<&[u8]>) -> Option<Self> {
        let prefix = prefix(database)?;
        let first = match bound(database, start) {
            Bound::Unbounded => Bound::Included(prefix.clone()),
            bound => bound,
        };
        let last = match bound(database, end) {
            Bound::Unbounded => Bound::Excluded(after(database)),
            bound => bound,
        };
        if are_crossed(first.as_ref().map(Vec::as_slice), last.as_ref().map(Vec::as_slice)) {
            return None;
        }
        let keys = (start.map(<[u8]>::to_vec), end.map(<[u8]>::to_vec));
        Some(Stretch { stored: (first, last), keys, prefix_bytes: prefix.len() })
    }

    /// The pairs at a place within [`Stretch::stored`].
    pub(super) fn pairs(&self, stored: &[u8], value: &[u8]) -> Result<Pairs, StoreError> {
        let key = &stored[self.prefix_bytes..];
        if key.len() <= HEAD_BYTES {
            let pair = (Bytes::copy_from_slice(key), Bytes::copy_from_slice(value));
            return Ok(Pairs::One(pair));
        }
        let head = &key[..HEAD_BYTES];
        let pairs = Bucket::decode(value)?.0.into_iter();
        let whole = pairs.map(|(rest, value)| (Bytes::from([head, &rest].concat()), value));
        Ok(Pairs::Many(whole.filter(|(key, _)| self.has(key)).collect()))
    }

    fn has(&self, key: &[u8]) -> bool {
        let (start, end) = (self.keys.0.as_ref(), self.keys.1.as_ref());
        let point = Bound::Included(key);
        !are_crossed(start.map(Vec::as_slice), point) && !are_crossed(point, end.map(Vec::as_slice))
    }
}

/// A bound among stored keys. That of a long key takes in its whole bucket.
fn bound(database: &str, bound: Bound<&[u8]>) -> Bound<Vec<u8>> {
    let place = |key| Place::of(database, key).expect("the database can exist");
    match bound {
        Bound::Unbounded => Bound::Unbounded,
        Bound::Included(key) => Bound::Included(place(key).stored),
        Bound::Excluded(key) => match place(key) {
            Place { stored, rest: Some(_) } => Bound::Included(stored),
            Place { stored, rest: None } => Bound::Excluded(stored),
        },
    }
}

/// Pairs of long keys with one beginning: their rests and values.
#[derive(Default)]
pub(super) struct Bucket(BTreeMap<Vec<u8>, Bytes>);

impl Bucket {
    pub(super) fn get(&self, rest: &[u8]) -> Option<Bytes> {
        self.0.get(rest).cloned()
    }

    /// The bucket after a change.
    pub(super) fn with(mut self, rest: &[u8], value: Option<&[u8]>) -> Self {
        match value {
            Some(value) => self.0.insert(rest.to_vec(), Bytes::copy_from_slice(value)),
            None => self.0.remove(rest),
        };
        self
    }

    /// Lengths and bytes of each rest and value; `None` if it is empty.
    pub(super) fn encode(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for (rest, value) in &self.0 {
            for part in [rest, &value[..]] {
                out.put_u32_le(part.len() as u32);
                out.put_slice(part);
            }
        }
        (!out.is_empty()).then_some(out)
    }

    pub(super) fn decode(mut bytes: &[u8]) -> Result<Self, StoreError> {
        let mut pairs = BTreeMap::new();
        while !bytes.is_empty() {
            let rest = part(&mut bytes)?.to_vec();
            pairs.insert(rest, Bytes::copy_from_slice(part(&mut bytes)?));
        }
        Ok(Bucket(pairs))
    }
}

fn part<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], StoreError> {
    let (length, after) = bytes.split_first_chunk().ok_or_else(|| unreadable("a bucket"))?;
    let length = u32::from_le_bytes(*length) as usize;
    let (part, after) = after.split_at_checked(length).ok_or_else(|| unreadable("a bucket"))?;
    *bytes = after;
    Ok(part)
}

fn unreadable(what: &str) -> StoreError {
    StoreError::engine("read")(io::Error::new(io::ErrorKind::InvalidData, format!("{what} in it")))
}
