//! The swarm, with an arbiter or secondaries beside the members that a seed draws: in every world, and not in one of twenty.

use crate::run::swarm_play;
use crate::swarm::Swarm;
use crate::world::World;

pub(super) fn world(seed: u64) -> Swarm {
    Swarm::with_roles(seed)
}

pub(super) fn play(world: &mut World) {
    swarm_play(world);
}
