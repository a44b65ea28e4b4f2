//! The linear checks of lists and logs say what trying every order says.

use crate::brute::is_linearizable;
use crate::cases;
use crate::random::{Ask, Rng, doubtful};
use rep_checker::{
    Budget, Call, Entry, Judgement, ListOp, LogOp, Model, ModelKind, Operation, Outcome, Value,
    check_list, check_log, judge,
};
use std::hash::{Hash, Hasher};

/// An operation under a name for which models may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Named<O>(O);

impl<O: std::fmt::Debug> Hash for Named<O> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        format!("{:?}", self.0).hash(state);
    }
}

/// A list of numbers.
struct List;

impl Model for List {
    type Op = Named<ListOp<u64>>;
    type State = Vec<u64>;

    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    fn step(&self, state: &Vec<u64>, Named(op): &Self::Op) -> Option<Vec<u64>> {
        match op {
            ListOp::Append(value) => Some([&**state, &[*value]].concat()),
            ListOp::Read(list) => (list == state).then(|| state.clone()),
        }
    }
}

impl Ask for List {
    fn question(&self, rng: &mut Rng) -> Self::Op {
        Named(match rng.one_in(2) {
            true => ListOp::Append(0),
            false => ListOp::Read((0..rng.below(3)).map(|_| rng.below(4)).collect()),
        })
    }

    fn answered(&self, state: &Vec<u64>, op: Self::Op) -> Self::Op {
        match op.0 {
            // Its place among all appends makes an element unique.
            ListOp::Append(_) => Named(ListOp::Append(state.len() as u64)),
            ListOp::Read(_) => Named(ListOp::Read(state.clone())),
        }
    }
}

fn named<O>(operations: &[Operation<Named<O>>]) -> Vec<Operation<O>>
where
    O: Clone,
{
    let plain = operations.iter().map(|operation| Operation {
        invoked: operation.invoked,
        returned: operation.returned,
        what: operation.what.0.clone(),
    });
    plain.collect()
}

#[test]
fn lists_are_judged_as_by_trying_every_order() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(100_000) {
        let mut history = doubtful(&List, &mut Rng::new(seed), 7);
        let mut appended = Vec::new();
        history.retain(|operation| match &operation.what.0 {
            ListOp::Append(value) => {
                let new = !appended.contains(value);
                appended.push(*value);
                new
            }
            ListOp::Read(_) => true,
        });
        let expected = is_linearizable(&List, &history);
        let found = check_list(&named(&history));
        assert_eq!(found.is_ok(), expected, "seed {seed}: {found:?} {history:#?}");
        *if expected { &mut good } else { &mut bad } += 1;
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
}

/// A log without holes.
struct Log;

impl Model for Log {
    type Op = Named<LogOp<u64>>;
    type State = Vec<u64>;

    fn initial(&self) -> Vec<u64> {
        Vec::new()
    }

    fn step(&self, state: &Vec<u64>, Named(op): &Self::Op) -> Option<Vec<u64>> {
        match op {
            LogOp::Append { value, position } => {
                let fits = position.is_none_or(|position| position == state.len() as u64);
                fits.then(|| [&**state, &[*value]].concat())
            }
            LogOp::Read { position, value } => {
                (state.get(*position as usize) == value.as_ref()).then(|| state.clone())
            }
        }
    }
}

impl Ask for Log {
    fn question(&self, rng: &mut Rng) -> Self::Op {
        let value = (!rng.one_in(3)).then(|| rng.below(4));
        Named(match rng.one_in(2) {
            true => LogOp::Append { value: 0, position: Some(0) },
            false => LogOp::Read { position: rng.below(4), value },
        })
    }

    fn answered(&self, state: &Vec<u64>, op: Self::Op) -> Self::Op {
        let end = state.len() as u64;
        Named(match op.0 {
            LogOp::Append { .. } => LogOp::Append { value: end, position: Some(end) },
            LogOp::Read { position, .. } => {
                LogOp::Read { position, value: state.get(position as usize).copied() }
            }
        })
    }
}

