//! One commit, and all who would have a word in what became of it: a quorum, its timeout, the end of the reign, the close.

use super::{explore, join, rejects, threads};
use crate::commit::{CommitHandle, CommitPromise, CommitSlot, CommitToken};
use crate::error::Error;
use crate::sync::Flaw;
use crate::waiter::Seat;
use rep_explore::{block_on, random, soon, thread, yield_now};
use rep_vlsn::{GroupId, LogPoint, Term, Vlsn};
use std::sync::Arc;
use std::task::Waker;

/// Those who may answer: each says something of its own.
const RESOLVERS: usize = 6;

fn token(number: usize) -> CommitToken {
    CommitToken::new(GroupId::default(), LogPoint::new(Term::new(1), Vlsn::new(number as u64)))
}

/// Whoever has given up on the commit answers too, as the last of them.
fn answered_by(resolvers: usize) {
    let slot = Arc::new(CommitSlot::pending());
    let mut promise = CommitPromise::new(Arc::clone(&slot));
    promise.logged(token(RESOLVERS));
    let resolvers = threads(resolvers, {
        let slot = Arc::clone(&slot);
        move |number| {
            (0..random() % 32).for_each(|_| yield_now());
            slot.resolve(Ok(token(number)))
        }
    });
    let dropping = thread::spawn(move || {
        (0..random() % 32).for_each(|_| yield_now());
        promise.give_up().into_iter().for_each(Waker::wake);
    });
    let sleepers = threads(4, {
        let slot = Arc::clone(&slot);
        move |number| {
            let handle = CommitHandle::new(Arc::clone(&slot));
            let early = if number < 2 { slot.wait(Some(soon())) } else { None };
            let polled = if number % 2 == 0 {
                handle.wait()
            } else {
                let mut seat = Seat::default();
                block_on(|context| slot.poll(&mut seat, context))
            };
            assert!(early.is_none_or(|early| early == polled), "what was answered stays");
            polled
        }
    });
    let won = join(resolvers).into_iter().filter(|won| *won).count();
    dropping.join().unwrap();
    let seen = join(sleepers);
    let outcome = slot.peek().expect("it was answered");
    assert!(seen.iter().all(|seen| *seen == outcome), "all see one answer: {seen:?}");
    let unknown = matches!(outcome, Err(Error::InsufficientAcks { .. }));
    assert_eq!(won, usize::from(!unknown), "one answer counts");
}

#[test]
fn shuttle_all_who_wait_for_a_commit_see_the_one_answer_that_counts() {
    explore(|| answered_by(RESOLVERS));
}

#[test]
fn shuttle_twin_an_answer_after_the_answer_is_found() {
    rejects(Flaw::LastAnswerStays, "answer", || answered_by(RESOLVERS));
}

#[test]
fn shuttle_twin_a_sleeper_that_lets_go_before_it_sleeps_is_found() {
    rejects(Flaw::LookThenSleep, "deadlock", || answered_by(RESOLVERS));
}

#[test]
fn shuttle_twin_tasks_taken_before_the_answer_is_given_are_forgotten() {
    rejects(Flaw::WakersBeforeResult, "deadlock", || answered_by(0));
}
