//! A few words, replaced as one, without a lock and without `unsafe`.
//!
//! Words that are stored one by one can be read halfway. So each value goes into the next slot of a small ring, and the
//! slot says which version it holds. A reader takes the newest slot, copies the words, and looks whether the slot still
//! holds that version: if not, the writer has gone once around the ring meanwhile, and the reader starts over with the
//! newer value. A writer that is stopped halfway delays no reader, because it is never halfway in the newest slot.
//!
//! Versions never return, and that is why comparing one proves that the words between were of one value:
//! a word of a later value is read with `Acquire` from a store with `Release`, which makes the `WRITING` before it
//! visible to the comparison that follows.

use super::WORDS;
use crate::sync::{AtomicU64, Ordering, yield_now};

/// Two suffice; more make it rarer that a reader has to start over. A model has two, so that it goes around often.
const SLOTS: usize = if cfg!(any(rep_loom, rep_shuttle)) { 2 } else { 8 };

const WRITING: u64 = 0;
pub(super) const FIRST_VERSION: u64 = 1;

type Words = [u64; WORDS];

#[derive(Debug)]
struct Slot {
    version: AtomicU64,
    words: [AtomicU64; WORDS],
}

#[derive(Debug)]
pub(super) struct Slots {
    newest: AtomicU64,
    ring: [Slot; SLOTS],
}

impl Slots {
    pub(super) fn new(words: Words) -> Self {
        let empty =
            |_| Slot { version: AtomicU64::new(WRITING), words: [0; WORDS].map(AtomicU64::new) };
        let slots =
            Self { newest: AtomicU64::new(FIRST_VERSION), ring: std::array::from_fn(empty) };
        slots.publish(FIRST_VERSION, words);
        slots
    }

    /// Makes `words` the newest. Versions rise by one from call to call, and no two calls overlap.
    pub(super) fn publish(&self, version: u64, words: Words) {
        let slot = self.slot(version);
        slot.version.store(WRITING, Ordering::Relaxed);
        for (cell, word) in slot.words.iter().zip(words) {
            cell.store(word, Ordering::Release);
        }
        slot.version.store(version, Ordering::Release);
        self.newest.store(version, Ordering::Release);
    }

    /// The newest words, and their version.
    pub(super) fn read(&self) -> (u64, Words) {
        loop {
            let version = self.newest.load(Ordering::Acquire);
            if let Some(words) = self.copy(version) {
                return (version, words);
            }
            yield_now();
        }
    }

    fn copy(&self, version: u64) -> Option<Words> {
        let slot = self.slot(version);
        let words = std::array::from_fn(|at| slot.words[at].load(Ordering::Acquire));
        (slot.version.load(Ordering::Relaxed) == version).then_some(words)
    }

    fn slot(&self, version: u64) -> &Slot {
        &self.ring[(version % SLOTS as u64) as usize]
    }
}
