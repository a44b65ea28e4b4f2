//! Chance from a seed: the same seed draws the same faults. (What they meet, real processes and a real kernel, differs
//! from run to run.)

use std::time::Duration;

/// SplitMix64: small, and good enough to choose victims.
#[derive(Clone, Debug)]
pub(super) struct Chance(u64);

impl Chance {
    /// A stream of its own for a named concern, so that one that draws more does not shift the others.
    pub(super) fn split(seed: u64, concern: &str) -> Chance {
        let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let mut chance = Chance(concern.bytes().fold(seed ^ 0xcbf2_9ce4_8422_2325, fold));
        Chance(chance.next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`, which is not 0.
    pub(super) fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// True in `per_mille` of a thousand cases.
    pub(super) fn happens(&mut self, per_mille: u32) -> bool {
        self.next() % 1000 < u64::from(per_mille)
    }

    /// Between nothing and `max`.
    pub(super) fn up_to(&mut self, max: Duration) -> Duration {
        let micros = u64::try_from(max.as_micros()).unwrap_or(u64::MAX - 1);
        Duration::from_micros(self.next() % (micros + 1))
    }

    /// One of `items`, of which there is at least one.
    pub(super) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len())]
    }

    /// The numbers below `end` in some order.
    pub(super) fn order(&mut self, end: usize) -> Vec<usize> {
        let mut numbers: Vec<usize> = (0..end).collect();
        for last in (1..end).rev() {
            numbers.swap(last, self.below(last + 1));
        }
        numbers
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_the_same_again_and_concerns_are_apart() {
        let draw = |seed, concern| Chance::split(seed, concern).order(9);
        assert_eq!(draw(1, "faults"), draw(1, "faults"));
        assert_ne!(draw(1, "faults"), draw(1, "weather"));
        assert_ne!(draw(1, "faults"), draw(2, "faults"));
    }

    #[test]
    fn what_always_or_never_happens_does() {
        let mut chance = Chance(3);
        assert!((0..1000).all(|_| chance.happens(1000) && !chance.happens(0)));
    }
}
