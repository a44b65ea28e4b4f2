//! How long a group is without a master: killed, and frozen.
//!
//! A killed process leaves a machine that answers for it: connections close, redials are refused, and that is silence at
//! once. A frozen one leaves everything open, so only time tells. What it takes is measured in virtual time, from the fault
//! to the first acknowledged write at the next master.

use super::settled;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::run::Outcome;
use crate::swarm::Swarm;
use crate::world::World;
use rep_node::{Durability, Outcome as Answer, Request};
use std::time::Duration;

/// What one failover took, in virtual time from the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failover {
    /// Until another member had been crowned.
    pub crowned: Duration,
    /// Until it took writes.
    pub writable: Duration,
    /// Until it had acknowledged one that was asked for the moment it took writes.
    pub acked: Duration,
    /// What it may take at most in this world.
    pub bound: Duration,
}

pub(super) fn world(seed: u64) -> Swarm {
    Swarm::healthy(seed, Duration::from_secs(5))
}

/// SIGKILL of the master.
pub(super) fn kill(world: &mut World) {
    let Some(master) = settled_for_a_while(world) else { return };
    let bound = world.swarm.kill_bound();
    world.crash(master, Crash::Kill);
    measure(world, master, bound);
    world.prove_life();
}

/// SIGSTOP of the master; it continues when the others have gone on without it.
pub(super) fn freeze(world: &mut World) {
    let Some(master) = settled_for_a_while(world) else { return };
    let bound = world.swarm.freeze_bound();
    world.pause(master);
    measure(world, master, bound);
    world.resume(master);
    world.prove_life();
}

fn settled_for_a_while(world: &mut World) -> Option<Machine> {
    settled(world)?;
    let while_ns = world.rngs.process.below(world.swarm.chaos.as_nanos() as u64);
    world.run_for(Duration::from_nanos(while_ns));
    world.master()
}

fn measure(world: &mut World, old: Machine, bound: Duration) {
    let (begun, elections) = (world.now, world.counts.elections);
    let limit = world.swarm.election_timeout_max() * 50;
    world.run_until(limit, |world| world.counts.elections > elections);
    let crowned = world.now - begun;
    world.run_until(limit, |world| world.master().is_some_and(|master| master != old));
    let writable = world.now - begun;
    let acked = first_write(world, limit).map(|at| at - begun);
    let checked = ensure(acked.is_some() || world.failure.is_some(), Invariant::Liveness, || {
        format!("no write was acknowledged within {limit:?} after the master had gone")
    });
    world.check(checked);
    world.failover = acked.map(|acked| Failover { crowned, writable, acked, bound });
}

/// A write, asked for now at whoever is master; when it was acknowledged.
fn first_write(world: &mut World, limit: Duration) -> Option<Duration> {
    let master = world.master()?;
    let request: Request =
        world.write_at(master, ("k", b"after"), Durability::default(), limit).ok()?;
    world.run_until(limit, |world| world.history.outcomes.contains_key(&request));
    let committed =
        matches!(world.history.outcomes.get(&request), Some((_, Answer::Committed { .. })));
    committed.then_some(world.now)
}

impl Outcome {
    /// Whether the failover of this run, if it had one, kept its bound.
    pub fn kept_bound(&self) -> bool {
        self.failover.is_none_or(|failover| failover.acked <= failover.bound)
    }
}
