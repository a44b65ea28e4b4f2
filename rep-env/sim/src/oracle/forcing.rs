//! A quorum that an operator forces: what may be relied on afterwards (I-51).

use super::{Checked, Invariant, Oracle, Roll, ensure};
use crate::machine::Machine;
use crate::trace::digest;
use bytes::Bytes;
use rep_node::{Forced, Membership};
use rep_vlsn::{LogPoint, Record, Term};

impl Oracle {
    /// What is about to be written, before any of it is: it stands in a term that nobody has ever known, behind all that the directory has durably,
    /// and gives no number twice.
    pub(crate) fn forces(&self, node: Machine, forced: &Forced) -> Checked {
        let known = self.highest_term();
        ensure(forced.fence.term > known, Invariant::QuorumForced, || {
            format!("{node} forces a quorum in {}; {known} was somebody's", forced.fence.term)
        })?;
        let durable = self.member(node).durable as u64;
        ensure(forced.after.vlsn.get() >= durable, Invariant::QuorumForced, || {
            format!("{node} forces a quorum behind {}, and had synced {durable}", forced.after)
        })?;
        let given = self.rolls.values().map(|roll| roll.next).max();
        let next = forced.membership.next_id;
        ensure(given.is_none_or(|given| next >= given), Invariant::QuorumForced, || {
            format!("{node} forces a quorum that would give number {next} next; {given:?} would be")
        })?;
        let kept = Roll::of(&forced.membership);
        let casts_out = |roll: &Roll| {
            let mut out = forced.cast_out.iter();
            out.all(|member| !roll.members.contains_key(&member.id))
        };
        ensure(kept.as_ref().is_some_and(casts_out), Invariant::QuorumForced, || {
            format!("{node} casts out {:?}, and keeps {kept:?}", forced.cast_out)
        })
    }

    /// The directory holds these entries, all from the first on, and the group is what they say: of what others had and it has not nothing is promised any more.
    /// What was acknowledged stays what it was.
    pub(crate) fn goes_on_from(&mut self, node: Machine, entries: &[(LogPoint, Bytes)]) -> Checked {
        let (mut chain, mut same) = (0, 0);
        for (at, (point, bytes)) in entries.iter().enumerate() {
            chain = digest(chain, bytes);
            self.matches(node, *point, chain)?;
            let durable = self.claims.get(at).is_some_and(|claim| claim.chain == chain);
            same += usize::from(durable && same == at);
            self.enrol(bytes);
        }
        let held = self.acked.iter().all(|point| entries.iter().any(|(at, _)| at == point));
        ensure(held, Invariant::QuorumForced, || {
            format!("{node} had all that was acknowledged, and a quorum was forced without it")
        })?;
        self.claims.truncate(same);
        self.claimed_at.iter_mut().for_each(|(_, count)| *count = (*count).min(same));
        self.states.retain(|vlsn, _| *vlsn <= same as u64);
        self.cvlsn_max = self.cvlsn_max.min(same as u64);
        self.shown = self.shown.min(same as u64);
        Ok(())
    }

    fn enrol(&mut self, bytes: &Bytes) {
        let Ok(record) = Record::split_from(&mut bytes.clone()) else { return };
        if record.header().kind.says_members()
            && let Ok(membership) = Membership::from_record(&record)
        {
            Roll::of(&membership).into_iter().for_each(|roll| self.enrolled(roll));
        }
    }

    /// The highest in which anybody has written anything, or of which anybody has durably heard.
    fn highest_term(&self) -> Term {
        let written = self.entries.keys().map(|(_, term)| Term::new(*term)).max();
        written.unwrap_or_default().max(self.highest_fence())
    }
}
