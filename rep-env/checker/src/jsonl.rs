//! Histories as lines of JSON, the form in which other tools' histories are judged.
//!
//! One event a line, in the order in which the events happened:
//!
//! ```json
//! {"process":3,"type":"invoke","op":"cas","key":"k","value":[1,2],"time_ns":17}
//! {"process":3,"type":"ok","op":"cas","key":"k","value":[1,2],"time_ns":29}
//! ```
//!
//! | field | |
//! |---|---|
//! | `process` | who: a whole number or a string. A process does one thing at a time |
//! | `type` | `invoke`; then `ok`, `fail` (it has no effect, ever) or `info` (nobody knows: it stays open to the end) |
//! | `op` | `read`, `write`, `cas`, `append` |
//! | `key` | of which object; without it, all operations are of one. In a completion it may be left out |
//! | `value` | what is written or appended, `[old, new]` of a cas; of an `ok` read what was found (left out: null). In any other event it may be left out |
//! | `time_ns` | when, for drawings only: the order of the lines is what counts. May be left out |
//!
//! Values are null, truth values, whole numbers of 64 bits and strings; `1` is not `"1"`. Other fields are ignored, empty lines too.
//!
//! - A `fail`ed read says nothing. A `fail`ed write or append did not happen. A `fail`ed cas looked, and found something else than `old`.
//! - An operation that is never completed is as one with `info`.
//! - A process that invokes with an operation open has been started again: what it had open stays open. A completion
//!   belongs to the newest open operation of its process with the same `op`, key and value, so one that arrives late
//!   finds its own.

mod line;

use crate::entry::{Call, Entry, Outcome};
use crate::error::{HistoryError, Problem};
use crate::value::Value;
use line::{Given, Line};
use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{BufRead, Read as _};

/// Bytes of a line, with its end.
pub const LINE_BYTES_MAX: u64 = 1 << 20;

/// Bytes of a history.
pub const HISTORY_BYTES_MAX: u64 = 256 << 20;

/// Operations of a history.
pub const OPERATIONS_MAX: usize = 1_000_000;

/// Operations that one process may have open.
pub const OPEN_MAX: usize = 1024;

/// Reads a history to its end. Memory is a few times what is read, and that is bounded.
///
/// # Errors
///
/// The first line that is wrong, what is wrong with it, and whose doing it is.
pub fn read_history(mut input: impl BufRead) -> Result<Vec<Entry>, HistoryError> {
    let mut reader = Reader::default();
    let mut line = Vec::new();
    let mut bytes = 0;
    loop {
        reader.line += 1;
        line.clear();
        let taken = input.by_ref().take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut line);
        bytes += taken.map_err(|error| reader.wrong(error.into()))? as u64;
        if line.is_empty() {
            return Ok(reader.entries);
        }
        let bounds = [
            (line.len() as u64, LINE_BYTES_MAX, "bytes of a line"),
            (bytes, HISTORY_BYTES_MAX, "bytes of a history"),
        ];
        if let Some((_, max, what)) = bounds.into_iter().find(|(is, max, _)| is > max) {
            return Err(reader.wrong(Problem::TooMuch { what, max }));
        }
        let text = line.trim_ascii();
        if !text.is_empty() {
            reader.take(text).map_err(|problem| reader.wrong(problem))?;
        }
    }
}

/// Writes a history as [`read_history`] reads it.
pub fn write_history<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> String {
    let mut events: Vec<(u64, bool, &Entry)> = Vec::new();
    for entry in entries {
        events.push((entry.invoked, false, entry));
        events.extend(entry.returned.map(|returned| (returned, true, entry)));
    }
    events.sort_by_key(|(moment, returns, _)| (*moment, *returns));
    events.into_iter().map(|(_, returns, entry)| event(entry, returns)).collect()
}

