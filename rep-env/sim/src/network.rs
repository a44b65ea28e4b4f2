//! The network between the nodes: connections, delay, loss, and frames that come back from the dead.
//!
//! A link is a connection, as TCP gives it: bytes come whole and in order or the connection resets. The
//! *hostile* network breaks even that promise (frames lost, doubled, overtaken, and frames of a dead
//! connection delivered on its successor), because the protocol numbers its connections and must not
//! lean on the transport for safety.
//!
//! Nothing here knows the protocol: it carries bytes between ends and reports what the ends would see.

use crate::rng::Rng;
use crate::swarm::NetSwarm;
use bytes::Bytes;
use rep_node::Service;
use rep_vlsn::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// A connection, numbered in the order of dialling.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ConnId(pub(crate) u64);

/// One of the two ends of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Dialler,
    Acceptor,
}

impl Side {
    pub(crate) const fn other(self) -> Side {
        match self {
            Side::Dialler => Side::Acceptor,
            Side::Acceptor => Side::Dialler,
        }
    }

    const fn index(self) -> usize {
        match self {
            Side::Dialler => 0,
            Side::Acceptor => 1,
        }
    }
}

/// What travels.
#[derive(Clone, Debug)]
pub(crate) enum Parcel {
    /// A frame; `old` if it was sent on an earlier connection.
    Frame { bytes: Bytes, old: bool },
    /// The other end is gone.
    Close,
    /// The answer to the dial: the connection stands.
    Opened { dial: Dial },
}

/// Something that the network will do at a later time.
#[derive(Clone, Debug)]
pub(crate) enum NetEvent {
    /// A dial reaches its target.
    Dial(Dial),
    /// A parcel reaches an end.
    Arrive { conn: ConnId, to: Side, parcel: Parcel },
    /// The dialler gives up.
    DialFailed { dial: Dial, refused: bool },
}

/// A frame, by its number among those that were ever sent this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) service: Service,
    pub(crate) number: u64,
}

/// A connection that stands at both ends, by its number among those of this dialler, acceptor and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) from: NodeId,
    pub(crate) to: NodeId,
    pub(crate) service: Service,
    pub(crate) number: u64,
}

/// What may become of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mishap {
    /// It does not arrive: its connection resets or, on a hostile network, nobody hears of it.
    Lost,
    /// It comes twice (hostile).
    Doubled,
    /// Later ones may overtake it (hostile).
    Overtaken,
    /// Its bytes change, the checksum tells, and the connection resets.
    Corrupt,
}

/// An attempt to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) from: NodeId,
    pub(crate) run: u64,
    pub(crate) to: NodeId,
    pub(crate) service: Service,
}

/// An end of a connection: a run of a node, and the number that this run gave the link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: NodeId,
    pub(crate) run: u64,
    pub(crate) epoch: u64,
    pub(crate) open: bool,
}

#[derive(Debug)]
struct Conn {
    service: Service,
    ends: [End; 2],
    /// The dialler has heard what became of its dial.
    answered: bool,
    /// Towards each end: when the last parcel comes, and what waits behind a partition.
    last: [Duration; 2],
    held: [VecDeque<Parcel>; 2],
    /// It was reset with what was under way: nothing of that arrives but the end.
    broken: bool,
    /// One end has forgotten it, and the other has not heard of that.
    half_open: bool,
}

impl Conn {
    fn way(&self, to: Side) -> Way {
        let (from, target) = (self.ends[to.other().index()].node, self.ends[to.index()].node);
        (from, target, self.service, to == Side::Dialler)
    }
}

/// Frames of dead connections kept for replay, per direction and service.
const GRAVES_MAX: usize = 12;

/// What a wire of little bandwidth holds before its sender waits.
const SEND_BUFFER_BYTES: f64 = 2_000.0;

/// What the network did, for the report.
#[derive(Clone, Debug, Default)]
pub(crate) struct NetCounts {
    pub(crate) frames: u64,
    pub(crate) dropped: u64,
    pub(crate) duplicated: u64,
    pub(crate) reordered: u64,
    pub(crate) replayed: u64,
    pub(crate) corrupt: u64,
    pub(crate) queued: u64,
    pub(crate) resets: u64,
}

