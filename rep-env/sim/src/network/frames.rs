//! What travels: frames, what becomes of them on the way, and those that come back from the dead.

use super::{Coming, Conn, ConnId, Frame, Mishap, NetEvent, Network, Parcel, Side};
use crate::machine::Machine;
use bytes::Bytes;
use rep_node::Service;
use std::collections::VecDeque;
use std::time::Duration;

/// Frames of dead connections kept for replay, per direction and service.
const GRAVES_MAX: usize = 12;

/// What a wire of little bandwidth holds before its sender waits.
const SEND_BUFFER_BYTES: f64 = 2_000.0;

impl Network {
    /// The name of the frame that is sent next.
    pub(crate) fn next_frame(&mut self, id: ConnId, from: Side) -> Option<Frame> {
        let conn = self.conns.get(&id)?;
        let (source, to) = (conn.ends[from.index()].node, conn.ends[from.other().index()].node);
        let service = conn.service;
        let number = self.frames.entry((source, to, service)).or_default();
        *number += 1;
        Some(Frame { from: source, to, service, number: *number })
    }

    /// What chance would have become of a frame.
    pub(crate) fn draw_mishap(&mut self, frame: Frame) -> Option<Mishap> {
        if self.mishaps.chance(self.config.drop) {
            return Some(Mishap::Lost);
        }
        if self.mishaps.chance(self.config.corrupt) {
            return Some(Mishap::Corrupt);
        }
        // A stream of the log leans on the order within its connection, as every channel promises it; elections and
        // heartbeats do not.
        if !self.config.hostile || frame.service != Service::Peer {
            return None;
        }
        let doubled = self.mishaps.chance(self.config.duplicate).then_some(Mishap::Doubled);
        let mut overtaken =
            || self.mishaps.chance(self.config.reorder).then_some(Mishap::Overtaken);
        doubled.or_else(&mut overtaken)
    }

    /// When a frame given to the wire now has been carried: a wire of little bandwidth has its queue.
    fn carried_at(&mut self, now: Duration, id: ConnId, from: Side, bytes: usize) -> Duration {
        let Some((conn, bandwidth)) = self.conns.get(&id).zip(self.config.bandwidth) else {
            return now;
        };
        let ends = (conn.ends[from.index()].node, conn.ends[from.other().index()].node);
        let takes = Duration::from_secs_f64(bytes as f64 / bandwidth);
        let free = self.wires.entry(ends).or_default();
        *free = (*free).max(now) + takes;
        *free
    }

    /// How long whoever sends has to wait before its next frame: the send buffer is full of those before.
    pub(crate) fn back_pressure(&self, now: Duration, id: ConnId, from: Side) -> Duration {
        let Some((conn, bandwidth)) = self.conns.get(&id).zip(self.config.bandwidth) else {
            return Duration::ZERO;
        };
        let ends = (conn.ends[from.index()].node, conn.ends[from.other().index()].node);
        let queued = self.wires.get(&ends).map_or(Duration::ZERO, |at| at.saturating_sub(now));
        queued.saturating_sub(Duration::from_secs_f64(SEND_BUFFER_BYTES / bandwidth))
    }

    /// A frame leaves, and nothing happens to it.
    pub(crate) fn send(
        &mut self,
        now: Duration,
        (id, from): (ConnId, Side),
        bytes: Bytes,
    ) -> Option<(Duration, NetEvent)> {
        let now = self.carry(now, id, from, bytes.len());
        self.convey_one(now, id, from.other(), Parcel::Frame { bytes, old: false })
    }

    /// A frame leaves, and does not arrive as it was sent.
    pub(crate) fn send_amiss(
        &mut self,
        now: Duration,
        (id, from): (ConnId, Side),
        bytes: Bytes,
        (name, mishap): (Frame, Mishap),
    ) -> Coming {
        let now = self.carry(now, id, from, bytes.len());
        let (to, frame) = (from.other(), Parcel::Frame { bytes: bytes.clone(), old: false });
        match mishap {
            Mishap::Lost => {
                self.counts.dropped += 1;
                self.bury(id, to, bytes);
                if self.config.hostile { Vec::new() } else { self.reset(now, id) }
            }
            Mishap::Corrupt => {
                self.counts.corrupt += 1;
                let wire = Network::spoil(name, &bytes);
                self.convey(now, id, to, Parcel::Spoilt { wire })
            }
            Mishap::Doubled => {
                self.counts.duplicated += 1;
                let mut coming = self.convey(now, id, to, frame.clone());
                coming.extend(self.convey_one(now, id, to, frame));
                coming
            }
            Mishap::Overtaken => {
                self.counts.reordered += 1;
                let after = self.delay() * 3;
                vec![(now + after, NetEvent::Arrive { conn: id, to, parcel: frame })]
            }
        }
    }

