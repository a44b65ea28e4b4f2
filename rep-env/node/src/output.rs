//! What a node asks of its driver, as data in one ordered queue.

use crate::handover::NotTransferred;
use crate::links::{Link, Service};
use crate::membership::Membership;
use crate::membership::change::Changed;
use crate::membership::contacts::Contact;
use crate::message::Message;
use crate::restoring::FetchId;
use crate::shutting::NotShutDown;
use crate::watermarks::Holders;
use bytes::Bytes;
use rep_election::Fence;
use rep_fsm::NodeState;
use rep_stream::BatchHeader;
use rep_vlsn::{Epoch, GroupId, Holder, LogPoint, NodeId, Record, Term, Vlsn};
use std::fmt;
use std::ops::RangeInclusive;

/// A caller's number for what it asked, unique among what is pending; echoed in [`Output::Resolve`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Request(pub u64);

/// One thing for the driver to do. The order matters.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Write the fence durably, then `handle_persisted`. Fences complete in order, and never wait behind the log.
    PersistFence(Fence),
    /// Stage these records at once; the log writer writes and syncs them as they ask, then `handle_persisted`.
    Append {
        /// The group, which segment headers carry.
        group: GroupId,
        /// In which capacity this node holds them, and so which of their two sync classes it goes by.
        holder: Holder,
        /// Entries that follow the log's last.
        records: Vec<Record>,
    },
    /// Cut the tail at once and the files durably, then `handle_persisted`. Nothing is appended meanwhile.
    Truncate {
        /// The last entry kept.
        keep: LogPoint,
        /// The epoch that begins.
        epoch: Epoch,
    },
    /// Send a message; dropped if the link is gone.
    Send {
        /// Over which link.
        link: Link,
        /// What.
        message: Message,
    },
    /// Read a range from the log and send it as one batch, then `handle_sent`. One a link at a time.
    SendEntries {
        /// Over which link.
        link: Link,
        /// What exactly.
        range: SendRange,
    },
    /// Dial a member once; answered by `handle_link_up` or `handle_dial_failed`.
    Connect {
        /// Whom.
        peer: NodeId,
        /// For what.
        service: Service,
    },
    /// Close a link that the node has already forgotten.
    Disconnect {
        /// Which.
        link: Link,
    },
    /// Apply these entries in order; `handle_applied` after each batch. The next comes after `to` was reported.
    Apply {
        /// The first entry.
        from: Vlsn,
        /// The last entry.
        to: Vlsn,
    },
    /// Store this value in the cell `past`, durably, then `handle_persisted`.
    PersistPast {
        /// Which, for the answer: the first entry that the value is not about.
        before: Vlsn,
        /// The value.
        value: Bytes,
    },
    /// Remove the log's files in which every entry lies before `before`, then `handle_persisted`.
    Clean {
        /// The first entry that has to stay.
        before: Vlsn,
    },
    /// Fetch a copy of the state: from the first of these that gives one, then from the next. What becomes of it is told by
    /// [`Node::handle_restore`](crate::Node::handle_restore). One at a time.
    Fetch {
        /// Which fetch.
        fetch: FetchId,
        /// Whom to ask, in this order.
        sources: Vec<NodeId>,
        /// What the copy has to hold, to be of use.
        at_least: Vlsn,
    },
    /// The fetch is over, and its copy not to be taken. The chunks that are here may be of use another time.
    FetchNoMore,
    /// The copy is to be taken: only now say durably that it is complete, then open the directory again and go on with another node.
    /// This one does nothing any more; the reads that wait at it are the other's, by [`Node::take_reads`](crate::Node::take_reads).
    Reopen {
        /// The last entry that the copy holds.
        point: LogPoint,
    },
    /// The proposal has its place in the log.
    Staged {
        /// Whose.
        request: Request,
        /// Which.
        point: LogPoint,
    },
    /// The outcome of a proposal or read; exactly one each.
    Resolve {
        /// Whose.
        request: Request,
        /// What became of it.
        outcome: Outcome,
    },
    /// What became of [`Node::transfer`](crate::Node::transfer).
    Transferred {
        /// Whose.
        request: Request,
        /// The new master, or why there is none of those wished for.
        outcome: Result<NodeId, NotTransferred>,
    },
    /// What became of [`Node::shut_group_down`](crate::Node::shut_group_down).
    GroupShutDown {
        /// Whose.
        request: Request,
        /// The members that lack something or may still run, and this node stops a moment later; or why not.
        outcome: Result<Vec<NodeId>, NotShutDown>,
    },
    /// What became of [`Node::change_membership`](crate::Node::change_membership).
    MembershipChanged {
        /// Whose.
        request: Request,
        /// The membership that it made, durably; or why not.
        outcome: Changed,
    },
    /// Whom the node knows from here on, itself among them: callers and those to dial are found in it by name and directory.
    Contacts(Vec<Contact>),
    /// There is a group, and this directory is no member's yet: ask to be admitted, first one of these addresses and then whomever that names, until
    /// it succeeds; then [`Node::handle_admitted`](crate::Node::handle_admitted).
    Join {
        /// Where members may listen.
        helpers: Vec<String>,
    },
    /// Store this value in the cell `place`, durably: what the directory was told has changed. Nothing waits for it.
    KeepPlace {
        /// The value.
        place: Bytes,
    },
    /// Write this point into the cell `vouch` of an arbiter, durably, then `handle_persisted`. One at a time.
    PersistVouch(LogPoint),
    /// The directory was admitted: store this value in the cell `place`, durably, then open the directory again and go on with another node. This one
    /// does nothing any more; the reads that wait at it are the other's, by [`Node::take_reads`](crate::Node::take_reads).
    TakePlace {
        /// The value.
        place: Bytes,
    },
    /// Something that an operator or the application may want to know.
    Event(Event),
    /// The node has stopped for good and says why.
    Halt(HaltReason),
}

