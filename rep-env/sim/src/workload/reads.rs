//! Reads: of what is applied, with a token, of bounded lag, linearizable.

use super::{Asking, database_of};
use crate::history::{Asked, Call};
use crate::machine::Machine;
use crate::oracle::{Invariant, Violation, ensure};
use crate::world::World;
use bytes::Bytes;
use rep_node::ReadKind;
use rep_vlsn::LogPoint;

impl World {
    pub(super) fn begin_read(&mut self, index: usize) {
        let letter = self.rngs.load.pick(&['k', 'k', 'k', 'k', 'c', 'l']);
        let key = self.any_key(letter);
        let token = match self.history.tokens.len() as u64 {
            0 => None,
            some => Some(self.history.tokens[self.rngs.load.below(some) as usize]),
        };
        match (self.rngs.load.below(6), token) {
            (0, _) => {
                let node = self.any_node();
                self.read_applied(node, &key);
                self.client_later(index, self.swarm.load.pause);
            }
            (1, Some(token)) => {
                let own = self.clients[index].session.token();
                let token = own.filter(|_| self.swarm.load.sessions).unwrap_or(token);
                let node = self.any_node();
                self.read(index, node, Asked::AtLeast { key, token });
            }
            (2, _) => {
                let node = self.any_node();
                let lag = self.swarm.heartbeat.mul_f64(self.rngs.load.log_uniform(0.02, 8.0));
                self.read(index, node, Asked::Bounded { key, lag });
            }
            (kind, _) => {
                let floor = self.oracle.acked_max();
                let node = if kind == 3 { self.any_node() } else { self.clients[index].target };
                self.read(index, node, Asked::Linearizable { key, floor });
            }
        }
    }

    fn read(&mut self, index: usize, node: Machine, what: Asked) {
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
            (Asked::Bounded { lag, .. }, _) => ReadKind::Bounded { lag: *lag },
            (Asked::Linearizable { .. } | Asked::Write(_), _) => ReadKind::Linearizable,
        };
        self.counts.read(&what);
        let known = self.known_to(index);
        let call = Call { client: Some(index), node, term, begun: now, known, what };
        let request = self.history.begin(call, None);
        self.ask(node, request, Asking::Read { request, kind, deadline });
        self.after_asking(index, request);
    }

    /// A read of what is applied here, whatever that is.
    fn read_applied(&mut self, node: Machine, key: &str) {
        if self.is_reachable(node) {
            self.counts.reads_of_applied += 1;
            let checked = self.look(node, key, LogPoint::NULL).map(drop);
            self.check(checked);
        }
    }

    /// What the node shows of a key, and the entry up to which it has applied.
    pub(super) fn shown(&mut self, node: Machine, key: &str) -> Option<(LogPoint, Option<Bytes>)> {
        let view = self.live_mut(node)?.front.reader.view().ok()?;
        let value = view.get(&database_of(key), key.as_bytes()).unwrap_or_default();
        Some((view.applied(), value))
    }

    /// What the node shows of a key must be what the model says of it, at a state that covers `at`; up to which entry it has
    /// applied.
    pub(super) fn look(
        &mut self,
        node: Machine,
        key: &str,
        at: LogPoint,
    ) -> Result<LogPoint, Violation> {
        let Some((applied, value)) = self.shown(node, key) else { return Ok(at) };
        ensure(applied.vlsn >= at.vlsn, Invariant::LinearizableReads, || {
            format!("{node} said {at}, its store shows {applied}")
        })?;
        self.counts.reads += 1;
        self.history.seen(node, key, applied, &value)?;
        self.oracle.is_shown(node, applied)?;
        Ok(applied)
    }
}
