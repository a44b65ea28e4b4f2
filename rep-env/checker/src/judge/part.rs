//! The operations on one key, as the checks take them.

use super::pieces::as_list;
use super::{Counterexample, ModelKind};
use crate::entry::{Call, Entry, Outcome};
use crate::error::{HistoryError, Problem};
use crate::kv::{Kv, KvOp};
use crate::list::{ListOp, check_list};
use crate::minimize;
use crate::model::{Effect, Model};
use crate::operation::Operation;
use crate::register::{Register, RegisterOp};
use crate::unique::check_unique_register;
use crate::value::Value;
use crate::verdict::{Budget, Verdict};
use crate::wgl::check;
use std::cell::Cell;
use std::collections::HashMap;

/// The history of one key.
pub(super) struct Part {
    /// Where each operation stands among the entries.
    places: Vec<usize>,
    history: History,
}

enum History {
    /// Nothing is appended, so that equality is all that values have. They are numbered: the search compares numbers.
    Register(Vec<Operation<RegisterOp<u32>>>),
    /// Everything is appended, and every text can be taken apart into what was.
    List(Vec<Operation<ListOp<u32>>>),
    Kv(Vec<Operation<KvOp>>),
}

/// The number of the initial value.
const INITIAL: u32 = 0;

/// States that a smaller history is searched for at least, unless the budget has less. One that needs more counts as good, so that
/// the larger one stays.
const SMALLER_STATES: u64 = 20_000;

impl Part {
    pub(super) fn of(
        model: ModelKind,
        entries: &[Entry],
        places: Vec<usize>,
    ) -> Result<Self, HistoryError> {
        let appends = |at: &usize| matches!(entries[*at].call, Call::Append(_));
        let first_append = places.iter().copied().find(appends);
        match (model, first_append) {
            (ModelKind::Register, Some(at)) => {
                let problem = Problem::NotInModel { op: "append", model: model.name() };
                Err(HistoryError { line: entries[at].invoked, problem })
            }
            (ModelKind::Kv, Some(_)) => {
                let (places, history) = told(entries, &places);
                let history = match as_list(&history) {
                    Some(list) => History::List(list),
                    None => History::Kv(history),
                };
                Ok(Self { places, history })
            }
            (ModelKind::Register | ModelKind::Kv, None) => {
                let (places, history) = told(entries, &places);
                let history = numbered(&model.initial(), history);
                Ok(Self { places, history: History::Register(history) })
            }
        }
    }

    pub(super) fn decide(&self, budget: &Budget<'_>) -> Verdict {
        match &self.history {
            History::Register(history) => decide_register(history, budget),
            History::List(history) => decide_list(history),
            History::Kv(history) => check(&Kv::default(), history, budget),
        }
    }

    /// The smallest part of a key that is not linearizable.
    pub(super) fn counterexample(&self, key: Option<Value>, budget: &Budget<'_>) -> Counterexample {
        let (places, complete) = match &self.history {
            History::Register(history) => {
                let looks = |op: &RegisterOp<u32>| {
                    Register { initial: INITIAL }.effect(op) == Effect::Looks
                };
                smallest(history, budget, looks, decide_register)
            }
            History::List(history) => {
                let looks = |op: &ListOp<u32>| matches!(op, ListOp::Read(_));
                smallest(history, budget, looks, |part, _| decide_list(part))
            }
            History::Kv(history) => {
                let model = Kv::default();
                let looks = |op: &KvOp| model.effect(op) == Effect::Looks;
                smallest(history, budget, looks, |part, budget| check(&model, part, budget))
            }
        };
        let places = places.into_iter().map(|at| self.places[at]).collect();
        Counterexample { key, operations: self.places.len(), places, complete }
    }
}