fn event(entry: &Entry, returns: bool) -> String {
    let kind = match (returns, &entry.outcome) {
        (false, _) => "invoke",
        (true, Outcome::Ok(_)) => "ok",
        (true, Outcome::Failed) => "fail",
        (true, Outcome::Unknown) => "info",
    };
    let name = entry.call.name();
    let mut text = format!("{{\"process\":{},\"type\":\"{kind}\",\"op\":\"{name}\"", entry.process);
    let mut field = |name: &str, value: String| {
        // Writing to a string does not fail.
        let _ = write!(text, ",\"{name}\":{value}");
    };
    if let Some(key) = &entry.key {
        field("key", key.to_string());
    }
    match (&entry.call, &entry.outcome) {
        (Call::Read, Outcome::Ok(value)) if returns => field("value", value.to_string()),
        (Call::Read, _) => field("value", Value::Null.to_string()),
        (Call::Write(value) | Call::Append(value), _) => field("value", value.to_string()),
        (Call::Cas { old, new }, _) => field("value", format!("[{old},{new}]")),
    }
    let time = if returns { entry.returned_ns } else { entry.invoked_ns };
    if let Some(time) = time {
        field("time_ns", time.to_string());
    }
    text.push_str("}\n");
    text
}

/// What was read so far.
#[derive(Default)]
struct Reader {
    line: u64,
    entries: Vec<Entry>,
    /// The operations that each process has open, the newest last.
    open: HashMap<Value, Vec<usize>>,
}

impl Reader {
    fn wrong(&self, problem: Problem) -> HistoryError {
        HistoryError { line: self.line, problem }
    }

    fn take(&mut self, text: &[u8]) -> Result<(), Problem> {
        let line = Line::parse(text).map_err(Problem::NotAnEvent)?;
        let process = process(line.process.as_ref())?;
        let kind = word("type", line.kind.as_ref(), "invoke, ok, fail, info")?;
        let time = time(line.time_ns.as_ref())?;
        let key = key(line.key.as_ref())?;
        let op = op(line.op.as_ref())?;
        match kind {
            "invoke" => self.invoke(process, key, call(op, line.value.as_ref())?, time),
            "ok" | "fail" | "info" => {
                let at = self.complete(&process, key.as_ref(), op, kind, line.value.as_ref())?;
                let entry = &mut self.entries[at];
                entry.outcome = outcome(&entry.call, kind, line.value)?;
                entry.returned = (entry.outcome != Outcome::Unknown).then_some(self.line);
                entry.returned_ns = time;
                Ok(())
            }
            other => Err(Problem::Foreign {
                field: "type",
                given: other.to_owned(),
                allowed: "invoke, ok, fail or info",
            }),
        }
    }

    fn invoke(
        &mut self,
        process: Value,
        key: Option<Value>,
        call: Call,
        invoked_ns: Option<i128>,
    ) -> Result<(), Problem> {
        let open = self.open.entry(process.clone()).or_default();
        if open.len() == OPEN_MAX {
            let what = "operations that a process has open";
            return Err(Problem::TooMuch { what, max: OPEN_MAX as u64 });
        }
        if self.entries.len() == OPERATIONS_MAX {
            let what = "operations of a history";
            return Err(Problem::TooMuch { what, max: OPERATIONS_MAX as u64 });
        }
        open.push(self.entries.len());
        self.entries.push(Entry {
            process,
            key,
            call,
            outcome: Outcome::Unknown,
            invoked: self.line,
            returned: None,
            invoked_ns,
            returned_ns: None,
        });
        Ok(())
    }

    /// The open operation that is completed here.
    fn complete(
        &mut self,
        process: &Value,
        key: Option<&Value>,
        op: &'static str,
        kind: &str,
        value: Option<&Given>,
    ) -> Result<usize, Problem> {
        let open = self.open.get_mut(process).filter(|open| !open.is_empty());
        let Some(open) = open else {
            return Err(Problem::NotOpen { process: process.clone(), op });
        };
        let entries = &self.entries;
        let agrees = |at: &usize| {
            let entry = &entries[*at];
            let same_key = key.is_none() || key == entry.key.as_ref();
            same_key && entry.call.name() == op && agrees(&entry.call, kind, value)
        };
        let Some(place) = open.iter().rposition(agrees) else {
            let newest = &entries[open[open.len() - 1]];
            return Err(Problem::Disagrees {
                process: process.clone(),
                completed: told(op, key, value),
                open: format!("{newest} (line {})", newest.invoked),
            });
        };
        Ok(open.remove(place))
    }
}

