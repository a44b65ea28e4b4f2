//! What is found rotten, and what is not: I-52.

use super::{Checked, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_vlsn::Vlsn;

impl Oracle {
    /// A scrub says that an entry has rotted. `doubtful`: its disk has failed a sync.
    pub(crate) fn finds_rot(&self, node: Machine, vlsn: Vlsn, doubtful: bool) -> Checked {
        ensure(self.is_spoilt(node) || doubtful, Invariant::ScrubHonest, || {
            format!("{node} finds entry {vlsn} rotten, and nobody touched its disk")
        })
    }

    /// A scrub has read all files but that which begins with `newest`, and found nothing that had been there when it began.
    pub(crate) fn has_scrubbed(&self, node: Machine, newest: Vlsn) -> Checked {
        let member = self.member(node);
        let missed = member.damaged && member.rotten < newest.get();
        ensure(!missed, Invariant::ScrubHonest, || {
            format!(
                "{node} has read all entries before {newest} again, and has not found that entry {} is rotten",
                member.rotten
            )
        })
    }
}
