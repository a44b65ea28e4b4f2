//! What can go wrong, by whose doing: a peer ([`PeerError`]), the disk ([`FenceError`]), or the caller
//! ([`QuorumError`]).

use rep_vlsn::{NodeId, Term};
use thiserror::Error;

/// A peer said what no sound member says. Nothing was changed; close its channel and tell the operator.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A term further above ours than elections can carry it: it would exhaust the numbers.
    #[error("term {term} lies more than 2^32 above ours ({ours})")]
    TermTooFar {
        /// The term in the message.
        term: Term,
        /// The term of our fence.
        ours: Term,
    },
    /// The peer claims our own name: a twin of this node runs somewhere.
    #[error("the peer claims our own name, {name}")]
    OwnName {
        /// The name.
        name: NodeId,
    },
    /// Somebody else acts as master in the term in which we reign. This must not be: halt the node.
    #[error("{master} acts as master of {term}, in which we reign")]
    SecondMaster {
        /// The term of both.
        term: Term,
        /// The other one.
        master: NodeId,
    },
    /// More bytes than any message has.
    #[error("election message of {bytes} bytes, at most {bytes_max} are taken")]
    TooLong {
        /// Bytes that came.
        bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A version that this build does not speak.
    #[error("election message of version {version}; this build speaks {ours}")]
    UnknownVersion {
        /// The version byte of the message.
        version: u8,
        /// Ours.
        ours: u8,
    },
    /// Bytes that are no message.
    #[error("election message cannot be decoded")]
    Undecodable,
    /// A message that decodes and makes no sense.
    #[error("election message is malformed: {what}")]
    Malformed {
        /// What makes no sense.
        what: &'static str,
    },
}

/// The durable fence cannot be read. A node that does not know what it promised must not vote: say so,
/// and do not start a fresh one in its place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum FenceError {
    /// Not as long as a fence is.
    #[error("a fence has {needed} bytes, {got} are there")]
    Length {
        /// Bytes of a fence.
        needed: usize,
        /// Bytes that are there.
        got: usize,
    },
    /// Written by a newer build.
    #[error("fence of version {version}; this build reads {ours}")]
    UnknownVersion {
        /// The version byte found.
        version: u8,
        /// Ours.
        ours: u8,
    },
}

/// Quorum sizes under which two sets that must meet need not. The caller's doing: choose larger ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum QuorumError {
    /// Two election quorums could be disjoint: two masters in one term.
    #[error("two election quorums of {election} among {voters} voters need not meet")]
    ElectionsApart {
        /// Voters.
        voters: usize,
        /// Size of an election quorum.
        election: usize,
    },
    /// An election quorum could miss a commit quorum: a new master without a durable entry.
    #[error(
        "an election quorum of {election} and a commit quorum of {commit} among {voters} voters need not meet"
    )]
    CommitMissed {
        /// Voters.
        voters: usize,
        /// Size of an election quorum.
        election: usize,
        /// Size of a commit quorum.
        commit: usize,
    },
    /// A quorum before a change of the membership and one after it could be disjoint.
    #[error(
        "a quorum of {before} among the {voters_before} voters before the change and one of {after} among the {voters_after} after it need not meet: {kept} are in both"
    )]
    ChangeApart {
        /// Size of the quorum before.
        before: usize,
        /// Voters before.
        voters_before: usize,
        /// Size of the quorum after.
        after: usize,
        /// Voters after.
        voters_after: usize,
        /// Voters that are the same before and after.
        kept: usize,
    },
    /// One voter may be elected alone only where there is at most one other.
    #[error("of {voters} voters none can be designated: two at most")]
    TooManyForDesignated {
        /// Voters.
        voters: usize,
    },
    /// Who is to be elected alone does not vote.
    #[error("{designated} is no voter, and cannot be designated")]
    DesignatedNoVoter {
        /// Who.
        designated: NodeId,
    },
    /// No quorum, or one larger than the group.
    #[error("a quorum of {need} among {voters} voters cannot be")]
    OutOfRange {
        /// Voters.
        voters: usize,
        /// The size asked for.
        need: usize,
    },
}
