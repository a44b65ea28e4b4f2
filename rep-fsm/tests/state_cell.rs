//! A cell under real threads, and a subscriber that is slow.
#![cfg(not(rep_loom))]

use proptest::prelude::*;
use rep_fsm::{
    CellValue, NodeId, NodeState, Role, Standing, StateCell, StateEvent, Term, WaitError,
};
use std::thread;
use std::time::{Duration, Instant};

fn standing(state: NodeState, term: u64) -> Standing {
    Standing { state, term: Term::new(term), ..Standing::default() }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_millis(20))
}

fn late() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(30))
}

#[test]
fn a_standing_survives_its_words() {
    for state in NodeState::ALL {
        for role in Role::ALL {
            for (term, master) in
                [(0, None), (1, Some(NodeId::new(1))), (u64::MAX, Some(NodeId::new(u32::MAX)))]
            {
                let standing = Standing { state, role, term: Term::new(term), master };
                assert_eq!(Standing::from_words(standing.to_words()), standing);
            }
        }
    }
}

#[test]
fn readers_never_see_the_state_of_one_moment_with_the_term_of_another() {
    let cell = StateCell::new(standing(NodeState::Unknown, 0));
    let last_term = if cfg!(miri) { 100 } else { 20_000 };
    let readers: Vec<_> = (0..3).map(|_| spawn_reader(cell.clone())).collect();
    for term in 1..=last_term {
        cell.set(matched(term));
    }
    cell.set(standing(NodeState::Shutdown, last_term));
    for reader in readers {
        reader.join().unwrap();
    }
}

/// In this test the role and the master follow from the term, so halves of two values are seen to be that.
fn matched(term: u64) -> Standing {
    let role = Role::ALL[(term % 4) as usize];
    Standing {
        state: NodeState::Unknown,
        role,
        term: Term::new(term),
        master: NodeId::checked(term as u32),
    }
}

fn spawn_reader(cell: StateCell<Standing>) -> thread::JoinHandle<()> {
    thread::spawn(move || {
        let mut newest = 0;
        loop {
            let seen = cell.get();
            let term = seen.term.get();
            if seen.state == NodeState::Shutdown {
                return;
            }
            assert!(term == 0 || seen == matched(term), "halves of two values: {seen:?}");
            assert!(term >= newest, "went back from {newest} to {term}");
            newest = term;
        }
    })
}

#[test]
fn a_wait_ends_with_the_wanted_value() {
    let cell = StateCell::new(standing(NodeState::Detached, 0));
    let waiter = {
        let cell = cell.clone();
        thread::spawn(move || cell.wait(late(), |seen| seen.state == NodeState::Master))
    };
    cell.set(standing(NodeState::Unknown, 1));
    cell.set(standing(NodeState::Master, 1));
    assert_eq!(waiter.join().unwrap(), Ok(standing(NodeState::Master, 1)));
}

#[test]
fn a_wait_ends_at_its_deadline_and_at_the_last_value() {
    let cell = StateCell::new(standing(NodeState::Unknown, 0));
    assert_eq!(cell.wait(soon(), |seen| seen.state == NodeState::Master), Err(WaitError::TimedOut));
    cell.set(standing(NodeState::Shutdown, 0));
    assert_eq!(cell.wait(None, |seen| seen.state == NodeState::Master), Err(WaitError::Ended));
    assert_eq!(
        cell.wait(None, |seen| seen.state == NodeState::Shutdown),
        Ok(standing(NodeState::Shutdown, 0))
    );
}

#[test]
fn nothing_follows_the_last_value_and_the_same_value_is_no_change() {
    let cell = StateCell::new(standing(NodeState::Unknown, 1));
    assert!(!cell.set(standing(NodeState::Unknown, 1)));
    assert!(cell.set(standing(NodeState::Shutdown, 1)));
    assert!(!cell.set(standing(NodeState::Master, 2)));
    assert_eq!(cell.get(), standing(NodeState::Shutdown, 1));
}

