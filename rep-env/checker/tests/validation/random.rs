//! Random histories.

use rep_checker::{KvOp, Model, Operation, RegisterOp, Value};
use std::fmt::Debug;

/// A small generator (SplitMix64), so that a seed means the same for ever.
#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x2545_f491_4f6c_dd1d) ^ 0x9e37_79b9)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(crate) fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }

    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        for at in (1..items.len()).rev() {
            items.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

/// An operation that is answered by the state in which it takes effect.
pub(crate) trait Ask: Model {
    /// A question, with any answer.
    fn question(&self, rng: &mut Rng) -> Self::Op;
    /// The same question with the answer of this state.
    fn answered(&self, state: &Self::State, op: Self::Op) -> Self::Op;
}

/// Some operations at random times, answered by the model in the order of random moments in which each was open. A few stay
/// pending, and half of those never happened.
pub(crate) fn linearizable<M: Ask>(
    model: &M,
    rng: &mut Rng,
    operations: u64,
    overlap: u64,
    pending: bool,
) -> Vec<Operation<M::Op>> {
    // Three moments an operation: when it begins, takes effect and ends.
    let mut plans: Vec<(u64, u64, u64)> = (0..operations)
        .map(|_| {
            let begin = rng.below(operations * 10);
            let effect = begin + rng.below(overlap * 10);
            (begin, effect, effect + rng.below(overlap * 10))
        })
        .collect();
    plans.sort_by_key(|(_, effect, _)| *effect);
    let mut state = model.initial();
    let mut history = Vec::new();
    for (begin, _, end) in plans {
        let op = model.question(rng);
        let op = model.answered(&state, op);
        let open = pending && rng.one_in(6);
        if !open || rng.one_in(2) {
            state = model.step(&state, &op).expect("it was answered by this state");
        }
        history.push(match open {
            true => Operation::pending(begin, op),
            false => Operation::done(begin, end, op),
        });
    }
    rng.shuffle(&mut history);
    history
}

/// The same with another answer, in half of the cases.
pub(crate) fn doubtful<M: Ask>(model: &M, rng: &mut Rng, most: u64) -> Vec<Operation<M::Op>> {
    let operations = 1 + rng.below(most);
    let overlap = 1 + rng.below(4);
    let mut history = linearizable(model, rng, operations, overlap, true);
    for _ in 0..rng.below(3) {
        let at = rng.below(operations) as usize;
        history[at].what = model.question(rng);
    }
    history
}

/// A register of few values.
#[derive(Clone, Debug)]
pub(crate) struct FewValues(pub(crate) u64);

impl Model for FewValues {
    type Op = RegisterOp<u64>;
    type State = u64;

    fn initial(&self) -> u64 {
        0
    }

    fn step(&self, state: &u64, op: &RegisterOp<u64>) -> Option<u64> {
        rep_checker::Register { initial: 0 }.step(state, op)
    }
}

impl Ask for FewValues {
    fn question(&self, rng: &mut Rng) -> RegisterOp<u64> {
        let (one, other) = (rng.below(self.0), rng.below(self.0));
        match rng.below(6) {
            0 | 1 => RegisterOp::Write(one),
            2 => RegisterOp::Cas { old: one, new: other },
            3 => RegisterOp::CasFailed { old: one },
            _ => RegisterOp::Read(one),
        }
    }

    fn answered(&self, state: &u64, op: RegisterOp<u64>) -> RegisterOp<u64> {
        match op {
            RegisterOp::Read(_) => RegisterOp::Read(*state),
            RegisterOp::Write(value) => RegisterOp::Write(value),
            RegisterOp::Cas { old, new } if old == *state => RegisterOp::Cas { old, new },
            RegisterOp::CasFailed { old } if old == *state => RegisterOp::Cas { old, new: old },
            RegisterOp::Cas { old, .. } | RegisterOp::CasFailed { old } => {
                RegisterOp::CasFailed { old }
            }
        }
    }
}

/// A text of few letters.
#[derive(Clone, Debug, Default)]
pub(crate) struct Texts(rep_checker::Kv);

impl Model for Texts {
    type Op = KvOp;
    type State = Value;

    fn initial(&self) -> Value {
        self.0.initial()
    }

    fn step(&self, state: &Value, op: &KvOp) -> Option<Value> {
        self.0.step(state, op)
    }
}

impl Ask for Texts {
    fn question(&self, rng: &mut Rng) -> KvOp {
        let mut letters = |most: u64| {
            let text: String =
                (0..rng.below(most)).map(|_| ["a", "b"][rng.below(2) as usize]).collect();
            Value::text(&text)
        };
        let (one, other, short) = (letters(4), letters(4), letters(3));
        match rng.below(8) {
            0 => KvOp::Write(one),
            1 => KvOp::Cas { old: one, new: other },
            2 => KvOp::CasFailed { old: one },
            3..=5 => KvOp::Append(short),
            _ => KvOp::Read(one),
        }
    }

    fn answered(&self, state: &Value, op: KvOp) -> KvOp {
        match op {
            KvOp::Read(_) => KvOp::Read(state.clone()),
            KvOp::Cas { old, new } if old == *state => KvOp::Cas { old, new },
            KvOp::CasFailed { old } if old == *state => KvOp::Cas { new: old.clone(), old },
            KvOp::Cas { old, .. } | KvOp::CasFailed { old } => KvOp::CasFailed { old },
            KvOp::Write(_) | KvOp::Append(_) => op,
        }
    }
}
