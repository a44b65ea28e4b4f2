//! Which healthy member is nearest? A pure ranking by round trip.
//!
//! It grants nothing: two members may well come to two answers from two measurements. Use it where any
//! answer will do and a near one is better, and [`crate::Election`] where there must be only one.

use std::collections::BTreeSet;
use std::time::Duration;

/// What [`elect`] found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ElectionOutcome<N> {
    /// The caller itself.
    SelfWins,
    /// Another member.
    OtherWins(N),
    /// Nobody in the set is healthy.
    NoneEligible,
}

/// Ranks the healthy members of `replica_set` by round trip as seen from `self_id`, nearest first.
///
/// - The caller stands at zero, whatever `rtt_to(self_id)` says, if it is in the set and healthy.
/// - A member without a measurement comes after all measured ones, and may still win.
/// - Equal round trips go to the smaller id, also against the caller at zero.
/// - The answer depends neither on the order of the set nor on duplicates in it.
pub fn elect<N: Ord + Copy>(
    replica_set: &[N],
    self_id: N,
    mut rtt_to: impl FnMut(N) -> Option<Duration>,
    mut health_of: impl FnMut(N) -> bool,
) -> ElectionOutcome<N> {
    let members: BTreeSet<N> = replica_set.iter().copied().collect();
    let mut distance = |id: N| {
        let rtt = if id == self_id { Some(Duration::ZERO) } else { rtt_to(id) };
        (rtt.is_none(), rtt, id)
    };
    let healthy = members.into_iter().filter(|id| health_of(*id));
    match healthy.min_by_key(|id| distance(*id)) {
        None => ElectionOutcome::NoneEligible,
        Some(winner) if winner == self_id => ElectionOutcome::SelfWins,
        Some(winner) => ElectionOutcome::OtherWins(winner),
    }
}

#[cfg(test)]
mod tests {
    use super::ElectionOutcome::{NoneEligible, OtherWins, SelfWins};
    use super::*;
    use proptest::prelude::*;

    const fn ms(ms: u64) -> Option<Duration> {
        Some(Duration::from_millis(ms))
    }

    #[test]
    fn self_stands_at_zero_whatever_was_measured() {
        assert_eq!(elect(&[1, 2, 3], 2, |id| ms(id * 10), |_| true), SelfWins);
        assert_eq!(elect(&[1, 2, 3], 2, |_| None, |_| true), SelfWins);
        assert_eq!(
            elect(&[1, 2], 2, |id| if id == 2 { ms(9_000) } else { ms(1) }, |_| true),
            SelfWins
        );
    }

    #[test]
    fn a_tie_with_self_goes_to_the_smaller_id() {
        assert_eq!(elect(&[1, 2], 2, |_| ms(0), |_| true), OtherWins(1));
        assert_eq!(elect(&[1, 2], 1, |_| ms(0), |_| true), SelfWins);
    }

    #[test]
    fn the_unhealthy_are_dropped_self_too() {
        assert_eq!(elect(&[1, 2, 3], 2, ms, |id| id != 2), OtherWins(1));
        assert_eq!(elect(&[1, 2, 3], 2, ms, |id| id == 3), OtherWins(3));
        assert_eq!(elect(&[1, 2, 3], 2, ms, |_| false), NoneEligible);
        assert_eq!(elect(&[], 2, |_: u64| ms(1), |_| true), NoneEligible);
    }

    #[test]
    fn the_unmeasured_come_last_and_may_win() {
        let rtt = |id| if id == 3 { ms(5_000) } else { None };
        assert_eq!(elect(&[1, 2, 3], 9, rtt, |_| true), OtherWins(3));
        assert_eq!(elect(&[1, 2, 3], 9, rtt, |id| id != 3), OtherWins(1));
    }

    #[test]
    fn a_caller_outside_the_set_never_wins() {
        assert_eq!(elect(&[4, 5], 1, |_| None, |_| true), OtherWins(4));
        assert_eq!(elect(&[4], 1, |_| ms(1), |_| false), NoneEligible);
    }

    proptest! {
        #[test]
        fn the_answer_depends_on_neither_order_nor_duplicates(
            set in proptest::collection::vec(0_u8..8, 0..12),
            rtts in proptest::collection::vec(proptest::option::of(0_u64..3), 8),
            health in proptest::collection::vec(any::<bool>(), 8),
            me in 0_u8..8,
        ) {
            let rtt = |id: u8| rtts[usize::from(id)].map(Duration::from_millis);
            let answer = |set: &[u8]| elect(set, me, rtt, |id| health[usize::from(id)]);
            let mut other = set.clone();
            other.reverse();
            other.extend(&set);
            prop_assert_eq!(answer(&set), answer(&other));
            match answer(&set) {
                SelfWins => prop_assert!(set.contains(&me) && health[usize::from(me)]),
                OtherWins(id) => prop_assert!(id != me && set.contains(&id) && health[usize::from(id)]),
                NoneEligible => prop_assert!(!set.iter().any(|id| health[usize::from(*id)])),
            }
        }
    }
}
