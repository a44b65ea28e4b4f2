//! One has the turn, and it comes to everybody, though nobody is woken but the first in line.

use super::{explore, explore_broken, never};
use crate::error::Error;
use crate::sync::{AtomicBool, Flaw, Ordering};
use crate::transaction::turn::Turn;
use rep_explore::thread;
use std::sync::Arc;
use std::time::Duration;

fn turn() -> Arc<Turn> {
    Arc::new(Turn::new(Duration::from_secs(3600)))
}

/// Two come while the turn is held. One of them may pass the other, which has been woken and finds it taken.
fn passed_on() {
    let (turn, held) = (turn(), Arc::new(AtomicBool::new(true)));
    let first = turn.take(never()).unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let (turn, held) = (Arc::clone(&turn), Arc::clone(&held));
            thread::spawn(move || {
                let ticket = turn.take(never()).unwrap();
                assert!(!held.swap(true, Ordering::AcqRel), "two have the turn");
                held.store(false, Ordering::Release);
                turn.give_back(ticket);
            })
        })
        .collect();
    held.store(false, Ordering::Release);
    turn.give_back(first);
    waiting.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn loom_one_has_the_turn_and_it_comes_to_everybody() {
    explore(passed_on);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_who_was_passed_and_counts_as_told_sleeps_for_ever() {
    explore_broken(Flaw::ToldStaysTold, passed_on);
}

fn closed_while_two_wait() {
    let turn = turn();
    let ticket = turn.take(never()).unwrap();
    let waiting: Vec<_> = (0..2)
        .map(|_| {
            let turn = Arc::clone(&turn);
            thread::spawn(move || turn.take(never()))
        })
        .collect();
    turn.close();
    for thread in waiting {
        assert_eq!(thread.join().unwrap(), Err(Error::Closed));
    }
    assert_eq!(turn.check(ticket), Err(Error::Closed));
}

#[test]
fn loom_a_close_reaches_all_who_wait_for_the_turn() {
    explore(closed_while_two_wait);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_close_that_tells_the_first_in_line_alone_is_found() {
    explore_broken(Flaw::CloseTellsOne, closed_while_two_wait);
}

#[test]
fn loom_a_turn_that_expired_is_had_by_one_of_those_who_wait() {
    explore(|| {
        let turn = Arc::new(Turn::new(Duration::ZERO));
        let old = turn.take(never()).unwrap();
        let taking = thread::spawn({
            let turn = Arc::clone(&turn);
            move || turn.take(never()).unwrap()
        });
        let kept = turn.pin(old).is_ok();
        assert!(!kept, "its time was over from the beginning");
        let new = taking.join().unwrap();
        turn.give_back(old);
        assert!(turn.try_take().is_ok(), "who comes after an expired holder has the turn: {new:?}");
    });
}
