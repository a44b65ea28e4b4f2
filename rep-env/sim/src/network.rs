//! The network between the nodes: connections, delay, loss, and frames that come back from the dead.
//!
//! A link is a connection, as TCP gives it: bytes come whole and in order or the connection resets. The
//! *hostile* network breaks even that promise (frames lost, doubled, overtaken, and frames of a dead
//! connection delivered on its successor), because the protocol numbers its connections and must not
//! lean on the transport for safety.
//!
//! Nothing here knows the protocol: it carries bytes between ends and reports what the ends would see. `dialling` is how
//! connections begin, `frames` what travels on them, `spoiling` what becomes of their bytes, `endings` how they end, `cuts` what keeps parcels back.

mod cuts;
mod dialling;
mod endings;
mod frames;
mod spoiling;

pub(crate) use spoiling::is_refused;

use crate::machine::Machine;
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
    /// A frame whose bytes have changed on the way, as the wire carries it.
    Spoilt { wire: Bytes },
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
    DialFailed { dial: Dial, why: NoAnswer },
}

/// Why a dial came to nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoAnswer {
    /// The machine says at once that nobody listens.
    Refused,
    /// Nothing was heard.
    Silence,
    /// Somebody answered that it does not know who dials.
    Unknown,
}

/// A frame, by its number among those that were ever sent this way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) from: Machine,
    pub(crate) to: Machine,
    pub(crate) service: Service,
    pub(crate) number: u64,
}

/// A connection that stands at both ends, by its number among those of this dialler, acceptor and service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Opening {
    pub(crate) from: Machine,
    pub(crate) to: Machine,
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
    /// Its bytes change: what then is to be made of it the receiver's decoder has to know.
    Corrupt,
}

/// An attempt to connect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dial {
    pub(crate) from: Machine,
    pub(crate) run: u64,
    pub(crate) to: Machine,
    /// Whom the dialler means.
    pub(crate) peer: NodeId,
    pub(crate) service: Service,
}

/// An end of a connection: a run of a node, and the number that this run gave the link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End {
    pub(crate) node: Machine,
    pub(crate) run: u64,
    pub(crate) epoch: u64,
    /// The number by which it knows the other.
    pub(crate) peer: NodeId,
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
    /// When each end last heard something.
    heard: [Duration; 2],
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
    wires: BTreeMap<(Machine, Machine), Duration>,
    frames: BTreeMap<(Machine, Machine, Service), u64>,
    openings: BTreeMap<(Machine, Machine, Service), u64>,
    conns: BTreeMap<ConnId, Conn>,
    links: BTreeMap<(Machine, u64), (ConnId, Side)>,
    blocked: BTreeSet<(Machine, Machine)>,
    graves: BTreeMap<Way, VecDeque<Bytes>>,
    next: u64,
    dial_timeout: Duration,
    pub(crate) counts: NetCounts,
}

/// From whom to whom, on which service, and whether towards the dialler: a frame comes back only on a
/// connection that could have carried it.
type Way = (Machine, Machine, Service, bool);

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

    pub(crate) fn find(&self, node: Machine, epoch: u64) -> Option<(ConnId, Side)> {
        self.links.get(&(node, epoch)).copied()
    }

    pub(crate) fn end(&self, id: ConnId, side: Side) -> Option<(Service, End)> {
        self.conns.get(&id).map(|conn| (conn.service, conn.ends[side.index()]))
    }

    /// The standing connections of one kind between two members.
    pub(crate) fn between(&self, a: Machine, b: Machine, service: Service) -> Vec<ConnId> {
        let joins = |ends: &[End; 2]| {
            (ends[0].node, ends[1].node) == (a, b) || (ends[0].node, ends[1].node) == (b, a)
        };
        self.open_ids(|conn| conn.service == service && joins(&conn.ends))
    }

    pub(crate) fn all_open(&self) -> Vec<ConnId> {
        self.open_ids(|_| true)
    }

    /// The standing connections of a node.
    pub(crate) fn of_node(&self, node: Machine) -> Vec<ConnId> {
        self.open_ids(|conn| conn.ends.iter().any(|end| end.node == node))
    }

    fn open_ids(&self, keep: impl Fn(&Conn) -> bool) -> Vec<ConnId> {
        let standing = self.conns.iter().filter(|(_, conn)| conn.ends.iter().any(|end| end.open));
        standing.filter(|(_, conn)| keep(conn)).map(|(id, _)| *id).collect()
    }

    fn delay(&mut self) -> Duration {
        Duration::from_nanos(self.delays.latency_ns(self.config.delay.as_nanos() as u64))
    }

    /// Puts a parcel on its way towards `to`, behind everything sent before it.
    fn convey(&mut self, now: Duration, id: ConnId, to: Side, parcel: Parcel) -> Coming {
        self.convey_one(now, id, to, parcel).into_iter().collect()
    }

    /// The same, as what it is: one event, or none if the way is cut.
    fn convey_one(
        &mut self,
        now: Duration,
        id: ConnId,
        to: Side,
        parcel: Parcel,
    ) -> Option<(Duration, NetEvent)> {
        let delay = self.delay();
        let conn = self.conns.get_mut(&id)?;
        let source = conn.ends[to.other().index()].node;
        if self.blocked.contains(&(source, conn.ends[to.index()].node)) {
            conn.held[to.index()].push_back(parcel);
            return None;
        }
        let last = &mut conn.last[to.index()];
        *last = (now + delay).max(*last + Duration::from_nanos(1));
        Some((*last, NetEvent::Arrive { conn: id, to, parcel }))
    }
}
