//! What others may look at: the node's facts at this moment, none of which they can change.

use crate::admission::Admission;
use crate::handover::Handover;
use crate::membership::Membership;
use crate::node::Node;
use rep_election::Fence;
use rep_fsm::{NodeState, Role};
use rep_vlsn::{GroupId, LogPoint, LogView, NodeId, Term, Vlsn, mutant};
use std::time::Duration;

impl Node {
    /// The visible state.
    pub fn state(&self) -> NodeState {
        self.states.state()
    }

    /// The role.
    pub fn role(&self) -> Role {
        self.role.role()
    }

    /// The master, if this node knows one in the term of its fence.
    pub fn master(&self) -> Option<NodeId> {
        match (&self.reign, &self.following) {
            (Some(_), _) => Some(self.config.me),
            (None, Some(following)) => Some(following.master),
            (None, None) => None,
        }
    }

    /// Whether new commits have to wait, because the mastership is about to end.
    pub(crate) fn drains(&self) -> bool {
        self.handover.as_ref().is_some_and(Handover::drains) || self.shutting.is_some()
    }

    /// The term of the fence.
    pub fn term(&self) -> Term {
        self.election.fence().term
    }

    /// The fence in force.
    pub fn fence(&self) -> Fence {
        self.election.fence()
    }

    /// The fence on disk.
    pub fn durable_fence(&self) -> Fence {
        self.election.durable_fence()
    }

    /// The log's positions.
    pub fn log(&self) -> &LogView {
        &self.log
    }

    /// Highest VLSN known to be synced by a commit quorum.
    pub fn dvlsn(&self) -> Vlsn {
        self.watermarks.dvlsn()
    }

    /// Highest VLSN known to be acknowledged as each entry's durability asked.
    pub fn cvlsn(&self) -> Vlsn {
        self.watermarks.cvlsn()
    }

    /// What the store holds.
    pub fn applied(&self) -> LogPoint {
        self.applied
    }

    /// The group, once it is founded, or has admitted this node.
    pub fn group(&self) -> Option<GroupId> {
        self.membership().or(self.hearsay.as_ref()).map(|membership| membership.group)
    }

    /// The group's members, once it is founded.
    pub fn membership(&self) -> Option<&Membership> {
        self.in_force.ruling()
    }

    /// The group's members, by the log or else by what this node was told.
    pub fn told_membership(&self) -> Option<&Membership> {
        self.membership().or(self.hearsay.as_ref())
    }

    /// What a committing thread must know.
    pub fn admission(&self, now: Duration) -> Admission {
        // A transaction reads the store and, above it, the overlay, which knows this term alone: so all that
        // earlier terms committed has to be in the store. A slow disk holds it back, though a quorum has gone on.
        let caught_up = self.reign.as_ref().is_some_and(|reign| {
            reign.is_begun(self.applied.vlsn) || mutant!("node-writable-too-soon")
        });
        let writable = self.state() == NodeState::Master && caught_up;
        let (live, missing) = self.live_voters(now);
        let copies_live = match self.arbiter {
            Some(_) => self.copies.iter().filter(|id| self.is_live(now, **id)).count(),
            None => live,
        };
        Admission {
            state: self.state(),
            term: self.reign.as_ref().map_or(self.term(), |reign| reign.term),
            master: self.master(),
            writable,
            draining: self.drains(),
            paced: self.holds_writers(now),
            live,
            needed: self.electorate.commit_need,
            voters: self.electorate.voters.len(),
            copies: self.copies.len(),
            copies_live,
            missing,
            arbiter: self.arbiter,
            unsynced_bytes: self.unsynced_bytes,
            unsynced_bytes_max: self.config.unsynced_bytes_max,
            halted: self.halted.clone(),
        }
    }
}
