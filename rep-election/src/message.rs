//! What members say to each other in an election, and how it is written.
//!
//! A version byte, then postcard. The enums grow at their end only. Version 3 is for the electorate that designates a voter, whose number stands in
//! front of the message; everything else is written as version 2, so that members who know no other read it. Decoding is bounded, and what it
//! returns has been checked: no electorate whose quorums need not meet, no list longer than a group.

use crate::electorate::{Electorate, MEMBERS_MAX};
use crate::error::PeerError;
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The version byte in front of every message whose electorate designates nobody.
pub const MESSAGE_VERSION: u8 = 2;
/// The version byte in front of one whose electorate designates a voter.
pub const DESIGNATING_VERSION: u8 = 3;

/// Most bytes that a message has.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// One message between two members.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Message {
    /// Would you promise me this term? Binds nobody.
    PreSolicit(PreSolicit),
    /// Yes, I would.
    PreGrant(PreGrant),
    /// No: to a pre-vote or to a solicitation.
    Refuse(Refuse),
    /// Promise me this term.
    Solicit(Solicit),
    /// I do; the fence is on my disk.
    Promise(Promise),
    /// This one is to be master.
    Name(Name),
}

/// Asks whether a solicitation would succeed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreSolicit {
    /// The term that would be solicited.
    pub term: Term,
    /// The asker's own fence: a master below it has been passed by.
    pub fence: Term,
    /// The last entry that the asker holds.
    pub rank: LogPoint,
    /// Its priority.
    pub priority: u32,
    /// Its membership.
    pub electorate: Electorate,
}

/// Grants a pre-vote, and tells what the asker needs in order to foresee whether anybody could be named.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreGrant {
    /// The term that was asked for.
    pub term: Term,
    /// The last entry that the granter holds.
    pub rank: LogPoint,
    /// Its membership.
    pub electorate: Electorate,
}

/// Refuses a pre-vote or a promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refuse {
    /// The term that was asked for.
    pub term: Term,
    /// Whether a pre-vote was asked for, rather than a promise.
    pub pre_vote: bool,
    /// The refuser's fence.
    pub fence: Term,
    /// Why.
    pub reason: Reason,
}

/// Asks for a promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Solicit {
    /// The term.
    pub term: Term,
    /// The last entry that the proposer holds.
    pub rank: LogPoint,
    /// Its membership.
    pub electorate: Electorate,
    /// Whether a master hands its mastership over; for whoever reads a trace, nothing depends on it.
    pub transfer: bool,
}

/// Promises a term, and tells what the proposer needs in order to pick the best master.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promise {
    /// The term.
    pub term: Term,
    /// The last entry that the promiser holds in this run, synced or not.
    pub rank: LogPoint,
    /// Whether the promiser would accept mastership: its log is sound, and it made this promise in this
    /// run of its process.
    pub nameable: bool,
    /// Its membership.
    pub electorate: Electorate,
    /// Its priority.
    pub priority: u32,
    /// Its measured round trips to others.
    pub round_trips: BTreeMap<NodeId, Duration>,
    /// Whether it reaches a commit quorum.
    pub reaches_commit_quorum: bool,
}

/// Announces the winner of a term.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    /// The term.
    pub term: Term,
    /// Who is to be master.
    pub winner: NodeId,
    /// An election quorum of promisers none of whom ranks above the winner.
    pub promisers: Vec<Promiser>,
}

/// One promise, as the announcement lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Promiser {
    /// Who promised.
    pub id: NodeId,
    /// Under which incarnation.
    pub incarnation: Incarnation,
    /// Its last entry when it promised.
    pub rank: LogPoint,
}

/// Why a pre-vote or a promise was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Reason {
    /// The term is not above the refuser's fence. Ask for a higher one.
    StaleTerm,
    /// The refuser hears a master.
    MasterHeard {
        /// Which one.
        master: NodeId,
    },
    /// The refuser is master.
    Reigning,
    /// The refuser has just promised and waits for the winner to act.
    CrownWait,
    /// The refuser holds a pre-vote of its own and is the better candidate, or has yielded once already.
    Busy,
    /// The asker is not a member of the refuser's group.
    NotAMember,
    /// The asker's name is a member's, its incarnation is not: its directory was wiped or replaced.
    OtherIncarnation,
    /// The asker belongs to another group of the same name.
    OtherGroup,
    /// The refuser belongs to a founded group, the asker to none yet.
    AskerUnborn,
    /// Both are unborn and list different members.
    OtherMembers,
    /// The asker's group does not record the refuser, or records another incarnation of it.
    RefuserNotRecorded,
    /// The asker is a learner, and those do not stand.
    AskerLearner,
}

