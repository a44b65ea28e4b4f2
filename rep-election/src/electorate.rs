//! Who votes, and who is to, as an entry of the log says.
//!
//! A name alone is no voter: a wiped directory comes back under its old name and has forgotten what it
//! promised. So promises count by name *and* incarnation. Before a group is founded nobody knows the
//! incarnations of the others; then the names alone are listed, and everyone is needed.
//!
//! A *learner* holds a copy and is to become a voter. It is asked for its promise like a voter, since a later
//! entry, which the asker does not hold, may count it. By this entry it counts for nothing.

use crate::error::QuorumError;
use crate::quorum::{self, Acks, Needs};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, mutant};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Most voters and learners, together, that an electorate has.
pub const MEMBERS_MAX: usize = 64;

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
    /// Who is to become a voter: asked for promises, counted nowhere, never master.
    pub learners: BTreeMap<NodeId, Incarnation>,
    /// Promises that make a master.
    pub election_need: usize,
    /// Synced copies that make an entry durable.
    pub commit_need: usize,
    /// The voter that is in every election quorum and may be one alone: see [`quorum::designated`].
    #[serde(skip)]
    pub designated: Option<NodeId>,
}

/// How a node stands in an electorate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acquaintance {
    /// A voter, and this very incarnation (or, in an unborn group, any).
    Voter,
    /// A learner, and this very incarnation.
    Learner,
    /// A voter's or a learner's name under another incarnation.
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

    /// A founded group of two voters, one of whom may be elected alone and the other not without it.
    ///
    /// # Errors
    ///
    /// If it is none of the voters, or there are more than two: see [`quorum::designated`].
    pub fn designated(
        group: GroupId,
        at: LogPoint,
        voters: BTreeMap<NodeId, Voter>,
        designated: NodeId,
    ) -> Result<Self, QuorumError> {
        let needs = quorum::designated(voters.len())?;
        if !voters.contains_key(&designated) {
            return Err(QuorumError::DesignatedNoVoter { designated });
        }
        let electorate = Electorate::with(Some(group), at, voters, needs);
        Ok(Electorate { designated: Some(designated), ..electorate })
    }

    /// An unborn group: every listed member is needed. Whose incarnation is known may be listed with it.
    pub fn founding(voters: BTreeMap<NodeId, Voter>) -> Self {
        let needs = quorum::founding(voters.len());
        Electorate::with(None, LogPoint::NULL, voters, needs)
    }

    /// No group yet, and none to be founded: whoever joins a group knows nobody until that group's log tells it. It
    /// promises to those who know it, and stands never.
    pub fn joining() -> Self {
        Electorate::with(None, LogPoint::NULL, BTreeMap::new(), quorum::founding(0))
    }

    /// Whether it is one that founds a group.
    pub(crate) fn founds(&self) -> bool {
        !self.is_born() && !self.voters.is_empty()
    }

    /// The same with these learners.
    pub fn with_learners(self, learners: BTreeMap<NodeId, Incarnation>) -> Self {
        Electorate { learners, ..self }
    }

    fn with(
        group: Option<GroupId>,
        at: LogPoint,
        voters: BTreeMap<NodeId, Voter>,
        needs: quorum::Needs,
    ) -> Self {
        debug_assert!(voters.len() <= MEMBERS_MAX);
        let quorum::Needs { election, commit } = needs;
        Electorate {
            group,
            at,
            voters,
            learners: BTreeMap::new(),
            election_need: election,
            commit_need: commit,
            designated: None,
        }
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
        let (listed_as, recorded) = match (self.voters.get(&id), self.learners.get(&id)) {
            (Some(voter), _) => (Acquaintance::Voter, voter.incarnation),
            (None, Some(learner)) => (Acquaintance::Learner, Some(*learner)),
            (None, None) => return Acquaintance::Stranger,
        };
        let same = recorded.is_none_or(|recorded| recorded == incarnation);
        if same || mutant!("election-wiped-votes") {
            listed_as
        } else {
            Acquaintance::OtherIncarnation
        }
    }

    /// Whether `id` under `incarnation` is a voter or a learner here.
    pub fn knows(&self, id: NodeId, incarnation: Incarnation) -> bool {
        matches!(self.recognise(id, incarnation), Acquaintance::Voter | Acquaintance::Learner)
    }

    /// Whether `id` is listed, under whichever incarnation.
    pub fn lists(&self, id: NodeId) -> bool {
        self.voters.contains_key(&id) || self.learners.contains_key(&id)
    }

    /// Everyone who is asked for a promise.
    pub fn members(&self) -> impl Iterator<Item = NodeId> {
        self.voters.keys().chain(self.learners.keys()).copied()
    }

    /// Whether the promise of `id` under `incarnation` counts here.
    pub fn counts(&self, id: NodeId, incarnation: Incarnation) -> bool {
        match self.recognise(id, incarnation) {
            Acquaintance::Voter => true,
            Acquaintance::Learner => mutant!("election-learner-counts"),
            Acquaintance::OtherIncarnation | Acquaintance::Stranger => false,
        }
    }

    /// Whether those of `promisers` who count are enough to make a master. A map names each once.
    pub fn is_election_quorum(&self, promisers: &BTreeMap<NodeId, Incarnation>) -> bool {
        let counted = promisers.iter().filter(|(id, incarnation)| self.counts(**id, **incarnation));
        counted.count() >= self.election_need && self.has_designated(promisers)
    }

    fn has_designated(&self, promisers: &BTreeMap<NodeId, Incarnation>) -> bool {
        let promised = |id: NodeId| promisers.get(&id).is_some_and(|it| self.counts(id, *it));
        self.designated.is_none_or(promised) || mutant!("quorum-designated-not-asked")
    }

    /// Whether `promisers` are enough for a proposer: an election quorum, and where one voter may be elected alone, everybody, unless it is
    /// to be `alone`. It is safe either way; but what is acknowledged and on no disk yet, the other one may have.
    pub fn suffices(&self, promisers: &BTreeMap<NodeId, Incarnation>, alone: bool) -> bool {
        let promised = |id: &NodeId| promisers.get(id).is_some_and(|it| self.counts(*id, *it));
        let alone = alone || self.designated.is_none() || mutant!("election-designated-in-haste");
        self.is_election_quorum(promisers) && (alone || self.voters.keys().all(promised))
    }

    /// Why an electorate that came from outside cannot be one, if so.
    pub fn check(&self) -> Result<(), &'static str> {
        if *self == Electorate::joining() {
            return Ok(());
        }
        let voters = self.voters.len();
        if voters == 0 || voters + self.learners.len() > MEMBERS_MAX {
            return Err("an electorate has 1 to 64 members, a voter among them");
        }
        if self.learners.keys().any(|id| self.voters.contains_key(id)) {
            return Err("a learner is no voter");
        }
        let met = match self.designated {
            None => quorum::flexible(voters, self.election_need, self.commit_need).is_ok(),
            Some(designated) => {
                let needs = Needs { election: self.election_need, commit: self.commit_need };
                let sound = self.voters.contains_key(&designated) && self.is_born();
                sound && quorum::designated(voters) == Ok(needs)
            }
        };
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
        if !self.is_born() && !self.learners.is_empty() {
            return Err("an unborn group has no learners");
        }
        Ok(())
    }
}
