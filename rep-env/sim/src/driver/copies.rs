//! Copies of the state, for members that no log reaches: the threads at both ends, and what lies between them.
//!
//! `taking` drives the shipped sink and its staging, `giving` the shipped source, an event for each thing that a real thread waits
//! for. The connection between them is a plain one: it keeps its order, breaks now and then while there is trouble, and is dead
//! from the moment at which a cut swallows something; then only patience ends it.

mod giving;
mod keeping;
mod taking;

pub(crate) use giving::Giving;
pub(crate) use keeping::Kept;
pub(crate) use taking::Taking;

use crate::machine::Machine;
use crate::world::{Event, World};
use bytes::Bytes;
use rep_node::rep_stream::restore::RestoreConfig;
use std::collections::BTreeMap;
use std::time::Duration;

/// Of the messages of a copy one in so many breaks the connection, while there is trouble.
const BREAKS_ONE_IN: u64 = 60;
/// Chunks of the built-in store are this long at least, so that a small state has many.
pub(crate) const CHUNK_BYTES_MIN: usize = 48;

/// What an end hears of its connection.
#[derive(Clone, Debug)]
pub(crate) enum CopyNews {
    /// To the one who dialled: it stands,
    Opened,
    /// or should have stood by now.
    Unanswered,
    Said(Bytes),
    Closed,
}

/// Who takes, or gives: a run of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct End {
    id: Machine,
    run: u64,
}

/// The end that takes, and the one that gives.
const TAKES: usize = 0;
const GIVES: usize = 1;

#[derive(Debug)]
struct Connection {
    ends: [End; 2],
    /// Towards each end: when the last news comes.
    last: [Duration; 2],
    dead: bool,
}

/// The connections of all copies.
#[derive(Debug, Default)]
pub(crate) struct Copies {
    connections: BTreeMap<u64, Connection>,
    next: u64,
}

impl World {
    pub(super) fn copy_config(&self) -> RestoreConfig {
        let mut config = RestoreConfig::default();
        config.window_bytes = 512;
        config.progress_timeout = self.swarm.election_timeout * 2;
        config.bytes_per_s = self.seed.is_multiple_of(3).then_some(64 << 10);
        config
    }

    /// Somebody asks for a copy; whether it is heard shows later.
    fn dial_copy(&mut self, id: Machine, to: Machine) -> u64 {
        self.copies.next += 1;
        let link = self.copies.next;
        let ends = [End { id, run: self.process(id).run }, End { id: to, run: 0 }];
        let connection = Connection { ends, last: [self.now; 2], dead: false };
        self.copies.connections.insert(link, connection);
        let after = self.copy_delay();
        self.schedule.push(self.now + after, Event::CopyDialled { link });
        let (run, patience) = (self.process(id).run, self.swarm.heartbeat * 3);
        let event = Event::CopyNews { id, run, link, news: CopyNews::Unanswered };
        self.schedule.push(self.now + patience, event);
        link
    }

    pub(crate) fn copy_dialled(&mut self, link: u64) {
        let Some(connection) = self.copies.connections.get(&link) else { return };
        let [from, to] = connection.ends;
        let target = self.process(to.id);
        let (hears, run) = (target.live.is_some() && !target.paused, target.run);
        let cut = self.network.is_cut(from.id, to.id) || self.network.is_cut(to.id, from.id);
        if cut || !hears {
            self.copies.connections.remove(&link);
            return;
        }
        if let Some(connection) = self.copies.connections.get_mut(&link) {
            connection.ends[GIVES].run = run;
        }
        self.begin_giving(to.id, link, from.id);
        self.convey_copy(link, TAKES, CopyNews::Opened);
    }

    fn copy_delay(&mut self) -> Duration {
        Duration::from_nanos(self.rngs.copies.latency_ns(self.swarm.net.delay.as_nanos() as u64))
    }

    /// Sends something to one of the ends.
    fn convey_copy(&mut self, link: u64, to: usize, news: CopyNews) {
        let delay = self.copy_delay();
        let breaks = self.faults.on && self.rngs.copies.below(BREAKS_ONE_IN) == 0;
        let Some(connection) = self.copies.connections.get_mut(&link) else { return };
        let (from, end) = (connection.ends[1 - to], connection.ends[to]);
        connection.dead |= self.network.is_cut(from.id, end.id);
        if connection.dead {
            return;
        }
        if breaks {
            return self.break_copy(link);
        }
        let at = (self.now + delay).max(connection.last[to] + Duration::from_nanos(1));
        connection.last[to] = at;
        self.schedule.push(at, Event::CopyNews { id: end.id, run: end.run, link, news });
    }

    /// Both ends lose the connection.
    fn break_copy(&mut self, link: u64) {
        let Some(connection) = self.copies.connections.remove(&link) else { return };
        self.counts.copies_broken += 1;
        for (end, last) in connection.ends.into_iter().zip(connection.last) {
            let at = self.now.max(last) + Duration::from_nanos(1);
            let news = CopyNews::Closed;
            self.schedule.push(at, Event::CopyNews { id: end.id, run: end.run, link, news });
        }
    }

    /// An end has closed the connection; the other hears of it behind what was sent before.
    fn close_copy(&mut self, link: u64, by: usize) {
        self.convey_copy(link, 1 - by, CopyNews::Closed);
        self.copies.connections.remove(&link);
    }

    /// A process is gone. Its machine says so, if it lives.
    pub(crate) fn copies_lost(&mut self, id: Machine, powered: bool) {
        let gone = End { id, run: self.process(id).run };
        let ends = |connection: &Connection| connection.ends.iter().position(|end| *end == gone);
        let all = self.copies.connections.iter();
        let lost: Vec<(u64, usize)> =
            all.filter_map(|(link, connection)| Some((*link, ends(connection)?))).collect();
        for (link, side) in lost {
            match powered {
                true => self.close_copy(link, side),
                false => drop(self.copies.connections.remove(&link)),
            }
        }
    }

    pub(crate) fn copy_news(&mut self, id: Machine, link: u64, news: CopyNews) {
        let takes = self.live_mut(id).is_some_and(|live| {
            live.taking.as_ref().is_some_and(|taking| taking.link == Some(link))
        });
        match takes {
            true => self.taker_hears(id, link, news),
            false => self.giver_hears(id, link, news),
        }
    }

    /// The clock of one end has come to where its patience, or its pace, is over.
    pub(crate) fn copy_due(&mut self, id: Machine, link: u64) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let local = live.clock.local(now);
        if let Some(taking) = live.taking.as_mut().filter(|taking| taking.link == Some(link)) {
            taking.due = None;
            taking.sink.iter_mut().for_each(|sink| sink.handle_timeout(local));
            return self.pump_taking(id);
        }
        if let Some(giving) = live.giving.get_mut(&link) {
            giving.due = None;
            giving.source.handle_timeout(local);
            self.pump_giving(id, link);
        }
    }

    /// The wake-up of an end, unless an earlier one is on its way.
    fn copy_wakes(&mut self, id: Machine, link: u64, at: Duration) {
        let (now, run) = (self.now, self.process(id).run);
        let Some(live) = self.live_mut(id) else { return };
        let world = live.clock.world(at).max(now) + Duration::from_nanos(1);
        self.schedule.push(world, Event::CopyDue { id, run, link });
    }
}
