//! Older images: what a member forgets that comes back with an earlier copy of its whole directory, and what may come of that.
//!
//! A master that has counted what such a member acknowledged remembers it for as long as it reigns, and counts it for nothing (DESIGN
//! 4.2). An image that nobody remembers is a stated limit: the operator who put it back has taken a copy from entries
//! and unsaid what the member had promised, and no member can know. The oracle knows. It *gives up* a run at the very moment when it shows: the
//! member breaks a promise that it has forgotten, or a master is crowned without an entry that fewer than a majority hold
//! because of it. Up to there everything is promised, and a run is given up for nothing else.

use super::{Entry, Listed, Member, Oracle, Roll};
use crate::machine::Machine;
use rep_vlsn::Term;

/// The fences that a member has forgotten: above that of its image, up to the highest that it had.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forgotten {
    /// Known when the directory is opened.
    first: Option<Term>,
    had: Term,
}

impl Oracle {
    /// An older state of the disk is back: what it had since, it has had.
    pub(crate) fn put_back(&mut self, node: Machine) {
        self.notes_durable_rolls();
        let incarnation = self.member(node).incarnation;
        let had = self.elections.forget_fence(node, incarnation);
        let member = self.member_mut(node);
        member.lets_go(0);
        let log = std::mem::take(&mut member.log);
        let synced = (1..).zip(&log).take(member.durable);
        member.gone.extend(synced.map(|(vlsn, entry)| (vlsn, entry.chain)));
        if log.len() > member.before_image.len() {
            member.before_image = log;
        }
        (member.durable, member.written) = (0, 0);
        (member.marked, member.acked, member.noted) = (0, 0, 0);
        let before = member.forgotten.map_or(Term::ZERO, |forgotten| forgotten.had);
        member.forgotten = Some(Forgotten { first: None, had: had.max(before) });
    }

    /// The directory is opened, and holds this fence: what was said above it is forgotten.
    pub(super) fn image_opened(&mut self, node: Machine, term: Term, promised: bool) {
        let incarnation = self.member(node).incarnation;
        let Some(forgotten) = self.member(node).forgotten.filter(|it| it.first.is_none()) else {
            return;
        };
        // Its own term it may still have promised later, or risen above.
        let same = forgotten.had == term && !self.elections.is_pledged(node, incarnation, term);
        let first = if promised || same { term.next() } else { term };
        self.member_mut(node).forgotten = Some(Forgotten { first: Some(first), ..forgotten });
        self.elections.forget_words(node, incarnation, first);
    }

    pub(crate) fn went_back(&self, node: Machine) -> bool {
        self.member(node).forgotten.is_some()
    }

    /// Whether the member had a fence above this term and has forgotten it.
    pub(crate) fn has_forgotten(&self, node: Machine, term: Term) -> bool {
        self.member(node).forgotten.is_some_and(|forgotten| term < forgotten.had)
    }

    /// Whether the term is one of those whose fences the member has forgotten, so that it may promise it, or reign in it, again.
    pub(super) fn may_speak_again(&self, node: Machine, term: Term) -> bool {
        let forgot = |forgotten: Forgotten| {
            forgotten.first.is_some_and(|first| term >= first) && term <= forgotten.had
        };
        self.member(node).forgotten.is_some_and(forgot)
    }

    /// Whether entry `at` (from 0) with this chain may be lost: leaving out what images took, fewer than a majority have it.
    pub(super) fn is_at_risk(&self, at: usize, chain: u64) -> bool {
        let holds = |log: &[Entry]| log.get(at).is_some_and(|entry| entry.chain == chain);
        // Who was wiped or is damaged votes for nobody, so that its copy still stands in the way of others.
        let keeps = |listed: &Listed| {
            let member = self.member(listed.machine);
            let present = listed.is(listed.machine, member.incarnation);
            let former = listed.incarnation.and_then(|it| member.former.get(&it));
            (present && member.durable > at && holds(&member.log))
                || (present && (holds(&member.lost) || holds(&member.vouched)))
                || former.is_some_and(|log| holds(log))
        };
        let images = self.members.values().any(|member| member.forgotten.is_some());
        let kept = |roll: &Roll| roll.voters().filter(|(_, listed)| keeps(listed)).count();
        images && self.rolls_in_use().any(|roll| kept(roll) < roll.commit())
    }

