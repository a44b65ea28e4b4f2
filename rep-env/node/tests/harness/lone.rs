#![allow(dead_code, reason = "each user takes its part of the harness")]
//! One node alone with its driver: peers are whatever the script says that they say. Disk, dials and store do what the
//! node asks when the script lets them, and truthfully; what must hold is looked at after each step.

use bytes::Bytes;
use rep_node::{
    Acks, DialFailure, ElectionMessage, Event, FeederMessage, Fence, HaltReason, Link, Message,
    Node, NodeConfig, NodeState, Output, PersistFailed, Persisted, Proposal, ReadKind, Recovered,
    ReplicaMessage, Request, Seed, SendFailed, Service, number_members,
};
use rep_vlsn::{
    Draft, Epoch, Flags, GroupId, Incarnation, Kind, LogPoint, LogView, NodeId, Record, Vlsn,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What one step may ask of its driver at most.
const OUTPUTS_MAX: usize = 256;
/// Of what the node said, so much is remembered, to be answered.
const SAID_MAX: usize = 64;

pub(crate) const ME: NodeId = NodeId::new(1);

/// The directories of the three members.
pub(crate) fn incarnation(id: NodeId) -> Incarnation {
    Incarnation([id.get() as u8; 16])
}

#[derive(Debug)]
enum DiskOp {
    Write(Vec<Record>, Epoch),
    Cut(LogPoint, Epoch),
}

pub(crate) struct Lone {
    pub(crate) node: Node,
    pub(crate) now: Duration,
    /// What the disk holds for certain.
    fence: Fence,
    fences: VecDeque<Fence>,
    pub(crate) disk: Vec<Record>,
    /// What the process believes to be its log.
    pub(crate) tail: Vec<Record>,
    ops: VecDeque<DiskOp>,
    epoch: Epoch,
    applying: VecDeque<LogPoint>,
    /// The links that the driver has open, and whether the node dialled them.
    pub(crate) links: Vec<(Link, bool)>,
    next_link: u64,
    dials: VecDeque<(NodeId, Service)>,
    sends: VecDeque<(Link, rep_node::output::SendRange)>,
    /// What the node said last, and over which link.
    pub(crate) said: VecDeque<(Link, Message)>,
    asked: BTreeSet<Request>,
    next_request: u64,
    dvlsn: Vlsn,
    state: NodeState,
    pub(crate) halted: Option<HaltReason>,
    is_poisoned: bool,
    is_closed: bool,
}

impl Lone {
    /// Member 1 of three, on a disk that holds these records, all of them synced.
    pub(crate) fn new(records: &[Record], seed: u64) -> Lone {
        let seeds: Vec<Seed> =
            (1..=3).map(|n| Seed { name: format!("n{n}"), address: format!("n{n}:1") }).collect();
        let members = number_members(&seeds);
        let group = GroupId([77; 16]);
        let config = NodeConfig::new("bank", ME, incarnation(ME), members, group, seed);
        let mut view = LogView::empty();
        records.iter().for_each(|record| view.append(record));
        let (last, crc, history) = (view.last(), view.last_crc(), view.history().clone());
        let fence = Fence { term: last.term, promised_to: None };
        let recovered = Recovered {
            fence,
            log: LogView::recovered(
                Vlsn::FIRST,
                last,
                crc,
                Epoch(0),
                history,
                view.memberships().to_vec(),
            ),
            memberships: records.first().cloned().into_iter().collect(),
            past: None,
            place: None,
            applied: LogPoint::NULL,
            mark_dvlsn: Vlsn::NULL,
            vouched: LogPoint::NULL,
        };
        let node = Node::new(config, recovered, Duration::ZERO).expect("a sound directory");
        let mut lone = Lone {
            node,
            now: Duration::ZERO,
            fence,
            fences: VecDeque::new(),
            disk: records.to_vec(),
            tail: records.to_vec(),
            ops: VecDeque::new(),
            epoch: Epoch(0),
            applying: VecDeque::new(),
            links: Vec::new(),
            next_link: 0,
            dials: VecDeque::new(),
            sends: VecDeque::new(),
            said: VecDeque::new(),
            asked: BTreeSet::new(),
            next_request: 0,
            dvlsn: Vlsn::NULL,
            state: NodeState::Detached,
            halted: None,
            is_poisoned: false,
            is_closed: false,
        };
        lone.after();
        lone
    }

    // ---- links ----

    pub(crate) fn link_up(
        &mut self,
        peer: NodeId,
        service: Service,
        incarnation: Incarnation,
        dialled: bool,
    ) {
        self.next_link += 1;
        let link = Link { peer, service, epoch: self.next_link };
        self.links.push((link, dialled));
        self.node.handle_link_up(self.now, link, incarnation, dialled);
        self.after();
    }

    pub(crate) fn link_down(&mut self, at: usize) {
        if at < self.links.len() {
            let (link, _) = self.links.remove(at);
            self.node.handle_link_down(self.now, link);
            self.after();
        }
    }

    /// The dial that was asked for first succeeds or fails.
    pub(crate) fn dialled(&mut self, incarnation: Incarnation, why: Option<DialFailure>) {
        let Some((peer, service)) = self.dials.pop_front() else { return };
        match why {
            None => self.link_up(peer, service, incarnation, true),
            Some(why) => {
                self.node.handle_dial_failed(self.now, peer, service, why);
                self.after();
            }
        }
    }

    /// These bytes arrive over a link: what a reader's thread makes of them reaches the node, and what is no message, or
    /// is refused, ends the link.
    pub(crate) fn frame(&mut self, at: usize, bytes: Bytes) {
        let Some(&(link, dialled)) = self.links.get(at) else { return };
        let (fence, last, state) = (self.node.fence(), self.node.log().last(), self.node.state());
        let taken = match Message::decode(link.service, dialled, bytes) {
            Ok(message) => self.node.handle_message(self.now, link, message),
            Err(refused) => Err(refused),
        };
        if taken.is_err() {
            assert_eq!((self.node.fence(), self.node.log().last()), (fence, last));
            // A stream that was told nonsense has ended.
            let now = self.node.state();
            assert!(now == state || now == NodeState::Unknown, "{state:?} became {now:?}");
            self.after();
            // The node may have closed it meanwhile.
            if let Some(at) = self.links.iter().position(|(open, _)| *open == link) {
                self.link_down(at);
            }
        }
        self.after();
    }

    // ---- the disk, the store, the clock ----

    pub(crate) fn fence_persisted(&mut self) {
        if let Some(fence) = self.fences.pop_front() {
            self.fence = fence;
            self.node.handle_persisted(self.now, Persisted::Fence(fence));
            self.after();
        }
    }

    pub(crate) fn disk_done(&mut self) {
        if self.is_poisoned {
            return;
        }
        match self.ops.pop_front() {
            Some(DiskOp::Write(records, epoch)) => {
                let point = records.last().expect("something was written").point();
                self.disk.extend(records);
                self.node.handle_persisted(self.now, Persisted::Log { point, epoch });
            }
            Some(DiskOp::Cut(point, epoch)) => {
                self.disk.truncate(point.vlsn.get() as usize);
                let last_crc = self.disk.last().map_or(0, Record::header_crc);
                let what = Persisted::Truncated { point, epoch, last_crc };
                self.node.handle_persisted(self.now, what);
            }
            None => return,
        }
        self.after();
    }

    /// The write that is under way is with the operating system, and not yet synced.
    pub(crate) fn disk_written(&mut self) {
        if let Some(DiskOp::Write(records, epoch)) = self.ops.front().filter(|_| !self.is_poisoned)
        {
            let point = records.last().expect("something is written").point();
            self.node.handle_persisted(self.now, Persisted::Written { point, epoch: *epoch });
            self.after();
        }
    }

    pub(crate) fn disk_failed(&mut self, what: PersistFailed) {
        match what {
            PersistFailed::Log => self.is_poisoned = true,
            _ => self.fences.clear(),
        }
        self.node.handle_persist_failed(self.now, what, "rotten".to_owned());
        self.after();
    }

    pub(crate) fn applied(&mut self) {
        if let Some(point) = self.applying.pop_front() {
            self.node.handle_applied(self.now, point);
            self.after();
        }
    }

    pub(crate) fn wait(&mut self, span: Duration) {
        self.now += span;
        self.timeout();
    }

    /// To the next deadline.
    pub(crate) fn jump(&mut self) {
        if let Some((at, _)) = self.node.next_timeout() {
            self.now = self.now.max(at);
            self.timeout();
        }
    }

    fn timeout(&mut self) {
        let due = self.node.next_timeout();
        self.node.handle_timeout(self.now);
        let next = self.node.next_timeout();
        let is_spent = next.is_none_or(|next| next.0 > self.now || Some(next) != due);
        assert!(is_spent, "{next:?} was handled and is due again");
        self.after();
    }

    /// The batch that was to be sent first is sent, or is not.
    pub(crate) fn sent(&mut self, is_sent: bool) {
        let Some((link, range)) = self.sends.pop_front() else { return };
        if !is_sent || range.log_epoch != self.epoch {
            self.node.handle_send_failed(self.now, link, SendFailed::Truncated);
            return self.after();
        }
        let (mut bytes, mut last) = (0, LogPoint::NULL);
        for record in &self.tail[range.from.get() as usize - 1..range.to.get() as usize] {
            if bytes > 0 && bytes + record.bytes().len() > range.bytes_max {
                break;
            }
            bytes += record.bytes().len();
            last = record.point();
        }
        self.node.handle_sent(self.now, link, last, bytes);
        // Remembered as what an honest replica will say to it.
        let connection = range.header.connection;
        let ack = ReplicaMessage::Ack { connection, synced: last, received: last };
        self.remember(link, Message::ToFeeder(ack));
        self.after();
    }

    // ---- callers ----

    pub(crate) fn propose(&mut self, payload: &[u8], flags: Flags, acks: Acks, patience: Duration) {
        let request = self.request();
        let term = self.node.admission(self.now).term;
        let draft = Draft::new(Kind::Data, flags, payload);
        let deadline = self.now + patience;
        self.node.propose(self.now, Proposal { request, term, draft, acks, deadline });
        self.after();
    }

    pub(crate) fn read(&mut self, kind: ReadKind, patience: Duration) {
        let request = self.request();
        self.node.read(self.now, request, kind, self.now + patience);
        self.after();
    }

    fn request(&mut self) -> Request {
        self.next_request += 1;
        let request = Request(self.next_request);
        self.asked.insert(request);
        request
    }

    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        self.node.close(self.now);
        self.after();
        assert!(self.asked.is_empty(), "a close leaves no request open: {:?}", self.asked);
    }

    // ---- what the node asks ----

    fn after(&mut self) {
        let mut count = 0;
        while let Some(output) = self.node.poll_output() {
            self.carry_out(output);
            count += 1;
            assert!(count <= OUTPUTS_MAX + self.next_request as usize, "a step without an end");
        }
        self.node.invariants();
        if self.halted.is_none() && !self.is_closed {
            assert!(self.node.dvlsn() >= self.dvlsn, "dvlsn never falls");
            self.dvlsn = self.node.dvlsn();
        }
    }

    fn carry_out(&mut self, output: Output) {
        match output {
            Output::PersistFence(fence) => {
                let newest = self.fences.back().copied().unwrap_or(self.fence);
                assert!(fence.term > newest.term, "fences rise");
                self.fences.push_back(fence);
            }
            Output::Append { records, .. } => {
                for record in &records {
                    assert_eq!(record.point().vlsn.get(), self.tail.len() as u64 + 1, "dense");
                    let before = self.tail.last().map_or(0, Record::header_crc);
                    assert_eq!(record.header().prev_crc, before, "chained");
                    self.tail.push(record.clone());
                }
                self.ops.push_back(DiskOp::Write(records, self.epoch));
            }
            Output::Truncate { keep, epoch } => {
                assert!(keep.vlsn >= self.node.dvlsn(), "what is durable is never cut");
                assert!(epoch > self.epoch);
                self.tail.truncate(keep.vlsn.get() as usize);
                assert_eq!(self.tail.last().map_or(LogPoint::NULL, Record::point), keep);
                self.epoch = epoch;
                self.ops.push_back(DiskOp::Cut(keep, epoch));
            }
            Output::Send { link, message } => {
                self.check_spoken(&message);
                assert_eq!(message.service(), link.service);
                self.remember(link, message);
            }
            Output::SendEntries { link, range } => {
                assert!(range.from <= range.to && range.to.get() <= self.tail.len() as u64);
                assert!(self.sends.iter().all(|(other, _)| *other != link), "one a link at a time");
                self.sends.push_back((link, range));
            }
            Output::Connect { peer, service } => {
                assert!(peer != ME);
                self.dials.push_back((peer, service));
            }
            Output::Disconnect { link } => {
                self.links.retain(|(open, _)| *open != link);
                self.sends.retain(|(to, _)| *to != link);
            }
            Output::Apply { from, to } => {
                let range = from.get() as usize - 1..to.get() as usize;
                assert!(range.end <= self.disk.len(), "only what is synced here is applied");
                self.applying.push_back(self.disk[range].last().expect("something").point());
            }
            Output::Staged { request, .. } => assert!(self.asked.contains(&request)),
            Output::Resolve { request, .. } => {
                assert!(self.asked.remove(&request), "a request is resolved once");
            }
            Output::Event(Event::State { old, new, .. }) => self.state_changed(old, new),
            Output::Event(_) | Output::Contacts(_) | Output::Join { .. } => {}
            Output::Halt(reason) => {
                assert_eq!(self.halted, None, "a node halts once");
                self.halted = Some(reason);
            }
            // Nobody gives it a copy.
            Output::Fetch { sources, .. } => {
                assert!(sources.iter().all(|source| *source != ME), "nobody asks itself");
            }
            Output::FetchNoMore => {}
            other => panic!("unknown output {other:?}"),
        }
    }

    fn state_changed(&mut self, old: NodeState, new: NodeState) {
        assert_eq!(self.state, old);
        let skips =
            [(NodeState::Master, NodeState::Replica), (NodeState::Replica, NodeState::Master)];
        assert!(!skips.contains(&(old, new)), "without Unknown between");
        self.state = new;
    }

    /// Nothing is spoken before its disk.
    fn check_spoken(&self, message: &Message) {
        match message {
            Message::Election(ElectionMessage::Promise(promise)) => {
                assert!(self.fence.term >= promise.term, "promises before its disk");
            }
            Message::Election(ElectionMessage::Solicit(ask)) => {
                assert!(self.fence.term >= ask.term, "asks before its own promise");
            }
            Message::HeartbeatReply { term, round } if *round > 0 => {
                assert!(self.fence.term >= *term, "answers a master before its disk");
            }
            Message::Heartbeat { term, .. } => {
                assert!(self.fence.term >= *term, "reigns before its disk");
            }
            Message::ToFeeder(ReplicaMessage::Ack { synced, .. }) => {
                let at = synced.vlsn.get().checked_sub(1).map(|at| self.disk.get(at as usize));
                let is_held =
                    at.is_none_or(|held| held.is_some_and(|held| held.point() == *synced));
                assert!(is_held, "acknowledges {synced} before its disk");
            }
            Message::ToReplica(FeederMessage::Batch { .. }) => panic!("batches are sent as ranges"),
            _ => {}
        }
    }

    fn remember(&mut self, link: Link, message: Message) {
        self.said.push_back((link, message));
        if self.said.len() > SAID_MAX {
            self.said.pop_front();
        }
    }

    /// Which of the open links it is.
    pub(crate) fn place_of(&self, link: Link) -> Option<usize> {
        self.links.iter().position(|(open, _)| *open == link)
    }

    pub(crate) fn group(&self) -> Option<GroupId> {
        self.node.group()
    }

    /// Round trips that nobody measured.
    pub(crate) fn no_round_trips() -> BTreeMap<NodeId, Duration> {
        BTreeMap::new()
    }
}
