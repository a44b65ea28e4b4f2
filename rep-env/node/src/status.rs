//! What `rep status` shows of a node, in numbers and in words.

use crate::links::Slot;
use crate::membership::MemberType;
use crate::membership::contacts::Contact;
use crate::membership::joining::Joining;
use crate::nearness::RoundTrips;
use crate::node::Node;
use crate::restoring::RestoreProgress;
use rep_fsm::{NodeState, Role};
use rep_stream::Progress;
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
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
    /// Who gives it its entries: the master, or for some a replica; nobody gives them to a master.
    pub source: Option<NodeId>,
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
    /// The entry that says who belongs; the null place before there is one.
    pub membership_at: LogPoint,
    /// What is being changed of who belongs, in words.
    pub changing: Option<String>,
    /// Whether this directory asks to be admitted.
    pub joining: bool,
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
    /// What it is for; electable, until there is a group that says so.
    pub kind: MemberType,
    /// Its priority in elections.
    pub priority: u32,
    /// Its data directory, once that is recorded.
    pub incarnation: Option<Incarnation>,
    /// Whether a PEER link is open.
    pub connected: bool,
    /// Smoothed round trip, if measured.
    pub round_trip: Option<Duration>,
    /// Its own round trips to the others, as it has told this node.
    pub round_trips: RoundTrips,
    /// If this node is master: the last entry that the member is known to have synced.
    pub synced: Option<Vlsn>,
    /// If this node is master: the last entry that the member is known to hold, synced or not.
    pub received: Option<Vlsn>,
    /// If this node feeds the member: where the stream to it stands.
    pub stream: Option<Progress>,
    /// If this node is master: who feeds the member instead.
    pub fed_by: Option<NodeId>,
}

impl Node {
    /// What there is to know about this node now.
    pub fn status(&self, now: Duration) -> NodeStatus {
        let nearness = self.nearness();
        NodeStatus {
            me: self.config.me,
            state: self.state(),
            role: self.role(),
            term: self.term(),
            master: self.master(),
            source: self.source(),
            group: self.group(),
            first: self.log.first(),
            last: self.log.last(),
            synced: self.log.synced(),
            dvlsn: self.dvlsn(),
            cvlsn: self.cvlsn(),
            applied: self.applied,
            members: self
                .contacts()
                .filter(|it| !it.removed)
                .map(|it| self.member_status(it, &nearness))
                .collect(),
            membership_at: self.membership().map_or(LogPoint::NULL, |it| it.at),
            changing: self.change_under_way(),
            joining: matches!(self.joining, Joining::Asking | Joining::Admitted),
            restoring: self.restore_progress(now),
            problems: self.problems(now).iter().map(ToString::to_string).collect(),
        }
    }

    fn member_status(
        &self,
        contact: &Contact,
        nearness: &BTreeMap<NodeId, RoundTrips>,
    ) -> MemberStatus {
        let id = contact.id;
        let told = self.membership().into_iter().chain(&self.hearsay);
        let recorded = told.into_iter().find_map(|it| it.members.get(&id));
        let reign = self.reign.as_ref();
        MemberStatus {
            id,
            name: contact.name.clone(),
            address: contact.address.clone(),
            kind: recorded.map_or(MemberType::Electable, |member| member.kind),
            priority: recorded.map_or(0, |member| member.priority),
            incarnation: contact.incarnation,
            connected: self.links.get(id, Slot::Peer).is_some(),
            round_trip: self.links.round_trips().get(&id).copied(),
            round_trips: nearness.get(&id).cloned().unwrap_or_default(),
            synced: reign.map(|reign| reign.acks.points(id).0.vlsn),
            received: reign.map(|reign| reign.acks.points(id).1.vlsn),
            stream: self.fed().find(|(peer, _)| *peer == id).map(|(_, fed)| fed.feeder.progress()),
            fed_by: self.relay_of(id),
        }
    }
}
