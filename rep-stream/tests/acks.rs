//! The table of who holds what, and the window: leaves, tested alone.

use proptest::prelude::*;
use rep_stream::{AckTable, RolledBackImage, Window, commit_point};
use rep_vlsn::{Draft, Flags, Incarnation, Kind, LogPoint, LogView, NodeId, SyncClass, Term, Vlsn};

const FIRST: Incarnation = Incarnation([1; 16]);
const SECOND: Incarnation = Incarnation([2; 16]);

fn at(vlsn: u64) -> LogPoint {
    if vlsn == 0 { LogPoint::NULL } else { LogPoint::new(Term::new(1), Vlsn::new(vlsn)) }
}

fn nodes(numbers: impl IntoIterator<Item = u32>) -> Vec<NodeId> {
    numbers.into_iter().map(NodeId::new).collect()
}

fn table(synced: &[u64]) -> AckTable {
    let mut acks = AckTable::new();
    for (number, vlsn) in (1u32..).zip(synced) {
        acks.observe(NodeId::new(number), FIRST, at(*vlsn), at(*vlsn));
    }
    acks
}

#[test]
fn the_need_th_highest_point_is_durable() {
    let acks = table(&[9, 7, 3]);
    assert_eq!(acks.durable(nodes(1..=3), 1), Vlsn::new(9));
    assert_eq!(acks.durable(nodes(1..=3), 2), Vlsn::new(7));
    assert_eq!(acks.durable(nodes(1..=3), 3), Vlsn::new(3));
    assert_eq!(acks.durable(nodes(1..=3), 4), Vlsn::NULL);
    assert_eq!(acks.durable(nodes(1..=3), 0), Vlsn::NULL, "a need of nobody is no quorum");
}

#[test]
fn only_voters_count_and_each_once() {
    let acks = table(&[9, 7, 3]);
    assert_eq!(acks.durable(nodes([1, 3]), 2), Vlsn::new(3), "node 2 has no vote");
    assert_eq!(acks.durable(nodes([1, 1, 1]), 2), Vlsn::NULL, "one node is one vote");
    assert_eq!(acks.durable(nodes([4, 5]), 1), Vlsn::NULL, "never heard of");
}

#[test]
fn points_only_rise() {
    let mut acks = table(&[9, 7]);
    assert!(!acks.observe(NodeId::new(2), FIRST, at(5), at(6)));
    assert_eq!(acks.points(NodeId::new(2)), (at(7), at(7)));
    assert!(acks.observe(NodeId::new(2), FIRST, at(7), at(8)));
    assert_eq!(acks.received(nodes(1..=2), 2), Vlsn::new(8));
    assert_eq!(acks.durable(nodes(1..=2), 2), Vlsn::new(7));
}

#[test]
fn another_incarnation_counts_for_nothing_until_it_connects_and_then_from_nothing() {
    let mut acks = table(&[9, 7]);
    assert!(!acks.observe(NodeId::new(2), SECOND, at(9), at(9)));
    assert_eq!(acks.durable(nodes(1..=2), 2), Vlsn::new(7));
    assert_eq!(acks.reconnected(NodeId::new(2), SECOND, at(0)), Ok(()));
    assert_eq!(acks.durable(nodes(1..=2), 2), Vlsn::NULL);
}

#[test]
fn a_rolled_back_image_counts_for_nothing_until_it_is_somebody_new() {
    let mut acks = table(&[9, 7]);
    let node = NodeId::new(2);
    let image = RolledBackImage { acked: at(7), now: at(5) };
    assert_eq!(acks.reconnected(node, FIRST, at(5)), Err(image));
    assert!(acks.is_suspended(node, FIRST) && !acks.is_suspended(node, SECOND));
    assert!(!acks.observe(node, FIRST, at(9), at(9)), "its acknowledgements are not taken");
    assert_eq!(acks.durable(nodes(1..=2), 2), Vlsn::NULL);
    let again = RolledBackImage { acked: at(7), now: at(9) };
    assert_eq!(acks.reconnected(node, FIRST, at(9)), Err(again), "catching up is no excuse");
    assert_eq!(acks.reconnected(node, SECOND, at(0)), Ok(()));
    assert!(!acks.is_suspended(node, FIRST) && !acks.is_suspended(node, SECOND));
    assert!(acks.observe(node, SECOND, at(9), at(9)));
    assert_eq!(acks.durable(nodes(1..=2), 2), Vlsn::new(9));
}

