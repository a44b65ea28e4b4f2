//! What of a node's state can make a difference later.
//!
//! A [`rep_node::Node`] is neither hashed nor compared by anything that ships, so it is told apart by what it prints of
//! itself (`Debug`), with three things left out:
//!
//! - **Moments and spans** (`16µs`, `2.5ms`): in the model, time moves by whole waits that nobody can tell apart, and
//!   nothing between two waits asks how late it is (the README says why).
//! - **Chance**: the state of the generators of jitter. It decides how long a wait is, which is the same argument.
//! - **What is told and never asked**: settings, which are the same for ever, counters, reasons in words.
//!
//! A field that is added to a node is part of the digest until somebody lists it here: to forget that makes the model
//! slower and never blind.

use std::fmt::{self, Debug, Write};

/// Fields that are skipped, wherever they stand.
const SKIPPED: &[&str] = &[
    // Settings.
    "config",
    "electorate",
    "membership",
    "table",
    "answerable",
    // Chance.
    "rng",
    "jitter",
    // Told, and never asked.
    "nearness",
    "stats",
    "counts",
    "why",
    "refusals",
    "refused",
    "refused_by",
];

/// The digest of what `value` prints.
pub(crate) fn digest(value: &impl Debug) -> u128 {
    let mut digester = Digester::default();
    write!(digester, "{value:?}").expect("hashing does not fail");
    digester.finish()
}

/// Two FNV-1a hashes side by side: what collides in one does not in the other.
#[derive(Debug)]
struct Hash128 {
    low: u64,
    high: u64,
}

impl Default for Hash128 {
    fn default() -> Self {
        Hash128 { low: 0xcbf2_9ce4_8422_2325, high: 0x9e37_79b9_7f4a_7c15 }
    }
}

impl Hash128 {
    fn put(&mut self, byte: u8) {
        self.low = (self.low ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3);
        self.high = (self.high ^ u64::from(byte)).wrapping_mul(0xff51_afd7_ed55_8ccd);
        self.high ^= self.high >> 29;
    }
}

/// Takes the text as it is printed, piece by piece.
#[derive(Debug, Default)]
struct Digester {
    hash: Hash128,
    /// The word or number that is being printed.
    word: Vec<u8>,
    /// How many brackets are open.
    depth: usize,
    /// The field that is skipped ends at the next comma, or closing bracket, of this depth.
    skipping: Option<usize>,
    /// Within a string, and behind a backslash in it.
    quoted: bool,
    escaped: bool,
}

impl Digester {
    fn finish(mut self) -> u128 {
        self.end_word();
        (u128::from(self.hash.high) << 64) | u128::from(self.hash.low)
    }

    fn take(&mut self, byte: u8) {
        if self.quoted || byte == b'"' {
            return self.quote(byte);
        }
        // Bytes beyond ASCII occur in one word only, the µ of a span.
        if byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.' || !byte.is_ascii() {
            return self.word.push(byte);
        }
        if byte == b':' && self.skipping.is_none() && is_skipped(&self.word) {
            self.skipping = Some(self.depth);
        }
        self.end_word();
        match byte {
            b'(' | b'[' | b'{' => self.depth += 1,
            b')' | b']' | b'}' => {
                self.skipping = self.skipping.filter(|depth| *depth < self.depth);
                self.depth = self.depth.saturating_sub(1);
            }
            b',' if self.skipping == Some(self.depth) => self.skipping = None,
            _ => {}
        }
        self.put(byte);
    }

    /// Between quotes nothing has a meaning but the backslash before a quote.
    fn quote(&mut self, byte: u8) {
        match byte {
            b'"' if !self.escaped => self.quoted = !self.quoted,
            _ => {}
        }
        self.escaped = self.quoted && byte == b'\\' && !self.escaped;
        self.put(byte);
    }

    fn end_word(&mut self) {
        if self.skipping.is_none() && !is_span(&self.word) {
            for at in 0..self.word.len() {
                self.hash.put(self.word[at]);
            }
        }
        self.word.clear();
    }

    fn put(&mut self, byte: u8) {
        if self.skipping.is_none() {
            self.hash.put(byte);
        }
    }
}

impl Write for Digester {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.bytes().for_each(|byte| self.take(byte));
        Ok(())
    }
}

fn is_skipped(word: &[u8]) -> bool {
    SKIPPED.iter().any(|name| name.as_bytes() == word)
}

/// Whether the word is a [`std::time::Duration`] as it prints itself.
fn is_span(word: &[u8]) -> bool {
    let digits = word.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    digits > 0 && matches!(&word[digits..], b"ns" | b"ms" | b"s" | b"\xc2\xb5s")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[derive(Debug, Clone)]
    #[allow(dead_code, reason = "they are printed")]
    struct Core {
        config: (u64, &'static str),
        rng: Option<u64>,
        at: Option<Duration>,
        term: u64,
        list: Vec<(u64, Duration)>,
    }

    fn core() -> Core {
        Core {
            config: (1, "a"),
            rng: Some(3),
            at: Some(Duration::from_micros(16)),
            term: 4,
            list: vec![(1, Duration::ZERO)],
        }
    }

    #[test]
    fn times_and_what_is_skipped_make_no_difference() {
        let mut other = core();
        other.config = (2, "b), \\\"{c");
        other.rng = None;
        other.at = Some(Duration::from_nanos(2_500_000));
        other.list[0].1 = Duration::from_secs(3);
        assert_eq!(digest(&core()), digest(&other));
    }

    #[test]
    fn everything_else_does() {
        let (mut term, mut none, mut list) = (core(), core(), core());
        term.term = 5;
        none.at = None;
        list.list[0].0 = 2;
        for other in [term, none, list] {
            assert_ne!(digest(&core()), digest(&other), "{other:?}");
        }
    }

    #[test]
    fn a_skipped_field_ends_where_it_ends() {
        #[derive(Debug)]
        #[allow(dead_code, reason = "they are printed")]
        struct Nested {
            inner: Last,
            after: u64,
        }
        #[derive(Debug)]
        #[allow(dead_code, reason = "they are printed")]
        struct Last {
            rng: u64,
        }
        let nested = |rng, after| digest(&Nested { inner: Last { rng }, after });
        assert_eq!(nested(1, 1), nested(2, 1));
        assert_ne!(nested(1, 1), nested(1, 2));
    }
}
