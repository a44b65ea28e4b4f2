//! A digest by which nodes compare states.
//!
//! It guards against our own mistakes, not against an adversary: 128-bit FNV-1a needs no library, has a
//! published definition, and is the same on every machine.

use std::fmt;

/// The digest of a state. Equal states have equal digests.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 16]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

const BASIS: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;

/// Sums ordered (database, key, value) triples, each part behind its length, so that moving a border
/// changes the digest.
#[derive(Clone)]
pub(crate) struct Digester(u128);

impl Digester {
    pub(crate) const fn new() -> Self {
        Digester(BASIS)
    }

    pub(crate) fn pair(&mut self, database: &str, key: &[u8], value: &[u8]) {
        for part in [database.as_bytes(), key, value] {
            self.bytes(&(part.len() as u64).to_le_bytes());
            self.bytes(part);
        }
    }

    /// A chunk of a snapshot stands for the pairs in it.
    pub(crate) fn chunk(&mut self, length: usize, crc: u32) {
        self.bytes(&(length as u64).to_le_bytes());
        self.bytes(&crc.to_le_bytes());
    }

    pub(crate) fn finish(&self) -> Digest {
        Digest(self.0.to_be_bytes())
    }

    fn bytes(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u128::from(*byte)).wrapping_mul(PRIME);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hash_is_the_published_one() {
        let mut digester = Digester::new();
        assert_eq!(digester.finish().to_string(), "6c62272e07bb014262b821756295c58d");
        digester.bytes(b"a");
        assert_eq!(digester.finish().to_string(), "d228cb696f1a8caf78912b704e4a8964");
    }

    #[test]
    fn a_moved_border_changes_the_digest() {
        let of = |database, key: &[u8], value: &[u8]| {
            let mut digester = Digester::new();
            digester.pair(database, key, value);
            digester.finish()
        };
        assert_ne!(of("d", b"ab", b"c"), of("d", b"a", b"bc"));
        assert_ne!(of("da", b"b", b"c"), of("d", b"ab", b"c"));
    }
}
