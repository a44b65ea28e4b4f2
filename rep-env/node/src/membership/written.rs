//! A membership as bytes: in its entry, in the cells `past` and `place`, and between members.
//!
//! A version byte, then postcard. The founding entry has its opener's number in front, as every entry that opens a term. Version 1 knew
//! only electable members and majorities; version 2, members without attributes. Version 4 is version 3 of more than 32 members that were removed: it is written
//! where there are so many, as earlier versions take no more.

use super::{Attributes, Member, MemberType, Membership, Quorums, Removed};
use bytes::Bytes;
use rep_vlsn::{Draft, Flags, GroupId, Incarnation, Kind, LogPoint, NodeId, Record};
use serde::{Deserialize, Serialize};

const VERSION: u8 = 4;
const THIRD_VERSION: u8 = 3;
const SECOND_VERSION: u8 = 2;
const FIRST_VERSION: u8 = 1;
/// Members that were removed, in what an earlier version reads.
const THIRD_REMOVED_MAX: usize = 32;
/// The longest encoding of a membership.
pub const MEMBERSHIP_BYTES_MAX: usize = 48 << 10;

#[derive(Serialize, Deserialize)]
struct Body {
    group: GroupId,
    members: Vec<Member>,
    next_id: NodeId,
    quorums: Quorums,
    removed: Vec<Removed>,
}

#[derive(Deserialize)]
struct SecondBody {
    group: GroupId,
    members: Vec<SecondMember>,
    next_id: NodeId,
    quorums: Quorums,
    removed: Vec<Removed>,
}

#[derive(Deserialize)]
struct SecondMember {
    id: NodeId,
    name: String,
    incarnation: Incarnation,
    address: String,
    kind: MemberType,
    priority: u32,
}

#[derive(Deserialize)]
struct FirstBody {
    group: GroupId,
    members: Vec<FirstMember>,
}

#[derive(Deserialize)]
pub(crate) struct FirstMember {
    id: NodeId,
    name: String,
    incarnation: Incarnation,
    address: String,
}

impl From<FirstMember> for Member {
    fn from(first: FirstMember) -> Self {
        let FirstMember { id, name, incarnation, address } = first;
        let (kind, priority) = (MemberType::Electable, 0);
        SecondMember { id, name, incarnation, address, kind, priority }.into()
    }
}

impl From<SecondMember> for Member {
    fn from(second: SecondMember) -> Self {
        let SecondMember { id, name, incarnation, address, kind, priority } = second;
        let attributes = Attributes::new();
        Member { id, name, incarnation, address, kind, priority, attributes }
    }
}

impl Membership {
    /// The founding entry of a group.
    pub(crate) fn founding_draft(&self, opener: NodeId) -> Draft {
        Draft::opening(Kind::GroupFounded, opener, &self.body())
    }

    /// The entry of a change.
    pub(crate) fn draft(&self) -> Draft {
        Draft::new(Kind::Membership, Flags::default(), &self.body())
    }

    /// Reads an entry that says who belongs to the group. It may come from a peer.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn from_record(record: &Record) -> Result<Membership, String> {
        let payload = record.payload();
        match record.header().kind {
            Kind::GroupFounded => match payload.get(4..) {
                Some(body) => Membership::of_body(body, record.point()),
                None => Err("too short".into()),
            },
            Kind::Membership => Membership::of_body(&payload, record.point()),
            _ => Err(format!("entry {} is of another kind", record.point())),
        }
    }

    /// The membership and where its entry stands, as bytes.
    pub fn encode(&self) -> Bytes {
        let mut out = postcard::to_stdvec(&self.at).expect("plain data is encodable");
        out.extend(self.body());
        out.into()
    }

    /// Reverses [`Membership::encode`], with bounds.
    ///
    /// # Errors
    ///
    /// What is wrong with the bytes, in words.
    pub fn decode(bytes: &[u8]) -> Result<Membership, String> {
        if bytes.len() > MEMBERSHIP_BYTES_MAX {
            return Err(format!("{} bytes; {MEMBERSHIP_BYTES_MAX} at most", bytes.len()));
        }
        let (at, body) = postcard::take_from_bytes(bytes).map_err(|error| error.to_string())?;
        Membership::of_body(body, at)
    }

    /// How long its entry is.
    pub(crate) fn bytes(&self) -> usize {
        self.body().len()
    }

    fn body(&self) -> Vec<u8> {
        let body = Body {
            group: self.group,
            members: self.members.values().cloned().collect(),
            next_id: self.next_id,
            quorums: self.quorums,
            removed: self.removed.clone(),
        };
        let version = match body.removed.len() <= THIRD_REMOVED_MAX {
            true => THIRD_VERSION,
            false => VERSION,
        };
        postcard::to_extend(&body, vec![version]).expect("plain data is encodable")
    }

    fn of_body(bytes: &[u8], at: LogPoint) -> Result<Membership, String> {
        let body = match bytes.split_first() {
            Some((&(VERSION | THIRD_VERSION), body)) => whole(body)?,
            Some((&SECOND_VERSION, body)) => whole::<SecondBody>(body)?.into(),
            Some((&FIRST_VERSION, body)) => whole::<FirstBody>(body)?.into(),
            Some((version, _)) => return Err(format!("version {version} is not known here")),
            None => return Err("too short".into()),
        };
        let Body { group, members, next_id, quorums, removed } = body;
        let count = members.len();
        let members: std::collections::BTreeMap<NodeId, Member> =
            members.into_iter().map(|member| (member.id, member)).collect();
        if members.len() != count {
            return Err("two members of one number".into());
        }
        let membership = Membership { group, at, members, next_id, quorums, removed };
        membership.check().map(|()| membership)
    }
}

impl From<SecondBody> for Body {
    fn from(second: SecondBody) -> Self {
        let SecondBody { group, members, next_id, quorums, removed } = second;
        let members = members.into_iter().map(Member::from).collect();
        Body { group, members, next_id, quorums, removed }
    }
}

impl From<FirstBody> for Body {
    fn from(first: FirstBody) -> Self {
        let members = first.members.into_iter().map(Member::from).collect();
        let Membership { group, members, next_id, quorums, removed, .. } =
            Membership::founding(first.group, members);
        Body { group, members: members.into_values().collect(), next_id, quorums, removed }
    }
}

/// A value, and nothing behind it.
fn whole<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, String> {
    match postcard::take_from_bytes(bytes) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err("there are bytes behind its end".into()),
        Err(error) => Err(error.to_string()),
    }
}
