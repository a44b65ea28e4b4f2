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

/// A pre-vote granted, with the incarnation under which its sender was let in.
#[derive(Clone, Debug)]
pub(crate) struct Grant {
    pub(crate) incarnation: Incarnation,
    pub(crate) rank: LogPoint,
    pub(crate) electorate: Electorate,
}

/// What decides whether somebody who promised, or would promise, may be named.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backer<'a> {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) rank: LogPoint,
    pub(crate) electorate: &'a Electorate,
}

impl Pledge {
    fn backer(&self, id: NodeId) -> Backer<'_> {
        let Pledge { incarnation, promise } = self;
        Backer {
            id,
            incarnation: *incarnation,
            rank: promise.rank,
            electorate: &promise.electorate,
        }
    }
}

impl Grant {
    pub(crate) fn backer(&self, id: NodeId) -> Backer<'_> {
        let Grant { incarnation, rank, electorate } = self;
        Backer { id, incarnation: *incarnation, rank: *rank, electorate }
    }
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
    /// The proposer is designated, and the other one has been silent for long enough.
    pub(crate) alone: bool,
}

/// The best winner, if the promises suffice for one. Before the `last_call` a promiser who reaches no commit quorum, the
/// silent winner of the round before, and all others where there is an heir, are passed over in the hope of a better one.
pub(crate) fn choose(
    pledges: &BTreeMap<NodeId, Pledge>,
    wishes: Wishes,
    last_call: bool,
) -> Option<Choice> {
    let Wishes { not, heir, alone } = wishes;
    let heir = heir.filter(|heir| !is_ruled_out(*heir, pledges));
    let backers: Vec<Backer<'_>> = pledges.iter().map(|(id, pledge)| pledge.backer(*id)).collect();
    let doubtful = |id: NodeId, pledge: &Pledge| {
        Some(id) == not || !pledge.promise.reaches_commit_quorum || heir.is_some_and(|it| it != id)
    };
    let winner = pledges
        .iter()
        .filter(|(_, pledge)| pledge.promise.nameable)
        .filter(|(id, pledge)| is_backed(pledge.backer(**id), &backers, alone))
        .filter(|(id, pledge)| last_call || !doubtful(**id, pledge))
        .min_by(|(one, a), (other, b)| {
            let doubt = doubtful(**one, a).cmp(&doubtful(**other, b));
            doubt.then_with(|| compare_candidates(**one, a, **other, b))
        });
    winner.map(|(id, pledge)| Choice {
        winner: *id,
        promisers: supporters(pledge.backer(*id), &backers),
    })
}

/// Whether anybody could be named if all of `backers` promised: without that, a term would be raised for nothing. They may
/// know different memberships, and a later one than the asker's may need more of them, or others.
pub(crate) fn foresees_a_winner(backers: &[Backer<'_>], alone: bool) -> bool {
    backers.iter().any(|candidate| is_backed(*candidate, backers, alone))
}

/// Whether `id` cannot be named, or a promiser who might be holds more: then it is not waited for, nor preferred.
fn is_ruled_out(id: NodeId, pledges: &BTreeMap<NodeId, Pledge>) -> bool {
    let Some(own) = pledges.get(&id) else { return false };
    let mut nameable = pledges.values().filter(|pledge| pledge.promise.nameable);
    let outranks = |it: &Pledge| compare_logs(it.promise.rank, own.promise.rank).is_gt();
    !own.promise.nameable || nameable.any(outranks)
}

/// Less is better.
fn compare_candidates(one: NodeId, a: &Pledge, other: NodeId, b: &Pledge) -> Ordering {
    let taste = |id: NodeId, Pledge { promise, .. }: &Pledge| {
        let near = nearness(id, &promise.electorate, &promise.round_trips);
        (Reverse(promise.priority), near, id)
    };
    compare_logs(b.promise.rank, a.promise.rank).then_with(|| taste(one, a).cmp(&taste(other, b)))
}

/// Those who do not rank above `candidate`, whether or not its membership counts them. Who belongs to a group founds no
/// other: one whose log failed before its founding entry was synced ranks like the unborn, and may have that entry after all. Nor does who knows that
/// there is a group, and asks to be admitted.
fn supporters(candidate: Backer<'_>, backers: &[Backer<'_>]) -> Vec<Promiser> {
    let below = |backer: &&Backer<'_>| compare_logs(backer.rank, candidate.rank).is_le();
    let to_be_born = !candidate.electorate.is_born();
    backers
        .iter()
        .filter(below)
        .filter(|backer| !to_be_born || backer.electorate.founds())
        .map(|Backer { id, incarnation, rank, .. }| Promiser {
            id: *id,
            incarnation: *incarnation,
            rank: *rank,
        })
        .collect()
}

