//! The callers: clients with few keys, little patience, and a taste for whoever is master.
//!
//! A transaction goes the way of the facade: begin at the master (view and overlay), read and write, commit in order
//! while it still holds the turn; the outcome comes later. A timeout is an unknown outcome, never a failure. A
//! client that is refused goes where it is sent, or anywhere.

use crate::history::{Asked, Call, Key, Txn};
use crate::oracle::{Answer, Checked, Invariant, ensure};
use crate::world::{Event, World};
use bytes::Bytes;
use rep_node::{Node, Outcome, Proposal, ReadKind, Request};
use rep_store::{Database, Pending};
use rep_vlsn::{Draft, Flags, Kind, LogPoint, NodeId, Term};
use std::collections::BTreeSet;
use std::time::Duration;

/// A client between two of its moments.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) target: NodeId,
    state: State,
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
    node: NodeId,
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
}

/// Everything lies in one database.
pub(crate) fn database() -> Database {
    Database::new("sim")
}

impl World {
    pub(crate) fn add_clients(&mut self, count: u32) {
        for _ in 0..count {
            let index = self.clients.len();
            let target = self.any_node();
            self.clients.push(Client { target, state: State::Idle, wake: 0 });
            self.client_later(index, self.swarm.load.pause);
        }
    }

    fn any_node(&mut self) -> NodeId {
        NodeId::new(self.rngs.load.between(1, u64::from(self.swarm.nodes)) as u32)
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
        if let Some(bias) = self.faults.bias.filter(|_| self.rngs.load.chance(0.8)) {
            self.clients[index].target = bias;
        }
        if self.rngs.load.chance(self.swarm.load.reads) {
            self.begin_read(index);
        } else {
            self.begin_txn(index);
        }
    }

    fn is_reachable(&self, id: NodeId) -> bool {
        let process = self.process(id);
        process.live.is_some() && !process.paused
    }

    fn any_key(&mut self, prefix: char) -> Key {
        format!("{prefix}{}", self.rngs.load.below(self.swarm.load.keys))
    }

    // ---- transactions

