//! Write sets enter the pipeline while what is applied leaves it, and while their term ends.

use super::{explore, explore_broken};
use crate::sync::Flaw;
use crate::transaction::pipeline::Pipeline;
use rep_explore::thread;
use rep_store::overlay::Seq;
use rep_store::{Database, Databases, Entry, StateMachine, WriteSet};
use rep_vlsn::{Kind, LogPoint, Term, Vlsn};
use std::sync::Arc;

const TERM: Term = Term::new(1);
const BYTES: usize = 10;

fn database() -> Database {
    Database::new("d")
}

fn writes() -> WriteSet {
    let mut writes = WriteSet::new();
    writes.put(&database(), b"key", b"value").unwrap();
    writes
}

/// Two who commit, and the end of their term: nothing of the term enters after it, and nothing of it is left.
fn committed_while_the_term_ends() {
    let pipeline = Arc::new(Pipeline::default());
    let committing: Vec<_> = (0..2)
        .map(|_| {
            let pipeline = Arc::clone(&pipeline);
            thread::spawn(move || pipeline.push(writes(), BYTES, TERM).map(|(number, _)| number))
        })
        .collect();
    pipeline.end(TERM);
    let numbers: Vec<_> =
        committing.into_iter().filter_map(|thread| thread.join().unwrap()).collect();
    assert_eq!(pipeline.bytes(), 0, "nothing of a term outlives it");
    assert!(numbers.iter().all(|number| pipeline.slot_of(Seq(*number), TERM).is_none()));
    assert!(numbers.len() < 2 || numbers[0] != numbers[1], "each has a number of its own");
}

#[test]
fn loom_nothing_of_a_term_outlives_its_end() {
    explore(committed_while_the_term_ends);
}

#[test]
#[should_panic(expected = "nothing of a term outlives it")]
fn loom_twin_a_term_that_is_asked_for_outside_the_lock_is_found() {
    explore_broken(Flaw::TermAskedOutside, committed_while_the_term_ends);
}

/// A store whose last entry is the first of the term.
fn store() -> Databases {
    let mut machine = Databases::memory();
    let point = LogPoint::new(TERM, Vlsn::FIRST);
    let opening = Entry { kind: Kind::TermStart, ..Entry::data(point, 0, Default::default()) };
    machine.apply(&[opening], &mut Vec::new()).unwrap();
    machine
}

/// A write set is on its way to the store; meanwhile the next one needs its room, and a transaction begins, which has to see
/// it: in the pipeline, or in the store.
fn begun_while_it_is_applied() {
    let (pipeline, mut machine) = (Arc::new(Pipeline::default()), store());
    let reader = machine.reader();
    let point = LogPoint::new(TERM, Vlsn::new(2));
    let (number, _) = pipeline.push(writes(), BYTES, TERM).unwrap();
    pipeline.assign(number, point.vlsn);
    let applying = thread::spawn({
        let pipeline = Arc::clone(&pipeline);
        move || {
            machine.apply(&[Entry::data(point, 0, writes().encode())], &mut Vec::new()).unwrap();
            pipeline.room_for(1, BYTES as u64, &machine.reader()).unwrap()
        }
    });
    let pending = pipeline.begin(TERM, &reader).unwrap().expect("its term has begun");
    let seen = pending.get(&database(), b"key").unwrap();
    assert_eq!(seen.as_deref(), Some(&b"value"[..]), "what was committed before is seen");
    assert_eq!(applying.join().unwrap(), None, "what is applied makes room");
}

#[test]
fn loom_a_transaction_sees_what_is_on_its_way_to_the_store() {
    explore(begun_while_it_is_applied);
}

#[test]
#[should_panic(expected = "a transaction begins on the newest view")]
fn loom_twin_a_view_from_before_the_lock_misses_a_write() {
    explore_broken(Flaw::ViewBeforeLock, begun_while_it_is_applied);
}
