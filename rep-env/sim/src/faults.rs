//! What goes wrong, and when.
//!
//! Three makers of trouble. *Chance*: each kind of fault comes at its rate. *Traps*: a fault that waits for a moment of
//! the protocol ("the next promise that leaves") and springs right after it, because the interesting crashes
//! lie between two outputs. *Recipes*: directed dances that chance meets too seldom.
//!
//! The *budget* keeps the schedule legal: only so many members may lose what their disks held, so that every
//! acknowledged write has a holder left.

mod cuts;
mod recipes;
mod traps;

pub(crate) use traps::{Action, Moment, Trap};

use crate::process::{Crash, Life};
use crate::swarm::Swarm;
use crate::world::{Event, World};
use rep_vlsn::{NodeId, Term};
use std::collections::BTreeSet;
use std::time::Duration;

/// A kind of fault that comes by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    PowerCut,
    Pause,
    Armed,
    Wipe,
    Rot,
    Reset,
    Partition,
}

/// The makers of trouble.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) on: bool,
    pub(crate) load_on: bool,
    /// Clients go to this node, whoever is master.
    pub(crate) bias: Option<NodeId>,
    /// When a write was last acknowledged, and when that one had begun.
    pub(crate) acked_at: Option<(Duration, Duration)>,
    /// The group has settled in this term, and nothing will be done to its master: no other may come.
    pub(crate) settled: Option<Term>,
    pub(crate) traps: Vec<Trap>,
    /// Members whose disk has lost something.
    spent: BTreeSet<NodeId>,
    rates: Vec<(Kind, f64)>,
    stage: u32,
    subject: Option<NodeId>,
}

impl Faults {
    pub(crate) fn new(swarm: &Swarm) -> Self {
        let (net, process) = (&swarm.net, &swarm.process);
        let rates = vec![
            (Kind::Kill, process.kills_per_s),
            (Kind::PowerCut, process.power_cuts_per_s),
            (Kind::Pause, process.pauses_per_s),
            (Kind::Armed, process.armed_per_s),
            (Kind::Wipe, process.wipes_per_s),
            (Kind::Rot, process.rots_per_s),
            (Kind::Reset, net.resets_per_s),
            (Kind::Partition, net.partitions_per_s),
        ];
        Faults {
            on: false,
            load_on: true,
            bias: None,
            acked_at: None,
            settled: None,
            traps: Vec::new(),
            spent: BTreeSet::new(),
            rates,
            stage: 0,
            subject: None,
        }
    }
}

impl World {
    /// Trouble begins.
    pub(crate) fn begin_faults(&mut self) {
        self.faults.on = true;
        let kinds: Vec<Kind> = self.faults.rates.iter().map(|(kind, _)| *kind).collect();
        kinds.into_iter().for_each(|kind| self.next_fault(kind));
        for _ in 0..self.swarm.process.traps {
            let trap = self.any_trap();
            self.faults.traps.push(trap);
        }
        if self.swarm.process.recipe.is_some() {
            self.schedule.push(self.now + self.swarm.election_timeout, Event::Recipe);
        }
    }

    /// Trouble ends: everything that can be mended is.
    pub(crate) fn heal(&mut self) {
        self.trace.say(self.now, || "everything heals".to_owned());
        self.faults.on = false;
        self.faults.traps.clear();
        self.faults.bias = None;
        self.network.config.drop = 0.0;
        self.network.config.hostile = false;
        self.swarm.disk.slow = None;
        let coming = self.network.heal(self.now);
        self.net_coming(coming);
        if self.ever_hostile {
            // A stream that lost a frame in silence may wait for it as long as its own patience is.
            for conn in self.network.all_open() {
                let coming = self.network.reset(self.now, conn);
                self.net_coming(coming);
            }
        }
        for id in self.ids() {
            self.process(id).home.disk.revive();
            self.process_mut(id).sync_takes = None;
            self.free_disk(id);
            if let Some(live) = self.live_mut(id) {
                live.crash_in = None;
            }
            self.resume(id);
            if self.process(id).life == Life::Down {
                self.start(id);
            }
        }
    }

