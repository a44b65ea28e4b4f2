//! What can go wrong on a stream, and whose doing it is.
//!
//! Three kinds, kept apart because what follows differs: a [`PeerError`] is the other end's doing and ends
//! the connection; a [`Breach`] means that a belief of the whole protocol is broken, and ends the node; a
//! [`CloseReason`] is an ordinary end, after which the replica dials again.

use crate::handshake::RefuseReason;
use crate::restore::{ChunkId, Digest16};
use rep_vlsn::{BatchError, GroupId, HistoryError, LogPoint, Matchpoint, NodeId, Term, Vlsn};
use std::time::Duration;
use thiserror::Error;

/// The other end said what no correct member says. Close the connection; the machine that returned this
/// has already stopped.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PeerError {
    /// A message of fixed layout has another length.
    #[error("message of {got} bytes where {needed} belong")]
    Length {
        /// Bytes that the message has by its layout.
        needed: usize,
        /// Bytes that came.
        got: usize,
    },
    /// A message is longer than any of its kind may be.
    #[error("message of {got} bytes, above the bound of {bytes_max}")]
    TooLong {
        /// The bound.
        bytes_max: usize,
        /// Bytes that came.
        got: usize,
    },
    /// No message of this direction begins with that byte.
    #[error("no message has the tag {tag}")]
    UnknownMessage {
        /// The first byte.
        tag: u8,
    },
    /// The message is of a layout that this build does not speak.
    #[error("message layout {version} is not spoken here")]
    UnknownVersion {
        /// The layout's number.
        version: u8,
    },
    /// The message contradicts itself or a bound.
    #[error("malformed message: {what}")]
    Malformed {
        /// What is wrong with it.
        what: &'static str,
    },
    /// A list of term starts is none, or names another opening of a term that we know.
    #[error("history: {0}")]
    History(#[from] HistoryError),
    /// The entries of a batch are damaged or do not follow each other.
    #[error("batch: {0}")]
    Batch(#[from] BatchError),
    /// A message that has no place in the present phase.
    #[error("{message} while {phase}")]
    Unexpected {
        /// The message's name.
        message: &'static str,
        /// What we were doing.
        phase: &'static str,
    },
    /// The handshake comes from another node than the channel's, or changed its mind on the way.
    #[error("handshake of node {got} on the channel of node {expected}")]
    WrongNode {
        /// Whom the channel belongs to.
        expected: NodeId,
        /// Who the handshake says it is.
        got: NodeId,
    },
    /// The source belongs to another group and has not noticed.
    #[error("source of group {theirs}, we are of {ours}")]
    WrongGroup {
        /// Our group.
        ours: GroupId,
        /// The source's.
        theirs: GroupId,
    },
    /// An entry of a later term than the stream's: no such stream can hold it.
    #[error("entry {entry} on the stream of term {stream}")]
    TermAboveStream {
        /// The stream's term.
        stream: Term,
        /// The entry.
        entry: LogPoint,
    },
    /// The source's matchpoint is not the one that the two histories give.
    #[error("matchpoint {told} was told, the histories give {found:?}")]
    Matchpoint {
        /// What the source said.
        told: LogPoint,
        /// What we computed.
        found: Matchpoint,
    },
    /// A batch that names our last entry and yet does not continue it.
    #[error("batch from {first} does not follow the entry {prev} that it names")]
    DoesNotFollow {
        /// The entry that the batch names.
        prev: LogPoint,
        /// Its own first.
        first: LogPoint,
    },
    /// The replica is ready at another place than the matchpoint.
    #[error("ready at {at}, the matchpoint is {matchpoint}")]
    ReadyElsewhere {
        /// Where the replica says it is.
        at: LogPoint,
        /// Where it has to be.
        matchpoint: LogPoint,
    },
    /// An acknowledged point that is no entry of our log.
    #[error("acknowledged {point} is no entry of this log")]
    NotOurs {
        /// The point.
        point: LogPoint,
    },
    /// An acknowledgement of what was never sent.
    #[error("acknowledged {received}, sent no further than {sent}")]
    AckBeyondSent {
        /// What it claims to have.
        received: LogPoint,
        /// How far we have sent.
        sent: Vlsn,
    },
    /// The replica lost, within one connection, what it had acknowledged on it.
    #[error("acknowledged {acked} on this connection, now ends at {now}")]
    WentBack {
        /// What it had acknowledged.
        acked: LogPoint,
        /// Where its log ends now.
        now: LogPoint,
    },
    /// A copy that is older than what was asked for.
    #[error("a copy at {point}, asked was for one at {at_least} or later")]
    CopyTooOld {
        /// What was asked for.
        at_least: Vlsn,
        /// What the copy stands for.
        point: LogPoint,
    },
    /// The source takes a chunk for known that we never said we had.
    #[error("chunk {id} was never said to be here")]
    NotHeld {
        /// The chunk.
        id: ChunkId,
    },
    /// More of a copy is on its way than the window takes.
    #[error("{in_flight} bytes of a copy in flight, the window is {window_bytes}")]
    WindowOverrun {
        /// The window.
        window_bytes: u64,
        /// Bytes that came and are not kept yet.
        in_flight: u64,
    },
    /// A copy of more chunks than one may have, or a longer list of those that are there.
    #[error("more than {ids_max} chunks")]
    TooManyChunks {
        /// The bound.
        ids_max: u32,
    },
    /// The source's count of chunks, or its digest over them, is not that of what came.
    #[error("{told} chunks of digest {told_digest} were told, {got} of digest {got_digest} came")]
    OtherChunks {
        /// How many the source says there are.
        told: u64,
        /// Its digest over their names.
        told_digest: Digest16,
        /// How many came.
        got: u64,
        /// The digest over the names of those.
        got_digest: Digest16,
    },
    /// More bytes of a copy are said to have arrived than were sent.
    #[error("{received} bytes of a copy acknowledged, {sent} were sent")]
    ReceivedBeyondSent {
        /// What it claims to have.
        received: u64,
        /// What was sent.
        sent: u64,
    },
}

/// A belief of the protocol does not hold. Nothing local can mend it: the node halts with this reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Breach {
    /// To follow this source, entries that a commit quorum holds would have to be cut.
    #[error(
        "would cut all after {keep} up to {last}, though entries up to {dvlsn} are durable in the group"
    )]
    TruncationBelowDurable {
        /// The last entry shared with the source.
        keep: LogPoint,
        /// Our last entry.
        last: LogPoint,
        /// What we know to be durable in the group.
        dvlsn: Vlsn,
    },
    /// To follow this source, entries that it wrote itself, in this very term, would have to be cut.
    #[error("would cut all after {keep} up to {last}, entries of the stream's own term {term}")]
    TruncationOfOwnTerm {
        /// The last entry shared with the source.
        keep: LogPoint,
        /// Our last entry.
        last: LogPoint,
        /// The stream's term.
        term: Term,
    },
    /// One log point, two contents: the next entry is chained to another entry than the one held here.
    #[error("the source's {at} is another entry than ours")]
    Forked {
        /// The point under which the logs differ.
        at: LogPoint,
    },
}

