//! How old what this node shows may be, by its own clock and nobody else's.
//!
//! A read round that began at a moment of this node's clock names an entry that covers every write acknowledged
//! anywhere before that moment. The pair of both is evidence. Once that entry is applied, the state shown here was
//! the newest there was at that moment, or later: whatever has happened since, it is no older than that.

use rep_vlsn::Vlsn;
use std::collections::VecDeque;
use std::time::Duration;

/// Pairs whose entry is not applied yet, at most. Of more, the last but one goes: the next to come true and the newest
/// are those that matter.
const PENDING_MAX: usize = 64;

/// What this node knows of its own age.
#[derive(Debug, Default)]
pub(crate) struct Evidence {
    /// What is applied covers every write that was acknowledged before this moment.
    shown: Option<Duration>,
    /// Moments, and the entry that has to be applied for each; both rise.
    pending: VecDeque<(Duration, Vlsn)>,
}

impl Evidence {
    /// Every write that was acknowledged anywhere before `since` lies at or below `index`.
    pub(crate) fn learn(&mut self, since: Duration, index: Vlsn) {
        if self.newest().is_some_and(|newest| since <= newest) {
            return;
        }
        // A later moment that asks for no more makes an earlier one worthless. So an answer that asks for an entry that there
        // will never be does no harm for longer than until the next.
        while self.pending.back().is_some_and(|(_, asked)| *asked >= index) {
            self.pending.pop_back();
        }
        if self.pending.len() == PENDING_MAX {
            self.pending.pop_back();
        }
        self.pending.push_back((since, index));
    }

    /// Everything up to `applied` is in the store.
    pub(crate) fn note_applied(&mut self, applied: Vlsn) {
        while let Some(&(since, index)) = self.pending.front() {
            if index > applied {
                break;
            }
            self.shown = Some(since);
            self.pending.pop_front();
        }
    }

    /// How old at most is what is applied; `None` if that cannot be told.
    pub(crate) fn age(&self, now: Duration) -> Option<Duration> {
        self.shown.map(|since| now.saturating_sub(since))
    }

    /// The latest moment that is known of, whether its entry is applied yet or not.
    pub(crate) fn newest(&self) -> Option<Duration> {
        self.pending.back().map(|(since, _)| *since).or(self.shown)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn age_counts_from_the_newest_moment_whose_entry_is_applied() {
        let mut evidence = Evidence::default();
        evidence.learn(at(10), Vlsn::new(5));
        evidence.learn(at(20), Vlsn::new(7));
        evidence.note_applied(Vlsn::new(4));
        assert_eq!(evidence.age(at(30)), None);
        evidence.note_applied(Vlsn::new(6));
        assert_eq!(evidence.age(at(30)), Some(at(20)));
        evidence.note_applied(Vlsn::new(9));
        assert_eq!(evidence.age(at(30)), Some(at(10)));
    }

    #[test]
    fn late_news_of_an_earlier_moment_changes_nothing() {
        let mut evidence = Evidence::default();
        evidence.learn(at(20), Vlsn::new(7));
        evidence.learn(at(10), Vlsn::new(5));
        evidence.note_applied(Vlsn::new(5));
        assert_eq!((evidence.age(at(30)), evidence.newest()), (None, Some(at(20))));
    }

    #[test]
    fn an_entry_that_will_never_be_applied_is_forgotten_with_the_next_answer() {
        let mut evidence = Evidence::default();
        evidence.learn(at(10), Vlsn::new(5));
        evidence.learn(at(20), Vlsn::new(u64::MAX));
        evidence.learn(at(30), Vlsn::new(7));
        evidence.note_applied(Vlsn::new(7));
        assert_eq!(evidence.age(at(40)), Some(at(10)));
    }

    #[test]
    fn what_is_kept_is_bounded_and_the_next_to_come_true_stays() {
        let mut evidence = Evidence::default();
        for n in 1..=1000 {
            evidence.learn(at(n), Vlsn::new(n));
        }
        assert_eq!(evidence.pending.len(), PENDING_MAX);
        evidence.note_applied(Vlsn::new(1));
        assert_eq!(evidence.age(at(1000)), Some(at(999)));
        assert_eq!(evidence.newest(), Some(at(1000)));
    }
}
