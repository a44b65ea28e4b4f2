//! What a committing thread must know to be admitted, published after each step.

use crate::output::{HaltReason, Request};
use rep_election::quorum::{self, Acks};
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
    /// The entry. Its flags say how it is to be synced.
    pub draft: Draft,
    /// How many voters have to acknowledge it before it counts.
    pub acks: Acks,
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
    /// The mastership is being handed over, or the group shut down: new commits wait for what comes of it.
    pub draining: bool,
    /// A straggler is waited for: new commits wait too, for [`PAUSE_MAX`](crate::PAUSE_MAX) at most.
    pub paced: bool,
    /// Voters that would acknowledge now: this node, and those heard within the election timeout on a stream
    /// past sync-up.
    pub live: usize,
    /// Voters of a commit quorum, this node among them.
    pub needed: usize,
    /// All voters.
    pub voters: usize,
    /// The voters that hold the data.
    pub copies: usize,
    /// Those of them that would acknowledge now.
    pub copies_live: usize,
    /// The voters that would not acknowledge now; none unless this node is master.
    pub missing: Vec<NodeId>,
    /// The voter that holds no data, if there is one.
    pub arbiter: Option<NodeId>,
    /// Bytes of entries that wait for this node's disk.
    pub unsynced_bytes: u64,
    /// How many may.
    pub unsynced_bytes_max: u64,
    /// Why the node stopped for good, if it did.
    pub halted: Option<HaltReason>,
}

impl Admission {
    /// How many voters have to be live for a commit that asks for these acknowledgements.
    pub fn need(&self, acks: Acks) -> usize {
        quorum::acknowledgements(self.copies, self.needed, acks)
    }

    /// Those that count for such a commit and are not live.
    pub fn missing_for(&self, acks: Acks) -> Vec<NodeId> {
        let counts = |id: &NodeId| acks != Acks::All || self.arbiter != Some(*id);
        self.missing.iter().copied().filter(counts).collect()
    }

    /// How many of those that count for such a commit are live.
    pub fn live_for(&self, acks: Acks) -> usize {
        match acks {
            Acks::All => self.copies_live,
            Acks::SimpleMajority | Acks::None => self.live,
        }
    }
}
