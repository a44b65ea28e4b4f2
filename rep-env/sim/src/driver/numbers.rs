//! The boundary between a world of machines and a node, which speaks of members by their numbers.

use crate::machine::Machine;
use crate::world::World;
use rep_node::Link;
use rep_vlsn::NodeId;

impl World {
    /// The machine that a node means by a number.
    pub(crate) fn machine_of(&self, at: Machine, number: NodeId) -> Option<Machine> {
        let live = self.process(at).live.as_ref()?;
        if number == live.me { Some(at) } else { live.contacts.machine(number) }
    }

    /// The number under which a node knows whoever is on that machine now.
    pub(crate) fn number_of(&self, at: Machine, other: Machine) -> Option<NodeId> {
        let live = self.process(at).live.as_ref()?;
        match other == at {
            true => Some(live.me),
            false => live.contacts.number(other, self.process(other).incarnation),
        }
    }

    /// Whom a link leads to.
    pub(crate) fn other_end(&self, at: Machine, link: Link) -> Option<Machine> {
        let (conn, side) = self.network.find(at, link.epoch)?;
        self.network.end(conn, side.other()).map(|(_, end)| end.node)
    }
}
