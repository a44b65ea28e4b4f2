//! Two members of whom one is designated: the other one is away, again and again, and the group goes on.

use super::{reached, settled};
use crate::faults::{Fault, Order};
use crate::machine::Machine;
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// So often the other one is away.
const ROUNDS: u64 = 3;
/// Election timeouts within which a write is served by one copy: the patience of a designated member, and two elections.
const ALONE_WITHIN: u32 = 12;
/// Within so many both vote again.
const BACK_WITHIN: u32 = 50;

/// A network and disks with tails, and nothing else that is wrong.
pub(super) fn world(seed: u64) -> Swarm {
    let mut swarm = Swarm::healthy(seed, Duration::from_secs(1));
    swarm.nodes = 2;
    swarm.disk.slow = None;
    // What one copy acknowledges for the asking says nothing about who is alone.
    swarm.load.weak = 0.0;
    swarm.members.join = true;
    swarm.members.designates_per_s = 1.0;
    swarm
}

pub(super) fn play(world: &mut World) {
    if settled(world).is_none() {
        return;
    }
    let one = Machine::new(world.rngs.process.between(1, 2) as u32);
    let other = Machine::new(3 - one.get());
    let limit = world.swarm.election_timeout_max() * BACK_WITHIN;
    let Some(master) = world.master() else { return };
    world.inflict(Fault::Order { at: master, order: Order::Designate { whom: one } });
    if !reached(world, limit, "a designated member", |world| world.both_vote_beside(one)) {
        return;
    }
    for _ in 0..world.rngs.process.between(1, ROUNDS) {
        if !goes_alone(world, one, other) {
            return;
        }
    }
    world.prove_life();
}

/// The other one is away, the designated one serves alone, and may lose power meanwhile; then both vote again.
fn goes_alone(world: &mut World, one: Machine, other: Machine) -> bool {
    match world.rngs.process.below(5) {
        0 => world.crash(other, Crash::Kill),
        1 => world.crash(other, Crash::PowerCut),
        2 => world.pause(other),
        3 => world.wipe(other),
        _ => world.isolate(other),
    }
    // Whoever asks the one that is cut off is sent to nobody.
    world.faults.lure = Some(one);
    if !serves_alone(world) {
        return false;
    }
    if world.rngs.process.chance(0.5) {
        world.crash(one, Crash::PowerCut);
        world.start(one);
        if !serves_alone(world) {
            return false;
        }
    }
    world.start(other);
    world.resume(other);
    world.rejoin(other);
    let limit = world.swarm.election_timeout_max() * BACK_WITHIN;
    reached(world, limit, "the way back", |world| world.both_vote_beside(one))
}

fn serves_alone(world: &mut World) -> bool {
    let (begun, limit) = (world.now, world.swarm.election_timeout_max() * ALONE_WITHIN);
    reached(world, limit, "a write beside nobody", move |world| {
        world.faults.acked_at.is_some_and(|(_, at)| at > begun)
    })
}

impl World {
    /// By what is durable, this one is designated, and another one votes.
    fn both_vote_beside(&self, one: Machine) -> bool {
        let roll = self.oracle.settled_roll();
        self.oracle.is_designated(one, roll) && roll.voters().count() == 2
    }
}
