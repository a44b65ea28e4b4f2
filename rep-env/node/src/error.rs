//! Whose doing it was.

use rep_vlsn::{Incarnation, LogPoint, NodeId, Vlsn};
use thiserror::Error;

/// Why a node cannot be made of what its configuration and its disk say. The caller's doing, or the disk's.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// This node is not among the listed members.
    #[error("this node ({me}) is not among the listed members: list every member, itself too")]
    NotListed {
        /// The number this node was given.
        me: NodeId,
    },
    /// The log's metadata differs from the flags.
    #[error(
        "the group's own record differs from the members listed: {difference}; correct the list"
    )]
    MembersDiffer {
        /// What differs.
        difference: String,
    },
    /// The log records another data directory under this node's name: identity and log were put together from
    /// two, or the identity was lost.
    #[error(
        "the group records incarnation {recorded} for this member, the directory's identity is {ours}: restore the identity, or empty the directory and have the member re-admitted"
    )]
    OtherIncarnation {
        /// What the group records.
        recorded: Incarnation,
        /// What the directory's identity says.
        ours: Incarnation,
    },
    /// The store is ahead of the log: the directory was put together from two, or tampered with.
    #[error(
        "the store holds entry {applied}, which the log (up to {last}) does not: restore this directory from a peer"
    )]
    StoreAheadOfLog {
        /// What the store holds.
        applied: LogPoint,
        /// Where the log ends.
        last: LogPoint,
    },
    /// The store lacks entries that the log does not hold any more: it was lost or replaced, and cannot be built again from here.
    #[error(
        "the store holds entries up to {applied}, and the log begins at {first}: the state in between is at the other members"
    )]
    StoreBehindLog {
        /// What the store holds.
        applied: LogPoint,
        /// The first entry of the log.
        first: Vlsn,
    },
    /// The head of the log was cleaned away, and what it said of the group cannot be read beside it.
    #[error(
        "the log begins at entry {first}, and the cell `past` beside it cannot stand in for what came before: {why}"
    )]
    NoPast {
        /// The first entry still held.
        first: Vlsn,
        /// What is wrong with the cell.
        why: String,
    },
    /// What the directory was told when it was admitted cannot be read.
    #[error(
        "the cell `place`, which says which member this directory is, means nothing: {why}; empty the directory and join anew"
    )]
    NoPlace {
        /// What is wrong with it.
        why: String,
    },
    /// The group whose log this is knows neither the directory nor its name.
    #[error(
        "the group knows no member {name:?}: it was removed, or never was one; empty the directory and join anew"
    )]
    NotAMember {
        /// The name.
        name: String,
    },
    /// Entry 1 is not a founding entry that this version reads.
    #[error("entry 1 of the log does not found a group: {why}")]
    NoFounding {
        /// What is wrong with it.
        why: String,
    },
}

/// A peer said what no correct peer says. The driver closes the link; fence, log and watermarks are as they were. A stream on that link
/// may be over already.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// An election message that cannot be.
    #[error("election: {0}")]
    Election(#[from] rep_election::PeerError),
    /// A stream message that cannot be.
    #[error("stream: {0}")]
    Stream(#[from] rep_stream::PeerError),
    /// A frame that is no message of this version.
    #[error("malformed frame: {0}")]
    Malformed(&'static str),
    /// A message on a channel of another service.
    #[error("a {message} does not belong on this channel")]
    WrongService {
        /// The message's name.
        message: &'static str,
    },
    /// An entry that founds a group in a place or shape where none can.
    #[error("founding entry refused: {0}")]
    Founding(String),
    /// An entry, or a word, about who belongs that makes no sense.
    #[error("membership refused: {0}")]
    Membership(String),
}
