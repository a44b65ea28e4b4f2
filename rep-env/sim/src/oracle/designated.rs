//! Who goes on alone: I-31.
//!
//! Of two voters one may be designated. It is elected by its own promise alone when the other one has been silent for long, and then writes behind
//! the first entry of its term that the other one votes no more: the *override*.

use super::{Checked, Invariant, Listed, Oracle, Part, Roll, ensure};
use crate::machine::Machine;
use rep_vlsn::{NodeId, Term};

impl Oracle {
    /// Whether a change is one that a designated member makes to go on alone: the other one learns, and all else is as it was.
    pub(crate) fn is_override(&self, node: Machine, before: &Roll, roll: &Roll) -> bool {
        let overridden = |(number, listed): (&NodeId, &Listed)| {
            let other =
                listed.part == Part::Voter && !listed.is(node, self.member(node).incarnation);
            let part = if other { Part::Learner } else { listed.part };
            (*number, Listed { part, ..*listed })
        };
        let expected = || before.members.iter().map(overridden).collect();
        self.is_designated(node, before)
            && before.voters().count() == 2
            && roll.designated() == before.designated()
            && roll.members == expected()
    }

    /// Whether that directory is designated, by this entry.
    pub(crate) fn is_designated(&self, node: Machine, roll: &Roll) -> bool {
        let incarnation = self.member(node).incarnation;
        roll.designated().is_some_and(|(_, listed)| listed.is(node, incarnation))
    }

    /// Whom a designated master that was elected in this term was elected without: the other voter, if that has not promised to whom it did
    /// itself.
    fn elected_without(&self, node: Machine, term: Term) -> Option<Machine> {
        let roll = self.ruling(node).filter(|roll| self.is_designated(node, roll))?;
        let (_, one) = roll.designated()?;
        let pledge =
            |it: Listed| it.incarnation.and_then(|of| self.pledge_of(it.machine, of, term));
        let silent = |it: &Listed| it.machine != node && pledge(*it) != pledge(one);
        roll.copies().find(silent).map(|it| it.machine)
    }

    /// Whether that directory has no vote by its own log, whoever counts it: an override that power took from who wrote it.
    pub(crate) fn knows_that_it_learns(&self, node: Machine) -> bool {
        let (own, incarnation) = (self.ruling(node), self.member(node).incarnation);
        own.and_then(|own| own.lists(node, incarnation)) == Some(Part::Learner)
    }

    /// A term was opened, with all that is written together with its first entry: whoever has promised nothing counts no more.
    pub(crate) fn counts_only_who_was_asked(&self, node: Machine, term: Term) -> Checked {
        let without = self.elected_without(node, term);
        ensure(without.is_none(), Invariant::LoneOverride, || {
            format!("{node} is elected alone in {term}, and goes on counting {without:?}")
        })
    }

    /// A designated member goes on alone, beside another voter from which it has `heard` something a moment ago.
    pub(crate) fn goes_alone(&self, node: Machine, heard: bool) -> Checked {
        ensure(!heard, Invariant::LoneOverride, || {
            format!("{node} goes on alone, and hears the other one")
        })?;
        // Images bring back what was ruled otherwise since.
        let images = self.members.values().any(|member| member.forgotten.is_some());
        let designated = |other: &Machine| {
            *other != node
                && self.ruling(*other).is_some_and(|roll| self.is_designated(*other, roll))
        };
        let other = self.members.keys().copied().find(designated).filter(|_| !images);
        ensure(other.is_none(), Invariant::LoneOverride, || {
            format!("{node} goes on alone, and so may {other:?}, by its own log")
        })
    }
}
