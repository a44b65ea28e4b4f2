//! What an operator may want of a membership, and why it may not be done.

use super::{MemberType, Membership, Quorums};
use crate::output::Request;
use rep_vlsn::{Incarnation, NodeId};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Somebody who is to be a member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Newcomer {
    /// Its name.
    pub name: String,
    /// Its data directory.
    pub incarnation: Incarnation,
    /// Where it listens.
    pub address: String,
    /// What it is to be: an [`Electable`](MemberType::Electable) one begins as a learner.
    pub kind: MemberType,
    /// Its priority in elections.
    pub priority: u32,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Change {
    /// Another member. One whose name is a member's with another directory takes its place.
    Add(Newcomer),
    /// A member less.
    Remove {
        /// Which.
        id: NodeId,
    },
    /// What is recorded of a member.
    Update {
        /// Which.
        id: NodeId,
        /// Where it listens from now on.
        address: Option<String>,
        /// Its priority from now on.
        priority: Option<u32>,
        /// What is to be known of it instead of what it announces; `None`: what it announces under that name, again.
        attributes: BTreeMap<String, Option<String>>,
    },
    /// How many voters it takes.
    Quorums(Quorums),
}

/// A change that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangeRequest {
    /// Whose it is.
    pub request: Request,
    /// What.
    pub change: Change,
    /// When it has failed, if it has not been made.
    pub deadline: Duration,
    /// Whether it is made although the voters that are live are too few for it.
    pub force: bool,
}

impl ChangeRequest {
    /// A change that is not forced.
    pub fn new(request: Request, change: Change, deadline: Duration) -> Self {
        ChangeRequest { request, change, deadline, force: false }
    }

    /// The same, forced if so.
    pub fn forced(mut self, force: bool) -> Self {
        self.force = force;
        self
    }
}

/// What became of a change: the membership that it made, durably.
pub type Changed = Result<Membership, NotChanged>;

/// Why a membership is not changed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NotChanged {
    /// The node is closed or halted.
    Closed,
    /// This node is not the master, or was deposed before the change was logged.
    NotMaster {
        /// Who is, if known.
        master: Option<NodeId>,
    },
    /// As many changes wait as may.
    Busy,
    /// The member of that name runs, with another data directory.
    LiveTwin {
        /// The name.
        name: String,
    },
    /// No member has that number.
    UnknownMember {
        /// Which.
        id: NodeId,
    },
    /// The master itself is to be removed.
    IsMaster,
    /// That data directory was a member's that was removed.
    WasRemoved,
    /// The voters that are live would be too few.
    LosesQuorum {
        /// Voters that would be live.
        live: usize,
        /// Voters that would be needed.
        needed: usize,
    },
    /// Quorums of the group before and after need not meet, or no such quorums can be.
    Apart {
        /// Which, in words.
        why: String,
    },
    /// The group has as many members as it may.
    TooMany,
    /// The request makes no sense.
    Invalid {
        /// What of it.
        what: String,
    },
    /// It was not begun by its deadline, and nothing was logged.
    Expired,
    /// It was logged, and not durable by its deadline: it may become so yet.
    Unknown,
    /// The member whose place was to be taken is removed, and the new one is not admitted yet: ask again.
    HalfMade {
        /// Why it went no further, in words.
        why: String,
    },
    /// It was logged, and another term's entry is durable in its place: it was not made.
    RolledBack,
}

impl fmt::Display for NotChanged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            NotChanged::Closed => write!(f, "the node is closed"),
            NotChanged::NotMaster { master: Some(master) } => {
                write!(f, "this node is not the master: {master} is")
            }
            NotChanged::NotMaster { master: None } => write!(f, "this node is not the master"),
            NotChanged::Busy => write!(f, "too many changes of the membership wait already"),
            NotChanged::LiveTwin { name } => write!(
                f,
                "{name} is a member with another data directory, and runs: stop it first, or choose another name"
            ),
            NotChanged::UnknownMember { id } => write!(f, "{id} is no member of this group"),
            NotChanged::IsMaster => {
                write!(f, "the master cannot be removed: hand the mastership over first")
            }
            NotChanged::WasRemoved => write!(
                f,
                "that data directory was a member's which was removed: join with an empty one"
            ),
            NotChanged::LosesQuorum { live, needed } => write!(
                f,
                "{live} voters would be live and {needed} needed: bring members back first, or force it"
            ),
            NotChanged::Apart { why } => write!(f, "no such quorums: {why}"),
            NotChanged::TooMany => write!(f, "the group has as many members as it may"),
            NotChanged::Invalid { what } => write!(f, "{what}"),
            NotChanged::Expired => write!(f, "not begun in time; nothing was changed"),
            NotChanged::Unknown => write!(f, "logged, and not durable in time: it may be made yet"),
            NotChanged::HalfMade { why } => write!(
                f,
                "the member whose place is taken was removed, and the new one not admitted yet ({why}): ask again"
            ),
            NotChanged::RolledBack => {
                write!(f, "logged and rolled back by another master: it was not made")
            }
        }
    }
}

impl std::error::Error for NotChanged {}
