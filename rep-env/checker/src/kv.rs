//! One key of a store of texts: as a register, and text can be appended to it.

use crate::model::{Effect, Model};
use crate::value::Value;

/// What one key was asked, with its answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum KvOp {
    /// This value was read.
    Read(Value),
    /// This value was written.
    Write(Value),
    /// The value was `old`, and `new` was put in its place.
    Cas {
        /// What was expected, and found.
        old: Value,
        /// What was put there.
        new: Value,
    },
    /// Something else than `old` was found, so nothing was changed.
    CasFailed {
        /// What was expected, and not found.
        old: Value,
    },
    /// This was put behind what was there. What is not text counts as its text: null as none, numbers as
    /// their digits; so the outcome is always text.
    Append(Value),
}

/// One key that holds `initial` at first. Keys are independent of each other, and so are their histories.
#[derive(Clone, Debug)]
pub struct Kv {
    /// What it holds at first; by [`Kv::default`] the empty text.
    pub initial: Value,
}

impl Default for Kv {
    fn default() -> Self {
        Self { initial: Value::empty() }
    }
}

impl Model for Kv {
    type Op = KvOp;
    type State = Value;

    fn initial(&self) -> Value {
        self.initial.clone()
    }

    fn step(&self, state: &Value, op: &KvOp) -> Option<Value> {
        match op {
            KvOp::Read(value) => (value == state).then(|| state.clone()),
            KvOp::Write(value) => Some(value.clone()),
            KvOp::Cas { old, new } => (old == state).then(|| new.clone()),
            KvOp::CasFailed { old } => (old != state).then(|| state.clone()),
            KvOp::Append(value) => Some(state.extended(value)),
        }
    }

    fn effect(&self, op: &KvOp) -> Effect {
        match op {
            KvOp::Read(_) | KvOp::CasFailed { .. } => Effect::Looks,
            KvOp::Write(_) => Effect::Overwrites,
            KvOp::Append(_) => Effect::Adds,
            KvOp::Cas { .. } => Effect::Changes,
        }
    }

    fn may_reach(&self, state: &Value, op: &KvOp, others: &[&KvOp]) -> bool {
        match op {
            KvOp::Read(value) | KvOp::Cas { old: value, .. } => may_become(value, state, others),
            KvOp::CasFailed { old } => state != old || others.iter().any(|other| changes(other)),
            KvOp::Write(_) | KvOp::Append(_) => true,
        }
    }

    /// A pending operation helps if what it leaves, or adds, is seen in some answer. Where a compare was false, any may help.
    fn useful(&self, answered: &[&KvOp], pending: &[&KvOp]) -> Vec<bool> {
        let compared = |op: &&KvOp| matches!(op, KvOp::CasFailed { .. });
        let all = || answered.iter().chain(pending);
        let wanted: Vec<&Value> = all().filter_map(|op| expected(op)).collect();
        let work = wanted.iter().map(|value| 1 + value.bytes()).sum::<usize>();
        if answered.iter().any(compared) || work.saturating_mul(pending.len()) > USEFUL_WORK_MAX {
            return vec![true; pending.len()];
        }
        let appends = all().any(|op| matches!(op, KvOp::Append(_)));
        let helps = |op: &&KvOp| match op {
            KvOp::Write(value) | KvOp::Cas { new: value, .. } => wanted
                .iter()
                .any(|wanted| *wanted == value || appends && begins_with(wanted, value)),
            KvOp::Append(value) => {
                let piece = value.digits();
                wanted.iter().any(|wanted| wanted.digits().contains(&*piece))
            }
            KvOp::Read(_) | KvOp::CasFailed { .. } => false,
        };
        pending.iter().map(helps).collect()
    }

    fn state_bytes(&self, state: &Value) -> usize {
        size_of::<Value>() + state.bytes()
    }
}

/// Looking for every pending operation in every answer is not worth more comparisons than this.
const USEFUL_WORK_MAX: usize = 100_000_000;

fn changes(op: &KvOp) -> bool {
    !matches!(op, KvOp::Read(_) | KvOp::CasFailed { .. })
}

fn expected(op: &KvOp) -> Option<&Value> {
    match op {
        KvOp::Read(value) | KvOp::Cas { old: value, .. } => Some(value),
        KvOp::Write(_) | KvOp::CasFailed { .. } | KvOp::Append(_) => None,
    }
}

/// Is there a beginning, in the state or in what one of `others` writes, that appending may complete?
fn may_become(value: &Value, state: &Value, others: &[&KvOp]) -> bool {
    if value == state {
        return true;
    }
    let mut begun = begins_with(value, state);
    let mut appended = false;
    for other in others {
        match other {
            KvOp::Write(written) | KvOp::Cas { new: written, .. } if written == value => {
                return true;
            }
            KvOp::Write(written) | KvOp::Cas { new: written, .. } => {
                begun |= begins_with(value, written);
            }
            KvOp::Append(_) => appended = true,
            KvOp::Read(_) | KvOp::CasFailed { .. } => (),
        }
        if begun && appended {
            return true;
        }
    }
    false
}

/// Could `value` come of `beginning` by appending?
fn begins_with(value: &Value, beginning: &Value) -> bool {
    match (value, beginning) {
        (Value::Text(value), Value::Text(beginning)) => value.starts_with(&**beginning),
        (Value::Text(value), other) => value.starts_with(&*other.digits()),
        (Value::Null | Value::Bool(_) | Value::Integer(_), _) => false,
    }
}
