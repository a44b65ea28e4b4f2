//! A group whose quorum is gone for good goes on from one directory: by order of an operator, while no node runs there.
//!
//! Nobody is asked here, so of what only the lost members had, nothing can be promised. What can be kept is kept. The log stays as it is, and two
//! entries go behind it, in a term that is nobody else's: one that opens the term, and a membership of the survivors alone. Why the term leaps, why the
//! group stays the same group and in which order all that is written: decision 26.

use crate::error::OpenError;
use crate::membership::{Member, MemberType, Membership, Quorums};
use crate::past::Past;
use bytes::Bytes;
use rep_election::Fence;
use rep_vlsn::{Draft, Incarnation, Kind, LogPoint, NodeId, Record, Term, Vlsn};
use thiserror::Error;

/// Terms between the highest that a directory knows of and the one in which its quorum is forced.
///
/// The lost may have held elections that this directory never heard of, and written entries in their terms. A term that is one of
/// theirs would give one (term, VLSN) to two entries. They cannot have had so many: at a round trip each it is weeks of nothing but elections. And it is
/// far below the leap at which a member that comes back takes a term for a malformed one.
pub const TERMS_SKIPPED: u64 = 1 << 24;

/// Numbers of members that are left out, for those whom the lost may have admitted without this directory's knowledge: no number is given twice.
pub const NUMBERS_SKIPPED: u32 = 1 << 10;

/// What is left of a group, in one of its directories.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Remains {
    /// The name that the directory was made for.
    pub name: String,
    /// The directory.
    pub incarnation: Incarnation,
    /// Its promise.
    pub fence: Fence,
    /// The last entry of its log.
    pub last: LogPoint,
    /// The membership that is in force there: see [`Remains::membership`].
    pub membership: Membership,
    /// A forcing was begun here and is not complete: the log may end with the opening of its term.
    pub begun: bool,
}

impl Remains {
    /// The membership in force in a log that begins at `first`, of the entries there that say who belongs and of the cell `past`; `None` without
    /// a group.
    ///
    /// # Errors
    ///
    /// If one of them means nothing.
    pub fn membership(
        first: Vlsn,
        said: &[Record],
        past: Option<&Bytes>,
    ) -> Result<Option<Membership>, OpenError> {
        let past = Past::recovered(past, first)?.map(|past| past.membership);
        let read =
            |record| Membership::from_record(record).map_err(|why| OpenError::NoFounding { why });
        let mut said = said.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        said.extend(past);
        Ok(said.into_iter().max_by_key(|membership| membership.at))
    }

    /// What has to be written for the group to go on as `survivors`, this directory's member alone if none is named.
    ///
    /// # Errors
    ///
    /// Why that is not to be done.
    pub fn force(
        &self,
        survivors: &[String],
        even_without_vote: bool,
    ) -> Result<Forced, NotForced> {
        let me = self.me()?;
        let own = [me.name.clone()];
        let named = if survivors.is_empty() { &own[..] } else { survivors };
        let survivors = self.survivors(named, even_without_vote)?;
        if !survivors.iter().any(|member| member.id == me.id) {
            return Err(NotForced::NotASurvivor { name: me.name.clone() });
        }
        self.check_need(&survivors)?;
        let term = Term::new(self.highest_term().get().saturating_add(TERMS_SKIPPED));
        let at = LogPoint::new(term, self.last.vlsn.next().next());
        let (membership, cast_out) = self.reduced_to(survivors, at);
        let fence = Fence { term, promised_to: Some(me.id) };
        Ok(Forced { me: me.id, after: self.last, fence, membership, cast_out })
    }

    /// The member whose directory this is.
    ///
    /// # Errors
    ///
    /// If the group has none such.
    pub fn me(&self) -> Result<&Member, NotForced> {
        let me = self.membership.of_incarnation(self.incarnation);
        me.ok_or_else(|| NotForced::NotAMember { name: self.name.clone() })
    }

    /// Whether all of a forcing of that fence is in the log.
    pub fn has_forced(&self, fence: Fence) -> bool {
        self.membership.at == self.last && self.last.term == fence.term
    }

    fn highest_term(&self) -> Term {
        self.fence.term.max(self.last.term)
    }

