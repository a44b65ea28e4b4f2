//! Who of the promisers is the best master?
//!
//! The log decides: the winner must hold all that any promiser of some quorum holds, or an entry that
//! was durable could be lost. Only among equal logs may taste have a say: priority first, then who can
//! commit fastest, then the smaller id, so that any two proposers with the same promises agree.

use crate::electorate::Electorate;
use crate::message::{Promise, Promiser};
use rep_vlsn::{Incarnation, LogPoint, NodeId, mutant};
use std::cmp::{Ordering, Reverse};
use std::collections::BTreeMap;
use std::time::Duration;

/// The order of logs: last term first, then last VLSN. A longer log of an older term is not the better one.
pub fn compare_logs(one: LogPoint, other: LogPoint) -> Ordering {
    if mutant!("election-rank-by-vlsn") {
        return one.vlsn.cmp(&other.vlsn);
    }
    if mutant!("election-no-rank") {
        return Ordering::Equal;
    }
    one.cmp(&other)
}

/// How soon `id` can commit: its round trip to the last of the others whom a commit quorum needs. A member
/// who has not measured enough of them comes last.
pub fn nearness(
    id: NodeId,
    electorate: &Electorate,
    round_trips: &BTreeMap<NodeId, Duration>,
) -> Duration {
    let others = electorate.commit_need.saturating_sub(1);
    let mut measured: Vec<Duration> = round_trips
        .iter()
        .filter(|(other, _)| **other != id && electorate.voters.contains_key(other))
        .map(|(_, round_trip)| *round_trip)
        .collect();
    measured.sort_unstable();
    match others.checked_sub(1) {
        None => Duration::ZERO,
        Some(last) => measured.get(last).copied().unwrap_or(Duration::MAX),
    }
}

/// A promise received, with the incarnation under which its sender was let in.
#[derive(Clone, Debug)]
pub(crate) struct Pledge {
    pub(crate) incarnation: Incarnation,
    pub(crate) promise: Promise,
}

/// Whom to name, and the promises that allow it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) winner: NodeId,
    pub(crate) promisers: Vec<Promiser>,
}

/// Whom a proposer would rather not name, and whom it would.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Wishes {
    /// The silent winner of the round before.
    pub(crate) not: Option<NodeId>,
    /// To whom a mastership is handed over.
    pub(crate) heir: Option<NodeId>,
}

/// The best winner, if the promises suffice for one. Before the `last_call` a promiser who reaches no commit quorum, the
/// silent winner of the round before, and all others where there is an heir, are passed over in the hope of a better one.
pub(crate) fn choose(
    pledges: &BTreeMap<NodeId, Pledge>,
    wishes: Wishes,
    last_call: bool,
) -> Option<Choice> {
    let Wishes { not, heir } = wishes;
    let heir = heir.filter(|heir| !is_outranked(*heir, pledges));
    let doubtful = |id: NodeId, pledge: &Pledge| {
        Some(id) == not || !pledge.promise.reaches_commit_quorum || heir.is_some_and(|it| it != id)
    };
    let winner = pledges
        .iter()
        .filter(|(_, pledge)| pledge.promise.nameable)
        .filter(|(_, pledge)| has_quorum(pledge, pledges))
        .filter(|(id, pledge)| last_call || !doubtful(**id, pledge))
        .min_by(|(one, a), (other, b)| {
            let doubt = doubtful(**one, a).cmp(&doubtful(**other, b));
            doubt.then_with(|| compare_candidates(**one, a, **other, b))
        });
    winner.map(|(id, pledge)| Choice { winner: *id, promisers: supporters(pledge, pledges) })
}

/// Whether a promiser who might be named holds more: then `id` is not waited for, nor preferred.
fn is_outranked(id: NodeId, pledges: &BTreeMap<NodeId, Pledge>) -> bool {
    let Some(own) = pledges.get(&id) else { return false };
    let nameable = pledges.values().filter(|pledge| pledge.promise.nameable);
    nameable.into_iter().any(|it| compare_logs(it.promise.rank, own.promise.rank).is_gt())
}

/// Less is better.
fn compare_candidates(one: NodeId, a: &Pledge, other: NodeId, b: &Pledge) -> Ordering {
    let taste = |id: NodeId, Pledge { promise, .. }: &Pledge| {
        let near = nearness(id, &promise.electorate, &promise.round_trips);
        (Reverse(promise.priority), near, id)
    };
    compare_logs(b.promise.rank, a.promise.rank).then_with(|| taste(one, a).cmp(&taste(other, b)))
}

