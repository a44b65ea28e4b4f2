//! The budget: whose disk may still lose something.

use crate::machine::Machine;
use crate::world::World;

impl World {
    pub(super) fn may_spend(&self, id: Machine) -> bool {
        let spent: Vec<Machine> =
            self.faults.spent.iter().copied().filter(|it| !self.is_made_good(*it)).collect();
        let within = spent.contains(&id) || spent.len() < self.damaged_max(id);
        // Even the reckless leave one member that remembers the group: if none did, the rest would be right to
        // found another.
        let remembers = |other: &Machine| {
            *other != id && !spent.contains(other) && self.oracle.member(*other).durable > 0
        };
        self.oracle.committed() > 0 && within && self.ids().iter().any(remembers)
    }

    /// How many may be damaged at once: where members come and go, of those that vote by now. A designated member has all that is durable, so that
    /// the other one may be damaged.
    fn damaged_max(&self, id: Machine) -> usize {
        let (most, nodes) = (self.swarm.process.damaged_max, self.swarm.nodes);
        let reckless = most > (nodes - 1) / 2;
        let roll = self.oracle.settled_roll();
        if !reckless && roll.designated().is_some() {
            return usize::from(!self.oracle.is_designated(id, roll));
        }
        if reckless || !self.swarm.members.join {
            return most as usize;
        }
        let voters = self.oracle.settled_roll().voters().count();
        (voters.saturating_sub(1) / 2).min(most.max(1) as usize)
    }

    /// What it lost it has again: it is a voter, with all that is durable.
    fn is_made_good(&self, id: Machine) -> bool {
        self.swarm.members.join && self.oracle.is_whole(id)
    }
}
