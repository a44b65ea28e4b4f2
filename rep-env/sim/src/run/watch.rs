//! The proof of life of monitors.

use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::MemberType;
use std::time::Duration;

impl World {
    /// I-34 for a monitor: it knows who is master.
    pub(super) fn prove_watch(&mut self, limit: Duration) {
        let knows = self.run_until(limit, |world| world.in_the_dark().is_empty());
        let checked = ensure(knows || self.is_over(), Invariant::Liveness, || {
            format!("{:?} watch, and know no master", self.in_the_dark())
        });
        self.check(checked);
    }

    /// Monitors of the core that do not know the master.
    fn in_the_dark(&self) -> Vec<Machine> {
        let master = self.master();
        let is_one = |id: &Machine| self.swarm.kind_of(*id) == MemberType::Monitor;
        let knows = |id: Machine| {
            let known = self.process(id).live.as_ref().and_then(|live| live.node.master());
            known.and_then(|known| self.machine_of(id, known)) == master
        };
        self.core().into_iter().filter(is_one).filter(|id| !knows(*id)).collect()
    }
}
