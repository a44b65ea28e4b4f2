//! An operator gives up the members that are lost, and has the group go on from one directory.

use crate::disk::{self, Unopened};
use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::process::Crash;
use crate::world::World;
use rep_vlsn::{Incarnation, LogPoint};

/// So often at most the power fails before the order is carried out to its end.
const CUTS_MAX: u32 = 3;
/// Operations of the disk within which it does.
const OPS_MAX: u64 = 40;

impl World {
    /// Forces the quorum in the directory of a process that is down, and is given the order again whenever the power fails meanwhile; false if the run is over.
    pub(crate) fn force_quorum(&mut self, id: Machine, survivors: &[Machine]) -> bool {
        let names: Vec<String> = survivors.iter().map(ToString::to_string).collect();
        let config = disk::log_config(&self.swarm.disk);
        let home = self.process(id).home.clone();
        let before = home.ends_at(config.clone()).unwrap_or_default();
        let mut ordered = None;
        for cuts in 0.. {
            let ops = self.rngs.process.between(1, OPS_MAX);
            if cuts < CUTS_MAX && self.rngs.process.chance(0.7) {
                home.disk.crash_after_ops(ops);
            }
            let mut plan = None;
            let done = home.force(id, &names, config.clone(), &mut plan);
            let checked = plan.as_ref().map_or(Ok(()), |plan| self.oracle.forces(id, plan));
            self.check(checked);
            ordered = plan.as_ref().map(|plan| plan.membership.at).or(ordered);
            self.note(id, &[110, ops], || format!("n{} forces {plan:?}: {done:?}", id.get()));
            match done {
                Ok(()) => break,
                // The last word of it was on the disk already: who orders it again is told to start the survivors, who need no force any more.
                Err(Unopened::Crashed) if self.loses_power_meanwhile(id, before, ordered) => break,
                Err(Unopened::Crashed) => {}
                Err(why) => {
                    let checked = ensure(false, Invariant::QuorumForced, || {
                        format!("{id} does not force a quorum of {survivors:?}: {why:?}")
                    });
                    self.check(checked);
                }
            }
            if self.is_over() {
                return false;
            }
        }
        home.disk.revive();
        let checked = self.goes_on_from(id);
        self.check(checked);
        self.counts.forced += 1;
        !self.is_over()
    }

    /// What is left opens as what it was, or as what was ordered, or not at all before the order is given again. Whether it is as was ordered.
    fn loses_power_meanwhile(
        &mut self,
        id: Machine,
        before: LogPoint,
        ordered: Option<LogPoint>,
    ) -> bool {
        let end = End { how: Crash::PowerCut, fate: self.rngs.process.next_u64(), silent: false };
        let home = self.process(id).home.clone();
        home.disk.power_cut(&mut end.fates());
        let half = home.is_half_forced();
        let ends = home.ends_at(disk::log_config(&self.swarm.disk));
        let ends_at = |at| matches!(half, Ok(false)) && ends.as_ref().is_ok_and(|ends| *ends == at);
        let (done, untouched) = (ordered.is_some_and(ends_at), ends_at(before));
        let whole = done || untouched || matches!((&half, &ends), (Ok(true), Ok(_)));
        let checked = ensure(whole && half.is_ok(), Invariant::QuorumForced, || {
            format!(
                "{id} was to force a quorum behind {before}, and could be opened with a log that ends at {ends:?}"
            )
        });
        self.check(checked);
        done
    }

    /// The order is carried out.
    fn goes_on_from(&mut self, id: Machine) -> Checked {
        let home = self.process(id).home.clone();
        let image = disk::Home { disk: home.disk.image(), store: home.store.copy() };
        let found = image.open(disk::log_config(&self.swarm.disk), Incarnation::default());
        let entries = found.map(|found| found.entries);
        ensure(entries.is_ok(), Invariant::QuorumForced, || {
            format!("{id} has forced a quorum, and cannot be opened: {entries:?}")
        })?;
        self.oracle.goes_on_from(id, &entries.unwrap_or_default())?;
        self.history.goes_back_to(self.oracle.committed());
        Ok(())
    }
}
