//! The world of one run: nodes, network, clients, faults and time.
//!
//! One heap of events, one clock, one stream of chance per concern. Whatever happens, happens in
//! [`World::advance`], one event at a time; the oracle looks on. The first violation ends the run. `event` is what may
//! happen, `news` what the network has to tell.

mod event;
mod news;

pub(crate) use event::Event;

use crate::archive::Archive;
use crate::counts::Counts;
use crate::coverage::Coverage;
use crate::driver::Copies;
use crate::faults::Faults;
use crate::history::{History, Key};
use crate::machine::Machine;
use crate::network::Network;
use crate::oracle::{Checked, Oracle, Violation};
use crate::passenger::Passengers;
use crate::process::Process;
use crate::rng::Rng;
use crate::scenario::Failover;
use crate::schedule::Schedule;
use crate::swarm::Swarm;
use crate::trace::{Detail, Trace};
use crate::workload::Client;
use bytes::Bytes;
use rep_node::{MemberType, Request};
use rep_vlsn::LogPoint;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// One stream of chance per concern.
#[derive(Debug)]
pub(crate) struct Rngs {
    pub(crate) disk: Rng,
    pub(crate) process: Rng,
    pub(crate) load: Rng,
    pub(crate) jitter: Rng,
    pub(crate) ids: Rng,
    pub(crate) outputs: Rng,
    pub(crate) copies: Rng,
    pub(crate) members: Rng,
    pub(crate) shipping: Rng,
}

/// Everything there is.
#[derive(Debug)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) swarm: Swarm,
    pub(crate) now: Duration,
    pub(crate) schedule: Schedule<Event>,
    pub(crate) rngs: Rngs,
    /// By number, from 1 on.
    processes: Vec<Process>,
    pub(crate) network: Network,
    /// The connections of those who fetch a copy of the state.
    pub(crate) copies: Copies,
    /// What is shipped to, if anybody ships.
    pub(crate) archive: Archive,
    pub(crate) ever_hostile: bool,
    pub(crate) oracle: Oracle,
    pub(crate) history: History,
    pub(crate) clients: Vec<Client>,
    /// Values written so far: each has its number.
    pub(crate) values: u64,
    /// How often somebody wished for another master.
    pub(crate) wishes: u64,
    /// How often somebody asked for a change of the membership, and how often it was to be admitted.
    pub(crate) orders: u64,
    pub(crate) questions: u64,
    /// What operators were told of the changes that they asked for.
    pub(crate) told_of_changes: BTreeMap<Request, Result<LogPoint, String>>,
    /// What somebody last saw of a key, for whoever compares before it sets.
    pub(crate) seen: BTreeMap<Key, Option<Bytes>>,
    pub(crate) faults: Faults,
    pub(crate) counts: Counts,
    pub(crate) failover: Option<Failover>,
    pub(crate) trace: Trace,
    pub(crate) failure: Option<Violation>,
    pub(crate) passengers: Passengers,
    /// Who was told that only a copy of the state helps it, and has not applied anything since: for the count.
    pub(crate) stranded: BTreeSet<Machine>,
    /// Rare moments that the shipped code told of.
    pub(crate) probes: BTreeMap<&'static str, u64>,
    /// What was met, if somebody wants to know.
    pub(crate) coverage: Option<Box<Coverage>>,
    /// What members have told their applications, if somebody listens.
    heard: Option<BTreeMap<Machine, Vec<rep_node::Event>>>,
}

