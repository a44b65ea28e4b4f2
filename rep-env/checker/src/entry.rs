//! A history of a register or of a store of texts, as it was recorded.

use crate::operation::Moment;
use crate::timeline::Bar;
use crate::value::Value;
use std::fmt;

/// One call and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Who asked.
    pub process: Value,
    /// Of which key; `None` is a key like any other.
    pub key: Option<Value>,
    /// What was asked.
    pub call: Call,
    /// What came of it.
    pub outcome: Outcome,
    /// When it was asked.
    pub invoked: Moment,
    /// When it was answered. `None` with [`Outcome::Unknown`], and only there.
    pub returned: Option<Moment>,
    /// The recorder's clock then, in nanoseconds. Nothing is concluded from it.
    pub invoked_ns: Option<i128>,
    /// The recorder's clock at the answer.
    pub returned_ns: Option<i128>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// To read.
    Read,
    /// To write this.
    Write(Value),
    /// To put `new` in the place of `old`, if that is there.
    Cas {
        /// What is expected.
        old: Value,
        /// What is to be there afterwards.
        new: Value,
    },
    /// To put this behind what is there.
    Append(Value),
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was done; a read found this. The value says nothing elsewhere.
    Ok(Value),
    /// It was not done, and never will be. For a cas: the compare was false. For a read: nothing was read.
    Failed,
    /// Nobody knows.
    Unknown,
}

impl Call {
    /// What it is called in a recorded history.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Read => "read",
            Call::Write(_) => "write",
            Call::Cas { .. } => "cas",
            Call::Append(_) => "append",
        }
    }
}

/// As for a drawing: `write 1`, `read: 2`, `cas 1 -> 2: false`.
impl fmt::Display for Entry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.call.name())?;
        match &self.call {
            Call::Read => (),
            Call::Write(value) | Call::Append(value) => write!(formatter, " {value}")?,
            Call::Cas { old, new } => write!(formatter, " {old} -> {new}")?,
        }
        match (&self.call, &self.outcome) {
            (Call::Read, Outcome::Ok(value)) => write!(formatter, ": {value}"),
            (Call::Cas { .. }, Outcome::Failed) => formatter.write_str(": false"),
            (_, Outcome::Failed) => formatter.write_str(": failed"),
            (_, Outcome::Unknown) => formatter.write_str(": ?"),
            (_, Outcome::Ok(_)) => Ok(()),
        }
    }
}

impl From<&Entry> for Bar {
    fn from(entry: &Entry) -> Bar {
        let key = entry.key.as_ref().map_or(String::new(), |key| format!(" of {key}"));
        let time = |ns: Option<i128>| ns.map_or(String::new(), |ns| format!(" at {ns} ns"));
        let returned = match entry.returned {
            Some(line) => format!("answered in line {line}{}", time(entry.returned_ns)),
            None => "never answered".to_owned(),
        };
        Bar {
            lane: format!("process {}", entry.process),
            label: entry.to_string(),
            detail: format!(
                "{entry}{key}: asked in line {}{}, {returned}",
                entry.invoked,
                time(entry.invoked_ns)
            ),
            from: entry.invoked,
            to: entry.returned,
        }
    }
}