/// The membership in the candidate's own log decides whether it may be master, which promises count, and how many it takes.
fn is_backed(candidate: Backer<'_>, backers: &[Backer<'_>], alone: bool) -> bool {
    let electorate = if mutant!("election-old-config-wins") {
        let all = backers.iter().map(|backer| backer.electorate);
        all.min_by_key(|electorate| electorate.at).unwrap_or(candidate.electorate)
    } else {
        candidate.electorate
    };
    let supporters = supporters(candidate, backers);
    let by_name = supporters.iter().map(|promiser| (promiser.id, promiser.incarnation)).collect();
    let alone = alone || is_left_alone(candidate, backers);
    electorate.counts(candidate.id, candidate.incarnation) && electorate.suffices(&by_name, alone)
}

/// Whether the other voter beside a designated one says itself that it is none any more. It holds the entry by which the designated one went on
/// alone, and that one has lost it with its power: so the other one may rank above it, will never stand, and is not waited for.
fn is_left_alone(candidate: Backer<'_>, backers: &[Backer<'_>]) -> bool {
    let Electorate { designated, voters, .. } = candidate.electorate;
    let renounces = |id: &NodeId| {
        let mut own = backers.iter().filter(|backer| backer.id == *id);
        own.any(|it| it.electorate.is_born() && !it.electorate.counts(it.id, it.incarnation))
    };
    *designated == Some(candidate.id)
        && voters.keys().filter(|id| **id != candidate.id).all(renounces)
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
    use proptest::prelude::*;
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

    fn designating(pledge: (NodeId, Pledge)) -> (NodeId, Pledge) {
        let (id, mut pledge) = pledge;
        let voters = pledge.promise.electorate.voters.clone();
        let one = NodeId::new(1);
        let electorate = Electorate::designated(GroupId::default(), at(1, 1), voters, one);
        pledge.promise.electorate = electorate.unwrap();
        (id, pledge)
    }

    #[test]
    fn a_designated_voter_is_named_alone_only_when_it_may_go_alone() {
        let alone = Wishes { alone: true, ..Wishes::default() };
        let one = designating(pledge(1, at(1, 5), 2));
        let two = designating(pledge(2, at(1, 9), 2));
        let pledges = BTreeMap::from([one.clone()]);
        assert_eq!(choose(&pledges, Wishes::default(), true), None, "the other may have more");
        assert_eq!(choose(&pledges, alone, true).unwrap().winner.get(), 1);
        assert_eq!(choose(&BTreeMap::from([two.clone()]), alone, true), None, "never the other");
        let both = BTreeMap::from([one, two]);
        for wishes in [Wishes::default(), alone] {
            assert_eq!(choose(&both, wishes, true).unwrap().winner.get(), 2, "it has more");
        }
    }

    #[test]
    fn a_designated_voter_is_named_beside_one_that_knows_itself_to_be_none_any_more() {
        let one = designating(pledge(1, at(1, 5), 2));
        let (two, mut left) = designating(pledge(2, at(1, 6), 2));
        left.promise.electorate =
            electorate([1]).with_learners(BTreeMap::from([(two, incarnation(2))]));
        let both = BTreeMap::from([one.clone(), (two, left)]);
        let choice = choose(&both, Wishes::default(), false).unwrap();
        assert_eq!(choice.winner.get(), 1);
        assert_eq!(choice.promisers.len(), 1, "it makes itself free of the other one again");
        // Who has forgotten everything is not one that was left behind.
        let (two, mut forgot) = designating(pledge(2, LogPoint::NULL, 2));
        forgot.promise.electorate = Electorate::joining();
        forgot.promise.rank = at(1, 6);
        assert_eq!(choose(&BTreeMap::from([one, (two, forgot)]), Wishes::default(), true), None);
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

    proptest! {
        /// Whoever ranks: nothing comes into it but what the promises bring, a row of the matrix from each.
        #[test]
        fn among_equals_the_rows_of_the_matrix_decide(
            matrix in proptest::collection::vec(proptest::collection::vec(0_u64..4, 3), 3),
        ) {
            let trip = |from: u32, to: u32| matrix[from as usize - 1][to as usize - 1];
            let others = |id: u32| (1..=3).filter(move |other| *other != id);
            let pledges: BTreeMap<_, _> = (1..=3)
                .map(|id| {
                    let (node, mut pledge) = pledge(id, at(1, 5), 3);
                    let row = others(id).map(|to| (NodeId::new(to), Duration::from_millis(trip(id, to))));
                    pledge.promise.round_trips = row.collect();
                    (node, pledge)
                })
                .collect();
            // A commit of three takes two: the nearest other one.
            let nearest = |id: &u32| (others(*id).map(|to| trip(*id, to)).min(), *id);
            prop_assert_eq!(winner(&pledges), (1..=3).min_by_key(nearest));
        }
    }

    #[test]
    fn nearness_is_the_round_trip_to_the_last_one_needed() {
        let ms = Duration::from_millis;
        let trips = [(1, 0), (2, 30), (3, 10), (4, 20), (9, 1)];
        let trips = trips.map(|(id, trip)| (NodeId::new(id), ms(trip))).into();
        assert_eq!(nearness(NodeId::new(1), &electorate(1..=5), &trips), ms(20));
        assert_eq!(nearness(NodeId::new(1), &electorate(1..=1), &trips), ms(0));
        assert_eq!(nearness(NodeId::new(1), &electorate(5..=9), &trips), Duration::MAX);
        let learner = BTreeMap::from([(NodeId::new(9), incarnation(9))]);
        let growing = electorate(1..=3).with_learners(learner);
        assert_eq!(nearness(NodeId::new(1), &growing, &trips), ms(10), "9 acknowledges for nobody");
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
    fn learners_make_no_quorum_and_no_master() {
        let mut pledges: BTreeMap<_, _> = (1..=2).map(|id| pledge(id, at(3, 8), 3)).collect();
        let learner = BTreeMap::from([(NodeId::new(2), incarnation(2))]);
        for pledge in pledges.values_mut() {
            let voters = [1, 3, 4];
            pledge.promise.electorate = electorate(voters).with_learners(learner.clone());
        }
        assert_eq!(choose(&pledges, Wishes::default(), true), None, "one of three");
        let (three, mut third) = pledge(3, at(3, 7), 3);
        third.promise.electorate = pledges[&NodeId::new(1)].promise.electorate.clone();
        pledges.insert(three, third);
        pledges.get_mut(&NodeId::new(2)).unwrap().promise.rank = at(3, 9);
        assert_eq!(winner(&pledges), Some(1), "the learner holds more, and is passed over");
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
        pledges.get_mut(&one).unwrap().promise.electorate = Electorate::joining();
        assert_eq!(choose(&pledges, Wishes::default(), true), None, "it knows of a group");
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
        let silent = Wishes { not: Some(NodeId::new(1)), ..Wishes::default() };
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
        let to = |id| Wishes { heir: Some(NodeId::new(id)), ..Wishes::default() };
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
    fn an_heir_that_cannot_be_named_is_not_waited_for() {
        let to = Wishes { heir: Some(NodeId::new(2)), ..Wishes::default() };
        let mut pledges: BTreeMap<_, _> = (1..=2).map(|id| pledge(id, at(2, 5), 3)).collect();
        pledges.get_mut(&NodeId::new(2)).unwrap().promise.nameable = false;
        assert_eq!(choose(&pledges, to, false).unwrap().winner.get(), 1);
    }

    proptest! {
        /// Those who granted a pre-vote promise next, and their logs are as they were.
        #[test]
        fn a_winner_is_foreseen_exactly_if_one_can_be_named(
            held in proptest::collection::btree_map(1_u32..6, (0_u64..4, 1_u32..32, any::<u8>()), 1..6),
        ) {
            let pledges: BTreeMap<_, _> = held
                .into_iter()
                .map(|(id, (vlsn, voters, learners))| {
                    let (id, mut pledge) = pledge(id, at(1, vlsn), 1);
                    let listed = |bits: u32| (1..6).filter(move |id| bits & (1 << (id - 1)) != 0);
                    let learners = listed(u32::from(learners) & !voters);
                    let learners = learners.map(|id| (NodeId::new(id), incarnation(id)));
                    let electorate = electorate(listed(voters));
                    pledge.promise.electorate = electorate.with_learners(learners.collect());
                    pledge.promise.nameable = pledge.promise.electorate.counts(id, incarnation(id.get()));
                    (id, pledge)
                })
                .collect();
            let backers: Vec<_> = pledges.iter().map(|(id, pledge)| pledge.backer(*id)).collect();
            let found = choose(&pledges, Wishes::default(), true);
            prop_assert_eq!(foresees_a_winner(&backers, false), found.is_some());
            if let Some(Choice { winner, promisers }) = found {
                let own = &pledges[&winner].promise;
                let by_name = promisers.iter().map(|it| (it.id, it.incarnation)).collect();
                prop_assert!(own.electorate.is_election_quorum(&by_name));
                prop_assert!(promisers.iter().all(|it| it.rank <= own.rank));
            }
        }
    }

    #[test]
    fn another_incarnation_does_not_count() {
        let (two, mut wiped) = pledge(2, at(2, 5), 3);
        wiped.incarnation = incarnation(77);
        let pledges = BTreeMap::from([pledge(1, at(2, 5), 3), (two, wiped)]);
        assert_eq!(choose(&pledges, Wishes::default(), true), None);
    }
}
