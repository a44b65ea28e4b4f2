//! The configurations that were visited, packed.

/// A set of rows of words.
///
/// A search visits millions of configurations of a few words each, so they lie in one arena, found by open
/// addressing: no allocation for each, and its size is known exactly.
#[derive(Debug)]
pub(super) struct Memo {
    /// Each row with its length before it.
    arena: Vec<u64>,
    /// 0, or one more than where a row begins.
    slots: Vec<u64>,
    rows: usize,
}

const SLOTS_AT_FIRST: usize = 1024;

impl Memo {
    pub(super) fn new() -> Self {
        Self { arena: Vec::new(), slots: vec![0; SLOTS_AT_FIRST], rows: 0 }
    }

    pub(super) fn rows(&self) -> usize {
        self.rows
    }

    /// Bytes that it takes; a doubling of its buffers comes on top while it lasts.
    pub(super) fn bytes(&self) -> usize {
        (self.arena.capacity() + self.slots.capacity()) * size_of::<u64>()
    }

    /// Adds the row; `false` if it is there already.
    pub(super) fn insert(&mut self, row: &[u64]) -> bool {
        let slot = self.find(row);
        if self.slots[slot] != 0 {
            return false;
        }
        self.slots[slot] = self.arena.len() as u64 + 1;
        self.arena.push(row.len() as u64);
        self.arena.extend_from_slice(row);
        self.rows += 1;
        if self.rows * 2 > self.slots.len() {
            self.grow();
        }
        true
    }

    /// The slot of the row, or the free one where it belongs. There is one: half of the slots are free.
    fn find(&self, row: &[u64]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = hash(row) as usize & mask;
        while self.slots[slot] != 0 && self.row_at(self.slots[slot] - 1) != row {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn row_at(&self, begin: u64) -> &[u64] {
        let begin = begin as usize;
        let length = self.arena[begin] as usize;
        &self.arena[begin + 1..=begin + length]
    }

    fn grow(&mut self) {
        self.slots = vec![0; self.slots.len() * 2];
        let mut begin = 0;
        while begin < self.arena.len() {
            let slot = self.find(self.row_at(begin as u64));
            self.slots[slot] = begin as u64 + 1;
            begin += 1 + self.arena[begin] as usize;
        }
    }
}

/// Multiply and fold, word by word. Whoever writes a history that makes rows collide has a slow answer, not a wrong one.
fn hash(row: &[u64]) -> u64 {
    const FACTOR: u64 = 0x9e37_79b9_7f4a_7c15;
    let fold = |sum: u64, word: &u64| {
        let product = u128::from(sum ^ word) * u128::from(FACTOR);
        (product as u64) ^ (product >> 64) as u64
    };
    row.iter().fold(FACTOR, fold)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_row_is_new_once_however_the_table_has_grown() {
        let mut memo = Memo::new();
        let mut plain = BTreeSet::new();
        for number in 0..20_000_u64 {
            let row = vec![number % 7_001; 1 + (number % 3) as usize];
            assert_eq!(memo.insert(&row), plain.insert(row));
        }
        assert_eq!(memo.rows(), plain.len());
    }

    #[test]
    fn rows_of_several_lengths_are_not_mistaken_for_each_other() {
        let mut memo = Memo::new();
        assert!(memo.insert(&[]) && memo.insert(&[0]) && memo.insert(&[0, 0]));
        assert!(!memo.insert(&[]) && !memo.insert(&[0, 0]));
    }
}
