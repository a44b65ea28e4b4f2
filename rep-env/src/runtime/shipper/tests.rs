//! What the log keeps for sinks, and what is told of them.

use super::*;
use rep_vlsn::Term;

fn at(vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(1), Vlsn::new(vlsn))
}

fn sizes(firsts: &[u64]) -> Vec<SegmentSize> {
    firsts.iter().map(|first| SegmentSize { first: Vlsn::new(*first), bytes: 10 }).collect()
}

/// A node that ships, to a sink that has come so far.
fn shipping(progress: Progress) -> Shipments {
    let shipment = Shipment::new("archive".to_owned());
    *shipment.progress.lock() = progress;
    Shipments(Mutex::new(vec![shipment]))
}

#[test]
fn a_log_waits_for_its_sinks_within_the_bound_in_bytes() {
    let segments = sizes(&[1, 10, 20, 30]);
    let hold =
        |progress, bytes_max| shipping(progress).hold(at(35), &segments, bytes_max).vlsn.get();
    let upto = |vlsn| Progress { acknowledged: Some(at(vlsn)), ..Progress::default() };
    assert_eq!(hold(upto(15), 40), 15, "what comes next stays");
    assert_eq!(hold(upto(99), 40), 35, "the checkpoint holds it as ever");
    assert_eq!(
        hold(Progress::default(), 40),
        0,
        "a sink that has not answered may lack everything"
    );
    assert_eq!(hold(upto(15), 20), 20, "beyond the bound it waits no longer");
    assert_eq!(hold(Progress::default(), 10), 30);
    assert_eq!(Shipments::default().hold(at(35), &segments, 40), at(35));
}

#[test]
fn a_log_does_not_wait_for_whom_it_cannot_help() {
    let segments = sizes(&[1, 10, 20, 30]);
    let hold = |problem| {
        let progress = Progress { problem, acknowledged: Some(at(3)), ended: false };
        shipping(progress).hold(at(35), &segments, 1 << 20).vlsn.get()
    };
    assert_eq!(hold(Some(ShipProblem::Sink("it is full".to_owned()))), 3);
    assert_eq!(
        hold(Some(ShipProblem::Gap { acknowledged: Vlsn::new(3), first: Vlsn::new(9) })),
        35
    );
    assert_eq!(hold(Some(ShipProblem::Diverged { theirs: at(3) })), 35);
    let ended = Progress { ended: true, ..Progress::default() };
    assert_eq!(shipping(ended).hold(at(35), &segments, 1 << 20), at(35));
}

#[test]
fn a_problem_is_told_with_what_is_missing() {
    let problem = Some(ShipProblem::Sink("it is full".to_owned()));
    let progress = Progress { problem, acknowledged: Some(at(3)), ended: false };
    let words = "shipping to archive: it is full (it has entry 3 of 7, 4 are missing)";
    let shipments = shipping(progress);
    assert_eq!(shipments.problems(Vlsn::new(7)), [words]);
    assert_eq!(shipments.lag(Vlsn::new(7)), Some((Vlsn::new(3), 4)));
    assert!(shipping(Progress::default()).problems(Vlsn::new(7)).is_empty());
}
