//! Lives and deaths of processes and disks: what a log is after a crash (I-7, I-10, I-12, I-14, I-16).

use super::{Checked, Invariant, Member, Oracle, ensure};
use crate::machine::Machine;
use bytes::Bytes;
use rep_vlsn::{Incarnation, LogPoint, Vlsn};

impl Oracle {
    /// A process is gone, and with it what was only in its memory. `powered`: its machine lives, so what was written is
    /// there.
    pub(crate) fn stopped(&mut self, node: Machine, powered: bool) {
        let member = self.member_mut(node);
        member.power_lost |= !powered;
        member.dvlsn = 0;
        member.cvlsn = 0;
        member.applied = 0;
    }

    /// A directory is wiped: the member is another incarnation from now on.
    pub(crate) fn wiped(&mut self, node: Machine, incarnation: Incarnation) {
        self.notes_durable_rolls();
        let (counted, listed) = (self.ever_counted(node), self.ever_listed(node));
        let member = self.member_mut(node);
        if counted {
            member.lets_go(0);
        }
        let (before, durable) = (member.incarnation, member.durable);
        let Member { held, mut log, mut former, lost, gone, vouched, .. } = std::mem::take(member);
        log.truncate(durable);
        // A learner may be made a voter before anybody knows that it has lost what it acknowledged.
        if listed {
            let longest = [log, lost, vouched].into_iter().max_by_key(Vec::len);
            former.extend(longest.map(|log| (before, log)));
        }
        *member = Member { incarnation, former, gone, held, ..Member::default() };
    }

    /// A disk is damaged at or below its mark, or in what says who it is or what it has promised: nobody may open it.
    pub(crate) fn damaged(&mut self, node: Machine) {
        let listed = self.ever_listed(node);
        let member = self.member_mut(node);
        if std::mem::replace(&mut member.damaged, true) {
            return;
        }
        member.rotten = u64::MAX;
        if listed {
            let held = [&member.log[..member.durable], &member.vouched];
            member.lost = held.into_iter().max_by_key(|log| log.len()).unwrap_or_default().to_vec();
        }
    }

    /// An entry at or below the mark is damaged: as long as its file is there nobody may open the disk.
    pub(crate) fn rotten(&mut self, node: Machine, entry: u64) {
        let before = self.member(node).damaged.then_some(self.member(node).rotten);
        self.damaged(node);
        self.member_mut(node).rotten = before.unwrap_or(0).max(entry);
    }

    /// Something on a disk has worn that may cost the member its directory, and no entry.
    pub(crate) fn worn(&mut self, node: Machine) {
        self.member_mut(node).worn = true;
    }

    /// A mark is not what it was: what it vouched for is there, and nobody vouches for it.
    pub(crate) fn unmarked(&mut self, node: Machine) {
        let member = self.member_mut(node);
        (member.marked, member.noted) = (0, 0);
    }

    /// Whether a mark vouches for the entry that is damaged. One that did may have been cut since, with the entries behind it: then the damage
    /// is taken for a torn tail, which is the stated limit of marks.
    pub(crate) fn is_vouched_for(&self, node: Machine) -> bool {
        let member = self.member(node);
        member.rotten == u64::MAX || member.rotten <= member.marked as u64
    }

    /// Whether a member may be refused its directory.
    pub(crate) fn is_spoilt(&self, node: Machine) -> bool {
        let member = self.member(node);
        member.damaged || member.worn
    }

    /// The disk is what it was before it wore.
    pub(crate) fn mended(&mut self, node: Machine) {
        let counted = self.ever_counted(node);
        let member = self.member_mut(node);
        (member.damaged, member.worn) = (false, false);
        if counted {
            member.lost.clear();
        }
    }

    /// A log has failed under a process that lives on and ranks by what is synced: what it had only written counts for nothing,
    /// also if it is found again later.
    pub(crate) fn log_failed(&mut self, node: Machine) {
        self.log_in_doubt(node);
        self.forget_claims_of_the_few();
    }

