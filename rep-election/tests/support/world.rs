//! A few nodes in one value: virtual time, a network with weather, disks that lose power, and a toy log
//! that is just enough to ask whether a new master holds what was durable.
//!
//! Time jumps to the next event, nothing sleeps. The rules are checked at every step, in here, so that
//! every test which uses a world checks all of them.

use rep_election::message::Message;
use rep_election::{
    Election, ElectionConfig, Electorate, Fence, Output, PeerError, PhaseName, Sender, Standing,
    Voter, quorum,
};
use rep_vlsn::{GroupId, Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

pub(crate) const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// What the network and the disks are like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Weather {
    pub(crate) delay_us: (u64, u64),
    pub(crate) sync_us: (u64, u64),
    pub(crate) loss_permille: u64,
    pub(crate) duplicate_permille: u64,
}

impl Weather {
    pub(crate) const FAIR: Weather = Weather {
        delay_us: (1000, 1000),
        sync_us: (2000, 2000),
        loss_permille: 0,
        duplicate_permille: 0,
    };
    pub(crate) const FOUL: Weather = Weather {
        delay_us: (200, 40_000),
        sync_us: (500, 60_000),
        loss_permille: 80,
        duplicate_permille: 80,
    };
}

/// A splitmix of the test's own.
#[derive(Clone, Debug)]
pub(crate) struct Dice(pub u64);

impl Dice {
    pub(crate) fn roll(&mut self, low: u64, high: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        low + (word ^ (word >> 31)) % (high - low + 1)
    }

    pub(crate) fn chance(&mut self, permille: u64) -> bool {
        self.roll(0, 999) < permille
    }
}

#[derive(Clone, Debug)]
enum Frame {
    Election(Vec<u8>),
    /// The master's whole log, every time: a toy.
    Beat {
        term: Term,
        quorate: bool,
        log: Vec<Entry>,
    },
    Answer {
        term: Term,
        synced: usize,
    },
}

#[derive(Clone, Debug)]
enum Happening {
    Deliver { from: Sender, to: NodeId, frame: Frame },
    FenceSynced { node: NodeId, run: u64, fence: Fence },
    LogSynced { node: NodeId, run: u64, log: Vec<Entry>, beat_of: Option<Term> },
    Beat { node: NodeId, run: u64, term: Term },
    MasterLost { node: NodeId, run: u64, master: NodeId },
}

/// One entry of the toy log: of a term, and perhaps with a membership, which rules from then on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) term: Term,
    pub(crate) membership: Option<Rc<Electorate>>,
}

impl Entry {
    pub(crate) fn of(term: Term) -> Entry {
        Entry { term, membership: None }
    }
}

#[derive(Clone, Debug)]
struct Reign {
    term: Term,
    acks: BTreeMap<(NodeId, Incarnation), (usize, Duration)>,
    crowned_at: Duration,
    /// How many entries are durable.
    durable: usize,
    /// A membership that the next entry will carry.
    change: Option<Electorate>,
}

/// One member: what its disk holds, what it holds in memory, and its core while it runs.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) id: NodeId,
    pub(crate) incarnation: Incarnation,
    pub(crate) priority: u32,
    pub(crate) poisoned: bool,
    /// Accepts the crown and then says nothing.
    pub(crate) mute: bool,
    pub(crate) fence_sync: Option<Duration>,
    pub(crate) core: Option<Election>,
    pub(crate) log: Vec<Entry>,
    /// Whom it was told to found a group with.
    listed: Electorate,
    pub(crate) round_trips: BTreeMap<NodeId, Duration>,
    run: u64,
    disk_fence: Fence,
    disk_log: Vec<Entry>,
    reign: Option<Reign>,
}

impl Node {
    /// The latest membership in its log, durable or not.
    pub(crate) fn electorate(&self) -> &Electorate {
        let recorded = self.log.iter().rev().find_map(|entry| entry.membership.as_deref());
        recorded.unwrap_or(&self.listed)
    }

    fn is_running_as(&self, run: u64) -> bool {
        self.core.is_some() && self.run == run
    }
}

