//! A number for each distinct value, for ever.
//!
//! A world refers to what it is made of (a node's state, the mail on its way) by number, so that it is a few dozen bytes,
//! is compared and hashed at once, and costs nothing to copy. Equal values have equal numbers; which number a value
//! gets depends on who came first, and means nothing.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::sync::{Mutex, OnceLock, PoisonError, RwLock};

/// A map that hashes quickly. Its keys are our own, so nobody chooses them to collide.
pub(crate) type QuickMap<K, V> = HashMap<K, V, BuildHasherDefault<QuickHasher>>;

/// Values in the first row; each row has twice as many as the one before it.
const FIRST_ROW: usize = 1024;

/// So many rows hold more than 2^31 values.
const ROWS: usize = 22;

/// Values and their numbers. `K` is what tells two values apart.
#[derive(Debug)]
pub(crate) struct Numbering<K, V> {
    numbers: RwLock<QuickMap<K, u32>>,
    values: Rows<V>,
}

impl<K, V> Default for Numbering<K, V> {
    fn default() -> Self {
        Numbering { numbers: RwLock::default(), values: Rows::default() }
    }
}

impl<K: Hash + Eq, V> Numbering<K, V> {
    /// The number of the value told by `key`, which `make` makes if it is new.
    pub(crate) fn number(&self, key: K, make: impl FnOnce() -> V) -> u32 {
        if let Some(number) = self.known(&key) {
            return number;
        }
        let value = make();
        let mut numbers = self.numbers.write().unwrap_or_else(PoisonError::into_inner);
        *numbers.entry(key).or_insert_with(|| self.values.push(value))
    }

    /// The number of the value told by `key`, if it has one.
    pub(crate) fn known(&self, key: &K) -> Option<u32> {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner).get(key).copied()
    }

    /// The value of that number.
    pub(crate) fn value(&self, number: u32) -> &V {
        self.values.get(number)
    }

    /// How many values there are.
    pub(crate) fn len(&self) -> usize {
        self.numbers.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}

/// Values that never move, so that they are read without a lock.
#[derive(Debug)]
struct Rows<V> {
    rows: [OnceLock<Box<[OnceLock<V>]>>; ROWS],
    count: Mutex<u32>,
}

impl<V> Default for Rows<V> {
    fn default() -> Self {
        Rows { rows: [const { OnceLock::new() }; ROWS], count: Mutex::new(0) }
    }
}

impl<V> Rows<V> {
    fn push(&self, value: V) -> u32 {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let number = *count;
        let (row, column) = place(number);
        let row = self.rows[row].get_or_init(|| empty_row(FIRST_ROW << row));
        let is_new = row[column].set(value).is_ok();
        assert!(is_new, "a number is given once");
        *count += 1;
        number
    }

    fn get(&self, number: u32) -> &V {
        let (row, column) = place(number);
        self.rows[row].get().and_then(|row| row[column].get()).expect("a number that was given")
    }
}

fn empty_row<V>(length: usize) -> Box<[OnceLock<V>]> {
    std::iter::repeat_with(OnceLock::new).take(length).collect()
}

const fn place(number: u32) -> (usize, usize) {
    let at = number as usize + FIRST_ROW;
    let row = (at / FIRST_ROW).ilog2() as usize;
    (row, at - (FIRST_ROW << row))
}

/// Mixes each word into one, as rustc's own hasher does.
#[derive(Debug, Default)]
pub(crate) struct QuickHasher(u64);

impl Hasher for QuickHasher {
    fn finish(&self) -> u64 {
        // The map takes its bits from both ends; the lower ones are the weaker.
        self.0 ^ (self.0 >> 32)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, word: u8) {
        self.write_u64(word.into());
    }

    fn write_u32(&mut self, word: u32) {
        self.write_u64(word.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_keeps_its_number_and_its_place() {
        let numbering = Numbering::<u64, u64>::default();
        let numbers: Vec<u32> = (0..5000).map(|key| numbering.number(key, || key * 3)).collect();
        let again = (0..5000).map(|key| numbering.number(key, || unreachable!("it is known")));
        assert!(again.eq(numbers.iter().copied()));
        assert!(numbers.iter().zip(0..).all(|(number, key)| *numbering.value(*number) == key * 3));
        assert_eq!((numbering.len(), numbering.known(&5000)), (5000, None));
    }

    #[test]
    fn rows_follow_each_other_without_a_gap() {
        let first = FIRST_ROW as u32;
        assert_eq!(place(0), (0, 0));
        assert_eq!(place(first - 1), (0, FIRST_ROW - 1));
        assert_eq!(place(first), (1, 0));
        assert_eq!(place(3 * first - 1), (1, 2 * FIRST_ROW - 1));
        assert_eq!(place(3 * first), (2, 0));
    }
}