    /// The disk has failed the log: what is not synced may be gone, though process and machine live.
    pub(crate) fn log_in_doubt(&mut self, node: Machine) {
        let member = self.member_mut(node);
        member.lets_go(member.durable);
        member.written = member.written.min(member.durable);
    }

    pub(crate) fn born(&mut self, node: Machine, incarnation: Incarnation) {
        self.member_mut(node).incarnation = incarnation;
    }

    /// A log was recovered. It must hold what was acknowledged, nothing but what was staged, and reach the
    /// mark; applied and dvlsn start within it.
    pub(crate) fn recovered(
        &mut self,
        node: Machine,
        first: Vlsn,
        entries: Vec<(LogPoint, Bytes)>,
        (applied, dvlsn): (Vlsn, Vlsn),
    ) -> Checked {
        let gone = self.cleaned_away(node, first)?;
        let found = gone.len() + entries.len();
        let member = self.member(node);
        let (acked, durable, marked) = (member.acked, member.durable, member.marked);
        ensure(found >= marked, Invariant::CorruptionIsNotACrash, || {
            format!(
                "the log of {node} ends at {found} after recovery, its mark vouched for {marked}"
            )
        })?;
        ensure(found >= acked.max(durable), Invariant::AckAfterSync, || {
            format!(
                "the log of {node} ends at {found} after recovery; {durable} were synced, {acked} acknowledged"
            )
        })?;
        let (written, powered) = (member.written, !member.power_lost);
        ensure(found >= written || !powered, Invariant::AckAfterSync, || {
            format!(
                "the log of {node} ends at {found} after recovery; a killed process had written {written}"
            )
        })?;
        ensure(applied.get() <= found as u64, Invariant::AppliedBound, || {
            format!("the store of {node} holds {applied}, its log ends at {found}")
        })?;
        ensure(applied.get() >= gone.len() as u64, Invariant::PurgeSafety, || {
            format!("the store of {node} holds {applied}, its log begins at {first}")
        })?;
        self.member_mut(node).lets_go(found);
        let cleaned = gone.len();
        let staged = std::mem::replace(&mut self.member_mut(node).log, gone);
        for (at, (point, bytes)) in (cleaned..).zip(entries) {
            // What was staged and not synced may be there or not; and a cut may not have happened yet.
            let known = staged.get(at).is_some_and(|entry| entry.bytes == bytes);
            let seen = known || self.entries.contains_key(&(point.vlsn.get(), point.term.get()));
            ensure(seen, Invariant::VlsnDense, || {
                format!("{node} recovered {point}, which nobody wrote")
            })?;
            self.appended(node, point, bytes)?;
        }
        self.opens_with(node, applied.get(), dvlsn.get())?;
        let member = self.member_mut(node);
        member.durable = found;
        member.written = found;
        member.power_lost = false;
        member.worn = false;
        member.marked = found;
        member.applied = applied.get();
        member.dvlsn = dvlsn.get();
        member.cvlsn = dvlsn.get();
        Ok(())
    }

    /// What a node opens with is what its disk was told, and true: a mark that told too much would have it apply, and
    /// refuse to cut, what nobody promised; one that told too little would have it cut what it knew to be durable.
    fn opens_with(&self, node: Machine, applied: u64, dvlsn: u64) -> Checked {
        // A mark may tell of more than its log had got to: then it speaks of all that there is.
        let noted = self.member(node).noted.min(self.member(node).log.len() as u64);
        ensure(dvlsn >= noted.max(applied), Invariant::DvlsnTruthful, || {
            format!(
                "{node} opens with a dvlsn of {dvlsn}; its marks had told {noted}, its store holds {applied}"
            )
        })?;
        let Some(at) = (dvlsn as usize).checked_sub(1) else { return Ok(()) };
        let (claim, entry) = (self.claims.get(at), self.member(node).log.get(at));
        let same = claim.zip(entry).is_some_and(|(claim, entry)| claim.chain == entry.chain);
        ensure(same, Invariant::DvlsnTruthful, || {
            format!(
                "{node} opens with a dvlsn of {dvlsn}, and nobody ever had that entry durable in the group"
            )
        })
    }
}
