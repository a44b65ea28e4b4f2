//! Entries, watermarks and states: I-5, I-7, I-9 to I-16.

use super::{Checked, Claim, Entry, Invariant, Oracle, Roll, ensure};
use crate::machine::Machine;
use crate::trace::digest;
use bytes::Bytes;
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::ops::RangeInclusive;

/// A master's or replica's watermark, as it claims it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Watermark {
    pub(crate) dvlsn: Vlsn,
    pub(crate) cvlsn: Vlsn,
    /// The term in which it is claimed.
    pub(crate) term: Term,
    pub(crate) is_master: bool,
}

/// What the local mark of a group says.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Noted {
    /// So many entries were synced.
    pub(crate) upto: usize,
    /// Up to here the group had them, as far as the node knew.
    pub(crate) dvlsn: Vlsn,
}

impl Oracle {
    /// Entries are staged in a log.
    pub(crate) fn appended(&mut self, node: Machine, point: LogPoint, bytes: Bytes) -> Checked {
        let log = &self.member(node).log;
        let (last, before) = log.last().map_or((Term::ZERO, 0), |entry| (entry.term, entry.chain));
        let next = log.len() as u64 + 1;
        ensure(point.vlsn.get() == next && point.term >= last, Invariant::VlsnDense, || {
            format!("{node} appends {point} behind {last}.{}", next - 1)
        })?;
        let chain = digest(before, &bytes);
        self.matches(node, point, chain)?;
        self.member_mut(node).log.push(Entry { term: point.term, chain, bytes });
        Ok(())
    }

    fn matches(&mut self, node: Machine, point: LogPoint, chain: u64) -> Checked {
        let key = (point.vlsn.get(), point.term.get());
        let first = *self.entries.entry(key).or_insert(chain);
        ensure(first == chain, Invariant::LogMatching, || {
            format!("{node} holds another entry, or another prefix, at {point}")
        })
    }

    /// A sync has returned: entries up to `point` are on disk, and so is the group's mark. A sync that began before a cut vouches for
    /// nothing that it dropped, nor for what has come in its place.
    pub(crate) fn synced(&mut self, node: Machine, point: LogPoint, mark: Noted) -> Checked {
        let upto = point.vlsn.get() as usize;
        let log = &self.member(node).log;
        let held = upto == 0 || log.get(upto - 1).is_some_and(|entry| entry.term == point.term);
        ensure(held, Invariant::AckAfterSync, || {
            format!("{node} says that it has synced {point}, which its log does not hold")
        })?;
        let member = self.member_mut(node);
        member.durable = upto;
        member.written = member.written.max(member.durable);
        member.marked = mark.upto;
        member.noted = member.noted.max(mark.dvlsn.get());
        Ok(())
    }

    /// The tail is cut. What it drops is gone for the node at once, and from the disk a little later.
    pub(crate) fn truncated(&mut self, node: Machine, keep: LogPoint, known: Vlsn) -> Checked {
        let member = self.member(node);
        ensure(keep.vlsn >= known, Invariant::RollbackFloor, || {
            format!("{node} cuts its log after {keep}, it knows {known} to be durable")
        })?;
        let kept = keep.vlsn.get() as usize;
        let held =
            kept == 0 || member.log.get(kept - 1).is_some_and(|entry| entry.term == keep.term);
        ensure(held, Invariant::RollbackFloor, || {
            format!("{node} keeps {keep}, which it does not hold")
        })?;
        let dropped = member.log.len().min(self.claims.len());
        let loses = (kept..dropped).find(|at| member.log[*at].chain == self.claims[*at].chain);
        ensure(loses.is_none(), Invariant::RollbackFloor, || {
            format!(
                "{node} cuts its log after {keep}; entry {} is durable in the group",
                loses.unwrap_or(0) + 1
            )
        })?;
        self.aborts_nothing_shown(node, kept)?;
        self.cuts_only_what_was_lost(node, kept)?;
        let member = self.member_mut(node);
        member.noted = 0;
        member.lets_go(kept);
        member.log.truncate(kept);
        member.cvlsn = member.cvlsn.min(kept as u64).max(member.dvlsn);
        member.written = member.written.min(kept);
        member.durable = member.durable.min(kept);
        member.marked = member.marked.min(kept);
        member.acked = member.acked.min(kept);
        Ok(())
    }

    /// A rollback is announced: it must be the very entries that were cut.
    pub(crate) fn rollback_told(
        &self,
        node: Machine,
        told: &RangeInclusive<Vlsn>,
        cut: Option<(u64, u64)>,
    ) -> Checked {
        let told = (told.start().get(), told.end().get());
        ensure(cut == Some(told), Invariant::RollbackFloor, || {
            format!("{node} announces the loss of {told:?}, cut were {cut:?}")
        })
    }

    /// An acknowledgement leaves.
    pub(crate) fn ack_leaves(
        &mut self,
        node: Machine,
        synced: LogPoint,
        received: LogPoint,
    ) -> Checked {
        let upto = synced.vlsn.get() as usize;
        let member = self.member(node);
        ensure(upto <= member.durable, Invariant::AckAfterSync, || {
            format!("{node} acknowledges {synced}, its disk holds {} entries", member.durable)
        })?;
        let held = upto == 0 || member.log[upto - 1].term == synced.term;
        ensure(held, Invariant::AckAfterSync, || {
            format!("{node} acknowledges {synced}, which it does not hold")
        })?;
        let (reached, written) = (received.vlsn.get() as usize, member.written);
        let held = reached == 0
            || member.log.get(reached - 1).is_some_and(|entry| entry.term == received.term);
        ensure(reached <= written && held, Invariant::AckAfterSync, || {
            format!("{node} says that it holds {received}; written are {written} entries")
        })?;
        ensure(self.was_admitted(node), Invariant::WipedVoter, || {
            format!("{node} is no member (was it wiped?) and acknowledges {synced}")
        })?;
        let member = self.member_mut(node);
        member.acked = member.acked.max(upto);
        Ok(())
    }

