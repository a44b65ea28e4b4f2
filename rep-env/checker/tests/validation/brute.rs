//! Every order, one after the other.

use rep_checker::{Model, Operation};

/// Is there an order in which the model answers so? Tries them all, and remembers nothing.
pub(crate) fn is_linearizable<M: Model>(model: &M, operations: &[Operation<M::Op>]) -> bool {
    goes_on(model, operations, &mut vec![false; operations.len()], &model.initial())
}

fn goes_on<M: Model>(
    model: &M,
    operations: &[Operation<M::Op>],
    done: &mut Vec<bool>,
    state: &M::State,
) -> bool {
    let waits = |at: usize, done: &[bool]| !done[at] && operations[at].returned.is_some();
    if (0..operations.len()).all(|at| !waits(at, done)) {
        return true;
    }
    for next in 0..operations.len() {
        let too_early = (0..operations.len())
            .any(|at| waits(at, done) && operations[at].precedes(&operations[next]));
        if done[next] || too_early {
            continue;
        }
        if let Some(state) = model.step(state, &operations[next].what) {
            done[next] = true;
            let found = goes_on(model, operations, done, &state);
            done[next] = false;
            if found {
                return true;
            }
        }
    }
    false
}

/// Asserts that the order explains the history.
pub(crate) fn assert_explains<M: Model>(
    model: &M,
    operations: &[Operation<M::Op>],
    order: &[usize],
    what: &str,
) {
    let mut state = model.initial();
    let mut done = vec![false; operations.len()];
    for &at in order {
        assert!(!std::mem::replace(&mut done[at], true), "{what}: {at} twice");
        state = model
            .step(&state, &operations[at].what)
            .unwrap_or_else(|| panic!("{what}: {at} in {state:?}"));
    }
    for (at, operation) in operations.iter().enumerate() {
        assert!(done[at] || operation.returned.is_none(), "{what}: {at} is left out");
    }
    for (place, &later) in order.iter().enumerate() {
        let early = order[..place].iter().find(|&&at| operations[later].precedes(&operations[at]));
        assert_eq!(early, None, "{what}: {later} comes after it and precedes it");
    }
}
