//! A state machine of somebody else's, put through the same faults.
//!
//! Each member of the world carries one beside the built-in databases. It is given every entry that the member applies, in
//! batches cut anywhere, told to make checkpoints when the databases make theirs, dropped when the process dies, and
//! opened again in its own place when it comes back, to be fed what its checkpoint lacks. So whatever its author believes of the
//! [contract](rep_store::StateMachine) is tried: that its state is a function of the entries alone, whatever the borders of
//! batches and the number of crashes, and the same on every member.
//!
//! What an entry says is the author's too ([`Subject::payload`]); the world only says when there is one.

use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::report::Failure;
use crate::run::{self, Outcome};
use crate::trace::{Detail, digest};
use crate::world::World;
use rep_store::contract::Subject;
use rep_store::{Digest, Entry, StateMachine, StoreError};
use rep_vlsn::{Kind, LogPoint, ReadError, Vlsn};
use std::collections::BTreeMap;
use std::fmt;

/// Runs one seed of the swarm with a state machine of yours on every member; `make` makes one in a new and empty place.
///
/// The first [violation](crate::Violation) that is the machine's doing names [`Invariant::ReplicaEquality`] (two members hold other states or gave
/// other results at one place of the log) or [`Invariant::ForeignMachine`] (it broke another word of its contract).
///
/// # Errors
///
/// As [`run_seed`](crate::run_seed).
pub fn run_seed_with<S: Subject + 'static>(
    seed: u64,
    make: impl Fn() -> S + 'static,
) -> Result<Outcome, Box<Failure>> {
    let make = std::rc::Rc::new(make);
    let board = move || -> Box<dyn Passenger> {
        let make = std::rc::Rc::clone(&make);
        Box::new(Seat { subject: make(), make: Box::new(move || make()), machine: None })
    };
    run::play_boarded(seed, Detail::Hash, &board)
}

/// What the world asks of a state machine, whatever its types.
pub(crate) trait Passenger {
    /// The process begins: where the machine stands.
    fn open(&mut self) -> LogPoint;
    /// The process ends: whatever the machine has not kept is gone.
    fn close(&mut self);
    /// The directory is emptied.
    fn wipe(&mut self);
    /// Applies entries; what they came to, by digest.
    fn apply(&mut self, entries: &[Entry]) -> Result<Vec<u64>, StoreError>;
    fn applied(&self) -> LogPoint;
    fn checkpoint(&mut self) -> Result<LogPoint, StoreError>;
    fn state(&self) -> Result<Digest, StoreError>;
}

struct Seat<S: Subject> {
    make: Box<dyn Fn() -> S>,
    subject: S,
    machine: Option<S::Machine>,
}

impl<S: Subject> Seat<S> {
    fn machine(&self) -> &S::Machine {
        self.machine.as_ref().expect("a member that runs has opened its machine")
    }

    fn machine_mut(&mut self) -> &mut S::Machine {
        self.machine.as_mut().expect("a member that runs has opened its machine")
    }

    /// The entry as the machine's author has it.
    fn translated(&self, entry: &Entry) -> Entry {
        match entry.kind {
            Kind::Data => {
                let payload = self.subject.payload(entry.point.vlsn);
                Entry { payload, ..entry.clone() }
            }
            _ => entry.clone(),
        }
    }
}

impl<S: Subject> Passenger for Seat<S> {
    fn open(&mut self) -> LogPoint {
        self.machine.insert(self.subject.open()).applied()
    }

    fn close(&mut self) {
        self.machine = None;
    }

    fn wipe(&mut self) {
        self.machine = None;
        self.subject = (self.make)();
    }

    fn apply(&mut self, entries: &[Entry]) -> Result<Vec<u64>, StoreError> {
        let entries: Vec<Entry> = entries.iter().map(|entry| self.translated(entry)).collect();
        let mut results = Vec::new();
        self.machine_mut().apply(&entries, &mut results)?;
        Ok(results.iter().map(|result| digest(0, format!("{result:?}").as_bytes())).collect())
    }

    fn applied(&self) -> LogPoint {
        self.machine().applied()
    }

    fn checkpoint(&mut self) -> Result<LogPoint, StoreError> {
        self.machine_mut().checkpoint()
    }

    fn state(&self) -> Result<Digest, StoreError> {
        self.machine().digest()
    }
}

/// The passengers of a world, and what is known of them.
#[derive(Default)]
pub(crate) struct Passengers {
    seats: BTreeMap<Machine, Box<dyn Passenger>>,
    /// Up to where each has applied, and what it cannot lose any more.
    marks: BTreeMap<Machine, Marks>,
    /// The state at each place of the log at which a batch ended, as the first member had it.
    states: BTreeMap<LogPoint, Digest>,
    /// The result of each entry, as the first member had it.
    results: BTreeMap<LogPoint, u64>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Marks {
    applied: LogPoint,
    kept: LogPoint,
}

impl Passengers {
    pub(crate) fn board(&mut self, id: Machine, passenger: Box<dyn Passenger>) {
        self.seats.insert(id, passenger);
    }

