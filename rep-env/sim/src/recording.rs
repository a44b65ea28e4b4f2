//! The history of calls as their callers have it, for a judge who knows nothing of logs: `rep-checker`.
//!
//! A transaction is seen from each of its keys. There it read, wrote, or put one value in the place of another, between its commit
//! and its answer; and if all transactions can be put in one order, so can what they did to any one key. What was refused for
//! certain never happened. What nobody was told of stays *pending*: it may take effect at any later moment, or never. So does a write
//! that asked for less than is promised to survive: its answer says nothing of when it is seen, or of whether it stays.
//!
//! Judged is therefore what the contract promises, and nothing else: linearizable reads, and writes of which most members, the
//! master among them, have synced a copy.

use crate::history::{Key, Txn};
use crate::oracle::{Invariant, Violation};
use crate::trace::digest;
use bytes::Bytes;
use rep_checker::{
    Budget, Call, Counterexample, Entry, Judgement, ModelKind, Moment, Outcome, Value, judge,
};
use rep_node::{Acks, Durability, Request};
use rep_vlsn::SyncClass;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Operations that are recorded of one key. What comes after them is left out, and what is open then stays pending: the
/// beginning of a history is one too.
const OPERATIONS_MAX: u64 = 2_000;

/// Configurations that the search may visit for one key, and bytes that its memory of them may take.
const STATES_MAX: u64 = 100_000;
const BYTES_MAX: usize = 32 << 20;

/// Operations of a counterexample that are told.
const LINES_MAX: usize = 24;

/// Calls and answers, in the order of their moments.
#[derive(Debug, Default)]
pub(crate) struct Recording {
    entries: Vec<Entry>,
    open: BTreeMap<Request, Vec<Open>>,
    /// How many operations there are on each key.
    operations: BTreeMap<Key, u64>,
    now: Moment,
}

/// An operation that waits for its answer.
#[derive(Debug)]
struct Open {
    place: usize,
    /// What it has seen, if that is known before it is known to count.
    seen: Value,
}

/// What the judge has looked at.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Judged {
    pub(crate) operations: u64,
    pub(crate) keys: u64,
    /// Keys of which nobody knows: the budget was used up.
    pub(crate) unknown: u64,
    /// Keys that have a longer history than was recorded.
    pub(crate) cut: u64,
}

impl Recording {
    /// Somebody asks for the value of a key.
    pub(crate) fn reads(&mut self, request: Request, caller: Option<usize>, key: &Key) {
        self.calls((request, caller), key, Call::Read, Value::Null);
    }

    /// Somebody commits.
    pub(crate) fn commits(&mut self, request: Request, caller: Option<usize>, txn: &Txn) {
        for (key, new) in &txn.writes {
            let old = txn.reads.iter().find(|(read, _)| read == key).map(|(_, old)| old);
            let call = match old {
                Some(old) => Call::Cas { old: value(old), new: value(new) },
                None => Call::Write(value(new)),
            };
            self.calls((request, caller), key, call, Value::Null);
        }
        for (at, (key, seen)) in txn.reads.iter().enumerate() {
            let again = txn.reads[..at].iter().any(|(read, _)| read == key);
            if !again && txn.writes.iter().all(|(written, _)| written != key) {
                self.calls((request, caller), key, Call::Read, value(seen));
            }
        }
    }

    fn calls(
        &mut self,
        (request, caller): (Request, Option<usize>),
        key: &Key,
        call: Call,
        seen: Value,
    ) {
        let operations = self.operations.entry(key.clone()).or_default();
        *operations += 1;
        let operations = *operations;
        if operations > OPERATIONS_MAX {
            return self.leave_open(key, operations);
        }
        self.now += 1;
        self.open.entry(request).or_default().push(Open { place: self.entries.len(), seen });
        self.entries.push(Entry {
            process: caller.map_or(Value::Null, |caller| Value::Integer(caller as i128)),
            key: Some(Value::text(key)),
            call,
            outcome: Outcome::Unknown,
            invoked: self.now,
            returned: None,
            invoked_ns: None,
            returned_ns: None,
        });
    }

    /// The history of a key ends here.
    fn leave_open(&mut self, key: &Key, operations: u64) {
        if operations == OPERATIONS_MAX + 1 {
            let (entries, name) = (&self.entries, Some(Value::text(key)));
            for open in self.open.values_mut() {
                open.retain(|open| entries[open.place].key != name);
            }
        }
    }

    /// A read was answered with this.
    pub(crate) fn read(&mut self, request: Request, seen: &Option<Bytes>) {
        let seen = value(seen);
        self.ended(request, |_| Outcome::Ok(seen.clone()));
    }

    /// A transaction was acknowledged, as it asked.
    pub(crate) fn committed(&mut self, request: Request, asked: Durability) {
        match is_promised(asked) {
            true => self.ended(request, |open| Outcome::Ok(open.seen.clone())),
            false => self.forgotten(request),
        }
    }

    /// A transaction has no effect, now or later.
    pub(crate) fn failed(&mut self, request: Request) {
        self.ended(request, |_| Outcome::Failed);
    }

    /// Nobody will be told what became of it.
    pub(crate) fn forgotten(&mut self, request: Request) {
        self.open.remove(&request);
    }

    fn ended(&mut self, request: Request, outcome: impl Fn(&Open) -> Outcome) {
        self.now += 1;
        for open in self.open.remove(&request).unwrap_or_default() {
            let entry = &mut self.entries[open.place];
            entry.outcome = outcome(&open);
            entry.returned = Some(self.now);
        }
    }