/// Could a completion with this value belong to the call? What is found, and what comes with an outcome that is not `ok`, may be anything.
fn agrees(call: &Call, kind: &str, value: Option<&Given>) -> bool {
    match (call, value) {
        (Call::Read, _) | (_, None | Some(Given::One(Value::Null))) => true,
        (Call::Write(asked) | Call::Append(asked), Some(Given::One(value))) => {
            kind != "ok" || asked == value
        }
        (Call::Cas { old, new }, Some(Given::Pair(given_old, given_new))) => {
            old == given_old && new == given_new
        }
        (Call::Write(_) | Call::Append(_) | Call::Cas { .. }, Some(_)) => kind != "ok",
    }
}

fn told(op: &str, key: Option<&Value>, value: Option<&Given>) -> String {
    let key = key.map_or(String::new(), |key| format!(" of key {key}"));
    let value = value.map_or(String::new(), |value| format!(" with {}", value.kind()));
    format!("{op}{key}{value}")
}

fn process(given: Option<&Given>) -> Result<Value, Problem> {
    match given {
        Some(Given::One(process @ (Value::Integer(_) | Value::Text(_)))) => Ok(process.clone()),
        None => Err(Problem::Missing { field: "process" }),
        Some(other) => Err(Problem::Foreign {
            field: "process",
            given: other.kind(),
            allowed: "a whole number or a string",
        }),
    }
}

fn key(given: Option<&Given>) -> Result<Option<Value>, Problem> {
    match given {
        None | Some(Given::One(Value::Null)) => Ok(None),
        Some(Given::One(key)) => Ok(Some(key.clone())),
        Some(other) => Err(Problem::Foreign {
            field: "key",
            given: other.kind(),
            allowed: "a string or a whole number",
        }),
    }
}

fn time(given: Option<&Given>) -> Result<Option<i128>, Problem> {
    match given {
        None | Some(Given::One(Value::Null)) => Ok(None),
        Some(Given::One(Value::Integer(time))) => Ok(Some(*time)),
        // `as` keeps to the bounds of the type. The time is only drawn.
        Some(Given::Fraction(time)) => Ok(Some(*time as i128)),
        Some(other) => {
            Err(Problem::Foreign { field: "time_ns", given: other.kind(), allowed: "a number" })
        }
    }
}

fn word<'a>(
    field: &'static str,
    given: Option<&'a Given>,
    allowed: &'static str,
) -> Result<&'a str, Problem> {
    match given {
        Some(Given::One(Value::Text(text))) => Ok(text),
        None => Err(Problem::Missing { field }),
        Some(other) => Err(Problem::Foreign { field, given: other.kind(), allowed }),
    }
}

fn op(given: Option<&Given>) -> Result<&'static str, Problem> {
    const OPS: [&str; 4] = ["read", "write", "cas", "append"];
    let allowed = "read, write, cas or append";
    let given = word("op", given, allowed)?;
    OPS.into_iter().find(|op| *op == given).ok_or_else(|| Problem::Foreign {
        field: "op",
        given: given.to_owned(),
        allowed,
    })
}

fn call(op: &'static str, value: Option<&Given>) -> Result<Call, Problem> {
    let wrong = |given: &Given, wanted| Problem::WrongValue { op, given: given.kind(), wanted };
    match (op, value) {
        ("read", _) => Ok(Call::Read),
        (_, None) => Err(Problem::Missing { field: "value" }),
        ("write", Some(Given::One(value))) => Ok(Call::Write(value.clone())),
        ("append", Some(Given::One(value))) => Ok(Call::Append(value.clone())),
        ("cas", Some(Given::Pair(old, new))) => {
            Ok(Call::Cas { old: old.clone(), new: new.clone() })
        }
        ("cas", Some(given)) => Err(wrong(given, "a list of two values, [old, new]")),
        (_, Some(given)) => Err(wrong(given, SCALAR)),
    }
}

const SCALAR: &str = "null, true, false, a whole number of 64 bits or a string";

fn outcome(call: &Call, kind: &str, value: Option<Given>) -> Result<Outcome, Problem> {
    match (kind, call, value) {
        ("fail", ..) => Ok(Outcome::Failed),
        ("info", ..) => Ok(Outcome::Unknown),
        (_, Call::Read, Some(Given::One(value))) => Ok(Outcome::Ok(value)),
        (_, Call::Read, Some(given)) => {
            Err(Problem::WrongValue { op: "read", given: given.kind(), wanted: SCALAR })
        }
        _ => Ok(Outcome::Ok(Value::Null)),
    }
}
