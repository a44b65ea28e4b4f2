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

use crate::error::QuorumError;
use rep_vlsn::mutant;
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

/// The founding of a group needs everyone who is listed: nobody can be asked later whether they were
/// part of another founding. From then on majorities rule.
pub fn founding(voters: usize) -> Needs {
    let most = majority(voters);
    if mutant!("founding-by-majority") {
        return most;
    }
    Needs { election: voters.max(1), commit: most.commit }
}

#[cfg(test)]
mod tests {
    use super::*;

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

    #[test]
    fn a_founding_needs_everyone() {
        assert_eq!(founding(3), Needs { election: 3, commit: 2 });
        assert_eq!(founding(1), Needs { election: 1, commit: 1 });
        assert_eq!(founding(0).election, 1);
    }
}
