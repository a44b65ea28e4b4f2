#![allow(dead_code, reason = "each test binary uses its part of the harness")]
//! A few nodes in one value: frames travel in order through queues, disks are instant unless held, and time jumps
//! to the next deadline. No threads, no sleeping.

use bytes::{Bytes, BytesMut};
use rep_node::rep_stream::Handshake;
use rep_node::{
    Changed, Connection, DialFailure, Durability, Event, FeedFrom, Fence, FetchId, HaltReason,
    Link, Message, Node, NodeConfig, NodeState, NotShutDown, NotTransferred, Outcome, Output,
    PEER_VERSION, Persisted, Proposal, ReadKind, Recovered, ReplicaMessage, Request, Retention,
    RunId, Seed, Service, Shown, Transfer, number_members,
};
use rep_vlsn::{
    Draft, GroupId, Incarnation, Kind, LogPoint, LogView, NodeId, Record, SegmentSize, Vlsn,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

pub(crate) struct Machine {
    pub(crate) name: String,
    /// It was started to join, and lists nobody.
    pub(crate) joining: bool,
    /// Its node wants to be admitted.
    pub(crate) asks: bool,
    pub(crate) node: Option<Node>,
    pub(crate) incarnation: Incarnation,
    pub(crate) run: RunId,
    pub(crate) fence: Fence,
    pub(crate) records: Vec<Record>,
    pub(crate) written: usize,
    pub(crate) synced: usize,
    pub(crate) applied: LogPoint,
    /// Nothing is written until the test says so.
    pub(crate) hold_log: bool,
    /// What is appended is written, and not synced.
    pub(crate) hold_syncs: bool,
    pub(crate) states: Vec<NodeState>,
    pub(crate) events: Vec<Event>,
    pub(crate) halted: Option<HaltReason>,
    /// The first entry that is held; `records` remembers those before it too.
    pub(crate) first: Vlsn,
    pub(crate) past: Option<Bytes>,
    /// What it was told when it was admitted; and whether it is to be opened again for that.
    pub(crate) place: Option<Bytes>,
    /// What an arbiter vouches for; not told while it is held.
    pub(crate) vouched: LogPoint,
    pub(crate) hold_vouch: bool,
    pub(crate) takes_place: Option<Bytes>,
    /// The copy that it asks for, and whom.
    pub(crate) fetch: Option<(FetchId, Vec<NodeId>, Vlsn)>,
    /// It is to be opened again with a copy at this point.
    pub(crate) reopens: Option<LogPoint>,
    /// The copy that the last opening has put in place.
    pub(crate) restored: Option<LogPoint>,
    /// How old the files of its log are, as the next opening is told.
    pub(crate) file_ages: Vec<(Vlsn, Duration)>,
}

pub(crate) struct Group {
    pub(crate) now: Duration,
    pub(crate) machines: BTreeMap<NodeId, Machine>,
    pub(crate) outcomes: BTreeMap<(NodeId, Request), Outcome>,
    pub(crate) transferred: BTreeMap<Request, Result<NodeId, NotTransferred>>,
    pub(crate) shut_down: BTreeMap<Request, Result<Vec<NodeId>, NotShutDown>>,
    pub(crate) changed: BTreeMap<Request, Changed>,
    seeds: Vec<Seed>,
    wire: VecDeque<Frame>,
    pub(crate) pairs: BTreeMap<u64, (NodeId, NodeId, Service)>,
    cut: BTreeSet<(NodeId, NodeId)>,
    /// Connections that nothing comes through any more, of which neither end is told.
    pub(crate) dead: BTreeSet<u64>,
    /// Stopped without a sign: connected, and deaf.
    pub(crate) frozen: BTreeSet<NodeId>,
    /// How often each kind of message was sent, and the last of each.
    pub(crate) sent: BTreeMap<&'static str, (u64, Message)>,
    /// Kinds of message that get lost on the way.
    pub(crate) lose: BTreeSet<&'static str>,
    /// What every member keeps of its log for others.
    pub(crate) retention: Retention,
    /// For how long writers are slowed down for a member that was given a copy.
    pub(crate) straggler_patience: Duration,
    /// The version of their PEER channels.
    pub(crate) speaks: u16,
    /// Whom secondaries are fed by.
    pub(crate) feed_from: FeedFrom,
    /// How many entries were sent, from whom to whom.
    pub(crate) fed: BTreeMap<(NodeId, NodeId), u64>,
    /// How often anybody dialled anybody.
    pub(crate) dialled: u64,
    pub(crate) next: u64,
    pub(crate) moved: BTreeMap<NodeId, String>,
}

struct Frame {
    from: NodeId,
    to: NodeId,
    pair: u64,
    bytes: Bytes,
}

impl Group {
    pub(crate) fn new(names: &[&str]) -> Group {
        let seeds: Vec<Seed> = names
            .iter()
            .map(|name| Seed { name: (*name).into(), address: format!("{name}:1") })
            .collect();
        let ids: Vec<NodeId> = number_members(&seeds).into_keys().collect();
        let mut group = Group {
            now: Duration::ZERO,
            machines: BTreeMap::new(),
            outcomes: BTreeMap::new(),
            transferred: BTreeMap::new(),
            shut_down: BTreeMap::new(),
            changed: BTreeMap::new(),
            seeds,
            wire: VecDeque::new(),
            pairs: BTreeMap::new(),
            cut: BTreeSet::new(),
            dead: BTreeSet::new(),
            frozen: BTreeSet::new(),
            sent: BTreeMap::new(),
            lose: BTreeSet::new(),
            retention: Retention::default(),
            straggler_patience: Duration::ZERO,
            speaks: PEER_VERSION,
            feed_from: FeedFrom::default(),
            fed: BTreeMap::new(),
            dialled: 0,
            next: 1,
            moved: BTreeMap::new(),
        };
        ids.into_iter().for_each(|id| group.wipe(id));
        group
    }

    pub(crate) fn ids(&self) -> Vec<NodeId> {
        self.machines.keys().copied().collect()
    }

    pub(crate) fn start_all(&mut self) {
        self.ids().into_iter().for_each(|id| self.start(id));
    }

    /// An empty directory under the old name.
    pub(crate) fn wipe(&mut self, id: NodeId) {
        let name = match self.machines.get(&id) {
            Some(machine) => machine.name.clone(),
            None => number_members(&self.seeds)[&id].name.clone(),
        };
        let machine = self.directory(name, false);
        self.machines.insert(id, machine);
    }

    /// An empty directory.
    pub(crate) fn directory(&mut self, name: String, joining: bool) -> Machine {
        self.next += 1;
        Machine {
            name,
            joining,
            asks: false,
            node: None,
            incarnation: Incarnation((self.next as u128).to_le_bytes()),
            run: RunId(0),
            fence: Fence::default(),
            records: Vec::new(),
            written: 0,
            synced: 0,
            applied: LogPoint::NULL,
            hold_log: false,
            hold_syncs: false,
            states: Vec::new(),
            events: Vec::new(),
            halted: None,
            first: Vlsn::FIRST,
            past: None,
            place: None,
            vouched: LogPoint::NULL,
            hold_vouch: false,
            takes_place: None,
            fetch: None,
            reopens: None,
            restored: None,
            file_ages: Vec::new(),
        }
    }

    pub(crate) fn start(&mut self, id: NodeId) {
        self.next += 1;
        let seed = self.next;
        let machine = self.machines.get_mut(&id).unwrap();
        let members = match machine.joining {
            true => BTreeMap::new(),
            false => number_members(&self.seeds),
        };
        let group = GroupId((seed as u128).to_be_bytes());
        let mut config = NodeConfig::new("bank", id, machine.incarnation, members, group, seed);
        config.restored = machine.restored.take();
        config.retention = self.retention;
        config.file_ages.clone_from(&machine.file_ages);
        config.straggler_patience = self.straggler_patience;
        config.feed_from = self.feed_from;
        if machine.joining {
            config.joining = vec!["n1:1".to_owned()];
        }
        machine.asks = false;
        (machine.fetch, machine.reopens) = (None, None);
        let mut view = LogView::empty();
        machine.records.iter().for_each(|record| view.append(record));
        view.clean(machine.first);
        let last = view.last();
        let entry = |at: &LogPoint| machine.records[at.vlsn.get() as usize - 1].clone();
        let said = view.memberships().iter().map(entry).collect();
        let log = LogView::recovered(
            view.first(),
            last,
            view.last_crc(),
            view.epoch(),
            view.history().clone(),
            view.memberships().to_vec(),
        );
        let recovered = Recovered {
            fence: machine.fence,
            log,
            memberships: said,
            past: machine.past.clone(),
            place: machine.place.clone(),
            applied: machine.applied,
            mark_dvlsn: Vlsn::NULL,
            vouched: machine.vouched,
        };
        machine.run = RunId(seed);
        machine.node = Some(Node::new(config, recovered, self.now).unwrap());
        self.settle();
    }

    /// Power is lost: what was not synced is gone.
    pub(crate) fn crash(&mut self, id: NodeId) {
        let synced = self.machines[&id].synced;
        self.end(id, synced);
    }

    /// The process is killed: what was written is still there.
    pub(crate) fn kill(&mut self, id: NodeId) {
        let written = self.machines[&id].written;
        self.end(id, written);
    }

    pub(crate) fn end(&mut self, id: NodeId, kept: usize) {
        let machine = self.machines.get_mut(&id).unwrap();
        machine.node = None;
        machine.hold_log = false;
        machine.hold_syncs = false;
        self.frozen.remove(&id);
        machine.records.truncate(kept);
        (machine.written, machine.synced) = (kept, kept);
        let broken: Vec<u64> = self.pairs_of(id);
        self.wire.retain(|frame| frame.from != id && frame.to != id);
        broken.into_iter().for_each(|pair| self.break_pair(pair));
        self.settle();
    }

    pub(crate) fn cut(&mut self, a: NodeId, b: NodeId) {
        self.cut.insert((a, b));
        self.cut.insert((b, a));
    }

    pub(crate) fn isolate(&mut self, id: NodeId) {
        self.ids().into_iter().filter(|other| *other != id).for_each(|other| self.cut(id, other));
    }

    /// Mends every cut; connections that lost frames have died of it.
    pub(crate) fn heal(&mut self) {
        let cut = std::mem::take(&mut self.cut);
        let broken: Vec<u64> = self
            .pairs
            .iter()
            .filter(|(_, (a, b, _))| cut.contains(&(*a, *b)))
            .map(|(pair, _)| *pair)
            .collect();
        broken.into_iter().for_each(|pair| self.break_pair(pair));
        self.settle();
    }

    /// Every connection of this node falls silent and stays up; new ones are well.
    pub(crate) fn silence(&mut self, id: NodeId) {
        let silent = self.pairs_of(id);
        self.dead.extend(silent);
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        self.machines[&id].node.as_ref().expect("is running")
    }

    pub(crate) fn act<R>(&mut self, id: NodeId, act: impl FnOnce(&mut Node, Duration) -> R) {
        let now = self.now;
        if let Some(node) = self.machines.get_mut(&id).and_then(|machine| machine.node.as_mut()) {
            act(node, now);
        }
        self.settle();
    }

    pub(crate) fn propose(&mut self, id: NodeId, payload: &str) -> Request {
        self.propose_with(id, payload, Durability::default(), Duration::from_secs(5))
    }

    pub(crate) fn propose_with(
        &mut self,
        id: NodeId,
        payload: &str,
        durability: Durability,
        patience: Duration,
    ) -> Request {
        self.next += 1;
        let request = Request(self.next);
        let deadline = self.now + patience;
        let draft = Draft::new(Kind::Data, durability.flags(), payload.as_bytes());
        let acks = durability.acks;
        self.act(id, |node, now| {
            let term = node.term();
            node.propose(now, Proposal { request, term, draft, acks, deadline });
        });
        request
    }

    /// The log writer has handed to the operating system what it held back.
    pub(crate) fn write(&mut self, id: NodeId) {
        self.persist(id, false);
        self.settle();
    }

    /// The log writer has written and synced what it held back.
    pub(crate) fn sync_now(&mut self, id: NodeId) {
        self.persist(id, true);
        self.settle();
    }

    pub(crate) fn read(&mut self, id: NodeId, kind: ReadKind) -> Request {
        self.next += 1;
        let request = Request(self.next);
        self.act(id, |node, now| node.read(now, request, kind, now + Duration::from_secs(1)));
        request
    }

    /// Asks for the mastership to be handed over within a second.
    pub(crate) fn transfer(&mut self, id: NodeId, targets: &[NodeId], force: bool) -> Request {
        self.next += 1;
        let (request, targets) = (Request(self.next), targets.to_vec());
        let deadline = self.now + Duration::from_secs(1);
        let transfer = Transfer::new(request, targets, deadline, force);
        self.act(id, |node, now| node.transfer(now, transfer));
        request
    }

    pub(crate) fn transfer_for(
        &mut self,
        id: NodeId,
        targets: &[NodeId],
        patience: Duration,
    ) -> Request {
        self.next += 1;
        let request = Request(self.next);
        let transfer = Transfer::new(request, targets.to_vec(), self.now + patience, false);
        self.act(id, |node, now| node.transfer(now, transfer));
        request
    }

    /// Asks for the group to be shut down within a second.
    pub(crate) fn shut_down(&mut self, id: NodeId) -> Request {
        self.next += 1;
        let request = Request(self.next);
        self.act(id, |node, now| {
            node.shut_group_down(now, request, now + Duration::from_secs(1));
        });
        request
    }

    /// The store has a checkpoint at all that is applied, and each entry before `at` lies in a file of its own.
    pub(crate) fn checkpoint(&mut self, id: NodeId, at: Vlsn) {
        let first = self.machines[&id].first;
        let files =
            (first.get()..=at.get()).map(|first| SegmentSize { first: Vlsn::new(first), bytes: 1 });
        let files: Vec<SegmentSize> = files.collect();
        self.act(id, |node, now| node.handle_checkpointed(now, node.applied(), &files));
    }

    /// The directory gets the copy of `source` at `point`, and is opened.
    pub(crate) fn install(&mut self, id: NodeId, source: NodeId, point: LogPoint) {
        let past = self.node(source).past_of(point).expect("the source holds the entry");
        self.install_beside(id, source, point, past);
    }

    /// The same with what the source said of the group when it began to give.
    pub(crate) fn install_beside(
        &mut self,
        id: NodeId,
        source: NodeId,
        point: LogPoint,
        past: Bytes,
    ) {
        let records = self.machines[&source].records[..point.vlsn.get() as usize].to_vec();
        self.end(id, 0);
        let machine = self.machines.get_mut(&id).unwrap();
        (machine.written, machine.synced) = (records.len(), records.len());
        (machine.records, machine.first, machine.applied) = (records, point.vlsn, point);
        (machine.past, machine.restored) = (Some(past), Some(point));
        self.start(id);
    }

    pub(crate) fn outcome(&self, id: NodeId, request: Request) -> Option<&Outcome> {
        self.outcomes.get(&(id, request))
    }

    pub(crate) fn payloads(&self, id: NodeId) -> Vec<String> {
        let data = self.machines[&id].records.iter().filter(|r| r.header().kind == Kind::Data);
        data.map(|record| String::from_utf8_lossy(&record.payload()).into_owned()).collect()
    }

    /// Lets time pass until `done`, and fails loudly if it never comes.
    pub(crate) fn run_until(&mut self, what: &str, done: impl Fn(&Group) -> bool) {
        let limit = self.now + Duration::from_secs(60);
        while !done(self) {
            assert!(self.now < limit, "never came: {what}\n{}", self.picture());
            self.step();
        }
    }

    pub(crate) fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.next_deadline().is_some_and(|at| at <= end) {
            self.step();
        }
        self.now = end;
    }

    pub(crate) fn master(&self) -> Option<NodeId> {
        let running = self.machines.iter().filter_map(|(id, m)| Some((*id, m.node.as_ref()?)));
        let masters = running.filter(|(_, node)| node.state() == NodeState::Master);
        masters.max_by_key(|(_, node)| node.term()).map(|(id, _)| id)
    }

    /// Disks that were held finish what they were at.
    pub(crate) fn release_disks(&mut self) {
        for id in self.ids() {
            let machine = self.machines.get_mut(&id).unwrap();
            (machine.hold_log, machine.hold_syncs) = (false, false);
            self.sync(id);
        }
        self.settle();
    }

    fn picture(&self) -> String {
        let line = |(id, machine): (&NodeId, &Machine)| match &machine.node {
            Some(node) => format!("{id} {:#?}\n", node.status(self.now)),
            None => format!("{id} down\n"),
        };
        self.machines.iter().map(line).collect()
    }

    fn next_deadline(&self) -> Option<Duration> {
        let awake = self.machines.iter().filter(|(id, _)| !self.frozen.contains(id));
        let running = awake.filter_map(|(_, machine)| machine.node.as_ref());
        running.filter_map(|node| Some(node.next_timeout()?.0)).min()
    }

    fn step(&mut self) {
        let Some(at) = self.next_deadline() else {
            self.now += Duration::from_millis(100);
            return;
        };
        self.now = self.now.max(at);
        let now = self.now;
        for (id, machine) in &mut self.machines {
            if !self.frozen.contains(id)
                && let Some(node) = &mut machine.node
                && let Some((at, what)) = node.next_timeout().filter(|(at, _)| *at <= now)
            {
                node.handle_timeout(now);
                let next = node.next_timeout();
                let spent = next.is_none_or(|next| next.0 > now || next != (at, what));
                assert!(
                    spent,
                    "{id}: the deadline of \"{what}\" was handled and is due again at once"
                );
            }
        }
        self.settle();
        // Time moves even if a deadline repeats.
        self.now += Duration::from_micros(1);
    }

    pub(crate) fn settle(&mut self) {
        loop {
            let mut moved = false;
            for id in self.ids() {
                while let Some(output) = self.poll(id) {
                    moved = true;
                    self.carry_out(id, output);
                }
            }
            if let Some(frame) = self.wire.pop_front() {
                moved = true;
                self.deliver(frame);
            }
            if !moved {
                return;
            }
        }
    }

    fn poll(&mut self, id: NodeId) -> Option<Output> {
        self.machines.get_mut(&id)?.node.as_mut()?.poll_output()
    }

    fn carry_out(&mut self, id: NodeId, output: Output) {
        match output {
            Output::PersistFence(fence) => {
                self.machines.get_mut(&id).unwrap().fence = fence;
                self.with(id, |node, now| node.handle_persisted(now, Persisted::Fence(fence)));
            }
            Output::Append { records, .. } => {
                self.machines.get_mut(&id).unwrap().records.extend(records);
                self.sync(id);
            }
            Output::Truncate { keep, epoch } => {
                let machine = self.machines.get_mut(&id).unwrap();
                machine.records.truncate(keep.vlsn.get() as usize);
                (machine.written, machine.synced) = (machine.records.len(), machine.records.len());
                let last_crc = machine.records.last().map_or(0, Record::header_crc);
                let what = Persisted::Truncated { point: keep, epoch, last_crc };
                self.with(id, |node, now| node.handle_persisted(now, what));
            }
            Output::Send { link, message } => {
                let (name, bytes) = (message.name(), message.encode());
                let count = self.sent.get(name).map_or(0, |(count, _)| *count);
                self.sent.insert(name, (count + 1, message));
                if !self.lose.contains(name) {
                    self.transmit(id, link, bytes);
                }
            }
            Output::SendEntries { link, range } => {
                let records = &self.machines[&id].records;
                let mut bytes = BytesMut::from(&range.header.encode()[..]);
                let (mut last, mut sent) = (LogPoint::NULL, 0);
                for record in &records[range.from.get() as usize - 1..range.to.get() as usize] {
                    if sent > 0 && sent + record.bytes().len() > range.bytes_max {
                        break;
                    }
                    bytes.extend_from_slice(record.bytes());
                    sent += record.bytes().len();
                    last = record.point();
                }
                let entries = last.vlsn.distance_from(range.from) + 1;
                *self.fed.entry((id, link.peer)).or_default() += entries;
                self.transmit(id, link, bytes.freeze());
                self.with(id, |node, now| node.handle_sent(now, link, last, sent));
            }
            Output::Connect { peer, service } => self.connect(id, peer, service),
            Output::Disconnect { link } => self.hang_up(link.epoch),
            Output::Apply { to, .. } => {
                let point = self.machines[&id].records[to.get() as usize - 1].point();
                self.machines.get_mut(&id).unwrap().applied = point;
                self.with(id, |node, now| node.handle_applied(now, point));
            }
            Output::PersistPast { before, value } => {
                self.machines.get_mut(&id).unwrap().past = Some(value);
                self.with(id, |node, now| node.handle_persisted(now, Persisted::Past { before }));
            }
            Output::Clean { before } => {
                self.machines.get_mut(&id).unwrap().first = before;
                let what = Persisted::Cleaned { first: before };
                self.with(id, |node, now| node.handle_persisted(now, what));
            }
            Output::Fetch { fetch, sources, at_least } => {
                let machine = self.machines.get_mut(&id).unwrap();
                assert_eq!(machine.fetch, None, "one fetch at a time");
                machine.fetch = Some((fetch, sources, at_least));
            }
            Output::FetchNoMore => {
                let ended = self.machines.get_mut(&id).unwrap().fetch.take();
                assert!(ended.is_some(), "what ends was under way");
            }
            Output::Reopen { point } => {
                self.machines.get_mut(&id).unwrap().reopens = Some(point);
            }
            Output::Staged { .. } => {}
            Output::Resolve { request, outcome } => {
                let old = self.outcomes.insert((id, request), outcome);
                assert!(old.is_none(), "a request is resolved once");
            }
            Output::Transferred { request, outcome } => {
                let old = self.transferred.insert(request, outcome);
                assert!(old.is_none(), "a transfer ends once");
            }
            Output::GroupShutDown { request, outcome } => {
                let old = self.shut_down.insert(request, outcome);
                assert!(old.is_none(), "a shutdown ends once");
            }
            Output::MembershipChanged { request, outcome } => {
                let old = self.changed.insert(request, outcome);
                assert!(old.is_none(), "a change ends once");
            }
            Output::Contacts(_) => {}
            Output::Join { .. } => self.machines.get_mut(&id).unwrap().asks = true,
            Output::KeepPlace { place } => {
                self.machines.get_mut(&id).unwrap().place = Some(place);
            }
            Output::PersistVouch(point) => {
                let machine = self.machines.get_mut(&id).unwrap();
                machine.vouched = point;
                if !machine.hold_vouch {
                    self.vouch(id);
                }
            }
            Output::TakePlace { place } => {
                self.machines.get_mut(&id).unwrap().takes_place = Some(place);
            }
            Output::Event(event) => {
                let machine = self.machines.get_mut(&id).unwrap();
                if let Event::State { new, .. } = &event {
                    machine.states.push(*new);
                }
                machine.events.push(event);
            }
            Output::Halt(reason) => self.machines.get_mut(&id).unwrap().halted = Some(reason),
            other => panic!("unknown output {other:?}"),
        }
    }

    /// The arbiter's disk has finished.
    pub(crate) fn vouch(&mut self, id: NodeId) {
        let point = self.machines[&id].vouched;
        self.with(id, |node, now| node.handle_persisted(now, Persisted::Vouch(point)));
    }

    fn sync(&mut self, id: NodeId) {
        let machine = self.machines.get_mut(&id).unwrap();
        if !machine.hold_log {
            let syncs = !machine.hold_syncs;
            self.persist(id, syncs);
        }
    }

    fn persist(&mut self, id: NodeId, syncs: bool) {
        let machine = self.machines.get_mut(&id).unwrap();
        machine.written = machine.records.len();
        if syncs {
            machine.synced = machine.written;
        }
        let (Some(node), Some(last)) = (&mut machine.node, machine.records.last()) else { return };
        let (point, epoch) = (last.point(), node.log().epoch());
        let what = match syncs {
            true => Persisted::Log { point, epoch },
            false => Persisted::Written { point, epoch },
        };
        node.handle_persisted(self.now, what);
    }

    fn with(&mut self, id: NodeId, act: impl FnOnce(&mut Node, Duration)) {
        let now = self.now;
        if self.frozen.contains(&id) {
            return;
        }
        if let Some(node) = self.machines.get_mut(&id).and_then(|machine| machine.node.as_mut()) {
            act(node, now);
        }
    }

    fn connect(&mut self, from: NodeId, to: NodeId, service: Service) {
        self.dialled += 1;
        assert!(self.dialled < 1_000_000, "dialling without a pause");
        if self.cut.contains(&(from, to)) {
            let why = DialFailure::Unreachable;
            return self.with(from, |node, now| node.handle_dial_failed(now, to, service, why));
        }
        if self.machines.get(&to).is_none_or(|machine| machine.node.is_none()) {
            let why = DialFailure::Refused;
            return self.with(from, |node, now| node.handle_dial_failed(now, to, service, why));
        }
        let thought =
            self.node(from).contacts().find(|it| it.id == to).map(|it| it.address.clone());
        if self.moved.get(&to).is_some_and(|at| thought.as_ref() != Some(at)) {
            let why = DialFailure::Refused;
            return self.with(from, |node, now| node.handle_dial_failed(now, to, service, why));
        }
        let caller = self.machines[&from].incarnation;
        let known = self.node(to).contacts().any(|it| {
            it.id == from && it.incarnation.is_none_or(|known| known == caller || !it.removed)
        });
        if !known {
            let why = DialFailure::Rejected("not a member".to_owned());
            return self.with(from, |node, now| node.handle_dial_failed(now, to, service, why));
        }
        self.next += 1;
        let epoch = self.next;
        self.pairs.insert(epoch, (from, to, service));
        let (dialler, theirs) = (&self.machines[&from], self.machines[&to].incarnation);
        let mine =
            Shown::new(dialler.incarnation, dialler.run).numbered(epoch).speaking(self.speaks);
        let theirs = Shown::from(theirs).speaking(self.speaks);
        let link = |peer| Link { peer, service, epoch };
        self.with(from, |node, now| node.handle_link_up(now, link(to), theirs, true));
        self.with(to, |node, now| node.handle_link_up(now, link(from), mine, false));
    }

    /// A channel that is closed in order delivers what was said on it.
    fn hang_up(&mut self, pair: u64) {
        let wire = std::mem::take(&mut self.wire).into_iter();
        let (said, others): (Vec<Frame>, Vec<Frame>) = wire.partition(|frame| frame.pair == pair);
        self.wire = others.into();
        said.into_iter().for_each(|frame| self.deliver(frame));
        self.break_pair(pair);
    }

    fn break_pair(&mut self, pair: u64) {
        let Some((a, b, service)) = self.pairs.remove(&pair) else { return };
        self.wire.retain(|frame| frame.pair != pair);
        for (node, peer) in [(a, b), (b, a)] {
            let link = Link { peer, service, epoch: pair };
            self.with(node, |node, now| node.handle_link_down(now, link));
        }
    }

    fn transmit(&mut self, from: NodeId, link: Link, bytes: Bytes) {
        if self.pairs.contains_key(&link.epoch) {
            self.wire.push_back(Frame { from, to: link.peer, pair: link.epoch, bytes });
        }
    }

    fn deliver(&mut self, frame: Frame) {
        let Some(&(dialler, _, service)) = self.pairs.get(&frame.pair) else { return };
        let is_cut = self.cut.contains(&(frame.from, frame.to));
        if is_cut || self.dead.contains(&frame.pair) || self.frozen.contains(&frame.to) {
            return;
        }
        let message = Message::decode(service, dialler == frame.to, frame.bytes).unwrap();
        let link = Link { peer: frame.from, service, epoch: frame.pair };
        self.with(frame.to, |node, now| node.handle_message(now, link, message).unwrap());
    }

    /// How many messages of that kind were sent.
    pub(crate) fn count(&self, name: &str) -> u64 {
        self.sent.get(name).map_or(0, |(count, _)| *count)
    }

    /// The PEER link to `peer`, from the side of `id`.
    pub(crate) fn peer_link(&self, id: NodeId, peer: NodeId) -> Link {
        let ends = (id.min(peer), id.max(peer), Service::Peer);
        let (pair, _) = self.pairs.iter().find(|(_, found)| **found == ends).expect("is linked");
        Link { peer, service: Service::Peer, epoch: *pair }
    }

    /// The first word of a stream of this number, as `replica` would say it now.
    pub(crate) fn handshake(&self, replica: NodeId, connection: Connection) -> Message {
        let log = self.node(replica).log();
        Message::ToFeeder(ReplicaMessage::Handshake(Handshake {
            connection,
            group: self.node(replica).group().or_else(|| self.node(self.master()?).group()),
            node: replica,
            incarnation: self.machines[&replica].incarnation,
            first: log.first(),
            last: log.last(),
            synced: log.synced(),
            dvlsn: Vlsn::NULL,
            history: log.history().clone(),
            attributes: Vec::new(),
        }))
    }

    /// The link over which `replica` is fed, from the side of its source.
    pub(crate) fn fed_link(&self, source: NodeId, replica: NodeId) -> Link {
        let fed = (replica, source, Service::Feeder);
        let (pair, _) = self.pairs.iter().find(|(_, ends)| **ends == fed).expect("is fed");
        Link { peer: replica, service: Service::Feeder, epoch: *pair }
    }

    fn pairs_of(&self, id: NodeId) -> Vec<u64> {
        let of = |(_, (a, b, _)): &(&u64, &(NodeId, NodeId, Service))| *a == id || *b == id;
        self.pairs.iter().filter(of).map(|(pair, _)| *pair).collect()
    }
}
