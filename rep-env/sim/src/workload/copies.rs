//! Operators: now and then somebody has a member fetch a copy of the state, whether it needs one or not.

use crate::machine::Machine;
use crate::world::{Event, World};

impl World {
    /// Any member, of any other. A master refuses, and so does who fetches one already.
    pub(super) fn order_copy(&mut self, index: usize) {
        let (node, source) = (self.any_node(), self.any_node());
        self.client_later(index, self.swarm.load.pause);
        if !self.is_reachable(node) {
            return;
        }
        self.note(node, &[80, u64::from(source.get())], || {
            format!("n{} is to fetch a copy from {source}", node.get())
        });
        let Some(number) = self.number_of(node, source) else { return };
        let taken = self.step(node, |node, now| node.restore_from(now, number).is_ok());
        if taken == Some(true) {
            self.counts.ordered += 1;
            self.may_take_it_back(node);
        }
    }

    /// The operator thinks better of it, at any moment of the copy, or when that is over.
    fn may_take_it_back(&mut self, id: Machine) {
        let (share, run) = (self.swarm.load.cancels, self.process(id).run);
        let rng = &mut self.rngs.copies;
        if share > 0.0 && rng.chance(share) {
            let after = self.swarm.election_timeout.mul_f64(rng.log_uniform(0.001, 1.0));
            self.schedule.push(self.now + after, Event::CopyCancelled { id, run });
        }
    }
}
