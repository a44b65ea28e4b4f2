//! Directions that carry nothing, until they do again.

use super::{Coming, ConnId, Network, Side};
use crate::machine::Machine;
use std::time::Duration;

impl Network {
    pub(crate) fn cut(&mut self, from: Machine, to: Machine) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn is_cut(&self, from: Machine, to: Machine) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Opens one direction; what waited behind the cut comes through, in order.
    pub(crate) fn mend(&mut self, now: Duration, from: Machine, to: Machine) -> Coming {
        if !self.blocked.remove(&(from, to)) {
            return Vec::new();
        }
        let mut coming = Vec::new();
        let ids: Vec<ConnId> = self.conns.keys().copied().collect();
        for id in ids {
            for side in [Side::Dialler, Side::Acceptor] {
                let Some(conn) = self.conns.get_mut(&id) else { continue };
                let ends = (conn.ends[side.other().index()].node, conn.ends[side.index()].node);
                if ends != (from, to) {
                    continue;
                }
                for parcel in std::mem::take(&mut conn.held[side.index()]) {
                    coming.extend(self.convey(now, id, side, parcel));
                }
            }
        }
        coming
    }

    /// Opens everything.
    pub(crate) fn heal(&mut self, now: Duration) -> Coming {
        let cuts: Vec<(Machine, Machine)> = self.blocked.iter().copied().collect();
        cuts.into_iter().flat_map(|(from, to)| self.mend(now, from, to)).collect()
    }

    pub(crate) fn cuts(&self) -> impl Iterator<Item = (Machine, Machine)> + '_ {
        self.blocked.iter().copied()
    }
}
