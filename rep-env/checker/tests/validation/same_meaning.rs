//! (c) and (d): what means the same is judged the same, and what may never have happened spoils nothing.

use crate::cases;
use crate::random::{FewValues, Rng, doubtful, linearizable};
use rep_checker::{
    Budget, Call, Entry, Judgement, ModelKind, Operation, Outcome, Register, RegisterOp, Value,
    Verdict, check, judge,
};

fn value(number: u64) -> Value {
    match number {
        0 => Value::Null,
        number => Value::from(number as i64),
    }
}

/// The operations as they would be recorded, on two keys.
fn recorded(history: &[Operation<RegisterOp<u64>>], key: &str) -> Vec<Entry> {
    let entry = |(at, operation): (usize, &Operation<RegisterOp<u64>>)| {
        let (call, outcome) = match operation.what {
            RegisterOp::Read(found) => (Call::Read, Outcome::Ok(value(found))),
            RegisterOp::Write(written) => (Call::Write(value(written)), Outcome::Ok(Value::Null)),
            RegisterOp::Cas { old, new } => {
                (Call::Cas { old: value(old), new: value(new) }, Outcome::Ok(Value::Null))
            }
            RegisterOp::CasFailed { old } => {
                (Call::Cas { old: value(old), new: Value::from(9) }, Outcome::Failed)
            }
        };
        Entry {
            process: Value::from(at as i64 % 5),
            key: Some(Value::text(key)),
            call,
            outcome: if operation.returned.is_some() { outcome } else { Outcome::Unknown },
            invoked: operation.invoked,
            returned: operation.returned,
            invoked_ns: None,
            returned_ns: None,
        }
    };
    history.iter().enumerate().map(entry).collect()
}

fn is_good(entries: &[Entry]) -> bool {
    match judge(ModelKind::Register, entries, &Budget::default()).expect("a register's operations")
    {
        Judgement::Linearizable => true,
        Judgement::NotLinearizable(_) => false,
        Judgement::Unknown(keys) => panic!("{keys:?}"),
    }
}

#[test]
fn names_places_and_times_leave_the_verdict() {
    let (mut good, mut bad) = (0, 0);
    for seed in 0..cases(20_000) {
        let mut rng = Rng::new(seed);
        let mut entries = recorded(&doubtful(&FewValues(3), &mut rng, 7), "a");
        entries.extend(recorded(&doubtful(&FewValues(3), &mut rng, 7), "b"));
        let verdict = is_good(&entries);
        *if verdict { &mut good } else { &mut bad } += 1;

        let mut other = entries.clone();
        rng.shuffle(&mut other);
        assert_eq!(is_good(&other), verdict, "seed {seed}: in another place");
        let mut names: Vec<i64> = (0..5).collect();
        rng.shuffle(&mut names);
        for entry in &mut other {
            let Value::Integer(process) = entry.process else { unreachable!() };
            entry.process = Value::from(names[process as usize]);
        }
        assert_eq!(is_good(&other), verdict, "seed {seed}: by other processes");
        for entry in &mut other {
            entry.invoked = entry.invoked * 3 + 1_000;
            entry.returned = entry.returned.map(|returned| returned * 3 + 1_000);
        }
        assert_eq!(is_good(&other), verdict, "seed {seed}: at other times");
        for entry in &mut other {
            entry.key = Some(if entry.key == Some(Value::text("a")) {
                Value::from(7)
            } else {
                Value::text("a")
            });
        }
        assert_eq!(is_good(&other), verdict, "seed {seed}: under other keys");
    }
    println!("{good} linearizable, {bad} not");
    assert!(good > 0 && bad > 0);
}

#[test]
fn a_pending_write_more_spoils_nothing() {
    for seed in 0..cases(20_000) {
        let mut rng = Rng::new(seed);
        let mut history = linearizable(&FewValues(3), &mut rng, 30, 4, true);
        for _ in 0..4 {
            let write = RegisterOp::Write(rng.below(4));
            history.push(Operation::pending(rng.below(400), write));
            let verdict = check(&Register { initial: 0 }, &history, &Budget::default());
            assert!(matches!(verdict, Verdict::Linearizable(_)), "seed {seed}: {verdict:?}");
        }
    }
}