    fn begin_txn(&mut self, index: usize) {
        let node = self.clients[index].target;
        if !self.is_reachable(node) {
            self.clients[index].target = self.any_node();
            return self.client_later(index, self.swarm.load.pause);
        }
        let run = self.process(node).run;
        let Some(live) = self.live_mut(node) else { return };
        let Some(term) = live.front.open_to_writes() else {
            let hint = live.front.admission.master;
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
        if self.rngs.load.chance(self.swarm.load.slow_turns) {
            if let Some(live) = self.live_mut(node) {
                live.front.turn = Some(index);
            }
            self.clients[index].state = State::Building(Box::new(building));
            return self.client_later(index, self.swarm.heartbeat);
        }
        self.commit(index, building);
    }

    /// One to three operations, each on a key that may be another's too.
    fn build(&mut self, building: &mut Building) {
        for _ in 0..self.rngs.load.between(1, 3) {
            match self.rngs.load.below(10) {
                0..=4 => {
                    let (key, value) = (self.any_key('k'), self.fresh_value());
                    building.put(&key, value);
                }
                5 => {
                    let key = self.any_key('k');
                    building.delete(&key);
                }
                6..=7 => {
                    let key = self.any_key('k');
                    building.get(&key);
                }
                _ => {
                    let key = self.any_key('c');
                    building.increment(&key);
                }
            }
        }
        if building.txn.writes.is_empty() {
            let (key, value) = (self.any_key('k'), self.fresh_value());
            building.put(&key, value);
        }
    }

    /// A value that no other write has.
    fn fresh_value(&mut self) -> Bytes {
        let mut value = self.rngs.load.next_u64().to_le_bytes().to_vec();
        let more = self.rngs.load.below(self.swarm.disk.payload_bytes_max);
        value.resize(8 + more as usize, 0xab);
        Bytes::from(value)
    }

    fn commit(&mut self, index: usize, building: Building) {
        let Building { node, run, term, pending, txn } = building;
        let patience = self.patience();
        let now = self.now;
        let (same, paused) = (self.process(node).run == run, self.process(node).paused);
        let Some(live) = self.live_mut(node).filter(|_| same) else {
            return self.client_later(index, self.swarm.load.pause);
        };
        if live.front.turn == Some(index) {
            live.front.turn = None;
        }
        if paused || !live.front.admits(term) {
            // Definite: nothing was logged.
            self.counts.failed += 1;
            return self.client_later(index, self.swarm.load.pause);
        }
        let deadline = live.clock.local(now) + patience;
        let draft = Draft::build(Kind::Data, Flags::default(), |buffer| {
            pending.writes().encode_into(buffer)
        });
        let call = Call { client: Some(index), node, term, begun: now, what: Asked::Write };
        let request = self.history.begin(call, Some(txn));
        let proposal = Proposal { request, term, draft, deadline };
        if let Some(live) = self.live_mut(node) {
            live.front.admit(request, pending);
        }
        self.ask(node, request, Asking::Propose(proposal));
        self.after_asking(index, request);
    }

    /// Half of the callers wait for the outcome; the others go on at once.
    fn after_asking(&mut self, index: usize, request: Request) {
        if self.rngs.load.chance(0.5) {
            return self.client_later(index, self.swarm.load.pause);
        }
        self.clients[index].state = State::Waiting(request);
        let patience = self.patience() * 2;
        self.client_at(index, self.now + patience);
    }

    // ---- reads

    fn begin_read(&mut self, index: usize) {
        let key = if self.rngs.load.chance(0.8) { self.any_key('k') } else { self.any_key('c') };
        let token = match self.history.tokens.len() as u64 {
            0 => None,
            some => Some(self.history.tokens[self.rngs.load.below(some) as usize]),
        };
        match (self.rngs.load.below(4), token) {
            (0, _) => {
                let node = self.any_node();
                self.read_applied(node, &key);
                self.client_later(index, self.swarm.load.pause);
            }
            (1, Some(token)) => {
                let node = self.any_node();
                self.read(index, node, Asked::AtLeast { key, token });
            }
            _ => {
                let floor = self.oracle.acked_max();
                let node = self.clients[index].target;
                self.read(index, node, Asked::Linearizable { key, floor });
            }
        }
    }

    fn read(&mut self, index: usize, node: NodeId, what: Asked) {
        let patience = self.patience();
        let now = self.now;
        let reachable = self.is_reachable(node);
        let Some(live) = self.live_mut(node).filter(|_| reachable) else {
            self.clients[index].target = self.any_node();
            return self.client_later(index, self.swarm.load.pause);
        };
        let (term, group) = (live.front.admission.term, live.front.group);
        let deadline = live.clock.local(now) + patience;
        let kind = match (&what, group) {
            (Asked::AtLeast { token, .. }, Some(group)) => {
                ReadKind::AtLeast { group, point: *token }
            }
            (Asked::AtLeast { .. }, None) => {
                return self.client_later(index, self.swarm.load.pause);
            }
            (Asked::Linearizable { .. } | Asked::Write, _) => ReadKind::Linearizable,
        };
        let call = Call { client: Some(index), node, term, begun: now, what };
        let request = self.history.begin(call, None);
        self.ask(node, request, Asking::Read { request, kind, deadline });
        self.after_asking(index, request);
    }

    /// A read of what is applied here, whatever that is.
    fn read_applied(&mut self, node: NodeId, key: &str) {
        if self.is_reachable(node) {
            let checked = self.look(node, key, LogPoint::NULL);
            self.check(checked);
        }
    }

    /// What the node shows of a key must be what the model says of it, at a state that covers `at`.
    fn look(&mut self, node: NodeId, key: &str, at: LogPoint) -> Checked {
        let Some(live) = self.live_mut(node) else { return Ok(()) };
        let Ok(view) = live.front.reader.view() else { return Ok(()) };
        let applied = view.applied();
        let value = view.get(&database(), key.as_bytes()).unwrap_or_default();
        ensure(applied.vlsn >= at.vlsn, Invariant::LinearizableReads, || {
            format!("{node} said {at}, its store shows {applied}")
        })?;
        self.counts.reads += 1;
        self.history.seen(node, key, applied, &value)
    }

    // ---- the lane between callers and the node

    pub(crate) fn ask(&mut self, node: NodeId, request: Request, asking: Asking) {
        let run = self.process(node).run;
        let Some(live) = self.live_mut(node) else { return };
        live.open_calls.insert(request);
        live.lane.push_back(asking);
        if live.lane.len() == 1 {
            let after = Duration::from_nanos(self.rngs.jitter.latency_ns(5_000));
            self.schedule.push(self.now + after, Event::Lane { id: node, run });
        }
    }

    pub(crate) fn lane(&mut self, id: NodeId) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        let Some(asking) = live.lane.pop_front() else { return };
        if !live.lane.is_empty() {
            self.schedule.push(self.now, Event::Lane { id, run });
        }
        self.step(id, |node: &mut Node, now| match asking {
            Asking::Propose(proposal) => node.propose(now, proposal),
            Asking::Read { request, kind, deadline } => node.read(now, request, kind, deadline),
        });
    }

    // ---- outcomes

    pub(crate) fn answer(&mut self, id: NodeId, request: Request, outcome: Outcome) {
        let Some(call) = self.history.calls.remove(&request) else { return };
        if call.client.is_none() {
            self.history.outcomes.insert(request, outcome.clone());
        }
        let checked = self.judge(id, request, &call, outcome);
        self.check(checked);
        self.release(call.client, request);
    }

