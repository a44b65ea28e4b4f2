//! What goes wrong, and when.
//!
//! Three makers of trouble. *Chance*: each kind of fault comes at its rate. *Traps*: a fault that waits for a moment of
//! the protocol ("the next promise that leaves") and springs right after it, because the interesting crashes
//! lie between two outputs. *Recipes*: directed dances that chance meets too seldom.
//!
//! The *budget* keeps the schedule legal: only so many members may lose what their disks held, so that every
//! acknowledged write has a holder left.

use crate::process::{Crash, Life};
use crate::swarm::{Recipe, Swarm};
use crate::world::{Event, World};
use rep_vlsn::NodeId;
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
    pub(crate) only: Option<NodeId>,
    /// So many such moments are let pass.
    pub(crate) skip: u64,
    /// It is set again after it has sprung.
    pub(crate) again: bool,
    /// A crashed process is back after about this time; `None`: after the run's usual time.
    pub(crate) back: Option<Duration>,
}

const TRAPS_MAX: usize = 16;

/// The makers of trouble.
#[derive(Debug)]
pub(crate) struct Faults {
    pub(crate) on: bool,
    pub(crate) load_on: bool,
    /// Clients go to this node, whoever is master.
    pub(crate) bias: Option<NodeId>,
    /// When a write was last acknowledged, and when that one had begun.
    pub(crate) acked_at: Option<(Duration, Duration)>,
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
    fn victim(&mut self) -> NodeId {
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

    fn wipe_and_back(&mut self, id: NodeId) {
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

    // ---- partitions

    fn partition(&mut self) {
        let ids = self.ids();
        let victim = self.victim();
        let side: BTreeSet<NodeId> = match self.rngs.process.below(4) {
            0 | 1 => [victim].into(),
            2 => ids.iter().copied().filter(|_| self.rngs.process.chance(0.5)).collect(),
            _ => self.master().into_iter().chain([victim]).collect(),
        };
        let one_way = self.rngs.process.chance(self.swarm.net.one_way);
        let outwards = self.rngs.process.chance(0.5);
        let mean = self.swarm.net.partition.as_nanos() as u64;
        let until = self.now + Duration::from_nanos(self.rngs.process.latency_ns(mean));
        for inside in &side {
            for outside in ids.iter().filter(|id| !side.contains(id)) {
                if !one_way || outwards {
                    self.cut_until(*inside, *outside, Some(until));
                }
                if !one_way || !outwards {
                    self.cut_until(*outside, *inside, Some(until));
                }
            }
        }
    }

    pub(crate) fn cut_until(&mut self, from: NodeId, to: NodeId, until: Option<Duration>) {
        if from == to {
            return;
        }
        self.counts.cuts += 1;
        self.trace.say(self.now, || format!("cut n{} -> n{}", from.get(), to.get()));
        self.network.cut(from, to);
        if let Some(until) = until {
            self.schedule.push(until, Event::Mend { from, to });
        }
    }

    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.ids() {
            self.cut_until(id, other, None);
            self.cut_until(other, id, None);
        }
    }

    pub(crate) fn rejoin(&mut self, id: NodeId) {
        for other in self.ids() {
            for (from, to) in [(id, other), (other, id)] {
                let coming = self.network.mend(self.now, from, to);
                self.net_coming(coming);
            }
        }
    }

    // ---- traps

    fn any_trap(&mut self) -> Trap {
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
    pub(crate) fn spring(&mut self, id: NodeId, moment: Moment) -> bool {
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

    fn do_action(&mut self, id: NodeId, trap: Trap) -> bool {
        let until = Some(self.now + self.swarm.election_timeout * 3);
        match trap.action {
            Action::Crash(how) => {
                self.crash_and_back(id, how, trap.back);
                return true;
            }
            Action::Isolate => {
                for other in self.ids() {
                    self.cut_until(id, other, until);
                    self.cut_until(other, id, until);
                }
            }
            Action::Mute => {
                for other in self.ids() {
                    self.cut_until(id, other, until);
                }
            }
            Action::Reset => self.reset_all(id),
            Action::Tear => {
                let ops = self.rngs.process.between(1, 8);
                self.process(id).home.disk.crash_after_ops(ops);
            }
        }
        false
    }

    fn reset_all(&mut self, id: NodeId) {
        for conn in self.network.of_node(id) {
            let coming = self.network.reset(self.now, conn);
            self.net_coming(coming);
        }
    }

    // ---- recipes

    /// The next figure of the dance.
    pub(crate) fn recipe(&mut self) {
        let Some(recipe) = self.swarm.process.recipe.filter(|_| self.faults.on) else { return };
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
        };
        let jitter = self.rngs.process.latency_ns(pause.as_nanos() as u64);
        self.schedule.push(self.now + Duration::from_nanos(jitter), Event::Recipe);
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
                self.faults.bias = Some(master);
                self.faults.subject = Some(master);
                timeout.mul_f64(self.rngs.process.log_uniform(0.1, 1.0))
            }
            (2, _, Some(old)) => {
                let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
                self.faults.bias = None;
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
                if self.rngs.process.chance(0.5) {
                    let (moment, action) = (Moment::Cutting, Action::Tear);
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
