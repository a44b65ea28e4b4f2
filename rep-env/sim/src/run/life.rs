//! The proof of life: what a group has to show after trouble has ended.

use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, Listed, Roll, ensure};
use crate::process::Life;
use crate::world::World;
use rep_node::{MemberType, Role};
use rep_store::StateMachine;
use std::time::Duration;

/// How many election timeouts a healed group has for each of the two proofs of life.
const TIMEOUTS_MAX: u32 = 50;

/// And so many syncs where the tail has no room for an entry: the disk is given one at a time then, at tens of milliseconds each, and a member that
/// was away is a thousand of them behind.
const SYNCS_MAX: u32 = 1000;

impl World {
    /// Members whose disks hold what they are thought to hold, with the directory that the group knows. An older image is none
    /// of them while somebody remembers it: it comes back as a learner, once there are any.
    pub(crate) fn core(&self) -> Vec<Machine> {
        let sound = |id: &Machine| {
            !matches!(self.process(*id).life, Life::Broken(_))
                && !self.oracle.member(*id).damaged
                && !self.oracle.went_back(*id)
                && !self.cannot_be_given_a_copy(*id)
                && !self.votes_unawares(*id)
                && self.oracle.belongs(*id)
        };
        self.ids().into_iter().filter(sound).collect()
    }

    /// A member without an entry does not know its group, and so not of whom to take a state of that. It lost the founding entry that it had
    /// agreed to, and the head of all logs is gone: a stated limit.
    fn cannot_be_given_a_copy(&self, id: Machine) -> bool {
        let live = self.process(id).live.as_ref();
        self.stranded.contains(&id) && live.is_some_and(|live| live.node.group().is_none())
    }

    /// An arbiter votes from the entry on that admits it, and does not know before it is told: by a master, so that it helps nobody to become one. A
    /// stated limit.
    fn votes_unawares(&self, id: Machine) -> bool {
        let live = self.process(id).live.as_ref();
        self.oracle.is_arbiter(id) && live.is_some_and(|live| live.placed_in.is_none())
    }

    /// After trouble: I-34, and everything that has to be equal is.
    pub(crate) fn prove_life(&mut self) {
        if self.is_over() {
            return;
        }
        self.heal();
        let (healed, limit) = (self.now, self.time_to_live());
        // Who will find out now that only a copy of the state helps it is not known yet.
        if !self.is_enough(&self.core()) {
            self.run_for(limit / 5);
            return self.judge_the_few();
        }
        let served = self.run_until(limit, |world| {
            world.faults.acked_at.is_some_and(|(_, begun)| begun > healed)
        });
        if !self.is_enough(&self.core()) {
            return self.judge_the_few();
        }
        let checked = ensure(served || self.is_over(), Invariant::Liveness, || {
            format!(
                "no write was served within {TIMEOUTS_MAX} election timeouts after everything healed"
            )
        });
        self.check(checked);
        self.all_find_their_place(limit);
        self.faults.load_on = false;
        let converged = self.run_until(limit, World::has_converged);
        let checked = ensure(converged || self.is_over(), Invariant::Liveness, || {
            format!("the core did not converge within {TIMEOUTS_MAX} election timeouts")
        });
        self.check(checked);
        if !self.is_over() {
            let checked = self.all_agree();
            self.check(checked);
            self.prove_watch(limit);
            self.prove_shipping(limit);
        }
        if !self.is_over() && self.is_quick() {
            self.prove_relays();
            self.prove_rest();
        }
    }

    fn time_to_live(&self) -> Duration {
        let disk = &self.swarm.disk;
        let one_at_a_time = (disk.tail_bytes as u64) < disk.payload_bytes_max;
        let syncs = if one_at_a_time { disk.sync * SYNCS_MAX } else { Duration::ZERO };
        self.swarm.election_timeout_max() * TIMEOUTS_MAX + syncs
    }

    /// Whether these are both quorums, by the latest durable membership and by all that rule somebody who runs.
    fn is_enough(&self, core: &[Machine]) -> bool {
        self.rolls_that_rule()
            .all(|roll| self.are_quorums(roll, core) || self.may_go_alone(roll, core))
    }

    fn are_quorums(&self, roll: &Roll, core: &[Machine]) -> bool {
        let sound = roll.voters().filter(|(_, listed)| core.contains(&listed.machine));
        sound.count() >= roll.election().max(roll.commit()) && self.oracle.arbiter_helps(roll, core)
    }

