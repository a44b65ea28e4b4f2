//! A group over a slow world: frames, disks, dials and reports take their time, links break at one end first, machines
//! freeze, late news arrives. What must always hold is checked as it happens.

use bytes::{Bytes, BytesMut};
use rep_node::{
    Acks, DialFailure, Event, Fence, Link, Message, Node, NodeConfig, NodeState, Outcome, Output,
    PersistFailed, Persisted, Proposal, ReadKind, Recovered, ReplicaMessage, Request, Seed,
    SendFailed, Service, number_members,
};
use rep_vlsn::{
    Draft, Epoch, Flags, GroupId, Incarnation, Kind, LogPoint, LogView, NodeId, Record, Term, Vlsn,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % n
    }

    /// Mostly short, now and then long.
    fn delay(&mut self, usual_us: u64) -> Duration {
        let us = match self.below(40) {
            0 => self.below(usual_us * 100 + 1),
            1..=4 => self.below(usual_us * 10 + 1),
            _ => self.below(usual_us + 1),
        };
        Duration::from_micros(us)
    }
}

enum DiskOp {
    Write(Vec<Record>, Epoch),
    Cut(LogPoint, Epoch),
}

#[derive(Clone, Copy)]
enum Asked {
    Write(u64),
    Linearizable { floor: Vlsn },
    Token(LogPoint),
}

enum News {
    Up { link: Link, incarnation: Incarnation, dialled: bool },
    Down { link: Link },
    Dialled { peer: NodeId, service: Service, why: DialFailure },
    Frame { link: Link, bytes: Bytes, dialled: bool },
    Fence(Fence),
    Disk,
    Applied(LogPoint),
    Sent { link: Link, last: LogPoint, bytes: usize },
    SendFailed { link: Link },
}

pub(crate) struct Machine {
    pub(crate) node: Option<Node>,
    run: u64,
    pub(crate) incarnation: Incarnation,
    fence: Fence,
    fences: VecDeque<Fence>,
    /// What the process believes to be its log; what the disk holds.
    tail: Vec<Record>,
    disk: Vec<Record>,
    ops: VecDeque<DiskOp>,
    busy: Option<DiskOp>,
    epoch: Epoch,
    mark: Vlsn,
    applied: LogPoint,
    disk_us: u64,
    frozen_until: Duration,
    dvlsn: Vlsn,
    state: NodeState,
    /// A sync has failed: the disk does nothing more for this process.
    pub(crate) poisoned: bool,
}

/// A connection: the two ends with their own numbers.
#[derive(Clone, Copy)]
struct Pair {
    dialler: (NodeId, u64, u64),
    acceptor: (NodeId, u64, u64),
    service: Service,
    /// When both ends know of it.
    up: Duration,
}

pub(crate) struct Ocean {
    pub(crate) now: Duration,
    pub(crate) dice: Dice,
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    seeds: Vec<Seed>,
    news: BTreeMap<(Duration, u64), (NodeId, u64, News)>,
    pairs: BTreeMap<u64, Pair>,
    /// When the last frame of this end of a connection arrives.
    queue: BTreeMap<(u64, NodeId), Duration>,
    cut: BTreeSet<(NodeId, NodeId)>,
    held: Vec<(NodeId, NodeId, u64, News)>,
    next: u64,
    asked: BTreeMap<(NodeId, u64, Request), Asked>,
    pub(crate) committed: BTreeMap<Vlsn, LogPoint>,
    applied: BTreeMap<Vlsn, (LogPoint, Bytes)>,
    doomed: BTreeSet<u64>,
    crowned: BTreeMap<Term, NodeId>,
    /// How long a frame takes, usually.
    pub(crate) net_us: u64,
    pub(crate) trace: bool,
}

