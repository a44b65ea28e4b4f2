//! Secondaries that ask replicas for their entries: whoever relays falls away, again and again, and they go on.
//!
//! Nothing else is wrong, and the master is left alone: so a secondary that stays behind has not asked anybody else.

use super::{reached, settled};
use crate::process::Crash;
use crate::run::FED_WITHIN;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// So often somebody who relays falls away.
const ROUNDS: u64 = 6;
/// The same when the group begins.
const BEGUN_WITHIN: u32 = 50;

pub(super) fn world(seed: u64) -> Swarm {
    let mut swarm = Swarm::healthy(seed, Duration::from_secs(1));
    swarm.nodes = 3 + 2 * u32::from(seed.is_multiple_of(3));
    swarm.disk.slow = None;
    swarm.load.weak = 0.0;
    swarm.members.spares = 2;
    swarm.members.secondaries = 2;
    (swarm.members.join, swarm.members.relays) = (true, true);
    swarm
}

pub(super) fn play(world: &mut World) {
    if settled(world).is_none() {
        return;
    }
    let limit = world.swarm.election_timeout_max() * BEGUN_WITHIN;
    let all_relayed =
        |world: &World| world.secondaries().iter().all(|id| world.relay_of(*id).is_some());
    if !reached(world, limit, "a relay for each secondary", all_relayed) {
        return;
    }
    for _ in 0..world.rngs.process.between(1, ROUNDS) {
        if !relay_falls_away(world) {
            return;
        }
    }
    world.prove_life();
}

/// Whoever feeds one of them is gone, stopped or no longer heard by it; what is written then comes to all the same.
fn relay_falls_away(world: &mut World) -> bool {
    let secondaries = world.secondaries();
    let taker = world.rngs.process.pick(&secondaries);
    let relay = world.relay_of(taker).filter(|relay| Some(*relay) != world.master());
    let Some(relay) = relay else { return true };
    match world.rngs.process.below(4) {
        0 => world.crash(relay, Crash::Kill),
        1 => world.crash(relay, Crash::PowerCut),
        2 => world.pause(relay),
        _ => {
            world.cut_for(relay, taker, None);
            world.cut_for(taker, relay, None);
        }
    }
    let durable = world.oracle.committed();
    let limit = world.swarm.election_timeout_max() * FED_WITHIN;
    let fed = reached(world, limit, "what was written since a relay fell away", move |world| {
        world.secondaries().iter().all(|id| world.oracle.member(*id).durable as u64 > durable)
    });
    world.start(relay);
    world.resume(relay);
    world.rejoin(relay);
    world.run_for(world.swarm.election_timeout * 10);
    fed
}