pub(crate) struct World {
    pub(crate) now: Duration,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    pub(crate) weather: Weather,
    pub(crate) cut: BTreeSet<(NodeId, NodeId)>,
    pub(crate) dice: Dice,
    pub(crate) crowns: BTreeMap<Term, NodeId>,
    /// What was durable, and by whose term that was known first: each later master has to hold it.
    pub(crate) committed: BTreeMap<usize, (Term, Entry)>,
    pub(crate) last_error: Option<PeerError>,
    pub(crate) trace: Option<String>,
    events: BTreeMap<(Duration, u64), Happening>,
    ticket: u64,
    runs: u64,
    promised: BTreeMap<(Incarnation, Term), NodeId>,
    solicited: BTreeMap<(Incarnation, Term), u64>,
    named: BTreeMap<(Incarnation, Term), NodeId>,
}

pub(crate) fn node(number: u32) -> NodeId {
    NodeId::new(number)
}

/// With which each node begins.
pub(crate) fn incarnation(id: NodeId) -> Incarnation {
    Incarnation([id.get() as u8; 16])
}

impl World {
    /// `size` members, all of them running. Founded ones hold one entry and know each other.
    pub(crate) fn new(size: u32, founded: bool, weather: Weather, seed: u64) -> World {
        let mut world = World {
            now: Duration::ZERO,
            nodes: BTreeMap::new(),
            weather,
            cut: BTreeSet::new(),
            dice: Dice(seed),
            crowns: BTreeMap::new(),
            committed: BTreeMap::new(),
            last_error: None,
            trace: None,
            events: BTreeMap::new(),
            ticket: 0,
            runs: 0,
            promised: BTreeMap::new(),
            solicited: BTreeMap::new(),
            named: BTreeMap::new(),
        };
        let ids: Vec<NodeId> = (1..=size).map(node).collect();
        let electorate = if founded {
            let voters = ids.iter().map(|id| (*id, Voter::known(incarnation(*id))));
            let at = LogPoint::new(Term::new(1), Vlsn::FIRST);
            Electorate::majority(GroupId([9; 16]), at, voters.collect())
        } else {
            Electorate::founding(ids.iter().map(|id| (*id, Voter::unknown())).collect())
        };
        for id in ids {
            let membership = Some(Rc::new(electorate.clone()));
            let first = Entry { term: Term::new(1), membership };
            let log = if founded { vec![first] } else { Vec::new() };
            world.add(id, log, electorate.clone());
        }
        world
    }

    /// Another node, on the same network, whose directory is empty and which belongs to no group.
    pub(crate) fn spare(&mut self, id: NodeId) {
        self.add(id, Vec::new(), Electorate::joining());
    }

    fn add(&mut self, id: NodeId, log: Vec<Entry>, listed: Electorate) {
        let term = log.last().map_or(Term::ZERO, |entry| entry.term);
        let node = Node {
            id,
            incarnation: incarnation(id),
            priority: 0,
            poisoned: false,
            mute: false,
            fence_sync: None,
            core: None,
            log: log.clone(),
            listed,
            round_trips: BTreeMap::new(),
            run: 0,
            disk_fence: Fence { term, promised_to: None },
            disk_log: log,
            reign: None,
        };
        self.nodes.insert(id, node);
        self.start(id);
    }

