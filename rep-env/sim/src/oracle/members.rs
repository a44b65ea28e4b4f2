//! Who belongs: by what the logs themselves say (I-9, I-25, I-26, I-42).
//!
//! Every entry that names the members is known here as a [`Roll`], by its place. Which of them rules whom follows from the logs: the latest in a
//! member's own log, durable or not. Members are counted by number and directory; a machine that was wiped is another member, or none.

use super::{Checked, Invariant, Listed, Member, Oracle, Part, Roll, Run, ensure};
use crate::machine::Machine;
use rep_vlsn::{LogPoint, NodeId, Term};
use std::collections::{BTreeMap, BTreeSet};

impl Oracle {
    /// An entry that names the members has its place in some log.
    pub(crate) fn enrolled(&mut self, roll: Roll) {
        self.rolls.entry((roll.at.vlsn.get(), roll.at.term.get())).or_insert(roll);
    }

    /// Whether the members are not those of the founding any more.
    pub(super) fn has_changed(&self) -> bool {
        self.rolls.len() > 1
    }

    /// The latest of those that lie where `term_at` finds an entry of their term.
    fn latest(&self, term_at: impl Fn(usize) -> Option<Term>) -> Option<&Roll> {
        let lies = |(at, term): &(u64, u64)| term_at(*at as usize - 1) == Some(Term::new(*term));
        self.rolls.iter().rev().find(|(key, _)| lies(key)).map(|(_, roll)| roll)
    }

    /// What rules a member: the latest in its own log.
    pub(crate) fn ruling(&self, node: Machine) -> Option<&Roll> {
        let log = &self.member(node).log;
        self.latest(|at| log.get(at).map(|entry| entry.term))
    }

    /// The same of a member that may have nothing yet: then the founding entry, or those who were listed.
    pub(super) fn ruling_or_first(&self, node: Machine) -> &Roll {
        self.ruling(node).unwrap_or_else(|| self.first())
    }

    fn first(&self) -> &Roll {
        self.rolls.values().next().unwrap_or(&self.listed)
    }

    /// The latest that is durable in the group.
    pub(crate) fn settled_roll(&self) -> &Roll {
        let durable = self.latest(|at| self.claims.get(at).map(|claim| claim.term));
        durable.unwrap_or_else(|| self.first())
    }

    /// Those in a member's log that rule at this entry or were added behind it: what was counted by any of them may count.
    pub(super) fn rolls_from(&self, node: Machine, vlsn: u64) -> Vec<&Roll> {
        let log = &self.member(node).log;
        let held = self.rolls.iter().filter(|((at, term), _)| {
            log.get(*at as usize - 1).is_some_and(|entry| entry.term.get() == *term)
        });
        let held: Vec<(u64, &Roll)> = held.map(|((at, _), roll)| (*at, roll)).collect();
        let begins = held.iter().rposition(|(at, _)| *at <= vlsn).unwrap_or(0);
        let mut rolls: Vec<&Roll> = match held.is_empty() {
            true => vec![self.first()],
            false => held[begins..].iter().map(|(_, roll)| *roll).collect(),
        };
        rolls.extend(self.coming.as_ref().filter(|(of, _)| *of == node).map(|(_, roll)| roll));
        rolls
    }

    /// Those that may count an entry of the group: the latest durable one, and whatever may have come after it.
    pub(super) fn rolls_in_use(&self) -> impl Iterator<Item = &Roll> {
        let settled = self.settled_roll();
        let later = self.rolls.values().filter(move |roll| roll.at > settled.at);
        std::iter::once(settled).chain(later)
    }

    /// Whether the directory that is on the machine now votes and holds the data, by the latest entry that is durable.
    pub(crate) fn counts(&self, node: Machine) -> bool {
        let part = self.settled_roll().lists(node, self.member(node).incarnation);
        part == Some(Part::Voter)
    }

    /// The same of any member.
    pub(crate) fn belongs(&self, node: Machine) -> bool {
        self.settled_roll().lists(node, self.member(node).incarnation).is_some()
    }

