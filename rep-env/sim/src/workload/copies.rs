//! Operators: now and then somebody has a member fetch a copy of the state, whether it needs one or not.

use crate::world::World;

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
        self.counts.ordered += u64::from(taken == Some(true));
    }
}
