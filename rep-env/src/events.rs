//! What this node is, as the application sees it, and being told when that changes.

use crate::member::Member;
use crate::runtime::directory::Directory;
use crate::sync::{Flaw, Mutex, broken};
use crate::waiter::deadline;
use rep_fsm::{CellValue, NodeState, Role, Standing, StateCell, Subscription, WaitError};
use rep_vlsn::{NodeId, Term};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The [`reason`](StateEvent::reason) of the last event, if the master has shut the whole group down: an end that was wanted.
pub const GROUP_SHUT_DOWN: &str = "the group was shut down";

/// A change of what this node is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateEvent {
    /// What it was; in the first item, which tells the present state, the same as `new`.
    pub old: NodeState,
    /// What it is.
    pub new: NodeState,
    /// The master, if it is known.
    pub master: Option<Member>,
    /// The term.
    pub term: Term,
    /// Why.
    pub reason: &'static str,
}

/// The present state first, then each change, then, after `Shutdown`, the end. Bounded: of a slow listener's changes
/// some are joined, never into a sequence that could not have been.
///
/// As an iterator it sleeps for each item.
#[derive(Debug)]
pub struct StateEvents {
    subscription: Subscription<Visible>,
    board: Board,
}

impl StateEvents {
    /// The next item, if it comes within `timeout`; `None` also after the end.
    pub fn next_within(&mut self, timeout: Duration) -> Option<StateEvent> {
        let event = self.subscription.next_before(Some(deadline(timeout))).ok()?;
        Some(self.board.event(event))
    }
}

impl Iterator for StateEvents {
    type Item = StateEvent;

    fn next(&mut self) -> Option<StateEvent> {
        let event = self.subscription.next()?;
        Some(self.board.event(event))
    }
}

/// What is published: a [`Standing`], and the reason's number on the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    pub(crate) state: NodeState,
    pub(crate) term: Term,
    pub(crate) master: Option<NodeId>,
    reason: u32,
}

const REASON_SHIFT: u32 = 32;

impl Visible {
    fn standing(self) -> Standing {
        Standing { state: self.state, role: Role::Idle, term: self.term, master: self.master }
    }
}

impl CellValue for Visible {
    fn to_words(self) -> [u64; rep_fsm::cell::WORDS] {
        let [tag, term, master] = self.standing().to_words();
        [tag, term, master | u64::from(self.reason) << REASON_SHIFT]
    }

    fn from_words([tag, term, last]: [u64; rep_fsm::cell::WORDS]) -> Self {
        let reason = (last >> REASON_SHIFT) as u32;
        let Standing { state, term, master, .. } =
            Standing::from_words([tag, term, last & u64::from(u32::MAX)]);
        Visible { state, term, master, reason }
    }

    fn is_last(&self) -> bool {
        self.standing().is_last()
    }

    fn may_follow(&self, old: &Self) -> bool {
        self.standing().may_follow(&old.standing())
    }
}

/// Where the state is published. Clones are handles to the same board.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    cell: StateCell<Visible>,
    /// Reasons are texts of the program; their numbers fit the cell.
    reasons: Arc<Mutex<Vec<&'static str>>>,
    directory: Arc<Directory>,
}

impl Board {
    pub(crate) fn new(directory: Arc<Directory>) -> Self {
        let nobody =
            Visible { state: NodeState::Detached, term: Term::ZERO, master: None, reason: 0 };
        Board {
            cell: StateCell::new(nobody),
            reasons: Arc::new(Mutex::new(vec!["not opened yet"])),
            directory,
        }
    }

    pub(crate) fn publish(
        &self,
        state: NodeState,
        term: Term,
        master: Option<NodeId>,
        reason: &'static str,
    ) {
        let mut reasons = self.reasons.lock();
        let number = reasons.iter().position(|known| *known == reason).unwrap_or(reasons.len());
        let visible = Visible { state, term, master, reason: number as u32 };
        if broken(Flaw::StateBeforeReason) {
            drop(reasons);
            self.cell.set(visible);
            reasons = self.reasons.lock();
        }
        if number == reasons.len() {
            reasons.push(reason);
        }
        drop(reasons);
        self.cell.set(visible);
    }

