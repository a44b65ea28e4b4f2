//! Members come, go, move and lose their disks, masters are handed over and copies are given, for an hour: and at no time does
//! a log take more of a disk than it may (I-47).
//!
//! Nothing else is wrong: what a group does to itself by living for long is to be seen here, not what weather does to it.

use crate::run::swarm_play;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// Virtual time of a run if none is said.
pub(super) const AN_HOUR: Duration = Duration::from_secs(3_600);

pub(super) fn world(seed: u64) -> Swarm {
    Swarm::churn(seed, AN_HOUR)
}

pub(super) fn play(world: &mut World) {
    swarm_play(world);
}