#[test]
fn a_crash_loses_what_was_only_received() {
    let mut acks = AckTable::new();
    let node = NodeId::new(2);
    acks.observe(node, FIRST, at(5), at(9));
    assert_eq!(acks.reconnected(node, FIRST, at(6)), Ok(()));
    assert_eq!(acks.points(node), (at(5), at(6)));
}

#[test]
fn a_truncation_lowers_and_a_removal_forgets() {
    let mut acks = table(&[9, 7]);
    acks.lower(NodeId::new(1), at(4));
    assert_eq!(acks.points(NodeId::new(1)), (at(4), at(4)));
    acks.forget(NodeId::new(2));
    assert_eq!(acks.durable(nodes(1..=2), 1), Vlsn::new(4));
}

#[test]
fn the_masters_copy_counts_by_one_class_and_the_others_by_another() {
    use SyncClass::{NoSync, Sync};
    let mut acks = AckTable::new();
    for (number, (synced, written)) in (1u32..).zip([(5, 9), (3, 8), (2, 7)]) {
        acks.observe(NodeId::new(number), FIRST, at(synced), at(written));
    }
    let reached = |need, classes| acks.acknowledged(NodeId::new(1), nodes(1..=3), need, classes);
    assert_eq!(reached(1, (Sync, NoSync)), Vlsn::new(5), "the master alone");
    assert_eq!(reached(2, (Sync, NoSync)), Vlsn::new(5), "its own sync is behind their writes");
    assert_eq!(reached(2, (NoSync, Sync)), Vlsn::new(3), "and here theirs behind its write");
    assert_eq!(reached(2, (NoSync, NoSync)), Vlsn::new(8));
    assert_eq!(reached(3, (NoSync, NoSync)), Vlsn::new(7));
    assert_eq!(reached(3, (Sync, Sync)), Vlsn::new(2));
    assert_eq!(reached(4, (NoSync, NoSync)), Vlsn::NULL, "there are no four");
}

#[test]
fn an_older_terms_entry_is_covered_but_never_the_commit_point() {
    let mut log = LogView::empty();
    for (vlsn, term) in [(1, 1), (2, 1), (3, 2), (4, 2)] {
        let place = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
        let draft = if vlsn % 2 == 1 {
            Draft::opening(Kind::TermStart, NodeId::new(1), b"")
        } else {
            Draft::new(Kind::Data, Flags::default(), b"")
        };
        log.append(&draft.stamp(place, log.last_crc(), 0));
    }
    let term = Term::new(2);
    assert_eq!(commit_point(Vlsn::new(2), &log, term), None);
    assert_eq!(commit_point(Vlsn::new(3), &log, term), Some(Vlsn::new(3)));
    assert_eq!(commit_point(Vlsn::new(9), &log, term), None, "no such entry");
    assert_eq!(commit_point(Vlsn::NULL, &log, term), None);
}

#[test]
fn a_window_of_small_batches_stays_small_and_exact() {
    let mut window = Window::new(1 << 20, 10);
    for last in 1..=5000 {
        window.sent(Vlsn::new(last), 10);
    }
    assert_eq!(window.in_flight(), 50_000);
    window.acked(Vlsn::new(1000));
    assert_eq!(window.in_flight(), 40_000);
    window.acked(Vlsn::new(4999));
    assert!(window.in_flight() > 0, "the newest are released together, and not too early");
    window.acked(Vlsn::new(5000));
    assert_eq!(window.in_flight(), 0);
}

#[test]
fn an_empty_window_takes_a_batch_that_is_larger_than_itself() {
    let mut window = Window::new(10, 100);
    assert!(window.has_room());
    window.sent(Vlsn::new(1), 100);
    assert!(!window.has_room());
    window.clear();
    assert!(window.has_room());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// Counting by hand: the highest entry that at least `need` members hold.
    #[test]
    fn durable_is_what_a_count_gives(synced in prop::collection::vec(0..20u64, 1..8), need in 1..8usize) {
        let acks = table(&synced);
        let counted = (1..20)
            .rev()
            .find(|vlsn| synced.iter().filter(|held| *held >= vlsn).count() >= need)
            .unwrap_or(0);
        let voters = nodes(1..=synced.len() as u32);
        prop_assert_eq!(acks.durable(voters, need), Vlsn::new(counted));
    }
}