    fn survivors(
        &self,
        named: &[String],
        even_without_vote: bool,
    ) -> Result<Vec<Member>, NotForced> {
        let find = |name: &String| {
            let member = self.membership.named(name).cloned();
            let member = member.ok_or_else(|| NotForced::Unknown { name: name.clone() })?;
            match member.kind {
                MemberType::Electable => Ok(member),
                MemberType::Arbiter | MemberType::Monitor => {
                    Err(NotForced::NoData { name: member.name })
                }
                _ if even_without_vote => Ok(member),
                kind => Err(NotForced::NoVote { name: member.name, kind }),
            }
        };
        named.iter().map(find).collect()
    }

    /// Who can do without force shall.
    fn check_need(&self, survivors: &[Member]) -> Result<(), NotForced> {
        let electorate = self.membership.electorate();
        let mut voters: Vec<NodeId> = survivors.iter().map(|member| member.id).collect();
        voters.retain(|id| electorate.voters.contains_key(id));
        voters.sort_unstable();
        voters.dedup();
        let goes_alone = electorate.designated.is_some_and(|id| voters.contains(&id));
        let is_quorum =
            goes_alone || voters.len() >= electorate.election_need.max(electorate.commit_need);
        // A term that was opened by force is not to be left without the membership that it was opened for.
        if is_quorum && !self.begun { Err(NotForced::HaveQuorum) } else { Ok(()) }
    }

    fn reduced_to(&self, survivors: Vec<Member>, at: LogPoint) -> (Membership, Vec<Member>) {
        let stays = |id: NodeId| survivors.iter().any(|member| member.id == id);
        let members = self.membership.members.values();
        let cast_out: Vec<Member> = members.filter(|member| !stays(member.id)).cloned().collect();
        let reduced = cast_out.iter().fold(self.membership.clone(), |it, out| it.without(out.id));
        let next_id = NodeId::new(reduced.next_id.get().saturating_add(NUMBERS_SKIPPED));
        let mut membership = Membership { at, next_id, quorums: Quorums::Majority, ..reduced };
        for member in membership.members.values_mut() {
            member.kind = MemberType::Electable;
        }
        (membership, cast_out)
    }
}

/// What has to be written, in this order: the fence, durably; then the records.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Forced {
    /// The member whose directory it is.
    pub me: NodeId,
    /// The entry that the log ends with.
    pub after: LogPoint,
    /// The promise of the new term, to this member.
    pub fence: Fence,
    /// The members from then on, and where the entry is to stand.
    pub membership: Membership,
    /// Those who are members no more.
    pub cast_out: Vec<Member>,
}

impl Forced {
    /// The entry that opens the term and the one that says the members, behind a log whose last header's CRC is `last_crc`.
    pub fn records(&self, last_crc: u32, time_ms: u64) -> [Record; 2] {
        let opens = LogPoint::new(self.fence.term, self.after.vlsn.next());
        let incarnation = self.membership.members[&self.me].incarnation;
        let opening = Draft::opening(Kind::TermStart, self.me, &incarnation.0);
        let opening = opening.stamp(opens, last_crc, time_ms);
        let members = self.membership.draft();
        let members = members.stamp(self.membership.at, opening.header_crc(), time_ms);
        [opening, members]
    }
}

/// Why a quorum is not forced.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NotForced {
    /// Another directory took the name, or the member was removed.
    #[error(
        "this directory is none of the group's members: {name:?} was removed, or another directory has its place"
    )]
    NotAMember {
        /// The directory's name.
        name: String,
    },
    /// A survivor that is no member.
    #[error("{name:?} is to survive and is no member")]
    Unknown {
        /// The name.
        name: String,
    },
    /// The directory's own member is not to survive.
    #[error(
        "{name:?}, whose directory this is, has to be among the survivors: the group goes on from what it holds"
    )]
    NotASurvivor {
        /// The name.
        name: String,
    },
    /// Its acknowledgement was never waited for.
    #[error(
        "{name:?} is a {kind}: it has no vote, so nobody ever waited for its copy, and any number of acknowledged entries may be missing in it; \
         take the directory of a voter if one is left, or say --even-without-a-vote"
    )]
    NoVote {
        /// The name.
        name: String,
        /// What it is.
        kind: MemberType,
    },
    /// Nothing to go on from.
    #[error("{name:?} holds no data: leave it out, and have it join again afterwards")]
    NoData {
        /// The name.
        name: String,
    },
    /// They can elect a master and remove the others without losing anything.
    #[error(
        "the survivors are a quorum without any force: start them, and remove the others at the master"
    )]
    HaveQuorum,
}
