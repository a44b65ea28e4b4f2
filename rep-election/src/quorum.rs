//! How many voters it takes. The only place that computes a need.
//!
//! Everything that elections promise rests on one fact: sets that must meet do meet. Two election
//! quorums share a voter, so a term has one master; an election quorum and a commit quorum share
//! a voter, so the new master's promisers know of every durable entry. Majorities meet by counting;
//! other sizes are let in only if counting proves the same.
//!
//! | voters | majority | may be lost |
//! |---|---|---|
//! | 1 | 1 | 0 |
//! | 2 | 2 | 0 |
//! | 3 | 2 | 1 |
//! | 4 | 3 | 1 |
//! | 5 | 3 | 2 |

use crate::electorate::Electorate;
use crate::error::QuorumError;
use rep_vlsn::{NodeId, mutant};
use std::fmt;

/// Sizes of the two quorums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Promises that make a master.
    pub election: usize,
    /// Synced copies that make an entry durable, and answers that confirm a master.
    pub commit: usize,
}

/// How many voters have to acknowledge an entry before its commit counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Acks {
    /// Every voter.
    All,
    /// A commit quorum, the master among it.
    #[default]
    SimpleMajority,
    /// None besides the master.
    None,
}

impl fmt::Display for Acks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Acks::All => "all members",
            Acks::SimpleMajority => "a majority",
            Acks::None => "the master alone",
        })
    }
}

/// How many of `voters` have to acknowledge, the master among them, where `commit` are a commit quorum.
pub fn acknowledgements(voters: usize, commit: usize, acks: Acks) -> usize {
    match acks {
        Acks::SimpleMajority if mutant!("acks-one-too-few") => commit.saturating_sub(1).max(1),
        Acks::All if mutant!("dur-all-is-majority") => commit,
        Acks::All => voters.max(commit),
        Acks::SimpleMajority => commit,
        Acks::None => 1,
    }
}

/// More than half, for both. Of no voters at all, one: never reached.
pub fn majority(voters: usize) -> Needs {
    let half = if mutant!("election-majority-off-by-one") { voters / 2 } else { voters / 2 + 1 };
    Needs { election: half, commit: half }
}

/// Sizes chosen by hand, such as elect 4 and commit 3 of 6: cheaper commits for dearer elections.
///
/// # Errors
///
/// If two election quorums, or an election and a commit quorum, need not share a voter.
pub fn flexible(voters: usize, election: usize, commit: usize) -> Result<Needs, QuorumError> {
    for need in [election, commit] {
        if need == 0 || need > voters {
            return Err(QuorumError::OutOfRange { voters, need });
        }
    }
    if election <= voters - election {
        return Err(QuorumError::ElectionsApart { voters, election });
    }
    if election <= voters - commit {
        return Err(QuorumError::CommitMissed { voters, election, commit });
    }
    Ok(Needs { election, commit })
}

/// Two voters of whom one is *designated*, or that one alone. Nobody is elected without it, and it may be elected alone; an entry needs all.
/// So whoever is elected has the promise of the one that holds whatever is durable. A third voter would see two fail and be no better off, and
/// a second one that could be elected alone would be a second master.
///
/// | voters | election quorums | commit quorums |
/// |---|---|---|
/// | A, B | A; A and B | A and B |
/// | A | A | A |
///
/// # Errors
///
/// If there are more than two.
pub fn designated(voters: usize) -> Result<Needs, QuorumError> {
    match voters {
        1 | 2 => Ok(Needs { election: 1, commit: voters }),
        _ => Err(QuorumError::TooManyForDesignated { voters }),
    }
}

/// The founding of a group needs everyone who is listed: nobody can be asked later whether they were
/// part of another founding. From then on majorities rule.
pub fn founding(voters: usize) -> Needs {
    let most = majority(voters);
    if mutant!("founding-by-majority") {
        return most;
    }
    Needs { election: voters.max(1), commit: most.commit }
}

