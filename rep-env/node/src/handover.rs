//! Handing a mastership over to a chosen member, while the group goes on.
//!
//! The master waits until a target is nearly caught up, lets no new commits in until it holds the last entry, and then
//! solicits the next term itself and names that target (decision 19): the same promises of a quorum
//! as in any election, so nothing that is durable can be lost by it. Until the next term is solicited the reign stands, and whatever goes wrong
//! lets commits in again; after that there is a master as soon as there would be after any other election.
//!
//! | stage | commits | ends by |
//! |---|---|---|
//! | `CatchingUp` | go on | a target that held, within one heartbeat, what the log's end had been at its beginning |
//! | `Draining` | wait at their admission | the target holds the last entry; it falls silent, or takes an election timeout: back to `CatchingUp` |
//! | `Solicited` | there is no reign | a master is heard, whoever it is |
//!
//! At the deadline any of them ends in a failure.

use crate::feeding::Fed;
use crate::node::Node;
use crate::output::{Output, Request};
use crate::reign::Reign;
use rep_fsm::Signal;
use rep_vlsn::{NodeId, Term, Vlsn, mutant, sometimes};
use std::fmt;
use std::time::Duration;

/// A wish that another member were master.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Transfer {
    /// Whose wish it is.
    pub request: Request,
    /// The members who may become master; whoever is nearly caught up first does. None listed: any voter.
    pub targets: Vec<NodeId>,
    /// When it has failed, if it has not succeeded.
    pub deadline: Duration,
    /// Whether it takes the place of another one that is under way.
    pub force: bool,
}

impl Transfer {
    /// A wish.
    pub fn new(request: Request, targets: Vec<NodeId>, deadline: Duration, force: bool) -> Self {
        Transfer { request, targets, deadline, force }
    }
}

/// Why a mastership was not handed over. Whatever it is, the group is as able to elect as before.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotTransferred {
    /// The node is closed or halted.
    Closed,
    /// This node is not the master, or is no longer.
    NotMaster {
        /// Who is, if known.
        master: Option<NodeId>,
    },
    /// No such member, or not one that may be master: itself, for one.
    UnknownTarget {
        /// Which.
        target: NodeId,
    },
    /// There is nobody else to be master.
    NoTarget,
    /// Another transfer is under way, and this one was not to take its place.
    InProgress,
    /// Another transfer took its place.
    Superseded,
    /// The group is being shut down.
    ShuttingDown,
    /// No target was caught up by the deadline; commits are let in again.
    NotCaughtUp,
    /// The next term was begun, and no master of it was heard by the deadline.
    NoMaster,
    /// Another member was elected.
    OtherMaster {
        /// Which.
        master: NodeId,
    },
}

impl fmt::Display for NotTransferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotTransferred::Closed => write!(f, "the node is closed"),
            NotTransferred::NotMaster { master: Some(master) } => {
                write!(f, "this node is not the master: {master} is")
            }
            NotTransferred::NotMaster { master: None } => write!(f, "this node is not the master"),
            NotTransferred::UnknownTarget { target } => {
                write!(f, "{target} is no other voter of this group")
            }
            NotTransferred::NoTarget => write!(f, "there is no other voter"),
            NotTransferred::InProgress => write!(f, "another transfer is under way"),
            NotTransferred::Superseded => write!(f, "another transfer took its place"),
            NotTransferred::ShuttingDown => write!(f, "the group is being shut down"),
            NotTransferred::NotCaughtUp => {
                write!(f, "no target was caught up in time; this node is still the master")
            }
            NotTransferred::NoMaster => write!(f, "no master of the next term was heard in time"),
            NotTransferred::OtherMaster { master } => {
                write!(f, "{master} was elected, which was not asked for")
            }
        }
    }
}

impl std::error::Error for NotTransferred {}

/// A transfer that is under way.
#[derive(Debug)]
pub(crate) struct Handover {
    request: Request,
    targets: Vec<NodeId>,
    deadline: Duration,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Whoever holds `until` before the next mark is set is nearly caught up.
    CatchingUp {
        until: Vlsn,
        since: Duration,
    },
    Draining {
        target: NodeId,
        since: Duration,
    },
    Solicited {
        over: Term,
    },
}

