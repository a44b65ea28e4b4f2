//! Recipes: directed dances that chance meets too seldom.

use super::{Action, Moment, Plan, Shape, Trap};
use crate::process::Crash;
use crate::swarm::Recipe;
use crate::world::World;
use std::time::Duration;

impl World {
    /// The next figure of the dance.
    pub(crate) fn recipe(&mut self) {
        let Some(recipe) = self.swarm.process.recipe else { return };
        let timeout = self.swarm.election_timeout;
        let pause = match recipe {
            Recipe::LoneTail => self.lone_tail(),
            Recipe::PromiseCrash => {
                self.crash_trap(Moment::PromiseSent, 0.1);
                timeout.mul_f64(1.5)
            }
            Recipe::SolicitCrash => {
                self.crash_trap(Moment::SolicitSent, 0.05);
                timeout.mul_f64(1.5)
            }
            Recipe::ShortReigns => self.short_reigns(),
            Recipe::Reconnects => self.reconnects(),
            Recipe::WipedVoter => self.wiped_voter(),
            Recipe::Blackout => self.blackout(),
            Recipe::OldMaster => self.old_master(),
            Recipe::Flapping => self.flapping(),
            Recipe::WornDisk => self.worn_disk(),
            Recipe::GoesAlone => self.goes_alone(),
            Recipe::PendingWord => self.pending_word(),
        };
        let exact = recipe == Recipe::Flapping;
        let pause = if exact { pause } else { self.away(Some(pause)) };
        self.plan(pause, Plan::Recipe);
    }

    /// The next node that comes to this moment crashes and is soon back; the master, so that there is one,
    /// is killed.
    fn crash_trap(&mut self, moment: Moment, back: f64) {
        let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
        let back = Some(self.swarm.election_timeout.mul_f64(back));
        let skip = self.rngs.process.below(3);
        self.set_trap(Trap {
            moment,
            action: Action::Crash(how),
            only: None,
            skip,
            again: false,
            back,
        });
        if let Some(master) = self.master().filter(|_| self.rngs.process.chance(0.7)) {
            self.crash_and_back(master, how, None);
        }
    }

    /// The master alone logs a tail and dies; the others go on; it returns.
    fn lone_tail(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        self.faults.stage += 1;
        match (self.faults.stage % 3, self.master(), self.faults.subject) {
            (1, Some(master), _) => {
                self.isolate(master);
                self.lure(Some(master));
                self.faults.subject = Some(master);
                timeout.mul_f64(self.rngs.process.log_uniform(0.1, 1.0))
            }
            (2, _, Some(old)) => {
                let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
                self.lure(None);
                self.crash_and_back(old, how, Some(timeout * 3));
                self.rejoin(old);
                if self.rngs.process.chance(0.5) {
                    let (moment, action) = (Moment::Acknowledged, Action::Crash(how));
                    self.set_trap(Trap {
                        moment,
                        action,
                        only: None,
                        skip: 0,
                        again: false,
                        back: None,
                    });
                }
                if self.rngs.process.chance(0.7) {
                    let moment = self.rngs.process.pick(&[Moment::Cutting, Moment::CutBegins]);
                    let action = Action::Tear;
                    self.set_trap(Trap {
                        moment,
                        action,
                        only: Some(old),
                        skip: 0,
                        again: false,
                        back: None,
                    });
                }
                timeout * 3
            }
            _ => {
                self.faults.stage = 0;
                self.faults.subject = None;
                timeout
            }
        }
    }

    /// Masters do not live long, and die at the worst moments.
    fn short_reigns(&mut self) -> Duration {
        let moment = self.rngs.process.pick(&[
            Moment::Crowned,
            Moment::Logged,
            Moment::EntriesSent,
            Moment::Acknowledged,
            Moment::Written,
        ]);
        let action = self.rngs.process.pick(&[
            Action::Crash(Crash::Kill),
            Action::Crash(Crash::PowerCut),
            Action::Isolate,
            Action::Mute,
        ]);
        let skip = self.rngs.process.below(4);
        self.set_trap(Trap { moment, action, only: None, skip, again: false, back: None });
        self.swarm.election_timeout
    }

