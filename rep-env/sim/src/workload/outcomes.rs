//! What callers are told, judged: every outcome against what the oracle and the model know.

use super::State;
use crate::history::{Asked, Call, Key};
use crate::machine::Machine;
use crate::oracle::{Answer, Checked, Invariant, ensure};
use crate::recording::is_promised;
use crate::world::World;
use rep_node::{Node, Outcome, Request};
use rep_vlsn::{LogPoint, Term};
use std::collections::BTreeSet;
use std::time::Duration;

impl World {
    pub(crate) fn answer(&mut self, id: Machine, request: Request, outcome: Outcome) {
        let Some(call) = self.history.calls.remove(&request) else { return };
        self.counts.told(&outcome);
        if call.client.is_none() {
            self.history.outcomes.insert(request, (id, outcome.clone()));
        }
        self.record(id, request, &call.what, &outcome);
        let checked = self.judge(id, request, &call, outcome);
        self.check(checked);
        self.release(call.client, request);
    }

    /// What the caller knows now, for the judge at the end.
    fn record(&mut self, id: Machine, request: Request, what: &Asked, outcome: &Outcome) {
        let shown = match (what, outcome) {
            (Asked::Linearizable { key, .. }, Outcome::Read { .. }) => self.shown(id, key),
            _ => None,
        };
        let recording = &mut self.history.recording;
        match (what, outcome, shown) {
            (_, _, Some((_, value))) => recording.read(request, &value),
            (Asked::Write(asked), Outcome::Committed { .. }, _) => {
                recording.committed(request, *asked);
            }
            (Asked::Write(_), Outcome::TermOver { .. } | Outcome::RolledBack { .. }, _) => {
                recording.failed(request);
            }
            _ => recording.forgotten(request),
        }
    }

    fn release(&mut self, client: Option<usize>, request: Request) {
        let Some(index) = client else { return };
        if matches!(self.clients[index].state, State::Waiting(waiting) if waiting == request) {
            self.clients[index].state = State::Idle;
            self.client_later(index, self.swarm.load.pause);
        }
    }

    fn judge(&mut self, id: Machine, request: Request, call: &Call, outcome: Outcome) -> Checked {
        let term_now = self.live_mut(id).map_or(call.term, |live| live.node.term());
        let answer = Answer { by: id, term: call.term, term_now, begun: call.begun, now: self.now };
        match (&call.what, outcome) {
            (Asked::Write(durability), Outcome::Committed { point }) => {
                let staged = self.history.point_of(request);
                ensure(staged == Some(point), Invariant::ErrorHonesty, || {
                    format!("call {} was staged at {staged:?} and committed at {point}", request.0)
                })?;
                self.counts.acked += 1;
                self.history.tokens.push(point);
                self.faults.acked_at = Some((self.now, call.begun));
                self.oracle.write_acked(answer, point, *durability)?;
                self.session_wrote(id, call, point, is_promised(*durability))
            }
            (Asked::Write(_), Outcome::TermOver { .. }) => {
                self.counts.failed += 1;
                let staged = self.history.point_of(request);
                ensure(staged.is_none(), Invariant::FailMeansNoEffect, || {
                    format!("call {} was refused, and staged at {staged:?}", request.0)
                })
            }
            (Asked::Write(_), Outcome::RolledBack { point }) => {
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
            (Asked::Write(_), Outcome::Unknown { .. } | Outcome::Closed) => {
                self.counts.unknown += 1;
                Ok(())
            }
            (Asked::Linearizable { key, floor }, Outcome::Read { at }) => {
                let answer = Answer { term: self.reigns_in(id), ..answer };
                self.oracle.read_served(answer, at, *floor)?;
                let applied = self.look(id, key, at)?;
                self.session_saw(id, call, applied)
            }
            (Asked::Bounded { key, lag }, Outcome::Read { at }) => {
                let slow = self.swarm.process.drift_ppm as f64 / 1e6;
                let lag = lag.mul_f64(1.0 + 2.0 * slow) + Duration::from_micros(1);
                let now = self.now;
                let lag = self.live_mut(id).map_or(lag, |live| live.clock.lag_of(lag, now));
                self.oracle.bounded_served(answer, at, lag)?;
                let applied = self.look(id, key, at)?;
                self.session_saw(id, call, applied)
            }
            (Asked::AtLeast { key, token }, Outcome::Read { at }) => {
                self.oracle.token_served(id, at, *token)?;
                let applied = self.look(id, key, at)?;
                self.session_saw(id, call, applied)
            }
            (Asked::AtLeast { token, .. }, Outcome::RolledBack { point }) => {
                self.session_lost(call, point);
                self.oracle.token_refused(id, point, *token)
            }
            (Asked::Linearizable { .. }, Outcome::NotMaster { master }) => {
                let master = master.and_then(|master| self.machine_of(id, master));
                if let Some((index, master)) = call.client.zip(master) {
                    self.clients[index].target = master;
                }
                Ok(())
            }
            (
                Asked::Linearizable { .. } | Asked::Bounded { .. } | Asked::AtLeast { .. },
                Outcome::ReadTimeout | Outcome::TooManyReads { .. } | Outcome::Closed,
            ) => Ok(()),
            (what, outcome) => ensure(false, Invariant::ErrorHonesty, || {
                format!("{id} answers {what:?} with {outcome:?}")
            }),
        }
    }

    /// The term in which the node reigns, by its own account; the last of all if it does not.
    fn reigns_in(&mut self, id: Machine) -> Term {
        let live = self.live_mut(id).filter(|live| live.node.master() == Some(live.me));
        let node = live.map(|live| &live.node);
        node.map_or(Term::new(u64::MAX - 1), Node::term)
    }

    /// A process is gone: what it had not answered is unknown.
    pub(crate) fn lose_calls(&mut self, id: Machine, open: BTreeSet<Request>) {
        for request in open {
            let Some(call) = self.history.calls.remove(&request) else { continue };
            debug_assert_eq!(call.node, id);
            if matches!(call.what, Asked::Write(_)) {
                self.counts.unknown += 1;
            }
            self.history.recording.forgotten(request);
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
    pub(crate) fn look_at_everything(&mut self, id: Machine) -> Checked {
        let keys: Vec<Key> = self.history.keys().cloned().collect();
        keys.iter().try_for_each(|key| self.look(id, key, LogPoint::NULL).map(drop))
    }
}
