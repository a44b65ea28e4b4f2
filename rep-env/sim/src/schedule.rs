//! What happens next: the heap of coming events.
//!
//! Ordered by `(time, tie, seq)`. The tie is drawn from the seed, so that events of one instant come in
//! every order over many seeds, and in one order for one seed.

use crate::rng::Rng;
use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

#[derive(Debug)]
struct Slot<E> {
    at: Duration,
    tie: u32,
    seq: u64,
    event: E,
}

/// Coming events, soonest first.
#[derive(Debug)]
pub(crate) struct Schedule<E> {
    heap: BinaryHeap<Reverse<Slot<E>>>,
    ties: Rng,
    seq: u64,
}

impl<E> Schedule<E> {
    pub(crate) fn new(ties: Rng) -> Self {
        Schedule { heap: BinaryHeap::new(), ties, seq: 0 }
    }

    pub(crate) fn push(&mut self, at: Duration, event: E) {
        self.seq += 1;
        let tie = (self.ties.next_u64() >> 32) as u32;
        self.heap.push(Reverse(Slot { at, tie, seq: self.seq, event }));
    }

    /// The time of the next event.
    pub(crate) fn peek(&self) -> Option<Duration> {
        self.heap.peek().map(|slot| slot.0.at)
    }

    pub(crate) fn pop(&mut self) -> Option<(Duration, E)> {
        self.heap.pop().map(|Reverse(slot)| (slot.at, slot.event))
    }
}

impl<E> Ord for Slot<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.tie, self.seq).cmp(&(other.at, other.tie, other.seq))
    }
}

impl<E> PartialOrd for Slot<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Slot<E> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl<E> Eq for Slot<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_comes_first_and_one_seed_gives_one_order() {
        let order = |seed| {
            let mut schedule = Schedule::new(Rng::split(seed, "ties"));
            schedule.push(Duration::from_secs(2), 100);
            (0..20).for_each(|n| schedule.push(Duration::from_secs(1), n));
            std::iter::from_fn(|| schedule.pop().map(|(_, n)| n)).collect::<Vec<u32>>()
        };
        assert_eq!(order(1), order(1));
        assert_ne!(order(1), order(2));
        assert_eq!(order(3).last(), Some(&100));
    }
}