impl World {
    pub(crate) fn new(seed: u64, swarm: Swarm, detail: Detail) -> Self {
        let split = |label| Rng::split(seed, label);
        let joins = |id| swarm.kind_of(id) != MemberType::Electable;
        let machines = (1..=swarm.machines()).map(Machine::new);
        let processes = machines.map(|id| Process::new(id.get() <= swarm.nodes, joins(id)));
        let processes: Vec<Process> = processes.collect();
        let network = Network::new(swarm.net.clone(), seed, swarm.heartbeat * 3);
        World {
            seed,
            now: Duration::ZERO,
            schedule: Schedule::new(split("ties")),
            rngs: Rngs {
                disk: split("disk"),
                process: split("process"),
                load: split("workload"),
                jitter: split("jitter"),
                ids: split("ids"),
                outputs: split("outputs"),
                copies: split("copies"),
                members: split("members"),
                shipping: split("shipping"),
            },
            processes,
            network,
            copies: Copies::default(),
            archive: Archive::new(swarm.sinks.folder, &swarm.disk),
            ever_hostile: swarm.net.hostile,
            oracle: Oracle::new(swarm.nodes, swarm.machines()),
            history: History::default(),
            clients: Vec::new(),
            values: 0,
            wishes: 0,
            orders: 0,
            questions: 0,
            told_of_changes: BTreeMap::new(),
            seen: BTreeMap::new(),
            faults: Faults::new(&swarm, split("troubles")),
            counts: Counts::default(),
            failover: None,
            trace: Trace::new(detail),
            failure: None,
            passengers: Passengers::default(),
            stranded: BTreeSet::new(),
            probes: BTreeMap::new(),
            coverage: None,
            heard: None,
            swarm,
        }
    }

    // ---- time

    /// The next thing that happens, if it comes by `until`; false if there is none, or if the run is over. Of what comes at
    /// one time trouble comes first.
    pub(crate) fn advance(&mut self, until: Duration) -> bool {
        if self.is_over() {
            return false;
        }
        let next = self.schedule.peek().unwrap_or(Duration::MAX);
        let trouble = self.trouble_at().filter(|at| *at <= next);
        let at = trouble.unwrap_or(next);
        if at > until || at == Duration::MAX {
            return false;
        }
        self.now_is(at.max(self.now));
        if trouble.is_some() {
            self.trouble_comes();
        } else if let Some((_, event)) = self.schedule.pop() {
            self.trace.events += 1;
            self.happen(event);
        }
        true
    }

    fn now_is(&mut self, now: Duration) {
        if self.now != now {
            self.now = now;
            self.faults.moment = 0;
        }
    }

    pub(crate) fn run_for(&mut self, time: Duration) {
        let until = self.now + time;
        while self.advance(until) {}
        if !self.is_over() {
            self.now_is(until);
        }
    }

    /// Runs until `reached`, at most for `limit`; says whether it was.
    pub(crate) fn run_until(&mut self, limit: Duration, reached: impl Fn(&World) -> bool) -> bool {
        let until = self.now + limit;
        while !reached(self) {
            if !self.advance(until) {
                return false;
            }
        }
        true
    }

    fn happen(&mut self, event: Event) {
        if let Some((id, run)) = event.of_run() {
            let process = self.process(id);
            if process.run != run || process.live.is_none() {
                return;
            }
            if process.paused {
                return self.process_mut(id).stalled.push(event);
            }
            if process.hung && event.is_of_disk() {
                return self.process_mut(id).unfinished.push(event);
            }
        }
        self.meets_event(&event);
        match event {
            Event::Net(event) => self.net(event),
            Event::Timer { id, at, .. } => self.timer(id, at),
            Event::WordStored { id, .. } => self.word_stored(id),
            Event::GroupWritten { id, .. } => self.group_written(id),
            Event::GroupSynced { id, .. } => self.group_synced(id),
            Event::SyncDue { id, .. } => self.sync_due(id),
            Event::LogCut { id, .. } => self.log_cut(id),
            Event::PastKept { id, .. } => self.past_kept(id),
            Event::LogCleaned { id, .. } => self.log_cleaned(id),
            Event::SpaceTried { id, .. } => self.try_space(id),
            Event::Applied { id, .. } => self.applied(id),
            Event::Lane { id, .. } => self.lane(id),
            Event::SendEntries { id, link, range, .. } => self.send_entries(id, link, &range),
            Event::Sent { id, link, last, bytes, .. } => self.sent(id, link, last, bytes),
            Event::Restart { id } => self.start(id),
            Event::Cured { id } => self.cured(id),
            Event::SetAside { id, .. } => self.sets_image_aside(id),
            Event::Resume { id } => self.resume(id),
            Event::Mend { from, to } => self.unblock(from, to),
            Event::Client { index, wake } => self.client_acts(index, wake),
            Event::DiskFreed { id } => self.free_disk(id),
            Event::DiskQuick { id } => self.process_mut(id).sync_takes = None,
            Event::SpaceBack { id } => self.has_space(id),
            Event::Reopen { id, .. } => self.reopen(id),
            Event::CopyDialled { link } => self.copy_dialled(link),
            Event::CopyNews { id, link, news, .. } => self.copy_news(id, link, news),
            Event::CopyDue { id, link, .. } => self.copy_due(id, link),
            Event::CopyAsks { id, .. } => self.copy_asks(id),
            Event::ChunkRead { id, link, .. } => self.chunk_read(id, link),
            Event::ChunkKept { id, .. } => self.chunk_kept(id),
            Event::CopyStored { id, .. } => self.copy_stored(id),
            Event::JoinAsks { id, asked, .. } => self.join_asks(id, asked),
            Event::JoinAsked { to, question } => self.join_asked(to, question),
            Event::JoinTold { id, told, .. } => self.join_told(id, told),
            Event::PlaceStored { id, .. } => self.place_stored(id),
            Event::ShipDue { id, .. } => self.ship_due(id),
        }
    }

