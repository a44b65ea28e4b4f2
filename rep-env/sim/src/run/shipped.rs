//! The proof of life of those who ship.

use crate::oracle::{Invariant, ensure};
use crate::world::World;
use std::time::Duration;

impl World {
    /// I-34 for a sink: what is durable comes there, where anybody has it to give.
    pub(super) fn prove_shipping(&mut self, limit: Duration) {
        let shipped = self.run_until(limit, |world| !world.lacks_entries());
        let checked = ensure(shipped || self.is_over(), Invariant::Liveness, || {
            let (has, durable) = (self.archive.last, self.oracle.committed());
            format!(
                "the sink has {has} entries of {durable} after {limit:?}, and others hold the rest"
            )
        });
        self.check(checked);
    }
}
