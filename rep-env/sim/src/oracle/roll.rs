//! The members at one entry of the log, and how many of them it takes: by arithmetic of our own.

use crate::machine::Machine;
use rep_node::{MemberType, Membership, Quorums};
use rep_vlsn::{Incarnation, LogPoint, NodeId};
use std::collections::{BTreeMap, BTreeSet};

/// What a member is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Voter,
    /// Votes and holds nothing.
    Arbiter,
    /// Is to become a voter.
    Learner,
    /// Never counts.
    Copy,
    /// Is told who belongs, and who is master.
    Monitor,
}

impl Part {
    pub(super) fn votes(self) -> bool {
        matches!(self, Part::Voter | Part::Arbiter)
    }
}

/// A member, as an entry names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) machine: Machine,
    /// `None` before a group exists: whoever it is.
    pub(crate) incarnation: Option<Incarnation>,
    pub(crate) part: Part,
}

/// The members at one entry of the log.
#[derive(Clone, Debug)]
pub(crate) struct Roll {
    pub(crate) at: LogPoint,
    pub(crate) members: BTreeMap<NodeId, Listed>,
    /// The number that the next one gets.
    pub(super) next: NodeId,
    needs: Needs,
}

/// How many voters it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Needs {
    /// More than half.
    #[default]
    Most,
    /// Numbers chosen by hand, for an election and a commit.
    Sizes(usize, usize),
    /// This one is in every election quorum and may be one alone; an entry takes all.
    Designated(NodeId),
}

/// What the voters have in common who elect, or make an entry durable.
#[derive(Clone, Copy)]
enum Quorum {
    /// They are so many.
    Of(usize),
    /// This one is among them.
    With(NodeId, Listed),
}

impl Roll {
    /// What such an entry says; `None` if it names somebody who is no machine of this world.
    pub(crate) fn of(membership: &Membership) -> Option<Self> {
        let listed = |member: &rep_node::Member| {
            let machine = Machine::named(&member.name)?;
            let part = match member.kind {
                MemberType::Electable => Part::Voter,
                MemberType::Arbiter => Part::Arbiter,
                MemberType::Learner => Part::Learner,
                MemberType::Monitor => Part::Monitor,
                _ => Part::Copy,
            };
            Some((member.id, Listed { machine, incarnation: Some(member.incarnation), part }))
        };
        let needs = match membership.quorums {
            Quorums::Majority => Needs::Most,
            Quorums::Sizes { election, commit } => Needs::Sizes(election, commit),
            Quorums::Designated(one) => Needs::Designated(one),
        };
        let members = membership.members.values().map(listed).collect::<Option<_>>()?;
        Some(Roll { at: membership.at, members, next: membership.next_id, needs })
    }

    /// The first machines, whoever is on them: before there is a group.
    pub(super) fn listed(count: u32) -> Self {
        let voter = |place| {
            let listed =
                Listed { machine: Machine::new(place), incarnation: None, part: Part::Voter };
            (NodeId::new(place), listed)
        };
        let (members, next) = ((1..=count).map(voter).collect(), NodeId::new(count + 1));
        Roll { at: LogPoint::NULL, members, next, needs: Needs::Most }
    }

    /// Those that a test lists, as an entry names them.
    #[cfg(test)]
    pub(crate) fn naming(at: LogPoint, members: &[(u32, Machine, Incarnation, Part)]) -> Self {
        let listed = |&(number, machine, incarnation, part): &(u32, Machine, Incarnation, Part)| {
            (NodeId::new(number), Listed { machine, incarnation: Some(incarnation), part })
        };
        let members: BTreeMap<NodeId, Listed> = members.iter().map(listed).collect();
        let greatest = members.keys().next_back().map_or(0, |number| number.get());
        Roll { at, members, next: NodeId::new(greatest + 1), needs: Needs::Most }
    }

    /// The same, with quorums chosen by hand.
    #[cfg(test)]
    pub(crate) fn with_sizes(self, election: usize, commit: usize) -> Self {
        Roll { needs: Needs::Sizes(election, commit), ..self }
    }

    /// The same, with a member designated.
    #[cfg(test)]
    pub(crate) fn designating(self, one: u32) -> Self {
        Roll { needs: Needs::Designated(NodeId::new(one)), ..self }
    }

    /// The same, where so many numbers were given.
    #[cfg(test)]
    pub(crate) fn with_next(self, next: u32) -> Self {
        Roll { next: NodeId::new(next), ..self }
    }

