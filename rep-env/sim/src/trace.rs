//! What happened, twice: as one hash that two runs of a seed must share, and as lines for a reader.
//!
//! Lines are dear, so an ordinary run makes none. A run that failed is run again with lines on, which is
//! the first proof that the seed replays it.

use std::collections::VecDeque;
use std::time::Duration;

/// How much of a run is written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Detail {
    /// The hash alone.
    #[default]
    Hash,
    /// The hash alone, and a failure is not played again for its story.
    Brief,
    /// The last lines are kept, for a report.
    Last,
    /// Each line goes to stderr at once.
    Print,
}

/// Lines that a report keeps.
const LINES_MAX: usize = 250;

/// The trace of one run.
#[derive(Debug)]
pub(crate) struct Trace {
    detail: Detail,
    hash: u64,
    pub(crate) events: u64,
    lines: VecDeque<String>,
}

impl Trace {
    pub(crate) fn new(detail: Detail) -> Self {
        Trace { detail, hash: 0xcbf2_9ce4_8422_2325, events: 0, lines: VecDeque::new() }
    }

    /// Folds a fact into the hash.
    pub(crate) fn fold(&mut self, fact: u64) {
        self.hash = (self.hash.rotate_left(5) ^ fact).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    /// Folds the facts of one event and, if someone reads, writes its line.
    pub(crate) fn note(&mut self, now: Duration, facts: &[u64], line: impl FnOnce() -> String) {
        self.fold(now.as_nanos() as u64);
        facts.iter().for_each(|fact| self.fold(*fact));
        self.say(now, line);
    }

    /// Writes a line if someone reads; it is no part of the hash.
    pub(crate) fn say(&mut self, now: Duration, line: impl FnOnce() -> String) {
        if matches!(self.detail, Detail::Hash | Detail::Brief) {
            return;
        }
        let line = format!("{:>8} {:>12.6} {}", self.events, now.as_secs_f64(), line());
        if self.detail == Detail::Print {
            eprintln!("{line}");
        }
        if self.lines.len() == LINES_MAX {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}

/// A fast 64-bit digest of bytes behind a previous digest: the oracle's own chain, which shares no code
/// with the log's checksums.
pub(crate) fn digest(before: u64, bytes: &[u8]) -> u64 {
    let mut hash = before ^ 0x2545_f491_4f6c_dd1d ^ (bytes.len() as u64).rotate_left(32);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes([
            word[0], word[1], word[2], word[3], word[4], word[5], word[6], word[7],
        ]);
        hash = (hash ^ word).wrapping_mul(0xff51_afd7_ed55_8ccd);
        hash ^= hash >> 29;
    }
    for byte in words.remainder() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    hash ^= hash >> 32;
    hash.wrapping_mul(0xc4ce_b9fe_1a85_ec53)
}