impl Ocean {
    pub(crate) fn new(count: u32, seed: u64) -> Ocean {
        let seeds: Vec<Seed> = (1..=count)
            .map(|n| Seed { name: format!("n{n}"), address: format!("n{n}:1") })
            .collect();
        let mut ocean = Ocean {
            now: Duration::ZERO,
            dice: Dice(seed),
            machines: BTreeMap::new(),
            seeds,
            news: BTreeMap::new(),
            pairs: BTreeMap::new(),
            queue: BTreeMap::new(),
            cut: BTreeSet::new(),
            held: Vec::new(),
            next: 1,
            asked: BTreeMap::new(),
            committed: BTreeMap::new(),
            applied: BTreeMap::new(),
            doomed: BTreeSet::new(),
            crowned: BTreeMap::new(),
            net_us: 400,
            trace: std::env::var("TRACE").is_ok(),
        };
        for id in number_members(&ocean.seeds).into_keys() {
            ocean.wipe(id);
        }
        ocean
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    pub(crate) fn say(&self, words: impl FnOnce() -> String) {
        if self.trace {
            println!("{:>10.4} {}", self.now.as_secs_f64(), words());
        }
    }

    pub(crate) fn wipe(&mut self, id: NodeId) {
        self.next += 1;
        let machine = Machine {
            node: None,
            run: self.next,
            incarnation: Incarnation((self.next as u128).to_le_bytes()),
            fence: Fence::default(),
            fences: VecDeque::new(),
            tail: Vec::new(),
            disk: Vec::new(),
            ops: VecDeque::new(),
            busy: None,
            epoch: Epoch(0),
            mark: Vlsn::NULL,
            applied: LogPoint::NULL,
            disk_us: 300,
            frozen_until: Duration::ZERO,
            dvlsn: Vlsn::NULL,
            state: NodeState::Detached,
            poisoned: false,
        };
        self.machines.insert(id, machine);
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        self.next += 1;
        let run = self.next;
        let members = number_members(&self.seeds);
        let machine = self.machines.get_mut(&id).unwrap();
        let group = GroupId((run as u128).to_be_bytes());
        let config = NodeConfig::new("bank", id, machine.incarnation, members, group, run);
        let mut view = LogView::empty();
        machine.disk.iter().for_each(|record| view.append(record));
        let epoch = machine.epoch;
        let (last, crc) = (view.last(), view.last_crc());
        let log = LogView::recovered(
            Vlsn::FIRST,
            last,
            crc,
            epoch,
            view.history().clone(),
            view.memberships().to_vec(),
        );
        let recovered = Recovered {
            fence: machine.fence,
            log,
            memberships: machine.disk.first().cloned().into_iter().collect(),
            past: None,
            place: None,
            applied: machine.applied,
            mark_dvlsn: machine.mark,
            vouched: LogPoint::NULL,
        };
        machine.run = run;
        machine.poisoned = false;
        machine.tail = machine.disk.clone();
        machine.dvlsn = Vlsn::NULL;
        machine.state = NodeState::Detached;
        machine.disk_us = 300;
        machine.frozen_until = Duration::ZERO;
        machine.node = Some(Node::new(config, recovered, self.now).unwrap());
        self.say(|| format!("{id} starts at {last}"));
        self.after(id);
    }

    /// Power is lost: of what was on its way to a disk, some arrived.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).unwrap();
        if machine.node.take().is_none() {
            return;
        }
        let ops: Vec<DiskOp> = machine.busy.take().into_iter().collect();
        machine.ops.clear();
        for op in ops {
            match op {
                DiskOp::Write(records, _) => {
                    let kept = self.dice.below(records.len() as u64 + 1) as usize;
                    machine.disk.extend(records.into_iter().take(kept));
                }
                DiskOp::Cut(keep, epoch) => {
                    if self.dice.below(2) == 0 {
                        machine.disk.truncate(keep.vlsn.get() as usize);
                        machine.epoch = epoch;
                    }
                }
            }
        }
        let landed = self.dice.below(machine.fences.len() as u64 + 1) as usize;
        if let Some(fence) = landed.checked_sub(1).map(|at| machine.fences[at]) {
            machine.fence = fence;
        }
        machine.fences.clear();
        if self.dice.below(2) == 0 {
            machine.applied = LogPoint::NULL;
        }
        machine.run = 0;
        self.asked.retain(|(node, _, _), _| *node != id);
        self.say(|| format!("{id} crashes"));
        let pairs: Vec<u64> = self.pairs_of(|pair| pair.dialler.0 == id || pair.acceptor.0 == id);
        pairs.into_iter().for_each(|pair| self.reset(pair));
    }

    pub(crate) fn freeze(&mut self, id: NodeId, span: Duration) {
        self.say(|| format!("{id} freezes for {span:?}"));
        let until = self.now + span;
        let machine = self.machines.get_mut(&id).unwrap();
        machine.frozen_until = machine.frozen_until.max(until);
    }

