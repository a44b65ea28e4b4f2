//! Operators: now and then somebody wants another member to be master.

use super::Asking;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::{NotTransferred, Request, Role, Transfer};
use rep_vlsn::NodeId;

/// Numbers of wishes begin here, apart from those of calls.
const WISHES_FROM: u64 = 1 << 48;

impl World {
    /// Asks whoever is thought to be master, for anybody or for a certain member, with little patience or much.
    pub(super) fn begin_transfer(&mut self, index: usize) {
        let node = self.clients[index].target;
        self.client_later(index, self.swarm.load.pause);
        if !self.is_reachable(node) {
            return;
        }
        self.wishes += 1;
        let request = Request(WISHES_FROM + self.wishes);
        let targets = match self.rngs.load.chance(0.5) {
            true => vec![self.any_node()],
            false => Vec::new(),
        };
        let targets = targets.into_iter().filter_map(|it| self.number_of(node, it)).collect();
        let patience = self.swarm.election_timeout.mul_f64(self.rngs.load.log_uniform(0.05, 4.0));
        let force = self.rngs.load.chance(0.3);
        let now = self.now;
        let Some(live) = self.live_mut(node) else { return };
        let deadline = live.clock.local(now) + patience;
        self.enter_lane(node, Asking::Transfer(Transfer::new(request, targets, deadline, force)));
    }

    /// I-40: a wish is answered once, by its deadline, and a master that could not fulfil it is master still.
    pub(crate) fn transferred(
        &mut self,
        id: Machine,
        request: Request,
        outcome: Result<NodeId, NotTransferred>,
    ) {
        self.note(id, &[44, request.0], || {
            format!("n{} is asked for a transfer: {outcome:?}", id.get())
        });
        self.counts.transfer(outcome.is_ok());
        let Some(live) = self.live_mut(id) else { return };
        let (known, role) = (live.wishes.remove(&request).is_some(), live.node.role());
        let kept = outcome != Err(NotTransferred::NotCaughtUp) || role == Role::Leader;
        let checked = ensure(known && kept, Invariant::Handover, || {
            format!("{id} is {role:?} and answers wish {}, known {known}: {outcome:?}", request.0)
        });
        self.check(checked);
    }

    /// I-40: once a node has handled what is due, nobody is left waiting, and nobody's commits are.
    pub(crate) fn wishes_end_in_time(&mut self, id: Machine) {
        let now = self.now;
        let Some(live) = self.live_mut(id).filter(|live| !live.wishes.is_empty()) else { return };
        let local = live.clock.local(now);
        let late = live.wishes.iter().find(|(_, deadline)| **deadline < local);
        let late = late.map(|(request, _)| request.0);
        let checked = ensure(late.is_none(), Invariant::Handover, || {
            format!("{id} has not answered wish {late:?} by its deadline")
        });
        self.check(checked);
    }
}