/// A range of the log on its way to a replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SendRange {
    /// What stands before the entries on the wire.
    pub header: BatchHeader,
    /// Its first entry.
    pub from: Vlsn,
    /// Its last entry at most.
    pub to: Vlsn,
    /// Its bytes at most, unless the first entry alone is larger.
    pub bytes_max: usize,
    /// The append epoch that it is to be read in.
    pub log_epoch: Epoch,
}

/// What became of a proposal or a read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The entry is held as it asked, or durable.
    Committed {
        /// Where it stands.
        point: LogPoint,
    },
    /// The read may be served from what is applied.
    Read {
        /// What is applied covers this.
        at: LogPoint,
    },
    /// The term in which the transaction began is over, or this node is not master: nothing was logged.
    TermOver {
        /// Who is master, if known.
        master: Option<NodeId>,
    },
    /// Logged, and not known by its deadline to be held as it asked: it may yet become durable, or be lost.
    Unknown {
        /// Where it was logged.
        point: LogPoint,
        /// Who was known to hold it as it asked: of the voters, or of the copies if it asked for all.
        acked_by: Vec<NodeId>,
        /// The others; empty, as `acked_by` is, if this node cannot tell.
        missing: Vec<NodeId>,
        /// How many are needed; 0 if this node cannot tell.
        needed: usize,
        /// Its mastership was over: this is what it knew when that ended.
        deposed: bool,
    },
    /// Another term's entry is durable in its place: it has no effect, ever.
    RolledBack {
        /// Where it had been logged.
        point: LogPoint,
    },
    /// The read's condition did not come true by its deadline.
    ReadTimeout,
    /// The read would have had to wait, and so many wait already that no more may: it was not taken.
    TooManyReads {
        /// How many wait.
        waiting: usize,
    },
    /// No master could be asked what a linearizable read has to see, by its deadline.
    NotMaster {
        /// Who is master, if known.
        master: Option<NodeId>,
    },
    /// The token belongs to another group.
    OtherGroup,
    /// The node was closed or halted; a proposal's outcome is unknown, as [`Outcome::Unknown`] if it was logged.
    Closed,
}

