//! One of two members falls silent for longer than the other one, which is designated, waits for it.

use super::{Action, Fault, Moment, Trap};
use crate::machine::Machine;
use crate::process::Crash;
use crate::world::World;
use std::time::Duration;

impl World {
    /// The other one falls silent, and the designated one, too, now and then; it loses power alone; and again when the other one is back.
    pub(super) fn goes_alone(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        let Some((one, other)) = self.designated_and_other() else { return timeout };
        self.faults.stage += 1;
        match self.faults.stage % 3 {
            1 => {
                let lasts = timeout * self.rngs.process.between(8, 14) as u32;
                self.falls_silent(other, lasts);
                if self.rngs.process.chance(0.3) {
                    let how = self.any_end();
                    self.crash_and_back(one, how, Some(timeout));
                }
                lasts.mul_f64(self.rngs.process.pick(&[0.3, 0.8, 1.0]))
            }
            2 => {
                if self.rngs.process.chance(0.5) {
                    let how = self.any_end();
                    self.crash_and_back(one, how, Some(timeout.mul_f64(0.2)));
                }
                timeout * 2
            }
            _ => {
                self.rejoin(other);
                if self.rngs.process.chance(0.7) {
                    self.dies_as_the_other_comes_back(one);
                }
                timeout * 4
            }
        }
    }

    fn designated_and_other(&self) -> Option<(Machine, Machine)> {
        let roll = self.oracle.settled_roll();
        let (_, one) = roll.designated()?;
        let mut others = roll.members.values().filter(|it| it.machine != one.machine);
        others.next().map(|other| (one.machine, other.machine))
    }

    fn any_end(&mut self) -> Crash {
        self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut, Crash::PowerCut])
    }

    fn falls_silent(&mut self, id: Machine, lasts: Duration) {
        match self.rngs.process.below(6) {
            0..=2 => {
                let how = self.any_end();
                let end = self.end(how);
                self.inflict(Fault::Crash { id, end, back: Some(lasts) });
            }
            3 => self.inflict(Fault::Pause { id, lasts: Some(lasts), frozen: false }),
            4 if self.may_spend(id) => {
                let end = self.end(Crash::PowerCut);
                self.inflict(Fault::Wipe { id, end, back: Some(lasts) });
            }
            _ => self.isolate(id),
        }
    }

    /// What it writes next may be that the other one votes again.
    fn dies_as_the_other_comes_back(&mut self, one: Machine) {
        let moment = self.rngs.process.pick(&[Moment::Logged, Moment::Written, Moment::Synced]);
        let action = Action::Crash(Crash::PowerCut);
        let (only, skip) = (Some(one), self.rngs.process.below(6));
        self.set_trap(Trap { moment, action, only, skip, again: false, back: None });
    }
}
