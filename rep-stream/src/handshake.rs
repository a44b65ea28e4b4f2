//! How a stream begins: who is there, what it holds, and why it may be sent away.
//!
//! The channel's `Hello` came before and said which group, which node and which version. This exchange says
//! what the log holds, so that one question and one answer are enough to know where the two logs part.

use crate::error::PeerError;
use crate::message::Connection;
use rep_vlsn::{GroupId, History, Incarnation, LogPoint, NodeId, Term, Vlsn};
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Names and values of a node's attributes together, in bytes.
pub const ATTRIBUTES_BYTES_MAX: usize = 1 << 10;
/// Term starts that a history on the wire holds: the newest ones of the log.
pub const TERM_STARTS_MAX: usize = 8192;

/// A replica presents itself and its log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handshake {
    /// The stream.
    #[serde(skip)]
    pub connection: Connection,
    /// Its group; `None` while it has never seen one.
    pub group: Option<GroupId>,
    /// Who it is.
    pub node: NodeId,
    /// The incarnation of its data directory.
    pub incarnation: Incarnation,
    /// The first entry it still holds.
    pub first: Vlsn,
    /// The last entry it holds, synced or not.
    pub last: LogPoint,
    /// The last entry it has on stable storage.
    pub synced: Vlsn,
    /// What it knows to be durable in the group.
    pub dvlsn: Vlsn,
    /// Where its terms begin.
    pub history: History,
    /// What it announces about itself.
    pub attributes: Vec<(String, String)>,
}

/// Where the two logs part, as the feeder answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncUp {
    /// The stream.
    #[serde(skip)]
    pub connection: Connection,
    /// The feeder's group.
    pub group: GroupId,
    /// The last entry that both logs hold.
    pub matchpoint: LogPoint,
    /// Where the feeder's offered log ends.
    pub last: LogPoint,
    /// Where its terms begin, so that the replica can find the matchpoint for itself.
    pub history: History,
    /// What is durable in the group.
    pub dvlsn: Vlsn,
    /// What is acknowledged in the group.
    pub cvlsn: Vlsn,
}

/// Why a feeder sends a replica away. New reasons are added at the end: the order is the wire format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, Error)]
#[non_exhaustive]
pub enum RefuseReason {
    /// The replica is of another group.
    #[error("it belongs to another group")]
    WrongGroup,
    /// The node asked is not the master of the stream's term.
    #[error("not the master; master known there: {master:?}")]
    NotMaster {
        /// Whom to ask instead, if it knows.
        master: Option<NodeId>,
    },
    /// The name is right, the data directory another than the recorded one (wiped, or copied).
    #[error("incarnation {yours}, the group recorded {recorded}")]
    IncarnationMismatch {
        /// The recorded incarnation.
        recorded: Incarnation,
        /// The one that asked.
        yours: Incarnation,
    },
    /// The group does not know this node.
    #[error("it is no member")]
    NotMember,
    /// The stream's term is over.
    #[error("its term is over, the fence is at term {fence}")]
    StaleTerm {
        /// The later term.
        fence: Term,
    },
    /// The two logs name different openings of one term.
    #[error("the two histories contradict each other")]
    HistoryConflict,
    /// The feeder is not master, and what it knows to be durable ends before the replica's log.
    #[error("a relay that knows only {limit} to be durable cannot judge a longer log")]
    Behind {
        /// What the feeder could offer.
        limit: Vlsn,
    },
}

impl Handshake {
    /// Whether the claims fit together. Decoding asks this; so does the feeder, since messages may come
    /// from memory.
    pub(crate) fn check(&self) -> Result<(), PeerError> {
        check_history(&self.history, self.last)?;
        if attributes_bytes(&self.attributes) > ATTRIBUTES_BYTES_MAX {
            return Err(PeerError::Malformed { what: "attributes above their bound" });
        }
        if self.first.is_null() || self.first > self.last.vlsn.next() {
            return Err(PeerError::Malformed { what: "first entry beyond the log" });
        }
        if self.synced > self.last.vlsn {
            return Err(PeerError::Malformed { what: "synced beyond the log" });
        }
        Ok(())
    }
}

impl SyncUp {
    /// Whether the claims fit together.
    pub(crate) fn check(&self) -> Result<(), PeerError> {
        check_history(&self.history, self.last)?;
        if self.matchpoint.vlsn > self.last.vlsn {
            return Err(PeerError::Malformed { what: "matchpoint beyond the log" });
        }
        Ok(())
    }
}

/// Names and values together, in bytes.
pub(crate) fn attributes_bytes(attributes: &[(String, String)]) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.len()).sum()
}

fn check_history(history: &History, last: LogPoint) -> Result<(), PeerError> {
    if history.starts().len() > TERM_STARTS_MAX {
        return Err(PeerError::Malformed { what: "more term starts than their bound" });
    }
    history.check()?;
    if last.vlsn.is_null() != (last.term == Term::ZERO) {
        return Err(PeerError::Malformed { what: "half a null place" });
    }
    if last.vlsn == Vlsn::new(u64::MAX) {
        return Err(PeerError::Malformed { what: "no entry can follow" });
    }
    match history.starts().last() {
        Some(newest) if newest.start > last.vlsn || newest.term != last.term => {
            Err(PeerError::Malformed { what: "history and log end disagree" })
        }
        Some(_) | None => Ok(()),
    }
}
