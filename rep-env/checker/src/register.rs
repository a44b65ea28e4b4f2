//! A register: one value that is read, written, and compared and set.

use crate::model::{Effect, Model};
use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::hash::Hash;

/// What a register was asked, with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RegisterOp<V> {
    /// This value was read.
    Read(V),
    /// This value was written.
    Write(V),
    /// The value was `old`, and `new` was put in its place.
    Cas {
        /// What was expected, and found.
        old: V,
        /// What was put there.
        new: V,
    },
    /// Something else than `old` was found, so nothing was changed. That is an observation like a read.
    CasFailed {
        /// What was expected, and not found.
        old: V,
    },
}

/// A register that holds `initial` at first.
#[derive(Clone, Debug, Default)]
pub struct Register<V> {
    /// What it holds at first.
    pub initial: V,
}

impl<V: Clone + Eq + Hash + Debug> Model for Register<V> {
    type Op = RegisterOp<V>;
    type State = V;

    fn initial(&self) -> V {
        self.initial.clone()
    }

    fn step(&self, state: &V, op: &RegisterOp<V>) -> Option<V> {
        match op {
            RegisterOp::Read(value) => (value == state).then(|| state.clone()),
            RegisterOp::Write(value) => Some(value.clone()),
            RegisterOp::Cas { old, new } => (old == state).then(|| new.clone()),
            RegisterOp::CasFailed { old } => (old != state).then(|| state.clone()),
        }
    }

    fn effect(&self, op: &RegisterOp<V>) -> Effect {
        match op {
            RegisterOp::Read(_) | RegisterOp::CasFailed { .. } => Effect::Looks,
            RegisterOp::Write(_) => Effect::Overwrites,
            RegisterOp::Cas { .. } => Effect::Changes,
        }
    }

    fn may_reach(&self, state: &V, op: &RegisterOp<V>, others: &[&RegisterOp<V>]) -> bool {
        let mut left = others.iter().filter_map(|other| outcome(other));
        match op {
            RegisterOp::Write(_) => true,
            RegisterOp::Read(value) | RegisterOp::Cas { old: value, .. } => {
                state == value || left.any(|left| left == value)
            }
            RegisterOp::CasFailed { old } => state != old || left.any(|left| left != old),
        }
    }

    /// A pending operation helps if what it leaves is seen, or expected by one that helps. Where a compare was false, any
    /// may help.
    fn useful(&self, answered: &[&RegisterOp<V>], pending: &[&RegisterOp<V>]) -> Vec<bool> {
        if answered.iter().any(|op| matches!(op, RegisterOp::CasFailed { .. })) {
            return vec![true; pending.len()];
        }
        let mut wanted: Vec<&V> = answered.iter().filter_map(|op| expected(op)).collect();
        let mut makers: HashMap<&V, Vec<usize>> = HashMap::new();
        for (at, op) in pending.iter().enumerate() {
            if let Some(value) = outcome(op) {
                makers.entry(value).or_default().push(at);
            }
        }
        let mut seen: HashSet<&V> = wanted.iter().copied().collect();
        let mut useful = vec![false; pending.len()];
        while let Some(value) = wanted.pop() {
            for &at in makers.get(value).into_iter().flatten() {
                useful[at] = true;
                wanted.extend(expected(pending[at]).filter(|value| seen.insert(value)));
            }
        }
        useful
    }
}

/// The value that an operation leaves behind, if it changes anything.
fn outcome<V>(op: &RegisterOp<V>) -> Option<&V> {
    match op {
        RegisterOp::Write(value) | RegisterOp::Cas { new: value, .. } => Some(value),
        RegisterOp::Read(_) | RegisterOp::CasFailed { .. } => None,
    }
}

/// The value that has to be there.
fn expected<V>(op: &RegisterOp<V>) -> Option<&V> {
    match op {
        RegisterOp::Read(value) | RegisterOp::Cas { old: value, .. } => Some(value),
        RegisterOp::Write(_) | RegisterOp::CasFailed { .. } => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Budget, Operation, Verdict, check};

    /// What is read may have come of pending operations that lead to each other.
    #[test]
    fn a_chain_of_pending_operations_may_explain_a_read() {
        let model = Register { initial: 0 };
        let chain = [
            Operation::pending(1, RegisterOp::Cas { old: 2, new: 3 }),
            Operation::pending(1, RegisterOp::Write(1)),
            Operation::pending(1, RegisterOp::Cas { old: 1, new: 2 }),
            Operation::pending(1, RegisterOp::Write(9)),
            Operation::done(2, 3, RegisterOp::Read(3)),
        ];
        let verdict = check(&model, &chain, &Budget::default());
        assert_eq!(verdict, Verdict::Linearizable(vec![1, 2, 0, 4]));
        assert_eq!(check(&model, &chain[1..], &Budget::default()), Verdict::NotLinearizable);
        let pending: Vec<_> = chain[..4].iter().map(|operation| &operation.what).collect();
        assert_eq!(model.useful(&[&chain[4].what], &pending), [true, true, true, false]);
    }
}