/// Whether the voters may change from `old` to `new` while elections and commits of either go on: every election quorum
/// of the one meets every election quorum and every commit quorum of the other. A voter under another incarnation is
/// another voter.
///
/// # Errors
///
/// [`QuorumError::ChangeApart`], with the first two quorums that need not meet.
pub fn meet(old: &Electorate, new: &Electorate) -> Result<(), QuorumError> {
    let is_kept = |id: &NodeId| old.voters.get(id).is_some_and(|it| new.voters.get(id) == Some(it));
    let kept = old.voters.keys().filter(|id| is_kept(id)).count();
    // Which of the common voters is in every election quorum, before and after.
    let forced = |electorate: &Electorate| electorate.designated.filter(is_kept);
    let (forced_before, forced_after) = (forced(old), forced(new));
    let (voters_before, voters_after) = (old.voters.len(), new.voters.len());
    let pairs = [
        ((old.election_need, forced_before), (new.election_need, forced_after)),
        ((old.election_need, forced_before), (new.commit_need, None)),
        ((old.commit_need, None), (new.election_need, forced_after)),
    ];
    for ((before, forced_before), (after, forced_after)) in pairs {
        // What a quorum cannot find outside of the common voters it takes from among them, and whom it cannot do without.
        let taken = |need: usize, voters: usize, forced: Option<NodeId>| {
            need.saturating_sub(voters - kept).max(usize::from(forced.is_some()))
        };
        let taken_before = taken(before, voters_before, forced_before);
        let taken_after = taken(after, voters_after, forced_after);
        let same_forced = forced_before.is_some() && forced_before == forced_after;
        let apart = taken_before + taken_after <= kept && !same_forced;
        if apart && !mutant!("quorum-unmet-change") {
            return Err(QuorumError::ChangeApart {
                before,
                voters_before,
                after,
                voters_after,
                kept,
            });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::electorate::Voter;
    use rep_vlsn::{GroupId, Incarnation, LogPoint};

    #[test]
    fn majorities_of_small_groups() {
        let table = [(0, 1), (1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (6, 4), (7, 4)];
        for (voters, need) in table {
            assert_eq!(majority(voters), Needs { election: need, commit: need }, "of {voters}");
        }
    }

    #[test]
    fn majorities_are_flexible_quorums_too() {
        for voters in 1..40 {
            let Needs { election, commit } = majority(voters);
            assert_eq!(flexible(voters, election, commit), Ok(majority(voters)));
        }
    }

    #[test]
    fn all_need_everyone_and_none_the_master_alone() {
        for voters in 1..=7 {
            let commit = majority(voters).commit;
            let need = |acks| acknowledgements(voters, commit, acks);
            assert_eq!(
                (need(Acks::All), need(Acks::SimpleMajority), need(Acks::None)),
                (voters, commit, 1)
            );
        }
    }

    #[test]
    fn quorums_that_need_not_meet_are_refused() {
        assert_eq!(flexible(6, 4, 3), Ok(Needs { election: 4, commit: 3 }));
        assert_eq!(
            flexible(6, 4, 2),
            Err(QuorumError::CommitMissed { voters: 6, election: 4, commit: 2 })
        );
        assert_eq!(flexible(6, 3, 6), Err(QuorumError::ElectionsApart { voters: 6, election: 3 }));
        assert_eq!(flexible(3, 0, 3), Err(QuorumError::OutOfRange { voters: 3, need: 0 }));
        assert_eq!(flexible(3, 4, 3), Err(QuorumError::OutOfRange { voters: 3, need: 4 }));
        assert!(flexible(3, usize::MAX, usize::MAX).is_err());
    }

    /// Every pair of sets of the accepted sizes meets, by enumeration rather than by arithmetic.
    #[test]
    fn accepted_quorums_meet_as_sets() {
        for voters in 1..=6_usize {
            for election in 1..=voters {
                for commit in 1..=voters {
                    let meet = |a: usize, b: usize| {
                        let sets = || 0_u32..1 << voters;
                        sets().filter(|s| s.count_ones() as usize == a).all(|s| {
                            sets().filter(|t| t.count_ones() as usize == b).all(|t| s & t != 0)
                        })
                    };
                    let sound = meet(election, election) && meet(election, commit);
                    assert_eq!(flexible(voters, election, commit).is_ok(), sound);
                }
            }
        }
    }

    /// Voters and quorums of an electorate whose voters are the bits of `voters`.
    fn of(voters: u32, election: usize, commit: usize) -> Electorate {
        let listed = (0..32).filter(|bit| voters & (1 << bit) != 0);
        let listed =
            listed.map(|bit| (NodeId::new(bit + 1), Voter::known(Incarnation([bit as u8; 16]))));
        let group = GroupId::default();
        Electorate::flexible(group, LogPoint::NULL, listed.collect(), election, commit).unwrap()
    }

    /// Every electorate over the voters in `0..bits` that is sound by itself.
    fn all_over(bits: u32) -> Vec<(u32, Electorate)> {
        let mut all = Vec::new();
        for voters in 1_u32..1 << bits {
            let count = voters.count_ones() as usize;
            let sizes = (1..=count).flat_map(|election| (1..=count).map(move |c| (election, c)));
            let sound = sizes.filter(|(election, c)| flexible(count, *election, *c).is_ok());
            all.extend(sound.map(|(election, c)| (voters, of(voters, election, c))));
        }
        all
    }

    /// Election and commit quorums of an electorate, by enumeration of sets rather than by arithmetic.
    fn quorums_of(voters: u32, of: &Electorate) -> (Vec<u32>, Vec<u32>) {
        let within = || (0..=voters).filter(move |set| set & !voters == 0);
        let designated = of.designated.map_or(0, |id| 1 << (id.get() - 1));
        let elects = |set: &u32| {
            set.count_ones() as usize == of.election_need || (designated != 0 && *set == voters)
        };
        let election = within().filter(elects).filter(|set| set & designated == designated);
        let commit = within().filter(|set| set.count_ones() as usize == of.commit_need);
        (election.collect(), commit.collect())
    }

    fn sets_meet(one: &[u32], other: &[u32]) -> bool {
        one.iter().all(|s| other.iter().all(|t| s & t != 0))
    }

    /// And every electorate of one or two voters of whom one is designated.
    fn all_with_designated(bits: u32) -> Vec<(u32, Electorate)> {
        let mut all = all_over(bits);
        let few = (1_u32..1 << bits).filter(|voters| voters.count_ones() <= 2);
        for voters in few {
            let ids = (0..bits).filter(|bit| voters & (1 << bit) != 0).map(|bit| bit + 1);
            let every = of(voters, voters.count_ones() as usize, voters.count_ones() as usize);
            let designated = |id| {
                let (group, at) = (GroupId::default(), LogPoint::NULL);
                let made = Electorate::designated(group, at, every.voters.clone(), NodeId::new(id));
                (voters, made.unwrap())
            };
            all.extend(ids.map(designated));
        }
        all
    }

    #[test]
    fn a_change_is_let_in_if_and_only_if_its_quorums_meet_as_sets() {
        let all = all_with_designated(5);
        let mut let_in = 0;
        for (before, old) in &all {
            let (old_election, old_commit) = quorums_of(*before, old);
            for (after, new) in &all {
                let (new_election, new_commit) = quorums_of(*after, new);
                let sound = sets_meet(&old_election, &new_election)
                    && sets_meet(&old_election, &new_commit)
                    && sets_meet(&old_commit, &new_election);
                assert_eq!(meet(old, new).is_ok(), sound, "{old:?} to {new:?}");
                assert_eq!(meet(old, new).is_ok(), meet(new, old).is_ok(), "there and back");
                let_in += usize::from(sound);
            }
        }
        assert!(let_in > all.len(), "other changes than to itself are let in");
    }

    /// All that decision 30 leans on: whatever may rule before or after a membership with a designated voter, this one voter is in each of its
    /// quorums. So that voter by itself meets them all, and the override needs no entry of its own term to be durable before it.
    #[test]
    fn every_quorum_of_a_neighbour_has_the_designated_voter_in_it() {
        let all = all_with_designated(4);
        for (voters, designating) in &all {
            let Some(designated) = designating.designated else { continue };
            let bit = 1_u32 << (designated.get() - 1);
            let (election, commit) = quorums_of(*voters, designating);
            assert!(election.iter().chain(&commit).all(|set| set & bit != 0));
            let neighbours = all.iter().filter(|(_, it)| meet(designating, it).is_ok());
            for (of, neighbour) in neighbours {
                let (election, commit) = quorums_of(*of, neighbour);
                let has = election.iter().chain(&commit).all(|set| set & bit != 0);
                assert!(has, "{designating:?} beside {neighbour:?}");
            }
        }
    }

    #[test]
    fn two_are_not_designated_at_once_nor_one_after_the_other_in_one_step() {
        let both = of(0b11, 2, 2);
        let designated = |id| {
            let (group, at) = (GroupId::default(), LogPoint::NULL);
            Electorate::designated(group, at, both.voters.clone(), NodeId::new(id)).unwrap()
        };
        assert!(meet(&designated(1), &designated(2)).is_err());
        assert_eq!(meet(&designated(1), &both), Ok(()));
        assert_eq!(meet(&both, &designated(2)), Ok(()));
        assert!(designated(1).check().is_ok());
        let third = of(0b111, 2, 2).voters;
        let many =
            Electorate::designated(GroupId::default(), LogPoint::NULL, third, NodeId::new(1));
        assert_eq!(many, Err(QuorumError::TooManyForDesignated { voters: 3 }));
        let stranger =
            Electorate::designated(GroupId::default(), LogPoint::NULL, both.voters, NodeId::new(9));
        let designated = NodeId::new(9);
        assert_eq!(stranger, Err(QuorumError::DesignatedNoVoter { designated }));
    }

    #[test]
    fn one_voter_more_or_less_is_always_let_in_under_majorities_and_two_are_not() {
        let first = |voters: u32| {
            let needs = majority(voters as usize);
            of((1 << voters) - 1, needs.election, needs.commit)
        };
        for voters in 1..12 {
            assert_eq!(meet(&first(voters), &first(voters + 1)), Ok(()));
            assert_eq!(meet(&first(voters + 1), &first(voters)), Ok(()));
        }
        let apart = QuorumError::ChangeApart {
            before: 2,
            voters_before: 3,
            after: 3,
            voters_after: 5,
            kept: 3,
        };
        assert_eq!(meet(&first(3), &first(5)), Err(apart));
        assert_eq!(meet(&first(2), &first(4)), Ok(()), "both of two are among any three of four");
    }

    #[test]
    fn a_voter_under_another_incarnation_is_another_voter() {
        let (old, mut new) = (of(0b111, 2, 2), of(0b111, 2, 2));
        new.voters.insert(NodeId::new(1), Voter::known(Incarnation([99; 16])));
        assert!(meet(&old, &new).is_err(), "one for another is two changes");
    }

    #[test]
    fn a_founding_needs_everyone() {
        assert_eq!(founding(3), Needs { election: 3, commit: 2 });
        assert_eq!(founding(1), Needs { election: 1, commit: 1 });
        assert_eq!(founding(0).election, 1);
    }
}