/// All connections and cuts of a world.
#[derive(Debug)]
pub(crate) struct Network {
    pub(crate) config: NetSwarm,
    delays: Rng,
    mishaps: Rng,
    /// When the wire from one to the other has carried what it was given.
    wires: BTreeMap<(NodeId, NodeId), Duration>,
    frames: BTreeMap<(NodeId, NodeId, Service), u64>,
    openings: BTreeMap<(NodeId, NodeId, Service), u64>,
    conns: BTreeMap<ConnId, Conn>,
    links: BTreeMap<(NodeId, u64), (ConnId, Side)>,
    blocked: BTreeSet<(NodeId, NodeId)>,
    graves: BTreeMap<Way, VecDeque<Bytes>>,
    next: u64,
    dial_timeout: Duration,
    pub(crate) counts: NetCounts,
}

/// From whom to whom, on which service, and whether towards the dialler: a frame comes back only on a
/// connection that could have carried it.
type Way = (NodeId, NodeId, Service, bool);

type Coming = Vec<(Duration, NetEvent)>;

impl Network {
    pub(crate) fn new(config: NetSwarm, seed: u64, dial_timeout: Duration) -> Self {
        Network {
            config,
            delays: Rng::split(seed, "net"),
            mishaps: Rng::split(seed, "mishaps"),
            wires: BTreeMap::new(),
            frames: BTreeMap::new(),
            openings: BTreeMap::new(),
            conns: BTreeMap::new(),
            links: BTreeMap::new(),
            blocked: BTreeSet::new(),
            graves: BTreeMap::new(),
            next: 0,
            dial_timeout,
            counts: NetCounts::default(),
        }
    }

    // ---- dialling

    pub(crate) fn dial(&mut self, now: Duration, dial: Dial) -> Coming {
        if self.is_cut(dial.from, dial.to) {
            return vec![(now + self.dial_timeout, NetEvent::DialFailed { dial, refused: false })];
        }
        vec![(now + self.delay(), NetEvent::Dial(dial))]
    }

    /// The target does not answer (`refused`: its machine says so at once).
    pub(crate) fn dial_fails(&mut self, now: Duration, dial: Dial, refused: bool) -> Coming {
        let heard = refused && !self.is_cut(dial.to, dial.from);
        let after = if heard { self.delay() } else { self.dial_timeout };
        vec![(now + after, NetEvent::DialFailed { dial, refused: heard })]
    }

    /// The target takes the dial: its end stands at once, the dialler's when the answer arrives.
    pub(crate) fn accept(
        &mut self,
        now: Duration,
        dial: Dial,
        ours: u64,
        theirs: (u64, u64),
    ) -> (ConnId, Coming) {
        self.next += 1;
        let id = ConnId(self.next);
        let (run, epoch) = theirs;
        let ends = [
            End { node: dial.from, run: dial.run, epoch: ours, open: false },
            End { node: dial.to, run, epoch, open: true },
        ];
        self.links.insert((dial.from, ours), (id, Side::Dialler));
        self.links.insert((dial.to, epoch), (id, Side::Acceptor));
        let conn = Conn {
            service: dial.service,
            ends,
            answered: false,
            last: [now; 2],
            held: Default::default(),
            broken: false,
            half_open: false,
        };
        self.conns.insert(id, conn);
        let opened = Parcel::Opened { dial };
        if self.is_cut(dial.to, dial.from) {
            return (id, self.unanswered(now, id, dial));
        }
        (id, self.convey(now, id, Side::Dialler, opened))
    }

    /// The answer to a dial is lost: the dialler gives up, and the acceptor hears of that.
    pub(crate) fn unanswered(&mut self, now: Duration, id: ConnId, dial: Dial) -> Coming {
        if let Some(conn) = self.conns.get_mut(&id) {
            conn.answered = true;
        }
        let later = now + self.dial_timeout;
        let close = NetEvent::Arrive { conn: id, to: Side::Acceptor, parcel: Parcel::Close };
        vec![(later, NetEvent::DialFailed { dial, refused: false }), (later, close)]
    }

    /// The dialler hears that its dial was taken.
    pub(crate) fn opened(&mut self, id: ConnId) -> Option<Opening> {
        let conn = self.conns.get_mut(&id)?;
        conn.ends[0].open = true;
        conn.answered = true;
        let (from, to, service) = (conn.ends[0].node, conn.ends[1].node, conn.service);
        let number = self.openings.entry((from, to, service)).or_default();
        *number += 1;
        Some(Opening { from, to, service, number: *number })
    }

    // ---- frames

    pub(crate) fn find(&self, node: NodeId, epoch: u64) -> Option<(ConnId, Side)> {
        self.links.get(&(node, epoch)).copied()
    }

    pub(crate) fn end(&self, id: ConnId, side: Side) -> Option<(Service, End)> {
        self.conns.get(&id).map(|conn| (conn.service, conn.ends[side.index()]))
    }

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

