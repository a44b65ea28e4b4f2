//! Which operations are done, as words that pack well.

/// A set of small numbers.
///
/// A history is explained roughly in its order, so that behind a certain number nearly nothing is in the set and before
/// another nearly everything: only the words between are packed.
#[derive(Debug)]
pub(super) struct Bits {
    words: Vec<u64>,
    /// Every word before this one is full.
    full: usize,
    /// Every word from this one on is empty.
    empty: usize,
}

impl Bits {
    pub(super) fn new(bits: usize) -> Self {
        Self { words: vec![0; bits.div_ceil(64)], full: 0, empty: 0 }
    }

    pub(super) fn has(&self, bit: usize) -> bool {
        self.words[bit / 64] & (1 << (bit % 64)) != 0
    }

    pub(super) fn set(&mut self, bit: usize) {
        self.words[bit / 64] |= 1 << (bit % 64);
        self.empty = self.empty.max(bit / 64 + 1);
        while self.words.get(self.full) == Some(&u64::MAX) {
            self.full += 1;
        }
    }

    pub(super) fn clear(&mut self, bit: usize) {
        self.words[bit / 64] &= !(1 << (bit % 64));
        self.full = self.full.min(bit / 64);
    }

    /// Appends words that no other set of this size gives.
    pub(super) fn pack(&mut self, row: &mut Vec<u64>) {
        while self.empty > self.full && self.words[self.empty - 1] == 0 {
            self.empty -= 1;
        }
        let end = self.empty.max(self.full);
        row.push((self.full as u64) << 32 | (end - self.full) as u64);
        row.extend_from_slice(&self.words[self.full..end]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[test]
    fn equal_sets_pack_alike_and_others_do_not() {
        let mut bits = Bits::new(200);
        let mut plain = vec![false; 200];
        let mut packed: BTreeMap<Vec<u64>, Vec<bool>> = BTreeMap::new();
        for step in 0..4_000_usize {
            let bit = step * step % 199 % 131;
            match plain[bit] {
                false => bits.set(bit),
                true => bits.clear(bit),
            }
            plain[bit] = !plain[bit];
            assert_eq!(bits.has(bit), plain[bit]);
            let mut row = Vec::new();
            bits.pack(&mut row);
            assert_eq!(packed.entry(row).or_insert(plain.clone()), &plain);
        }
        let mut whole = Bits::new(128);
        (0..128).for_each(|bit| whole.set(bit));
        let mut row = Vec::new();
        whole.pack(&mut row);
        assert_eq!(row, [2 << 32]);
    }
}
