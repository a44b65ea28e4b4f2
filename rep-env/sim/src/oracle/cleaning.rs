//! What is removed at the head of a log, and who needs it: I-30.

use super::{Checked, Entry, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_vlsn::Vlsn;

/// What a node that cleans has to look at besides the logs of the others.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Needs {
    /// What its store cannot lose.
    pub(crate) checkpoint: Vlsn,
    /// More than that is not kept for others.
    pub(crate) beyond_bounds: bool,
}

/// What a log may take of a disk at most (decision 20).
#[derive(Clone, Copy, Debug)]
pub(crate) struct LogBound {
    /// Bytes that are kept for others.
    pub(crate) retention: u64,
    /// Bytes after which a checkpoint is due.
    pub(crate) checkpoint: u64,
    /// Bytes that may wait for the disk.
    pub(crate) unsynced: u64,
    /// Bytes of a file.
    pub(crate) segment: u64,
}

impl LogBound {
    /// Twice what is kept for others: a copy may be given, or its taker be fed.
    fn bytes_max(&self) -> u64 {
        let LogBound { retention, checkpoint, unsynced, segment } = *self;
        let kept = retention.saturating_mul(2);
        [checkpoint, unsynced, segment.saturating_mul(3)]
            .into_iter()
            .fold(kept, u64::saturating_add)
    }
}

impl Oracle {
    /// I-47: a log takes so many bytes of its disk.
    pub(crate) fn takes(&self, node: Machine, bytes: u64, bound: &LogBound) -> Checked {
        let most = bound.bytes_max();
        ensure(bytes <= most, Invariant::LogBounded, || {
            format!("the log of {node} takes {bytes} bytes, {most} are its bound")
        })
    }

    /// A node is about to remove entries before `before`.
    pub(crate) fn cleans(&mut self, node: Machine, before: Vlsn, needs: Needs) -> Checked {
        let Needs { checkpoint, beyond_bounds } = needs;
        ensure(before <= checkpoint, Invariant::PurgeSafety, || {
            format!(
                "{node} cleans its log before {before}, its store is durable up to {checkpoint}"
            )
        })?;
        let copies = self.ruling_or_first(node).copies();
        let needy = copies.filter(|listed| listed.machine != node).find(|listed| {
            let member = self.member(listed.machine);
            let present = listed.is(listed.machine, member.incarnation);
            let lives = present && !member.damaged && member.forgotten.is_none();
            lives && (member.durable as u64) < before.prev().get()
        });
        let needy = needy.map(|listed| listed.machine);
        ensure(beyond_bounds || needy.is_none(), Invariant::PurgeSafety, || {
            let durable = needy.map_or(0, |id| self.member(id).durable);
            format!(
                "{node} cleans its log before {before}; {needy:?} has synced {durable} entries only"
            )
        })?;
        let member = self.member_mut(node);
        member.cleaned = member.cleaned.max(before.prev().get() as usize);
        Ok(())
    }

    /// What the head of its log said is about to be kept beside it.
    pub(crate) fn keeps_head(&mut self, node: Machine) {
        self.member_mut(node).keeps_head = true;
    }

    /// A log begins at `first`: what was damaged before that has gone with its file.
    pub(crate) fn begins(&mut self, node: Machine, first: Vlsn) {
        let member = self.member_mut(node);
        if member.damaged && member.rotten < first.get() {
            member.damaged = false;
            member.lost.clear();
        }
    }

    /// The entries before the first that a log begins with: what they were, if they may be gone.
    pub(super) fn cleaned_away(
        &self,
        node: Machine,
        first: Vlsn,
    ) -> Result<Vec<Entry>, super::Violation> {
        let gone = first.prev().get() as usize;
        let member = self.member(node);
        ensure(gone <= member.cleaned, Invariant::PurgeSafety, || {
            format!("the log of {node} begins at {first}; it was cleaned up to {}", member.cleaned)
        })?;
        let known = [&member.log, &member.before_image].into_iter().find(|log| log.len() >= gone);
        let known = known.ok_or_else(|| super::Violation {
            invariant: Invariant::PurgeSafety,
            what: format!("the log of {node} begins at {first}, and it never held what is before"),
        })?;
        Ok(known[..gone].to_vec())
    }
}
