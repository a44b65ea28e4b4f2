//! Chance, and nothing else: a small generator with one stream per concern.
//!
//! Streams are split from the master seed by label, so that a fault which is taken out of a run does not
//! reshuffle the network, and a client that asks for one key more does not move a crash. The generator
//! is written here because its output is part of what a seed means: it must never change under us.
//!
//! Source: xoshiro256++ and splitmix64, David Blackman and Sebastiano Vigna, public domain.

/// One stream of chance.
#[derive(Clone, Debug)]
pub(crate) struct Rng {
    state: [u64; 4],
}

impl Rng {
    /// The stream called `label` of the run `seed`.
    pub(crate) fn split(seed: u64, label: &str) -> Self {
        let mut mixer = label.bytes().fold(seed ^ 0x9e37_79b9_7f4a_7c15, |state, byte| {
            splitmix(&mut (state ^ u64::from(byte)))
        });
        let mut state = [0; 4];
        for word in &mut state {
            mixer = mixer.wrapping_add(0x9e37_79b9_7f4a_7c15);
            *word = splitmix(&mut mixer.clone());
        }
        Rng { state }
    }

    /// The next 64 bits.
    pub(crate) fn next_u64(&mut self) -> u64 {
        let [a, b, c, d] = &mut self.state;
        let out = a.wrapping_add(*d).rotate_left(23).wrapping_add(*a);
        let shifted = *b << 17;
        *c ^= *a;
        *d ^= *b;
        *b ^= *c;
        *a ^= *d;
        *c ^= shifted;
        *d = d.rotate_left(45);
        out
    }

    /// A number in `0..bound`; 0 if `bound` is 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next_u64()) * u128::from(bound)) >> 64) as u64
    }

    /// A number in `low..=high`.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.below(high.saturating_sub(low).saturating_add(1))
    }

    /// A number in `0.0..1.0`.
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// True with probability `p`.
    pub(crate) fn chance(&mut self, p: f64) -> bool {
        p > 0.0 && self.unit() < p
    }

    /// A number whose logarithm is uniform: as likely between 1 and 10 as between 10 and 100.
    pub(crate) fn log_uniform(&mut self, low: f64, high: f64) -> f64 {
        (low.ln() + self.unit() * (high.ln() - low.ln())).exp()
    }

    /// One of `choices`, which must not be empty.
    pub(crate) fn pick<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize]
    }

    /// A duration in nanoseconds: exponential around `mean_ns`, and one in fifty ten times as long.
    pub(crate) fn latency_ns(&mut self, mean_ns: u64) -> u64 {
        let tail = if self.chance(0.02) { 10.0 } else { 1.0 };
        let exponential = -(1.0 - self.unit()).ln();
        (mean_ns as f64 * (0.3 + 0.7 * exponential) * tail) as u64 + 1
    }
}

fn splitmix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_of_one_seed_differ_and_repeat() {
        let draw = |label| {
            let mut rng = Rng::split(7, label);
            [rng.next_u64(), rng.next_u64(), rng.next_u64()]
        };
        assert_eq!(draw("net"), draw("net"));
        assert_ne!(draw("net"), draw("disk"));
    }

    #[test]
    fn bounds_are_kept_and_reached() {
        let mut rng = Rng::split(1, "bounds");
        let seen: Vec<u64> = (0..1_000).map(|_| rng.between(3, 6)).collect();
        assert!((3..=6).all(|n| seen.contains(&n)) && seen.iter().all(|n| (3..=6).contains(n)));
        assert_eq!(rng.below(0), 0);
        assert!((0..1_000).all(|_| rng.unit() < 1.0));
    }

    #[test]
    fn the_stream_of_a_seed_never_changes() {
        // A committed seed must mean the same run for ever.
        assert_eq!(Rng::split(0, "net").next_u64(), 16085087740036248875);
        let mut rng = Rng { state: [1, 2, 3, 4] };
        assert_eq!(rng.next_u64(), 41943041);
    }
}