impl Reason {
    /// Whether it is about who the two are, and so does not pass by itself.
    pub fn is_lasting(self) -> bool {
        match self {
            Reason::NotAMember
            | Reason::OtherIncarnation
            | Reason::OtherGroup
            | Reason::AskerUnborn
            | Reason::OtherMembers
            | Reason::RefuserNotRecorded
            | Reason::AskerLearner => true,
            Reason::StaleTerm
            | Reason::MasterHeard { .. }
            | Reason::Reigning
            | Reason::CrownWait
            | Reason::Busy => false,
        }
    }
}

impl Message {
    /// The term that the message speaks of.
    pub fn term(&self) -> Term {
        match self {
            Message::PreSolicit(PreSolicit { term, .. })
            | Message::PreGrant(PreGrant { term, .. })
            | Message::Refuse(Refuse { term, .. })
            | Message::Solicit(Solicit { term, .. })
            | Message::Promise(Promise { term, .. })
            | Message::Name(Name { term, .. }) => *term,
        }
    }

    /// The message as bytes.
    pub fn encode(&self) -> Vec<u8> {
        debug_assert_eq!(self.check(), Ok(()));
        let front = match self.electorate().and_then(|electorate| electorate.designated) {
            None => Ok(vec![MESSAGE_VERSION]),
            Some(designated) => postcard::to_extend(&designated, vec![DESIGNATING_VERSION]),
        };
        let bytes = front.and_then(|front| postcard::to_extend(self, front));
        bytes.expect("a message of plain values always encodes")
    }

    /// Reverses [`Message::encode`], with bounds.
    ///
    /// # Errors
    ///
    /// If the bytes are too many, of another version, or no sensible message.
    pub fn decode(bytes: &[u8]) -> Result<Message, PeerError> {
        if bytes.len() > MESSAGE_BYTES_MAX {
            return Err(PeerError::TooLong { bytes: bytes.len(), bytes_max: MESSAGE_BYTES_MAX });
        }
        let Some((&version, body)) = bytes.split_first() else {
            return Err(PeerError::Undecodable);
        };
        let (designated, body): (Option<NodeId>, &[u8]) = match version {
            MESSAGE_VERSION => (None, body),
            DESIGNATING_VERSION => {
                let front = postcard::take_from_bytes(body).map_err(|_| PeerError::Undecodable)?;
                (Some(front.0), front.1)
            }
            _ => return Err(PeerError::UnknownVersion { version, ours: DESIGNATING_VERSION }),
        };
        let (mut message, rest): (Message, &[u8]) =
            postcard::take_from_bytes(body).map_err(|_| PeerError::Undecodable)?;
        match message.electorate_mut() {
            Some(electorate) => electorate.designated = designated,
            None if designated.is_some() => return Err(PeerError::Undecodable),
            None => {}
        }
        if !rest.is_empty() {
            return Err(PeerError::Undecodable);
        }
        message.check()?;
        Ok(message)
    }

    /// Whether the message makes sense on its own.
    ///
    /// # Errors
    ///
    /// [`PeerError::Malformed`], with what does not.
    pub fn check(&self) -> Result<(), PeerError> {
        self.electorate()
            .map_or(Ok(()), Electorate::check)
            .and_then(|()| self.check_lists())
            .map_err(|what| PeerError::Malformed { what })
    }

    fn electorate(&self) -> Option<&Electorate> {
        match self {
            Message::PreSolicit(ask) => Some(&ask.electorate),
            Message::PreGrant(grant) => Some(&grant.electorate),
            Message::Solicit(ask) => Some(&ask.electorate),
            Message::Promise(promise) => Some(&promise.electorate),
            Message::Refuse(_) | Message::Name(_) => None,
        }
    }

    fn electorate_mut(&mut self) -> Option<&mut Electorate> {
        match self {
            Message::PreSolicit(ask) => Some(&mut ask.electorate),
            Message::PreGrant(grant) => Some(&mut grant.electorate),
            Message::Solicit(ask) => Some(&mut ask.electorate),
            Message::Promise(promise) => Some(&mut promise.electorate),
            Message::Refuse(_) | Message::Name(_) => None,
        }
    }

    fn check_lists(&self) -> Result<(), &'static str> {
        if self.term() == Term::ZERO {
            return Err("terms start at 1");
        }
        match self {
            Message::Promise(promise) if promise.round_trips.len() > MEMBERS_MAX => {
                Err("more round trips than members")
            }
            Message::Name(name) if name.promisers.len() > MEMBERS_MAX => {
                Err("more promisers than members")
            }
            Message::Promise(_)
            | Message::Name(_)
            | Message::PreSolicit(_)
            | Message::PreGrant(_)
            | Message::Refuse(_)
            | Message::Solicit(_) => Ok(()),
        }
    }
}
