//! Terms and promises: I-1, I-2, I-3, I-4, I-6.

use super::{Checked, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_vlsn::{Incarnation, NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};

/// One run of one node's process.
pub(crate) type Run = (Machine, u64);

/// What was promised, asked and reigned.
#[derive(Debug, Default)]
pub(super) struct Elections {
    masters: BTreeMap<Term, Run>,
    /// The highest term whose master was asked what it lacks, as it opened it.
    asked: Term,
    promises: BTreeMap<(Machine, Incarnation, Term), NodeId>,
    proposals: BTreeMap<(Machine, Incarnation, Term), u64>,
    /// The highest term that a durable fence of this node held, and the run that raised it.
    fences: BTreeMap<(Machine, Incarnation), (Term, Option<NodeId>)>,
    /// The fence with which a run began.
    opened: BTreeMap<Machine, Term>,
    /// To whom each durable fence was promised.
    pledges: BTreeMap<(Machine, Incarnation, Term), NodeId>,
    /// Pledges, and proposals, of which a member does not know any more: an older image is in its place.
    forgotten: BTreeMap<(Machine, Incarnation, Term), NodeId>,
    unproposed: BTreeSet<(Machine, Incarnation, Term)>,
}

impl Elections {
    /// The disk has gone back to an older fence; how high it had been.
    pub(super) fn forget_fence(&mut self, node: Machine, incarnation: Incarnation) -> Term {
        self.fences.remove(&(node, incarnation)).map_or(Term::ZERO, |(term, _)| term)
    }

    pub(super) fn is_pledged(&self, node: Machine, incarnation: Incarnation, term: Term) -> bool {
        self.pledges.contains_key(&(node, incarnation, term))
    }

    /// What a member has said in terms from `first` on it does not know any more.
    pub(super) fn forget_words(&mut self, node: Machine, incarnation: Incarnation, first: Term) {
        let is_lost = |key: &(Machine, Incarnation, Term)| {
            (key.0, key.1) == (node, incarnation) && key.2 >= first
        };
        self.promises.retain(|key, _| !is_lost(key));
        let pledges = std::mem::take(&mut self.pledges);
        let (lost, kept) = pledges.into_iter().partition(|(key, _)| is_lost(key));
        self.pledges = kept;
        self.forgotten.extend::<BTreeMap<_, _>>(lost);
        let (lost, kept) =
            std::mem::take(&mut self.proposals).into_iter().partition(|(key, _)| is_lost(key));
        self.proposals = kept;
        let lost: BTreeMap<_, u64> = lost;
        self.unproposed.extend(lost.into_keys());
    }
}

impl Oracle {
    /// A run begins with this fence from its disk.
    pub(crate) fn fence_opened(
        &mut self,
        node: Machine,
        term: Term,
        to: Option<NodeId>,
    ) -> Checked {
        let incarnation = self.member(node).incarnation;
        let stored = self.elections.fences.get(&(node, incarnation)).copied();
        let (durable, promised) = stored.unwrap_or_default();
        self.elections.opened.insert(node, term);
        self.image_opened(node, term, to.is_some());
        ensure(term >= durable, Invariant::TermMonotonic, || {
            format!("{node} came back with a fence of {term}, its disk had confirmed {durable}")
        })?;
        ensure(term > durable || to == promised, Invariant::OnePromise, || {
            format!("{node} came back with {term} promised to {to:?}, it was {promised:?}")
        })?;
        self.elections.fences.insert((node, incarnation), (term, to));
        Ok(())
    }

    /// The disk has confirmed a fence.
    pub(crate) fn fence_durable(
        &mut self,
        node: Machine,
        term: Term,
        to: Option<NodeId>,
    ) -> Checked {
        let key = (node, self.member(node).incarnation);
        let (before, promised) = self.elections.fences.get(&key).copied().unwrap_or_default();
        ensure(term >= before, Invariant::TermMonotonic, || {
            format!("{node} stored a fence of {term} over {before}")
        })?;
        let same = term > before || promised.is_none() || promised == to;
        ensure(same, Invariant::OnePromise, || {
            format!("{node} stored {term} promised to {to:?}, it was promised to {promised:?}")
        })?;
        self.elections.fences.insert(key, (term, to));
        let pledge = to.map(|to| ((node, key.1, term), to));
        self.elections.pledges.extend(pledge);
        Ok(())
    }

    /// To whom a directory has durably promised a term, whether it knows that still or not.
    pub(super) fn pledge_of(
        &self,
        node: Machine,
        incarnation: Incarnation,
        term: Term,
    ) -> Option<NodeId> {
        let Elections { pledges, forgotten, .. } = &self.elections;
        let key = (node, incarnation, term);
        pledges.get(&key).or_else(|| forgotten.get(&key)).copied()
    }

    /// A member promises a term that it could not have promised so if it knew the fence that it had.
    fn keeps_forgotten_word(&mut self, node: Machine, term: Term, to: NodeId) {
        let key = (node, self.member(node).incarnation, term);
        let before = self.elections.forgotten.get(&key).copied();
        if self.may_speak_again(node, term) && before != Some(to) {
            self.give_up(|| {
                format!(
                    "{node} promises {term} to {to}, and has forgotten {before:?} or a later one"
                )
            });
        }
    }

    /// A promise leaves. `durable` is what the cell holds at this moment, read from the disk.
    pub(crate) fn promise_leaves(
        &mut self,
        node: Machine,
        term: Term,
        to: NodeId,
        durable: (Term, Option<NodeId>),
    ) -> Checked {
        ensure(durable.0 >= term, Invariant::PromiseDurability, || {
            format!("{node} promises {term} to {to}, its disk holds a fence of {}", durable.0)
        })?;
        let kept = durable.0 > term || durable.1 == Some(to);
        ensure(kept, Invariant::OnePromise, || {
            format!("{node} promises {term} to {to}, its disk says {:?}", durable.1)
        })?;
        self.promises_to_a_voter(node, term, to)?;
        let key = (node, self.member(node).incarnation, term);
        let first = *self.elections.promises.entry(key).or_insert(to);
        ensure(first == to, Invariant::OnePromise, || {
            format!("{node} promises {term} to {to}, it had promised it to {first}")
        })?;
        // The disk may have what it said it could not sync: a later run finds it, and keeps to it.
        self.elections.pledges.entry(key).or_insert(to);
        self.keeps_forgotten_word(node, term, to);
        Ok(())
    }

    /// A solicitation or an announcement of this node's own proposal leaves.
    pub(crate) fn proposal_leaves(&mut self, (node, run): Run, me: NodeId, term: Term) -> Checked {
        let key = (node, self.member(node).incarnation, term);
        if self.elections.unproposed.contains(&key) {
            self.give_up(|| {
                format!("{node} proposes {term} again, and has forgotten the first time")
            });
        }
        let first = *self.elections.proposals.entry(key).or_insert(run);
        ensure(first == run, Invariant::OnePromise, || {
            format!("{node} proposes {term} in run {run}, it had done so in run {first}")
        })?;
        self.keeps_forgotten_word(node, term, me);
        Ok(())
    }

    /// A node does what only a master does.
    pub(crate) fn acts_as_master(&mut self, (node, run): Run, term: Term, how: &str) -> Checked {
        let first = *self.elections.masters.entry(term).or_insert((node, run));
        // Who has forgotten that it reigned may solicit the term again, and name whomever it likes.
        if first != (node, run) && self.may_speak_again(first.0, term) {
            self.give_up(|| {
                format!(
                    "{node} reigns in {term}, of which {} was master and has forgotten it",
                    first.0
                )
            });
            return Ok(());
        }
        ensure(first == (node, run), Invariant::ElectionSafety, || {
            let (other, other_run) = first;
            format!(
                "{node} (run {run}) {how} in {term}, of which {other} (run {other_run}) is master"
            )
        })
    }

    /// Whether the term is known to be another run's, or another node's.
    pub(crate) fn is_reigned_by_another(&self, of: Run, term: Term) -> bool {
        self.elections.masters.get(&term).is_some_and(|master| *master != of)
    }

    /// A node opens its reign: before its first entry of the term is added to its log.
    pub(crate) fn opens_term(&mut self, (node, run): Run, term: Term) -> Checked {
        self.acts_as_master((node, run), term, "opens a reign")?;
        let opened = self.elections.opened.get(&node).copied().unwrap_or_default();
        ensure(term > opened, Invariant::OnePromise, || {
            format!("{node} reigns in {term} on a promise of an earlier run")
        })?;
        self.is_elected((node, run), term)?;
        self.is_complete(node, term)?;
        self.has_what_was_shown(node, term)?;
        self.elections.asked = self.elections.asked.max(term);
        self.holds_what_a_majority_holds(node, term)
    }

    /// Whether the newest master has acted as one, and has not opened its term, as its entry could not be durable (decision 35): nobody has asked it what
    /// it lacks.
    pub(super) fn is_a_master_unasked(&self) -> bool {
        self.elections.masters.keys().next_back().is_some_and(|term| *term > self.elections.asked)
    }

    /// Whether a later term has had its master.
    pub(super) fn has_opened_after(&self, term: Term) -> bool {
        self.elections.masters.range(term.next()..).next().is_some()
    }

    /// I-6 for a new master.
    fn is_complete(&mut self, node: Machine, term: Term) -> Checked {
        let Some(at) = self.claims.iter().rposition(|claim| claim.in_term < term) else {
            return Ok(());
        };
        let entry = self.member(node).log.get(at);
        let lacks = entry.is_none_or(|entry| entry.chain != self.claims[at].chain);
        // Who is cut short ranks lower, so that a log may win over it that lacks more than what went: everything up to the last
        // entry that an image took may be lost with that entry.
        if lacks && self.is_at_risk(at, self.claims[at].chain) {
            self.give_up(|| format!("{node} is master of {term} without what went with an image"));
            return Ok(());
        }
        let (log, claim) = (&self.member(node).log, &self.claims[at]);
        let held = log.get(at).is_some_and(|entry| entry.chain == claim.chain);
        ensure(held, Invariant::LeaderCompleteness, || {
            let missing =
                (0..=at).find(|i| log.get(*i).is_none_or(|e| e.chain != self.claims[*i].chain));
            let first = missing.map_or(0, |i| i + 1);
            format!(
                "{node} is master of {term}; entries {first}..={} (durable since {}) are missing or others; its log ends at {}",
                at + 1,
                claim.in_term,
                log.len()
            )
        })
    }
}