    fn next_fault(&mut self, kind: Kind) {
        let rate =
            self.faults.rates.iter().find(|(other, _)| *other == kind).map_or(0.0, |(_, r)| *r);
        if rate > 0.0 {
            let wait = -(1.0 - self.rngs.process.unit()).ln() / rate;
            let at = self.now + Duration::from_secs_f64(wait.min(1e6));
            self.schedule.push(at, Event::Fault { kind });
        }
    }

    /// A fault that came by chance.
    pub(crate) fn fault(&mut self, kind: Kind) {
        if !self.faults.on {
            return;
        }
        self.next_fault(kind);
        let id = self.victim();
        match kind {
            Kind::Kill => self.crash_and_back(id, Crash::Kill, None),
            Kind::PowerCut => self.crash_and_back(id, Crash::PowerCut, None),
            Kind::Pause => self.pause_for_a_while(id),
            Kind::Armed => self.arm(id),
            Kind::Wipe => self.wipe_and_back(id),
            Kind::Rot => self.rot_and_back(id),
            Kind::Reset => {
                if let Some(conn) = self.network.any_open() {
                    let coming = self.network.reset(self.now, conn);
                    self.net_coming(coming);
                }
            }
            Kind::Partition => self.partition(),
        }
    }

    /// Anyone; the master more often than others.
    pub(crate) fn victim(&mut self) -> NodeId {
        let master = self.master();
        match master {
            Some(master) if self.rngs.process.chance(0.4) => master,
            Some(_) | None => {
                let nodes = u64::from(self.swarm.nodes);
                NodeId::new(self.rngs.process.between(1, nodes) as u32)
            }
        }
    }

    pub(crate) fn crash_and_back(&mut self, id: NodeId, how: Crash, back: Option<Duration>) {
        if self.process(id).live.is_none() {
            return;
        }
        self.crash(id, how);
        match back {
            None => self.restart_later(id),
            Some(mean) => {
                let after = self.rngs.process.latency_ns(mean.as_nanos() as u64);
                let at = self.now + Duration::from_nanos(after);
                self.schedule.push(at, Event::Restart { id });
            }
        }
    }

    fn pause_for_a_while(&mut self, id: NodeId) {
        if self.process(id).live.is_none() || self.process(id).paused {
            return;
        }
        self.counts.pauses += 1;
        self.pause(id);
        let mean = self.swarm.election_timeout * self.rngs.process.pick(&[1, 2, 6]);
        let after = Duration::from_nanos(self.rngs.process.latency_ns(mean.as_nanos() as u64));
        self.schedule.push(self.now + after, Event::Resume { id });
    }

    /// The process will die in the middle of something: of a step, or of a disk operation.
    fn arm(&mut self, id: NodeId) {
        let outputs = self.rngs.process.below(25);
        let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
        if self.rngs.process.chance(0.5) {
            let ops = self.rngs.process.between(1, 12);
            self.process(id).home.disk.crash_after_ops(ops);
        } else if let Some(live) = self.live_mut(id) {
            live.crash_in = Some((outputs, how));
        }
    }

    fn may_spend(&self, id: NodeId) -> bool {
        let spent = &self.faults.spent;
        let within = spent.contains(&id) || spent.len() < self.swarm.process.damaged_max as usize;
        // Even the reckless leave one member that remembers the group: if none did, the rest would be right to
        // found another.
        let remembers = |other: &NodeId| {
            *other != id && !spent.contains(other) && self.oracle.member(*other).durable > 0
        };
        self.oracle.committed() > 0 && within && self.ids().iter().any(remembers)
    }

    pub(crate) fn wipe_and_back(&mut self, id: NodeId) {
        if !self.may_spend(id) {
            return;
        }
        self.counts.wipes += 1;
        self.faults.spent.insert(id);
        self.crash(id, Crash::PowerCut);
        self.wipe(id);
        self.restart_later(id);
    }

    fn rot_and_back(&mut self, id: NodeId) {
        if !self.may_spend(id) || self.oracle.member(id).damaged || !self.oracle.counts(id) {
            return;
        }
        self.crash(id, Crash::PowerCut);
        if self.rot(id) {
            self.counts.rots += 1;
            self.faults.spent.insert(id);
        }
        self.restart_later(id);
    }
}
