//! Bytes enter while there is credit; room that is made reaches whoever waits for it.

use super::{explore, explore_broken};
use crate::runtime::credit::{Credit, NoCredit};
use crate::sync::Flaw;
use rep_explore::thread;
use std::sync::Arc;

/// Two who wait for room that comes in two steps: one is large, one is small.
fn room_reaches_all() {
    let credit = Arc::new(Credit::new(10));
    credit.enter(10, None).unwrap().spend();
    let entering: Vec<_> = [7, 3]
        .into_iter()
        .map(|bytes| {
            let credit = Arc::clone(&credit);
            thread::spawn(move || credit.enter(bytes, None).unwrap().spend())
        })
        .collect();
    credit.settle(10, 5);
    credit.settle(0, 0);
    let entered: u64 = entering.into_iter().map(|thread| thread.join().unwrap()).sum();
    assert_eq!(entered, 10);
}

#[test]
fn loom_room_in_the_credit_reaches_all_who_wait_for_it() {
    explore(room_reaches_all);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_room_made_between_the_look_and_the_sleep_is_slept_over() {
    explore_broken(Flaw::LookThenSleep, room_reaches_all);
}

#[test]
fn loom_a_grant_that_is_dropped_is_room_and_a_close_ends_the_wait() {
    explore(|| {
        let credit = Arc::new(Credit::new(10));
        let held = credit.enter(10, None).unwrap();
        let waiting = thread::spawn({
            let credit = Arc::clone(&credit);
            move || credit.enter(1, None).map(|grant| grant.spend())
        });
        let closing = thread::spawn({
            let credit = Arc::clone(&credit);
            move || credit.close()
        });
        drop(held);
        assert!(matches!(waiting.join().unwrap(), Ok(1) | Err(NoCredit::Closed)));
        closing.join().unwrap();
    });
}
