//! Every (from, to, signal) there is, and what the table says of it.

use rep_fsm::role::ROLE_TABLE;
use rep_fsm::{Refusal, Role, RoleMachine, Signal, Term};
use std::collections::BTreeSet;

/// The table once more, spelled as the protocol's description spells it.
const ACCEPTED: [(Role, Signal, Role); 16] = [
    (Role::Idle, Signal::CapabilitySelected, Role::Replica),
    (Role::Replica, Signal::MissedHeartbeats, Role::Candidate),
    (Role::Candidate, Signal::ElectionWon, Role::Leader),
    (Role::Candidate, Signal::ElectionLost, Role::Replica),
    (Role::Leader, Signal::GracefulRelinquish, Role::Idle),
    (Role::Leader, Signal::LeaderDiskPressureWithdraw, Role::Idle),
    (Role::Replica, Signal::DiskPressureWithdraw, Role::Idle),
    (Role::Candidate, Signal::CandidateDiskPressureWithdraw, Role::Idle),
    (Role::Leader, Signal::PeerLeaderObserved, Role::Replica),
    (Role::Idle, Signal::ChannelClose, Role::Idle),
    (Role::Replica, Signal::ChannelClose, Role::Idle),
    (Role::Candidate, Signal::ChannelClose, Role::Idle),
    (Role::Leader, Signal::ChannelClose, Role::Idle),
    (Role::Replica, Signal::PlacementDeselected, Role::Idle),
    (Role::Candidate, Signal::PlacementDeselected, Role::Idle),
    (Role::Leader, Signal::PlacementDeselected, Role::Idle),
];

fn triples() -> impl Iterator<Item = (Role, Role, Signal)> {
    let pairs =
        Role::ALL.into_iter().flat_map(|from| Role::ALL.into_iter().map(move |to| (from, to)));
    pairs.flat_map(|(from, to)| Signal::ALL.into_iter().map(move |signal| (from, to, signal)))
}

#[test]
fn of_176_triples_16_are_accepted_83_have_the_wrong_signal_and_77_are_impossible_pairs() {
    let (mut accepted, mut wrong, mut impossible) = (BTreeSet::new(), 0, 0);
    for (from, to, signal) in triples() {
        match ROLE_TABLE.judge(from, to, signal) {
            Ok(step) => {
                assert_eq!((step.from, step.to, step.signal), (from, to, signal));
                accepted.insert((from, signal, to));
            }
            Err(refusal @ Refusal::WrongSignal { .. }) => {
                assert_eq!(refusal, Refusal::WrongSignal { from, to, signal });
                wrong += 1;
            }
            Err(refusal) => {
                assert_eq!(refusal, Refusal::ImpossiblePair { from, to, signal });
                impossible += 1;
            }
        }
    }
    assert_eq!((triples().count(), accepted.len(), wrong, impossible), (176, 16, 83, 77));
    assert_eq!(accepted, BTreeSet::from(ACCEPTED));
}

#[test]
fn a_machine_in_any_role_requests_as_the_table_judges_and_refuses_old_news() {
    for here in Role::ALL {
        for (from, to, signal) in triples() {
            let mut machine = machine_in(here);
            let before = machine.counts().clone();
            let outcome = machine.request(from, to, signal, Term::new(9));
            match (ROLE_TABLE.judge(from, to, signal), here == from) {
                (Ok(_), true) => {
                    assert_eq!(outcome.map(|step| (step.from, step.to)), Ok((from, to)));
                    assert_eq!((machine.role(), machine.term()), (to, Term::new(9)));
                }
                (Ok(_), false) => {
                    assert_eq!(
                        outcome,
                        Err(Refusal::Elsewhere { expected: from, actual: here }.into())
                    );
                    assert_eq!((machine.role(), machine.counts()), (here, &before));
                }
                (Err(refusal), _) => {
                    assert_eq!(outcome, Err(refusal.into()));
                    assert_eq!((machine.role(), machine.counts()), (here, &before));
                }
            }
        }
    }
}

#[test]
fn a_step_and_a_request_agree_in_every_role_for_every_signal() {
    for here in Role::ALL {
        for signal in Signal::ALL {
            let mut machine = machine_in(here);
            let stepped = machine.step(signal, Term::new(9));
            let listed = ACCEPTED.iter().find(|row| row.0 == here && row.1 == signal);
            match listed {
                Some(&(_, _, to)) => assert_eq!(stepped.map(|step| step.to), Ok(to)),
                None => assert_eq!(stepped, Err(Refusal::NoStep { from: here, signal }.into())),
            }
        }
    }
}

/// A machine that walked to `role` and is there in term 2.
fn machine_in(role: Role) -> RoleMachine {
    let walk: &[Signal] = match role {
        Role::Idle => &[],
        Role::Replica => &[Signal::CapabilitySelected],
        Role::Candidate => &[Signal::CapabilitySelected, Signal::MissedHeartbeats],
        Role::Leader => {
            &[Signal::CapabilitySelected, Signal::MissedHeartbeats, Signal::ElectionWon]
        }
    };
    let mut machine = RoleMachine::new(Term::new(1));
    for &signal in walk {
        machine.step(signal, Term::new(2)).unwrap();
    }
    machine
}