    /// Whether the latest durable entry names that machine, with whichever directory.
    pub(crate) fn is_listed(&self, node: Machine) -> bool {
        self.settled_roll().members.values().any(|listed| listed.machine == node)
    }

    /// Whether a member that is to hold the data holds all that is durable, and no other change is on its way.
    pub(crate) fn is_whole(&self, node: Machine) -> bool {
        let member = self.member(node);
        let sound = !member.damaged && !member.worn && member.forgotten.is_none();
        let part = self.settled_roll().lists(node, member.incarnation);
        let is_copy = matches!(part, Some(Part::Voter | Part::Copy));
        let all = member.durable >= self.claims.len() && is_copy;
        sound && (all || self.holds_no_data(node)) && self.rolls_in_use().count() == 1
    }

    /// Whether some entry made that directory a member.
    pub(super) fn was_admitted(&self, node: Machine) -> bool {
        let incarnation = self.member(node).incarnation;
        let mut rolls = self.rolls.values();
        self.rolls.is_empty() || rolls.any(|roll| roll.lists(node, incarnation).is_some())
    }

    /// The same, a voter.
    pub(super) fn ever_counted(&self, node: Machine) -> bool {
        let incarnation = self.member(node).incarnation;
        let votes = |roll: &Roll| roll.lists(node, incarnation).is_some_and(Part::votes);
        self.rolls.is_empty() || self.rolls.values().any(votes)
    }

    /// Whether any entry has had the directory that is on the machine now, a learner's too.
    pub(super) fn ever_listed(&self, node: Machine) -> bool {
        let incarnation = self.member(node).incarnation;
        let lists = |roll: &Roll| roll.lists(node, incarnation).is_some();
        self.rolls.is_empty() || self.rolls.values().any(lists)
    }

    // ---- elections

    /// I-25: who promised this term is an election quorum of the membership in the winner's own log.
    pub(super) fn is_elected(&self, (node, _): Run, term: Term) -> Checked {
        let Some(roll) = self.ruling(node) else { return Ok(()) };
        self.may_reign(node, roll)?;
        let mut promised: BTreeMap<NodeId, BTreeSet<NodeId>> = BTreeMap::new();
        for (number, voter) in roll.voters() {
            let to = voter.incarnation.and_then(|it| self.pledge_of(voter.machine, it, term));
            if let Some(to) = to {
                promised.entry(to).or_default().insert(number);
            }
        }
        let elected = promised.values().any(|promisers| roll.is_elected_by(promisers));
        ensure(elected, Invariant::ConfigOverlap, || {
            format!(
                "{node} is master of {term}; by {} it takes {} to promise that to one proposer, {:?} among them; promised have {promised:?} (to whom, who)",
                roll.at,
                roll.election(),
                roll.designated().map(|(one, _)| one)
            )
        })
    }

    /// I-26: nobody promises a term to who has no vote any more, nor to who has none yet.
    pub(super) fn promises_to_a_voter(&self, node: Machine, term: Term, to: NodeId) -> Checked {
        // Whose removal is not durable yet is heard still.
        let Member { log, dvlsn, .. } = self.member(node);
        let durable = |at: usize| log.get(at).filter(|_| (at as u64) < *dvlsn);
        let Some(roll) = self.latest(|at| durable(at).map(|entry| entry.term)) else {
            return Ok(());
        };
        let from = (roll.at.vlsn.get(), 0);
        let votes = self.rolls.range(from..).any(|(_, roll)| roll.votes(to));
        // A learner may hold an entry that made it a voter and was cut away elsewhere: it is heard, and its log decides what its proposal is worth.
        let learns = roll.members.get(&to).is_some_and(|it| it.part == Part::Learner);
        let was_made_one = learns && self.rolls.values().any(|roll| roll.votes(to));
        ensure(votes || was_made_one, Invariant::RemovedCounts, || {
            format!(
                "{node} promises {term} to member {to}, who has no vote by {} or any later entry",
                roll.at
            )
        })
    }

    // ---- changes

