//! What a committing thread must know to be admitted, published after each step.

use crate::output::{HaltReason, Request};
use rep_fsm::NodeState;
use rep_vlsn::{Draft, NodeId, Term};
use std::time::Duration;

/// An entry that wants a place in the log.
#[derive(Debug)]
pub struct Proposal {
    /// Whose it is.
    pub request: Request,
    /// The term in which its transaction began; refused if that term is over.
    pub term: Term,
    /// The entry.
    pub draft: Draft,
    /// When its outcome counts as unknown.
    pub deadline: Duration,
}

/// A moment's picture of who may write. The node refuses a proposal only if its term is over, so this is where
/// everything else is decided.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Admission {
    /// The visible state.
    pub state: NodeState,
    /// The term of the reign if master, else of the fence.
    pub term: Term,
    /// The master, if known.
    pub master: Option<NodeId>,
    /// Master, its term has begun durably, and its own store holds everything from before the term.
    pub writable: bool,
    /// Voters that would acknowledge now: this node, and those heard within the election timeout on a stream
    /// past sync-up.
    pub live: usize,
    /// Voters that a commit needs, this node among them.
    pub needed: usize,
    /// Bytes of entries that wait for this node's disk.
    pub unsynced_bytes: u64,
    /// How many may.
    pub unsynced_bytes_max: u64,
    /// Why the node stopped for good, if it did.
    pub halted: Option<HaltReason>,
}
