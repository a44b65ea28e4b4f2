//! Who belongs to the group, as the group's own log says.
//!
//! A membership is one entry of the log: the founding entry is the first, each change writes the whole anew. The latest in a
//! node's log rules it, durable or not, and when that is cut away the one before rules again (`in_force`). How it is changed is in [`change`]
//! and `changing`, who is known beyond it in `contacts`, and how a directory becomes a member's in `joining`.

pub mod change;
mod changing;
pub(crate) mod contacts;
mod in_force;
pub(crate) mod joining;
mod written;

pub(crate) use changing::Changing;
pub(crate) use in_force::InForce;
pub(crate) use written::FirstMember;
pub use written::MEMBERSHIP_BYTES_MAX;

use rep_election::{Electorate, Voter};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, mutant};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Members of one group at most.
pub const MEMBERS_MAX: usize = 64;
/// Bytes of a member's name, and of its address.
pub const NAME_BYTES_MAX: usize = 255;
/// Members that were removed and are remembered: the newest ones, as many as [`REMOVED_BYTES_MAX`] hold.
pub const REMOVED_MAX: usize = 256;
/// Bytes that they may take in the entry, nearly: 256 of names of ten bytes, or 29 of the longest names.
pub const REMOVED_BYTES_MAX: usize = 8 << 10;

/// What a member is for. New types are added at the end: the order is the format.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[non_exhaustive]
pub enum MemberType {
    /// Votes, holds the data, may be master.
    #[default]
    Electable,
    /// Holds the data, or is about to; becomes electable as soon as it has caught up.
    Learner,
    /// Holds the data and never votes.
    Secondary,
    /// Votes and holds no data; one of them at most.
    Arbiter,
    /// Watches: neither votes nor holds data, and is told who is master and who belongs.
    Monitor,
}

impl MemberType {
    /// The type of that name, as [`Display`](fmt::Display) writes it.
    pub fn named(name: &str) -> Option<MemberType> {
        use MemberType::{Arbiter, Electable, Learner, Monitor, Secondary};
        let all = [Electable, Learner, Secondary, Arbiter, Monitor];
        all.into_iter().find(|kind| kind.to_string() == name)
    }

    /// Whether it is known to hold a copy that a group can go on with: one who learns may hold nothing yet.
    pub fn is_copy(self) -> bool {
        self.holds_data() && self != MemberType::Learner
    }

    /// Whether its promises and acknowledgements count.
    pub fn votes(self) -> bool {
        matches!(self, MemberType::Electable | MemberType::Arbiter)
    }

    /// Whether it holds the data, or is to.
    pub fn holds_data(self) -> bool {
        !matches!(self, MemberType::Arbiter | MemberType::Monitor)
    }
}

impl fmt::Display for MemberType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MemberType::Electable => "electable",
            MemberType::Learner => "learner",
            MemberType::Secondary => "secondary",
            MemberType::Arbiter => "arbiter",
            MemberType::Monitor => "monitor",
        })
    }
}

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
    /// What it is for.
    pub kind: MemberType,
    /// Preferred as master over members of a lower priority whose logs are equal.
    pub priority: u32,
    /// What is to be known of it instead of what it announces under the same names.
    pub attributes: Attributes,
}

/// Texts by name, [`ATTRIBUTES_BYTES_MAX`] at most.
pub type Attributes = BTreeMap<String, String>;

/// Bytes that the attributes of a member may take, names and values together.
pub const ATTRIBUTES_BYTES_MAX: usize = 1024;

/// Whether a member may have these attributes.
fn fit(attributes: &Attributes) -> bool {
    let bytes: usize = attributes.iter().map(|(name, value)| name.len() + value.len()).sum();
    bytes <= ATTRIBUTES_BYTES_MAX
}

/// A member that was removed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Removed {
    /// The number it had.
    pub id: NodeId,
    /// The name it had, which may be another member's now.
    pub name: String,
    /// Its data directory, which is not admitted again.
    pub incarnation: Incarnation,
}

impl Removed {
    /// How long it is in an entry, at most: two numbers beside what is counted.
    fn bytes(&self) -> usize {
        self.name.len() + self.incarnation.0.len() + 7
    }
}

/// How many voters it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Quorums {
    /// More than half, for both.
    #[default]
    Majority,
    /// Numbers chosen by hand.
    Sizes {
        /// Promises that make a master.
        election: usize,
        /// Synced copies that make an entry durable.
        commit: usize,
    },
    /// Of two members that hold the data, this one may be elected alone when the other has been silent for long enough, and nobody without it;
    /// an entry takes both, as long as both vote (decision 30).
    Designated(NodeId),
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
    /// The number that the next member gets: no number is used twice.
    pub next_id: NodeId,
    /// How many voters it takes.
    pub quorums: Quorums,
    /// Those who were removed last, oldest first.
    pub removed: Vec<Removed>,
}

impl Membership {
    /// The members of a group that has just been founded.
    pub(crate) fn founding(group: GroupId, members: Vec<Member>) -> Membership {
        let members: BTreeMap<NodeId, Member> =
            members.into_iter().map(|member| (member.id, member)).collect();
        let greatest = members.keys().next_back().map_or(0, |id| id.get());
        Membership {
            group,
            at: LogPoint::NULL,
            members,
            next_id: NodeId::new(greatest.saturating_add(1)),
            quorums: Quorums::Majority,
            removed: Vec::new(),
        }
    }