/// The places that are left, and whether nothing smaller is possible.
fn smallest<O: Clone>(
    history: &[Operation<O>],
    budget: &Budget<'_>,
    looks: impl Fn(&O) -> bool,
    decide: impl Fn(&[Operation<O>], &Budget<'_>) -> Verdict,
) -> (Vec<usize>, bool) {
    let mut part = minimize::Part::whole(history, looks);
    // What was not decided is not known to be bad.
    let undecided = Cell::new(false);
    let is_bad = |part: &[Operation<O>], states_max: u64| {
        let verdict = decide(part, &Budget { states_max, ..*budget });
        undecided.set(undecided.get() || matches!(verdict, Verdict::Unknown(_)));
        verdict == Verdict::NotLinearizable
    };
    // Where it became bad is worth finding at any price: all that follows is cheaper by what is cut off.
    let cut = part.cut(|part| is_bad(part, budget.states_max), &budget.give_up);
    let mut states = SMALLER_STATES.min(budget.states_max);
    while states < budget.states_max && !(budget.give_up)() && !is_bad(&part.history(), states) {
        states = states.saturating_mul(4).min(budget.states_max);
    }
    undecided.set(false);
    let thinned = part.thin(|part| is_bad(part, states), &budget.give_up);
    (part.kept(), cut && thinned && !undecided.get())
}

fn decide_list(history: &[Operation<ListOp<u32>>]) -> Verdict {
    match check_list(history) {
        Ok(()) => Verdict::Linearizable(Vec::new()),
        Err(_) => Verdict::NotLinearizable,
    }
}

/// By the linear check where every value is written once, else by the search.
fn decide_register(history: &[Operation<RegisterOp<u32>>], budget: &Budget<'_>) -> Verdict {
    match check_unique_register(&INITIAL, history) {
        Ok(Ok(())) => Verdict::Linearizable(Vec::new()),
        Ok(Err(_)) => Verdict::NotLinearizable,
        Err(_) => check(&Register { initial: INITIAL }, history, budget),
    }
}

/// The operations that say something: without failed writes and appends, which never happened, and without reads that
/// found nothing out.
fn told(entries: &[Entry], places: &[usize]) -> (Vec<usize>, Vec<Operation<KvOp>>) {
    let told = places.iter().filter_map(|&at| {
        let entry = &entries[at];
        let what = match (&entry.call, &entry.outcome) {
            (Call::Read, Outcome::Ok(value)) => KvOp::Read(value.clone()),
            (Call::Read, Outcome::Failed | Outcome::Unknown) => return None,
            (Call::Write(_) | Call::Append(_), Outcome::Failed) => return None,
            (Call::Write(value), Outcome::Ok(_) | Outcome::Unknown) => KvOp::Write(value.clone()),
            (Call::Append(value), Outcome::Ok(_) | Outcome::Unknown) => KvOp::Append(value.clone()),
            (Call::Cas { old, .. }, Outcome::Failed) => KvOp::CasFailed { old: old.clone() },
            (Call::Cas { old, new }, Outcome::Ok(_) | Outcome::Unknown) => {
                KvOp::Cas { old: old.clone(), new: new.clone() }
            }
        };
        Some((at, Operation { invoked: entry.invoked, returned: entry.returned, what }))
    });
    told.unzip()
}

/// The same with numbers for values, [`INITIAL`] for the initial one.
fn numbered(initial: &Value, history: Vec<Operation<KvOp>>) -> Vec<Operation<RegisterOp<u32>>> {
    let mut numbers: HashMap<Value, u32> = HashMap::from([(initial.clone(), INITIAL)]);
    let mut number = |value: Value| {
        let next = numbers.len() as u32;
        *numbers.entry(value).or_insert(next)
    };
    let mut with_number = |what: KvOp| match what {
        KvOp::Read(value) => RegisterOp::Read(number(value)),
        KvOp::Cas { old, new } => RegisterOp::Cas { old: number(old), new: number(new) },
        KvOp::CasFailed { old } => RegisterOp::CasFailed { old: number(old) },
        // Nothing is appended here.
        KvOp::Write(value) | KvOp::Append(value) => RegisterOp::Write(number(value)),
    };
    let operations = history.into_iter().map(|operation| Operation {
        invoked: operation.invoked,
        returned: operation.returned,
        what: with_number(operation.what),
    });
    operations.collect()
}