    fn release(&mut self, client: Option<usize>, request: Request) {
        let Some(index) = client else { return };
        if matches!(self.clients[index].state, State::Waiting(waiting) if waiting == request) {
            self.clients[index].state = State::Idle;
            self.client_later(index, self.swarm.load.pause);
        }
    }

    fn judge(&mut self, id: NodeId, request: Request, call: &Call, outcome: Outcome) -> Checked {
        let answer = Answer { by: id, term: call.term, begun: call.begun, now: self.now };
        match (&call.what, outcome) {
            (Asked::Write, Outcome::Committed { point }) => {
                let staged = self.history.point_of(request);
                ensure(staged == Some(point), Invariant::ErrorHonesty, || {
                    format!("call {} was staged at {staged:?} and committed at {point}", request.0)
                })?;
                self.counts.acked += 1;
                self.history.tokens.push(point);
                self.faults.acked_at = Some((self.now, call.begun));
                self.oracle.write_acked(answer, point)
            }
            (Asked::Write, Outcome::TermOver { .. }) => {
                self.counts.failed += 1;
                let staged = self.history.point_of(request);
                ensure(staged.is_none(), Invariant::FailMeansNoEffect, || {
                    format!("call {} was refused, and staged at {staged:?}", request.0)
                })
            }
            (Asked::Write, Outcome::RolledBack { point }) => {
                self.counts.failed += 1;
                self.history.failed(point);
                let durable = self.oracle.claimed_term(point.vlsn.get());
                ensure(durable != Some(point.term), Invariant::FailMeansNoEffect, || {
                    format!(
                        "call {} is told that {point} was rolled back; it is durable",
                        request.0
                    )
                })
            }
            (Asked::Write, Outcome::Unknown { .. } | Outcome::Closed) => {
                self.counts.unknown += 1;
                Ok(())
            }
            (Asked::Linearizable { key, floor }, Outcome::Read { at }) => {
                self.oracle.read_served(answer, at, *floor)?;
                self.look(id, key, at)
            }
            (Asked::AtLeast { key, token }, Outcome::Read { at }) => {
                self.oracle.token_served(id, at, *token)?;
                self.look(id, key, at)
            }
            (Asked::Linearizable { .. }, Outcome::NotMaster { master }) => {
                if let Some((index, master)) = call.client.zip(master) {
                    self.clients[index].target = master;
                }
                Ok(())
            }
            (
                Asked::Linearizable { .. } | Asked::AtLeast { .. },
                Outcome::ReadTimeout | Outcome::Closed,
            ) => Ok(()),
            (what, outcome) => ensure(false, Invariant::ErrorHonesty, || {
                format!("{id} answers {what:?} with {outcome:?}")
            }),
        }
    }

    /// A process is gone: what it had not answered is unknown.
    pub(crate) fn lose_calls(&mut self, id: NodeId, open: BTreeSet<Request>) {
        for request in open {
            let Some(call) = self.history.calls.remove(&request) else { continue };
            debug_assert_eq!(call.node, id);
            if matches!(call.what, Asked::Write) {
                self.counts.unknown += 1;
            }
            self.release(call.client, request);
        }
    }

    /// The model follows what has been claimed to be durable.
    pub(crate) fn learn_commits(&mut self) {
        while let Some(term) = self.oracle.claimed_term(self.history.modelled() + 1) {
            let checked = self.history.replay(term);
            self.check(checked);
        }
    }

    /// Everything that a node shows at the end.
    pub(crate) fn look_at_everything(&mut self, id: NodeId) -> Checked {
        let keys: Vec<Key> = self.history.keys().cloned().collect();
        keys.iter().try_for_each(|key| self.look(id, key, LogPoint::NULL))
    }
}

impl Building {
    fn put(&mut self, key: &str, value: Bytes) {
        if self
            .pending
            .put_bytes(&database(), Bytes::copy_from_slice(key.as_bytes()), value.clone())
            .is_ok()
        {
            self.wrote(key, Some(value));
        }
    }

    fn delete(&mut self, key: &str) {
        if self.pending.delete(&database(), key.as_bytes()).is_ok() {
            self.wrote(key, None);
        }
    }

    fn wrote(&mut self, key: &str, value: Option<Bytes>) {
        self.txn.writes.retain(|(written, _)| written != key);
        self.txn.writes.push((key.to_owned(), value));
    }

    /// Reads a key. What it has not written itself must be what stood before its entry.
    fn get(&mut self, key: &str) -> Option<Bytes> {
        let value = self.pending.get(&database(), key.as_bytes()).unwrap_or_default();
        if self.txn.writes.iter().all(|(written, _)| written != key) {
            self.txn.reads.push((key.to_owned(), value.clone()));
        }
        value
    }

    fn increment(&mut self, key: &str) {
        let before =
            self.get(key).and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_le_bytes));
        let after = before.unwrap_or(0) + 1;
        self.put(key, Bytes::copy_from_slice(&after.to_le_bytes()));
    }
}