impl Handover {
    /// Whether commits have to wait.
    pub(crate) fn drains(&self) -> bool {
        matches!(self.stage, Stage::Draining { .. })
    }
}

impl Node {
    /// Hands the mastership over. Answered by [`Output::Transferred`].
    pub fn transfer(&mut self, now: Duration, transfer: Transfer) {
        self.clock = now;
        let Transfer { request, targets, deadline, force } = transfer;
        let targets = match self.check_transfer(targets, force) {
            Ok(targets) => targets,
            Err(why) => return self.output(Output::Transferred { request, outcome: Err(why) }),
        };
        self.end_handover(Err(NotTransferred::Superseded));
        let stage = Stage::CatchingUp { until: self.log.last().vlsn, since: now };
        self.handover = Some(Handover { request, targets, deadline, stage });
        self.settle(now);
    }

    fn check_transfer(
        &self,
        targets: Vec<NodeId>,
        force: bool,
    ) -> Result<Vec<NodeId>, NotTransferred> {
        if self.is_ended() {
            return Err(NotTransferred::Closed);
        }
        if self.shutting.is_some() {
            return Err(NotTransferred::ShuttingDown);
        }
        if self.reign.is_none() {
            return Err(NotTransferred::NotMaster { master: self.master() });
        }
        if self.handover.is_some() && !force {
            return Err(NotTransferred::InProgress);
        }
        let me = self.config.me;
        let others = self.copies.iter().copied().filter(|voter| *voter != me);
        let others: Vec<NodeId> = others.collect();
        match targets.iter().find(|target| !others.contains(target)) {
            Some(target) => Err(NotTransferred::UnknownTarget { target: *target }),
            None if others.is_empty() => Err(NotTransferred::NoTarget),
            None if targets.is_empty() => Ok(others),
            None => Ok(targets),
        }
    }

    /// Takes the transfer that is under way as far as it goes now.
    pub(crate) fn advance_handover(&mut self, now: Duration) {
        while let Some(handover) = &self.handover {
            let (stage, deadline) = (handover.stage, handover.deadline);
            let next = match stage {
                Stage::Solicited { over } => return self.await_heir(now, over, deadline),
                _ if self.reign.is_none() => {
                    let master = self.master();
                    return self.end_handover(Err(NotTransferred::NotMaster { master }));
                }
                _ if now >= deadline && !mutant!("handover-outlives-its-deadline") => {
                    return self.end_handover(Err(NotTransferred::NotCaughtUp));
                }
                Stage::CatchingUp { until, since } => self.nearly_caught_up(now, until, since),
                Stage::Draining { target, since } if self.drains_in_vain(now, target, since) => {
                    Some(Stage::CatchingUp { until: self.log.last().vlsn, since: now })
                }
                Stage::Draining { .. } => None,
            };
            match (next, &mut self.handover) {
                (Some(next), Some(handover)) => handover.stage = next,
                _ => return,
            }
        }
    }

    /// The first target that holds the mark, once the term itself has begun; else a new mark, a heartbeat later.
    fn nearly_caught_up(&self, now: Duration, until: Vlsn, since: Duration) -> Option<Stage> {
        let begun = self.reign.as_ref().is_some_and(|reign| reign.is_begun(self.dvlsn()));
        let targets = self.handover.iter().flat_map(|handover| &handover.targets).copied();
        let mut near = targets.filter(|id| self.is_fed(now, *id) && self.held_by(*id) >= until);
        match near.next() {
            Some(target) if begun && !self.truncating => {
                sometimes!(true, "node-drains-for-an-heir");
                Some(Stage::Draining { target, since: now })
            }
            Some(_) | None => {
                let late = now.saturating_sub(since) >= self.config.timing.heartbeat;
                late.then_some(Stage::CatchingUp { until: self.log.last().vlsn, since: now })
            }
        }
    }

