//! A group whose master is well elects no other (I-35): not under load, not for drifting clocks, not for the tails of its
//! network and disks, and not for a member that was cut off and comes back.

use super::{reached, settled};
use crate::machine::Machine;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

pub(super) fn a_minute(seed: u64) -> Swarm {
    Swarm::healthy(seed, Duration::from_secs(60))
}

/// From now on a raised fence is a violation.
fn expect_no_election(world: &mut World) -> Option<Machine> {
    let master = settled(world)?;
    let live = world.live_mut(master)?;
    world.faults.settled = Some(live.node.term());
    Some(master)
}

/// Nothing happens but work.
pub(super) fn stay_settled(world: &mut World) {
    if expect_no_election(world).is_some() {
        world.run_for(world.swarm.chaos);
        world.prove_life();
    }
}

/// Replicas are cut off, one at a time, for a moment or for many election timeouts, and come back. Whoever is alone finds out
/// that nobody would promise, so its term has not risen when it returns (the pre-vote). The next goes when the last is with its
/// master again, who else would rightly step down: it takes a redial to be back.
pub(super) fn come_and_go(world: &mut World) {
    let Some(master) = expect_no_election(world) else { return };
    let end = world.now + world.swarm.chaos;
    while world.now < end && world.failure.is_none() {
        let others: Vec<Machine> = world.ids().into_iter().filter(|id| *id != master).collect();
        let away = world.rngs.process.pick(&others);
        world.isolate(away);
        let timeouts = world.rngs.process.log_uniform(0.2, 12.0);
        world.run_for(world.swarm.election_timeout.mul_f64(timeouts));
        world.rejoin(away);
        let limit = world.swarm.election_timeout_max() * 50;
        // Until what was heard before the cut counts for nothing.
        world.run_for(world.swarm.election_timeout);
        reached(world, limit, "a master with all its replicas", World::is_whole);
        let timeouts = world.rngs.process.log_uniform(0.2, 4.0);
        world.run_for(world.swarm.election_timeout.mul_f64(timeouts));
    }
    world.prove_life();
}