    /// The designated voter is sound, and the directory of the other one is at work nowhere: then it is elected alone after a while.
    fn may_go_alone(&self, roll: &Roll, core: &[Machine]) -> bool {
        let is_silent = |listed: &Listed| {
            let process = self.process(listed.machine);
            process.live.is_none() || listed.incarnation != Some(process.incarnation)
        };
        roll.designated().is_some_and(|(one, listed)| {
            let mut others = roll.voters().filter(|(number, _)| *number != one);
            core.contains(&listed.machine) && others.all(|(_, listed)| is_silent(&listed))
        })
    }

    /// Whether the rest are quorums as they stand, and wait for nobody.
    pub(super) fn is_enough_without(&self, away: Machine) -> bool {
        let rest: Vec<Machine> = self.core().into_iter().filter(|id| *id != away).collect();
        self.rolls_that_rule().all(|roll| self.are_quorums(roll, &rest))
    }

    fn rolls_that_rule(&self) -> impl Iterator<Item = &Roll> {
        let running = self.ids().into_iter().filter(|id| self.process(*id).life == Life::Up);
        let ruling = running.filter_map(|id| self.oracle.ruling(id));
        std::iter::once(self.oracle.settled_roll()).chain(ruling)
    }

    /// I-34 for those who join: whoever was told to, or was wiped, is a voter within the bound.
    fn all_find_their_place(&mut self, limit: Duration) {
        if !self.swarm.members.join {
            return;
        }
        // A log that is cleaned as fast as it is written may run away from whoever is to catch up.
        self.run_until(limit, |world| world.without_a_place().is_empty());
        self.faults.load_on = false;
        let placed = self.run_until(limit, |world| world.without_a_place().is_empty());
        let checked = ensure(placed || self.is_over(), Invariant::Liveness, || {
            format!(
                "{:?} have no vote {TIMEOUTS_MAX} election timeouts after everything healed, and do not know that they were removed",
                self.without_a_place()
            )
        });
        self.check(checked);
    }

    /// Whether it is what it joined to be. An arbiter is a voter more at once: where those who are there would be too few then, it is not admitted.
    fn has_its_place(&self, id: Machine) -> bool {
        let (copies, core) = (self.oracle.settled_roll().copies(), self.core());
        let copies: Vec<bool> = copies.map(|it| core.contains(&it.machine)).collect();
        let here = copies.iter().filter(|is_here| **is_here).count();
        let too_few = here < copies.len().div_ceil(2) + 1;
        // Beside a designated member only one more is let in.
        let no_room = self.oracle.settled_roll().has_no_room() && !self.oracle.is_listed(id);
        match self.swarm.kind_of(id) {
            MemberType::Arbiter if too_few => true,
            MemberType::Electable if no_room => true,
            MemberType::Electable => self.oracle.counts(id),
            _ => self.oracle.belongs(id),
        }
    }

    /// Whether any of those whom it asks to be admitted can answer: all whom its flags name may have been replaced, or stay out.
    fn knows_whom_to_ask(&self, id: Machine) -> bool {
        let (live, core) = (self.process(id).live.as_ref(), self.core());
        let joining = live.and_then(|live| live.joining.as_ref());
        joining.is_none_or(|joining| joining.asks_any(|helper| core.contains(&helper)))
    }

    /// Whether anybody of the core is a member by what it knows itself: it believes nobody else that it was removed, and while it was away all whom it
    /// knew may have been replaced.
    fn may_be_told(&self, id: Machine) -> bool {
        let live = self.process(id).live.as_ref();
        let Some(knows) = live.and_then(|live| live.node.membership()) else { return true };
        let known = |core: Machine| knows.of_incarnation(self.process(core).incarnation).is_some();
        self.core().into_iter().any(known)
    }

    /// Those of the core that hold the data.
    fn copies(&self) -> Vec<Machine> {
        self.core().into_iter().filter(|id| !self.oracle.holds_no_data(*id)).collect()
    }