impl Outcome {
    pub(crate) fn unknown(point: LogPoint, holders: Holders) -> Self {
        let Holders { acked_by, missing, needed, deposed } = holders;
        Outcome::Unknown { point, acked_by, missing, needed, deposed }
    }
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// The visible state changed.
    State {
        /// From.
        old: NodeState,
        /// To.
        new: NodeState,
        /// The master now known.
        master: Option<NodeId>,
        /// The term of this node's fence.
        term: Term,
        /// Why.
        reason: &'static str,
    },
    /// This node became master.
    Crowned {
        /// In this term.
        term: Term,
    },
    /// This node's mastership ended: every transaction of the term ends with it.
    TermOver {
        /// The term that is over.
        term: Term,
    },
    /// A new group was founded, by this node or learned from its master.
    Founded {
        /// Its identity.
        group: GroupId,
    },
    /// Another membership rules.
    Membership {
        /// Which.
        membership: Box<Membership>,
        /// Why.
        why: &'static str,
    },
    /// This node is no member any more.
    Removed,
    /// Entries that this node held and no commit quorum did were cut away.
    RolledBack {
        /// Their numbers.
        dropped: RangeInclusive<Vlsn>,
    },
    /// A peer refused this node, and why: shown by `status` until it changes.
    Refused {
        /// Who refused.
        by: NodeId,
        /// Why, in words.
        reason: String,
    },
    /// A second process with a member's data directory asked for its place while it was here.
    TwinTurnedAway {
        /// The member.
        peer: NodeId,
    },
    /// The source no longer has what this node needs.
    NeedsRestore {
        /// The first entry that the source still has.
        source_first: Vlsn,
    },
    /// A copy of the state is being fetched.
    RestoreBegan {
        /// From whom.
        source: NodeId,
    },
    /// A fetch has come to nothing, for now.
    RestoreFailed {
        /// Why, in words.
        why: String,
    },
    /// A copy is complete, and this node makes way for one that goes on from it.
    RestoreFetched {
        /// The last entry that it holds.
        point: LogPoint,
    },
    /// A copy was ordered, and is asked for.
    RestoreOrdered {
        /// Whose.
        source: NodeId,
    },
    /// No copy is fetched any more: it was given up, or it is not needed after all. The member goes on as it is.
    RestoreEnded {
        /// Why, in words.
        why: String,
    },
    /// This node goes on from a copy that was put in place when its directory was opened.
    Restored {
        /// The last entry that it holds.
        point: LogPoint,
    },
    /// The log waits for space on its disk, or has some again.
    DiskFull {
        /// Whether it waits.
        full: bool,
    },
    /// The log failed and takes no more entries in this run.
    LogFailed {
        /// What the disk said.
        why: String,
    },
}

/// Why a node stopped for good.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HaltReason {
    /// Two masters in one term: the protocol was broken somewhere.
    TwoMasters {
        /// The term.
        term: Term,
        /// The other one.
        other: NodeId,
    },
    /// A stream asked for what must never happen.
    Breach {
        /// What.
        what: String,
    },
    /// The master has shut the whole group down.
    GroupShutDown {
        /// Which member that was.
        by: NodeId,
    },
    /// It was removed from the group.
    Removed,
    /// Its directory is an older image of itself: it has acknowledged, and may have promised, what it does not know of any more.
    OlderImage {
        /// The master that remembers.
        by: NodeId,
        /// Up to where that had counted this log as synced.
        counted: LogPoint,
        /// Where this log ends.
        ends: LogPoint,
    },
    /// The promise could not be written: this node can neither vote nor follow.
    PromiseFailed {
        /// What the disk said.
        why: String,
    },
}

impl fmt::Display for HaltReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            HaltReason::TwoMasters { term, other } => {
                write!(f, "a second master ({other}) appeared in term {term}")
            }
            HaltReason::Breach { what } => write!(f, "invariant breach: {what}"),
            HaltReason::Removed => write!(
                f,
                "this member was removed from the group; to come back, it joins with an empty directory"
            ),
            HaltReason::OlderImage { by, counted, ends } => write!(
                f,
                "this directory is an older image of itself: the master {by} had counted its log up to {counted}, and it ends at {ends}"
            ),
            HaltReason::GroupShutDown { by } => write!(f, "the group was shut down by {by}"),
            HaltReason::PromiseFailed { why } => write!(f, "the promise cannot be written: {why}"),
        }
    }
}
