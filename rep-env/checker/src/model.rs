//! What an object does when it is asked one thing at a time.

use std::fmt::Debug;
use std::hash::Hash;

/// A sequential object: the search asks whether the operations of a history, each at one moment between its invocation
/// and its return, can have happened to it.
///
/// The first two methods say what is right. The others make the search faster, and each has a default that
/// is never wrong.
pub trait Model {
    /// A call with its answer, so that one that was answered differently is another operation.
    type Op: Clone + Eq + Hash + Debug;
    /// What the object remembers.
    type State: Clone + Eq + Hash + Debug;

    /// What it remembers at first.
    fn initial(&self) -> Self::State;

    /// The state after `op`, or `None` if an object in `state` would have answered otherwise.
    ///
    /// A pending operation is only ever tried where this gives a state: what a `compare` that was false did is
    /// what an operation does that never happened.
    fn step(&self, state: &Self::State, op: &Self::Op) -> Option<Self::State>;

    /// What kind of operation it is. [`Effect::Changes`] is always true.
    fn effect(&self, op: &Self::Op) -> Effect {
        let _ = op;
        Effect::Changes
    }

    /// May some of `others`, in some order, lead from `state` to one in which `op` steps? `true` is always true.
    fn may_reach(&self, state: &Self::State, op: &Self::Op, others: &[&Self::Op]) -> bool {
        let _ = (state, op, others);
        true
    }

    /// Which of the pending operations can help to explain the answered ones? A flag for each; all `true` is always true.
    fn useful(&self, answered: &[&Self::Op], pending: &[&Self::Op]) -> Vec<bool> {
        let _ = answered;
        vec![true; pending.len()]
    }

    /// Bytes of memory that a state takes, for the bound on them.
    fn state_bytes(&self, state: &Self::State) -> usize {
        let _ = state;
        size_of::<Self::State>()
    }
}

/// What an operation may do to a state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It only looks: whichever state it steps in stays as it is. It can be done as soon as it steps.
    Looks,
    /// It steps in every state, and what comes out does not depend on what was before.
    Overwrites,
    /// It steps in every state too, but what comes out depends on what was before.
    Adds,
    /// Anything else.
    Changes,
}
