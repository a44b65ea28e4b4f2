//! Traps: faults that wait for a moment of the protocol and spring right after it.

use crate::machine::Machine;
use crate::process::Crash;
use crate::world::World;
use std::time::Duration;

/// A moment of the protocol at which a trap may spring: right after the thing was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    FenceIssued,
    FenceStored,
    PromiseSent,
    SolicitSent,
    NameSent,
    Crowned,
    Logged,
    Received,
    Written,
    Synced,
    Cutting,
    /// The next thing that the disk does is the first step of a cut. No trap of chance waits for it.
    CutBegins,
    Cut,
    AckSent,
    ReadySent,
    EntriesSent,
    Acknowledged,
}

impl Moment {
    const ALL: [Moment; 16] = [
        Moment::FenceIssued,
        Moment::FenceStored,
        Moment::PromiseSent,
        Moment::SolicitSent,
        Moment::NameSent,
        Moment::Crowned,
        Moment::Logged,
        Moment::Received,
        Moment::Written,
        Moment::Synced,
        Moment::Cutting,
        Moment::Cut,
        Moment::AckSent,
        Moment::ReadySent,
        Moment::EntriesSent,
        Moment::Acknowledged,
    ];
}

/// What a trap does to the node that stepped on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    Crash(Crash),
    /// Cut off from all others, both ways.
    Isolate,
    /// Nobody hears it any more.
    Mute,
    /// All of its connections reset.
    Reset,
    /// Its disk loses power within the next few operations.
    Tear,
}

/// A fault that waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trap {
    pub(crate) moment: Moment,
    pub(crate) action: Action,
    pub(crate) only: Option<Machine>,
    /// So many such moments are let pass.
    pub(crate) skip: u64,
    /// It is set again after it has sprung.
    pub(crate) again: bool,
    /// A crashed process is back after about this time; `None`: after the run's usual time.
    pub(crate) back: Option<Duration>,
}

const TRAPS_MAX: usize = 16;

impl World {
    pub(crate) fn any_trap(&mut self) -> Trap {
        let rng = &mut self.rngs.process;
        let action = match rng.below(10) {
            0..=2 => Action::Crash(Crash::Kill),
            3..=5 => Action::Crash(Crash::PowerCut),
            6 => Action::Isolate,
            7 => Action::Reset,
            _ => Action::Tear,
        };
        let back = rng
            .chance(0.5)
            .then(|| self.swarm.election_timeout.mul_f64(rng.log_uniform(0.01, 0.5)));
        Trap {
            moment: rng.pick(&Moment::ALL),
            action,
            only: None,
            skip: rng.below(12),
            again: rng.chance(0.3),
            back,
        }
    }

    pub(crate) fn set_trap(&mut self, trap: Trap) {
        if self.faults.traps.len() < TRAPS_MAX {
            self.faults.traps.push(trap);
        }
    }

    /// A moment of the protocol has come for this node. Says whether the process is gone.
    pub(crate) fn spring(&mut self, id: Machine, moment: Moment) -> bool {
        self.moment_passes();
        if self.process(id).live.is_none() {
            return true;
        }
        if self.faults.traps.is_empty() {
            return false;
        }
        let matches =
            |trap: &Trap| trap.moment == moment && trap.only.is_none_or(|only| only == id);
        let Some(at) = self.faults.traps.iter().position(matches) else { return false };
        if self.faults.traps[at].skip > 0 {
            self.faults.traps[at].skip -= 1;
            return false;
        }
        let mut trap = self.faults.traps.remove(at);
        if trap.again {
            trap.skip = self.rngs.process.below(6);
            self.faults.traps.push(trap);
        }
        self.counts.traps += 1;
        self.trace.say(self.now, || format!("a trap springs at n{}: {moment:?}", id.get()));
        self.do_action(id, trap)
    }

    fn do_action(&mut self, id: Machine, trap: Trap) -> bool {
        let lasts = Some(self.swarm.election_timeout * 3);
        match trap.action {
            Action::Crash(how) => {
                self.crash_and_back(id, how, trap.back);
                return true;
            }
            Action::Isolate => {
                for other in self.ids() {
                    self.cut_for(id, other, lasts);
                    self.cut_for(other, id, lasts);
                }
            }
            Action::Mute => {
                for other in self.ids() {
                    self.cut_for(id, other, lasts);
                }
            }
            Action::Reset => self.reset_all(id),
            Action::Tear => self.tear(id, 8),
        }
        false
    }
}
