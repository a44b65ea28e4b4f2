//! Partitions: whom the network keeps apart, in which directions, for how long.

use super::Fault;
use crate::world::World;
use rep_vlsn::NodeId;
use std::collections::BTreeSet;
use std::time::Duration;

impl World {
    pub(crate) fn partition(&mut self) {
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
        let lasts = Duration::from_nanos(self.rngs.process.latency_ns(mean));
        for inside in &side {
            for outside in ids.iter().filter(|id| !side.contains(id)) {
                if !one_way || outwards {
                    self.cut_for(*inside, *outside, Some(lasts));
                }
                if !one_way || !outwards {
                    self.cut_for(*outside, *inside, Some(lasts));
                }
            }
        }
    }

    pub(crate) fn cut_for(&mut self, from: NodeId, to: NodeId, lasts: Option<Duration>) {
        if from != to {
            self.inflict(Fault::Cut { from, to, lasts });
        }
    }

    pub(super) fn block(&mut self, from: NodeId, to: NodeId) {
        self.counts.cuts += 1;
        self.trace.say(self.now, || format!("cut n{} -> n{}", from.get(), to.get()));
        self.network.cut(from, to);
    }

    pub(crate) fn mend(&mut self, from: NodeId, to: NodeId) {
        if self.network.is_cut(from, to) {
            self.inflict(Fault::Mend { from, to });
        }
    }

    /// What waited behind the cut comes through.
    pub(crate) fn unblock(&mut self, from: NodeId, to: NodeId) {
        let coming = self.network.mend(self.now, from, to);
        self.net_coming(coming);
    }

    pub(crate) fn isolate(&mut self, id: NodeId) {
        for other in self.ids() {
            self.cut_for(id, other, None);
            self.cut_for(other, id, None);
        }
    }

    pub(crate) fn rejoin(&mut self, id: NodeId) {
        for other in self.ids() {
            self.mend(id, other);
            self.mend(other, id);
        }
    }
}
