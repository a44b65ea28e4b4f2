//! Eight who want the turn, and what becomes of it: they give up, they forget, they are closed upon.

use super::{explore, join, rejects, threads};
use crate::error::Error;
use crate::sync::{AtomicBool, Flaw, Ordering};
use crate::transaction::turn::Turn;
use rep_explore::{never, random, soon, yield_now};
use std::sync::Arc;
use std::time::Duration;

const TAKERS: usize = 8;

/// The turn, and what shows that one alone is in the midst of a commit.
struct World {
    turn: Turn,
    committing: AtomicBool,
}

impl World {
    fn new(txn_timeout: Duration) -> Arc<World> {
        Arc::new(World { turn: Turn::new(txn_timeout), committing: AtomicBool::new(false) })
    }

    /// A transaction that takes its time and commits; or it was too slow, and is told.
    fn transact(&self, ticket: crate::transaction::turn::Ticket) -> Result<(), Error> {
        yield_now();
        let pinned = self.turn.pin(ticket);
        if pinned.is_ok() {
            assert!(!self.committing.swap(true, Ordering::SeqCst), "two have the turn");
            yield_now();
            self.committing.store(false, Ordering::SeqCst);
        }
        self.turn.give_back(ticket);
        pinned
    }
}

/// Half of them are impatient, and may give up although they have just been told that it is theirs.
fn some_give_up() {
    let world = World::new(Duration::from_secs(3600));
    let takers = threads(TAKERS, {
        let world = Arc::clone(&world);
        move |number| {
            for _ in 0..2 {
                let deadline = if number % 2 == 0 { never() } else { soon() };
                match world.turn.take(deadline) {
                    Ok(ticket) => world.transact(ticket).unwrap(),
                    Err(Error::BeginTimeout { .. }) => assert_eq!(number % 2, 1),
                    Err(error) => panic!("{error}"),
                }
            }
        }
    });
    join(takers);
    assert!(world.turn.try_take().is_ok());
}

#[test]
fn shuttle_the_turn_comes_to_all_who_do_not_give_up() {
    explore(some_give_up);
}

#[test]
fn shuttle_twin_who_was_passed_and_counts_as_told_sleeps_for_ever() {
    rejects(Flaw::ToldStaysTold, "deadlock", some_give_up);
}

/// Any holder may be too slow, and some forget the turn altogether.
fn some_are_slow(some_forget: bool) {
    let world = World::new(Duration::from_secs(1));
    let takers = threads(TAKERS, {
        let world = Arc::clone(&world);
        move |_| {
            let ticket = world.turn.take(never()).unwrap();
            if some_forget && random() % 4 == 0 {
                return;
            }
            let done = world.transact(ticket);
            assert!(matches!(done, Ok(()) | Err(Error::TxnExpired { .. })), "{done:?}");
        }
    });
    join(takers);
}

#[test]
fn shuttle_a_turn_that_is_forgotten_is_had_by_the_next_and_by_one_alone() {
    explore(|| some_are_slow(true));
}

#[test]
fn shuttle_twin_an_expired_holder_that_may_commit_is_found() {
    rejects(Flaw::AnyTicketHolds, "two have the turn", || some_are_slow(false));
}

/// One of them never gives the turn back, so that the close alone ends the waits.
fn closed_upon() {
    let world = World::new(Duration::from_secs(3600));
    let takers = threads(TAKERS, {
        let world = Arc::clone(&world);
        move |number| {
            for _ in 0..2 {
                let taken = world.turn.take(never());
                if number == 0 && taken.is_ok() {
                    return;
                }
                let done = taken.and_then(|ticket| world.transact(ticket));
                assert!(matches!(done, Ok(()) | Err(Error::Closed)), "{done:?}");
            }
        }
    });
    let closers = threads(2, {
        let world = Arc::clone(&world);
        move |_| {
            (0..random() % 32).for_each(|_| yield_now());
            world.turn.close();
        }
    });
    join(closers);
    join(takers);
    assert_eq!(world.turn.try_take(), Err(Error::Closed));
}

#[test]
fn shuttle_a_close_ends_every_wait_for_the_turn() {
    explore(closed_upon);
}

#[test]
fn shuttle_twin_a_close_that_tells_the_first_in_line_alone_is_found() {
    rejects(Flaw::CloseTellsOne, "deadlock", closed_upon);
}
