//! Who is connected, and when to dial whom again.
//!
//! Between two members lies one PEER link, dialled by the smaller number, and at most one FEEDER link each way,
//! dialled by the replica. Links break; a broken one is dialled again at once, then with growing pauses, for ever. A PEER link
//! on which nothing answers counts as broken: TCP would go on trying for longer and longer, and stay silent for as long after
//! the network is well again.

use rep_stream::Connection;
use rep_vlsn::{Incarnation, NodeId, mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::Duration;

/// Pings on a PEER link without a frame in return, after which it counts as broken. They are sent twice an election timeout. They
/// are counted, not timed, so that a node that was itself frozen gives its peers the time to answer.
const UNANSWERED_MAX: u32 = 6;

/// For so long it is said that a second process of a member was seen.
const TWIN_SEEN_FOR: Duration = Duration::from_secs(10);

/// What a link is for.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub enum Service {
    /// Elections, heartbeats, read rounds.
    Peer,
    /// One stream of the log.
    Feeder,
}

/// One connection, from one end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The member at the other end.
    pub peer: NodeId,
    /// What it is for.
    pub service: Service,
    /// The driver's number for it: rising, and unique among all runs of the node, since what an earlier run said may come late.
    pub epoch: u64,
}

/// One run of a member's process, as whoever dials says: any number that no other run of the same directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RunId(pub u64);

/// Who the other end of a link has shown itself to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Shown {
    /// The data directory.
    pub incarnation: Incarnation,
    /// The run of the process, if it was told: who dials tells it, who answers does not.
    pub run: Option<RunId>,
    /// The dialler's own number for the link, if it was told: the stream on it bears that number.
    pub number: Option<u64>,
    /// The version of the channel that both ends speak. Default [`PEER_VERSION`].
    pub version: u16,
}

/// The newest version of the PEER channel, which is spoken here, and all before it. From 2 on there is [`Load`](crate::Load).
pub const PEER_VERSION: u16 = 2;

impl Shown {
    /// A run of the process on this data directory.
    pub fn new(incarnation: Incarnation, run: RunId) -> Self {
        Shown { run: Some(run), ..Shown::from(incarnation) }
    }

    /// The same, whose link has that number at the end that dialled it ([`Link::epoch`]). A stream that another number begins is of an earlier connection,
    /// and changes nothing.
    pub fn numbered(mut self, number: u64) -> Self {
        self.number = Some(number);
        self
    }

    /// The same over a channel of that version.
    pub fn speaking(mut self, version: u16) -> Self {
        self.version = version;
        self
    }
}

impl From<Incarnation> for Shown {
    fn from(incarnation: Incarnation) -> Self {
        Shown { incarnation, run: None, number: None, version: PEER_VERSION }
    }
}

/// Why a dial failed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DialFailure {
    /// The host answered that nobody listens: the process is gone.
    Refused,
    /// No answer.
    Unreachable,
    /// Somebody answered and refused this node, for this reason.
    Rejected(String),
}

impl fmt::Display for DialFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DialFailure::Refused => write!(f, "nobody listens there"),
            DialFailure::Unreachable => write!(f, "no answer"),
            DialFailure::Rejected(reason) => f.write_str(reason),
        }
    }
}

/// Where a link stands among the links of its peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Slot {
    /// The PEER link.
    Peer,
    /// The FEEDER link that this node dialled, as a replica.
    Source,
    /// The FEEDER link that the peer dialled, as a replica of this node.
    Fed,
}

impl Slot {
    pub(crate) fn of(service: Service, dialled: bool) -> Slot {
        match (service, dialled) {
            (Service::Peer, _) => Slot::Peer,
            (Service::Feeder, true) => Slot::Source,
            (Service::Feeder, false) => Slot::Fed,
        }
    }

    fn service(self) -> Service {
        match self {
            Slot::Peer => Service::Peer,
            Slot::Source | Slot::Fed => Service::Feeder,
        }
    }
}

