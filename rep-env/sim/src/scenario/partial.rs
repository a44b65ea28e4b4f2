//! Partial partitions (I-36): as long as somebody is linked, both ways, to a majority, the group serves writes.
//!
//! A cut that leaves every member reachable by way of others is the hard case: a member that misses its master asks those
//! who do not, and a master that has lost its quorum may still be heard by most.

use super::{reached, settled};
use crate::faults::Shape;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::swarm::Swarm;
use crate::world::World;
use std::time::Duration;

pub(super) fn world(seed: u64) -> Swarm {
    Swarm::healthy(seed, Duration::from_secs(60))
}

/// Each shape in turn, until writes are served in spite of it.
pub(super) fn play(world: &mut World) {
    if settled(world).is_none() {
        return;
    }
    for shape in Shape::ALL {
        world.shape(shape, None, |_, _| true);
        if world.somebody_reaches_a_majority() && !serves(world, shape) {
            return;
        }
        world.mend_all();
        let limit = world.swarm.election_timeout_max() * TIMEOUTS_MAX;
        let begun = world.now;
        let since = move |world: &World| world.faults.acked_at.is_some_and(|(_, at)| at > begun);
        if !reached(world, limit, "a write after the links came back", since) {
            return;
        }
    }
    world.prove_life();
}

/// Election timeouts within which a write has to be served.
const TIMEOUTS_MAX: u32 = 50;

pub(crate) fn serves(world: &mut World, shape: Shape) -> bool {
    let (begun, limit) = (world.now, world.swarm.election_timeout_max() * TIMEOUTS_MAX);
    let served =
        world.run_until(limit, |world| world.faults.acked_at.is_some_and(|(_, at)| at > begun));
    let checked = ensure(served || world.failure.is_some(), Invariant::ConnectedQuorum, || {
        format!("{shape:?}: no write was served within {limit:?}")
    });
    world.check(checked);
    served
}

impl World {
    fn somebody_reaches_a_majority(&self) -> bool {
        let ids = self.ids();
        let linked = |a: Machine, b: Machine| {
            a == b || !(self.network.is_cut(a, b) || self.network.is_cut(b, a))
        };
        let reach = |a: &Machine| ids.iter().filter(|b| linked(*a, **b)).count();
        ids.iter().any(|id| reach(id) >= self.swarm.majority())
    }

    fn mend_all(&mut self) {
        let cuts: Vec<(Machine, Machine)> = self.network.cuts().collect();
        cuts.into_iter().for_each(|(from, to)| self.mend(from, to));
    }
}
