//! So many bytes a second, and not much more at once.

use std::time::Duration;

/// How far ahead of its pace a source may be: so much time's worth of bytes go out at once, after a pause.
pub const RATE_BURST: Duration = Duration::from_millis(100);

/// A pace, kept as the moment at which all that was sent is paid for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    bytes_per_s: Option<u64>,
    paid_at: Duration,
}

impl Rate {
    pub(super) fn new(bytes_per_s: Option<u64>) -> Rate {
        Rate { bytes_per_s, paid_at: Duration::ZERO }
    }

    /// When something may be sent again: a moment that has passed, if it may be now.
    pub(super) fn free_at(&self) -> Duration {
        self.paid_at.saturating_sub(RATE_BURST)
    }

    pub(super) fn spend(&mut self, now: Duration, bytes: u64) {
        let Some(bytes_per_s) = self.bytes_per_s else { return };
        let nanos = u128::from(bytes) * 1_000_000_000 / u128::from(bytes_per_s);
        let cost = Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX));
        self.paid_at = self.paid_at.max(now).saturating_add(cost);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_pieces_the_pace_is_kept() {
        for piece in [100, 3_000, 250_000] {
            let (mut rate, mut sent, mut now) = (Rate::new(Some(100_000)), 0, Duration::ZERO);
            while now < Duration::from_secs(20) {
                now = now.max(rate.free_at());
                rate.spend(now, piece);
                sent += piece;
                let allowed = 100_000.0 * (now + RATE_BURST).as_secs_f64() + piece as f64;
                assert!(sent as f64 <= allowed + 1.0, "{sent} bytes by {now:?}");
            }
            assert!(sent > 1_900_000, "{sent} bytes in {now:?}: the pace is not only a bound");
        }
    }

    #[test]
    fn a_pause_is_worth_a_burst_and_no_more() {
        let mut rate = Rate::new(Some(100_000));
        let now = Duration::from_secs(100);
        let mut sent = 0;
        while rate.free_at() <= now {
            rate.spend(now, 1_000);
            sent += 1_000;
        }
        assert_eq!(sent, 11_000);
    }

    #[test]
    fn without_a_bound_nothing_is_held_back() {
        let mut rate = Rate::new(None);
        rate.spend(Duration::ZERO, u64::MAX);
        assert_eq!(rate.free_at(), Duration::ZERO);
    }
}
