//! How long it takes to judge a history: the sizes that tests and the simulator ask for, beside the floor of looking at each operation.

use criterion::{Criterion, criterion_group, criterion_main};
use rep_checker::{
    Budget, Call, Entry, Judgement, Model, ModelKind, Operation, Outcome, Register, RegisterOp,
    Value, Verdict, check, check_unique_register, judge,
};
use std::hint::black_box;

/// How a history is drawn.
#[derive(Clone, Copy)]
struct Draw {
    operations: u64,
    /// About so many are open at any time.
    open: u64,
    /// Values are below this; 0: each is written once.
    values: u64,
    cas: bool,
}

/// A history of a correct register. The generator is a plain one: the histories have to be the same each time.
fn register(seed: u64, draw: Draw) -> Vec<Operation<RegisterOp<u64>>> {
    let mut word = seed;
    let mut below = |end: u64| {
        word = word.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (word >> 33) % end
    };
    let model = Register { initial: 0 };
    let mut state = 0;
    let mut history = Vec::new();
    for at in 0..draw.operations {
        // Ten moments an operation, so an operation that lasts ten times `open` overlaps about that many.
        let effect = (at + draw.open) * 10;
        let (before, after) = (below(draw.open * 10), below(draw.open * 10));
        let value = if draw.values == 0 { 1 + at } else { below(draw.values) };
        let op = match below(4) {
            0 | 1 => RegisterOp::Read(state),
            2 if draw.cas && value == state => {
                RegisterOp::Cas { old: value, new: below(draw.values) }
            }
            2 if draw.cas => RegisterOp::CasFailed { old: value },
            _ => RegisterOp::Write(value),
        };
        state = model.step(&state, &op).expect("the register answers itself");
        history.push(Operation::done(effect - before, effect + after, op));
    }
    history
}

/// As it would be recorded, on one key.
fn entries(key: i64, history: &[Operation<RegisterOp<u64>>]) -> Vec<Entry> {
    let value = |number: &u64| if *number == 0 { Value::Null } else { Value::from(*number as i64) };
    let entry = |operation: &Operation<RegisterOp<u64>>| {
        let (call, outcome) = match &operation.what {
            RegisterOp::Read(found) => (Call::Read, Outcome::Ok(value(found))),
            RegisterOp::Write(written) => (Call::Write(value(written)), Outcome::Ok(Value::Null)),
            RegisterOp::Cas { old, new } => {
                (Call::Cas { old: value(old), new: value(new) }, Outcome::Ok(Value::Null))
            }
            RegisterOp::CasFailed { old } => {
                (Call::Cas { old: value(old), new: Value::Null }, Outcome::Failed)
            }
        };
        Entry {
            process: Value::from(0),
            key: Some(Value::from(key)),
            call,
            outcome,
            invoked: operation.invoked,
            returned: operation.returned,
            invoked_ns: None,
            returned_ns: None,
        }
    };
    history.iter().map(entry).collect()
}

fn stale(mut history: Vec<Operation<RegisterOp<u64>>>) -> Vec<Operation<RegisterOp<u64>>> {
    let half = history.len() / 2;
    let read =
        |operation: &Operation<RegisterOp<u64>>| matches!(operation.what, RegisterOp::Read(_));
    if let Some(operation) = history[half..].iter_mut().find(|operation| read(operation)) {
        operation.what = RegisterOp::Read(99);
    }
    history
}

fn histories(criterion: &mut Criterion) {
    let model = Register { initial: 0 };
    let budget = Budget::default();
    let mut group = criterion.benchmark_group("register of 150");
    let few = Draw { operations: 150, open: 5, values: 5, cas: true };
    let good = register(1, few);
    let bad = stale(good.clone());
    let unique = register(1, Draw { values: 0, cas: false, ..few });
    assert!(matches!(check(&model, &good, &budget), Verdict::Linearizable(_)));
    assert_eq!(check(&model, &bad, &budget), Verdict::NotLinearizable);
    group.bench_function("search, 5 values with cas", |bencher| {
        bencher.iter(|| check(&model, black_box(&good), &budget));
    });
    group.bench_function("search, 5 values with cas, bad", |bencher| {
        bencher.iter(|| check(&model, black_box(&bad), &budget));
    });
    group.bench_function("search, unique values", |bencher| {
        bencher.iter(|| check(&model, black_box(&unique), &budget));
    });
    group.bench_function("linear check, unique values", |bencher| {
        bencher.iter(|| check_unique_register(&0, black_box(&unique)));
    });
    group.bench_function("floor: one step each", |bencher| {
        bencher.iter(|| {
            let steps =
                black_box(&good).iter().filter_map(|operation| model.step(&1, &operation.what));
            steps.sum::<u64>()
        });
    });
    group.finish();
    judged(criterion);
}

fn judged(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("2,000 over 10 keys, judged");
    for (name, draw) in [
        ("5 values with cas", Draw { operations: 200, open: 5, values: 5, cas: true }),
        ("unique values", Draw { operations: 200, open: 5, values: 0, cas: false }),
    ] {
        let parts = (0..10).map(|key| register(key, draw));
        let whole: Vec<Entry> =
            (0..).zip(parts).flat_map(|(key, part)| entries(key, &part)).collect();
        let answer = judge(ModelKind::Register, &whole, &Budget::default());
        assert!(matches!(answer, Ok(Judgement::Linearizable)), "{answer:?}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| judge(ModelKind::Register, black_box(&whole), &Budget::default()));
        });
        let mut bad = whole.clone();
        if let Some(entry) = bad.iter_mut().rev().find(|entry| entry.call == Call::Read) {
            entry.outcome = Outcome::Ok(Value::from(99));
        }
        group.bench_function(format!("{name}, bad, with its smallest history"), |bencher| {
            bencher.iter(|| judge(ModelKind::Register, black_box(&bad), &Budget::default()));
        });
    }
    group.finish();
}

criterion_group!(benches, histories);
criterion_main!(benches);
