//! What the table cannot say: terms.

use proptest::prelude::*;
use rep_fsm::{Role, RoleError, RoleMachine, Signal, Term};
use std::collections::BTreeSet;

fn leader_of(term: u64) -> RoleMachine {
    let mut machine = RoleMachine::new(Term::ZERO);
    machine.step(Signal::CapabilitySelected, Term::ZERO).unwrap();
    machine.step(Signal::MissedHeartbeats, Term::ZERO).unwrap();
    machine.step(Signal::ElectionWon, Term::new(term)).unwrap();
    machine
}

#[test]
fn a_step_of_a_term_that_is_over_is_refused_and_changes_nothing() {
    let mut machine = RoleMachine::new(Term::new(7));
    let (signal, term, guard) = (Signal::CapabilitySelected, Term::new(6), Term::new(7));
    assert_eq!(machine.step(signal, term), Err(RoleError::StaleTerm { signal, term, guard }));
    assert_eq!((machine.role(), machine.term(), machine.counts().len()), (Role::Idle, guard, 0));
}

#[test]
fn a_step_says_in_which_term_the_new_role_is_held() {
    let mut machine = leader_of(3);
    let step = machine.step(Signal::PeerLeaderObserved, Term::new(5)).unwrap();
    assert_eq!((step.from, step.to), (Role::Leader, Role::Replica));
    assert_eq!(
        (step.signal, step.term, machine.term()),
        (Signal::PeerLeaderObserved, Term::new(5), Term::new(5))
    );
}

#[test]
fn a_second_master_in_ones_own_term_is_a_breach_and_not_a_step() {
    let mut machine = leader_of(3);
    let breach = machine.step(Signal::PeerLeaderObserved, Term::new(3));
    assert_eq!(breach, Err(RoleError::SecondMaster { term: Term::new(3) }));
    assert_eq!((machine.role(), machine.term()), (Role::Leader, Term::new(3)));
}

#[test]
fn a_master_of_an_older_term_does_not_unseat_the_master() {
    let mut machine = leader_of(3);
    let late = machine.step(Signal::PeerLeaderObserved, Term::new(2));
    assert!(matches!(late, Err(RoleError::StaleTerm { .. })));
    assert_eq!(machine.role(), Role::Leader);
}

#[test]
fn a_term_is_reigned_at_most_once() {
    let mut machine = leader_of(3);
    machine.step(Signal::GracefulRelinquish, Term::new(3)).unwrap();
    machine.step(Signal::CapabilitySelected, Term::new(3)).unwrap();
    machine.step(Signal::MissedHeartbeats, Term::new(3)).unwrap();
    let again = machine.step(Signal::ElectionWon, Term::new(3));
    assert_eq!(again, Err(RoleError::ReignedBefore { term: Term::new(3), reigned: Term::new(3) }));
    assert_eq!(machine.step(Signal::ElectionWon, Term::new(4)).unwrap().to, Role::Leader);
}

#[test]
fn closing_is_idempotent_from_every_role_and_never_late() {
    let mut machine = leader_of(3);
    let first = machine.close(Term::ZERO);
    assert_eq!((first.from, first.to, first.term), (Role::Leader, Role::Idle, Term::new(3)));
    let second = machine.close(Term::new(4));
    assert_eq!((second.from, second.to, second.term), (Role::Idle, Role::Idle, Term::new(4)));
    assert_eq!(machine.counts()[&Signal::ChannelClose], 2);
}

fn any_signal() -> impl Strategy<Value = Signal> {
    (0..Signal::ALL.len()).prop_map(|at| Signal::ALL[at])
}

proptest! {
    #[test]
    fn whatever_is_asked_the_term_never_falls_and_reigns_are_distinct(
        asked in proptest::collection::vec((any_signal(), 0u64..6), 0..200)
    ) {
        let mut machine = RoleMachine::new(Term::ZERO);
        let mut reigns = BTreeSet::new();
        let mut taken = 0;
        for (signal, term) in asked {
            let (role, guard) = (machine.role(), machine.term());
            match machine.step(signal, Term::new(term)) {
                Ok(step) => {
                    taken += 1;
                    prop_assert_eq!(step.from, role);
                    prop_assert!(machine.term() >= guard && machine.term() == step.term);
                    prop_assert!(step.to != Role::Leader || reigns.insert(step.term), "reigned twice");
                }
                Err(_) => prop_assert_eq!((machine.role(), machine.term()), (role, guard)),
            }
            machine.invariants();
        }
        prop_assert_eq!(machine.counts().values().sum::<u64>(), taken);
    }
}
