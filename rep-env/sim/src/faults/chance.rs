//! Faults that come by chance, each kind at its rate, and what chance has to say of one.

use super::{End, Fault, Plan};
use crate::machine::Machine;
use crate::network::Side;
use crate::process::Crash;
use crate::swarm::Swarm;
use crate::world::World;
use rep_node::Service;
use std::time::Duration;

/// A kind of fault that comes by chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Kill,
    PowerCut,
    Pause,
    Leap,
    Armed,
    Close,
    Hang,
    Slow,
    Ail,
    Full,
    Wipe,
    Image,
    Twin,
    Rot,
    Wear,
    Reset,
    HalfOpen,
    Storm,
    Partition,
    Recruit,
    Order,
    Designate,
}

/// Connections of one storm.
pub(crate) const STORM_MAX: u32 = 200;

impl Kind {
    pub(super) fn rates(swarm: &Swarm) -> Vec<(Kind, f64)> {
        let (net, disk, process) = (&swarm.net, &swarm.disk, &swarm.process);
        vec![
            (Kind::Kill, process.kills_per_s),
            (Kind::PowerCut, process.power_cuts_per_s),
            (Kind::Pause, process.pauses_per_s),
            (Kind::Leap, process.leaps_per_s),
            (Kind::Armed, process.armed_per_s),
            (Kind::Close, process.closes_per_s),
            (Kind::Hang, disk.hangs_per_s),
            (Kind::Slow, disk.slows_per_s),
            (Kind::Ail, disk.errors_per_s),
            (Kind::Full, disk.fills_per_s),
            (Kind::Wipe, process.wipes_per_s),
            (Kind::Image, process.images_per_s),
            (Kind::Twin, process.twins_per_s),
            (Kind::Rot, process.rots_per_s),
            (Kind::Wear, disk.wears_per_s),
            (Kind::Reset, net.resets_per_s),
            (Kind::Storm, net.storms_per_s),
            (Kind::HalfOpen, net.half_opens_per_s),
            (Kind::Partition, net.partitions_per_s),
            (Kind::Recruit, swarm.members.recruits_per_s),
            (Kind::Order, swarm.members.orders_per_s),
            (Kind::Designate, swarm.members.designates_per_s),
        ]
    }
}

impl World {
    pub(super) fn plan_chance(&mut self, kind: Kind) {
        let rate = self.faults.rates.iter().find(|(other, _)| *other == kind);
        let rate = rate.map_or(0.0, |(_, rate)| *rate);
        if rate > 0.0 {
            let wait = -(1.0 - self.rngs.process.unit()).ln() / rate;
            self.plan(Duration::from_secs_f64(wait.min(1e6)), Plan::Chance(kind));
        }
    }

    pub(super) fn chance(&mut self, kind: Kind) {
        self.plan_chance(kind);
        let id = self.victim();
        match kind {
            Kind::Kill => self.crash_and_back(id, Crash::Kill, None),
            Kind::PowerCut => self.crash_and_back(id, Crash::PowerCut, None),
            Kind::Pause => self.pause_for_a_while(id),
            Kind::Armed => self.arm(id),
            Kind::Close => self.crash_and_back(id, Crash::Close, None),
            Kind::Hang => {
                let lasts = Some(self.a_few_timeouts(&[1, 4, 12]));
                self.inflict(Fault::Hang { id, lasts });
            }
            Kind::Slow => {
                let takes =
                    self.swarm.election_timeout.mul_f64(self.rngs.process.log_uniform(0.01, 3.0));
                let lasts = self.a_few_timeouts(&[2, 8]);
                self.inflict(Fault::Slow { id, takes, lasts });
            }
            Kind::Ail => self.ail(id),
            Kind::Full => {
                let (lasts, back) = (self.a_few_timeouts(&[1, 4]), self.away(None));
                self.inflict(Fault::Full { id, lasts, back });
            }
            Kind::Wipe => self.wipe_and_back(id),
            Kind::Image => self.image_and_back(id),
            Kind::Twin => self.twin(id),
            Kind::Rot => self.rot_and_back(id),
            Kind::Wear => self.wear_and_back(id),
            Kind::Reset => self.reset_any(),
            Kind::Leap => {
                let by = self.a_few_timeouts(&[1, 3, 20]);
                self.inflict(Fault::Leap { id, by });
            }
            Kind::Storm => self.storm(id),
            Kind::HalfOpen => self.forget_one_end(),
            Kind::Partition => self.partition(),
            Kind::Recruit => self.recruit_any(),
            Kind::Order => self.order_any(),
            Kind::Designate => self.designate_any(),
        }
    }

