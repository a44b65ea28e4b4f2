//! A machine that is nothing but its table.
//!
//! A state changed from many places is a state that nobody can reason about. Here all permitted steps stand in one
//! slice, [`Machine`] is the only code that changes a state, and every step it takes is returned and counted.
//! A refusal tells whether the two states are joined by another signal (the caller mixed up the reason) or by none
//! (the caller mixed up the states): those are different bugs.

use crate::error::Refusal;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// What a state or a signal has to be: a small plain value that can be compared and named.
pub trait Symbol: Copy + Ord + fmt::Debug + 'static {}

impl<T: Copy + Ord + fmt::Debug + 'static> Symbol for T {}

/// One permitted step: in `from`, `signal` leads to `to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row<S, E> {
    /// The state that the step leaves.
    pub from: S,
    /// The signal that takes it.
    pub signal: E,
    /// The state that it reaches.
    pub to: S,
}

/// Shorthand for a [`Row`], so that a table reads as a table.
pub const fn row<S: Symbol, E: Symbol>(from: S, signal: E, to: S) -> Row<S, E> {
    Row { from, signal, to }
}

/// A step that was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Step<S, E> {
    /// The state that was left.
    pub from: S,
    /// The state that was reached; the same one for a step that keeps the state.
    pub to: S,
    /// The signal that took the step.
    pub signal: E,
}

/// All permitted steps of one kind of machine, and the state in which it begins.
///
/// A table is deterministic: a state and a signal lead to at most one state.
#[derive(Clone, Copy, Debug)]
pub struct Table<S: Symbol, E: Symbol> {
    initial: S,
    rows: &'static [Row<S, E>],
}

impl<S: Symbol, E: Symbol> Table<S, E> {
    /// A table from its rows. [`Machine::new`] asserts that it is deterministic.
    pub const fn new(initial: S, rows: &'static [Row<S, E>]) -> Self {
        Self { initial, rows }
    }

    /// Where every machine of this table begins.
    pub fn initial(&self) -> S {
        self.initial
    }

    /// The permitted steps, in the order in which they were written down.
    pub fn rows(&self) -> &'static [Row<S, E>] {
        self.rows
    }

    /// Is `from` -> `to` by `signal` a permitted step?
    ///
    /// # Errors
    /// [`Refusal::WrongSignal`] if only other signals join the two states, [`Refusal::ImpossiblePair`] if none does.
    pub fn judge(&self, from: S, to: S, signal: E) -> Result<Step<S, E>, Refusal<S, E>> {
        let mut joined = self.rows.iter().filter(|row| row.from == from && row.to == to).peekable();
        if joined.peek().is_none() {
            return Err(Refusal::ImpossiblePair { from, to, signal });
        }
        match joined.any(|row| row.signal == signal) {
            true => Ok(Step { from, to, signal }),
            false => Err(Refusal::WrongSignal { from, to, signal }),
        }
    }

    /// Where does `signal` lead from `from`?
    ///
    /// # Errors
    /// [`Refusal::NoStep`] if the signal means nothing there.
    pub fn follow(&self, from: S, signal: E) -> Result<Step<S, E>, Refusal<S, E>> {
        let taken = self.rows.iter().find(|row| row.from == from && row.signal == signal);
        taken.map(|row| Step { from, to: row.to, signal }).ok_or(Refusal::NoStep { from, signal })
    }

    fn is_deterministic(&self) -> bool {
        let mut seen = BTreeSet::new();
        self.rows.iter().all(|row| seen.insert((row.from, row.signal)))
    }
}

/// A state that moves only along its table.
#[derive(Clone, Debug)]
pub struct Machine<S: Symbol, E: Symbol> {
    table: &'static Table<S, E>,
    state: S,
    counts: BTreeMap<E, u64>,
}

impl<S: Symbol, E: Symbol> Machine<S, E> {
    /// A machine in the table's initial state.
    ///
    /// # Panics
    /// If the table leads from one state by one signal to two states.
    pub fn new(table: &'static Table<S, E>) -> Self {
        assert!(table.is_deterministic(), "a state and a signal lead to at most one state");
        Self { table, state: table.initial, counts: BTreeMap::new() }
    }

    /// The present state.
    pub fn state(&self) -> S {
        self.state
    }

