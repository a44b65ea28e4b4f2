//! What the application sees of a node.
//!
//! The role says what a node *does*; an application wants to know what it may *rely on*. A leader whose first entry is
//! not durable yet is no master to write to, and a replica that has lost its stream is no copy to read from: both are
//! `Unknown`. So the visible state is a pure function of the role and its company, and the one thing that needs memory,
//! that Master and Replica never follow each other without Unknown, is a table of its own.

use crate::machine::{Machine, Table, row};
use crate::role::Role;

/// What the application sees. The visible sequence is `DETACHED (UNKNOWN (MASTER|REPLICA)?)* SHUTDOWN`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeState {
    /// Not opened yet.
    #[default]
    Detached,
    /// Open, but neither a master to write to nor a copy that follows one.
    Unknown,
    /// The master, and its term has begun durably.
    Master,
    /// Follows a known master over a stream past sync-up.
    Replica,
    /// Closed or halted; the last state.
    Shutdown,
}

impl NodeState {
    /// Every state, in the order of its declaration.
    pub const ALL: [NodeState; 5] = [
        NodeState::Detached,
        NodeState::Unknown,
        NodeState::Master,
        NodeState::Replica,
        NodeState::Shutdown,
    ];

    /// What a node in this company is. A node that is not open is `Detached` here; that one which was open before
    /// is `Shutdown` takes memory, and the [`NodeStateTracker`] has it.
    pub fn of(company: &Company) -> NodeState {
        if !company.open {
            return NodeState::Detached;
        }
        match company.role {
            Role::Leader if company.term_start_durable => NodeState::Master,
            Role::Replica if company.master_known && company.stream_in_sync => NodeState::Replica,
            Role::Idle | Role::Replica | Role::Candidate | Role::Leader => NodeState::Unknown,
        }
    }

    /// May `next` be seen right after this state?
    pub fn may_precede(self, next: NodeState) -> bool {
        NODE_STATE_TABLE.rows().iter().any(|row| row.from == self && row.to == next)
    }
}

/// The facts on which the visible state depends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Company {
    /// The node's role.
    pub role: Role,
    /// The node has been opened, and neither closed nor halted since.
    pub open: bool,
    /// The master of the present term is known.
    pub master_known: bool,
    /// The stream from the source is past sync-up.
    pub stream_in_sync: bool,
    /// The first entry of this node's own reign is durable.
    pub term_start_durable: bool,
}

/// Why the visible state changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeSignal {
    /// The node was opened.
    Opened,
    /// Its reign has begun durably.
    ReignBegan,
    /// It follows a master in sync.
    StreamInSync,
    /// It is no longer what it was, and not yet anything else.
    Unsettled,
    /// It closed or halted.
    Closed,
}

/// Every visible step.
pub static NODE_STATE_TABLE: Table<NodeState, NodeSignal> = Table::new(
    NodeState::Detached,
    &[
        row(NodeState::Detached, NodeSignal::Opened, NodeState::Unknown),
        row(NodeState::Unknown, NodeSignal::ReignBegan, NodeState::Master),
        row(NodeState::Unknown, NodeSignal::StreamInSync, NodeState::Replica),
        row(NodeState::Master, NodeSignal::Unsettled, NodeState::Unknown),
        row(NodeState::Replica, NodeSignal::Unsettled, NodeState::Unknown),
        row(NodeState::Detached, NodeSignal::Closed, NodeState::Shutdown),
        row(NodeState::Unknown, NodeSignal::Closed, NodeState::Shutdown),
        row(NodeState::Master, NodeSignal::Closed, NodeState::Shutdown),
        row(NodeState::Replica, NodeSignal::Closed, NodeState::Shutdown),
    ],
);

/// One change of the visible state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NodeStateChange {
    /// What was seen before.
    pub old: NodeState,
    /// What is seen now; never the same.
    pub new: NodeState,
}

/// Turns one company after another into the visible sequence.
///
/// It sees what it is shown: observe after every change of a fact, or a reign that ended and began again between two
/// looks will seem to be one.
#[derive(Clone, Debug)]
pub struct NodeStateTracker {
    machine: Machine<NodeState, NodeSignal>,
}

impl Default for NodeStateTracker {
    fn default() -> Self {
        Self::new()
    }
}

impl NodeStateTracker {
    /// A node that has not been opened.
    pub fn new() -> Self {
        Self { machine: Machine::new(&NODE_STATE_TABLE) }
    }

    /// What is seen now.
    pub fn state(&self) -> NodeState {
        self.machine.state()
    }

    /// Takes note of the company, and returns the changes it makes visible, in order: none, one, or two if `Unknown`
    /// has to come between. A node that was open and is not any more is shut down, for good.
    #[must_use = "the changes are what the application has to be told"]
    pub fn observe(&mut self, company: &Company) -> impl Iterator<Item = NodeStateChange> + use<> {
        let goal = match NodeState::of(company) {
            NodeState::Detached if self.state() != NodeState::Detached => NodeState::Shutdown,
            other => other,
        };
        self.advance(goal)
    }

    /// The node is closed or halted, whether or not it was ever opened. Idempotent.
    #[must_use = "the change is what the application has to be told"]
    pub fn shut_down(&mut self) -> impl Iterator<Item = NodeStateChange> + use<> {
        self.advance(NodeState::Shutdown)
    }

    fn advance(&mut self, goal: NodeState) -> impl Iterator<Item = NodeStateChange> + use<> {
        let here = self.state();
        let path = if here == goal || here == NodeState::Shutdown {
            [None, None]
        } else if here.may_precede(goal) {
            [self.step_to(goal), None]
        } else {
            [self.step_to(NodeState::Unknown), self.step_to(goal)]
        };
        path.into_iter().flatten()
    }

    fn step_to(&mut self, new: NodeState) -> Option<NodeStateChange> {
        let old = self.state();
        let row = NODE_STATE_TABLE.rows().iter().find(|row| row.from == old && row.to == new);
        let signal = row.expect("every visible state is one step from Unknown").signal;
        self.machine.step(signal).expect("the step was just read from the table");
        Some(NodeStateChange { old, new })
    }
}
