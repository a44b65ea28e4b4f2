//! The words without the log: places, histories, and where two logs part.

use proptest::prelude::*;
use rep_vlsn::{History, HistoryError, LogPoint, Matchpoint, NodeId, Term, TermStart, Vlsn};

/// The term and opener of each entry, from VLSN 1 on.
type Log = Vec<(u64, u32)>;

fn history_of(log: &Log) -> History {
    let mut starts: Vec<TermStart> = Vec::new();
    for (at, (term, node)) in log.iter().enumerate() {
        if starts.last().is_none_or(|start| start.term.get() != *term) {
            let start = Vlsn::new(at as u64 + 1);
            starts.push(TermStart { term: Term::new(*term), start, node: NodeId::new(*node) });
        }
    }
    History::from_starts(starts).unwrap()
}

fn end_of(log: &Log) -> Vlsn {
    Vlsn::new(log.len() as u64)
}

fn shared(one: &Log, other: &Log) -> LogPoint {
    let count = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    count
        .checked_sub(1)
        .map_or(LogPoint::NULL, |at| LogPoint::new(Term::new(one[at].0), Vlsn::new(count as u64)))
}

/// Logs as elections make them: each term's master takes up what some member holds, or a beginning of
/// it, and writes on; the others take over a beginning of what it wrote.
fn logs() -> impl Strategy<Value = Vec<Log>> {
    let reign = (any::<prop::sample::Index>(), 0..12_usize, 1..5_usize, 1..4_u32, 1..3_u64);
    prop::collection::vec(reign, 1..14).prop_map(|reigns| {
        let mut logs: Vec<Log> = vec![Vec::new()];
        let mut term = 0;
        for (base, cut, count, node, step) in reigns {
            term += step;
            let mut log = base.get(&logs).clone();
            log.truncate(log.len().saturating_sub(cut / 3));
            log.extend(std::iter::repeat_n((term, node), count));
            logs.push(log);
        }
        logs
    })
}

proptest! {
    #[test]
    fn the_matchpoint_is_the_last_entry_that_two_logs_share(
        logs in logs(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
        cut in 0..6_usize,
    ) {
        let (one, mut other) = (one.get(&logs).clone(), other.get(&logs).clone());
        other.truncate(other.len().saturating_sub(cut));
        let (ours, theirs) = (history_of(&one), history_of(&other));
        let found = ours.matchpoint(end_of(&one), &theirs, end_of(&other)).unwrap();
        prop_assert_eq!(found, Matchpoint::At(shared(&one, &other)));
        prop_assert_eq!(theirs.matchpoint(end_of(&other), &ours, end_of(&one)).unwrap(), found);
    }

    #[test]
    fn a_cleaned_log_finds_the_same_matchpoint_or_says_that_it_does_not_know(
        logs in logs(), one in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(),
        first in 1..20_u64,
    ) {
        let (one, other) = (one.get(&logs), other.get(&logs));
        let (mut ours, theirs) = (history_of(one), history_of(other));
        ours.clean(Vlsn::new(first).min(end_of(one).next()));
        let known_from = ours.starts().first().map_or(Vlsn::FIRST, |start| start.start);
        let expected = shared(one, other);
        match ours.matchpoint(end_of(one), &theirs, end_of(other)).unwrap() {
            Matchpoint::At(found) => prop_assert_eq!(found, expected),
            Matchpoint::Unknown => prop_assert!(expected.vlsn < known_from),
        }
    }

    #[test]
    fn any_two_lists_are_judged_without_a_panic(
        one in starts(), other in starts(), last in 0..40_u64, their_last in 0..40_u64,
    ) {
        if let (Ok(one), Ok(other)) = (History::from_starts(one), History::from_starts(other)) {
            let _ = one.matchpoint(Vlsn::new(last), &other, Vlsn::new(their_last));
            prop_assert!(one.check().is_ok());
        }
    }

    #[test]
    fn a_truncated_history_is_the_history_of_the_truncated_log(logs in logs(), keep in 0..30_usize) {
        for log in logs {
            let mut history = history_of(&log);
            let kept: Log = log.iter().copied().take(keep).collect();
            history.truncate(end_of(&kept));
            prop_assert_eq!(history, history_of(&kept));
        }
    }

    #[test]
    fn a_log_point_reads_back(term in any::<u64>(), vlsn in any::<u64>()) {
        let point = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
        prop_assert_eq!(LogPoint::decode(point.encode()), point);
    }
}

fn starts() -> impl Strategy<Value = Vec<TermStart>> {
    let start = (0..12_u64, 0..30_u64, 1..4_u32).prop_map(|(term, start, node)| TermStart {
        term: Term::new(term),
        start: Vlsn::new(start),
        node: NodeId::new(node),
    });
    prop::collection::vec(start, 0..6)
}

#[test]
fn a_history_knows_the_term_of_each_entry_from_its_first_start_on() {
    let history = history_of(&vec![(1, 1), (1, 1), (4, 2), (6, 1)]);
    let terms: Vec<_> = (0..6).map(|n| history.term_at(Vlsn::new(n)).map(Term::get)).collect();
    assert_eq!(terms, [None, Some(1), Some(1), Some(4), Some(6), Some(6)]);
    assert_eq!(history.opening_of(Term::new(4)).unwrap().start, Vlsn::new(3));
    assert_eq!(history.opening_of(Term::new(5)), None);
}

#[test]
fn a_history_takes_only_what_comes_after() {
    let start = |term, start| TermStart {
        term: Term::new(term),
        start: Vlsn::new(start),
        node: NodeId::new(1),
    };
    let mut history = History::new();
    assert!(history.push(start(0, 1)).is_err() && history.push(start(1, 0)).is_err());
    history.push(start(2, 5)).unwrap();
    for wrong in [start(2, 6), start(3, 5), start(1, 9)] {
        assert!(matches!(history.push(wrong), Err(HistoryError::NotIncreasing { .. })));
    }
    assert_eq!(history.starts(), [start(2, 5)]);
}

#[test]
fn two_openings_of_one_term_are_a_conflict() {
    let (one, other) = (history_of(&vec![(1, 1), (2, 1)]), history_of(&vec![(1, 1), (2, 3)]));
    let found = one.matchpoint(Vlsn::new(2), &other, Vlsn::new(2));
    assert!(matches!(found, Err(HistoryError::TermConflict { .. })));
}

#[test]
fn numbers_end_softly() {
    assert_eq!(Vlsn::NULL.prev(), Vlsn::NULL);
    assert_eq!(Vlsn::new(u64::MAX).next(), Vlsn::new(u64::MAX));
    assert_eq!(Vlsn::new(3).distance_from(Vlsn::new(5)), 0);
    assert_eq!(NodeId::checked(0), None);
    assert!(LogPoint::new(Term::new(2), Vlsn::new(1)) > LogPoint::new(Term::new(1), Vlsn::new(9)));
}