    /// The table it runs.
    pub fn table(&self) -> &'static Table<S, E> {
        self.table
    }

    /// How many steps each signal has taken. Refused ones are not counted; an absent signal has taken none.
    pub fn counts(&self) -> &BTreeMap<E, u64> {
        &self.counts
    }

    /// Takes the step to which `signal` leads from the present state.
    ///
    /// # Errors
    /// [`Refusal::NoStep`]; the state stays.
    pub fn step(&mut self, signal: E) -> Result<Step<S, E>, Refusal<S, E>> {
        let step = self.table.follow(self.state, signal)?;
        Ok(self.take(step))
    }

    /// Takes exactly the step `from` -> `to` by `signal`: for callers that decided on what they saw a moment ago.
    ///
    /// # Errors
    /// [`Refusal::WrongSignal`], [`Refusal::ImpossiblePair`], or [`Refusal::Elsewhere`] if the step is permitted but
    /// the machine is not in `from`. The state stays.
    pub fn request(&mut self, from: S, to: S, signal: E) -> Result<Step<S, E>, Refusal<S, E>> {
        let step = self.table.judge(from, to, signal)?;
        if self.state != from {
            return Err(Refusal::Elsewhere { expected: from, actual: self.state });
        }
        Ok(self.take(step))
    }

    fn take(&mut self, step: Step<S, E>) -> Step<S, E> {
        self.state = step.to;
        let count = self.counts.entry(step.signal).or_insert(0);
        *count = count.saturating_add(1);
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Door {
        Open,
        Shut,
        Locked,
    }

    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
    enum Hand {
        Push,
        Pull,
        Turn,
    }

    static DOOR: Table<Door, Hand> = Table::new(
        Door::Shut,
        &[
            row(Door::Shut, Hand::Push, Door::Open),
            row(Door::Open, Hand::Pull, Door::Shut),
            row(Door::Shut, Hand::Turn, Door::Locked),
            row(Door::Locked, Hand::Turn, Door::Shut),
        ],
    );

    static TWO_WAYS: Table<Door, Hand> = Table::new(
        Door::Shut,
        &[row(Door::Shut, Hand::Push, Door::Open), row(Door::Shut, Hand::Push, Door::Locked)],
    );

    #[test]
    fn a_refused_step_leaves_the_state_and_the_counts_alone() {
        let mut door = Machine::new(&DOOR);
        let refused = door.step(Hand::Pull);
        assert_eq!(refused, Err(Refusal::NoStep { from: Door::Shut, signal: Hand::Pull }));
        assert_eq!((door.state(), door.counts().len()), (Door::Shut, 0));
    }

    #[test]
    fn accepted_steps_are_returned_and_counted_by_signal() {
        let mut door = Machine::new(&DOOR);
        let step = door.step(Hand::Turn).unwrap();
        assert_eq!(step, Step { from: Door::Shut, to: Door::Locked, signal: Hand::Turn });
        door.request(Door::Locked, Door::Shut, Hand::Turn).unwrap();
        door.step(Hand::Push).unwrap();
        assert_eq!(door.counts(), &BTreeMap::from([(Hand::Turn, 2), (Hand::Push, 1)]));
    }

    #[test]
    fn a_request_tells_a_wrong_signal_an_impossible_pair_and_old_news_apart() {
        let mut door = Machine::new(&DOOR);
        let (open, shut, locked) = (Door::Open, Door::Shut, Door::Locked);
        let wrong = Refusal::WrongSignal { from: shut, to: open, signal: Hand::Pull };
        assert_eq!(door.request(shut, open, Hand::Pull), Err(wrong));
        let impossible = Refusal::ImpossiblePair { from: open, to: locked, signal: Hand::Turn };
        assert_eq!(door.request(open, locked, Hand::Turn), Err(impossible));
        let elsewhere = Refusal::Elsewhere { expected: open, actual: shut };
        assert_eq!(door.request(open, shut, Hand::Pull), Err(elsewhere));
        assert_eq!(door.state(), shut);
    }

    #[test]
    #[should_panic(expected = "at most one state")]
    fn a_table_that_leads_two_ways_is_refused() {
        let _ = Machine::new(&TWO_WAYS);
    }
}
