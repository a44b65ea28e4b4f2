//! The longer log that must not win.

use super::reached;
use crate::faults::{Action, Moment, Trap};
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

/// Three members on a network that keeps its word; everything else as the seed draws it.
pub(super) fn world(seed: u64) -> Swarm {
    let mut swarm = Swarm::draw_of(seed, Some(3));
    swarm.net.hostile = false;
    swarm.net.drop = 0.0;
    swarm.disk.slow = None;
    // Who is away for so long comes back for entries here, not for a copy of the state.
    swarm.disk.retention_bytes = u64::MAX;
    swarm.disk.retention_age = Duration::MAX;
    swarm.load.patience = swarm.load.patience.max(2.0);
    swarm
}

/// The sequence by which JE HA loses a commit. The master alone logs a tail and dies; the other two elect and commit
/// one write, whose master dies at once; the first returns. Its log is longer than the survivor's: the commit
/// must survive all the same.
pub(super) fn play(world: &mut World) {
    let timeout = world.swarm.election_timeout_max();
    let limit = timeout * 50;
    world.ids().into_iter().for_each(|id| world.start(id));
    world.add_clients(3);
    if !reached(world, limit, "a first write", |world| world.counts.acked >= 3) {
        return;
    }
    let Some(first) = world.master() else { return };
    // The master alone logs a tail.
    world.isolate(first);
    world.faults.lure = Some(first);
    world.clients.iter_mut().for_each(|client| client.target = first);
    let tail = world.rngs.process.between(100, 900);
    world.run_for(world.swarm.election_timeout * tail as u32 / 1_000);
    let how = world.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
    world.crash(first, how);
    world.rejoin(first);
    world.faults.lure = None;
    world.counts.traps = 0;
    // Whoever of the others commits one write dies at once, and stays away.
    let how = world.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
    let trap = Trap {
        moment: Moment::Acknowledged,
        action: Action::Crash(how),
        only: None,
        skip: 0,
        again: false,
        back: Some(Duration::from_secs(3_600)),
    };
    world.set_trap(trap);
    if !reached(world, limit, "a write of the second master", |world| world.counts.traps == 1) {
        return;
    }
    let acked = world.oracle.acked_max();
    // The first returns.
    let wait = world.rngs.process.below(timeout.as_nanos() as u64);
    world.run_for(Duration::from_nanos(wait));
    world.start(first);
    let before = world.counts.acked;
    if !reached(world, limit, "a write of the third master", |world| world.counts.acked > before) {
        return;
    }
    let holders = world.ids().into_iter().filter(|id: &Machine| world.process(*id).live.is_some());
    let short = holders.filter(|id| (world.oracle.member(*id).log.len() as u64) < acked).count();
    let checked = ensure(short == 0, Invariant::AckedCommitLoss, || {
        format!("{short} running members end below entry {acked}, which was acknowledged")
    });
    world.check(checked);
    world.prove_life();
}