    /// Whether the target is gone, or its disk stands still: commits do not wait for that, and another target may do better.
    fn drains_in_vain(&self, now: Duration, target: NodeId, since: Duration) -> bool {
        let waited = now.saturating_sub(since) >= self.config.timing.election_timeout;
        !self.is_fed(now, target) || (waited && self.ready_heir(now).is_none())
    }

    fn is_fed(&self, now: Duration, id: NodeId) -> bool {
        let patience = self.config.timing.election_timeout;
        let fresh = |fed: &Fed| fed.in_sync && now.saturating_sub(fed.heard) <= patience;
        self.reign.as_ref().and_then(|reign| reign.fed.get(&id)).is_some_and(fresh)
    }

    fn held_by(&self, id: NodeId) -> Vlsn {
        self.reign.as_ref().map_or(Vlsn::NULL, |reign| reign.acks.points(id).1.vlsn)
    }

    /// The end of a reign has a step of its own: what was counted before was counted, and told, by a master.
    pub(crate) fn handover_timeout(&mut self, now: Duration) {
        if let Some(heir) = self.ready_heir(now) {
            self.crown_heir(now, heir);
        }
    }

    /// The target that is drained for, if it holds all there is and there is time.
    fn ready_heir(&self, now: Duration) -> Option<NodeId> {
        let handover = self.handover.as_ref().filter(|handover| now < handover.deadline)?;
        match handover.stage {
            Stage::Draining { target, .. } => {
                (self.held_by(target) >= self.log.last().vlsn).then_some(target)
            }
            Stage::CatchingUp { .. } | Stage::Solicited { .. } => None,
        }
    }

    /// The heir holds all there is: the reign ends here, and the next term is solicited for it.
    fn crown_heir(&mut self, now: Duration, heir: NodeId) {
        let Some(over) = self.reign.as_ref().map(|reign| reign.term) else { return };
        self.end_reign(now, Signal::GracefulRelinquish, "hands its mastership over");
        if let Some(handover) = &mut self.handover {
            handover.stage = Stage::Solicited { over };
        }
        self.elect(|election, standing| election.hand_over(now, heir, standing));
        self.drain_election(now);
    }

    fn await_heir(&mut self, now: Duration, over: Term, deadline: Duration) {
        // Whoever hears that it is master again may write at once.
        let begun = |reign: &Reign| reign.is_begun(self.dvlsn()) || now >= deadline;
        let reigns = self.reign.as_ref().is_some_and(begun).then_some(self.config.me);
        let follows = self.following.as_ref().filter(|f| f.term > over && f.is_quorate());
        let master = reigns.or(follows.map(|following| following.master));
        let wished = |master: NodeId| {
            self.handover.as_ref().is_some_and(|handover| handover.targets.contains(&master))
        };
        match master {
            Some(master) if wished(master) => self.end_handover(Ok(master)),
            Some(master) => self.end_handover(Err(NotTransferred::OtherMaster { master })),
            None if now >= deadline => self.end_handover(Err(NotTransferred::NoMaster)),
            None => {}
        }
    }

    pub(crate) fn end_handover(&mut self, outcome: Result<NodeId, NotTransferred>) {
        if let Some(Handover { request, .. }) = self.handover.take() {
            sometimes!(outcome.is_ok(), "node-handed-its-mastership-over");
            self.output(Output::Transferred { request, outcome });
        }
    }

    pub(crate) fn handover_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let handover = self.handover.as_ref()?;
        let patience = self.config.timing.election_timeout;
        let heard = |id| self.reign.as_ref()?.fed.get(&id).map(|fed: &Fed| fed.heard);
        let stage = match handover.stage {
            Stage::CatchingUp { since, .. } => Some(since + self.config.timing.heartbeat),
            // Silent is who was not heard for longer than that.
            Stage::Draining { .. } if self.ready_heir(self.clock).is_some() => Some(self.clock),
            Stage::Draining { target, since } => {
                let silent = heard(target).map(|at| at + patience + Duration::from_nanos(1));
                silent.into_iter().chain([since + patience]).min()
            }
            Stage::Solicited { .. } => None,
        };
        Some((stage.into_iter().fold(handover.deadline, Duration::min), "transfer"))
    }
}