/// An open link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Open {
    pub(crate) link: Link,
    pub(crate) slot: Slot,
    pub(crate) incarnation: Incarnation,
    run: Option<RunId>,
    /// The dialler's number for it.
    number: Option<u64>,
    /// Of the channel, as both ends speak it.
    pub(crate) version: u16,
    /// When something last arrived on it.
    pub(crate) heard: Duration,
    /// Pings that were sent since then.
    unanswered: u32,
    since: Duration,
    /// The pause that came before its dial.
    pause: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Dial {
    /// The driver is at it.
    Dialling { pause: Duration },
    /// Not before `until`.
    Waiting { until: Duration, pause: Duration },
}

/// All links of one node.
#[derive(Debug)]
pub(crate) struct Links {
    redial_min: Duration,
    redial_max: Duration,
    jitter: u64,
    open: BTreeMap<(NodeId, Slot), Open>,
    dials: BTreeMap<(NodeId, Slot), Dial>,
    round_trips: BTreeMap<NodeId, Duration>,
    /// When each was last heard on any link, and which directory that was.
    last_heard: BTreeMap<NodeId, (Incarnation, Duration)>,
    /// Second processes of members that were turned away.
    twins: BTreeMap<NodeId, TwinSeen>,
}

/// When a second process of a member asked for its place. Once is no sign of a copy: after a restart the end of the first
/// connection may come in behind the second.
#[derive(Clone, Copy, Debug)]
struct TwinSeen {
    first: Duration,
    last: Duration,
    told: bool,
}

impl Open {
    /// For how long it has been open.
    pub(crate) fn lasts_since(&self, now: Duration) -> Duration {
        now.saturating_sub(self.since)
    }

    /// Whether a stream of that number can have begun on it: what an earlier connection carried may come late, on this one.
    pub(crate) fn carries(&self, connection: Connection) -> bool {
        self.number.is_none_or(|number| number == connection.epoch)
            || mutant!("image-of-an-earlier-connection")
    }
}

impl Links {
    pub(crate) fn new(redial_min: Duration, redial_max: Duration, seed: u64) -> Self {
        Links {
            redial_min,
            redial_max: redial_max.max(redial_min),
            jitter: seed | 1,
            open: BTreeMap::new(),
            dials: BTreeMap::new(),
            round_trips: BTreeMap::new(),
            last_heard: BTreeMap::new(),
            twins: BTreeMap::new(),
        }
    }

    pub(crate) fn get(&self, peer: NodeId, slot: Slot) -> Option<&Open> {
        self.open.get(&(peer, slot))
    }

