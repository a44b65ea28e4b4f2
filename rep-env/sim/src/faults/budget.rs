//! The budget: whose disk may still lose something.

use crate::world::World;
use rep_vlsn::NodeId;

impl World {
    pub(super) fn may_spend(&self, id: NodeId) -> bool {
        let spent = &self.faults.spent;
        let within = spent.contains(&id) || spent.len() < self.swarm.process.damaged_max as usize;
        // Even the reckless leave one member that remembers the group: if none did, the rest would be right to
        // found another.
        let remembers = |other: &NodeId| {
            *other != id && !spent.contains(other) && self.oracle.member(*other).durable > 0
        };
        self.oracle.committed() > 0 && within && self.ids().iter().any(remembers)
    }
}
