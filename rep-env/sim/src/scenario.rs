//! Scenes played to many seeds: a fixed plot, random timing.

use crate::faults::{Action, Moment, Trap};
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::report::Failure;
use crate::run::{Outcome, play};
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::world::World;
use rep_vlsn::NodeId;
use std::time::Duration;

/// The scenes by name.
pub const NAMES: &[&str] = &["je"];

/// Plays a scene to one seed.
///
/// # Errors
///
/// As [`run_seed`](crate::run_seed). An unknown name plays nothing.
pub fn run_scene(name: &str, seed: u64, detail: Detail) -> Result<Outcome, Box<Failure>> {
    let mut swarm = Swarm::draw(seed);
    match name {
        "je" => {
            swarm.nodes = 3;
            swarm.net.hostile = false;
            swarm.net.drop = 0.0;
            swarm.disk.slow = None;
            swarm.load.patience = swarm.load.patience.max(2.0);
            let played = play(seed, swarm, detail, lone_tail);
            played.map_err(|mut failure| {
                failure.replay =
                    format!("cargo xtask sim --seed {seed:#x} --seeds 1 -- --scene je");
                failure
            })
        }
        _ => Ok(Outcome::default()),
    }
}

/// The sequence by which JE HA loses a commit. The master alone logs a tail and dies; the other two elect and commit
/// one write, whose master dies at once; the first returns. Its log is longer than the survivor's: the commit
/// must survive all the same.
fn lone_tail(world: &mut World) {
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
    world.faults.bias = Some(first);
    world.clients.iter_mut().for_each(|client| client.target = first);
    let tail = world.rngs.process.between(100, 900);
    world.run_for(world.swarm.election_timeout * tail as u32 / 1_000);
    let how = world.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
    world.crash(first, how);
    world.rejoin(first);
    world.faults.bias = None;
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
    let holders = world.ids().into_iter().filter(|id: &NodeId| world.process(*id).live.is_some());
    let short = holders.filter(|id| (world.oracle.member(*id).log.len() as u64) < acked).count();
    let checked = ensure(short == 0, Invariant::AckedCommitLoss, || {
        format!("{short} running members end below entry {acked}, which was acknowledged")
    });
    world.check(checked);
    world.prove_life();
}

fn reached(world: &mut World, limit: Duration, what: &str, goal: impl Fn(&World) -> bool) -> bool {
    let reached = world.run_until(limit, goal);
    let checked = ensure(reached || world.failure.is_some(), Invariant::Liveness, || {
        format!("{what} did not come within {limit:?}")
    });
    world.check(checked);
    reached
}