    /// A master adds an entry that names the members anew. What was durable in the group at `caught_up` a learner has to hold that
    /// becomes a voter by it.
    pub(crate) fn changes(&self, node: Machine, roll: &Roll, caught_up: usize) -> Checked {
        let Some(before) = self.ruling(node) else { return Ok(()) };
        self.is_the_only_change(node, before, roll)?;
        Self::quorums_meet(node, before, roll)?;
        self.numbers_are_new(node, before, roll)?;
        self.has_caught_up(node, before, roll, caught_up)
    }

    /// I-25: the entry before is durable, an entry of the master's own term is, and one thing is not as it was.
    fn is_the_only_change(&self, node: Machine, before: &Roll, roll: &Roll) -> Checked {
        let (log, term) = (&self.member(node).log, roll.at.term);
        let is_durable = |vlsn: u64| {
            let entry = &log[vlsn as usize - 1];
            let known = self.member(node).dvlsn >= vlsn;
            known || self.is_counted(node, before, vlsn, (entry.term, entry.chain)).is_ok()
        };
        // The override waits for nothing: all quorums of what it may not know of have its member in them (decision 30).
        if self.is_override(node, before, roll) {
            return Ok(());
        }
        ensure(is_durable(before.at.vlsn.get()), Invariant::OneChange, || {
            format!("{node} changes {} by {}, before that is durable", before.at, roll.at)
        })?;
        let opened = log.partition_point(|entry| entry.term < term) as u64 + 1;
        let begun = log.len() as u64 >= opened && is_durable(opened);
        ensure(begun, Invariant::OneChange, || {
            format!("{node} changes who belongs by {}, before its term has begun durably", roll.at)
        })?;
        let differs = roll.differs(before);
        ensure(differs <= 1, Invariant::OneChange, || {
            format!("{node} changes {differs} things at once by {}", roll.at)
        })
    }

    /// I-25: whatever is counted by the one is seen by who counts by the other.
    fn quorums_meet(node: Machine, before: &Roll, roll: &Roll) -> Checked {
        let apart = [before.apart(roll), roll.apart(roll)].into_iter().flatten().next();
        ensure(apart.is_none(), Invariant::ConfigOverlap, || {
            format!(
                "{node} changes {} by {}: quorums of {apart:?} members need not meet",
                before.at, roll.at
            )
        })
    }

    /// I-26: a number is one directory's for good, and a directory that was removed is none of the group's any more.
    fn numbers_are_new(&self, node: Machine, before: &Roll, roll: &Roll) -> Checked {
        let reused =
            roll.members.iter().find(|(number, listed)| match before.members.get(number) {
                Some(it) => (it.machine, it.incarnation) != (listed.machine, listed.incarnation),
                None => **number < before.next,
            });
        ensure(reused.is_none(), Invariant::NumbersOnce, || {
            format!("{node} gives a number again by {}: {reused:?}", roll.at)
        })?;
        let ahead = roll.members.keys().all(|number| *number < roll.next);
        ensure(ahead && roll.next >= before.next, Invariant::NumbersOnce, || {
            format!("{node} would give number {} next, by {}", roll.next, roll.at)
        })?;
        let new = roll.members.iter().filter(|(number, _)| !before.members.contains_key(number));
        let was = |listed: &Listed| {
            let earlier = self.rolls_from(node, 0);
            earlier
                .iter()
                .any(|roll| roll.members.values().any(|it| it.incarnation == listed.incarnation))
        };
        let back = new.map(|(_, listed)| listed).find(|listed| was(listed));
        ensure(back.is_none(), Invariant::NumbersOnce, || {
            format!("{node} admits a directory again that was a member's: {back:?}")
        })
    }

