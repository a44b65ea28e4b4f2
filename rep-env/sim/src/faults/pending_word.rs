//! An arbiter's word is asked for, and still on its way to the disk when the arbiter is asked for something else.

use super::Fault;
use crate::machine::Machine;
use crate::process::Crash;
use crate::world::World;
use std::time::Duration;

impl World {
    /// So many copies are cut off that the master asks the arbiter; then that one's disk hangs; the copies come back; and the master falls
    /// silent, so that one of them asks the arbiter for its promise.
    pub(super) fn pending_word(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        let (Some(arbiter), Some(master)) = (self.arbiter(), self.master()) else {
            return timeout;
        };
        self.faults.stage += 1;
        match self.faults.stage % 4 {
            1 => {
                self.all_rejoin();
                self.too_few_copies(master);
                timeout.mul_f64(self.rngs.process.log_uniform(0.5, 2.0))
            }
            2 => {
                let lasts = Some(timeout.mul_f64(self.rngs.process.log_uniform(0.5, 4.0)));
                self.inflict(Fault::Hang { id: arbiter, lasts });
                self.swarm.heartbeat
            }
            3 => {
                self.all_rejoin();
                timeout.mul_f64(self.rngs.process.log_uniform(0.1, 1.0))
            }
            _ => {
                self.falls_back(master);
                timeout * 2
            }
        }
    }

    fn arbiter(&self) -> Option<Machine> {
        self.oracle.settled_roll().arbiter().map(|it| it.machine)
    }

    fn all_rejoin(&mut self) {
        self.ids().into_iter().for_each(|id| self.rejoin(id));
    }

    /// Without the arbiter nothing becomes durable any more.
    fn too_few_copies(&mut self, master: Machine) {
        let roll = self.oracle.settled_roll();
        let others = roll.copies().map(|it| it.machine).filter(|id| *id != master);
        let others: Vec<Machine> = others.collect();
        let spared = roll.commit().saturating_sub(2);
        others.into_iter().skip(spared).for_each(|id| self.isolate(id));
    }

    /// The master is gone for a while, or nobody hears it.
    fn falls_back(&mut self, master: Machine) {
        let lasts = self.swarm.election_timeout * 2;
        match self.rngs.process.below(3) {
            0 => self.crash_and_back(master, Crash::Kill, Some(lasts)),
            1 => self.inflict(Fault::Pause { id: master, lasts: Some(lasts), frozen: false }),
            _ => self.isolate(master),
        }
    }
}