    /// Anyone; the master more often than others.
    pub(crate) fn victim(&mut self) -> Machine {
        let master = self.master();
        match master {
            Some(master) if self.rngs.process.chance(0.4) => master,
            Some(_) | None => {
                let nodes = u64::from(self.swarm.machines());
                Machine::new(self.rngs.process.between(1, nodes) as u32)
            }
        }
    }

    // ---- what chance says of a fault

    /// About so long, or as long as crashed processes stay away in this world.
    pub(super) fn away(&mut self, mean: Option<Duration>) -> Duration {
        let mean = mean.unwrap_or(self.swarm.process.away);
        Duration::from_nanos(self.rngs.process.latency_ns(mean.as_nanos() as u64))
    }

    pub(super) fn a_few_timeouts(&mut self, choices: &[u32]) -> Duration {
        let mean = self.swarm.election_timeout * self.rngs.process.pick(choices);
        self.away(Some(mean))
    }

    pub(super) fn end(&mut self, how: Crash) -> End {
        let fate = self.rngs.process.next_u64();
        End { how, fate, silent: how == Crash::PowerCut && self.rngs.process.chance(0.5) }
    }

    // ---- faults of processes

    /// A process ends, and stays away.
    pub(crate) fn crash(&mut self, id: Machine, how: Crash) {
        let end = self.end(how);
        self.inflict(Fault::Crash { id, end, back: None });
    }

    /// A machine loses power, and all that it had not synced.
    pub(crate) fn lose_power(&mut self, id: Machine) {
        let end = End { fate: 0, ..self.end(Crash::PowerCut) };
        self.inflict(Fault::Crash { id, end, back: None });
    }

    pub(crate) fn crash_and_back(&mut self, id: Machine, how: Crash, back: Option<Duration>) {
        if self.process(id).live.is_none() {
            return;
        }
        let (end, back) = (self.end(how), Some(self.away(back)));
        self.inflict(Fault::Crash { id, end, back });
    }

    pub(crate) fn pause(&mut self, id: Machine) {
        self.inflict(Fault::Pause { id, lasts: None, frozen: false });
    }

    fn pause_for_a_while(&mut self, id: Machine) {
        if self.process(id).live.is_some() && !self.process(id).paused {
            let lasts = Some(self.a_few_timeouts(&[1, 2, 6]));
            let frozen = self.rngs.process.chance(self.swarm.process.frozen);
            self.inflict(Fault::Pause { id, lasts, frozen });
        }
    }

    /// The process will die in the middle of something: of a step, or of a disk operation.
    fn arm(&mut self, id: Machine) {
        let outputs = self.rngs.process.below(25);
        let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
        if self.rngs.process.chance(0.5) {
            return self.tear(id, 12);
        }
        let (end, back) = (self.end(how), self.away(None));
        if let Some(live) = self.live_mut(id) {
            live.crash_in = Some((outputs, end, back));
        }
    }

    // ---- faults of connections

    fn reset_any(&mut self) {
        let open = self.network.all_open();
        if !open.is_empty() {
            let conn = self.rngs.process.pick(&open);
            self.reset(conn);
        }
    }

    fn forget_one_end(&mut self) {
        let open = self.network.all_open();
        if open.is_empty() {
            return;
        }
        let conn = self.rngs.process.pick(&open);
        let ends =
            self.network.end(conn, Side::Dialler).zip(self.network.end(conn, Side::Acceptor));
        let Some(((service, a), (_, b))) = ends else { return };
        let swapped = self.rngs.process.chance(0.5);
        let (id, other) = if swapped { (b.node, a.node) } else { (a.node, b.node) };
        self.inflict(Fault::HalfOpen { id, other, service });
    }

    /// Others dial as they may: the one whose affair it is.
    fn storm(&mut self, id: Machine) {
        let open = self.network.of_node(id);
        if open.is_empty() {
            return;
        }
        let conn = self.rngs.process.pick(&open);
        let ends =
            self.network.end(conn, Side::Dialler).zip(self.network.end(conn, Side::Acceptor));
        let count = self.rngs.process.log_uniform(2.0, f64::from(STORM_MAX)) as u32;
        if let Some(((service, from), (_, to))) = ends {
            self.inflict(Fault::Storm { from: from.node, to: to.node, service, count });
        }
    }

    /// Somebody has started a copy of a member's machine: it calls one of the others.
    fn twin(&mut self, of: Machine) {
        let others: Vec<Machine> = self.ids().into_iter().filter(|id| *id != of).collect();
        if !others.is_empty() {
            let at = self.rngs.process.pick(&others);
            let service = self.rngs.process.pick(&[Service::Peer, Service::Feeder]);
            self.inflict(Fault::Twin { of, at, service });
        }
    }

    pub(super) fn reset_all(&mut self, id: Machine) {
        self.network.of_node(id).into_iter().for_each(|conn| self.reset(conn));
    }
}