    /// When the wire has taken a frame.
    fn carry(&mut self, now: Duration, id: ConnId, from: Side, bytes: usize) -> Duration {
        self.counts.frames += 1;
        let carried = self.carried_at(now, id, from, bytes);
        self.counts.queued += u64::from(carried > now);
        carried
    }

    /// A parcel is there: what the end sees of it, or nothing (it waits behind a cut, or nobody is there).
    pub(crate) fn arrive(
        &mut self,
        now: Duration,
        id: ConnId,
        to: Side,
        parcel: Parcel,
    ) -> Option<Parcel> {
        let conn = self.conns.get_mut(&id)?;
        let (source, target) = (conn.ends[to.other().index()].node, conn.ends[to.index()]);
        if self.blocked.contains(&(source, target.node)) && !matches!(parcel, Parcel::Opened { .. })
        {
            conn.held[to.index()].push_back(parcel);
            return None;
        }
        let lost = conn.broken && !matches!(parcel, Parcel::Close);
        if lost || (!target.open && !matches!(parcel, Parcel::Opened { .. })) {
            if let Parcel::Frame { bytes, .. } = parcel {
                self.bury(id, to, bytes);
            }
            return None;
        }
        conn.heard[to.index()] = now;
        Some(parcel)
    }

    /// Whether a member has a connection that this run has dialled, and has heard something on it since then.
    pub(crate) fn hears(&self, at: Machine, (node, run): (Machine, u64), since: Duration) -> bool {
        let from_run = |conn: &&Conn| {
            let [dialler, acceptor] = conn.ends;
            acceptor.open && acceptor.node == at && (dialler.node, dialler.run) == (node, run)
        };
        self.conns.values().filter(from_run).any(|conn| conn.heard[1] >= since)
    }

    fn bury(&mut self, id: ConnId, to: Side, bytes: Bytes) {
        let Some(conn) = self.conns.get(&id).filter(|_| self.config.hostile) else { return };
        let graves = self.graves.entry(conn.way(to)).or_default();
        if graves.len() == GRAVES_MAX {
            graves.pop_front();
        }
        graves.push_back(bytes);
    }

    /// Which frames of dead connections chance would have come back on this one, towards each end.
    pub(crate) fn draw_ghosts(&mut self, id: ConnId) -> [u16; 2] {
        if !self.config.hostile {
            return [0; 2];
        }
        [Side::Dialler, Side::Acceptor].map(|to| {
            let graves = self.conns.get(&id).and_then(|conn| self.graves.get(&conn.way(to)));
            let count = graves.map_or(0, VecDeque::len);
            let comes = (0..count).filter(|_| self.mishaps.chance(self.config.replay));
            comes.fold(0, |mask, at| mask | 1 << at)
        })
    }

    /// Frames of dead connections come back.
    pub(crate) fn haunt(&mut self, now: Duration, id: ConnId, towards: [u16; 2]) -> Coming {
        let mut coming = Vec::new();
        for (to, mask) in [Side::Dialler, Side::Acceptor].into_iter().zip(towards) {
            let graves = self.conns.get(&id).and_then(|conn| self.graves.get(&conn.way(to)));
            let frames: Vec<Bytes> = graves.into_iter().flatten().cloned().collect();
            for (_, bytes) in (0..).zip(frames).filter(|(at, _)| mask >> at & 1 == 1) {
                self.counts.replayed += 1;
                let after = self.delay() * 2;
                let parcel = Parcel::Frame { bytes, old: true };
                coming.push((now + after, NetEvent::Arrive { conn: id, to, parcel }));
            }
        }
        coming
    }
}