/// The promisers who do not rank above `candidate`, whether or not its membership counts them. Who belongs to a group founds no
/// other: one whose log failed before its founding entry was synced ranks like the unborn, and may have that entry after all.
fn supporters(candidate: &Pledge, pledges: &BTreeMap<NodeId, Pledge>) -> Vec<Promiser> {
    let below =
        |pledge: &&Pledge| compare_logs(pledge.promise.rank, candidate.promise.rank).is_le();
    let born = |pledge: &Pledge| pledge.promise.electorate.is_born();
    pledges
        .iter()
        .filter(|(_, pledge)| below(pledge) && (born(candidate) || !born(pledge)))
        .map(|(id, Pledge { incarnation, promise })| Promiser {
            id: *id,
            incarnation: *incarnation,
            rank: promise.rank,
        })
        .collect()
}

/// The membership in the candidate's own log decides which promises count and how many it takes.
fn has_quorum(candidate: &Pledge, pledges: &BTreeMap<NodeId, Pledge>) -> bool {
    let supporters = supporters(candidate, pledges);
    let by_name = supporters.iter().map(|promiser| (promiser.id, promiser.incarnation)).collect();
    candidate.promise.electorate.is_election_quorum(&by_name)
}

/// Whether the asker of a pre-vote would make the better proposer than we do. Less is better.
pub(crate) fn better_asker(theirs: (LogPoint, u32, NodeId), ours: (LogPoint, u32, NodeId)) -> bool {
    let taste = |(_, priority, id): (LogPoint, u32, NodeId)| (Reverse(priority), id);
    compare_logs(ours.0, theirs.0).then_with(|| taste(theirs).cmp(&taste(ours))).is_lt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::electorate::Voter;
    use rep_vlsn::{GroupId, Term, Vlsn};

    fn at(term: u64, vlsn: u64) -> LogPoint {
        LogPoint::new(Term::new(term), Vlsn::new(vlsn))
    }

    fn incarnation(id: u32) -> Incarnation {
        Incarnation([id as u8; 16])
    }

    fn electorate(ids: impl IntoIterator<Item = u32>) -> Electorate {
        let voter = |id| (NodeId::new(id), Voter::known(incarnation(id)));
        let voters = ids.into_iter().map(voter).collect();
        Electorate::majority(GroupId::default(), at(1, 1), voters)
    }

    fn pledge(id: u32, rank: LogPoint, voters: u32) -> (NodeId, Pledge) {
        let promise = Promise {
            term: Term::new(9),
            rank,
            nameable: true,
            electorate: electorate(1..=voters),
            priority: 0,
            round_trips: BTreeMap::new(),
            reaches_commit_quorum: true,
        };
        (NodeId::new(id), Pledge { incarnation: incarnation(id), promise })
    }

    fn winner(pledges: &BTreeMap<NodeId, Pledge>) -> Option<u32> {
        choose(pledges, Wishes::default(), false).map(|choice| choice.winner.get())
    }

    #[test]
    fn a_shorter_log_of_a_later_term_wins() {
        let pledges = BTreeMap::from([pledge(1, at(1, 900), 3), pledge(2, at(2, 5), 3)]);
        assert_eq!(winner(&pledges), Some(2));
    }

    #[test]
    fn among_equals_priority_then_nearness_then_id() {
        let mut pledges: BTreeMap<_, _> = (1..=3).map(|id| pledge(id, at(1, 5), 3)).collect();
        assert_eq!(winner(&pledges), Some(1));
        let near = Duration::from_millis(1);
        let measured = BTreeMap::from([(NodeId::new(1), near)]);
        pledges.get_mut(&NodeId::new(3)).unwrap().promise.round_trips = measured;
        assert_eq!(winner(&pledges), Some(3), "the unmeasured come last");
        pledges.get_mut(&NodeId::new(2)).unwrap().promise.priority = 1;
        assert_eq!(winner(&pledges), Some(2));
        pledges.get_mut(&NodeId::new(1)).unwrap().promise.rank = at(1, 6);
        assert_eq!(winner(&pledges), Some(1), "the log comes before taste");
    }

    #[test]
    fn nearness_is_the_round_trip_to_the_last_one_needed() {
        let ms = Duration::from_millis;
        let trips = [(1, 0), (2, 30), (3, 10), (4, 20), (9, 1)];
        let trips = trips.map(|(id, trip)| (NodeId::new(id), ms(trip))).into();
        assert_eq!(nearness(NodeId::new(1), &electorate(1..=5), &trips), ms(20));
        assert_eq!(nearness(NodeId::new(1), &electorate(1..=1), &trips), ms(0));
        assert_eq!(nearness(NodeId::new(1), &electorate(5..=9), &trips), Duration::MAX);
    }

    #[test]
    fn the_membership_in_the_winners_own_log_counts() {
        let (one, mut grown) = pledge(1, at(3, 9), 3);
        grown.promise.electorate = electorate(1..=5);
        let mut pledges = BTreeMap::from([(one, grown), pledge(2, at(3, 8), 3)]);
        assert_eq!(winner(&pledges), None, "two of five do not suffice, and 2 ranks below 1");
        pledges.extend([pledge(3, at(3, 8), 3)]);
        assert_eq!(winner(&pledges), Some(1));
    }

    #[test]
    fn a_quorum_may_be_found_without_the_highest_promiser() {
        let mut pledges: BTreeMap<_, _> = (1..=3).map(|id| pledge(id, at(2, 5), 5)).collect();
        let (four, mut poisoned) = pledge(4, at(2, 9), 5);
        poisoned.promise.nameable = false;
        pledges.insert(four, poisoned);
        let choice = choose(&pledges, Wishes::default(), false).unwrap();
        assert_eq!(choice.winner.get(), 1);
        let named: Vec<u32> = choice.promisers.iter().map(|promiser| promiser.id.get()).collect();
        assert_eq!(named, [1, 2, 3], "whoever ranks above the winner is not among its promisers");
    }

    #[test]
    fn a_founder_whose_log_failed_too_early_lets_nobody_found_another_group() {
        let founders = || Electorate::founding(electorate(1..=2).voters);
        let (one, mut failed) = pledge(1, LogPoint::NULL, 2);
        failed.promise.nameable = false;
        let (two, mut unborn) = pledge(2, LogPoint::NULL, 2);
        unborn.promise.electorate = founders();
        let mut pledges = BTreeMap::from([(one, failed), (two, unborn)]);
        assert_eq!(choose(&pledges, Wishes::default(), true), None);
        pledges.get_mut(&one).unwrap().promise.electorate = founders();
        assert_eq!(winner(&pledges), Some(2), "both are unborn");
    }

    #[test]
    fn the_unnameable_never_win() {
        let mut pledges: BTreeMap<_, _> = (1..=3).map(|id| pledge(id, at(2, 5), 3)).collect();
        pledges.values_mut().for_each(|pledge| pledge.promise.nameable = false);
        assert_eq!(choose(&pledges, Wishes::default(), true), None);
    }

    #[test]
    fn the_doubtful_win_only_on_the_last_call() {
        let mut pledges: BTreeMap<_, _> = (1..=2).map(|id| pledge(id, at(2, 5), 3)).collect();
        let silent = Wishes { not: Some(NodeId::new(1)), heir: None };
        assert_eq!(choose(&pledges, silent, false).unwrap().winner.get(), 2);
        pledges.get_mut(&NodeId::new(2)).unwrap().promise.rank = at(2, 4);
        assert_eq!(choose(&pledges, silent, false), None);
        assert_eq!(choose(&pledges, silent, true).unwrap().winner.get(), 1);
        pledges.get_mut(&NodeId::new(1)).unwrap().promise.reaches_commit_quorum = false;
        assert_eq!(choose(&pledges, Wishes::default(), false), None);
        assert_eq!(choose(&pledges, Wishes::default(), true).unwrap().winner.get(), 1);
    }

    #[test]
    fn an_heir_is_waited_for_and_named_before_others_but_not_below_them() {
        let to = |id| Wishes { not: None, heir: Some(NodeId::new(id)) };
        let mut pledges: BTreeMap<_, _> = (1..=2).map(|id| pledge(id, at(2, 5), 3)).collect();
        assert_eq!(choose(&pledges, to(3), false), None, "its promise may still come");
        assert_eq!(choose(&pledges, to(2), false).unwrap().winner.get(), 2);
        assert_eq!(choose(&pledges, to(3), true).unwrap().winner.get(), 1, "it did not come");
        pledges.get_mut(&NodeId::new(2)).unwrap().promise.rank = at(2, 4);
        assert_eq!(choose(&pledges, to(2), true).unwrap().winner.get(), 1, "it lacks an entry");
        // A quorum is there without the one that holds more; but that one is there as well.
        pledges.extend([pledge(3, at(2, 4), 3)]);
        assert_eq!(choose(&pledges, to(2), false).unwrap().winner.get(), 1, "it lacks an entry");
    }

    #[test]
    fn another_incarnation_does_not_count() {
        let (two, mut wiped) = pledge(2, at(2, 5), 3);
        wiped.incarnation = incarnation(77);
        let pledges = BTreeMap::from([pledge(1, at(2, 5), 3), (two, wiped)]);
        assert_eq!(choose(&pledges, Wishes::default(), true), None);
    }
}
