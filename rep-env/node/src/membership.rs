//! Who belongs to the group, as the group's own log says.

use rep_election::{Electorate, Voter};
use rep_vlsn::{Draft, GroupId, Incarnation, Kind, LogPoint, NodeId, Record};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Version of the encoded membership.
const VERSION: u8 = 1;
/// Members of one group at most.
pub const MEMBERS_MAX: usize = 64;

/// One member, as recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its number; never used again.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// The data directory that was admitted under this name.
    pub incarnation: Incarnation,
    /// Where it listens.
    pub address: String,
}

/// The members at one entry of the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Membership {
    /// The group.
    pub group: GroupId,
    /// The entry that says so.
    pub at: LogPoint,
    /// The members, by number.
    pub members: BTreeMap<NodeId, Member>,
}

#[derive(Serialize, Deserialize)]
struct Founding {
    group: GroupId,
    members: Vec<Member>,
}

impl Membership {
    /// The founding entry of a group: `opener`, then version and postcard of group and members.
    pub(crate) fn founding_draft(opener: NodeId, group: GroupId, members: Vec<Member>) -> Draft {
        let mut rest = vec![VERSION];
        let body = postcard::to_stdvec(&Founding { group, members });
        rest.extend(body.expect("plain data is encodable"));
        Draft::opening(Kind::GroupFounded, opener, &rest)
    }

    /// Reads a founding entry, which may come from a peer.
    pub fn from_record(record: &Record) -> Result<Membership, String> {
        if record.header().kind != Kind::GroupFounded {
            return Err(format!("entry {} is of another kind", record.point()));
        }
        let payload = record.payload();
        let (version, body) = match payload.get(4..) {
            Some([version, body @ ..]) => (*version, body),
            _ => return Err("too short".into()),
        };
        if version != VERSION {
            return Err(format!("version {version} is not known here"));
        }
        let founding: Founding = postcard::from_bytes(body).map_err(|error| error.to_string())?;
        Membership::checked(founding, record.point())
    }

    fn checked(founding: Founding, at: LogPoint) -> Result<Membership, String> {
        let count = founding.members.len();
        let members: BTreeMap<NodeId, Member> =
            founding.members.into_iter().map(|member| (member.id, member)).collect();
        if members.is_empty() || members.len() != count || count > MEMBERS_MAX {
            return Err("members are missing, doubled or too many".into());
        }
        Ok(Membership { group: founding.group, at, members })
    }

    /// The voters and their quorums.
    pub fn electorate(&self) -> Electorate {
        let voters =
            self.members.values().map(|member| (member.id, Voter::known(member.incarnation)));
        Electorate::majority(self.group, self.at, voters.collect())
    }

    /// Whether `id` with that very data directory is a member.
    pub fn admits(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.members.get(&id).is_some_and(|member| member.incarnation == incarnation)
    }
}