    /// A node claims that everything up to its dvlsn is durable in the group.
    pub(crate) fn watermark(&mut self, node: Machine, mark: Watermark) -> Checked {
        self.durable(node, mark)?;
        self.acknowledged(node, mark.cvlsn.get(), mark.is_master.then_some(mark.term))
    }

    fn durable(&mut self, node: Machine, mark: Watermark) -> Checked {
        let dvlsn = mark.dvlsn.get();
        let before = self.member(node).dvlsn;
        if dvlsn == before {
            return Ok(());
        }
        ensure(dvlsn > before, Invariant::DvlsnTruthful, || {
            format!("dvlsn of {node} falls from {before} to {dvlsn}")
        })?;
        self.member_mut(node).dvlsn = dvlsn;
        let log = &self.member(node).log;
        ensure(dvlsn <= log.len() as u64, Invariant::DvlsnTruthful, || {
            format!("{node} claims {dvlsn}, its log ends at {}", log.len())
        })?;
        let Entry { term, chain, .. } = log[dvlsn as usize - 1];
        ensure(!mark.is_master || term == mark.term, Invariant::OldTerm, || {
            format!(
                "{node}, master of {}, advances dvlsn to {dvlsn}, an entry of {term}",
                mark.term
            )
        })?;
        self.is_truthful(node, mark.is_master, dvlsn, (term, chain))?;
        self.claim(node, dvlsn, mark.term)
    }

    /// I-9, I-10. What others have heard of is judged when its master says so; where the members have changed since, who holds it may have gone.
    fn is_truthful(
        &self,
        node: Machine,
        is_master: bool,
        vlsn: u64,
        (term, chain): (Term, u64),
    ) -> Checked {
        let known = self.claims.get(vlsn as usize - 1).is_some_and(|claim| claim.chain == chain);
        if known && !is_master && self.has_changed() {
            return Ok(());
        }
        let rolls = match is_master {
            true => self.rolls_from(node, vlsn),
            false => self.rolls_in_use().collect(),
        };
        let verdicts =
            rolls.into_iter().map(|roll| self.is_counted(node, roll, vlsn, (term, chain)));
        verdicts.reduce(Checked::or).unwrap_or(Ok(()))
    }

    pub(super) fn is_counted(
        &self,
        node: Machine,
        roll: &Roll,
        vlsn: u64,
        (term, chain): (Term, u64),
    ) -> Checked {
        let (voters, others) = self.holders(roll, vlsn, term, chain);
        let (need, got) = (roll.commit(), voters.len());
        let point = LogPoint::new(term, Vlsn::new(vlsn));
        ensure(got + others.len() < need || got >= need, Invariant::DistinctVoters, || {
            format!(
                "{node} claims {point}; durable at {voters:?}, and only with {others:?}, who have no vote by {}, at {need}",
                roll.at
            )
        })?;
        ensure(got >= need, Invariant::DvlsnTruthful, || {
            format!("{node} claims {point}; durable at {voters:?} only, {need} are needed")
        })
    }

    fn claim(&mut self, node: Machine, dvlsn: u64, in_term: Term) -> Checked {
        let log = &self.members[&node].log;
        let known = self.claims.len();
        for entry in log.iter().take(dvlsn as usize).skip(known) {
            self.claims.push(Claim { term: entry.term, chain: entry.chain, in_term });
        }
        let at = dvlsn as usize - 1;
        let chain = log[at].chain;
        let Claim { chain: claimed, term, .. } = self.claims[at];
        let same = claimed == chain;
        if !same && (self.was_taken(at, chain) || self.was_taken(at, claimed)) {
            self.give_up(|| {
                format!("{node} claims entry {dvlsn}, and an image took one of the two")
            });
            return Ok(());
        }
        ensure(same, Invariant::AckedCommitLoss, || {
            format!("{node} claims another entry {dvlsn} than was durable before (of {term})")
        })?;
        for claim in self.claims[..=at].iter_mut().rev().take_while(|claim| claim.in_term > in_term)
        {
            claim.in_term = in_term;
        }
        Ok(())
    }

    /// A range is handed to the store.
    pub(crate) fn applying(&mut self, node: Machine, from: Vlsn, to: Vlsn) -> Checked {
        let member = self.member(node);
        let (bound, applied) = (member.dvlsn.min(member.durable as u64), member.applied);
        ensure(to.get() <= bound, Invariant::AppliedBound, || {
            format!(
                "{node} applies {from}..={to}; its dvlsn is {}, its disk holds {} entries",
                member.dvlsn, member.durable
            )
        })?;
        ensure(from.get() == applied + 1, Invariant::AppliedBound, || {
            format!("{node} applies from {from} on, its store holds {applied}")
        })
    }

    /// The store has applied up to `point`; its digest, if it was asked for.
    pub(crate) fn applied(
        &mut self,
        node: Machine,
        point: LogPoint,
        state: Option<[u8; 16]>,
    ) -> Checked {
        let vlsn = point.vlsn.get();
        self.member_mut(node).applied = vlsn;
        let Some(state) = state else { return Ok(()) };
        let first = *self.states.entry(vlsn).or_insert(state);
        ensure(first == state, Invariant::ReplicaEquality, || {
            format!("the state of {node} at {point} is not that of others there")
        })
    }
}
