//! A quorum is lost for good, and an operator has the group go on from what is left (`recover --force-quorum`).
//!
//! The lost may have gone on without the survivors before they were lost, in terms of which those never heard. While the order is carried out the power fails, again and again. Then
//! the group serves, who comes back with its old directory is told that it was removed, and all are members in the end.

use super::{reached, settled};
use crate::machine::Machine;
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// Election timeouts within which each stage comes.
const WITHIN: u32 = 50;
/// So many masters the lost have, at most, of which the survivors do not hear.
const REIGNS_MAX: u64 = 4;

pub(super) fn world(seed: u64) -> Swarm {
    let mut swarm = Swarm::healthy(seed, Duration::from_secs(1));
    swarm.nodes = if seed.is_multiple_of(3) { 5 } else { 3 };
    swarm.disk.slow = None;
    swarm.load.weak = 0.0;
    swarm.members.join = true;
    swarm
}

pub(super) fn play(world: &mut World) {
    if settled(world).is_none() {
        return;
    }
    world.run_for(world.swarm.election_timeout * 5);
    // What the lost alone had acknowledged would be lost with them, and nobody promises otherwise.
    world.faults.load_on = false;
    let limit = world.swarm.election_timeout_max() * WITHIN;
    if !reached(world, limit, "a group at rest", World::has_converged) {
        return;
    }
    let (survivors, lost) = divide(world);
    let went_on = world.rngs.process.chance(0.6);
    if went_on && !go_on_without(world, &survivors, &lost) {
        return;
    }
    lost.iter().for_each(|id| world.crash(*id, Crash::PowerCut));
    let Some(id) = survivors.iter().copied().max_by_key(|id| world.oracle.member(*id).durable)
    else {
        return;
    };
    let how = world.rngs.process.pick(&[Crash::Kill, Crash::PowerCut, Crash::Close]);
    world.crash(id, how);
    let named = if world.rngs.process.chance(0.5) { survivors } else { vec![id] };
    if !world.force_quorum(id, &named) {
        return;
    }
    world.ids().into_iter().for_each(|id| world.rejoin(id));
    world.start(id);
    if serves(world) && come_back(world, &lost, went_on) {
        world.prove_life();
    }
}

/// Survivors that are no quorum, and the others.
fn divide(world: &mut World) -> (Vec<Machine>, Vec<Machine>) {
    let mut all = world.ids();
    let most = all.len() - world.swarm.majority();
    let mut survivors = Vec::new();
    for _ in 0..world.rngs.process.between(1, most as u64) {
        let at = world.rngs.process.below(all.len() as u64) as usize;
        survivors.push(all.swap_remove(at));
    }
    (survivors, all)
}

/// Those who will be lost elect masters, and the survivors hear nothing of that.
fn go_on_without(world: &mut World, survivors: &[Machine], lost: &[Machine]) -> bool {
    for (survivor, other) in survivors.iter().flat_map(|id| lost.iter().map(move |it| (*id, *it))) {
        world.cut_for(survivor, other, None);
        world.cut_for(other, survivor, None);
    }
    let limit = world.swarm.election_timeout_max() * WITHIN;
    for _ in 0..world.rngs.process.between(1, REIGNS_MAX) {
        let among = lost.to_vec();
        let before = world.oracle.committed();
        if let Some(master) = world.running_master().filter(|id| lost.contains(id)) {
            world.crash(master, Crash::Kill);
            world.run_for(world.swarm.election_timeout / 10);
            world.start(master);
        }
        let goes_on = reached(world, limit, "a reign without the survivors", move |world| {
            let master = world.running_master().filter(|id| among.contains(id));
            master.is_some() && world.oracle.committed() > before
        });
        if !goes_on {
            return false;
        }
    }
    true
}

fn serves(world: &mut World) -> bool {
    let (begun, limit) = (world.now, world.swarm.election_timeout_max() * WITHIN);
    // Callers who had been told to rest have gone home.
    world.faults.load_on = true;
    world.add_clients(world.swarm.load.clients);
    reached(world, limit, "a write after the quorum was forced", move |world| {
        world.faults.acked_at.is_some_and(|(_, at)| at > begun)
    })
}

/// One after the other: so many at once that they were a quorum could go on as one, which is what the order forbids. Some come back with what they had, are told, and end; and all join.
fn come_back(world: &mut World, lost: &[Machine], went_on: bool) -> bool {
    let limit = world.swarm.election_timeout_max() * WITHIN;
    for id in lost.iter().copied() {
        if !went_on && world.rngs.process.chance(0.7) {
            world.start(id);
            let is_told = move |world: &World| {
                world.process(id).live.as_ref().is_some_and(|live| live.removed)
            };
            if !reached(world, limit, "word to who was cast out", is_told) {
                return false;
            }
        }
        world.wipe(id);
        world.start(id);
    }
    true
}
