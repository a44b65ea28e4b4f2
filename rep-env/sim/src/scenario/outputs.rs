//! A crash after each output, one after the other.
//!
//! One story: a group is founded and serves, its master is cut off with a tail of its own, another reigns, and the first comes back.
//! The seed of number n plays the story in which whoever carries out the n-th output of all ends with that, in the middle of its
//! step; the first thousands by a kill, the next by a power cut. So no place between two outputs is left to chance.

use crate::faults::LastOutput;
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// No story has more outputs.
const OUTPUTS_MAX: u64 = 1_600;

pub(super) fn world(_seed: u64) -> Swarm {
    let mut swarm = Swarm::calm(3);
    swarm.load.clients = 2;
    swarm.load.pause = Duration::from_millis(60);
    swarm.process.away = swarm.election_timeout / 3;
    swarm
}

pub(super) fn play(world: &mut World) {
    let timeout = world.swarm.election_timeout_max();
    let how = [Crash::Kill, Crash::PowerCut][(world.seed / OUTPUTS_MAX % 2) as usize];
    world.faults.on = true;
    world.faults.last_output = Some(LastOutput { left: world.seed % OUTPUTS_MAX, how });
    world.ids().into_iter().for_each(|id| world.start(id));
    world.add_clients(world.swarm.load.clients);
    world.run_for(timeout * 3);
    if let Some(master) = world.master() {
        world.isolate(master);
        world.faults.lure = Some(master);
        world.run_for(timeout / 4);
        world.faults.lure = None;
        world.run_for(timeout * 2);
        world.rejoin(master);
        world.run_for(timeout * 2);
    }
    world.prove_life();
}
