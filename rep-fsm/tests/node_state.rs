//! What the application sees, whatever happens inside.

use proptest::prelude::*;
use rep_fsm::node_state::NODE_STATE_TABLE;
use rep_fsm::{Company, NodeState, NodeStateTracker, Refusal, Role};

fn companies() -> impl Iterator<Item = Company> {
    Role::ALL.into_iter().flat_map(|role| (0u8..16).map(move |bits| company(role, bits)))
}

fn company(role: Role, bits: u8) -> Company {
    Company {
        role,
        open: bits & 1 != 0,
        master_known: bits & 2 != 0,
        stream_in_sync: bits & 4 != 0,
        term_start_durable: bits & 8 != 0,
    }
}

#[test]
fn master_and_replica_need_all_of_their_facts_in_every_company() {
    for company in companies() {
        let master = company.open && company.role == Role::Leader && company.term_start_durable;
        let replica = company.open
            && company.role == Role::Replica
            && company.master_known
            && company.stream_in_sync;
        let expected = match (company.open, master, replica) {
            (false, _, _) => NodeState::Detached,
            (true, true, _) => NodeState::Master,
            (true, _, true) => NodeState::Replica,
            (true, false, false) => NodeState::Unknown,
        };
        assert_eq!(NodeState::of(&company), expected, "{company:?}");
    }
}

#[test]
fn unknown_is_put_between_a_replica_and_the_master_it_becomes() {
    let mut tracker = NodeStateTracker::new();
    let replica = Company {
        role: Role::Replica,
        open: true,
        master_known: true,
        stream_in_sync: true,
        ..Company::default()
    };
    let seen: Vec<_> = tracker.observe(&replica).map(|change| change.new).collect();
    assert_eq!(seen, [NodeState::Unknown, NodeState::Replica]);
    let master =
        Company { role: Role::Leader, open: true, term_start_durable: true, ..Company::default() };
    let seen: Vec<_> = tracker.observe(&master).map(|change| (change.old, change.new)).collect();
    assert_eq!(
        seen,
        [(NodeState::Replica, NodeState::Unknown), (NodeState::Unknown, NodeState::Master)]
    );
}

#[test]
fn a_node_that_was_never_opened_can_be_shut_down_once() {
    let mut tracker = NodeStateTracker::new();
    assert_eq!(tracker.observe(&Company::default()).count(), 0);
    assert_eq!(
        tracker.shut_down().map(|change| change.new).collect::<Vec<_>>(),
        [NodeState::Shutdown]
    );
    assert_eq!(tracker.shut_down().count(), 0);
}

#[test]
fn of_125_triples_of_the_visible_table_9_are_accepted() {
    let signals: std::collections::BTreeSet<_> =
        NODE_STATE_TABLE.rows().iter().map(|row| row.signal).collect();
    let (mut accepted, mut wrong, mut impossible) = (0, 0, 0);
    for from in NodeState::ALL {
        for to in NodeState::ALL {
            for &signal in &signals {
                match NODE_STATE_TABLE.judge(from, to, signal) {
                    Ok(_) => accepted += 1,
                    Err(Refusal::WrongSignal { .. }) => wrong += 1,
                    Err(_) => impossible += 1,
                }
            }
        }
    }
    assert_eq!((accepted, wrong, impossible), (9, 36, 80));
}

fn any_company() -> impl Strategy<Value = Company> {
    (0..Role::ALL.len(), 0u8..16).prop_map(|(role, bits)| company(Role::ALL[role], bits))
}

/// Companies of a node that is mostly open, or no sequence would be long.
fn mostly_open() -> impl Strategy<Value = Company> {
    (any_company(), 0u8..20).prop_map(|(company, chance)| Company { open: chance != 0, ..company })
}

/// `(UNKNOWN (MASTER|REPLICA)?)* SHUTDOWN?`, hand-written so that it does not lean on the table it judges.
fn fits_the_grammar(seen: &[NodeState]) -> bool {
    let mut previous = NodeState::Detached;
    seen.iter().all(|&state| {
        let fits = match state {
            NodeState::Detached => false,
            NodeState::Unknown => previous != NodeState::Shutdown && previous != NodeState::Unknown,
            NodeState::Master | NodeState::Replica => previous == NodeState::Unknown,
            NodeState::Shutdown => previous != NodeState::Shutdown,
        };
        previous = state;
        fits
    })
}

proptest! {
    #[test]
    fn the_visible_sequence_keeps_its_grammar_and_ends_where_the_company_is(
        companies in proptest::collection::vec(mostly_open(), 0..100)
    ) {
        let mut tracker = NodeStateTracker::new();
        let mut seen = Vec::new();
        let mut was_open = false;
        for company in companies {
            let changes: Vec<_> = tracker.observe(&company).collect();
            for change in changes {
                prop_assert_eq!(change.old, seen.last().copied().unwrap_or(NodeState::Detached));
                seen.push(change.new);
            }
            if tracker.state() != NodeState::Shutdown {
                prop_assert_eq!(tracker.state(), NodeState::of(&company));
                prop_assert!(!was_open || company.open, "a node that was open and is not any more is shut down");
                was_open |= company.open;
            }
        }
        prop_assert!(fits_the_grammar(&seen), "{:?}", seen);
    }
}
