//! Writes: built over a view and the overlay while their client holds the turn.

use super::{Asking, Building, State, database_of};
use crate::history::{Asked, Call, Txn};
use crate::machine::Machine;
use crate::world::World;
use bytes::Bytes;
use rep_node::{Acks, Durability, Proposal, Request};
use rep_vlsn::{Draft, Kind, LogPoint, SyncClass};
use std::time::Duration;

impl World {
    pub(super) fn begin_txn(&mut self, index: usize) {
        let node = self.clients[index].target;
        if !self.is_reachable(node) {
            self.clients[index].target = self.any_node();
            return self.client_later(index, self.swarm.load.pause);
        }
        let run = self.process(node).run;
        let Some(live) = self.live_mut(node) else { return };
        let Some(term) = live.front.open_to_writes() else {
            let hint = live.front.admission.master;
            let hint = hint.and_then(|hint| self.machine_of(node, hint));
            self.clients[index].target =
                hint.filter(|hint| *hint != node).unwrap_or_else(|| self.any_node());
            return self.client_later(index, self.swarm.load.pause);
        };
        if live.front.turn.is_some() {
            return self.client_later(index, self.swarm.load.pause / 4);
        }
        let Ok(pending) = live.front.begin() else { return };
        let mut building = Building { node, run, term, pending, txn: Txn::default() };
        self.build(&mut building);
        if self.rngs.load.chance(0.02) {
            // Dropped: an abort. Nothing of it is ever seen.
            self.counts.aborts += 1;
            return self.client_later(index, self.swarm.load.pause);
        }
        if self.rngs.load.chance(self.swarm.load.slow_turns) {
            if let Some(live) = self.live_mut(node) {
                live.front.turn = Some(index);
            }
            self.clients[index].state = State::Building(Box::new(building));
            return self.client_later(index, self.swarm.heartbeat);
        }
        self.commit(index, building);
    }

    pub(super) fn commit(&mut self, index: usize, building: Building) {
        let Building { node, run, term, pending, txn } = building;
        let (patience, durability) = (self.patience(), self.any_durability());
        let now = self.now;
        let (same, paused) = (self.process(node).run == run, self.process(node).paused);
        let Some(live) = self.live_mut(node).filter(|_| same) else {
            return self.client_later(index, self.swarm.load.pause);
        };
        if live.front.turn == Some(index) {
            live.front.turn = None;
        }
        if paused || !live.front.admits(term, durability.acks, live.queued_bytes()) {
            // Definite: nothing was logged.
            self.counts.failed += 1;
            return self.client_later(index, self.swarm.load.pause);
        }
        let deadline = live.clock.local(now) + patience;
        let draft = Draft::build(Kind::Data, durability.flags(), |buffer| {
            pending.writes().encode_into(buffer)
        });
        let what = Asked::Write(durability);
        let known = self.known_to(index);
        let call = Call { client: Some(index), node, term, begun: now, known, what };
        let request = self.history.begin(call, Some(txn));
        let proposal = Proposal { request, term, draft, acks: durability.acks, deadline };
        if let Some(live) = self.live_mut(node) {
            live.front.admit(request, pending);
        }
        self.ask(node, request, Asking::Propose(proposal));
        self.after_asking(index, request);
    }

    /// How far an entry has to come: most callers leave it at the default, in a world where anybody does not.
    fn any_durability(&mut self) -> Durability {
        if !self.rngs.load.chance(self.swarm.load.weak) {
            self.counts.durability(Durability::default());
            return Durability::default();
        }
        let classes = [SyncClass::Sync, SyncClass::WriteNoSync, SyncClass::NoSync];
        let acks = [Acks::All, Acks::SimpleMajority, Acks::SimpleMajority, Acks::None];
        let rng = &mut self.rngs.load;
        let durability = Durability::default()
            .local(rng.pick(&classes))
            .replica(rng.pick(&classes))
            .acks(rng.pick(&acks));
        self.counts.durability(durability);
        durability
    }

    /// A single write at `node`, without a client, with so much patience.
    ///
    /// # Errors
    ///
    /// Why it is not admitted, in words.
    pub(crate) fn write_at(
        &mut self,
        node: Machine,
        (key, value): (&str, &[u8]),
        durability: Durability,
        patience: Duration,
    ) -> Result<Request, String> {
        let now = self.now;
        let live = self.live_mut(node).ok_or("down")?;
        let term = live.front.open_to_writes().ok_or("not master")?;
        let mut pending = live.front.begin().map_err(|error| error.to_string())?;
        let value = Bytes::copy_from_slice(value);
        let key_bytes = Bytes::copy_from_slice(key.as_bytes());
        pending
            .put_bytes(&database_of(key), key_bytes, value.clone())
            .map_err(|error| error.to_string())?;
        let deadline = live.clock.local(now) + patience;
        let draft = Draft::build(Kind::Data, durability.flags(), |buffer| {
            pending.writes().encode_into(buffer)
        });
        let what = Asked::Write(durability);
        let known = LogPoint::NULL;
        let call = Call { client: None, node, term, begun: now, known, what };
        let txn = Txn { reads: Vec::new(), writes: vec![(key.to_owned(), Some(value))] };
        let request = self.history.begin(call, Some(txn));
        if let Some(live) = self.live_mut(node) {
            live.front.admit(request, pending);
        }
        let proposal = Proposal { request, term, draft, acks: durability.acks, deadline };
        self.ask(node, request, Asking::Propose(proposal));
        Ok(request)
    }

    /// Half of the callers wait for the outcome; the others go on at once.
    pub(super) fn after_asking(&mut self, index: usize, request: Request) {
        if self.rngs.load.chance(0.5) {
            return self.client_later(index, self.swarm.load.pause);
        }
        self.clients[index].state = State::Waiting(request);
        let patience = self.patience() * 2;
        self.client_at(index, self.now + patience);
    }
}
