//! The proof of life of secondaries that are fed by replicas.

use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::{Durability, MemberType};

/// Election timeouts within which a secondary is fed again whose relay fell away: a silence, a few questions to each of those who cannot, and dials.
pub(crate) const FED_WITHIN: u32 = 12;

impl World {
    /// I-34 for a secondary: where its relay is stopped, and the group goes on without that one, what is written then reaches it.
    pub(super) fn prove_relays(&mut self) {
        let Some(master) = self.master() else { return };
        let spared = |id: &Machine| {
            self.relay_of(*id).filter(|relay| *relay != master && self.is_enough_without(*relay))
        };
        let fed = self.secondaries().into_iter().find_map(|id| Some((id, spared(&id)?)));
        let Some((taker, relay)) = fed else { return };
        self.pause(relay);
        let limit = self.swarm.election_timeout_max() * FED_WITHIN;
        let before = self.oracle.member(taker).durable;
        let asked = self.write_at(master, ("k", b"relayed"), Durability::default(), limit);
        let reached = self.run_until(limit, |world| world.oracle.member(taker).durable > before);
        let checked =
            ensure(reached || asked.is_err() || self.is_over(), Invariant::Liveness, || {
                format!(
                    "{relay} fed {taker} and was stopped; nothing reached that within {limit:?}"
                )
            });
        self.check(checked);
        self.resume(relay);
    }

    pub(crate) fn secondaries(&self) -> Vec<Machine> {
        let is_one = |id: &Machine| self.swarm.kind_of(*id) == MemberType::Secondary;
        self.ids().into_iter().filter(is_one).collect()
    }

    /// Who feeds this one.
    pub(crate) fn relay_of(&self, id: Machine) -> Option<Machine> {
        let live = self.process(id).live.as_ref()?;
        live.node.source().and_then(|source| self.machine_of(id, source))
    }
}
