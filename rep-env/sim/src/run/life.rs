//! The proof of life: what a group has to show after trouble has ended.

use crate::oracle::{Checked, Invariant, ensure};
use crate::process::Life;
use crate::world::World;
use rep_node::Role;
use rep_store::StateMachine;
use rep_vlsn::NodeId;

/// How many election timeouts a healed group has for each of the two proofs of life.
const TIMEOUTS_MAX: u32 = 50;

impl World {
    /// Members whose disks hold what they are thought to hold, under the incarnation that the group knows. An older image is none
    /// of them while somebody remembers it: it comes back as a learner, once there are any.
    pub(crate) fn core(&self) -> Vec<NodeId> {
        let sound = |id: &NodeId| {
            !matches!(self.process(*id).life, Life::Broken(_))
                && !self.oracle.member(*id).damaged
                && !self.oracle.went_back(*id)
                && !self.cannot_be_given_a_copy(*id)
                && self.oracle.counts(*id)
        };
        self.ids().into_iter().filter(sound).collect()
    }

    /// A member without an entry does not know its group, and so not of whom to take a state of that. It lost the founding entry that it had
    /// agreed to, and the head of all logs is gone: a stated limit.
    fn cannot_be_given_a_copy(&self, id: NodeId) -> bool {
        let live = self.process(id).live.as_ref();
        self.stranded.contains(&id) && live.is_some_and(|live| live.node.group().is_none())
    }

    /// After trouble: I-34, and everything that has to be equal is.
    pub(crate) fn prove_life(&mut self) {
        if self.is_over() {
            return;
        }
        self.heal();
        let (healed, limit) = (self.now, self.swarm.election_timeout_max() * TIMEOUTS_MAX);
        // Who will find out now that only a copy of the state helps it is not known yet.
        if self.core().len() < self.swarm.majority() {
            self.run_for(limit / 5);
            return self.judge_the_few();
        }
        let served = self.run_until(limit, |world| {
            world.faults.acked_at.is_some_and(|(_, begun)| begun > healed)
        });
        if self.core().len() < self.swarm.majority() {
            return self.judge_the_few();
        }
        let checked = ensure(served || self.is_over(), Invariant::Liveness, || {
            format!(
                "no write was served within {TIMEOUTS_MAX} election timeouts after everything healed"
            )
        });
        self.check(checked);
        self.faults.load_on = false;
        let converged = self.run_until(limit, World::has_converged);
        let checked = ensure(converged || self.is_over(), Invariant::Liveness, || {
            format!("the core did not converge within {TIMEOUTS_MAX} election timeouts")
        });
        self.check(checked);
        if !self.is_over() {
            let checked = self.all_agree();
            self.check(checked);
        }
        if !self.is_over() && self.is_quick() {
            self.prove_rest();
        }
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
    fn state_is_that_of_others(&mut self, id: NodeId) -> Checked {
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
        let others: Vec<NodeId> =
            self.core().into_iter().filter(|id| Some(*id) != master).collect();
        // Without it the others have to be enough.
        if others.len() < self.swarm.majority() {
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
        let mut ends = self.core().into_iter().chain([master]).map(|id| {
            let live = self.process(id).live.as_ref()?;
            let (node, applied) = (&live.node, live.store.applied());
            let settled = node.log().last() == applied
                && node.log().synced() == applied.vlsn
                && live.open_calls.is_empty();
            settled.then_some(applied)
        });
        let first = ends.next().flatten();
        first.is_some() && ends.all(|end| end == first)
    }

    pub(crate) fn all_agree(&mut self) -> Checked {
        let mut first = None;
        for id in self.core() {
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
        let leaders = self.ids().into_iter().filter(|id| {
            self.process(*id).live.as_ref().is_some_and(|live| live.node.role() == Role::Leader)
        });
        let leaders: Vec<NodeId> = leaders.collect();
        ensure(leaders.len() == 1, Invariant::Liveness, || format!("at the end {leaders:?} lead"))
    }
}
