//! A commit on its way through the inbox, while the node closes: its handle is told, once, whatever happens.

use super::{explore, explore_broken};
use crate::Acks;
use crate::commit::{CommitHandle, CommitPromise, CommitSlot, CommitToken};
use crate::error::Error;
use crate::runtime::inbox::{Inbox, Input};
use crate::sync::Flaw;
use rep_explore::thread;
use rep_node::{Proposal, Request};
use rep_vlsn::{Draft, GroupId, Kind, LogPoint, NodeId, Term, Vlsn};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;

fn token() -> CommitToken {
    CommitToken::new(GroupId::default(), LogPoint::new(Term::new(1), Vlsn::new(2)))
}

fn proposed(promise: CommitPromise) -> Input {
    let term = Term::new(1);
    let draft = Draft::opening(Kind::TermStart, NodeId::new(1), b"");
    let (request, acks, deadline) = (Request(1), Acks::default(), Duration::ZERO);
    let proposal = Proposal { request, term, draft, acks, deadline };
    Input::Propose { proposal, credit: 0, promise }
}

/// A driver that looks once, a close, and a caller whose commit came before, between or after.
fn committed_while_it_closes() {
    let (inbox, slot) = (Arc::new(Inbox::new()), Arc::new(CommitSlot::pending()));
    let driving = thread::spawn({
        let inbox = Arc::clone(&inbox);
        move || {
            for input in inbox.take_all() {
                if let Input::Propose { promise, .. } = input {
                    promise.settle(Ok(token())).into_iter().for_each(Waker::wake);
                }
            }
        }
    });
    let closing = thread::spawn({
        let inbox = Arc::clone(&inbox);
        move || inbox.close()
    });
    inbox.propose(proposed(CommitPromise::new(Arc::clone(&slot))));
    let outcome = CommitHandle::new(slot).wait();
    assert!(outcome == Ok(token()) || outcome == Err(Error::Closed), "{outcome:?}");
    driving.join().unwrap();
    closing.join().unwrap();
}

#[test]
fn loom_a_commit_is_answered_whenever_the_node_closes() {
    explore(committed_while_it_closes);
}

#[test]
#[should_panic(expected = "deadlock")]
fn loom_twin_a_promise_that_is_dropped_in_silence_is_found() {
    explore_broken(Flaw::PromiseDropsSilently, committed_while_it_closes);
}

#[test]
fn loom_a_handle_that_gave_up_sees_what_all_others_see() {
    explore(|| {
        let slot = Arc::new(CommitSlot::pending());
        let mut promise = CommitPromise::new(Arc::clone(&slot));
        let ending = thread::spawn(move || {
            promise.logged(token());
            drop(promise);
        });
        let patient = thread::spawn({
            let slot = Arc::clone(&slot);
            move || CommitHandle::new(slot).wait()
        });
        let handle = CommitHandle::new(slot);
        let early = handle.wait_for(Duration::ZERO);
        let outcome = handle.wait();
        let unknown = matches!(&outcome, Err(Error::InsufficientAcks { token: named, .. }) if *named == token());
        assert!(unknown, "what was logged and then forgotten is unknown, not undone: {outcome:?}");
        assert!(early.is_none_or(|early| early == outcome));
        assert_eq!(patient.join().unwrap(), outcome);
        ending.join().unwrap();
    });
}