    // ---- shared

    pub(crate) fn ids(&self) -> Vec<Machine> {
        self.members().map(|(id, _)| id).collect()
    }

    pub(crate) fn process(&self, id: Machine) -> &Process {
        &self.processes[id.get() as usize - 1]
    }

    pub(crate) fn process_mut(&mut self, id: Machine) -> &mut Process {
        &mut self.processes[id.get() as usize - 1]
    }

    fn members(&self) -> impl Iterator<Item = (Machine, &Process)> {
        (1..).map(Machine::new).zip(&self.processes)
    }

    /// The node that may write now, of the highest term if two think so.
    pub(crate) fn master(&self) -> Option<Machine> {
        let leads = |process: &Process| {
            let live = process.live.as_ref()?;
            let admission = &live.front.admission;
            admission.writable.then_some(admission.term)
        };
        let masters = self.members().filter_map(|(id, p)| leads(p).map(|term| (term, id)));
        masters.max().map(|(_, id)| id)
    }

    /// The master that runs: one that is stopped may still think that it leads.
    pub(crate) fn running_master(&self) -> Option<Machine> {
        self.master().filter(|id| !self.process(*id).paused)
    }

    pub(crate) fn mint(&mut self) -> [u8; 16] {
        let (a, b) = (self.rngs.ids.next_u64(), self.rngs.ids.next_u64());
        let mut out = [0; 16];
        out[..8].copy_from_slice(&a.to_le_bytes());
        out[8..].copy_from_slice(&b.to_le_bytes());
        out
    }

    /// From now on somebody listens to what members tell.
    pub(crate) fn listen(&mut self) {
        self.heard = Some(BTreeMap::new());
    }

    pub(crate) fn hear(&mut self, id: Machine, event: &rep_node::Event) {
        if let Some(heard) = &mut self.heard {
            heard.entry(id).or_default().push(event.clone());
        }
    }

    /// What a member has told since this was asked last.
    pub(crate) fn told_by(&mut self, id: Machine) -> Vec<rep_node::Event> {
        self.heard.as_mut().and_then(|heard| heard.remove(&id)).unwrap_or_default()
    }

    pub(crate) fn note(&mut self, id: Machine, facts: &[u64], line: impl FnOnce() -> String) {
        self.trace.fold(u64::from(id.get()));
        self.trace.note(self.now, facts, line);
    }

    pub(crate) fn check(&mut self, checked: Checked) {
        if let Err(violation) = checked {
            self.fail(violation);
        }
    }

    /// Something broke, or nothing is promised any more.
    pub(crate) fn is_over(&self) -> bool {
        self.failure.is_some() || self.oracle.gave_up.is_some()
    }

    /// The first violation stands, unless the run was given up before.
    pub(crate) fn fail(&mut self, violation: Violation) {
        if !self.is_over() {
            self.trace.say(self.now, || format!("VIOLATION {violation}"));
            self.failure = Some(violation);
        }
    }
}