    /// The next sync of the log fails, and with it the log.
    pub(crate) fn fail_log(&mut self, id: NodeId) {
        let now = self.now;
        let machine = self.machines.get_mut(&id).unwrap();
        let Some(node) = &mut machine.node else { return };
        if machine.poisoned || machine.frozen_until > now {
            return;
        }
        machine.poisoned = true;
        node.handle_persist_failed(now, PersistFailed::Log, "rotten".into());
        self.say(|| format!("{id}: its log fails"));
        self.after(id);
    }

    pub(crate) fn slow_disk(&mut self, id: NodeId, us: u64) {
        self.machines.get_mut(&id).unwrap().disk_us = us;
    }

    pub(crate) fn cut(&mut self, from: NodeId, to: NodeId) {
        self.say(|| format!("cut {from} -> {to}"));
        self.cut.insert((from, to));
    }

    /// Mends every cut: some connections have died of it, on others all that was held arrives late.
    pub(crate) fn heal(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        for (from, to, pair, news) in std::mem::take(&mut self.held) {
            self.travel(from, to, pair, news);
        }
        let hurt: Vec<u64> = self.pairs_of(|pair| {
            let (a, b) = (pair.dialler.0, pair.acceptor.0);
            cut.contains(&(a, b)) || cut.contains(&(b, a))
        });
        for pair in hurt {
            if self.dice.below(2) == 0 {
                self.reset(pair);
            }
        }
    }

    /// A connection breaks; each end notices in its own time, and what is under way may still arrive.
    pub(crate) fn reset(&mut self, pair: u64) {
        let Some(ends) = self.pairs.remove(&pair) else { return };
        self.held.retain(|(_, _, held, _)| *held != pair);
        for ((at, run, epoch), (peer, _, _)) in
            [(ends.dialler, ends.acceptor), (ends.acceptor, ends.dialler)]
        {
            let link = Link { peer, service: ends.service, epoch };
            let delay = ends.up.saturating_sub(self.now) + self.dice.delay(500);
            self.arrive(delay, at, run, News::Down { link });
        }
    }

    pub(crate) fn reset_any(&mut self) {
        let pairs: Vec<u64> = self.pairs.keys().copied().collect();
        if !pairs.is_empty() {
            let pair = pairs[self.dice.below(pairs.len() as u64) as usize];
            self.reset(pair);
        }
    }

    /// A member dials without being asked: its old connection is replaced.
    pub(crate) fn dial_again(&mut self) {
        let pairs: Vec<Pair> = self.pairs.values().copied().collect();
        if !pairs.is_empty() {
            let pair = pairs[self.dice.below(pairs.len() as u64) as usize];
            self.connect(pair.dialler.0, pair.acceptor.0, pair.service);
        }
    }

    pub(crate) fn masters(&self) -> Vec<NodeId> {
        let running = self.machines.iter().filter_map(|(id, m)| Some((*id, m.node.as_ref()?)));
        running.filter(|(_, node)| node.state() == NodeState::Master).map(|(id, _)| id).collect()
    }

    pub(crate) fn write(&mut self, id: NodeId) {
        self.next += 1;
        let (number, deadline) = (self.next, self.now + Duration::from_secs(2));
        let draft = Draft::new(Kind::Data, Flags::default(), &number.to_le_bytes());
        self.ask(id, Asked::Write(number), |node, now, request| {
            let term = node.admission(now).term;
            node.propose(now, Proposal { request, term, draft, acks: Acks::default(), deadline });
        });
    }

    pub(crate) fn read(&mut self, id: NodeId) {
        let floor = self.committed.last_key_value().map_or(Vlsn::NULL, |(vlsn, _)| *vlsn);
        self.ask(id, Asked::Linearizable { floor }, |node, now, request| {
            node.read(now, request, ReadKind::Linearizable, now + Duration::from_secs(2));
        });
    }

    pub(crate) fn read_token(&mut self, id: NodeId) {
        let Some((_, &point)) = self.committed.last_key_value() else { return };
        let Some(group) = self.machines[&id].node.as_ref().and_then(Node::group) else { return };
        self.ask(id, Asked::Token(point), |node, now, request| {
            let kind = ReadKind::AtLeast { group, point };
            node.read(now, request, kind, now + Duration::from_secs(2));
        });
    }

