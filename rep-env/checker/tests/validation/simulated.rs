//! (b) What a correct register answers is always accepted, and a read that is changed afterwards is found out, mostly.

use crate::cases;
use crate::random::{FewValues, Rng, linearizable};
use rep_checker::{Budget, Operation, Register, RegisterOp, Verdict, check};

type History = Vec<Operation<RegisterOp<u64>>>;

const OPERATIONS: u64 = 150;

fn judged(history: &History) -> Verdict {
    check(&Register { initial: 0 }, history, &Budget::default())
}

/// With values that are each written once: the writer's number.
fn with_unique_values(history: &mut History) {
    let model = Register { initial: 0_u64 };
    let Verdict::Linearizable(order) = check(&model, history, &Budget::default()) else {
        panic!("a correct register was refused: {history:#?}");
    };
    let mut state = 0;
    for at in order {
        let what = &mut history[at].what;
        *what = match what {
            RegisterOp::Write(_) | RegisterOp::Cas { .. } => {
                state = 100 + at as u64;
                RegisterOp::Write(state)
            }
            RegisterOp::Read(_) | RegisterOp::CasFailed { .. } => RegisterOp::Read(state),
        };
    }
}

/// Changes one read into what `other` makes of it; `None` if there is none that changes.
fn mutated(
    history: &History,
    rng: &mut Rng,
    other: impl Fn(&mut Rng, u64) -> u64,
) -> Option<History> {
    let reads: Vec<(usize, u64)> = history
        .iter()
        .enumerate()
        .filter(|(_, operation)| operation.returned.is_some())
        .filter_map(|(at, operation)| match operation.what {
            RegisterOp::Read(value) => Some((at, value)),
            _ => None,
        })
        .collect();
    let (at, value) = *reads.get(rng.below(reads.len().max(1) as u64) as usize)?;
    let changed = other(rng, value);
    let mut history = history.clone();
    history[at].what = RegisterOp::Read(changed);
    (changed != value).then_some(history)
}

#[test]
fn a_correct_register_is_accepted_and_a_changed_read_is_mostly_found_out() {
    let (mut never, mut elsewhere, mut few) = ((0, 0), (0, 0), (0, 0));
    let count = |found: &mut (u64, u64), history: Option<History>| {
        let Some(history) = history else { return };
        found.1 += 1;
        found.0 += u64::from(judged(&history) == Verdict::NotLinearizable);
    };
    for seed in 0..cases(4_000) {
        let mut rng = Rng::new(seed);
        let overlap = 1 + rng.below(8);
        let mut history = linearizable(&FewValues(5), &mut rng, OPERATIONS, overlap, true);
        assert!(matches!(judged(&history), Verdict::Linearizable(_)), "seed {seed}");
        count(&mut never, mutated(&history, &mut rng, |_, _| 77));
        count(&mut few, mutated(&history, &mut rng, |rng, _| rng.below(5)));
        history.retain(|operation| operation.returned.is_some());
        // What pending operations did is gone, so only some are still good.
        if !matches!(judged(&history), Verdict::Linearizable(_)) {
            continue;
        }
        with_unique_values(&mut history);
        assert!(matches!(judged(&history), Verdict::Linearizable(_)), "seed {seed}");
        let written: Vec<u64> = history
            .iter()
            .filter_map(|operation| match operation.what {
                RegisterOp::Write(value) => Some(value),
                _ => None,
            })
            .collect();
        let any = |rng: &mut Rng, _| written[rng.below(written.len() as u64) as usize];
        count(&mut elsewhere, mutated(&history, &mut rng, any));
    }
    let rate = |(found, of): (u64, u64)| 100.0 * found as f64 / of as f64;
    println!("found out, of histories with one read changed:");
    println!("  to a value that never was: {:.2} % of {}", rate(never), never.1);
    println!("  to another of unique values: {:.2} % of {}", rate(elsewhere), elsewhere.1);
    println!("  to another of five values: {:.2} % of {}", rate(few), few.1);
    assert!(rate(never) >= 99.0, "values that never were");
}
