//! Changes of the membership: what is asked of a node, and what it answers.

use super::Asking;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::world::World;
use rep_node::{Change, ChangeRequest, Changed, Request};

/// Numbers of changes begin here, apart from those of calls and of wishes for another master.
pub(crate) const CHANGES_FROM: u64 = 1 << 49;

impl World {
    /// An operator asks a node for a change.
    pub(crate) fn order(&mut self, at: Machine, change: Change, force: bool) -> Option<Request> {
        if !self.is_reachable(at) {
            return None;
        }
        self.orders += 1;
        let request = Request(CHANGES_FROM + self.orders);
        let (now, patience) = (self.now, self.swarm.election_timeout * 4);
        self.note(at, &[92, request.0], || format!("n{} is asked: {change:?}", at.get()));
        let deadline = self.live_mut(at)?.clock.local(now) + patience;
        self.change(at, ChangeRequest::new(request, change, deadline).forced(force));
        Some(request)
    }

    pub(crate) fn change(&mut self, at: Machine, change: ChangeRequest) {
        self.enter_lane(at, Asking::Change(change));
    }

    /// I-44: a change is answered once, and what is said to be made is durable.
    pub(crate) fn changed(&mut self, id: Machine, request: Request, outcome: Changed) {
        let made = outcome.as_ref().ok().map(|membership| membership.at);
        self.note(id, &[93, request.0, u64::from(made.is_some())], || match &outcome {
            Ok(membership) => {
                format!("n{} has made change {}: {}", id.get(), request.0, membership.at)
            }
            Err(why) => format!("n{} does not make change {}: {why}", id.get(), request.0),
        });
        self.counts.change(made.is_some());
        self.observe(id);
        let Some(live) = self.live_mut(id) else { return };
        let known = live.changes.remove(&request).is_some();
        let question = live.questions.remove(&request);
        let checked = ensure(known, Invariant::ChangeAnswered, || {
            format!("{id} answers change {} twice, or unasked", request.0)
        });
        self.check(checked);
        if let Some(at) = made {
            let checked = self.oracle.change_is_made(id, at);
            self.check(checked);
        }
        match question {
            Some(question) => self.answers(id, question, outcome),
            None => {
                let told = outcome.map(|membership| membership.at).map_err(|why| why.to_string());
                self.told_of_changes.insert(request, told);
            }
        }
    }

    /// I-44: once a node has handled what is due, nobody is left waiting.
    pub(crate) fn changes_end_in_time(&mut self, id: Machine) {
        let now = self.now;
        let Some(live) = self.live_mut(id).filter(|live| !live.changes.is_empty()) else { return };
        let local = live.clock.local(now);
        let late = live.changes.iter().find(|(_, deadline)| **deadline < local);
        let late = late.map(|(request, _)| request.0);
        let checked = ensure(late.is_none(), Invariant::ChangeAnswered, || {
            format!("{id} has not answered change {late:?} by its deadline")
        });
        self.check(checked);
    }
}