#[test]
fn a_subscriber_gets_the_present_then_each_change_then_the_end() {
    let (detached, unknown) = (standing(NodeState::Detached, 0), standing(NodeState::Unknown, 1));
    let shutdown = standing(NodeState::Shutdown, 1);
    let cell = StateCell::new(detached);
    let mut news = cell.subscribe();
    assert_eq!(news.try_next(), Ok(Some(StateEvent::Present(detached))));
    assert_eq!(news.try_next(), Ok(None));
    assert_eq!(news.next_before(soon()), Err(WaitError::TimedOut));
    cell.set(unknown);
    cell.set(shutdown);
    assert_eq!(news.next_before(late()), Ok(StateEvent::Changed { old: detached, new: unknown }));
    assert_eq!(news.next_before(late()), Ok(StateEvent::Changed { old: unknown, new: shutdown }));
    assert_eq!(news.try_next(), Err(WaitError::Ended));
    assert_eq!(news.next_before(None), Err(WaitError::Ended));
    assert_eq!(cell.subscribe().collect::<Vec<_>>(), [StateEvent::Present(shutdown)]);
}

#[test]
fn a_sleeping_subscriber_is_woken_by_the_change() {
    let cell = StateCell::new(standing(NodeState::Detached, 0));
    let news = cell.subscribe();
    let listener = thread::spawn(move || news.count());
    cell.set(standing(NodeState::Unknown, 1));
    cell.set(standing(NodeState::Shutdown, 1));
    assert_eq!(listener.join().unwrap(), 3);
}

/// A walk that the visible table permits, from a list of wishes.
fn walk(wishes: &[u8]) -> Vec<Standing> {
    let mut state = NodeState::Unknown;
    let term_of = |at: usize| at as u64 / 3;
    let mut walked = Vec::new();
    for (at, wish) in wishes.iter().enumerate() {
        state = match (state, wish % 2) {
            (NodeState::Unknown, 0) => NodeState::Master,
            (NodeState::Unknown, _) => NodeState::Replica,
            _ => NodeState::Unknown,
        };
        walked.push(standing(state, term_of(at)));
    }
    walked
}

proptest! {
    #[test]
    fn a_slow_subscriber_is_told_less_within_its_bound_and_never_wrongly(
        wishes in proptest::collection::vec(0u8..2, 0..60),
        events_max in 0usize..9,
        taken_at in proptest::collection::btree_set(0usize..60, 0..6),
    ) {
        let cell = StateCell::new(standing(NodeState::Unknown, 0));
        let mut news = cell.subscribe_bounded(events_max);
        let mut told = Vec::new();
        for (at, value) in walk(&wishes).into_iter().enumerate() {
            cell.set(value);
            if taken_at.contains(&at) {
                told.extend(news.try_next().unwrap());
            }
        }
        cell.set(standing(NodeState::Shutdown, 99));
        let waiting: Vec<_> = news.collect();
        prop_assert!(waiting.len() <= events_max.max(4));
        told.extend(waiting);
        check_told(&told)?;
    }
}

fn check_told(told: &[StateEvent<Standing>]) -> Result<(), TestCaseError> {
    prop_assert!(matches!(told[0], StateEvent::Present(_)), "the first item is the present value");
    for (before, item) in told.iter().zip(&told[1..]) {
        match item {
            StateEvent::Present(_) => prop_assert!(false, "Present comes once"),
            StateEvent::Changed { old, new } => {
                prop_assert_eq!(*old, before.value(), "no gap");
                prop_assert!(
                    old.state == new.state || old.state.may_precede(new.state),
                    "{:?} -> {:?}",
                    old,
                    new
                );
            }
        }
    }
    prop_assert_eq!(told[told.len() - 1].value().state, NodeState::Shutdown);
    Ok(())
}
