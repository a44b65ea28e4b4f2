//! (a) The search and the linear check of unique registers say what trying every order says.

use crate::brute::{assert_explains, is_linearizable};
use crate::cases;
use crate::random::{Ask, FewValues, Rng, Texts, doubtful};
use rep_checker::{
    Budget, Kv, Model, Operation, Register, RegisterOp, Verdict, check, check_unique_register,
    minimize,
};

/// Every order of seven operations is tried in no time; what goes wrong with eight goes wrong with seven.
const OPERATIONS_MAX: u64 = 7;

/// Compares, and tells how many histories were good and how many bad.
fn compare<M: Ask, C: Model<Op = M::Op, State = M::State>>(
    source: &M,
    checked: &C,
    full: u64,
) -> (u64, u64) {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(full) {
        let mut rng = Rng::new(seed);
        let history = doubtful(source, &mut rng, OPERATIONS_MAX);
        let expected = is_linearizable(source, &history);
        match check(checked, &history, &Budget::default()) {
            Verdict::Linearizable(order) => {
                assert!(expected, "seed {seed}: accepted {history:#?}");
                assert_explains(source, &history, &order, &format!("seed {seed}"));
                good += 1;
            }
            Verdict::NotLinearizable => {
                assert!(!expected, "seed {seed}: rejected {history:#?}");
                bad += 1;
            }
            Verdict::Unknown(why) => panic!("seed {seed}: {why}"),
        }
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
    (good, bad)
}

#[test]
fn registers_are_judged_as_by_trying_every_order() {
    compare(&FewValues(3), &Register { initial: 0 }, 100_000);
}

#[test]
fn texts_are_judged_as_by_trying_every_order() {
    compare(&Texts::default(), &Kv::default(), 100_000);
}

/// With no hint but `step`: the search alone.
#[test]
fn a_model_that_only_steps_is_judged_as_by_trying_every_order() {
    compare(&FewValues(2), &FewValues(2), 50_000);
}

/// Writes of 1, 2, 3... and reads of any of them.
fn unique(rng: &mut Rng) -> Vec<Operation<RegisterOp<u64>>> {
    let mut history = doubtful(&FewValues(4), rng, OPERATIONS_MAX);
    let mut written = 0;
    for operation in &mut history {
        operation.what = match &operation.what {
            RegisterOp::Write(_) | RegisterOp::Cas { .. } => {
                written += 1;
                RegisterOp::Write(written)
            }
            RegisterOp::Read(value) | RegisterOp::CasFailed { old: value } => {
                RegisterOp::Read(*value)
            }
        };
    }
    history
}

#[test]
fn unique_registers_are_judged_as_by_trying_every_order() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(100_000) {
        let history = unique(&mut Rng::new(seed));
        let expected = is_linearizable(&FewValues(0), &history);
        let found = check_unique_register(&0, &history).expect("every value is written once");
        assert_eq!(found.is_ok(), expected, "seed {seed}: {found:?} {history:#?}");
        *if expected { &mut good } else { &mut bad } += 1;
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
}

/// What is left of a bad history is bad, and with one operation less it is not, whether what was left out happened or not.
#[test]
fn the_smallest_bad_history_is_bad_and_needs_each_of_its_operations() {
    let model = FewValues(3);
    for seed in 0..cases(20_000) {
        let history = doubtful(&model, &mut Rng::new(seed), OPERATIONS_MAX);
        if is_linearizable(&model, &history) {
            continue;
        }
        let looks =
            |op: &RegisterOp<u64>| matches!(op, RegisterOp::Read(_) | RegisterOp::CasFailed { .. });
        let found = minimize(&history, looks, |part| !is_linearizable(&model, part), || false);
        let part = |without: Option<usize>| -> Vec<_> {
            let keeps = |at: &usize| found.places.contains(at) && Some(*at) != without;
            let all = history.iter().enumerate().map(|(at, operation)| match keeps(&at) {
                true => Some(operation.clone()),
                false => (!looks(&operation.what))
                    .then(|| Operation::pending(operation.invoked, operation.what.clone())),
            });
            all.flatten().collect()
        };
        assert!(found.complete && !is_linearizable(&model, &part(None)), "seed {seed}");
        let alone: Vec<_> = found.places.iter().map(|&at| history[at].clone()).collect();
        assert!(!is_linearizable(&model, &alone), "seed {seed}: bad alone");
        for &at in &found.places {
            assert!(is_linearizable(&model, &part(Some(at))), "seed {seed}: {at} is not needed");
        }
    }
}
