//! The value that a node publishes: what it is, in which term, and who is master.

use crate::cell::{CellValue, WORDS};
use crate::node_state::NodeState;
use crate::role::Role;
use rep_vlsn::{NodeId, Term};

/// What a node is right now. Its parts belong together, and a [`StateCell`](crate::StateCell) never shows the state of
/// one moment with the term of another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// What the application sees.
    pub state: NodeState,
    /// What the node does.
    pub role: Role,
    /// The term in which both hold.
    pub term: Term,
    /// The master of that term, if it is known.
    pub master: Option<NodeId>,
}

const ROLE_SHIFT: u32 = 8;

impl CellValue for Standing {
    fn to_words(self) -> [u64; WORDS] {
        let state = NodeState::ALL
            .iter()
            .position(|&state| state == self.state)
            .expect("ALL has every state") as u64;
        let role = Role::ALL.iter().position(|&role| role == self.role).expect("ALL has every role")
            as u64;
        let master = self.master.map_or(0, |id| u64::from(id.get()));
        [state | role << ROLE_SHIFT, self.term.get(), master]
    }

    fn from_words([tag, term, master]: [u64; WORDS]) -> Self {
        Self {
            state: NodeState::ALL[(tag & 0xff) as usize],
            role: Role::ALL[(tag >> ROLE_SHIFT & 0xff) as usize],
            term: Term::new(term),
            // Node ids start at 1, so 0 is free to say "unknown".
            master: u32::try_from(master).ok().and_then(NodeId::checked),
        }
    }

    fn is_last(&self) -> bool {
        self.state == NodeState::Shutdown
    }

    fn may_follow(&self, old: &Self) -> bool {
        self.state == old.state || old.state.may_precede(self.state)
    }
}