    /// Like [`World::new`], with the trace kept.
    pub(crate) fn traced(size: u32, founded: bool) -> World {
        let mut world = World::new(size, founded, Weather::FAIR, 1);
        world.trace = Some(String::new());
        world
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        self.runs += 1;
        let (run, now) = (self.runs, self.now);
        let seed = self.dice.roll(0, u64::MAX - 1);
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.core.is_none(), "runs already");
        node.run = run;
        node.poisoned = false;
        node.log = node.disk_log.clone();
        let config = ElectionConfig::new(id, node.incarnation, seed);
        node.core = Some(Election::new(config, node.disk_fence, now));
        self.say(id, "starts");
    }

    /// The process ends and what was not synced is gone. Those who followed it notice, unless `unseen`.
    pub(crate) fn crash(&mut self, id: NodeId, unseen: bool) {
        self.say(id, "crashes");
        let node = self.nodes.get_mut(&id).unwrap();
        node.core = None;
        node.reign = None;
        let others: Vec<(NodeId, u64)> =
            self.running().filter(|n| n.id != id).map(|n| (n.id, n.run)).collect();
        for (other, run) in others {
            if !unseen {
                let at = self.now + Duration::from_micros(self.dice.roll(200, 400));
                self.plan(at, Happening::MasterLost { node: other, run, master: id });
            }
        }
    }

    /// A crashed node's directory is emptied: another incarnation, unborn.
    pub(crate) fn wipe(&mut self, id: NodeId) {
        self.say(id, "is wiped");
        self.runs += 1;
        let mark = self.runs as u8;
        let names = self.nodes.keys().map(|id| (*id, Voter::unknown())).collect();
        let node = self.nodes.get_mut(&id).unwrap();
        assert!(node.core.is_none(), "wipe a stopped node");
        node.incarnation = Incarnation([100 + mark % 100; 16]);
        node.incarnation.0[0] = id.get() as u8;
        node.disk_fence = Fence::default();
        node.disk_log = Vec::new();
        node.listed = Electorate::founding(names);
    }

    /// Puts a log into a node, in memory and on disk. What founded the group stays its first entry.
    pub(crate) fn set_log(&mut self, id: NodeId, mut log: Vec<Entry>) {
        let founding = self.nodes.values().find_map(|node| node.log.first()).cloned();
        let node = self.nodes.get_mut(&id).unwrap();
        if let (Some(first), Some(founding)) = (log.first_mut(), founding) {
            *first = founding;
        }
        node.log = log.clone();
        node.disk_log = log;
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = &Node> {
        self.nodes.values().filter(|node| node.core.is_some())
    }

    pub(crate) fn master(&self) -> Option<(Term, NodeId)> {
        let reigns =
            self.running().filter_map(|node| node.reign.as_ref().map(|r| (r.term, node.id)));
        reigns.max()
    }

    /// Whether a commit quorum has answered the master lately.
    pub(crate) fn is_served(&self) -> bool {
        self.master().is_some_and(|(_, id)| self.is_quorate(&self.nodes[&id]))
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let until = self.now + span;
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// Runs until `done` says so; fails after `span`.
    pub(crate) fn run_until(&mut self, span: Duration, done: impl Fn(&World) -> bool) {
        let until = self.now + span;
        while !done(self) {
            assert!(self.next_at().is_some_and(|at| at <= until), "not reached within {span:?}");
            self.step();
        }
    }

    fn next_at(&self) -> Option<Duration> {
        let events = self.events.keys().next().map(|(at, _)| *at);
        let timers = self.running().filter_map(|node| node.core.as_ref()?.next_timeout());
        events.into_iter().chain(timers.map(|(at, _)| at)).min()
    }

    fn step(&mut self) {
        let at = self.next_at().expect("something is to happen").max(self.now);
        self.now = at;
        if let Some(entry) = self.events.first_entry().filter(|entry| entry.key().0 <= at) {
            let happening = entry.remove();
            return self.happen(happening);
        }
        let due = |node: &&Node| {
            node.core.as_ref().and_then(Election::next_timeout).is_some_and(|(due, _)| due <= at)
        };
        let id = self.running().find(due).expect("a timer is due").id;
        self.call(id, |core, now, standing| core.handle_timeout(now, standing));
        let next = self.nodes[&id].core.as_ref().and_then(Election::next_timeout);
        assert!(
            next.is_none_or(|(next, _)| next > at),
            "a timeout that was handled lies in the future"
        );
    }

    fn happen(&mut self, happening: Happening) {
        let runs = |world: &World, node: NodeId, run: u64| world.nodes[&node].is_running_as(run);
        match happening {
            Happening::Deliver { from, to, frame } => {
                if self.nodes[&to].core.is_some() && !self.cut.contains(&(from.id, to)) {
                    self.deliver(from, to, frame);
                }
            }
            Happening::FenceSynced { node, run, fence } if runs(self, node, run) => {
                assert!(fence.term > self.nodes[&node].disk_fence.term, "I-2: fences rise");
                self.nodes.get_mut(&node).unwrap().disk_fence = fence;
                self.call(node, |core, now, standing| core.handle_persisted(now, fence, standing));
            }
            Happening::LogSynced { node, run, log, beat_of } if runs(self, node, run) => {
                self.log_synced(node, log, beat_of);
            }
            Happening::Beat { node, run, term } if runs(self, node, run) => self.beat(node, term),
            Happening::MasterLost { node, run, master } if runs(self, node, run) => {
                let core = self.nodes[&node].core.as_ref().unwrap();
                if core.status().followed.is_some_and(|(_, followed)| followed == master) {
                    self.say(node, &format!("loses its master n{}", master.get()));
                    self.call(node, |core, now, _| core.lose_master(now));
                }
            }
            Happening::FenceSynced { .. }
            | Happening::LogSynced { .. }
            | Happening::Beat { .. }
            | Happening::MasterLost { .. } => {}
        }
    }

    fn deliver(&mut self, from: Sender, to: NodeId, frame: Frame) {
        match frame {
            Frame::Election(bytes) => {
                let message = Message::decode(&bytes).expect("what members send can be read");
                self.call(to, |core, now, standing| {
                    core.handle_message(now, from, message, standing).unwrap();
                });
            }
            Frame::Beat { term, quorate, log } => self.on_beat(from, to, term, quorate, log),
            Frame::Answer { term, synced } => {
                let now = self.now;
                if let Some(reign) = &mut self.nodes.get_mut(&to).unwrap().reign
                    && reign.term == term
                {
                    reign.acks.insert((from.id, from.incarnation), (synced, now));
                    self.count_copies(to);
                }
            }
        }
    }

    fn on_beat(&mut self, from: Sender, to: NodeId, term: Term, quorate: bool, log: Vec<Entry>) {
        let mut heard = Ok(());
        self.call(to, |core, now, _| heard = core.hear_master(now, term, from.id, quorate));
        assert_eq!(heard, Ok(()), "I-1: no second master in a term");
        let node = self.nodes.get_mut(&to).unwrap();
        let core = node.core.as_ref().unwrap();
        if core.fence().term != term || core.durable_fence().term != term {
            return;
        }
        let follows = node.log.last().is_some_and(|last| last.term == term);
        if follows && log.len() < node.log.len() {
            return; // An older frame of the same stream, late.
        }
        node.log = log.clone();
        let run = node.run;
        let at = self.now + self.sync_time();
        self.plan(at, Happening::LogSynced { node: to, run, log, beat_of: Some(term) });
    }

    fn log_synced(&mut self, id: NodeId, log: Vec<Entry>, beat_of: Option<Term>) {
        let synced = log.len();
        let node = self.nodes.get_mut(&id).unwrap();
        if node.log.get(..synced) != Some(&log[..])
            || synced < node.disk_log.len() && node.disk_log[..synced] == log
        {
            return;
        }
        node.disk_log = log;
        let me = Sender { id, incarnation: node.incarnation };
        let fence = node.core.as_ref().unwrap().fence();
        if let Some(term) = beat_of {
            let master = node.core.as_ref().unwrap().status().followed.map(|(_, master)| master);
            if let (true, Some(master)) = (fence.term == term, master) {
                self.post(me, master, Frame::Answer { term, synced });
            }
        } else if let Some(reign) = &mut node.reign {
            reign.acks.insert((id, me.incarnation), (synced, Duration::MAX));
            self.count_copies(id);
        }
    }

    fn count_copies(&mut self, id: NodeId) {
        let node = &self.nodes[&id];
        let Some(reign) = &node.reign else { return };
        let electorate = node.electorate();
        let counted =
            |(id, incarnation): &(NodeId, Incarnation)| electorate.counts(*id, *incarnation);
        let mut synced: Vec<usize> = reign
            .acks
            .iter()
            .filter(|(who, _)| counted(who))
            .map(|(_, (synced, _))| *synced)
            .collect();
        synced.sort_unstable_by(|a, b| b.cmp(a));
        let durable = synced.get(electorate.commit_need - 1).copied().unwrap_or(0);
        if durable == 0 || node.log[durable - 1].term != reign.term {
            return;
        }
        let (term, log) = (reign.term, node.log.clone());
        for (at, entry) in log.iter().enumerate().take(durable) {
            let (_, known) = self.committed.entry(at).or_insert_with(|| (term, entry.clone()));
            assert_eq!(known, entry, "I-6: entry {} was durable otherwise", at + 1);
        }
        let reign = self.nodes.get_mut(&id).unwrap().reign.as_mut().unwrap();
        reign.durable = reign.durable.max(durable);
        let masters = self.running().filter_map(|n| Some((n, n.reign.as_ref()?.term)));
        for (master, of) in masters {
            self.holds_all(master, of);
        }
    }

    fn holds_all(&self, master: &Node, of: Term) {
        let earlier = self.committed.iter().filter(|(_, (term, _))| *term < of);
        for (at, (_, entry)) in earlier {
            assert_eq!(
                master.log.get(*at),
                Some(entry),
                "I-6: master n{} lacks durable entry {}",
                master.id.get(),
                at + 1
            );
        }
    }

    fn is_quorate(&self, node: &Node) -> bool {
        let Some(reign) = &node.reign else { return false };
        let fresh = |at: Duration| at == Duration::MAX || at + ms(600) > self.now;
        let voters = reign.acks.iter().filter(|((id, incarnation), (_, at))| {
            *id != node.id && fresh(*at) && node.electorate().counts(*id, *incarnation)
        });
        voters.count() + 1 >= node.electorate().commit_need
    }

    fn beat(&mut self, id: NodeId, term: Term) {
        let node = &self.nodes[&id];
        let Some(reign) = node.reign.clone().filter(|reign| reign.term == term) else { return };
        let quorate = self.is_quorate(node);
        if !quorate && self.now > reign.crowned_at + ms(600) {
            self.say(id, "steps down: no quorum");
            self.nodes.get_mut(&id).unwrap().reign = None;
            return self.call(id, |core, now, _| core.reign_ended(now));
        }
        let node = self.nodes.get_mut(&id).unwrap();
        let reign = node.reign.as_mut().unwrap();
        if node.log.len() < 200 {
            let membership = reign.change.take().map(|change| {
                let at = LogPoint::new(term, Vlsn::new(node.log.len() as u64 + 1));
                Rc::new(Electorate { at, ..change })
            });
            node.log.push(Entry { term, membership });
        }
        let (run, mute) = (node.run, node.mute);
        let (log, listed) = (node.log.clone(), node.electorate().clone());
        let me = Sender { id, incarnation: node.incarnation };
        let synced_at = self.now + self.sync_time();
        let synced = Happening::LogSynced { node: id, run, log: log.clone(), beat_of: None };
        self.plan(synced_at, synced);
        // Whoever is removed is not told of it: see `docs/election.md`.
        let fed = |other: &NodeId| *other != id && listed.lists(*other);
        let others: Vec<NodeId> = self.nodes.keys().copied().filter(fed).collect();
        for other in others.into_iter().filter(|_| !mute) {
            self.post(me, other, Frame::Beat { term, quorate, log: log.clone() });
        }
        let pace = if quorate { ms(100) } else { ms(10) };
        let at = self.now + pace;
        self.plan(at, Happening::Beat { node: id, run, term });
    }

    /// One call of a node's core, with its facts, and then everything that it wants done.
    pub(crate) fn call(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&mut Election, Duration, &Standing<'_>),
    ) {
        let reaches = self.reaches(id);
        let now = self.now;
        let node = self.nodes.get_mut(&id).unwrap();
        let Some(mut core) = node.core.take() else { return };
        let held = if node.poisoned { &node.disk_log } else { &node.log };
        let standing = Standing {
            rank: held.last().map_or(LogPoint::NULL, |last| {
                LogPoint::new(last.term, Vlsn::new(held.len() as u64))
            }),
            nameable: !node.poisoned,
            priority: node.priority,
            electorate: node.electorate(),
            reaches_commit_quorum: reaches,
            round_trips: &node.round_trips,
            goes_alone: false,
        };
        act(&mut core, now, &standing);
        core.invariants();
        let mut outputs = Vec::new();
        while let Some(output) = core.poll_output() {
            outputs.push(output);
        }
        node.core = Some(core);
        for output in outputs {
            self.obey(id, output);
        }
    }

    fn reaches(&self, id: NodeId) -> bool {
        let electorate = self.nodes[&id].electorate();
        let linked = |other: &&Node| {
            other.id == id
                || !self.cut.contains(&(id, other.id)) && !self.cut.contains(&(other.id, id))
        };
        let voters = self.running().filter(|other| electorate.voters.contains_key(&other.id));
        voters.filter(linked).count() >= electorate.commit_need
    }

    fn obey(&mut self, id: NodeId, output: Output) {
        let me = Sender { id, incarnation: self.nodes[&id].incarnation };
        let run = self.nodes[&id].run;
        match output {
            Output::Persist(fence) => {
                let to = fence.promised_to.map_or("nobody".into(), |to| format!("n{}", to.get()));
                self.say(id, &format!("persists {} promised to {to}", fence.term));
                let took = self.nodes[&id].fence_sync.unwrap_or_else(|| self.sync_time());
                let last = self.events.iter().filter_map(|((at, _), event)| match event {
                    Happening::FenceSynced { node, .. } if *node == id => Some(*at),
                    _ => None,
                });
                let at = last.max().unwrap_or_default().max(self.now + took);
                self.plan(at, Happening::FenceSynced { node: id, run, fence });
            }
            Output::Send { to, message } => {
                self.check_spoken(me, to, &message);
                self.say(id, &format!("-> n{} {}", to.get(), tell(&message)));
                self.post(me, to, Frame::Election(message.encode()));
            }
            Output::Stand { term } => self.say(id, &format!("stands for {term}")),
            Output::Lost { term, reason } => self.say(id, &format!("lost at {term}: {reason:?}")),
            Output::Deposed { term, by } => {
                self.say(id, &format!("deposed from {term} by {by}"));
                self.nodes.get_mut(&id).unwrap().reign = None;
            }
            Output::Crown { term, promisers } => self.crown(me, term, promisers),
            Output::Event(event) => self.say(id, &format!("{event:?}")),
            other => panic!("unknown output {other:?}"),
        }
    }

    /// I-3, I-4: nothing leans on what the disk does not hold, and nothing is promised, solicited or
    /// named twice.
    fn check_spoken(&mut self, me: Sender, to: NodeId, message: &Message) {
        let term = message.term();
        let node = &self.nodes[&me.id];
        let (disk, run) = (node.disk_fence, node.run);
        match message {
            Message::Promise(_) => {
                assert!(disk.term >= term, "I-4: a promise of {term} over a disk at {}", disk.term);
                let promised = *self.promised.entry((me.incarnation, term)).or_insert(to);
                assert_eq!(promised, to, "I-3: one promise a term");
            }
            Message::Solicit(_) => {
                assert!(disk.term >= term, "I-4: soliciting {term} over a disk at {}", disk.term);
                let solicited = *self.solicited.entry((me.incarnation, term)).or_insert(run);
                assert_eq!(solicited, run, "a proposal lives in one run");
                let promised = *self.promised.entry((me.incarnation, term)).or_insert(me.id);
                assert_eq!(promised, me.id, "I-3: one promise a term");
            }
            Message::Name(name) => {
                assert!(disk.term >= term, "I-4: naming in {term} over a disk at {}", disk.term);
                let named = *self.named.entry((me.incarnation, term)).or_insert(name.winner);
                assert_eq!(named, name.winner, "one winner a term");
            }
            Message::PreSolicit(_) | Message::PreGrant(_) | Message::Refuse(_) => {}
        }
    }

    fn crown(&mut self, me: Sender, term: Term, promisers: BTreeMap<NodeId, Incarnation>) {
        self.say(me.id, &format!("CROWNED in {term}"));
        let earlier = self.crowns.insert(term, me.id);
        assert_eq!(earlier, None, "I-1: {term} was reigned already");
        self.holds_all(&self.nodes[&me.id], term);
        let crowned_at = self.now;
        let mint = self.dice.roll(0, u64::MAX - 1).to_le_bytes();
        let node = self.nodes.get_mut(&me.id).unwrap();
        let change = (!node.electorate().is_born()).then(|| {
            let voters = promisers.iter().map(|(id, inc)| (*id, Voter::known(*inc))).collect();
            let mut group = GroupId::default();
            group.0[..8].copy_from_slice(&mint);
            Electorate::majority(group, LogPoint::NULL, voters)
        });
        node.reign = Some(Reign { term, acks: BTreeMap::new(), crowned_at, durable: 0, change });
        self.beat(me.id, term);
    }

    /// What an operator asks of the master: that the membership be another one. Whether it will be: only one change is under
    /// way at a time, none before the reign's first entry is durable, and none whose quorums need not meet those before.
    pub(crate) fn change(&mut self, to: impl FnOnce(&Electorate) -> Electorate) -> bool {
        let Some((_, master)) = self.master() else { return false };
        let node = self.nodes.get_mut(&master).unwrap();
        let before = node.electorate().clone();
        let reign = node.reign.as_mut().unwrap();
        let settled = reign.durable > 0
            && node.log[reign.durable - 1].term == reign.term
            && node.log[reign.durable..].iter().all(|entry| entry.membership.is_none());
        let after = to(&before);
        let may = settled && reign.change.is_none() && quorum::meet(&before, &after).is_ok();
        if may {
            reign.change = Some(after);
        }
        may
    }

    /// Whether that node has on its disk what is durable, as its master knows.
    pub(crate) fn has_caught_up(&self, id: NodeId) -> bool {
        let Some((_, master)) = self.master() else { return false };
        let reign = self.nodes[&master].reign.as_ref().unwrap();
        let acked = reign.acks.get(&(id, self.nodes[&id].incarnation));
        acked.is_some_and(|(synced, _)| *synced >= reign.durable)
    }

    fn post(&mut self, from: Sender, to: NodeId, frame: Frame) {
        if self.cut.contains(&(from.id, to)) || self.dice.chance(self.weather.loss_permille) {
            return;
        }
        let copies = 1 + u64::from(self.dice.chance(self.weather.duplicate_permille));
        for copy in 0..copies {
            let (low, high) = self.weather.delay_us;
            let late = if copy > 0 { 40 } else { 1 };
            let at = self.now + Duration::from_micros(self.dice.roll(low, high) * late);
            self.plan(at, Happening::Deliver { from, to, frame: frame.clone() });
        }
    }

    /// Delivers bytes that nobody in this world has sent.
    pub(crate) fn forge(&mut self, from: Sender, to: NodeId, message: Message) {
        let mut answer = Ok(());
        self.call(to, |core, now, standing| {
            answer = core.handle_message(now, from, message, standing);
        });
        self.last_error = answer.err();
    }

    fn sync_time(&mut self) -> Duration {
        let (low, high) = self.weather.sync_us;
        Duration::from_micros(self.dice.roll(low, high))
    }

    fn plan(&mut self, at: Duration, happening: Happening) {
        self.ticket += 1;
        self.events.insert((at, self.ticket), happening);
    }

    pub(crate) fn say(&mut self, id: NodeId, what: &str) {
        if let Some(trace) = &mut self.trace {
            let at = self.now.as_micros() as f64 / 1000.0;
            writeln!(trace, "{at:>9.3} n{} {what}", id.get()).unwrap();
        }
    }

    pub(crate) fn phase(&self, id: NodeId) -> Option<PhaseName> {
        Some(self.nodes[&id].core.as_ref()?.status().phase)
    }
}

fn tell(message: &Message) -> String {
    match message {
        Message::PreSolicit(ask) => format!("pre-solicit {} rank {}", ask.term, ask.rank),
        Message::PreGrant(grant) => format!("pre-grant {}", grant.term),
        Message::Refuse(no) => {
            let what = if no.pre_vote { "pre-vote" } else { "promise" };
            format!("refuse {what} {} fence {} {:?}", no.term, no.fence, no.reason)
        }
        Message::Solicit(ask) => format!("solicit {} rank {}", ask.term, ask.rank),
        Message::Promise(promise) => format!("promise {} rank {}", promise.term, promise.rank),
        Message::Name(name) => {
            let by: Vec<String> =
                name.promisers.iter().map(|p| format!("n{}", p.id.get())).collect();
            format!("name {} winner n{} by {}", name.term, name.winner.get(), by.join(" "))
        }
    }
}
