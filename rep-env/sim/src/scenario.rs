//! Scenes played to many seeds: a fixed plot, random timing.

mod arbiter;
mod churn;
mod designated;
mod failover;
mod lone_tail;
mod outputs;
pub(crate) mod partial;
mod relay;
mod stability;

pub use failover::Failover;

use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::report::Failure;
use crate::run::{Outcome, Play, play};
use crate::swarm::Swarm;
use crate::trace::Detail;
use crate::world::World;
use std::time::Duration;

/// A plot: what kind of world it needs, and what happens in it.
#[derive(Clone, Copy, Debug)]
struct Scene {
    name: &'static str,
    world: fn(u64) -> Swarm,
    act: Play,
}

const SCENES: &[Scene] = &[
    Scene { name: "je", world: lone_tail::world, act: lone_tail::play },
    Scene { name: "healthy", world: stability::a_minute, act: stability::stay_settled },
    Scene { name: "rejoin", world: stability::a_minute, act: stability::come_and_go },
    Scene { name: "partial", world: partial::world, act: partial::play },
    Scene { name: "outputs", world: outputs::world, act: outputs::play },
    Scene { name: "arbiter", world: arbiter::world, act: arbiter::play },
    Scene { name: "designated", world: designated::world, act: designated::play },
    Scene { name: "relay", world: relay::world, act: relay::play },
    Scene { name: "churn", world: churn::world, act: churn::play },
    Scene { name: "kill", world: failover::world, act: failover::kill },
    Scene { name: "freeze", world: failover::world, act: failover::freeze },
];

/// The scenes by name.
pub fn names() -> impl Iterator<Item = &'static str> {
    SCENES.iter().map(|scene| scene.name)
}

/// Plays a scene to one seed.
///
/// # Errors
///
/// As [`run_seed`](crate::run_seed). An unknown name plays nothing.
pub fn run_scene(name: &str, seed: u64, detail: Detail) -> Result<Outcome, Box<Failure>> {
    let Some(scene) = SCENES.iter().find(|scene| scene.name == name) else {
        return Ok(Outcome::default());
    };
    told(play(seed, (scene.world)(seed), detail, scene.act), &format!("--scene {name}"))
}

/// Plays the scene "healthy" for so much virtual time.
///
/// # Errors
///
/// As [`run_seed`](crate::run_seed).
pub fn run_healthy(seed: u64, time: Duration, detail: Detail) -> Result<Outcome, Box<Failure>> {
    let hours = time.as_secs_f64() / 3_600.0;
    let played = play(seed, Swarm::healthy(seed, time), detail, stability::stay_settled);
    told(played, &format!("--healthy --hours {hours}"))
}

/// Plays the scene "churn" for so much virtual time.
///
/// # Errors
///
/// As [`run_seed`](crate::run_seed).
pub fn run_churn(seed: u64, time: Duration, detail: Detail) -> Result<Outcome, Box<Failure>> {
    let hours = time.as_secs_f64() / 3_600.0;
    let played = play(seed, Swarm::churn(seed, time), detail, churn::play);
    told(played, &format!("--scene churn --hours {hours}"))
}

/// A failure of a scene is played again by its name.
fn told(played: Result<Outcome, Box<Failure>>, option: &str) -> Result<Outcome, Box<Failure>> {
    played.map_err(|mut failure| {
        failure.replay = format!("{} {option}", failure.replay);
        failure
    })
}

/// Starts everybody, lets callers at them, and waits until the group has a master that all follow; says who.
fn settled(world: &mut World) -> Option<Machine> {
    world.ids().into_iter().for_each(|id| world.start(id));
    let limit = world.swarm.election_timeout_max() * 50;
    if !reached(world, limit, "a master that all follow", World::is_settled) {
        return None;
    }
    world.add_clients(world.swarm.load.clients);
    if !reached(world, limit, "a first write", |world| world.counts.acked >= 3) {
        return None;
    }
    world.master()
}

fn reached(world: &mut World, limit: Duration, what: &str, goal: impl Fn(&World) -> bool) -> bool {
    let reached = world.run_until(limit, goal);
    let checked = ensure(reached || world.failure.is_some(), Invariant::Liveness, || {
        format!("{what} did not come within {limit:?}")
    });
    world.check(checked);
    reached
}

impl World {
    /// There is a master for whom all would acknowledge.
    fn is_whole(&self) -> bool {
        let live = self.master().and_then(|master| self.process(master).live.as_ref());
        live.is_some_and(|live| {
            let admission = live.node.admission(live.clock.local(self.now));
            admission.live == admission.voters
        })
    }

    /// A master writes, and everybody is in its term and hears its stream.
    fn is_settled(&self) -> bool {
        let Some(master) = self.master() else { return false };
        let follows = |id: &Machine| {
            let live = self.process(*id).live.as_ref();
            live.is_some_and(|live| {
                let follows = live.node.master().and_then(|it| self.machine_of(*id, it));
                follows == Some(master) && live.node.dvlsn().get() > 0
            })
        };
        self.ids().iter().all(follows)
    }
}