    /// The open link that is exactly `link`.
    pub(crate) fn find(&self, link: Link) -> Option<&Open> {
        let slots: &[Slot] = match link.service {
            Service::Peer => &[Slot::Peer],
            Service::Feeder => &[Slot::Source, Slot::Fed],
        };
        slots.iter().filter_map(|slot| self.get(link.peer, *slot)).find(|open| open.link == link)
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Open> {
        self.open.values().filter(|open| open.slot == Slot::Peer)
    }

    pub(crate) fn round_trips(&self) -> &BTreeMap<NodeId, Duration> {
        &self.round_trips
    }

    /// Forgets how far those are who are not `known`.
    pub(crate) fn retain_round_trips(&mut self, known: &BTreeSet<NodeId>) {
        self.round_trips.retain(|id, _| known.contains(id));
    }

    pub(crate) fn measured(&mut self, peer: NodeId, round_trip: Duration) {
        let smoothed = match self.round_trips.get(&peer) {
            Some(old) => (*old * 7 + round_trip) / 8,
            None => round_trip,
        };
        self.round_trips.insert(peer, smoothed);
    }

    pub(crate) fn heard(&mut self, now: Duration, peer: NodeId, slot: Slot) {
        if let Some(open) = self.open.get_mut(&(peer, slot)) {
            open.heard = now;
            open.unanswered = 0;
            self.last_heard.insert(peer, (open.incarnation, now));
        }
    }

    /// Whom to ping now, and which links nothing answers on: those count as broken from here on.
    pub(crate) fn ping_round(&mut self) -> (Vec<Link>, Vec<Link>) {
        let peers = self.open.values_mut().filter(|open| open.slot == Slot::Peer);
        let (mut asked, mut silent) = (Vec::new(), Vec::new());
        for open in peers {
            if open.unanswered >= UNANSWERED_MAX {
                silent.push(open.link);
            } else {
                open.unanswered += 1;
                asked.push(open.link);
            }
        }
        (asked, silent)
    }

    /// Whether that directory was heard on any link since `since`.
    pub(crate) fn was_heard(
        &self,
        peer: NodeId,
        incarnation: Incarnation,
        since: Duration,
    ) -> bool {
        self.last_heard.get(&peer).is_some_and(|(of, at)| *of == incarnation && *at >= since)
    }

    /// When that directory was last heard, on whichever link.
    pub(crate) fn last_heard(&self, peer: NodeId, incarnation: Incarnation) -> Option<Duration> {
        let heard = self.last_heard.get(&peer).filter(|(of, _)| *of == incarnation);
        heard.map(|(_, at)| *at)
    }

    /// Whether another run of that very directory than the one shown was heard since `since`.
    pub(crate) fn hears_another_run(&self, peer: NodeId, shown: Shown, since: Duration) -> bool {
        let others = [Slot::Peer, Slot::Fed].into_iter().filter_map(|slot| self.get(peer, slot));
        let is_other = |open: &Open| match (open.run, shown.run) {
            (Some(theirs), Some(run)) => theirs != run && open.incarnation == shown.incarnation,
            (None, _) | (_, None) => false,
        };
        others.into_iter().any(|open| is_other(open) && open.heard >= since)
    }

    /// The links of another run than the one shown, which has taken its place.
    pub(crate) fn of_another_run(&self, peer: NodeId, shown: Shown) -> Vec<Link> {
        let others = [Slot::Peer, Slot::Fed].into_iter().filter_map(|slot| self.get(peer, slot));
        let is_other =
            |open: &&Open| open.run.is_some_and(|run| shown.run.is_some_and(|it| it != run));
        others.filter(is_other).map(|open| open.link).collect()
    }

    /// A second process of `peer` was turned away; tells whether it is time to say so: it goes on asking although
    /// `patience` has passed, in which the connections of one that has ended would have fallen silent.
    pub(crate) fn twin_seen(&mut self, now: Duration, peer: NodeId, patience: Duration) -> bool {
        let fresh = TwinSeen { first: now, last: now, told: false };
        let seen = self.twins.entry(peer).or_insert(fresh);
        if now.saturating_sub(seen.last) > TWIN_SEEN_FOR {
            *seen = fresh;
        }
        seen.last = now;
        let tell = !seen.told && now.saturating_sub(seen.first) > patience;
        seen.told |= tell;
        tell
    }

    /// Members of whom a second process was seen lately.
    pub(crate) fn twins(&self, now: Duration) -> impl Iterator<Item = NodeId> + '_ {
        let lately =
            move |seen: &TwinSeen| seen.told && now.saturating_sub(seen.last) <= TWIN_SEEN_FOR;
        self.twins.iter().filter(move |(_, seen)| lately(seen)).map(|(peer, _)| *peer)
    }

    /// Takes a new link; gives back the one whose place it takes.
    pub(crate) fn up(
        &mut self,
        now: Duration,
        link: Link,
        shown: Shown,
        dialled: bool,
    ) -> (Slot, Option<Open>) {
        let slot = Slot::of(link.service, dialled);
        // Who is let in is no copy, or has become the one that counts.
        self.twins.remove(&link.peer);
        let pause = match self.dials.remove(&(link.peer, slot)) {
            Some(Dial::Dialling { pause } | Dial::Waiting { pause, .. }) => pause,
            None => Duration::ZERO,
        };
        let Shown { incarnation, run, number, version } = shown;
        let open = Open {
            link,
            slot,
            incarnation,
            run,
            number,
            version,
            heard: now,
            unanswered: 0,
            since: now,
            pause,
        };
        (slot, self.open.insert((link.peer, slot), open))
    }

