//! Shutting a whole group down: the replicas catch up, then everybody stops.
//!
//! The master lets no new commits in, waits until the members that are connected have synced all there is, tells each of them that the
//! group is closed, and waits for them to go; who is not there by the deadline is left behind, and finds what it lacks when the
//! group is started again. A member stops only if its own master says so.

use crate::handover::NotTransferred;
use crate::links::{Link, Open, Slot};
use crate::message::Message;
use crate::node::Node;
use crate::output::{HaltReason, Output, Request};
use rep_vlsn::{NodeId, Term, Vlsn};
use std::collections::BTreeSet;
use std::time::Duration;

/// Of the time that is left when all are told, they have this long at most to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// A shutdown that is under way.
#[derive(Debug)]
pub(crate) struct Shutting {
    request: Request,
    deadline: Duration,
    /// Those that were told and are still here; before that, nothing.
    told: Option<BTreeSet<NodeId>>,
    left_behind: Vec<NodeId>,
}

impl Node {
    /// Stops every member that can be reached, this one last. Answered by [`Output::GroupShutDown`].
    pub fn shut_group_down(&mut self, now: Duration, request: Request, deadline: Duration) {
        self.clock = now;
        if self.is_over() || self.reign.is_none() || self.shutting.is_some() {
            let master = self.master();
            return self.output(Output::GroupShutDown { request, outcome: Err(master) });
        }
        self.end_handover(Err(NotTransferred::Superseded));
        let left_behind = Vec::new();
        self.shutting = Some(Shutting { request, deadline, told: None, left_behind });
        self.settle(now);
    }

    /// Takes the shutdown as far as it goes now.
    pub(crate) fn advance_shutting(&mut self, now: Duration) {
        let Some(shutting) = &self.shutting else { return };
        let late = now >= shutting.deadline;
        match &shutting.told {
            Some(told) => {
                let gone = told.iter().all(|id| self.links.get(*id, Slot::Peer).is_none());
                if late || gone {
                    self.end_shutting();
                }
            }
            None if self.reign.is_none() => {
                let (request, master) = (shutting.request, self.master());
                self.shutting = None;
                self.output(Output::GroupShutDown { request, outcome: Err(master) });
            }
            None if late || self.is_everyone_synced() => self.tell_everyone(now),
            None => {}
        }
    }

    /// Whether all there is is durable, and synced by every member that is connected.
    fn is_everyone_synced(&self) -> bool {
        let last = self.log.last().vlsn;
        let all = self.connected().all(|open| self.synced_by(open.link.peer) >= last);
        all && self.dvlsn() == last && self.log.synced() == last
    }

    fn connected(&self) -> impl Iterator<Item = &Open> {
        self.links.peers().filter(|open| self.is_member(open))
    }

    fn synced_by(&self, id: NodeId) -> Vlsn {
        self.reign.as_ref().map_or(Vlsn::NULL, |reign| reign.acks.points(id).0.vlsn)
    }

    fn tell_everyone(&mut self, now: Duration) {
        let last = self.log.last().vlsn;
        let term = self.term();
        let links: Vec<Link> = self.connected().map(|open| open.link).collect();
        let me = self.config.me;
        let lacks = |id: &NodeId| *id != me && self.synced_by(*id) < last;
        let left_behind = self.config.members.keys().copied().filter(lacks).collect();
        let told = links.iter().map(|link| link.peer).collect();
        for link in links {
            self.send(link, Message::GroupShutDown { term });
        }
        if let Some(shutting) = &mut self.shutting {
            shutting.told = Some(told);
            shutting.left_behind = left_behind;
            shutting.deadline = shutting.deadline.min(now + FAREWELL).max(now);
        }
        self.advance_shutting(now);
    }

    fn end_shutting(&mut self) {
        if let Some(Shutting { request, left_behind, .. }) = self.shutting.take() {
            self.output(Output::GroupShutDown { request, outcome: Ok(left_behind) });
            self.halt(HaltReason::GroupShutDown { by: self.config.me });
        }
    }

    /// This node ends before it is done.
    pub(crate) fn give_shutting_up(&mut self) {
        if let Some(Shutting { request, .. }) = self.shutting.take() {
            self.output(Output::GroupShutDown { request, outcome: Err(None) });
        }
    }

    /// The master says that the group is shut down. Anybody else may say so for nothing.
    pub(crate) fn told_to_stop(&mut self, peer: NodeId, term: Term) {
        let obeys = self.following.as_ref().is_some_and(|f| f.master == peer && f.term == term);
        if obeys && term == self.term() {
            self.halt(HaltReason::GroupShutDown { by: peer });
        }
    }

    pub(crate) fn shutting_next_timeout(&self) -> Option<(Duration, &'static str)> {
        self.shutting.as_ref().map(|shutting| (shutting.deadline, "group shutdown"))
    }
}
