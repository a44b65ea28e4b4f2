//! What can be refused, and whose doing it was.

use crate::machine::Symbol;
use crate::role::{Role, Signal};
use rep_vlsn::Term;
use thiserror::Error;

/// Why a table refused a step. Always the caller's doing; the state did not change.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refusal<S: Symbol, E: Symbol> {
    /// The two states are joined by a step, but another signal takes it.
    #[error("{from:?} -> {to:?} is a step, but not by {signal:?}")]
    WrongSignal {
        /// The state the step was to leave.
        from: S,
        /// The state the step was to reach.
        to: S,
        /// The signal that does not take this step.
        signal: E,
    },
    /// No signal at all leads from the one state to the other.
    #[error("no step leads {from:?} -> {to:?} (asked by {signal:?})")]
    ImpossiblePair {
        /// The state the step was to leave.
        from: S,
        /// The state that cannot be reached from there.
        to: S,
        /// The signal that was given.
        signal: E,
    },
    /// The signal means nothing in the present state.
    #[error("{signal:?} takes no step from {from:?}")]
    NoStep {
        /// The present state.
        from: S,
        /// The signal that was given.
        signal: E,
    },
    /// The caller thought the machine was elsewhere: it acts on old news, and should look again.
    #[error("the machine is in {actual:?}, not in {expected:?}")]
    Elsewhere {
        /// Where the caller thought the machine was.
        expected: S,
        /// Where it is.
        actual: S,
    },
}

/// Why a role step was refused. The role and the term did not change.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum RoleError {
    /// The caller's doing: the table has no such step.
    #[error(transparent)]
    Table(#[from] Refusal<Role, Signal>),
    /// The caller's doing: it acts on news of a term that is over. Drop the news.
    #[error("{signal:?} of term {term:?} comes too late: this node is at term {guard:?}")]
    StaleTerm {
        /// The signal that came late.
        signal: Signal,
        /// The term it was about.
        term: Term,
        /// The term below which no step is taken.
        guard: Term,
    },
    /// A peer's doing: two masters in one term, which the promises of a quorum make impossible.
    /// What is believed about the group is wrong, so the node must halt.
    #[error("a second master in term {term:?}, in which this node is master: halt")]
    SecondMaster {
        /// The term with two masters.
        term: Term,
    },
    /// The caller's doing: a node reigns a term at most once, and this one's reign of the term is over.
    #[error("this node has already been master in term {reigned:?}; it cannot win term {term:?}")]
    ReignedBefore {
        /// The term that was to be won.
        term: Term,
        /// The newest term in which this node has been master.
        reigned: Term,
    },
}

/// Why a wait on a [`StateCell`](crate::StateCell) or a [`Subscription`](crate::Subscription) ended with nothing.
#[derive(Clone, Copy, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WaitError {
    /// The environment's doing: the deadline came first. Waiting again is sound.
    #[error("the deadline came first")]
    TimedOut,
    /// The cell has reached its last value, so what is waited for will never come. Give up.
    #[error("the cell has reached its last value")]
    Ended,
}
