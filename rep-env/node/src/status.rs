//! What `rep status` shows of a node, in numbers and in words.

use crate::links::Slot;
use crate::node::Node;
use rep_fsm::{NodeState, Role};
use rep_stream::Progress;
use rep_vlsn::{GroupId, LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;

/// One node at one moment.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeStatus {
    /// Its number.
    pub me: NodeId,
    /// What the application sees.
    pub state: NodeState,
    /// Its role.
    pub role: Role,
    /// The term of its fence.
    pub term: Term,
    /// The master, if known.
    pub master: Option<NodeId>,
    /// The group, once founded.
    pub group: Option<GroupId>,
    /// First entry held.
    pub first: Vlsn,
    /// Last entry held.
    pub last: LogPoint,
    /// Last entry on stable storage here.
    pub synced: Vlsn,
    /// Highest VLSN known to be synced by a commit quorum.
    pub dvlsn: Vlsn,
    /// Highest VLSN known to be acknowledged as asked.
    pub cvlsn: Vlsn,
    /// What the store holds.
    pub applied: LogPoint,
    /// The members.
    pub members: Vec<MemberStatus>,
    /// What is wrong, in plain words; empty if nothing is.
    pub problems: Vec<String>,
}

/// One member as this node sees it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct MemberStatus {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens.
    pub address: String,
    /// Whether a PEER link is open.
    pub connected: bool,
    /// Smoothed round trip, if measured.
    pub round_trip: Option<Duration>,
    /// If this node is master: how far the member is known to have synced.
    pub synced: Option<Vlsn>,
    /// If this node is master: where the stream to the member stands.
    pub stream: Option<Progress>,
}

impl Node {
    /// What there is to know about this node now.
    pub fn status(&self, now: Duration) -> NodeStatus {
        NodeStatus {
            me: self.config.me,
            state: self.state(),
            role: self.role(),
            term: self.term(),
            master: self.master(),
            group: self.group(),
            first: self.log.first(),
            last: self.log.last(),
            synced: self.log.synced(),
            dvlsn: self.dvlsn(),
            cvlsn: self.cvlsn(),
            applied: self.applied,
            members: self.config.members.keys().map(|id| self.member_status(*id)).collect(),
            problems: self.problems(now),
        }
    }

    fn member_status(&self, id: NodeId) -> MemberStatus {
        let seed = &self.config.members[&id];
        let reign = self.reign.as_ref();
        MemberStatus {
            id,
            name: seed.name.clone(),
            address: seed.address.clone(),
            connected: self.links.get(id, Slot::Peer).is_some(),
            round_trip: self.links.round_trips().get(&id).copied(),
            synced: reign.map(|reign| reign.acks.points(id).0.vlsn),
            stream: reign.and_then(|reign| {
                reign.progress().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
            }),
        }
    }

    fn problems(&self, now: Duration) -> Vec<String> {
        let mut problems = Vec::new();
        if let Some(reason) = &self.halted {
            problems.push(format!("halted: {reason}"));
        }
        if let Some(why) = &self.log_failed {
            problems.push(format!("the log failed and takes no more entries: {why}; restart"));
        }
        if self.master().is_none() && !self.is_over() {
            problems.push(self.why_no_master());
        }
        if self.reign.is_some() && self.live_voters(now).0 < self.electorate.commit_need {
            let (live, need) = (self.live_voters(now).0, self.electorate.commit_need);
            problems.push(format!("writes wait: {live} of {need} needed voters would acknowledge"));
        }
        problems.extend(self.refusals.iter().map(|(by, reason)| {
            let name = self.config.members.get(by).map_or("?", |seed| &seed.name);
            format!("{name}: {reason}")
        }));
        problems
    }

    fn why_no_master(&self) -> String {
        let (reach, need) = (self.voters_in_reach(), self.electorate.election_need);
        if reach < need {
            format!("no master: {reach} of {need} needed voters are in reach")
        } else {
            format!("no master: an election is under way at term {}", self.term().get())
        }
    }
}