/// A log without holes allows less than one whose positions only grow: what the model takes, the check takes; and what the
/// check takes, the model takes unless a position is left empty.
#[test]
fn logs_are_judged_as_by_trying_every_order() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(100_000) {
        let mut history = doubtful(&Log, &mut Rng::new(seed), 7);
        let mut appended = Vec::new();
        history.retain_mut(|operation| {
            let pending = operation.returned.is_none();
            match &mut operation.what.0 {
                LogOp::Append { value, position } => {
                    *position = position.filter(|_| !pending);
                    let new = !appended.contains(value);
                    appended.push(*value);
                    new
                }
                LogOp::Read { .. } => true,
            }
        });
        let expected = is_linearizable(&Log, &history);
        let found = check_log(&named(&history));
        match (expected, &found) {
            (true, _) => assert_eq!(found, Ok(()), "seed {seed}: {history:#?}"),
            (false, Ok(())) => assert!(has_holes(&history), "seed {seed}: {history:#?}"),
            (false, Err(_)) => (),
        }
        *if found.is_ok() { &mut good } else { &mut bad } += 1;
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
}

/// Is there a position below one that is known to be filled, of which nothing says what stands there?
fn has_holes(history: &[Operation<Named<LogOp<u64>>>]) -> bool {
    let answered = history.iter().filter(|operation| operation.returned.is_some());
    let filled: Vec<u64> = answered
        .filter_map(|operation| match &operation.what.0 {
            LogOp::Append { position, .. } => *position,
            LogOp::Read { position, value } => value.map(|_| *position),
        })
        .collect();
    let end = filled.iter().max().map_or(0, |last| last + 1);
    (0..end).any(|position| !filled.contains(&position))
}

/// The same lists as texts, which are put together of pieces; now and then of one that nobody appended.
fn recorded(history: &[Operation<Named<ListOp<u64>>>]) -> Vec<Entry> {
    let piece = |number: &u64| ["ab", "b", "ac", "aac", "aab", "c", "aaa"][*number as usize % 7];
    let entry = |operation: &Operation<Named<ListOp<u64>>>| {
        let (call, outcome) = match &operation.what.0 {
            ListOp::Append(number) => {
                (Call::Append(piece(number).into()), Outcome::Ok(Value::Null))
            }
            ListOp::Read(list) => {
                let text: String = list.iter().map(piece).collect();
                (Call::Read, Outcome::Ok(Value::text(&text)))
            }
        };
        Entry {
            process: Value::from(1),
            key: None,
            call,
            outcome: if operation.returned.is_some() { outcome } else { Outcome::Unknown },
            invoked: operation.invoked,
            returned: operation.returned,
            invoked_ns: None,
            returned_ns: None,
        }
    };
    history.iter().map(entry).collect()
}

#[test]
fn texts_of_unique_pieces_are_judged_as_by_trying_every_order() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(100_000) {
        let mut history = doubtful(&List, &mut Rng::new(seed), 7);
        let mut appended = Vec::new();
        history.retain(|operation| match &operation.what.0 {
            ListOp::Append(value) => {
                let new = !appended.contains(value);
                appended.push(*value);
                new
            }
            ListOp::Read(_) => true,
        });
        let expected = is_linearizable(&List, &history);
        let entries = recorded(&history);
        let judgement =
            judge(ModelKind::Kv, &entries, &Budget::default()).expect("it appends and reads");
        match &judgement {
            Judgement::Linearizable => assert!(expected, "seed {seed}: {history:#?}"),
            Judgement::NotLinearizable(found) => {
                assert!(!expected && found.complete, "seed {seed}: {history:#?}");
                let alone: Vec<Entry> =
                    found.places.iter().map(|&at| entries[at].clone()).collect();
                let again =
                    judge(ModelKind::Kv, &alone, &Budget::default()).expect("it appends and reads");
                assert!(matches!(again, Judgement::NotLinearizable(_)), "seed {seed}: {alone:#?}");
            }
            Judgement::Unknown(keys) => panic!("seed {seed}: {keys:?}"),
        }
        *if expected { &mut good } else { &mut bad } += 1;
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > bad / 9 && bad > good / 9, "one-sided: {good} good, {bad} bad");
}