    /// I-17, by a search for an order in which one object could have answered so.
    pub(crate) fn judge(&self) -> Result<Judged, Violation> {
        let happened = |entry: &&Entry| entry.outcome != Outcome::Failed;
        let entries: Vec<Entry> = self.entries.iter().filter(happened).cloned().collect();
        let cut = |operations: &&u64| **operations > OPERATIONS_MAX;
        let mut judged = Judged {
            operations: entries.len() as u64,
            keys: self.operations.len() as u64,
            unknown: 0,
            cut: self.operations.values().filter(cut).count() as u64,
        };
        let budget = Budget { states_max: STATES_MAX, bytes_max: BYTES_MAX, ..Budget::default() };
        match judge(ModelKind::Register, &entries, &budget) {
            Ok(Judgement::Linearizable) => {}
            Ok(Judgement::Unknown(keys)) => judged.unknown = keys.len() as u64,
            Ok(Judgement::NotLinearizable(found)) => return Err(broken(told(&entries, &found))),
            Err(error) => return Err(broken(error.to_string())),
        }
        Ok(judged)
    }
}

/// Whether an answer to such a write promises that it is seen from then on, whatever fails.
pub(crate) fn is_promised(asked: Durability) -> bool {
    let synced = asked.local == SyncClass::Sync && asked.replica == SyncClass::Sync;
    synced && asked.acks != Acks::None
}

/// A value by its number, if it is nothing more, or by its digest.
fn value(bytes: &Option<Bytes>) -> Value {
    let Some(bytes) = bytes else { return Value::Null };
    Value::Integer(match <[u8; 8]>::try_from(&bytes[..]) {
        Ok(number) => u64::from_le_bytes(number).into(),
        Err(_) => i128::from(digest(0, bytes)) << 64 | bytes.len() as i128,
    })
}

fn broken(what: String) -> Violation {
    Violation { invariant: Invariant::LinearizableHistory, what }
}

fn told(entries: &[Entry], found: &Counterexample) -> String {
    let (key, all) = (found.key.clone().unwrap_or_default(), found.operations);
    let mut text = format!("of {all} operations on {key} these have no order:");
    for at in found.places.iter().take(LINES_MAX) {
        let entry = &entries[*at];
        let until = entry.returned.map_or("...".to_owned(), |returned| returned.to_string());
        let (by, from) = (&entry.process, entry.invoked);
        let _ = write!(text, "\n    client {by} from {from} to {until}: {entry}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: &str = "k0";

    fn put(value: u64) -> Txn {
        Txn { reads: Vec::new(), writes: vec![(K.into(), some(value))] }
    }

    fn some(value: u64) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(&value.to_le_bytes()))
    }

    /// A transaction that is committed before anything else is asked.
    fn commit(recording: &mut Recording, number: u64, txn: &Txn) {
        recording.commits(Request(number), Some(1), txn);
        recording.committed(Request(number), Durability::default());
    }

    fn look(recording: &mut Recording, number: u64, value: &Option<Bytes>) {
        recording.reads(Request(number), Some(2), &K.into());
        recording.read(Request(number), value);
    }

    fn of(act: impl FnOnce(&mut Recording)) -> Result<Judged, Violation> {
        let mut recording = Recording::default();
        act(&mut recording);
        recording.judge()
    }

    #[test]
    fn a_stale_read_is_told_with_the_few_operations_that_it_takes() {
        let stale = of(|recording| {
            (1..50).for_each(|at| commit(recording, at, &put(at)));
            look(recording, 50, &some(48));
        });
        let violation = stale.expect_err("49 was acknowledged before");
        assert_eq!(violation.invariant, Invariant::LinearizableHistory);
        assert_eq!(violation.what.lines().count(), 4, "{}", violation.what);
    }

    #[test]
    fn a_transaction_built_on_what_had_been_overwritten_is_found() {
        let built = Txn { reads: vec![(K.into(), some(1))], ..put(3) };
        let lost = of(|recording| {
            commit(recording, 1, &put(1));
            commit(recording, 2, &put(2));
            commit(recording, 3, &built);
        });
        assert!(lost.is_err());
        let refused = of(|recording| {
            commit(recording, 1, &put(1));
            recording.commits(Request(2), None, &built);
            commit(recording, 3, &put(2));
            recording.failed(Request(2));
        });
        assert!(refused.is_ok(), "what was refused has compared nothing: {refused:?}");
    }

    #[test]
    fn what_asked_for_less_may_be_seen_late_or_never_and_what_failed_may_not() {
        let weak = Durability::default().acks(Acks::None);
        let late = |seen: Option<Bytes>| {
            of(|recording| {
                recording.commits(Request(1), None, &put(1));
                recording.committed(Request(1), weak);
                look(recording, 2, &None);
                look(recording, 3, &seen);
            })
        };
        assert!(late(None).is_ok() && late(some(1)).is_ok());
        let failed = of(|recording| {
            recording.commits(Request(1), None, &put(1));
            recording.failed(Request(1));
            look(recording, 2, &some(1));
        });
        assert!(failed.is_err());
    }

    /// The answer of a read that is open when the record ends may be of a write that is not in it.
    #[test]
    fn a_long_history_is_judged_by_its_beginning() {
        let long = of(|recording| {
            recording.reads(Request(1), None, &K.into());
            (2..3_000).for_each(|at| commit(recording, at, &put(at)));
            recording.read(Request(1), &some(2_999));
        });
        let judged = long.expect("nothing is wrong with it");
        assert_eq!((judged.operations, judged.cut), (OPERATIONS_MAX, 1));
    }
}
