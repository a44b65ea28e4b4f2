//! The callers: clients with few keys, little patience, and a taste for whoever is master.
//!
//! A transaction goes the way of the facade: begin at the master (view and overlay), read and write, commit in order
//! while it still holds the turn; the outcome comes later. A timeout is an unknown outcome, never a failure. A
//! client that is refused goes where it is sent, or anywhere. `transactions`, made of `operations`, and `reads` are what clients
//! ask, `outcomes` what they are told, `sessions` what they know by then.

mod changes;
mod copies;
mod operations;
mod outcomes;
mod reads;
mod sessions;
mod transactions;
mod transfers;

pub(crate) use changes::CHANGES_FROM;
pub(crate) use operations::Operation;

use crate::history::{Key, Txn};
use crate::machine::Machine;
use crate::world::{Event, World};
use rep_node::{ChangeRequest, Node, Proposal, ReadKind, Request, Transfer};
use rep_store::{Database, Pending};
use rep_vlsn::Term;
use sessions::Session;
use std::time::Duration;

/// A client between two of its moments.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) target: Machine,
    state: State,
    session: Session,
    /// The one wake-up that counts.
    wake: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    /// Holds the turn.
    Building(Box<Building>),
    Waiting(Request),
}

#[derive(Debug)]
struct Building {
    node: Machine,
    run: u64,
    term: Term,
    pending: Pending,
    txn: Txn,
}

/// Something on its way from a caller's thread to the node.
#[derive(Debug)]
pub(crate) enum Asking {
    Propose(Proposal),
    Read { request: Request, kind: ReadKind, deadline: Duration },
    Transfer(Transfer),
    Change(ChangeRequest),
}

/// Lists lie in a database of their own, everything else in another.
pub(crate) fn database_of(key: &str) -> Database {
    Database::new(if key.starts_with('l') { "lists" } else { "sim" })
}

impl World {
    pub(crate) fn add_clients(&mut self, count: u32) {
        for _ in 0..count {
            let index = self.clients.len();
            let target = self.any_node();
            self.clients.push(Client {
                target,
                state: State::Idle,
                session: Session::default(),
                wake: 0,
            });
            self.client_later(index, self.swarm.load.pause);
        }
    }

    fn any_node(&mut self) -> Machine {
        Machine::new(self.rngs.load.between(1, u64::from(self.swarm.machines())) as u32)
    }

    fn client_later(&mut self, index: usize, mean: Duration) {
        let after = Duration::from_nanos(self.rngs.load.latency_ns(mean.as_nanos() as u64));
        self.client_at(index, self.now + after);
    }

    /// Of several wake-ups of a client only the last one set counts.
    fn client_at(&mut self, index: usize, at: Duration) {
        let client = &mut self.clients[index];
        client.wake += 1;
        self.schedule.push(at, Event::Client { index, wake: client.wake });
    }

    fn patience(&self) -> Duration {
        self.swarm.election_timeout.mul_f64(self.swarm.load.patience)
    }

    /// A client's moment.
    pub(crate) fn client_acts(&mut self, index: usize, wake: u64) {
        if self.clients[index].wake != wake {
            return;
        }
        match std::mem::replace(&mut self.clients[index].state, State::Idle) {
            State::Idle if self.faults.load_on => self.begin_call(index),
            State::Idle => {}
            State::Building(building) => self.commit(index, *building),
            State::Waiting(request) => self.wait_on(index, request),
        }
    }

    /// A caller whose node is stopped or gone gives up in the end.
    fn wait_on(&mut self, index: usize, request: Request) {
        let begun = self.history.calls.get(&request).map(|call| call.begun);
        let gone = begun.is_none_or(|begun| self.now >= begun + self.patience() * 2);
        if gone {
            self.clients[index].target = self.any_node();
            return self.client_later(index, self.swarm.load.pause);
        }
        self.clients[index].state = State::Waiting(request);
        self.client_at(index, begun.unwrap_or_default() + self.patience() * 2);
    }

    fn begin_call(&mut self, index: usize) {
        if let Some(lure) = self.faults.lure.filter(|_| self.rngs.load.chance(0.8)) {
            self.clients[index].target = lure;
        }
        let (orders, wishes) = (self.swarm.load.copies, self.swarm.load.transfers);
        if self.faults.on && orders > 0.0 && self.rngs.load.chance(orders) {
            self.order_copy(index);
        } else if self.faults.on && wishes > 0.0 && self.rngs.load.chance(wishes) {
            self.begin_transfer(index);
        } else if self.rngs.load.chance(self.swarm.load.reads) {
            self.begin_read(index);
        } else {
            self.begin_txn(index);
        }
    }

    fn is_reachable(&self, id: Machine) -> bool {
        let process = self.process(id);
        process.live.is_some() && !process.paused
    }

    fn any_key(&mut self, prefix: char) -> Key {
        format!("{prefix}{}", self.rngs.load.below(self.swarm.load.keys))
    }

    // ---- the lane between callers and the node

    pub(crate) fn ask(&mut self, node: Machine, request: Request, asking: Asking) {
        if let Some(live) = self.live_mut(node) {
            live.open_calls.insert(request);
            self.enter_lane(node, asking);
        }
    }

    fn enter_lane(&mut self, node: Machine, asking: Asking) {
        let run = self.process(node).run;
        let Some(live) = self.live_mut(node) else { return };
        live.lane.push_back(asking);
        if live.lane.len() == 1 {
            let mean = self.swarm.load.lane.as_nanos() as u64;
            let after = Duration::from_nanos(self.rngs.jitter.latency_ns(mean));
            self.schedule.push(self.now + after, Event::Lane { id: node, run });
        }
    }

    pub(crate) fn lane(&mut self, id: Machine) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        let Some(asking) = live.lane.pop_front() else { return };
        if !live.lane.is_empty() {
            self.schedule.push(self.now, Event::Lane { id, run });
        }
        if let Asking::Transfer(transfer) = &asking
            && let Some(live) = self.live_mut(id)
        {
            live.wishes.insert(transfer.request, transfer.deadline);
        }
        if let Asking::Change(change) = &asking
            && let Some(live) = self.live_mut(id)
        {
            live.changes.insert(change.request, change.deadline);
        }
        self.step(id, |node: &mut Node, now| match asking {
            Asking::Transfer(transfer) => node.transfer(now, transfer),
            Asking::Change(change) => node.change_membership(now, change),
            Asking::Propose(proposal) => node.propose(now, proposal),
            Asking::Read { request, kind, deadline } => node.read(now, request, kind, deadline),
        });
    }
}
