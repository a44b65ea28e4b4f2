//! Who votes, as an entry of the log says.
//!
//! A name alone is no voter: a wiped directory comes back under its old name and has forgotten what it
//! promised. So promises count by name *and* incarnation. Before a group is founded nobody knows the
//! incarnations of the others; then the names alone are listed, and everyone is needed.

use crate::error::QuorumError;
use crate::quorum::{self, Acks};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, mutant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most voters that an electorate has.
pub const VOTERS_MAX: usize = 64;

/// One voter, as recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Voter {
    /// The incarnation whose promises count; `None` while the group is unborn and it is not known.
    pub incarnation: Option<Incarnation>,
}

impl Voter {
    /// A voter whose incarnation is recorded.
    pub const fn known(incarnation: Incarnation) -> Self {
        Voter { incarnation: Some(incarnation) }
    }

    /// A voter of an unborn group of whom only the name is listed.
    pub const fn unknown() -> Self {
        Voter { incarnation: None }
    }
}

/// The voters of a group and how many of them it takes, as of one membership entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Electorate {
    /// The group, or `None` while it is unborn.
    pub group: Option<GroupId>,
    /// Where the membership entry stands in the log; [`LogPoint::NULL`] while the group is unborn.
    pub at: LogPoint,
    /// The voters.
    pub voters: BTreeMap<NodeId, Voter>,
    /// Promises that make a master.
    pub election_need: usize,
    /// Synced copies that make an entry durable.
    pub commit_need: usize,
}

/// How a node stands in an electorate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// A voter, and this very incarnation (or, in an unborn group, any).
    Voter,
    /// A voter's name under another incarnation.
    OtherIncarnation,
    /// Not listed.
    Stranger,
}

impl Electorate {
    /// A founded group under majority rule. Each voter must be [`Voter::known`].
    pub fn majority(group: GroupId, at: LogPoint, voters: BTreeMap<NodeId, Voter>) -> Self {
        let needs = quorum::majority(voters.len());
        Electorate::with(Some(group), at, voters, needs)
    }

    /// A founded group with quorums of chosen sizes.
    ///
    /// # Errors
    ///
    /// If sets that must meet need not: see [`quorum::flexible`].
    pub fn flexible(
        group: GroupId,
        at: LogPoint,
        voters: BTreeMap<NodeId, Voter>,
        election: usize,
        commit: usize,
    ) -> Result<Self, QuorumError> {
        let needs = quorum::flexible(voters.len(), election, commit)?;
        Ok(Electorate::with(Some(group), at, voters, needs))
    }

    /// An unborn group: every listed member is needed. Whose incarnation is known may be listed with it.
    pub fn founding(voters: BTreeMap<NodeId, Voter>) -> Self {
        let needs = quorum::founding(voters.len());
        Electorate::with(None, LogPoint::NULL, voters, needs)
    }

    fn with(
        group: Option<GroupId>,
        at: LogPoint,
        voters: BTreeMap<NodeId, Voter>,
        needs: quorum::Needs,
    ) -> Self {
        debug_assert!(voters.len() <= VOTERS_MAX);
        let quorum::Needs { election, commit } = needs;
        Electorate { group, at, voters, election_need: election, commit_need: commit }
    }

    /// How many voters have to acknowledge an entry, the master among them.
    pub fn acknowledgements(&self, acks: Acks) -> usize {
        quorum::acknowledgements(self.voters.len(), self.commit_need, acks)
    }

    /// Whether the group has been founded.
    pub fn is_born(&self) -> bool {
        self.group.is_some()
    }

    /// How `id`, shown under `incarnation`, stands in this electorate.
    pub fn recognise(&self, id: NodeId, incarnation: Incarnation) -> Acquaintance {
        match self.voters.get(&id) {
            None => Acquaintance::Stranger,
            Some(Voter { incarnation: None }) => Acquaintance::Voter,
            Some(Voter { incarnation: Some(recorded) }) => {
                if *recorded == incarnation || mutant!("election-wiped-votes") {
                    Acquaintance::Voter
                } else {
                    Acquaintance::OtherIncarnation
                }
            }
        }
    }

    /// Whether the promise of `id` under `incarnation` counts here.
    pub fn counts(&self, id: NodeId, incarnation: Incarnation) -> bool {
        self.recognise(id, incarnation) == Acquaintance::Voter
    }

    /// Whether those of `promisers` who count are enough to make a master. A map names each once.
    pub fn is_election_quorum(&self, promisers: &BTreeMap<NodeId, Incarnation>) -> bool {
        let counted = promisers.iter().filter(|(id, incarnation)| self.counts(**id, **incarnation));
        counted.count() >= self.election_need
    }

    /// Why an electorate that came from outside cannot be one, if so.
    pub fn check(&self) -> Result<(), &'static str> {
        let voters = self.voters.len();
        if voters == 0 || voters > VOTERS_MAX {
            return Err("an electorate has 1 to 64 voters");
        }
        let met = quorum::flexible(voters, self.election_need, self.commit_need).is_ok();
        if !met && !mutant!("election-majority-off-by-one") {
            return Err("quorums that need not meet");
        }
        if self.is_born() && self.voters.values().any(|voter| voter.incarnation.is_none()) {
            return Err("a founded group records every incarnation");
        }
        let everyone = self.election_need == voters || mutant!("founding-by-majority");
        if !self.is_born() && (!everyone || self.at != LogPoint::NULL) {
            return Err("a founding needs everyone and stands nowhere in a log");
        }
        Ok(())
    }
}
