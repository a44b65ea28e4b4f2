//! Connections end: closed, reset, forgotten by one end, or gone with the process at one end.

use super::{Coming, Conn, ConnId, NetEvent, Network, Parcel, Side};
use crate::machine::Machine;
use std::time::Duration;

impl Network {
    /// An end closes. The other learns it if the network lets it.
    pub(crate) fn close(&mut self, now: Duration, id: ConnId, side: Side) -> Coming {
        let Some(conn) = self.conns.get_mut(&id) else { return Vec::new() };
        if !conn.ends[side.index()].open {
            return Vec::new();
        }
        conn.ends[side.index()].open = false;
        self.convey(now, id, side.other(), Parcel::Close)
    }

    /// An end has learned that the other is gone.
    pub(crate) fn closed(&mut self, id: ConnId, side: Side) {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.ends[side.index()].open = false;
        }
        self.forget_if_over(id);
    }

    /// A connection that stands at no end is forgotten; what is still under way finds nobody.
    fn forget_if_over(&mut self, id: ConnId) {
        let over = |conn: &&Conn| conn.answered && !conn.ends.iter().any(|end| end.open);
        let Some(conn) = self.conns.get(&id).filter(over).filter(|_| !self.config.hostile) else {
            return;
        };
        for end in conn.ends {
            self.links.remove(&(end.node, end.epoch));
        }
        self.conns.remove(&id);
    }

    /// Both ends will see the connection reset.
    pub(crate) fn reset(&mut self, now: Duration, id: ConnId) -> Coming {
        self.counts.resets += 1;
        let mut coming = self.convey(now, id, Side::Dialler, Parcel::Close);
        coming.extend(self.convey(now, id, Side::Acceptor, Parcel::Close));
        coming
    }

    /// Both ends will see the connection reset, and nothing of what is under way.
    pub(crate) fn abort(&mut self, now: Duration, id: ConnId) -> Coming {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.broken = true;
        }
        self.reset(now, id)
    }

    /// One end sees a reset; the other does not, and what it sends finds nobody. A connection has to stand for that.
    pub(crate) fn half_close(&mut self, now: Duration, id: ConnId, at: Side) -> Coming {
        let standing = self.conns.get_mut(&id).filter(|conn| conn.answered);
        let Some(conn) = standing else { return Vec::new() };
        self.counts.resets += 1;
        conn.half_open = true;
        self.convey(now, id, at, Parcel::Close)
    }

    /// What is left of half-open connections resets.
    pub(crate) fn close_halves(&mut self, now: Duration) -> Coming {
        let halves = self.open_ids(|conn| conn.half_open);
        halves.into_iter().flat_map(|id| self.reset(now, id)).collect()
    }

    /// A run of `node` ends. If the machine lives (`powered`), it still sends what it took, and its peers hear of
    /// the end; else what waits behind a cut is gone, and they may hear of it only after `silent`.
    pub(crate) fn process_ended(
        &mut self,
        now: Duration,
        node: Machine,
        powered: bool,
        silent: Option<Duration>,
    ) -> Coming {
        let mut coming = Vec::new();
        for id in self.of_node(node) {
            let Some(conn) = self.conns.get_mut(&id) else { continue };
            let side = if conn.ends[0].node == node { Side::Dialler } else { Side::Acceptor };
            conn.ends[side.index()].open = false;
            if !powered {
                conn.held[side.other().index()].clear();
            }
            match silent {
                None => coming.extend(self.convey(now, id, side.other(), Parcel::Close)),
                Some(after) => {
                    let event =
                        NetEvent::Arrive { conn: id, to: side.other(), parcel: Parcel::Close };
                    coming.push((now + after, event));
                }
            }
        }
        coming
    }
}
