//! The bytes of a write set.

use super::{KEY_BYTES_MAX, NAME_BYTES_MAX};
use crate::StoreError;
use bytes::{BufMut, BytesMut};

const VERSION: u8 = 1;
const DATABASE: u8 = 1;
const PUT: u8 = 2;
const DELETE: u8 = 3;

/// Consecutive changes of one database, borrowed from a payload. A `None` value is a deletion.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) database: &'a str,
    pub(crate) changes: Vec<(&'a [u8], Option<&'a [u8]>)>,
}

/// Decodes a payload into runs, appended to `runs`; its first changes join the last run there if they
/// are about the same database. After an error `runs` is not to be used.
pub(crate) fn runs_of<'a>(payload: &'a [u8], runs: &mut Vec<Run<'a>>) -> Result<(), StoreError> {
    let mut cursor = Cursor { bytes: payload, at: 0 };
    if cursor.byte()? != VERSION {
        return Err(StoreError::Malformed { at: 0, what: "unknown version" });
    }
    let mut selected = false;
    while !cursor.is_empty() {
        let at = cursor.at;
        let malformed = |what| Err(StoreError::Malformed { at, what });
        let operation = cursor.byte()?;
        if operation != DATABASE && !selected {
            return malformed("operation without a database");
        }
        match operation {
            DATABASE => {
                select(cursor.name()?, runs);
                selected = true;
            }
            PUT => {
                let key = cursor.part(KEY_BYTES_MAX)?;
                let value = cursor.part(usize::MAX)?;
                last(runs).push((key, Some(value)));
            }
            DELETE => last(runs).push((cursor.part(KEY_BYTES_MAX)?, None)),
            _ => return malformed("unknown operation"),
        }
    }
    Ok(())
}

pub(crate) fn write_version(out: &mut BytesMut) {
    out.put_u8(VERSION);
}

pub(crate) fn write_database(out: &mut BytesMut, name: &str) {
    out.put_u8(DATABASE);
    write_part(out, name.as_bytes());
}

pub(crate) fn write_put(out: &mut BytesMut, key: &[u8], value: &[u8]) {
    out.put_u8(PUT);
    write_part(out, key);
    write_part(out, value);
}

pub(crate) fn write_delete(out: &mut BytesMut, key: &[u8]) {
    out.put_u8(DELETE);
    write_part(out, key);
}

pub(crate) fn name_bytes(name: &str) -> usize {
    1 + part_bytes(name.len())
}

pub(crate) fn put_bytes(key: &[u8], value: &[u8]) -> usize {
    1 + part_bytes(key.len()) + part_bytes(value.len())
}

pub(crate) fn delete_bytes(key: &[u8]) -> usize {
    1 + part_bytes(key.len())
}

fn select<'a>(database: &'a str, runs: &mut Vec<Run<'a>>) {
    if runs.last().is_none_or(|run| run.database != database) {
        runs.push(Run { database, changes: Vec::new() });
    }
}

fn last<'r, 'a>(runs: &'r mut [Run<'a>]) -> &'r mut Vec<(&'a [u8], Option<&'a [u8]>)> {
    &mut runs.last_mut().expect("a database was selected").changes
}

fn part_bytes(length: usize) -> usize {
    let bits = (usize::BITS - length.leading_zeros()).max(1) as usize;
    bits.div_ceil(7) + length
}

