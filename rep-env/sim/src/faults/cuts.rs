//! Partitions: whom the network keeps apart, in which directions, for how long.

use super::Fault;
use crate::machine::Machine;
use crate::world::World;
use std::time::Duration;

/// The shape of a partition: who still hears whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shape {
    /// One member alone.
    Alone,
    /// Two parts, drawn by chance.
    Parts,
    /// The master and one other, and the rest.
    MasterAndOne,
    /// A member hears its two neighbours in a ring.
    Ring,
    /// As a ring that is open at one place.
    Chain,
    /// Two parts, and one member that hears both.
    Bridge,
    /// The master hears one other; the rest hear each other and that one: whoever can win does not miss the master.
    QuorumLoss,
    /// The master is heard and hears nobody.
    DeafMaster,
    /// The master hears everybody and nobody hears it.
    MuteMaster,
}

impl Shape {
    pub(crate) const ALL: [Shape; 9] = [
        Shape::Alone,
        Shape::Parts,
        Shape::MasterAndOne,
        Shape::Ring,
        Shape::Chain,
        Shape::Bridge,
        Shape::QuorumLoss,
        Shape::DeafMaster,
        Shape::MuteMaster,
    ];

    /// Whether `a` still reaches `b`, as members stand in a row whose first is the master or the victim; `side` tells of
    /// each on which side of a cut through the row it stands.
    fn joins(self, (a, b): (usize, usize), count: usize, side: impl Fn(usize) -> bool) -> bool {
        let next_to = a.abs_diff(b) == 1;
        match self {
            Shape::Alone => a != 0 && b != 0,
            Shape::Parts => side(a) == side(b),
            Shape::MasterAndOne => (a < 2) == (b < 2),
            Shape::Ring => next_to || a.abs_diff(b) == count - 1,
            Shape::Chain => next_to,
            Shape::Bridge => a == 0 || b == 0 || side(a) == side(b),
            Shape::QuorumLoss => a.max(b) == 1 || a.min(b) > 0,
            Shape::DeafMaster => b != 0,
            Shape::MuteMaster => a != 0,
        }
    }
}

impl World {
    /// A partition by chance.
    pub(crate) fn partition(&mut self) {
        let shape = self.rngs.process.pick(&Shape::ALL);
        let mean = self.swarm.net.partition.as_nanos() as u64;
        let lasts = Duration::from_nanos(self.rngs.process.latency_ns(mean));
        let one_way = self.rngs.process.chance(self.swarm.net.one_way);
        let outwards = self.rngs.process.chance(0.5);
        self.shape(shape, Some(lasts), |from, to| !one_way || (from < to) == outwards);
    }

    /// Cuts what the shape cuts, where it is `meant`.
    pub(crate) fn shape(
        &mut self,
        shape: Shape,
        lasts: Option<Duration>,
        meant: impl Fn(usize, usize) -> bool,
    ) {
        let row = self.row(shape);
        let sides = self.rngs.process.next_u64();
        for (a, from) in row.iter().enumerate() {
            for (b, to) in row.iter().enumerate() {
                let joined = shape.joins((a, b), row.len(), |at| sides >> at & 1 == 1);
                if a != b && !joined && meant(a, b) {
                    self.cut_for(*from, *to, lasts);
                }
            }
        }
    }

    /// The members in a row by chance; the first is the one that the shape speaks of.
    fn row(&mut self, shape: Shape) -> Vec<Machine> {
        let first = match shape {
            Shape::Alone | Shape::Bridge | Shape::Ring | Shape::Chain | Shape::Parts => None,
            Shape::MasterAndOne | Shape::QuorumLoss | Shape::DeafMaster | Shape::MuteMaster => {
                self.master()
            }
        };
        let first = first.unwrap_or_else(|| self.victim());
        let mut rest: Vec<Machine> = self.ids().into_iter().filter(|id| *id != first).collect();
        for at in (1..rest.len()).rev() {
            let with = self.rngs.process.below(at as u64 + 1) as usize;
            rest.swap(at, with);
        }
        [vec![first], rest].concat()
    }

    pub(crate) fn cut_for(&mut self, from: Machine, to: Machine, lasts: Option<Duration>) {
        if from != to {
            self.inflict(Fault::Cut { from, to, lasts });
        }
    }

    pub(super) fn block(&mut self, from: Machine, to: Machine) {
        self.counts.cuts += 1;
        self.trace.say(self.now, || format!("cut n{} -> n{}", from.get(), to.get()));
        self.network.cut(from, to);
    }

    pub(crate) fn mend(&mut self, from: Machine, to: Machine) {
        if self.network.is_cut(from, to) {
            self.inflict(Fault::Mend { from, to });
        }
    }

    /// What waited behind the cut comes through.
    pub(crate) fn unblock(&mut self, from: Machine, to: Machine) {
        let coming = self.network.mend(self.now, from, to);
        self.net_coming(coming);
    }

    pub(crate) fn isolate(&mut self, id: Machine) {
        for other in self.ids() {
            self.cut_for(id, other, None);
            self.cut_for(other, id, None);
        }
    }

    pub(crate) fn rejoin(&mut self, id: Machine) {
        for other in self.ids() {
            self.mend(id, other);
            self.mend(other, id);
        }
    }
}