    pub(crate) fn voters(&self) -> impl Iterator<Item = (NodeId, Listed)> + '_ {
        let voters = self.members.iter().filter(|(_, listed)| listed.part.votes());
        voters.map(|(number, listed)| (*number, *listed))
    }

    /// Those of them that hold the data.
    pub(crate) fn copies(&self) -> impl Iterator<Item = Listed> + '_ {
        self.members.values().copied().filter(|listed| listed.part == Part::Voter)
    }

    /// The one of them that does not.
    pub(crate) fn arbiter(&self) -> Option<Listed> {
        self.members.values().copied().find(|listed| listed.part == Part::Arbiter)
    }

    fn majority(&self) -> usize {
        self.voters().count() / 2 + 1
    }

    /// Whether the sizes of its quorums do not follow from how many voters there are.
    pub(crate) fn is_chosen_by_hand(&self) -> bool {
        matches!(self.needs, Needs::Sizes(..))
    }

    /// Who is in every election quorum, and may be one alone.
    pub(crate) fn designated(&self) -> Option<(NodeId, Listed)> {
        let Needs::Designated(one) = self.needs else { return None };
        self.members.get(&one).map(|listed| (one, *listed))
    }

    /// Whether somebody is designated, and there are two already who vote or are to.
    pub(crate) fn has_no_room(&self) -> bool {
        let parts = self.members.values().map(|listed| listed.part);
        let to_vote = parts.filter(|part| matches!(part, Part::Voter | Part::Learner)).count();
        self.designated().is_some() && to_vote >= 2
    }

    /// Promises that make a master.
    pub(crate) fn election(&self) -> usize {
        match self.needs {
            Needs::Most => self.majority(),
            Needs::Sizes(election, _) => election,
            Needs::Designated(_) => 1,
        }
    }

    /// Copies that make an entry durable.
    pub(crate) fn commit(&self) -> usize {
        match self.needs {
            Needs::Most => self.majority(),
            Needs::Sizes(_, commit) => commit,
            Needs::Designated(_) => self.voters().count(),
        }
    }

    /// Whether the promises of these voters make a master.
    pub(super) fn is_elected_by(&self, promisers: &BTreeSet<NodeId>) -> bool {
        let asked = self.designated().is_none_or(|(one, _)| promisers.contains(&one));
        promisers.len() >= self.election() && asked
    }

    pub(crate) fn lists(&self, machine: Machine, incarnation: Incarnation) -> Option<Part> {
        let it = self.members.values().find(|listed| listed.is(machine, incarnation));
        it.map(|listed| listed.part)
    }

    pub(super) fn votes(&self, number: NodeId) -> bool {
        self.members.get(&number).is_some_and(|listed| listed.part.votes())
    }

    /// Two quorums, one of each, that need not have anybody in common; by their sizes.
    pub(super) fn apart(&self, other: &Roll) -> Option<(usize, usize)> {
        let elects = |roll: &Roll| match roll.designated() {
            Some((one, listed)) => Quorum::With(one, listed),
            None => Quorum::Of(roll.election()),
        };
        let commits = |roll: &Roll| Quorum::Of(roll.commit());
        let pairs = [
            (elects(self), elects(other)),
            (elects(self), commits(other)),
            (commits(self), elects(other)),
        ];
        let apart = pairs.into_iter().find(|(ours, theirs)| self.may_miss(*ours, other, *theirs));
        apart.map(|(ours, theirs)| (ours.least(), theirs.least()))
    }

    fn may_miss(&self, ours: Quorum, other: &Roll, theirs: Quorum) -> bool {
        let without = |roll: &Roll, one| roll.voters().filter(|voter| *voter != one).count();
        match (ours, theirs) {
            (Quorum::Of(a), Quorum::Of(b)) => {
                let (ours, theirs) = (self.voters().count(), other.voters().count());
                let is_common = |voter: &(NodeId, Listed)| other.voters().any(|it| it == *voter);
                let common = self.voters().filter(is_common).count();
                // Each takes from among the common ones only what it does not find elsewhere.
                a.saturating_sub(ours - common) + b.saturating_sub(theirs - common) <= common
            }
            (Quorum::With(id, listed), Quorum::Of(need)) => without(other, (id, listed)) >= need,
            (Quorum::Of(need), Quorum::With(id, listed)) => without(self, (id, listed)) >= need,
            (Quorum::With(id, listed), Quorum::With(other, of)) => (id, listed) != (other, of),
        }
    }

    /// How many things are not as they were before.
    pub(super) fn differs(&self, before: &Roll) -> usize {
        let changed = |(number, listed): &(&NodeId, &Listed)| {
            before.members.get(number).is_none_or(|it| it != *listed)
        };
        let gone = before.members.keys().filter(|number| !self.members.contains_key(number));
        let needs = usize::from(self.needs != before.needs);
        self.members.iter().filter(changed).count() + gone.count() + needs
    }
}

impl Quorum {
    /// The fewest that it can be.
    fn least(self) -> usize {
        match self {
            Quorum::Of(need) => need,
            Quorum::With(..) => 1,
        }
    }
}

impl Listed {
    pub(super) fn is(&self, machine: Machine, incarnation: Incarnation) -> bool {
        self.machine == machine && self.incarnation.is_none_or(|it| it == incarnation)
    }
}
