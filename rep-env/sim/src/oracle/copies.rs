//! Copies of the state: what may be taken, and what a log is that begins behind one (I-28, I-29).

use super::{Checked, Entry, Invariant, Oracle, ensure};
use crate::machine::Machine;
use bytes::Bytes;
use rep_vlsn::{LogPoint, Record, Term, Vlsn};

impl Oracle {
    /// A member is about to put a copy of this point in the place of what it has.
    pub(crate) fn may_take(&self, node: Machine, point: LogPoint) -> Checked {
        let log = &self.member(node).log;
        let (last, term) = (log.len() as u64, log.last().map_or(Term::ZERO, |entry| entry.term));
        ensure(
            (point.term, point.vlsn.get()) >= (term, last),
            Invariant::RestoreNotBackwards,
            || format!("{node} takes a copy of {point}; its log ends at {term}.{last}"),
        )
    }

    /// A copy is in place: the member has what the group had durably at that point, and its log the last entry of that.
    pub(crate) fn restored(&mut self, node: Machine, point: LogPoint) -> Checked {
        let durable = self.claimed_term(point.vlsn.get());
        ensure(durable == Some(point.term), Invariant::RestoreAtomic, || {
            format!("{node} is given a state of {point}; durable there is an entry of {durable:?}")
        })?;
        let upto = point.vlsn.get() as usize;
        let log = self.known_up_to(upto);
        let loses = self.durable_beyond(node, upto);
        ensure(loses.is_none(), Invariant::RestoreNotBackwards, || {
            format!(
                "{node} is given a state of {point}; its log had durable entry {loses:?} (from 0)"
            )
        })?;
        let member = self.member_mut(node);
        let same = member.log.iter().zip(&log).take_while(|(ours, all)| ours.chain == all.chain);
        let same = same.count();
        member.lets_go(same);
        member.log = log;
        (member.durable, member.written, member.marked) = (upto, upto, upto);
        member.noted = point.vlsn.get();
        member.acked = member.acked.min(upto);
        member.cleaned = member.cleaned.max(upto - 1);
        member.keeps_head = true;
        // What was damaged in its log has gone with it.
        if member.damaged && member.rotten < u64::MAX {
            member.damaged = false;
            member.lost.clear();
        }
        Ok(())
    }

    /// An entry of a member's log beyond the first ones that is durable in the group.
    fn durable_beyond(&self, node: Machine, upto: usize) -> Option<usize> {
        let log = &self.member(node).log;
        let end = log.len().min(self.claims.len());
        (upto..end).find(|at| log[*at].chain == self.claims[*at].chain)
    }

    /// The entries from `from` on and before `first`, which a member's log does not hold any more.
    pub(crate) fn entries_of(
        &self,
        node: Machine,
        from: Vlsn,
        first: Vlsn,
    ) -> Vec<rep_store::Entry> {
        let range = from.prev().get() as usize..first.prev().get() as usize;
        let gone = self.member(node).log.get(range).unwrap_or_default();
        let read = |entry: &Entry| Record::split_from(&mut entry.bytes.clone()).ok();
        gone.iter().map_while(read).map(|record| rep_store::Entry::of(&record)).collect()
    }

    /// The first entries of the group, with their bytes if any member's log has had them.
    fn known_up_to(&self, upto: usize) -> Vec<Entry> {
        let chain = self.claims[upto - 1].chain;
        let has = |log: &&Vec<Entry>| log.get(upto - 1).is_some_and(|entry| entry.chain == chain);
        let logs = self.members.values().map(|member| &member.log);
        match logs.into_iter().find(has) {
            Some(log) => log[..upto].to_vec(),
            None => {
                let of = |claim: &super::Claim| Entry {
                    term: claim.term,
                    chain: claim.chain,
                    bytes: Bytes::new(),
                };
                self.claims[..upto].iter().map(of).collect()
            }
        }
    }
}
