//! A designated member: whom it has heard, and whom it goes on without.

use crate::machine::Machine;
use crate::oracle::{Listed, Roll};
use crate::world::World;
use rep_vlsn::NodeId;

/// Election timeouts for which the other one was silent, at least, when somebody goes on alone: half of what members wait, so that drifting clocks
/// and a slow disk between the decision and the entry make no difference.
const SILENCE: u32 = 4;

impl World {
    pub(super) fn has_heard(&mut self, id: Machine, peer: NodeId) {
        let (now, asked) = (self.now, self.swarm.members.designates_per_s > 0.0);
        if let Some(live) = self.live_mut(id).filter(|_| asked) {
            live.heard.insert(peer, now);
        }
    }

    /// I-31: a master that goes on without the other voter has not heard it for long. One whose clock has leapt cannot know.
    pub(super) fn goes_on_alone(&mut self, id: Machine, before: &Roll) {
        self.counts.overrides += 1;
        let me = before.designated().map(|(number, _)| number);
        // A directory that is gone says nothing any more, whatever is heard of its machine; and who says itself that it has no vote is not waited for.
        let is_there = |it: &Listed| {
            let present = it.incarnation == Some(self.process(it.machine).incarnation);
            present && !self.oracle.knows_that_it_learns(it.machine)
        };
        let others = before.voters().filter(|(number, it)| Some(*number) != me && is_there(it));
        let others: Vec<NodeId> = others.map(|(number, _)| number).collect();
        let Some(live) = self.live_mut(id) else { return };
        let heard = others.iter().filter_map(|it| live.heard.get(it)).max().copied();
        let since = self.now.saturating_sub(self.swarm.election_timeout * SILENCE);
        let leapt = |at| self.process(id).has_leapt(at);
        let heard = heard.is_some_and(|at| at > since && !leapt(at));
        let checked = self.oracle.goes_alone(id, heard);
        self.check(checked);
    }
}
