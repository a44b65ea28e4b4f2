//! Where one chunk ends and the next begins.
//!
//! Chunks are known by their bytes, so that a receiver need not be sent again what it has from an earlier attempt or another
//! source. If a counter said where they end, one pair more would move every border behind it. So the pairs themselves
//! say it: after each, a hash of its key decides, with a chance that grows with its length. A state that differs in one pair
//! has the same borders, but for a few around that pair.

use crate::write_set::codec;

/// A chunk holds at least so many bytes, unless it is the last one.
pub const CHUNK_BYTES_MIN: usize = 64 << 10;
/// A chunk ends before it is longer than this, unless it is a single pair.
pub const CHUNK_BYTES: usize = LONGEST * CHUNK_BYTES_MIN;

/// Beyond its least length a chunk has about three times that on the average: the stretch in which a border is to be expected,
const STRETCH: usize = 3;
/// and is cut at sixteen times.
const LONGEST: usize = 16;

/// Where to cut, by the least length of a chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cutting {
    bytes_min: usize,
}

impl Cutting {
    pub(crate) const USUAL: Cutting = Cutting { bytes_min: CHUNK_BYTES_MIN };

    /// Chunks of other lengths; never longer than usual.
    pub(crate) fn from(bytes_min: usize) -> Cutting {
        Cutting { bytes_min: bytes_min.clamp(1, CHUNK_BYTES_MIN) }
    }

    /// A chunk ends before it is longer than this, unless it is a single pair.
    pub(super) fn bytes_max(self) -> usize {
        LONGEST * self.bytes_min
    }

    /// Whether a chunk that is now `chunk_bytes` long ends behind this pair.
    pub(super) fn ends_behind(
        self,
        chunk_bytes: usize,
        database: &str,
        key: &[u8],
        value: &[u8],
    ) -> bool {
        let stretch_bytes = (STRETCH * self.bytes_min) as u64;
        let pair_bytes = codec::put_bytes(key, value) as u64;
        chunk_bytes >= self.bytes_min
            && u64::from(draw(database, key)) * stretch_bytes < pair_bytes << u32::BITS
    }
}

/// A number from all of `u32` that depends on the key alone. It is part of the format in so far as nodes that draw otherwise share
/// no chunks; no state is read wrongly for it.
fn draw(database: &str, key: &[u8]) -> u32 {
    let sum = crc32c::crc32c_append(crc32c::crc32c(database.as_bytes()), key);
    // Checksums of keys that follow each other are alike in most bits; the last steps of SplitMix64 spread them.
    let mut mixed = u64::from(sum).wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((mixed ^ (mixed >> 31)) >> u32::BITS) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Borders are as frequent as they are meant to be, also between keys that differ little.
    #[test]
    fn a_border_comes_as_often_as_the_bytes_say() {
        let borders = |key: &dyn Fn(u64) -> Vec<u8>, value: &[u8]| {
            let is_border =
                |n: &u64| Cutting::USUAL.ends_behind(CHUNK_BYTES_MIN, "d", &key(*n), value);
            (0..100_000).filter(is_border).count() as u64
        };
        let keys: [&dyn Fn(u64) -> Vec<u8>; 3] =
            [&|n| n.to_be_bytes().to_vec(), &|n| n.to_le_bytes().to_vec(), &|n| {
                format!("user/{n}/name").into_bytes()
            }];
        for key in keys {
            for value in [0, 100, 1000_usize] {
                let value = vec![7; value];
                let bytes = codec::put_bytes(&key(50_000), &value) as u64;
                let due = 100_000 * bytes / (STRETCH * CHUNK_BYTES_MIN) as u64;
                let found = borders(key, &value);
                assert!((due / 2..=due * 2 + 10).contains(&found), "{found} of {due}");
            }
        }
    }

    #[test]
    fn a_short_chunk_ends_nowhere_and_behind_a_long_pair_any_other_does() {
        let (usual, long) = (Cutting::USUAL, vec![0; STRETCH * CHUNK_BYTES_MIN]);
        assert!(!usual.ends_behind(CHUNK_BYTES_MIN - 1, "d", b"key", &long));
        assert!((0..100_u8).all(|key| usual.ends_behind(CHUNK_BYTES_MIN, "d", &[key], &long)));
    }

    /// Members of one group have to draw alike, whichever version they run.
    #[test]
    fn the_draw_is_as_it_was() {
        assert_eq!([draw("", b""), draw("d", b"key")], [3_793_791_033, 727_573_637]);
    }
}
