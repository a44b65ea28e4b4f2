//! (e) `todc-utils` has a checker of its own, which says the same.

use crate::cases;
use crate::random::{FewValues, Rng, doubtful};
use rep_checker::{Budget, Operation, Register, RegisterOp, Verdict, check};
use todc_utils::linearizability::WGLChecker;
use todc_utils::linearizability::history::{Action, History};
use todc_utils::specifications::Specification;

/// An operation, and whether it was answered.
type Op = (RegisterOp<u64>, bool);

struct Spec;

impl Specification for Spec {
    type State = u64;
    type Operation = Op;

    fn init() -> u64 {
        0
    }

    /// An operation that was never answered may do nothing: at the end of everything that is as good as never.
    fn apply((op, answered): &Op, state: &u64) -> (bool, u64) {
        let holds = match op {
            RegisterOp::Read(value) | RegisterOp::Cas { old: value, .. } => value == state,
            RegisterOp::CasFailed { old } => old != state,
            RegisterOp::Write(_) => true,
        };
        let after = match op {
            RegisterOp::Write(value) | RegisterOp::Cas { new: value, .. } if holds => *value,
            _ => *state,
        };
        (holds || !answered, after)
    }
}

/// It wants a return for each call, calls and returns in their order, and one process for each operation will do.
fn actions(history: &[Operation<RegisterOp<u64>>]) -> Vec<(usize, Action<Op>)> {
    let mut events = Vec::new();
    for (at, operation) in history.iter().enumerate() {
        let op = (operation.what.clone(), operation.returned.is_some());
        events.push((operation.invoked, false, at, Action::Call(op.clone())));
        events.push((operation.returned.unwrap_or(u64::MAX), true, at, Action::Response(op)));
    }
    events.sort_by_key(|(moment, returns, ..)| (*moment, *returns));
    events.into_iter().map(|(_, _, at, action)| (at, action)).collect()
}

#[test]
fn another_checker_says_the_same() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(10_000) {
        let history = doubtful(&FewValues(3), &mut Rng::new(seed), 14);
        let theirs = WGLChecker::<Spec>::is_linearizable(History::from_actions(actions(&history)));
        let ours = check(&Register { initial: 0 }, &history, &Budget::default());
        assert_eq!(
            matches!(ours, Verdict::Linearizable(_)),
            theirs,
            "seed {seed}: {ours:?} {history:#?}"
        );
        *if theirs { &mut good } else { &mut bad } += 1;
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
}
