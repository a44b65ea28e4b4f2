//! The state as applications see it: published by the loop, and once more by whoever sees the loop's end.

use super::{explore, explore_broken};
use crate::events::{Board, Event, News};
use crate::runtime::directory::Directory;
use crate::sync::Flaw;
use rep_explore::thread;
use rep_fsm::NodeState;
use rep_vlsn::{Term, Vlsn};
use std::sync::Arc;

fn board() -> Board {
    Board::new(Arc::new(Directory::listing("a", &[("a", "A:1")])))
}

fn told_while_it_ends() {
    let board = board();
    let events = board.subscribe().states();
    let looping = thread::spawn({
        let board = board.clone();
        move || {
            board.publish(NodeState::Unknown, Term::ZERO, None, "opened");
            board.publish(NodeState::Shutdown, Term::ZERO, None, "closed");
        }
    });
    let ending = thread::spawn({
        let board = board.clone();
        move || board.publish(NodeState::Shutdown, Term::ZERO, None, "ended")
    });
    let told: Vec<_> = events.collect();
    assert_eq!((told[0].old, told[0].reason), (told[0].new, "not opened yet"));
    assert!(told.windows(2).all(|pair| pair[0].new == pair[1].old), "not one story: {told:?}");
    let shutdowns = told.iter().filter(|event| event.new == NodeState::Shutdown).count();
    let last = told.last().map(|event| event.new);
    assert_eq!((shutdowns, last), (1, Some(NodeState::Shutdown)), "not one story: {told:?}");
    looping.join().unwrap();
    ending.join().unwrap();
}

#[test]
fn loom_a_listener_is_told_the_present_first_and_shutdown_last() {
    explore(told_while_it_ends);
}

#[test]
#[should_panic(expected = "not one story")]
fn loom_twin_listeners_that_are_told_outside_the_lock_are_found() {
    explore_broken(Flaw::ToldOutside, told_while_it_ends);
}

/// Something happens while the node ends: it is told before the last state, or not at all.
fn news_while_it_ends() {
    let board = board();
    let events = board.subscribe();
    let happening = thread::spawn({
        let board = board.clone();
        move || board.tell(&News::RolledBack(Vlsn::new(1)..=Vlsn::new(1)))
    });
    board.publish(NodeState::Shutdown, Term::ZERO, None, "closed");
    let told: Vec<_> = events.collect();
    happening.join().unwrap();
    assert!(told.len() <= 3, "{told:?}");
    let last = told.last();
    assert!(
        matches!(last, Some(Event::State(last)) if last.reason == "closed"),
        "after the end: {told:?}"
    );
}

#[test]
fn loom_what_happens_is_told_before_the_last_state_or_not_at_all() {
    explore(news_while_it_ends);
}

#[test]
#[should_panic(expected = "after the end")]
fn loom_twin_what_is_told_after_the_last_state_is_found() {
    explore_broken(Flaw::ToldAfterTheEnd, news_while_it_ends);
}

fn reason_read_at_once() {
    let board = board();
    let publishing = thread::spawn({
        let board = board.clone();
        move || board.publish(NodeState::Unknown, Term::ZERO, None, "opened")
    });
    assert!(["not opened yet", "opened"].contains(&board.reason()));
    publishing.join().unwrap();
}

#[test]
fn loom_every_state_that_is_seen_has_its_words() {
    explore(reason_read_at_once);
}

#[test]
#[should_panic(expected = "index out of bounds")]
fn loom_twin_a_state_published_before_its_words_is_found() {
    explore_broken(Flaw::StateBeforeReason, reason_read_at_once);
}