    /// Why no group can be like that, if so.
    ///
    /// # Errors
    ///
    /// What is wrong with it, in words.
    pub fn check(&self) -> Result<(), String> {
        let members = self.members.len();
        let fits = |name: &str| (1..=NAME_BYTES_MAX).contains(&name.len());
        let named = |member: &Member| fits(&member.name) && fits(&member.address);
        let mut names: Vec<&str> = self.members.values().map(|member| &*member.name).collect();
        let of = |kind| self.members.values().filter(|member| member.kind == kind).count();
        let (electable, arbiters) = (of(MemberType::Electable), of(MemberType::Arbiter));
        let incarnations: BTreeSet<_> =
            self.members.values().map(|member| member.incarnation.0).collect();
        names.sort_unstable();
        names.dedup();
        match () {
            () if members == 0 || members > MEMBERS_MAX => {
                Err("a group has 1 to 64 members".into())
            }
            () if !self.members.values().all(|member| fit(&member.attributes)) => {
                Err(format!("attributes of more than {ATTRIBUTES_BYTES_MAX} bytes"))
            }
            () if !self.members.values().all(named) => {
                Err(format!("a name or address is empty or above {NAME_BYTES_MAX} bytes"))
            }
            () if electable == 0 || arbiters > 1 => {
                Err("a group has an electable member, and one arbiter at most".into())
            }
            () if names.len() != members => Err("two members of one name".into()),
            () if incarnations.len() != members => Err("two members of one data directory".into()),
            () if self.members.iter().any(|(id, member)| *id != member.id) => {
                Err("a member under another's number".into())
            }
            () if self.removed.len() > REMOVED_MAX
                || !self.removed.iter().all(|removed| fits(&removed.name)) =>
            {
                Err("more removed members than are remembered, or one without a name".into())
            }
            () if self.members.keys().any(|id| *id >= self.next_id) => {
                Err("a number that was not given out yet".into())
            }
            () => self.try_electorate().map(|_| ()),
        }
    }

    /// The voters and their quorums.
    ///
    /// # Panics
    ///
    /// If [`Membership::check`] finds something: what comes from outside is checked when it is read.
    pub fn electorate(&self) -> Electorate {
        self.try_electorate().expect("a membership is checked when it is made")
    }

    fn try_electorate(&self) -> Result<Electorate, String> {
        let known = |member: &Member| (member.id, Voter::known(member.incarnation));
        let voters = self.members.values().filter(|member| member.kind.votes()).map(known);
        let mut voters: BTreeMap<NodeId, Voter> = voters.collect();
        if mutant!("members-removed-counts") {
            let removed = self.removed.iter();
            voters.extend(removed.map(|it| (it.id, Voter::known(it.incarnation))));
        }
        let electorate = match self.quorums {
            Quorums::Majority => Electorate::majority(self.group, self.at, voters),
            Quorums::Sizes { election, commit } => {
                Electorate::flexible(self.group, self.at, voters, election, commit)
                    .map_err(|error| error.to_string())?
            }
            Quorums::Designated(designated) => {
                self.check_designated(designated)?;
                Electorate::designated(self.group, self.at, voters, designated)
                    .map_err(|error| error.to_string())?
            }
        };
        let learners = self.members.values().filter(|member| member.kind == MemberType::Learner);
        let learners = learners.map(|member| (member.id, member.incarnation)).collect();
        Ok(electorate.with_learners(learners))
    }

    /// Who is to vote counts as if it did: it could never be let in.
    fn check_designated(&self, designated: NodeId) -> Result<(), String> {
        let to_vote = |member: &&Member| member.kind.votes() || member.kind == MemberType::Learner;
        let is_electable = |member: &Member| member.kind == MemberType::Electable;
        match () {
            () if !self.members.get(&designated).is_some_and(is_electable) => {
                Err(format!("{designated} is designated, and no electable member"))
            }
            () if self.members.values().any(|member| member.kind == MemberType::Arbiter) => {
                Err("a member is designated, so there is no place for an arbiter".into())
            }
            () if self.members.values().filter(to_vote).count() > 2 => {
                Err("a member is designated, so two may vote at most".into())
            }
            () => Ok(()),
        }
    }

    /// Whether `id` with that very data directory is a member.
    pub fn admits(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.members.get(&id).is_some_and(|member| member.incarnation == incarnation)
    }

    /// The member of that name.
    pub fn named(&self, name: &str) -> Option<&Member> {
        self.members.values().find(|member| member.name == name)
    }

    /// The member whose data directory that is.
    pub fn of_incarnation(&self, incarnation: Incarnation) -> Option<&Member> {
        self.members.values().find(|member| member.incarnation == incarnation)
    }

    /// Whether that number was a member's and is no more.
    pub fn has_removed(&self, id: NodeId) -> bool {
        id < self.next_id && !self.members.contains_key(&id)
    }

    /// The same once `me`, which was elected alone, goes on alone: the other one votes no more, until it has caught up.
    pub(crate) fn overridden(&self, me: NodeId) -> Membership {
        let mut next = self.clone();
        let others = next.members.values_mut().filter(|member| member.id != me);
        for member in others.filter(|member| member.kind == MemberType::Electable) {
            member.kind = MemberType::Learner;
        }
        next
    }

    /// The same without `id`.
    pub(crate) fn without(&self, id: NodeId) -> Membership {
        let mut next = self.clone();
        if let Some(Member { id, name, incarnation, .. }) = next.members.remove(&id) {
            next.removed.push(Removed { id, name, incarnation });
            next.forget_the_oldest();
        }
        next
    }

    /// As many of those who were removed are remembered as there is room for.
    fn forget_the_oldest(&mut self) {
        let newest_first = self.removed.iter().rev().take(REMOVED_MAX);
        let room = newest_first.scan(0, |bytes, removed| {
            *bytes += removed.bytes();
            (*bytes <= REMOVED_BYTES_MAX).then_some(())
        });
        let excess = self.removed.len() - room.count();
        self.removed.drain(..excess);
    }
}
