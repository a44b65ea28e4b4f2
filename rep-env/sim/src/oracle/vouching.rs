//! An arbiter's word: I-45, I-46 and I-25.
//!
//! What an arbiter vouches for counts as if it held it: so is every quorum counted here. It is therefore known which log its master meant, up to that point,
//! and for how much its word may be asked.

use super::{Checked, Entry, Invariant, Member, Oracle, Part, Roll, ensure};
use crate::machine::Machine;
use rep_vlsn::LogPoint;

impl Oracle {
    /// I-46: a master asks an arbiter to vouch for its own log, as far as that becomes durable by it.
    pub(crate) fn asks_to_vouch(&mut self, master: Machine, point: LogPoint) -> Checked {
        let at = point.vlsn.get() as usize;
        let log = &self.member(master).log;
        let own = log.get(at.wrapping_sub(1)).filter(|entry| entry.term == point.term).cloned();
        let synced = self.member(master).durable >= at;
        let Some(Entry { chain, .. }) = own.filter(|_| synced) else {
            let what = format!("{master} asks to vouch for {point}, which its own disk lacks");
            return ensure(false, Invariant::VouchAsked, || what);
        };
        let holders = |roll: &&Roll| {
            let holds = |it: &super::Listed| self.holds_as(it, point.vlsn.get(), point.term, chain);
            roll.copies().filter(holds).count()
        };
        let rolls = self.rolls_from(master, point.vlsn.get());
        let enough = rolls.iter().any(|roll| holders(roll) + 1 >= roll.commit());
        ensure(enough, Invariant::VouchAsked, || {
            let counted: Vec<_> = rolls.iter().map(|roll| (holders(roll), roll.commit())).collect();
            format!(
                "{master} asks to vouch for {point}, which that makes not durable: {counted:?} (copies, needed)"
            )
        })?;
        let upto = self.member(master).log[..at].to_vec();
        self.asked_to_vouch.insert((point.vlsn.get(), point.term.get()), upto);
        Ok(())
    }

    /// I-45: the disk of an arbiter holds that it vouches for this.
    pub(crate) fn vouch_durable(&mut self, node: Machine, point: LogPoint) -> Checked {
        let before = self.member(node).vouched_upto();
        ensure(point >= before, Invariant::VouchKept, || {
            format!("{node} vouched for {before}, and writes {point} in its place")
        })?;
        let asked = self.asked_to_vouch.get(&(point.vlsn.get(), point.term.get())).cloned();
        let Some(log) = asked else {
            let what = format!("{node} vouches for {point}, and nobody asked it to");
            return ensure(false, Invariant::VouchKept, || what);
        };
        self.member_mut(node).vouched = log;
        Ok(())
    }

    /// The same of a directory that is opened: what was being written when it was left may be there.
    pub(crate) fn vouch_opened(&mut self, node: Machine, point: LogPoint) -> Checked {
        let before = self.member(node).vouched_upto();
        if point == before {
            return Ok(());
        }
        self.vouch_durable(node, point)
    }

    /// I-25: whoever holds no data, or has no vote, is no master.
    pub(super) fn may_reign(&self, node: Machine, roll: &Roll) -> Checked {
        let part = roll.lists(node, self.member(node).incarnation);
        let never = matches!(part, Some(Part::Arbiter | Part::Copy | Part::Monitor));
        ensure(!never, Invariant::ConfigOverlap, || {
            format!("{node} is master, and no more than {part:?} by {}", roll.at)
        })
    }

    /// Whether that directory votes, and holds no data.
    pub(crate) fn is_arbiter(&self, node: Machine) -> bool {
        let arbiter = self.settled_roll().arbiter();
        arbiter.is_some_and(|it| it.is(node, self.member(node).incarnation))
    }

    /// Whether that directory only watches, or votes and holds no data.
    pub(crate) fn holds_no_data(&self, node: Machine) -> bool {
        let part = self.settled_roll().lists(node, self.member(node).incarnation);
        matches!(part, Some(Part::Arbiter | Part::Monitor))
    }

    /// Whether an arbiter among these, if there is one, would help somebody among them to be master: who lacks what it vouched for is
    /// no candidate of its (the price that decision 27 states).
    pub(crate) fn arbiter_helps(&self, roll: &Roll, among: &[Machine]) -> bool {
        let Some(arbiter) = roll.arbiter().filter(|it| among.contains(&it.machine)) else {
            return true;
        };
        let word = self.member(arbiter.machine).vouched_upto();
        let has = |it: &super::Listed| {
            among.contains(&it.machine)
                && (word == LogPoint::NULL || self.member(it.machine).has(word, true))
        };
        roll.copies().any(|it| has(&it))
    }
}

impl Member {
    /// The last entry that it vouches for.
    fn vouched_upto(&self) -> LogPoint {
        let last = self.vouched.last().map(|entry| entry.term);
        let vlsn = rep_vlsn::Vlsn::new(self.vouched.len() as u64);
        last.map_or(LogPoint::NULL, |term| LogPoint::new(term, vlsn))
    }

    pub(super) fn vouches_for(&self, point: LogPoint) -> bool {
        let entry = self.vouched.get((point.vlsn.get() as usize).wrapping_sub(1));
        entry.is_some_and(|entry| entry.term == point.term)
    }
}
