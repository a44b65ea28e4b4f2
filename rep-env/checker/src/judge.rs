//! Judges a recorded history: key by key, the quick checks first.
//!
//! Linearizability is local: a history is linearizable if and only if the history of each key is (Herlihy & Wing, 1990). So
//! keys are judged apart. A key whose writes are all different is decided in linear time, and so is one to which different
//! texts are appended and nothing is written; the others are searched, all of them a little before any of them for long, so that one hard key hides no easy fault of another.

mod part;
mod pieces;

use crate::entry::Entry;
use crate::error::HistoryError;
use crate::value::Value;
use crate::verdict::{Budget, GaveUp, Verdict};
use part::Part;
use std::collections::BTreeMap;
use std::fmt;

/// What the keys of a history are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModelKind {
    /// Registers that hold null at first: read, write, cas.
    Register,
    /// Texts, empty at first: as a register, and append.
    Kv,
}

impl fmt::Display for ModelKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

impl ModelKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            ModelKind::Register => "register",
            ModelKind::Kv => "kv",
        }
    }

    pub(crate) fn initial(self) -> Value {
        match self {
            ModelKind::Register => Value::Null,
            ModelKind::Kv => Value::empty(),
        }
    }
}

/// What a history was found to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// Every key is linearizable.
    Linearizable,
    /// One key is not.
    NotLinearizable(Counterexample),
    /// No key was found to be otherwise, and some were not looked at to the end.
    Unknown(Vec<(Option<Value>, GaveUp)>),
}

/// Why a history is not linearizable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counterexample {
    /// The key; `None` is that of operations without one.
    pub key: Option<Value>,
    /// How many operations there are on that key.
    pub operations: usize,
    /// The smallest bad history on it, as places among the entries.
    pub places: Vec<usize>,
    /// Is none smaller that is bad for the same reason? Otherwise the budget ended before that was known.
    pub complete: bool,
}

/// States that each key is searched for before any is searched to the end.
const FIRST_LOOK_STATES: u64 = 20_000;

/// Judges the entries. `budget.states_max` and `budget.bytes_max` are of each key.
///
/// # Errors
///
/// [`crate::Problem::NotInModel`], with the moment at which that operation was invoked for its line.
pub fn judge(
    model: ModelKind,
    entries: &[Entry],
    budget: &Budget<'_>,
) -> Result<Judgement, HistoryError> {
    let mut keys: BTreeMap<Option<&Value>, Vec<usize>> = BTreeMap::new();
    for (at, entry) in entries.iter().enumerate() {
        keys.entry(entry.key.as_ref()).or_default().push(at);
    }
    let mut parts = Vec::with_capacity(keys.len());
    for (key, places) in keys {
        parts.push((key.cloned(), Part::of(model, entries, places)?));
    }
    let first_look = Budget { states_max: budget.states_max.min(FIRST_LOOK_STATES), ..*budget };
    let mut unknown = Vec::new();
    for look in [&first_look, budget] {
        unknown.clear();
        let mut undecided = Vec::new();
        for (key, part) in parts {
            match part.decide(look) {
                Verdict::Linearizable(_) => (),
                Verdict::NotLinearizable => {
                    return Ok(Judgement::NotLinearizable(part.counterexample(key, budget)));
                }
                Verdict::Unknown(why) => {
                    unknown.push((key.clone(), why));
                    undecided.push((key, part));
                }
            }
        }
        parts = undecided;
    }
    Ok(match unknown.is_empty() {
        true => Judgement::Linearizable,
        false => Judgement::Unknown(unknown),
    })
}