    /// Whose process runs, has not been removed, and has no vote (or, if it is to have none, no place).
    fn without_a_place(&self) -> Vec<Machine> {
        // Quorums that were chosen by hand may leave no room for one member more, and so may such as become durable only now.
        if self.oracle.settled_roll().is_chosen_by_hand() {
            return Vec::new();
        }
        let waits = |id: &Machine| {
            let live = self.process(*id).live.as_ref();
            live.is_some_and(|live| !live.removed && !live.turned_down)
                && self.knows_whom_to_ask(*id)
                && self.may_be_told(*id)
                && !self.has_its_place(*id)
        };
        self.ids().into_iter().filter(waits).collect()
    }

    /// Fewer than a majority have kept their disks: nothing is served any more, and nothing may be lost that no fault took.
    fn judge_the_few(&mut self) {
        if self.is_over() {
            return;
        }
        let checked = self.oracle.still_holds_all_claimed();
        self.check(checked);
        for id in self.core() {
            let checked = self.state_is_that_of_others(id);
            self.check(checked);
        }
    }

    /// I-15 for one: its state is that of all who ever stood there.
    fn state_is_that_of_others(&mut self, id: Machine) -> Checked {
        let Some(live) = self.live_mut(id) else { return Ok(()) };
        let (applied, digest) =
            (live.store.applied(), live.store.digest().ok().map(|digest| digest.0));
        self.oracle.applied(id, applied, digest)
    }

    /// Whether no tail of a delay or of a sync can pass for a silence.
    fn is_quick(&self) -> bool {
        let (timeout, disk) = (self.swarm.election_timeout, self.swarm.disk.sync);
        self.swarm.net.delay * 100 < timeout && disk * 100 < timeout
    }

    /// I-35: a replica that was cut off and comes back disturbs nobody.
    fn prove_rest(&mut self) {
        // What was reset when everything healed is dialled again first.
        self.run_for(self.swarm.election_timeout_max() * 3);
        let master = self.master();
        let others: Vec<Machine> =
            self.core().into_iter().filter(|id| Some(*id) != master).collect();
        // Without one of them the rest have to be enough.
        if others.is_empty() || others.iter().any(|away| !self.is_enough_without(*away)) {
            return;
        }
        let terms = self
            .ids()
            .into_iter()
            .filter_map(|id| self.process(id).live.as_ref().map(|live| live.node.term()));
        self.faults.settled = terms.max();
        // Of a stream that the makers of trouble do not draw from: a run without them does the same.
        let away = self.rngs.load.pick(&others);
        self.isolate(away);
        self.run_for(self.swarm.election_timeout_max() * 2);
        self.rejoin(away);
        self.run_for(self.swarm.election_timeout_max() * 2);
        self.faults.settled = None;
    }

    pub(crate) fn has_converged(&self) -> bool {
        // A master that is an older image, and whom nobody knows as one, is what the others have to agree with.
        let Some(master) = self.master() else { return false };
        let mut ends = self.copies().into_iter().chain([master]).map(|id| {
            let live = self.process(id).live.as_ref()?;
            let (node, applied) = (&live.node, live.store.applied());
            let settled = node.log().last() == applied
                && node.log().synced() == applied.vlsn
                && live.open_calls.is_empty();
            settled.then_some(applied)
        });
        let first = ends.next().flatten();
        first.is_some() && ends.all(|end| end == first) && self.leaders().len() == 1
    }

    /// All who think that they lead: one that was stopped finds out a moment after it goes on, though nobody needs it to.
    fn leaders(&self) -> Vec<Machine> {
        let leads = |id: &Machine| {
            self.process(*id).live.as_ref().is_some_and(|live| live.node.role() == Role::Leader)
        };
        self.ids().into_iter().filter(leads).collect()
    }

    pub(crate) fn all_agree(&mut self) -> Checked {
        let mut first = None;
        for id in self.copies() {
            self.oracle.holds_all_acked(id)?;
            self.look_at_everything(id)?;
            let Some(live) = self.live_mut(id) else { continue };
            let untold = live.dropped;
            ensure(untold.is_none(), Invariant::RollbackFloor, || {
                format!("{id} has cut {untold:?} and never said so")
            })?;
            let digest = live.store.digest().ok();
            let same = first.is_none() || digest == first;
            ensure(same, Invariant::ReplicaEquality, || {
                format!("the state of {id} is not that of the others")
            })?;
            first = digest;
        }
        let leaders = self.leaders();
        ensure(leaders.len() == 1, Invariant::Liveness, || format!("at the end {leaders:?} lead"))
    }
}
