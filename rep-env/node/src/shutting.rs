//! Shutting a whole group down: the replicas catch up, then everybody stops.
//!
//! The master lets no new commits in, waits until the members that are connected have synced all there is, tells each of them that the
//! group is shut down, and waits for them to go; who is not there by the deadline is left behind, and finds what it lacks when the
//! group is started again. A member stops only if its own master says so.

use crate::handover::NotTransferred;
use crate::links::{Link, Open, Slot};
use crate::message::Message;
use crate::node::Node;
use crate::output::{HaltReason, Output, Request};
use rep_vlsn::{NodeId, Term};
use std::collections::BTreeSet;
use std::time::Duration;

/// Of the time that is left when all are told, they have this long at most to go.
const FAREWELL: Duration = Duration::from_secs(1);

/// Whoever asked for it has this long to be told before the master itself ends.
const ANSWER: Duration = Duration::from_millis(100);

/// Why a group was not shut down. Nobody was told to stop, but where it says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotShutDown {
    /// The node is closed or halted; if it was when members had been told already, they stop.
    Closed,
    /// This node is not the master, or is no longer.
    NotMaster {
        /// Who is, if known.
        master: Option<NodeId>,
    },
    /// It is being shut down already.
    InProgress,
}

/// A shutdown that is under way.
#[derive(Debug)]
pub(crate) struct Shutting {
    request: Request,
    deadline: Duration,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    /// Members catch up.
    Draining,
    /// These were told, and are still here; those lack something, or were not there to be told.
    Told { here: BTreeSet<NodeId>, left_behind: BTreeSet<NodeId> },
    /// Whoever asked is being told.
    Answered,
}

impl Node {
    /// Stops every member that can be reached, this one last. Answered by [`Output::GroupShutDown`].
    pub fn shut_group_down(&mut self, now: Duration, request: Request, deadline: Duration) {
        self.clock = now;
        if let Err(why) = self.check_shutdown() {
            return self.output(Output::GroupShutDown { request, outcome: Err(why) });
        }
        self.end_handover(Err(NotTransferred::ShuttingDown));
        self.shutting = Some(Shutting { request, deadline, stage: Stage::Draining });
        self.settle(now);
    }

    fn check_shutdown(&self) -> Result<(), NotShutDown> {
        match () {
            () if self.is_ended() => Err(NotShutDown::Closed),
            () if self.shutting.is_some() => Err(NotShutDown::InProgress),
            () if self.reign.is_none() => Err(NotShutDown::NotMaster { master: self.master() }),
            () => Ok(()),
        }
    }

    /// Takes the shutdown as far as it goes now.
    pub(crate) fn advance_shutting(&mut self, now: Duration) {
        if self.is_over() {
            return;
        }
        self.forget_who_is_gone();
        let Some(shutting) = &self.shutting else { return };
        let late = now >= shutting.deadline;
        match &shutting.stage {
            Stage::Draining if self.reign.is_none() => {
                let why = NotShutDown::NotMaster { master: self.master() };
                self.give_shutting_up(why);
            }
            Stage::Draining if late || self.is_everyone_synced() => self.tell_everyone(now),
            Stage::Draining => {}
            Stage::Told { here, .. } if late || here.is_empty() => self.answer_shutdown(now),
            Stage::Told { .. } => {}
            Stage::Answered if late => {
                self.shutting = None;
                self.halt(HaltReason::GroupShutDown { by: self.config.me });
            }
            Stage::Answered => {}
        }
    }

    fn forget_who_is_gone(&mut self) {
        let links = &self.links;
        if let Some(Shutting { stage: Stage::Told { here, .. }, .. }) = &mut self.shutting {
            here.retain(|id| links.get(*id, Slot::Peer).is_some());
        }
    }

    /// Whether all there is is durable, and synced by every member that is connected.
    fn is_everyone_synced(&self) -> bool {
        let last = self.log.last().vlsn;
        let mut holders = self.connected().filter(|open| self.holds_data(open.link.peer));
        let all = holders.all(|open| self.synced_by(open.link.peer) >= last);
        all && self.dvlsn() == last && self.log.synced() == last
    }

    fn connected(&self) -> impl Iterator<Item = &Open> {
        self.links.peers().filter(|open| self.is_member(open))
    }

    fn tell_everyone(&mut self, now: Duration) {
        let (last, term) = (self.log.last().vlsn, self.term());
        let links: Vec<Link> = self.connected().map(|open| open.link).collect();
        let here: BTreeSet<NodeId> = links.iter().map(|link| link.peer).collect();
        let lacks = |id: &NodeId| self.holds_data(*id) && self.synced_by(*id) < last;
        let behind = |id: &NodeId| lacks(id) || !here.contains(id);
        let left_behind = self.others().filter(behind).collect();
        links.into_iter().for_each(|link| self.send(link, Message::GroupShutDown { term }));
        if let Some(shutting) = &mut self.shutting {
            shutting.stage = Stage::Told { here, left_behind };
            shutting.deadline = shutting.deadline.min(now + FAREWELL).max(now);
        }
        self.advance_shutting(now);
    }

    /// A member that was told and is back has not heard it.
    pub(crate) fn tell_again(&mut self, link: Link) {
        let told = self.shutting.as_ref().is_some_and(|it| matches!(it.stage, Stage::Told { .. }));
        if told {
            self.send(link, Message::GroupShutDown { term: self.term() });
        }
    }

    fn answer_shutdown(&mut self, now: Duration) {
        let Some(shutting) = &mut self.shutting else { return };
        shutting.deadline = now + ANSWER;
        if let Stage::Told { here, left_behind } =
            std::mem::replace(&mut shutting.stage, Stage::Answered)
        {
            let (request, left) = (shutting.request, left_behind.into_iter().chain(here));
            let outcome = Ok(left.collect::<BTreeSet<NodeId>>().into_iter().collect());
            self.output(Output::GroupShutDown { request, outcome });
        }
    }

    /// It comes to nothing.
    pub(crate) fn give_shutting_up(&mut self, why: NotShutDown) {
        if let Some(Shutting { request, stage, .. }) = self.shutting.take()
            && !matches!(stage, Stage::Answered)
        {
            self.output(Output::GroupShutDown { request, outcome: Err(why) });
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