    /// The process has begun: where its machine stands, if it carries one.
    pub(crate) fn open(&mut self, id: Machine) -> Result<Option<Vlsn>, crate::Violation> {
        let Some(seat) = self.seats.get_mut(&id) else { return Ok(None) };
        let (at, marks) = (seat.open(), self.marks.entry(id).or_default());
        let within = at >= marks.kept && at <= marks.applied;
        mine(within, || format!("{id}'s machine comes back at {at}: it had {:?}", marks))?;
        marks.applied = at;
        self.look(id, at)?;
        Ok(Some(at.vlsn))
    }

    pub(crate) fn close(&mut self, id: Machine) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.close());
    }

    pub(crate) fn wipe(&mut self, id: Machine) {
        self.seats.get_mut(&id).into_iter().for_each(|seat| seat.wipe());
        self.marks.remove(&id);
    }

    /// The member applies these entries, some of which its machine may have already.
    pub(crate) fn apply(&mut self, id: Machine, entries: &[Entry]) -> Checked {
        let Some(seat) = self.seats.get_mut(&id) else { return Ok(()) };
        let Some(last) = entries.last().map(|entry| entry.point) else { return Ok(()) };
        let (before, outcome) = (seat.applied(), seat.apply(entries));
        let results = outcome.as_ref().map_or(&[][..], |results| results);
        let news = entries.iter().filter(|entry| entry.point > before);
        let data: Vec<LogPoint> =
            news.filter(|entry| entry.kind == Kind::Data).map(|entry| entry.point).collect();
        mine(outcome.is_ok(), || format!("{id}'s machine refuses entries to {last}: {outcome:?}"))?;
        let (at, count) = (seat.applied(), results.len());
        mine(at == last.max(before), || format!("{id}'s machine is at {at} after {last}"))?;
        mine(count == data.len(), || {
            format!("{id}'s machine gave {count} results for {} entries to {last}", data.len())
        })?;
        for (point, result) in data.into_iter().zip(results) {
            let first = *self.results.entry(point).or_insert(*result);
            same(first == *result, || format!("{id}'s machine gives another result for {point}"))?;
        }
        self.marks.entry(id).or_default().applied = at;
        self.look(id, at)
    }

    pub(crate) fn checkpoint(&mut self, id: Machine) -> Checked {
        let Some(seat) = self.seats.get_mut(&id) else { return Ok(()) };
        let (kept, at) = (seat.checkpoint(), seat.applied());
        mine(kept.as_ref().is_ok_and(|kept| *kept <= at), || {
            format!("{id}'s machine at {at} makes a checkpoint: {kept:?}")
        })?;
        let marks = self.marks.entry(id).or_default();
        marks.kept = marks.kept.max(kept.unwrap_or_default());
        Ok(())
    }

    /// States at one place of the log are one state.
    fn look(&mut self, id: Machine, at: LogPoint) -> Checked {
        let Some(seat) = self.seats.get(&id) else { return Ok(()) };
        let state = seat.state();
        mine(state.is_ok(), || format!("{id}'s machine has no digest at {at}: {state:?}"))?;
        let Ok(state) = state else { return Ok(()) };
        let first = *self.states.entry(at).or_insert(state);
        same(first == state, || format!("{id}'s machine has another state at {at} than others had"))
    }
}

fn mine(holds: bool, what: impl FnOnce() -> String) -> Checked {
    ensure(holds, Invariant::ForeignMachine, what)
}

fn same(holds: bool, what: impl FnOnce() -> String) -> Checked {
    ensure(holds, Invariant::ReplicaEquality, what)
}

impl fmt::Debug for Passengers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Passengers").field("marks", &self.marks).finish_non_exhaustive()
    }
}

impl World {
    /// A member that has begun feeds its machine what that lacks of what the databases have.
    pub(crate) fn seat_passenger(&mut self, id: Machine) {
        let opened = self.passengers.open(id);
        let Ok(Some(at)) = opened else { return self.check(opened.map(drop)) };
        let Some(live) = self.live_mut(id) else { return };
        let (mut next, last) = (at.next(), rep_store::StateMachine::applied(&live.store).vlsn);
        while next <= last {
            let Some(live) = self.live_mut(id) else { return };
            let entries: Vec<Entry> = match live.reader.batch(next, last, 500, live.tail.epoch()) {
                Ok(batch) => batch.records().iter().map(Entry::of).collect(),
                // The databases were given a copy; whoever rides along is told what made it.
                Err(ReadError::Cleaned { first }) => self.oracle.entries_of(id, next, first),
                Err(_) => return,
            };
            let Some(done) = entries.last() else { return };
            next = done.point.vlsn.next();
            let checked = self.passengers.apply(id, &entries);
            self.check(checked);
        }
    }
}