    /// Connections of the master reset under load, and now and then a replica is gone for a moment.
    fn reconnects(&mut self) -> Duration {
        let master = self.master();
        let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
        match (self.rngs.process.below(8), master) {
            (0, Some(master)) => self.crash_and_back(master, how, None),
            (1, _) => {
                let id = self.victim();
                self.crash_and_back(id, how, Some(self.swarm.heartbeat));
            }
            (2..=6, Some(master)) => self.reset_all(master),
            _ => {}
        }
        self.swarm.election_timeout.mul_f64(0.4)
    }

    /// All processes, or most, are killed at one moment, or their machines lose power. What was acknowledged a moment
    /// ago is on as many disks as it asked for, and no further.
    fn blackout(&mut self) -> Duration {
        let how = self.rngs.process.pick(&[Crash::Kill, Crash::Kill, Crash::PowerCut]);
        let spared = self.rngs.process.chance(0.5).then(|| self.victim());
        for id in self.ids() {
            if Some(id) != spared {
                let back = self.swarm.election_timeout.mul_f64(0.3);
                self.crash_and_back(id, how, Some(back));
            }
        }
        self.swarm.election_timeout * self.rngs.process.pick(&[2, 4, 8])
    }

    /// The master is cut off; the others elect another and write there; then clients ask the old one, which may not know
    /// yet.
    fn old_master(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        self.faults.stage += 1;
        match (self.faults.stage % 3, self.master(), self.faults.subject) {
            (1, Some(master), None) => {
                self.isolate(master);
                self.faults.subject = Some(master);
                timeout.mul_f64(self.rngs.process.log_uniform(0.5, 3.0))
            }
            (2, _, Some(old)) => {
                self.lure(Some(old));
                timeout
            }
            (_, _, old) => {
                self.faults.stage = 0;
                self.lure(None);
                self.faults.subject = None;
                old.into_iter().for_each(|old| self.rejoin(old));
                timeout * 2
            }
        }
    }

    /// All links of a member, or those to it, or from it, are cut and mended, at the pace of elections.
    fn flapping(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        let lasts = Some(timeout.mul_f64(self.rngs.process.pick(&[0.9, 1.0, 1.1, 1.5])));
        let shape = self.rngs.process.pick(&[Shape::Alone, Shape::DeafMaster, Shape::MuteMaster]);
        self.shape(shape, lasts, |_, _| true);
        timeout * 2
    }

    /// A sync of one member fails, soon after it was told to raise its fence or to write; somebody restarts it; and then its
    /// machine loses power within the next few operations of its disk.
    fn worn_disk(&mut self) -> Duration {
        let timeout = self.swarm.election_timeout;
        self.faults.stage += 1;
        match (self.faults.stage % 2, self.faults.subject) {
            (1, _) => {
                let id = self.victim();
                self.faults.subject = Some(id);
                self.ail_soon(id);
                if let Some(master) = self.master().filter(|_| self.rngs.process.chance(0.7)) {
                    self.crash_and_back(master, Crash::Kill, Some(timeout));
                }
            }
            (_, Some(id)) => {
                let moment = self.rngs.process.pick(&[Moment::FenceIssued, Moment::Written]);
                let action = Action::Tear;
                let trap =
                    Trap { moment, action, only: Some(id), skip: 0, again: false, back: None };
                self.set_trap(trap);
                let master = self.master().filter(|master| *master != id);
                if let Some(master) = master.filter(|_| self.rngs.process.chance(0.7)) {
                    self.crash_and_back(master, Crash::Kill, Some(timeout));
                }
            }
            (_, None) => {}
        }
        timeout * 2
    }

    /// A member loses its directory, and then the others lose their master.
    fn wiped_voter(&mut self) -> Duration {
        let (master, victim) = (self.master(), self.victim());
        if self.faults.spent.is_empty() {
            if Some(victim) != master {
                self.wipe_and_back(victim);
            }
        } else if let Some(master) = master {
            let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
            self.crash_and_back(master, how, Some(self.swarm.election_timeout * 4));
        }
        self.swarm.election_timeout * 3
    }
}