    pub(crate) fn send(
        &mut self,
        now: Duration,
        (id, from): (ConnId, Side),
        bytes: Bytes,
        mishap: Option<Mishap>,
    ) -> Coming {
        self.counts.frames += 1;
        let carried = self.carried_at(now, id, from, bytes.len());
        self.counts.queued += u64::from(carried > now);
        let now = carried;
        let (to, frame) = (from.other(), Parcel::Frame { bytes: bytes.clone(), old: false });
        match mishap {
            None => self.convey(now, id, to, frame),
            Some(Mishap::Lost) => {
                self.counts.dropped += 1;
                self.bury(id, to, bytes);
                if self.config.hostile { Vec::new() } else { self.reset(now, id) }
            }
            Some(Mishap::Corrupt) => {
                self.counts.corrupt += 1;
                self.reset(now, id)
            }
            Some(Mishap::Doubled) => {
                self.counts.duplicated += 1;
                let mut coming = self.convey(now, id, to, frame.clone());
                coming.extend(self.convey(now, id, to, frame));
                coming
            }
            Some(Mishap::Overtaken) => {
                self.counts.reordered += 1;
                let after = self.delay() * 3;
                vec![(now + after, NetEvent::Arrive { conn: id, to, parcel: frame })]
            }
        }
    }

    /// A parcel is there: what the end sees of it, or nothing (it waits behind a cut, or nobody is there).
    pub(crate) fn arrive(&mut self, id: ConnId, to: Side, parcel: Parcel) -> Option<Parcel> {
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
        Some(parcel)
    }

    // ---- endings

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

    /// The standing connections of one kind between two members.
    pub(crate) fn between(&self, a: NodeId, b: NodeId, service: Service) -> Vec<ConnId> {
        let joins = |ends: &[End; 2]| {
            (ends[0].node, ends[1].node) == (a, b) || (ends[0].node, ends[1].node) == (b, a)
        };
        self.open_ids(|conn| conn.service == service && joins(&conn.ends))
    }

    pub(crate) fn all_open(&self) -> Vec<ConnId> {
        self.open_ids(|_| true)
    }

    /// The standing connections of a node.
    pub(crate) fn of_node(&self, node: NodeId) -> Vec<ConnId> {
        self.open_ids(|conn| conn.ends.iter().any(|end| end.node == node))
    }

    /// A run of `node` ends. If the machine lives (`powered`), it still sends what it took, and its peers hear of
    /// the end; else what waits behind a cut is gone, and they may hear of it only after `silent`.
    pub(crate) fn process_ended(
        &mut self,
        now: Duration,
        node: NodeId,
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

    // ---- cuts

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.blocked.insert((from, to));
    }

    pub(crate) fn is_cut(&self, from: NodeId, to: NodeId) -> bool {
        self.blocked.contains(&(from, to))
    }

    /// Opens one direction; what waited behind the cut comes through, in order.
    pub(crate) fn mend(&mut self, now: Duration, from: NodeId, to: NodeId) -> Coming {
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
        let cuts: Vec<(NodeId, NodeId)> = self.blocked.iter().copied().collect();
        cuts.into_iter().flat_map(|(from, to)| self.mend(now, from, to)).collect()
    }

    pub(crate) fn cuts(&self) -> impl Iterator<Item = (NodeId, NodeId)> + '_ {
        self.blocked.iter().copied()
    }

    // ---- details

    fn open_ids(&self, keep: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        let standing = self.conns.iter().filter(|(_, conn)| conn.ends.iter().any(|end| end.open));
        standing.filter(|(_, conn)| keep(conn)).map(|(id, _)| *id).collect()
    }

    fn delay(&mut self) -> Duration {
        Duration::from_nanos(self.delays.latency_ns(self.config.delay.as_nanos() as u64))
    }

    /// Puts a parcel on its way towards `to`, behind everything sent before it.
    fn convey(&mut self, now: Duration, id: ConnId, to: Side, parcel: Parcel) -> Coming {
        let delay = self.delay();
        let Some(conn) = self.conns.get_mut(&id) else { return Vec::new() };
        let source = conn.ends[to.other().index()].node;
        if self.blocked.contains(&(source, conn.ends[to.index()].node)) {
            conn.held[to.index()].push_back(parcel);
            return Vec::new();
        }
        let last = &mut conn.last[to.index()];
        *last = (now + delay).max(*last + Duration::from_nanos(1));
        vec![(*last, NetEvent::Arrive { conn: id, to, parcel })]
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
