//! What happens to a frame, drawn from a seed and from which frame it is. Pure.

use std::time::Duration;

use super::{Direction, What};
use crate::transport::Address;

/// How bad it is. Start from [`calm`](Weather::calm), in which everything arrives at once.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "weather is for `Faults::new`"]
pub struct Weather {
    seed: u64,
    delay_max: Duration,
    lost_per_thousand: u16,
    doubled_per_thousand: u16,
}

impl Weather {
    /// Nothing happens, until something is asked for. The seed decides what.
    pub fn calm(seed: u64) -> Self {
        Self { seed, delay_max: Duration::ZERO, lost_per_thousand: 0, doubled_per_thousand: 0 }
    }

    /// Each frame takes up to so much longer; the ones behind it wait for it.
    pub fn delay_max(mut self, delay: Duration) -> Self {
        self.delay_max = delay;
        self
    }

    /// So many of a thousand frames never arrive.
    pub fn lost_per_thousand(mut self, frames: u16) -> Self {
        self.lost_per_thousand = frames;
        self
    }

    /// So many of a thousand frames arrive twice.
    pub fn doubled_per_thousand(mut self, frames: u16) -> Self {
        self.doubled_per_thousand = frames;
        self
    }

    /// The seed of one channel's direction.
    pub(super) fn seed_of(
        &self,
        address: &Address,
        service: &str,
        channel: u64,
        direction: Direction,
    ) -> u64 {
        let mut seed = mixed(self.seed);
        for byte in address.as_str().bytes().chain([0xff]).chain(service.bytes()) {
            seed = mixed(seed ^ u64::from(byte));
        }
        mixed(mixed(seed ^ channel) ^ (direction as u64))
    }

    /// What happens to the frame of that number: how much longer it takes, and what else.
    pub(super) fn fate(&self, seed: u64, frame: u64) -> Fate {
        let draw = mixed(seed ^ mixed(frame));
        let of_thousand = (draw % 1000) as u16;
        let what = if of_thousand < self.lost_per_thousand {
            Some(What::Lost)
        } else if of_thousand < self.lost_per_thousand.saturating_add(self.doubled_per_thousand) {
            Some(What::Doubled)
        } else {
            None
        };
        let delay_us = u64::try_from(self.delay_max.as_micros()).unwrap_or(u64::MAX - 1);
        Fate { what, delay: Duration::from_micros(mixed(draw) % (delay_us + 1)) }
    }
}

/// What happens to one frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fate {
    /// Lost or doubled.
    pub(super) what: Option<What>,
    pub(super) delay: Duration,
}

/// Bits of which each depends on all that were given (the finalizer of splitmix64).
fn mixed(bits: u64) -> u64 {
    let bits = bits.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(seed: u64, direction: Direction) -> Vec<Fate> {
        let weather = Weather::calm(seed)
            .delay_max(Duration::from_millis(10))
            .lost_per_thousand(100)
            .doubled_per_thousand(50);
        let seed = weather.seed_of(&"n2".into(), "peer", 0, direction);
        (0..10_000).map(|frame| weather.fate(seed, frame)).collect()
    }

    #[test]
    fn as_many_frames_are_lost_and_doubled_as_was_asked_for() {
        let fates = fates(1, Direction::Out);
        let count = |what| fates.iter().filter(|fate| fate.what == Some(what)).count();
        assert!((800..1200).contains(&count(What::Lost)), "{}", count(What::Lost));
        assert!((350..650).contains(&count(What::Doubled)), "{}", count(What::Doubled));
        assert!(fates.iter().all(|fate| fate.delay <= Duration::from_millis(10)));
        assert!(fates.iter().any(|fate| fate.delay > Duration::from_millis(9)));
    }

    #[test]
    fn what_happens_follows_from_the_seed_and_from_which_frame_it_is() {
        assert_eq!(fates(1, Direction::Out), fates(1, Direction::Out));
        assert_ne!(fates(1, Direction::Out), fates(2, Direction::Out));
        assert_ne!(fates(1, Direction::Out), fates(1, Direction::In));
    }

    #[test]
    fn nothing_happens_in_calm_weather() {
        let weather = Weather::calm(1);
        let calm = Fate { what: None, delay: Duration::ZERO };
        assert!((0..1000).all(|frame| weather.fate(7, frame) == calm));
    }
}
