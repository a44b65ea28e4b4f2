//! What goes wrong, and when.
//!
//! Three makers of trouble. *Chance*: each kind of fault comes at its rate. *Traps*: a fault that waits for a moment of
//! the protocol ("the next promise that leaves") and springs right after it, because the interesting crashes
//! lie between two outputs. *Recipes*: directed dances that chance meets too seldom.
//!
//! Whatever they make of it is a [`Fault`], a plain value, and happens in one place: [`World::inflict`]. The list of a run's
//! faults is therefore all that it takes to play the run again without its makers.
//!
//! The *budget* keeps the schedule legal: only so many members may lose what their disks held, so that every
//! acknowledged write has a holder left.

mod budget;
mod chance;
mod cuts;
mod disks;
mod falling_silent;
mod fault;
mod images;
mod inflict;
mod orders;
mod pending_word;
mod recipes;
mod traps;

pub(crate) use chance::{Kind, STORM_MAX};
pub(crate) use cuts::Shape;
pub(crate) use fault::{
    Ailment, Cell, Cure, Damage, End, Fault, How, Inflicted, Ledger, Place, Slots,
};
pub(crate) use orders::Order;
pub(crate) use traps::{Action, Moment, Trap};

use crate::machine::Machine;
use crate::process::{Crash, Life};
use crate::rng::Rng;
use crate::schedule::Schedule;
use crate::swarm::Swarm;
use crate::world::World;
use rep_vlsn::Term;
use std::collections::BTreeSet;
use std::time::Duration;

/// The makers of trouble, and what they have done.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) on: bool,
    pub(crate) load_on: bool,
    /// Clients go to this node, whoever is master.
    pub(crate) lure: Option<Machine>,
    /// When a write was last acknowledged, and when that one had begun.
    pub(crate) acked_at: Option<(Duration, Duration)>,
    /// The group has settled in this term, and nothing will be done to its master: no other may come.
    pub(crate) settled: Option<Term>,
    pub(crate) ledger: Ledger,
    /// Of the present time, how many moments have passed at which a fault may come.
    pub(crate) moment: u64,
    /// Somebody ends with an output that is to come.
    pub(crate) last_output: Option<LastOutput>,
    /// When the makers act next. They have a schedule of their own, so that without them nothing else changes.
    plans: Schedule<Plan>,
    traps: Vec<Trap>,
    /// Members whose disk has lost something.
    spent: BTreeSet<Machine>,
    rates: Vec<(Kind, f64)>,
    stage: u32,
    subject: Option<Machine>,
}

/// How many outputs are carried out before the one that is somebody's last, and how it ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LastOutput {
    pub(crate) left: u64,
    pub(crate) how: Crash,
}

/// Who of the makers acts.
#[derive(Clone, Copy, Debug)]
enum Plan {
    Chance(Kind),
    PutBack(Machine),
    Recipe,
}

impl Faults {
    pub(crate) fn new(swarm: &Swarm, ties: Rng) -> Self {
        Faults {
            on: false,
            load_on: true,
            lure: None,
            acked_at: None,
            settled: None,
            ledger: Ledger::default(),
            moment: 0,
            last_output: None,
            plans: Schedule::new(ties),
            traps: Vec::new(),
            spent: BTreeSet::new(),
            rates: Kind::rates(swarm),
            stage: 0,
            subject: None,
        }
    }
}

impl Faults {
    /// Whether there is trouble, and its makers think of it rather than a list.
    pub(crate) fn makes_its_own(&self) -> bool {
        self.on && !self.ledger.is_given()
    }
}

impl World {
    /// Trouble begins: that of the makers or, if the run has a list of its faults, that of the list.
    pub(crate) fn begin_faults(&mut self) {
        self.faults.on = true;
        if self.faults.ledger.is_given() {
            return;
        }
        let kinds: Vec<Kind> = self.faults.rates.iter().map(|(kind, _)| *kind).collect();
        kinds.into_iter().for_each(|kind| self.plan_chance(kind));
        for _ in 0..self.swarm.process.traps {
            let trap = self.any_trap();
            self.faults.traps.push(trap);
        }
        if self.swarm.process.recipe.is_some() {
            self.plan(self.swarm.election_timeout, Plan::Recipe);
        }
    }

    fn plan(&mut self, after: Duration, plan: Plan) {
        self.faults.plans.push(self.now + after, plan);
    }

    /// When trouble comes next, if nothing else does before.
    pub(crate) fn trouble_at(&self) -> Option<Duration> {
        if !self.faults.on {
            return None;
        }
        // What was to come in the middle of something has missed its moment if that is over.
        let missed = |moment| Duration::from_nanos(u64::from(moment > 0));
        let given = self.faults.ledger.next_at().map(|(at, moment)| at + missed(moment));
        given.or_else(|| self.faults.plans.peek())
    }

    pub(crate) fn trouble_comes(&mut self) {
        if let Some(fault) = self.faults.ledger.take_next() {
            // What was within the budget when the list was made need not be so in a run that has gone another way.
            if fault.spends().is_none_or(|id| self.may_spend(id)) {
                self.inflict(fault);
            }
            return;
        }
        match self.faults.plans.pop() {
            Some((_, Plan::Chance(kind))) => self.chance(kind),
            Some((_, Plan::PutBack(id))) => self.put_back_and_start(id),
            Some((_, Plan::Recipe)) => self.recipe(),
            None => {}
        }
    }

    /// Trouble ends: everything that can be mended is.
    pub(crate) fn heal(&mut self) {
        self.trace.say(self.now, || "everything heals".to_owned());
        self.faults.on = false;
        self.faults.traps.clear();
        self.faults.lure = None;
        self.network.config.drop = 0.0;
        self.network.config.hostile = false;
        self.network.config.corrupt = 0.0;
        self.network.config.bandwidth = None;
        self.swarm.disk.slow = None;
        let coming = self.network.heal(self.now);
        self.net_coming(coming);
        let coming = self.network.close_halves(self.now);
        self.net_coming(coming);
        if self.ever_hostile {
            // A stream that lost a frame in silence may wait for it as long as its own patience is.
            for conn in self.network.all_open() {
                let coming = self.network.reset(self.now, conn);
                self.net_coming(coming);
            }
        }
        for id in self.ids() {
            self.heal_disk(id);
            if let Some(live) = self.live_mut(id) {
                live.crash_in = None;
            }
            self.resume(id);
            if self.process(id).life == Life::Down {
                self.start(id);
            }
        }
    }
}