    pub(crate) fn get(&self) -> Visible {
        self.cell.get()
    }

    pub(crate) fn reason(&self) -> &'static str {
        self.reason_of(self.cell.get())
    }

    /// Sleeps until the state is wanted.
    pub(crate) fn wait(
        &self,
        deadline: Instant,
        wanted: impl FnMut(&Visible) -> bool,
    ) -> Result<Visible, WaitError> {
        self.cell.wait(Some(deadline), wanted)
    }

    pub(crate) fn subscribe(&self) -> StateEvents {
        StateEvents { subscription: self.cell.subscribe(), board: self.clone() }
    }

    fn reason_of(&self, visible: Visible) -> &'static str {
        self.reasons.lock()[visible.reason as usize]
    }

    fn event(&self, event: rep_fsm::StateEvent<Visible>) -> StateEvent {
        let (old, new) = match event {
            rep_fsm::StateEvent::Present(present) => (present, present),
            rep_fsm::StateEvent::Changed { old, new } => (old, new),
        };
        let master = new.master.and_then(|id| self.directory.member(id));
        StateEvent {
            old: old.state,
            new: new.state,
            master,
            term: new.term,
            reason: self.reason_of(new),
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use rep_fsm::cell::EVENTS_MAX;

    #[test]
    fn events_tell_master_term_and_reason_and_end_with_shutdown() {
        let board = Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])));
        let mut events = board.subscribe();
        board.publish(NodeState::Unknown, Term::ZERO, None, "opened");
        board.publish(NodeState::Master, Term::new(1), Some(NodeId::new(1)), "crowned");
        board.publish(NodeState::Unknown, Term::new(1), None, "opened");
        board.publish(NodeState::Shutdown, Term::new(1), None, "closed");
        let states: Vec<_> =
            events.by_ref().map(|event| (event.old, event.new, event.reason)).collect();
        use NodeState::{Detached, Master, Shutdown, Unknown};
        let expected = [
            (Detached, Detached, "not opened yet"),
            (Detached, Unknown, "opened"),
            (Unknown, Master, "crowned"),
            (Master, Unknown, "opened"),
            (Unknown, Shutdown, "closed"),
        ];
        assert_eq!(states, expected);
        assert_eq!(board.reason(), "closed");
    }

    /// A listener that does nothing while a node changes ten thousand times costs no more than [`EVENTS_MAX`] items, and
    /// what it is told then begins where it stopped listening and leaves out nothing that has to lie between.
    #[test]
    fn a_slow_listener_costs_a_bounded_queue_and_is_told_nothing_impossible() {
        use NodeState::{Master, Replica, Shutdown, Unknown};
        let board = Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])));
        let mut events = board.subscribe();
        for number in 1..=10_000 {
            let settled = if number % 3 == 0 { Master } else { Replica };
            let (term, master) = (Term::new(number), Some(NodeId::new(1)));
            board.publish(Unknown, term, None, "lost its master");
            board.publish(settled, term, master, "found one");
        }
        board.publish(Shutdown, Term::new(10_000), None, "closed");
        let told: Vec<_> = events.by_ref().collect();
        assert!(told.len() <= EVENTS_MAX + 1, "{}", told.len());
        assert_eq!(told[0].old, told[0].new, "what is present when it looks, first");
        for pair in told.windows(2) {
            assert!(pair[0].new == pair[1].old && pair[0].term <= pair[1].term, "{pair:?}");
            let settled = |state| matches!(state, Master | Replica);
            assert!(!(settled(pair[1].old) && settled(pair[1].new)), "{pair:?}");
        }
        let last = told.last().unwrap();
        assert_eq!((last.new, last.term, last.reason), (Shutdown, Term::new(10_000), "closed"));
        assert_eq!(events.next(), None);
    }

    #[test]
    fn a_visible_state_survives_its_words() {
        let visible = Visible {
            state: NodeState::Replica,
            term: Term::new(9),
            master: Some(NodeId::new(3)),
            reason: 7,
        };
        assert_eq!(Visible::from_words(visible.to_words()), visible);
    }
}
