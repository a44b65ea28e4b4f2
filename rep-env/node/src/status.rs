//! What `rep status` shows of a node, in numbers and in words.

use crate::links::Slot;
use crate::node::Node;
use crate::restoring::RestoreProgress;
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
    /// How far the copy has come that it is being given, if it is.
    pub restoring: Option<RestoreProgress>,
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
    /// If this node is master: the last entry that the member is known to have synced.
    pub synced: Option<Vlsn>,
    /// If this node is master: the last entry that the member is known to hold, synced or not.
    pub received: Option<Vlsn>,
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
            restoring: self.restore_progress(now),
            problems: self.problems(now).iter().map(ToString::to_string).collect(),
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
            received: reign.map(|reign| reign.acks.points(id).1.vlsn),
            stream: reign.and_then(|reign| {
                reign.progress().find(|(peer, _)| *peer == id).map(|(_, progress)| progress)
            }),
        }
    }
}