/// Why a stream ended in the ordinary way. The replica dials again, here or elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CloseReason {
    /// The other end did not do its next step in time.
    #[error("waited {after:?} for {what}")]
    TimedOut {
        /// What was awaited.
        what: &'static str,
        /// How long.
        after: Duration,
    },
    /// The feeder refuses this replica.
    #[error("refused: {0}")]
    Refused(RefuseReason),
    /// This node has promised a later term: it does nothing more for this stream.
    #[error("fenced at term {fence}")]
    Fenced {
        /// The later term.
        fence: Term,
    },
    /// Batches kept failing to continue our log although sync-up found the matchpoint each time.
    #[error("{attempts} sync-ups in a row led to no entry")]
    SyncUpsExhausted {
        /// How many were tried.
        attempts: u32,
    },
    /// The feeder's log was cut below what it had sent.
    #[error("the feeder's log was truncated")]
    LogTruncated,
    /// The feeder cannot read its own entries.
    #[error("the feeder's log is damaged")]
    LogDamaged,
}

/// A configuration that cannot work. The caller's doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// Attributes are announced in each handshake and are bounded.
    #[error("attributes of {got} bytes, above the bound of {bytes_max}")]
    AttributesTooLong {
        /// The bound.
        bytes_max: usize,
        /// Names and values together.
        got: usize,
    },
    /// A batch has to fit into the window and into a frame.
    #[error("batches of {batch_bytes} bytes do not fit: at most {bytes_max}")]
    BatchTooLong {
        /// What was asked for.
        batch_bytes: usize,
        /// The bound.
        bytes_max: usize,
    },
    /// A restore at that pace would hardly ever end.
    #[error("{bytes_per_s} bytes a second, at least {bytes_per_s_min}")]
    TooSlow {
        /// What was asked for.
        bytes_per_s: u64,
        /// The bound.
        bytes_per_s_min: u64,
    },
    /// A list of so many chunks is none that can be kept.
    #[error("{ids_max} chunks, at most {bound}")]
    TooManyChunks {
        /// What was asked for.
        ids_max: u32,
        /// The bound.
        bound: u32,
    },
    /// A bound of 0 lets nothing pass.
    #[error("{option} is 0")]
    Zero {
        /// The option's name.
        option: &'static str,
    },
}
