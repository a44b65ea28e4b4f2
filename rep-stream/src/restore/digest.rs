//! Names for bytes, made of the bytes themselves.
//!
//! Two members that never spoke of a chunk have to agree whether they hold the same one, and what a chunk holds was
//! written by clients. So its name is SHA-256, of which 128 bits are kept: whoever wants two chunks of one name has to
//! try 2^64 of them, and a list of four million names stays at 64 MiB. (The digest of a *state* in rep-store guards against
//! mistakes only, and a chunk that is mistaken for another one would be a silent loss.)

use sha2::{Digest, Sha256};
use std::fmt;

/// Bytes of a [`Digest16`], and of a [`ChunkId`].
pub const DIGEST_BYTES: usize = 16;

/// The first 16 bytes of a SHA-256.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest16(pub [u8; DIGEST_BYTES]);

/// The name of a chunk: the digest of its bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ChunkId(pub [u8; DIGEST_BYTES]);

impl Digest16 {
    /// The digest of some bytes.
    pub fn of(bytes: &[u8]) -> Digest16 {
        Digest16(first_half(Sha256::new().chain_update(bytes)))
    }

    /// The digest of some bytes, given in parts.
    pub(crate) fn of_parts(parts: [&[u8]; 2]) -> Digest16 {
        Digest16(first_half(parts.iter().fold(Sha256::new(), |sum, part| sum.chain_update(part))))
    }

    /// The digest whose hexadecimal digits, in lower case, are `text`.
    pub(crate) fn from_hex(text: &str) -> Option<Digest16> {
        let digits = text.as_bytes();
        let mut digest = [0; DIGEST_BYTES];
        if digits.len() != 2 * DIGEST_BYTES {
            return None;
        }
        for (byte, pair) in digest.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = hex_digit(pair[0])? << 4 | hex_digit(pair[1])?;
        }
        Some(Digest16(digest))
    }
}

impl ChunkId {
    /// The name of the chunk that consists of these bytes.
    pub fn of(chunk: &[u8]) -> ChunkId {
        ChunkId(Digest16::of(chunk).0)
    }
}

/// Sums the names of chunks, in order, without keeping them.
#[derive(Clone, Debug, Default)]
pub(crate) struct OrderDigester {
    sum: Sha256,
    chunks: u64,
}

impl OrderDigester {
    pub(crate) fn push(&mut self, id: ChunkId) {
        self.sum.update(id.0);
        self.chunks += 1;
    }

    /// How many names, and the digest over all of them.
    pub(crate) fn finish(&self) -> (u64, Digest16) {
        (self.chunks, Digest16(first_half(self.sum.clone())))
    }

    pub(crate) fn chunks(&self) -> u64 {
        self.chunks
    }
}

fn first_half(sum: Sha256) -> [u8; DIGEST_BYTES] {
    let mut half = [0; DIGEST_BYTES];
    half.copy_from_slice(&sum.finalize()[..DIGEST_BYTES]);
    half
}

fn hex_digit(digit: u8) -> Option<u8> {
    match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        _ => None,
    }
}

impl fmt::Display for Digest16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest16 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&Digest16(self.0), f)
    }
}

impl fmt::Debug for ChunkId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_half_of_the_published_one() {
        assert_eq!(Digest16::of(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223");
        assert_eq!(ChunkId::of(b"abc").0, Digest16::of(b"abc").0);
    }

    #[test]
    fn a_digest_has_one_spelling() {
        let text = Digest16::of(b"abc").to_string();
        assert_eq!(Digest16::from_hex(&text), Some(Digest16::of(b"abc")));
        for wrong in [&text[1..], &text.to_uppercase(), &text.replace('b', "g"), ""] {
            assert_eq!(Digest16::from_hex(wrong), None, "{wrong}");
        }
    }
}