    /// Forgets a link; gives it back, unless it was forgotten already.
    pub(crate) fn down(&mut self, link: Link) -> Option<Open> {
        let slot = self.find(link)?.slot;
        self.open.remove(&(link.peer, slot))
    }

    pub(crate) fn close(&mut self, peer: NodeId, slot: Slot) -> Option<Link> {
        self.open.remove(&(peer, slot)).map(|open| open.link)
    }

    /// Asks for a dial now, if none is open, under way or waiting.
    pub(crate) fn want(&mut self, peer: NodeId, slot: Slot) -> Option<Service> {
        let key = (peer, slot);
        if self.open.contains_key(&key) || self.dials.contains_key(&key) {
            return None;
        }
        self.dials.insert(key, Dial::Dialling { pause: Duration::ZERO });
        Some(slot.service())
    }

    /// Asks for a dial in place of a link that was lost: now, if it had lived a while. One that was closed as soon
    /// as it was up has been turned away, and its dials pause like those that fail.
    pub(crate) fn want_again(&mut self, now: Duration, lost: &Open) -> Option<Service> {
        if now.saturating_sub(lost.since) >= self.redial_max {
            return self.want(lost.link.peer, lost.slot);
        }
        let key = (lost.link.peer, lost.slot);
        if !self.open.contains_key(&key) && !self.dials.contains_key(&key) {
            self.wait_longer(now, key, lost.pause);
        }
        None
    }

    /// Asks for a dial after a pause, because the last link ended by a refusal.
    pub(crate) fn want_later(&mut self, now: Duration, peer: NodeId, slot: Slot) {
        let pause = self.redial_max;
        let until = now + self.jittered(pause);
        self.dials.entry((peer, slot)).or_insert(Dial::Waiting { until, pause });
    }

    /// No dial of this kind is wanted any more.
    pub(crate) fn unwant(&mut self, peer: NodeId, slot: Slot) {
        self.dials.remove(&(peer, slot));
    }

    /// A dial failed: the next one waits twice as long as the last, up to the bound.
    pub(crate) fn failed(&mut self, now: Duration, peer: NodeId, service: Service) {
        let key = (peer, Slot::of(service, true));
        let Some(Dial::Dialling { pause }) = self.dials.get(&key).copied() else { return };
        self.wait_longer(now, key, pause);
    }

    fn wait_longer(&mut self, now: Duration, key: (NodeId, Slot), pause: Duration) {
        let pause = (pause * 2).clamp(self.redial_min, self.redial_max);
        let until = now + self.jittered(pause);
        self.dials.insert(key, Dial::Waiting { until, pause });
    }

    /// The dials that are due now.
    pub(crate) fn due(&mut self, now: Duration) -> Vec<(NodeId, Service)> {
        let mut due = Vec::new();
        for ((peer, slot), dial) in &mut self.dials {
            if let Dial::Waiting { until, pause } = *dial
                && until <= now
            {
                *dial = Dial::Dialling { pause };
                due.push((*peer, slot.service()));
            }
        }
        due
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        let waits = self.dials.values().filter_map(|dial| match dial {
            Dial::Dialling { .. } => None,
            Dial::Waiting { until, .. } => Some(*until),
        });
        waits.min()
    }

    /// Between three and five quarters of `pause`, by a small xorshift (Marsaglia 2003).
    fn jittered(&mut self, pause: Duration) -> Duration {
        self.jitter ^= self.jitter << 13;
        self.jitter ^= self.jitter >> 7;
        self.jitter ^= self.jitter << 17;
        pause * 3 / 4 + pause / 2 * ((self.jitter % 1024) as u32) / 1024
    }
}