    fn ask(&mut self, id: NodeId, what: Asked, act: impl FnOnce(&mut Node, Duration, Request)) {
        self.next += 1;
        let (request, now) = (Request(self.next), self.now);
        let machine = self.machines.get_mut(&id).unwrap();
        let Some(node) = &mut machine.node else { return };
        self.asked.insert((id, machine.run, request), what);
        act(node, now, request);
        self.after(id);
    }

    /// How many masters there have been.
    pub(crate) fn crowns(&self) -> usize {
        self.crowned.len()
    }

    pub(crate) fn unresolved(&self) -> usize {
        self.asked.len()
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.step(end) {}
        self.now = end;
    }

    /// The next thing that happens before `end`.
    fn step(&mut self, end: Duration) -> bool {
        let due = self.machines.iter().filter_map(|(id, machine)| {
            let at = machine.node.as_ref()?.next_timeout()?.0;
            Some((at.max(machine.frozen_until).max(self.now), *id))
        });
        let timeout = due.min();
        let news = self.news.first_key_value().map(|(key, _)| *key);
        match (timeout, news) {
            (Some((at, id)), next) if at <= end && next.is_none_or(|(when, _)| at < when) => {
                self.now = at;
                self.time(id);
            }
            (_, Some(key)) if key.0 <= end => {
                let (id, run, what) = self.news.remove(&key).unwrap();
                self.now = self.now.max(key.0);
                let machine = &self.machines[&id];
                if machine.run != run || machine.node.is_none() {
                    return true;
                }
                if machine.frozen_until > self.now {
                    self.news.insert((machine.frozen_until, key.1), (id, run, what));
                    return true;
                }
                self.tell(id, what);
            }
            _ => return false,
        }
        true
    }

    fn time(&mut self, id: NodeId) {
        let now = self.now;
        let node = self.machines.get_mut(&id).unwrap().node.as_mut().unwrap();
        let due = node.next_timeout();
        node.handle_timeout(now);
        let next = node.next_timeout();
        let spent = next.is_none_or(|next| next.0 > now || Some(next) != due);
        assert!(spent, "{id} at {now:?}: {next:?} was handled and is due again");
        self.after(id);
    }

    fn tell(&mut self, id: NodeId, what: News) {
        let now = self.now;
        let trace = self.trace;
        let machine = self.machines.get_mut(&id).unwrap();
        let node = machine.node.as_mut().unwrap();
        match what {
            News::Up { link, incarnation, dialled } => {
                node.handle_link_up(now, link, incarnation, dialled);
            }
            News::Down { link } => node.handle_link_down(now, link),
            News::Dialled { peer, service, why } => {
                node.handle_dial_failed(now, peer, service, why)
            }
            News::Frame { link, bytes, dialled } => {
                let message = Message::decode(link.service, dialled, bytes).unwrap();
                if trace {
                    println!(
                        "{:>10.4} {id} <- {}: {}",
                        now.as_secs_f64(),
                        link.peer,
                        brief(&message)
                    );
                }
                let answer = node.handle_message(now, link, message);
                assert!(answer.is_ok(), "{id} from {}: {answer:?}", link.peer);
            }
            News::Fence(fence) => {
                machine.fences.pop_front();
                machine.fence = fence;
                node.handle_persisted(now, Persisted::Fence(fence));
            }
            News::Disk => return self.disk_done(id),
            News::Applied(point) => {
                machine.applied = point;
                node.handle_applied(now, point);
            }
            News::Sent { link, last, bytes } => node.handle_sent(now, link, last, bytes),
            News::SendFailed { link } => node.handle_send_failed(now, link, SendFailed::Truncated),
        }
        self.after(id);
    }

    fn disk_done(&mut self, id: NodeId) {
        let now = self.now;
        let machine = self.machines.get_mut(&id).unwrap();
        if machine.poisoned {
            return;
        }
        let node = machine.node.as_mut().unwrap();
        match machine.busy.take().expect("is busy") {
            DiskOp::Write(records, epoch) => {
                let point = records.last().unwrap().point();
                machine.disk.extend(records);
                node.handle_persisted(now, Persisted::Log { point, epoch });
            }
            DiskOp::Cut(keep, epoch) => {
                machine.disk.truncate(keep.vlsn.get() as usize);
                let last_crc = machine.disk.last().map_or(0, Record::header_crc);
                let what = Persisted::Truncated { point: keep, epoch, last_crc };
                node.handle_persisted(now, what);
            }
        }
        self.disk_next(id);
        self.after(id);
    }

