//! A disk without space for another file of the log: what waits to be written waits, and somebody looks again.

use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::{Event, World};
use rep_node::Role;

impl World {
    /// The log has no room for what is to be written next.
    pub(super) fn out_of_space(&mut self, id: Machine) {
        self.note(id, &[33], || format!("the log of n{} waits for space", id.get()));
        self.counts.out_of_space += 1;
        let (run, every) = (self.process(id).run, self.swarm.heartbeat);
        let Some(live) = self.live_mut(id) else { return };
        live.waits_for_space = true;
        self.schedule.push(self.now + every, Event::SpaceTried { id, run });
        self.step(id, |node, now| node.handle_disk_full(now, true));
        self.gives_its_place(id);
        self.go_on(id);
    }

    /// I-41.
    pub(crate) fn gives_its_place(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        let leads = live.waits_for_space && live.node.role() == Role::Leader;
        let checked = ensure(!leads, Invariant::FullDisk, || {
            format!("{id} goes on as master, and its log waits for space")
        });
        self.check(checked);
    }

    /// Something was written.
    pub(super) fn has_written(&mut self, id: Machine) {
        self.step(id, |node, now| node.handle_disk_full(now, false));
    }

    pub(crate) fn try_space(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        live.waits_for_space = false;
        self.go_on(id);
    }
}