fn write_part(out: &mut BytesMut, part: &[u8]) {
    let mut rest = part.len();
    while rest >= 0x80 {
        out.put_u8(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
    out.put_slice(part);
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    fn is_empty(&self) -> bool {
        self.at == self.bytes.len()
    }

    fn byte(&mut self) -> Result<u8, StoreError> {
        let byte = *self.bytes.get(self.at).ok_or_else(|| self.malformed("it ends early"))?;
        self.at += 1;
        Ok(byte)
    }

    fn part(&mut self, bytes_max: usize) -> Result<&'a [u8], StoreError> {
        let length = self.varint()? as usize;
        if length > bytes_max {
            return Err(self.malformed("a part is longer than its bound"));
        }
        let rest = &self.bytes[self.at..];
        let part = rest.get(..length).ok_or_else(|| self.malformed("a part ends early"))?;
        self.at += length;
        Ok(part)
    }

    fn name(&mut self) -> Result<&'a str, StoreError> {
        let name = self.part(NAME_BYTES_MAX)?;
        if name.is_empty() {
            return Err(self.malformed("a database without a name"));
        }
        std::str::from_utf8(name).map_err(|_| self.malformed("a name is not UTF-8"))
    }

    fn varint(&mut self) -> Result<u32, StoreError> {
        let mut value = 0_u64;
        for shift in [0, 7, 14, 21, 28] {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.malformed("a length is not in its shortest form"));
                }
                return u32::try_from(value).map_err(|_| self.malformed("a length overflows"));
            }
        }
        Err(self.malformed("a length overflows"))
    }

    fn malformed(&self, what: &'static str) -> StoreError {
        StoreError::Malformed { at: self.at, what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Database, WriteSet};
    use bytes::Bytes;

    fn refused(bytes: &[u8]) -> &'static str {
        match runs_of(bytes, &mut Vec::new()) {
            Err(StoreError::Malformed { what, .. }) => what,
            other => panic!("{bytes:?} gave {other:?}"),
        }
    }

    #[test]
    fn the_encoding_is_pinned() {
        let mut set = WriteSet::new();
        set.put(&"b".into(), b"k", &[7; 128]).unwrap();
        set.delete(&"a".into(), b"x").unwrap();
        let mut expected = vec![1, 1, 1, b'a', 3, 1, b'x', 1, 1, b'b', 2, 1, b'k', 0x80, 1];
        expected.extend([7; 128]);
        assert_eq!(set.encode(), expected);
        assert_eq!(WriteSet::decode(&Bytes::from(expected)).unwrap(), set);
    }

    #[test]
    fn malformed_bytes_are_refused_with_their_reason() {
        assert_eq!(refused(&[]), "it ends early");
        assert_eq!(refused(&[9]), "unknown version");
        assert_eq!(refused(&[1, 3, 1, b'x']), "operation without a database");
        assert_eq!(refused(&[1, 1, 0]), "a database without a name");
        assert_eq!(refused(&[1, 1, 1, 0xff]), "a name is not UTF-8");
        assert_eq!(refused(&[1, 1, 1, b'a', 4]), "unknown operation");
        assert_eq!(refused(&[1, 1, 1, b'a', 3, 9, b'x']), "a part ends early");
        assert_eq!(refused(&[1, 1, 0x81, 0]), "a length is not in its shortest form");
        assert_eq!(refused(&[1, 1, 0xff, 0xff, 0xff, 0xff, 0x7f]), "a length overflows");
        assert_eq!(refused(&[1, 1, 0xff, 0xff, 0xff, 0xff, 0xff]), "a length overflows");
        assert_eq!(refused(&[1, 1, 1, b'a', 3, 0x81, 0x80, 4]), "a part is longer than its bound");
    }

    #[test]
    fn the_length_is_known_before_encoding() {
        let mut set = WriteSet::new();
        for (at, length) in [0, 1, 127, 128, 16_383, 16_384, 70_000].into_iter().enumerate() {
            let database = Database::new(format!("d{}", at % 2));
            set.put(&database, &[at as u8 % 3], &vec![0; length]).unwrap();
            assert_eq!(set.encode().len(), set.encoded_bytes());
            set.delete(&database, &[at as u8 % 2]).unwrap();
            assert_eq!(set.encode().len(), set.encoded_bytes());
        }
    }

    #[test]
    fn what_is_too_long_is_refused_and_changes_nothing() {
        let mut set = WriteSet::new();
        set.put(&"d".into(), b"k", b"v").unwrap();
        let before = set.clone();
        let long_name = Database::new("n".repeat(NAME_BYTES_MAX + 1));
        assert!(set.put(&long_name, b"k", b"v").is_err());
        assert!(set.put(&"".into(), b"k", b"v").is_err());
        assert!(set.put(&"d".into(), &vec![0; KEY_BYTES_MAX + 1], b"v").is_err());
        assert!(set.put(&"d".into(), b"k", &vec![0; super::super::WRITE_SET_BYTES_MAX]).is_err());
        assert_eq!(set, before);
    }
}