    /// One operation at a time; all writes that wait are one.
    fn disk_next(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).unwrap();
        if machine.busy.is_some() {
            return;
        }
        let Some(mut op) = machine.ops.pop_front() else { return };
        if let DiskOp::Write(records, epoch) = &mut op {
            machine.mark = machine.node.as_ref().map_or(machine.mark, |node| {
                node.dvlsn().min(Vlsn::new(machine.disk.len() as u64))
            });
            while let Some(DiskOp::Write(..)) = machine.ops.front() {
                let Some(DiskOp::Write(more, same)) = machine.ops.pop_front() else { break };
                assert_eq!(*epoch, same);
                records.extend(more);
            }
        }
        machine.busy = Some(op);
        let (us, run) = (machine.disk_us, machine.run);
        let delay = self.dice.delay(us);
        self.arrive(delay, id, run, News::Disk);
    }

    /// Carries out what a node asks, and looks whether all is well with it.
    fn after(&mut self, id: NodeId) {
        while let Some(output) =
            self.machines.get_mut(&id).unwrap().node.as_mut().and_then(Node::poll_output)
        {
            self.carry_out(id, output);
        }
        let machine = self.machines.get_mut(&id).unwrap();
        let Some(node) = &machine.node else { return };
        node.invariants();
        assert!(node.dvlsn() >= machine.dvlsn, "dvlsn never falls");
        machine.dvlsn = node.dvlsn();
    }

    fn carry_out(&mut self, id: NodeId, output: Output) {
        let machine = self.machines.get_mut(&id).unwrap();
        let run = machine.run;
        match output {
            Output::PersistFence(fence) => {
                machine.fences.push_back(fence);
                let us = machine.disk_us;
                let delay = self.dice.delay(us);
                // In order: never before the one that was asked for last.
                let at =
                    (self.now + delay).max(self.queue.get(&(0, id)).copied().unwrap_or_default());
                self.queue.insert((0, id), at);
                self.arrive(at - self.now, id, run, News::Fence(fence));
            }
            Output::Append { records, .. } => {
                machine.tail.extend(records.iter().cloned());
                machine.ops.push_back(DiskOp::Write(records, machine.epoch));
                self.disk_next(id);
            }
            Output::Truncate { keep, epoch } => {
                machine.tail.truncate(keep.vlsn.get() as usize);
                machine.epoch = epoch;
                machine.ops.push_back(DiskOp::Cut(keep, epoch));
                self.say(|| format!("{id} cuts after {keep}"));
                self.disk_next(id);
            }
            Output::Send { link, message } => {
                self.check_spoken(id, &message);
                self.transmit(id, link, message.encode());
            }
            Output::SendEntries { link, range } => {
                if range.log_epoch != machine.epoch {
                    return self.arrive(Duration::ZERO, id, run, News::SendFailed { link });
                }
                let mut bytes = BytesMut::from(&range.header.encode()[..]);
                let (mut last, mut sent) = (LogPoint::NULL, 0);
                for record in &machine.tail[range.from.get() as usize - 1..range.to.get() as usize]
                {
                    if sent > 0 && sent + record.bytes().len() > range.bytes_max {
                        break;
                    }
                    bytes.extend_from_slice(record.bytes());
                    sent += record.bytes().len();
                    last = record.point();
                }
                self.transmit(id, link, bytes.freeze());
                let delay = self.dice.delay(100);
                self.arrive(delay, id, run, News::Sent { link, last, bytes: sent });
            }
            Output::Connect { peer, service } => self.connect(id, peer, service),
            Output::Disconnect { link } => self.disconnect(id, link),
            Output::Apply { from, to } => {
                let range = from.get() as usize - 1..to.get() as usize;
                assert!(machine.disk.len() >= range.end, "only what is synced here is applied");
                let records: Vec<Record> = machine.disk[range].to_vec();
                let point = records.last().unwrap().point();
                records.iter().for_each(|record| self.check_applied(id, record));
                let delay = self.dice.delay(200);
                self.arrive(delay, id, run, News::Applied(point));
            }
            Output::Staged { .. } => {}
            Output::Resolve { request, outcome } => self.resolved(id, request, &outcome),
            Output::Contacts(_) | Output::Join { .. } => {}
            Output::Event(event) => self.event(id, &event),
            Output::Halt(reason) => panic!("{id} halts: {reason}"),
            other => panic!("unknown output {other:?}"),
        }
    }

    /// Nothing is spoken before its disk.
    fn check_spoken(&self, id: NodeId, message: &Message) {
        let machine = &self.machines[&id];
        match message {
            Message::Election(rep_node::ElectionMessage::Promise(promise)) => {
                assert!(machine.fence.term >= promise.term, "{id} promises before its disk");
            }
            Message::HeartbeatReply { term, round } if *round > 0 => {
                assert!(machine.fence.term >= *term, "{id} answers before its disk");
            }
            Message::ToFeeder(ReplicaMessage::Ack { synced, .. }) => {
                let held = synced.vlsn.get().checked_sub(1).map(|at| machine.disk.get(at as usize));
                let held = held.is_none_or(|held| held.is_some_and(|held| held.point() == *synced));
                assert!(held, "{id} acknowledges {synced} before its disk");
            }
            _ => {}
        }
    }

    fn check_applied(&mut self, id: NodeId, record: &Record) {
        let (point, payload) = (record.point(), record.payload());
        if let Some(number) = number_of(record) {
            assert!(!self.doomed.contains(&number), "{id} applies {point}, which had failed");
        }
        let known = self.applied.entry(point.vlsn).or_insert((point, payload.clone()));
        assert_eq!(*known, (point, payload), "{id} applies another entry");
    }

    fn resolved(&mut self, id: NodeId, request: Request, outcome: &Outcome) {
        let run = self.machines[&id].run;
        let asked = self.asked.remove(&(id, run, request)).expect("a request is resolved once");
        match (asked, outcome) {
            (Asked::Write(_), Outcome::Committed { point }) => {
                let old = self.committed.insert(point.vlsn, *point);
                assert!(old.is_none_or(|old| old == *point));
            }
            (Asked::Write(number), Outcome::RolledBack { .. } | Outcome::TermOver { .. }) => {
                self.doomed.insert(number);
                let lives =
                    self.applied.values().any(|(_, payload)| payload[..] == number.to_le_bytes());
                assert!(!lives, "{id}: {outcome:?} of an applied write");
            }
            (Asked::Write(_), Outcome::Unknown { .. } | Outcome::Closed) => {}
            (Asked::Linearizable { floor }, Outcome::Read { at }) => {
                assert!(at.vlsn >= floor, "{id} reads at {at}, {floor} was acknowledged before");
                assert!(self.machines[&id].applied >= *at);
            }
            (Asked::Token(point), Outcome::Read { at }) => {
                assert!(at.vlsn >= point.vlsn && self.machines[&id].applied.vlsn >= point.vlsn);
            }
            (Asked::Linearizable { .. } | Asked::Token(_), Outcome::ReadTimeout) => {}
            (Asked::Linearizable { .. }, Outcome::NotMaster { .. } | Outcome::Closed) => {}
            (_, other) => panic!("{id}: {other:?}"),
        }
    }

    fn event(&mut self, id: NodeId, event: &Event) {
        self.say(|| format!("{id} {event:?}"));
        match event {
            Event::Crowned { term } => {
                let old = self.crowned.insert(*term, id);
                assert_eq!(old, None, "one master a term");
            }
            Event::State { old, new, .. } => {
                let machine = self.machines.get_mut(&id).unwrap();
                assert_eq!(machine.state, *old);
                machine.state = *new;
                let pair = (*old, *new);
                assert!(pair != (NodeState::Master, NodeState::Replica), "without Unknown between");
                assert!(pair != (NodeState::Replica, NodeState::Master), "without Unknown between");
            }
            _ => {}
        }
    }

    // ---- the wire ----

    fn arrive(&mut self, delay: Duration, at: NodeId, run: u64, news: News) {
        self.next += 1;
        self.news.insert((self.now + delay, self.next), (at, run, news));
    }

    fn connect(&mut self, from: NodeId, to: NodeId, service: Service) {
        let run = self.machines[&from].run;
        let delay = self.dice.delay(300);
        let dead = self.machines[&to].node.is_none();
        let cut = self.cut.contains(&(from, to)) || self.cut.contains(&(to, from));
        if dead || cut {
            let (delay, why) = if cut {
                (Duration::from_millis(self.dice.below(1000)), DialFailure::Unreachable)
            } else {
                (delay, DialFailure::Refused)
            };
            return self.arrive(delay, from, run, News::Dialled { peer: to, service, why });
        }
        self.next += 2;
        let (mine, theirs) = (self.next, self.next - 1);
        let dialler = (from, run, mine);
        let acceptor = (to, self.machines[&to].run, theirs);
        let pair = self.next;
        let later = delay + self.dice.delay(300);
        let up = self.now + later;
        self.pairs.insert(pair, Pair { dialler, acceptor, service, up });
        for (delay, (at, run, epoch), (peer, _, _), dialled) in
            [(delay, acceptor, dialler, false), (later, dialler, acceptor, true)]
        {
            let link = Link { peer, service, epoch };
            let incarnation = self.machines[&peer].incarnation;
            self.queue.insert((pair, at), self.now + delay);
            self.arrive(delay, at, run, News::Up { link, incarnation, dialled });
        }
    }

    fn pair_of(&self, id: NodeId, link: Link) -> Option<(u64, Pair)> {
        let is_end = |(at, _, epoch): (NodeId, u64, u64)| at == id && epoch == link.epoch;
        let found = self.pairs.iter().find(|(_, p)| is_end(p.dialler) || is_end(p.acceptor));
        found.map(|(number, pair)| (*number, *pair))
    }

    fn pairs_of(&self, which: impl Fn(&Pair) -> bool) -> Vec<u64> {
        self.pairs.iter().filter(|(_, pair)| which(pair)).map(|(number, _)| *number).collect()
    }

    /// The other end hears of it after all that was said before.
    fn disconnect(&mut self, id: NodeId, link: Link) {
        let Some((number, pair)) = self.pair_of(id, link) else { return };
        let (to, mine) =
            if pair.dialler.0 == id { (pair.acceptor, id) } else { (pair.dialler, id) };
        let news = News::Down { link: Link { peer: mine, service: link.service, epoch: to.2 } };
        self.travel(id, to.0, number, news);
        self.held.retain(|(_, _, held, _)| *held != number);
        self.pairs.remove(&number);
    }

    fn transmit(&mut self, from: NodeId, link: Link, bytes: Bytes) {
        let Some((number, pair)) = self.pair_of(from, link) else { return };
        let to = if pair.dialler.0 == from { pair.acceptor } else { pair.dialler };
        let dialled = to.0 == pair.dialler.0;
        let link = Link { peer: from, service: link.service, epoch: to.2 };
        let news = News::Frame { link, bytes, dialled };
        if self.cut.contains(&(from, to.0)) {
            return self.held.push((from, to.0, number, news));
        }
        self.travel(from, to.0, number, news);
    }

    fn travel(&mut self, from: NodeId, to: NodeId, number: u64, news: News) {
        let Some(pair) = self.pairs.get(&number) else { return };
        let run = if pair.dialler.0 == from { pair.acceptor.1 } else { pair.dialler.1 };
        let delay = self.dice.below(self.net_us) / 2 + self.net_us / 2;
        let delay = Duration::from_micros(delay) + self.dice.delay(400);
        let at = (self.now + delay).max(self.queue.get(&(number, to)).copied().unwrap_or_default());
        self.queue.insert((number, to), at);
        self.arrive(at - self.now, to, run, news);
    }

    pub(crate) fn picture(&self) -> String {
        let line = |(id, machine): (&NodeId, &Machine)| match &machine.node {
            Some(node) => format!("{id} {:#?}\n", node.status(self.now)),
            None => format!("{id} down\n"),
        };
        self.machines.iter().map(line).collect()
    }
}

fn brief(message: &Message) -> String {
    let mut words = format!("{message:?}");
    words.truncate(160);
    words
}

fn number_of(record: &Record) -> Option<u64> {
    let data = record.header().kind == Kind::Data;
    let payload = record.payload();
    data.then(|| u64::from_le_bytes(payload[..8].try_into().expect("a number")))
}
