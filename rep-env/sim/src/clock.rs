//! The clock of a process, as the world sees it.

use std::time::Duration;

/// A clock that starts with its process, may run fast or slow, may leap ahead, and may stand still for a while.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    /// A moment of the world, and what the clock showed then.
    world: Duration,
    shown: Duration,
    ppm: i64,
    /// When it stood still, and for how long: the latest ones.
    stood: Vec<(Duration, Duration)>,
}

/// Times of standing still that are remembered.
const STOOD_MAX: usize = 16;

impl Clock {
    pub(crate) fn starting(now: Duration, ppm: i64) -> Self {
        Clock { world: now, shown: Duration::ZERO, ppm, stood: Vec::new() }
    }

    pub(crate) fn local(&self, world: Duration) -> Duration {
        let elapsed = world.saturating_sub(self.world).as_nanos() as i128;
        self.shown
            + Duration::from_nanos((elapsed + elapsed * i128::from(self.ppm) / 1_000_000) as u64)
    }

    /// The first world time at which the clock shows `local` or more.
    pub(crate) fn world(&self, local: Duration) -> Duration {
        let ahead = local.saturating_sub(self.shown).as_nanos() as i128;
        let elapsed = ahead * 1_000_000 / (1_000_000 + i128::from(self.ppm)) + 1;
        self.world + Duration::from_nanos(elapsed as u64)
    }

    pub(crate) fn leap(&mut self, by: Duration) {
        self.shown += by;
    }

    pub(crate) fn stood_still(&mut self, since: Duration, now: Duration) {
        self.shown = self.local(since);
        self.world = now;
        if self.stood.len() == STOOD_MAX {
            self.stood.remove(0);
        }
        self.stood.push((now, now - since));
    }

    /// How long ago of the world's time something may lie that lies `lag` ago by this clock: what it does not know of the
    /// times when it stood still, nobody can.
    pub(crate) fn lag_of(&self, lag: Duration, now: Duration) -> Duration {
        let mut lag = lag;
        for (ended, lasted) in self.stood.iter().rev() {
            if now.saturating_sub(lag) <= *ended {
                lag += *lasted;
            }
        }
        lag
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: Duration = Duration::from_secs(1);

    #[test]
    fn a_clock_that_leaps_or_stands_still_never_goes_back() {
        let mut clock = Clock::starting(S, 0);
        assert_eq!(clock.local(S * 3), S * 2);
        clock.stood_still(S * 3, S * 10);
        assert_eq!(clock.local(S * 11), S * 3);
        clock.leap(S * 5);
        assert_eq!(clock.local(S * 11), S * 8);
        assert!(clock.world(S * 8) >= S * 11);
    }

    #[test]
    fn time_that_a_clock_missed_is_added_to_a_lag_that_reaches_into_it() {
        let mut clock = Clock::starting(S, 0);
        clock.stood_still(S * 3, S * 10);
        assert_eq!(clock.lag_of(S, S * 20), S);
        assert_eq!(clock.lag_of(S * 10, S * 20), S * 17);
    }
}
