//! What a transaction does: the vocabulary of the facade, and every word of it used.

use super::{Building, database_of};
use crate::history::Key;
use crate::world::World;
use bytes::Bytes;
use std::ops::Bound;

/// A step of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    Put,
    Delete,
    Get,
    /// All keys that begin with one letter, in order.
    Range,
    /// Writes if the key holds what the caller saw a while ago.
    CompareAndSet,
    /// Adds its own number to a list.
    Append,
    /// Takes the next number of a sequence.
    Sequence,
    /// Moves a value from one key to another.
    Move,
}

impl Operation {
    pub(crate) const ALL: [Operation; 8] = [
        Operation::Put,
        Operation::Delete,
        Operation::Get,
        Operation::Range,
        Operation::CompareAndSet,
        Operation::Append,
        Operation::Sequence,
        Operation::Move,
    ];
}

/// Numbers that a list keeps: the newest ones.
const LIST_MAX: usize = 16;

impl World {
    /// One to three operations, each on a key that may be another's too.
    pub(super) fn build(&mut self, building: &mut Building) {
        for _ in 0..self.rngs.load.between(1, 3) {
            let operation = match self.rngs.load.below(12) {
                0..=4 => Operation::Put,
                at => Operation::ALL[at as usize - 4],
            };
            self.counts.operation(operation);
            self.operate(building, operation);
        }
        if building.txn.writes.is_empty() {
            let (key, value) = (self.any_key('k'), self.fresh_value());
            building.put(&key, value);
        }
    }

    fn operate(&mut self, building: &mut Building, operation: Operation) {
        let (key, value) = (self.any_key('k'), self.fresh_value());
        match operation {
            Operation::Put => building.put(&key, value),
            Operation::Delete => building.delete(&key),
            Operation::Get => drop(building.get(&key)),
            Operation::Range => {
                let letter = self.rngs.load.pick(&['k', 'c', 'l']);
                building.range(letter, self.swarm.load.keys);
            }
            Operation::CompareAndSet => {
                let seen = self.seen.get(&key).cloned().flatten();
                let now = building.get(&key);
                if now == seen {
                    building.put(&key, value);
                }
                self.seen.insert(key, now);
            }
            Operation::Append => building.append(&self.any_key('l'), &value[..8]),
            Operation::Sequence => building.increment(&self.any_key('c')),
            Operation::Move => {
                let to = self.any_key('k');
                if let Some(moved) = building.get(&key).filter(|_| to != key) {
                    building.delete(&key);
                    building.put(&to, moved);
                }
            }
        }
    }

    /// A value that no other write has: its number, and padding.
    fn fresh_value(&mut self) -> Bytes {
        self.values += 1;
        let mut value = self.values.to_le_bytes().to_vec();
        let more = self.rngs.load.below(self.swarm.disk.payload_bytes_max);
        value.resize(8 + more as usize, 0xab);
        Bytes::from(value)
    }
}

impl Building {
    fn put(&mut self, key: &str, value: Bytes) {
        let key_bytes = Bytes::copy_from_slice(key.as_bytes());
        if self.pending.put_bytes(&database_of(key), key_bytes, value.clone()).is_ok() {
            self.wrote(key, Some(value));
        }
    }

    fn delete(&mut self, key: &str) {
        if self.pending.delete(&database_of(key), key.as_bytes()).is_ok() {
            self.wrote(key, None);
        }
    }

    fn wrote(&mut self, key: &str, value: Option<Bytes>) {
        self.txn.writes.retain(|(written, _)| written != key);
        self.txn.writes.push((key.to_owned(), value));
    }

    /// Reads a key. What it has not written itself must be what stood before its entry.
    fn get(&mut self, key: &str) -> Option<Bytes> {
        let value = self.pending.get(&database_of(key), key.as_bytes()).unwrap_or_default();
        self.read(key, value.clone());
        value
    }

    fn read(&mut self, key: &str, value: Option<Bytes>) {
        if self.txn.writes.iter().all(|(written, _)| written != key) {
            self.txn.reads.push((key.to_owned(), value));
        }
    }

    /// Reads all keys of a letter: what the range does not show is not there.
    fn range(&mut self, letter: char, keys: u64) {
        let (from, to) = (letter.to_string(), char::from(letter as u8 + 1).to_string());
        let bounds = (Bound::Included(from.as_bytes()), Bound::Excluded(to.as_bytes()));
        let found: Result<Vec<(Bytes, Bytes)>, _> =
            self.pending.range(&database_of(&from), bounds).collect();
        let Ok(found) = found else { return };
        for at in 0..keys {
            let key: Key = format!("{letter}{at}");
            let value = found.iter().find(|(name, _)| name.as_ref() == key.as_bytes());
            self.read(&key, value.map(|(_, value)| value.clone()));
        }
    }

    fn increment(&mut self, key: &str) {
        let before =
            self.get(key).and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_le_bytes));
        let after = before.unwrap_or(0) + 1;
        self.put(key, Bytes::copy_from_slice(&after.to_le_bytes()));
    }

    fn append(&mut self, key: &str, number: &[u8]) {
        let mut list = self.get(key).unwrap_or_default().to_vec();
        list.extend_from_slice(number);
        let from = list.len().saturating_sub(8 * LIST_MAX);
        self.put(key, Bytes::copy_from_slice(&list[from..]));
    }
}