    /// I-42: who becomes a voter holds what was durable a silence ago.
    fn has_caught_up(&self, node: Machine, before: &Roll, roll: &Roll, upto: usize) -> Checked {
        // Of what a later master has made durable one that was deposed knows nothing; its change will be cut away.
        let known = self.claims.iter().take(upto);
        let known = known.take_while(|claim| claim.in_term <= roll.at.term);
        let (Some(claim), upto) = (known.clone().last(), known.count()) else { return Ok(()) };
        // An arbiter votes at once: it has nothing to catch up with.
        let copies = roll.voters().filter(|(_, listed)| listed.part == Part::Voter);
        let promoted = copies.filter(|(number, _)| !before.votes(*number));
        for (number, listed) in promoted {
            let holds = self.holds_as(&listed, upto as u64, claim.term, claim.chain);
            ensure(holds, Invariant::CaughtUp, || {
                format!(
                    "{node} makes member {number} ({}) a voter by {}; it does not hold entry {upto}, which was durable a silence ago",
                    listed.machine, roll.at
                )
            })?;
        }
        Ok(())
    }

    // ---- what a node thinks

    /// I-43: the latest entry in a node's own log that names the members rules it; where that was cut, the one before does. What stands in for the
    /// head of a log, and is kept before that goes, may tell of a later one, if that is durable in the group.
    pub(crate) fn is_ruled_by(&self, node: Machine, at: Option<LogPoint>) -> Checked {
        let roll = self.ruling(node).map(|roll| roll.at);
        let durable = |at: LogPoint| self.claimed_term(at.vlsn.get()) == Some(at.term);
        let told = self.member(node).keeps_head && at > roll && at.is_some_and(durable);
        ensure(roll == at || told, Invariant::LatestRules, || {
            format!("{node} is ruled by {at:?}; the latest in its log is {roll:?}")
        })
    }

    /// Whether a commit quorum of the members that an entry names holds it durably.
    fn is_durable(&self, roll: &Roll) -> bool {
        let holds = |listed: &Listed| {
            let member = self.member(listed.machine);
            listed.is(listed.machine, member.incarnation) && member.has(roll.at, true)
        };
        roll.voters().filter(|(_, listed)| holds(listed)).count() >= roll.commit()
    }

    /// I-26: who says that it was removed was removed, and all know who look at what is durable. A master that ends within the step in which it
    /// learns so may have told it, and nobody else knows yet: then the disks say so.
    pub(crate) fn was_removed(&self, node: Machine) -> Checked {
        let incarnation = self.member(node).incarnation;
        let mut later = self.rolls_in_use().filter(|roll| self.is_durable(roll));
        let removed =
            !self.belongs(node) || later.any(|roll| roll.lists(node, incarnation).is_none());
        let gone = self.was_admitted(node) && removed;
        ensure(gone, Invariant::RemovedCounts, || {
            format!("{node} ends as one who was removed; it belongs by {}", self.settled_roll().at)
        })
    }

    /// A disk is about to be lost: what is durable by it was durable.
    pub(super) fn notes_durable_rolls(&mut self) {
        let durable = self.rolls_in_use().filter(|roll| self.is_durable(roll));
        let durable: Vec<LogPoint> = durable.map(|roll| roll.at).collect();
        self.once_durable.extend(durable);
    }

    /// A change is told to be made: its entry is durable.
    pub(crate) fn change_is_made(&self, by: Machine, at: LogPoint) -> Checked {
        let durable = self.claimed_term(at.vlsn.get());
        // A master that ended within the step in which it learnt so may have told it: then the disks say so.
        let now = || self.rolls_in_use().any(|roll| roll.at == at && self.is_durable(roll));
        let on_disks = || self.once_durable.contains(&at) || now();
        ensure(durable == Some(at.term) || on_disks(), Invariant::ChangeAnswered, || {
            format!(
                "{by} says that a change was made at {at}; durable there is an entry of {durable:?}"
            )
        })
    }

    /// How many entries had been durable at a time.
    pub(crate) fn durable_at(&self, when: std::time::Duration) -> usize {
        let before = self.claimed_at.partition_point(|(at, _)| *at <= when);
        self.claimed_at[..before].last().map_or(0, |(_, count)| *count)
    }

    /// Takes note of how many are by now.
    pub(crate) fn notes_durable(&mut self, now: std::time::Duration) {
        let count = self.claims.len();
        if self.claimed_at.last().is_none_or(|(_, before)| *before < count) {
            self.claimed_at.push((now, count));
        }
    }
}
