//! One result, awaited by threads and by tasks.

use super::{explore, explore_broken, explore_returns};
use crate::sync::{Flaw, set_broken};
use crate::waiter::{Seat, Slot};
use rep_explore::{block_on, soon, thread};
use std::sync::Arc;

/// Two answers and a sleeper: all agree on one of them.
fn resolved_twice() {
    let slot = Arc::new(Slot::pending());
    let resolvers: Vec<_> = [1, 2]
        .into_iter()
        .map(|result| {
            let slot = Arc::clone(&slot);
            thread::spawn(move || slot.resolve(result))
        })
        .collect();
    let seen = slot.wait(None).expect("there is no deadline");
    let won = resolvers.into_iter().map(|resolver| resolver.join().unwrap());
    assert_eq!(won.filter(|won| *won).count(), 1);
    assert_eq!(slot.peek(), Some(seen));
}

#[test]
fn loom_two_answers_and_a_sleeper_agree_on_one() {
    explore(resolved_twice);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_sleeper_that_lets_go_before_it_sleeps_is_found() {
    explore_broken(Flaw::LookThenSleep, resolved_twice);
}

/// A task that polls while the answer comes, beside a thread that sleeps for it.
fn polled_while_it_resolves() {
    let slot = Arc::new(Slot::pending());
    let answering = thread::spawn({
        let slot = Arc::clone(&slot);
        move || slot.resolve(7)
    });
    let sleeping = thread::spawn({
        let slot = Arc::clone(&slot);
        move || slot.wait(None)
    });
    let mut seat = Seat::default();
    assert_eq!(block_on(|context| slot.poll(&mut seat, context)), 7);
    assert!(answering.join().unwrap());
    assert_eq!(sleeping.join().unwrap(), Some(7));
}

#[test]
fn loom_a_task_that_polls_while_the_answer_comes_is_woken() {
    explore(polled_while_it_resolves);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_tasks_taken_before_the_answer_is_given_are_forgotten() {
    explore_broken(Flaw::WakersBeforeResult, polled_while_it_resolves);
}

/// Waits that return late, or for no reason: who waits without a deadline is not sent home by that, and who had one and came
/// too late still sees the answer later.
fn waited_for_in_vain() {
    let slot = Arc::new(Slot::pending());
    let patient = thread::spawn({
        let slot = Arc::clone(&slot);
        move || slot.wait(None).expect("there is no deadline")
    });
    let hasty = thread::spawn({
        let slot = Arc::clone(&slot);
        move || slot.wait(Some(soon())).unwrap_or_else(|| slot.wait(None).unwrap())
    });
    assert!(slot.resolve(3));
    assert_eq!((patient.join().unwrap(), hasty.join().unwrap()), (3, 3));
}

#[test]
fn loom_a_wait_that_returns_late_or_for_no_reason_is_no_answer() {
    explore_returns(waited_for_in_vain);
}

#[test]
#[should_panic(expected = "there is no deadline")]
fn loom_twin_a_wait_that_takes_any_return_for_its_deadline_is_found() {
    set_broken(Some(Flaw::ReturnIsDeadline));
    explore_returns(waited_for_in_vain);
}