    /// A master claims an entry where another one was claimed. Either may be what an image took: the one that is claimed now, whose holder said so
    /// before it lost it and was heard afterwards; or the other, if the master is of an earlier term than that was claimed in, which it came to reign
    /// in because of the image, so that nothing showed when it was crowned.
    pub(super) fn was_taken(&self, at: usize, chain: u64) -> bool {
        let took = |member: &Member| member.gone.contains(&(at as u64 + 1, chain));
        self.members.values().any(took) && self.is_at_risk(at, chain)
    }

    /// What was promised is over, for this reason; nothing that comes is judged.
    pub(crate) fn give_up(&mut self, why: impl FnOnce() -> String) {
        self.gave_up.get_or_insert_with(why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Claim, Invariant};
    use super::*;
    use bytes::Bytes;
    use rep_vlsn::NodeId;

    const T1: Term = Term::new(1);
    const T2: Term = Term::new(2);

    fn n(id: u32) -> Machine {
        Machine::new(id)
    }

    fn member(id: u32) -> NodeId {
        NodeId::new(id)
    }

    /// Three members, of which the first `holders` durably hold the one entry that there is, and have promised term 2 to the first.
    fn oracle(holders: u32) -> Oracle {
        let mut oracle = Oracle::new(3, 3);
        oracle.claims = vec![Claim { term: T1, chain: 7, in_term: T1 }];
        for id in 1..=holders {
            let member = oracle.member_mut(n(id));
            member.log = vec![Entry { term: T1, chain: 7, bytes: Bytes::new() }];
            member.durable = 1;
        }
        for id in 1..=3 {
            assert!(oracle.fence_durable(n(id), T2, Some(member(1))).is_ok());
            assert!(oracle.promise_leaves(n(id), T2, member(1), (T2, Some(member(1)))).is_ok());
        }
        oracle
    }

    fn comes_back(oracle: &mut Oracle, id: u32, fence: Term) {
        oracle.put_back(n(id));
        assert!(oracle.fence_opened(n(id), fence, None).is_ok());
    }

    #[test]
    fn only_an_entry_whose_copy_went_with_an_image_is_at_risk() {
        let mut two = oracle(2);
        assert!(!two.is_at_risk(0, 7));
        comes_back(&mut two, 3, T1);
        assert!(!two.is_at_risk(0, 7), "the image never had it");
        comes_back(&mut two, 2, T1);
        assert!(two.is_at_risk(0, 7));
        let mut three = oracle(3);
        comes_back(&mut three, 2, T1);
        assert!(!three.is_at_risk(0, 7), "two have it still");
    }

    #[test]
    fn a_promise_may_be_made_again_only_if_it_was_forgotten() {
        let mut forgot = oracle(3);
        comes_back(&mut forgot, 3, T1);
        assert!(forgot.promise_leaves(n(3), T2, member(2), (T2, Some(member(2)))).is_ok());
        assert!(forgot.gave_up.is_some());

        let mut twice = oracle(3);
        comes_back(&mut twice, 3, T1);
        assert!(twice.promise_leaves(n(3), T2, member(1), (T2, Some(member(1)))).is_ok());
        assert!(twice.gave_up.is_none(), "it has said the same again");
        let broken = twice.promise_leaves(n(3), T2, member(2), (T2, Some(member(2))));
        assert_eq!(broken.unwrap_err().invariant, Invariant::OnePromise);

        let mut other = oracle(3);
        comes_back(&mut other, 3, T1);
        let broken = other.promise_leaves(n(2), T2, member(2), (T2, Some(member(2))));
        assert_eq!(broken.unwrap_err().invariant, Invariant::OnePromise);
    }

    #[test]
    fn what_lies_below_a_forgotten_fence_is_known() {
        let mut oracle = oracle(3);
        assert!(!oracle.has_forgotten(n(3), T1));
        comes_back(&mut oracle, 3, T1);
        assert!(oracle.has_forgotten(n(3), T1) && !oracle.has_forgotten(n(3), T2));
        assert!(!oracle.has_forgotten(n(2), T1));
    }
}
