//! One whole node and whatever may happen to it: links come and go, peers say what they like (bytes, sound messages of any
//! content, honest answers), disk, store and clock take their time. The harness looks at what must hold after each step;
//! a node may halt if a peer breaks the protocol, and never panics.

use crate::kit::Input;
use crate::lone::{Lone, ME, incarnation};
use bytes::Bytes;
use rep_node::rep_election::message::{Name, PreGrant, PreSolicit, Promise, Refuse, Solicit};
use rep_node::rep_election::{Electorate, Promiser, Reason, Voter};
use rep_node::{
    Acks, DialFailure, Durability, ElectionMessage, FeederMessage, Link, Message, PersistFailed,
    ReadKind, ReplicaMessage, Service,
};
use rep_stream::{Connection, Handshake, RefuseReason, SyncUp};
use rep_vlsn::{
    Batch, Draft, Flags, GroupId, History, Incarnation, Kind, LogPoint, NodeId, Record, SyncClass,
    Term, Vlsn,
};
use std::sync::LazyLock;
use std::time::Duration;

const STEPS_MAX: usize = 300;
/// Entries that one batch of a peer has at most.
const ENTRIES_MAX: usize = 5;

/// The first entry of a group of three, as member 1 founded it.
static FOUNDING: LazyLock<Record> = LazyLock::new(founding);

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let mut node = Lone::new(&held(input.below(4)), input.number());
    for _ in 0..STEPS_MAX {
        if input.is_empty() {
            break;
        }
        step(&mut node, &mut input);
    }
    node.close();
}

/// What the disk holds: nothing, the founding entry, or entries of some terms behind it.
fn held(choice: usize) -> Vec<Record> {
    let mut records = vec![FOUNDING.clone()];
    match choice {
        0 => records.clear(),
        1 => {}
        terms => (2..=terms as u64 + 1).for_each(|term| {
            let opening = Draft::opening(Kind::TermStart, NodeId::new(2), b"");
            push(&mut records, Term::new(term), opening);
            push(&mut records, Term::new(term), Draft::new(Kind::Data, Flags::default(), b"held"));
        }),
    }
    records
}

fn push(records: &mut Vec<Record>, term: Term, draft: Draft) {
    let vlsn = Vlsn::new(records.len() as u64 + 1);
    let crc = records.last().map_or(0, Record::header_crc);
    records.push(draft.stamp(LogPoint::new(term, vlsn), crc, 7));
}

fn step(node: &mut Lone, input: &mut Input<'_>) {
    let at =
        |node: &Lone, input: &mut Input<'_>| usize::from(input.byte()) % node.links.len().max(1);
    match input.below(24) {
        0 => {
            let (peer, service) = (peer(input), service(input));
            let dialled = input.is();
            node.link_up(peer, service, directory(peer, input), dialled);
        }
        1 => {
            let at = at(node, input);
            node.link_down(at);
        }
        2 | 3 => dialled(node, input),
        4 => {
            let at = at(node, input);
            node.frame(at, Bytes::copy_from_slice(input.short()));
        }
        5..=8 => {
            let at = at(node, input);
            let Some(&(link, dialled)) = node.links.get(at) else { return };
            let message = message(node, link, dialled, input);
            node.frame(at, message.encode());
        }
        9..=13 => answer(node, input),
        14 => node.fence_persisted(),
        15 => node.disk_done(),
        16 => node.disk_written(),
        17 => node.applied(),
        18 => node.jump(),
        19 => node.wait(Duration::from_millis(u64::from(input.byte()) * 4)),
        20 => propose(node, input),
        21 => read(node, input),
        22 => node.sent(!input.is()),
        _ => match input.below(16) {
            0 => node.disk_failed(PersistFailed::Log),
            1 => node.disk_failed(PersistFailed::Fence),
            // All that waits for disk and store is done.
            _ => (0..8).for_each(|_| {
                node.fence_persisted();
                node.disk_done();
                node.applied();
            }),
        },
    }
}

fn peer(input: &mut Input<'_>) -> NodeId {
    NodeId::new([2, 3, 2, 3, 2, 3, 1, 4][input.below(8)])
}

/// Mostly the recorded one.
fn directory(peer: NodeId, input: &mut Input<'_>) -> Incarnation {
    if input.below(16) == 15 { Incarnation([99; 16]) } else { incarnation(peer) }
}

fn service(input: &mut Input<'_>) -> Service {
    if input.is() { Service::Feeder } else { Service::Peer }
}

fn dialled(node: &mut Lone, input: &mut Input<'_>) {
    let why = match input.below(8) {
        0 => Some(DialFailure::Refused),
        1 => Some(DialFailure::Unreachable),
        2 => Some(DialFailure::Rejected("no".to_owned())),
        _ => None,
    };
    // Whoever answers under a name, its directory is mostly the recorded one.
    let incarnations = [incarnation(NodeId::new(2)), incarnation(NodeId::new(3))];
    node.dialled(incarnations[input.below(2)], why);
}

fn propose(node: &mut Lone, input: &mut Input<'_>) {
    let classes = [SyncClass::Sync, SyncClass::WriteNoSync, SyncClass::NoSync];
    let mut flags = Durability::default().flags();
    flags.local_sync = classes[input.below(3)];
    flags.replica_sync = classes[input.below(3)];
    let acks = [Acks::SimpleMajority, Acks::All, Acks::None][input.below(3)];
    let patience = Duration::from_millis(u64::from(input.byte()) * 10);
    node.propose(input.short(), flags, acks, patience);
}

fn read(node: &mut Lone, input: &mut Input<'_>) {
    let kind = match input.below(3) {
        0 => ReadKind::Linearizable,
        1 => ReadKind::Bounded { lag: Duration::from_millis(u64::from(input.byte()) * 10) },
        _ => ReadKind::AtLeast { group: of_group(node, input), point: point(node, input) },
    };
    node.read(kind, Duration::from_millis(u64::from(input.byte()) * 10));
}

fn of_group(node: &Lone, input: &mut Input<'_>) -> GroupId {
    match node.group().filter(|_| input.below(16) != 15) {
        Some(group) => group,
        None => GroupId([77; 16]),
    }
}

// ---- what peers may say ----

/// A number near one that means something here.
fn near(number: u64, input: &mut Input<'_>) -> u64 {
    match input.byte() {
        0..=159 => number,
        160..=199 => number.saturating_add(1),
        200..=219 => number.saturating_sub(1),
        220..=239 => number.saturating_add(u64::from(input.byte())),
        _ => input.number(),
    }
}

fn term(node: &Lone, input: &mut Input<'_>) -> Term {
    Term::new(near(node.node.term().get(), input))
}

/// Mostly a point of the node's own log.
fn point(node: &Lone, input: &mut Input<'_>) -> LogPoint {
    let last = node.node.log().last();
    let vlsn = Vlsn::new(near(last.vlsn.get(), input));
    match node.node.log().point_at(vlsn).filter(|_| input.below(8) != 7) {
        Some(point) => point,
        None => LogPoint::new(Term::new(near(last.term.get(), input)), vlsn),
    }
}

fn connection(node: &Lone, link: Link, input: &mut Input<'_>) -> Connection {
    let said = node.said.iter().rev().filter(|(to, _)| *to == link);
    let known = said.filter_map(|(_, message)| match message {
        Message::ToFeeder(message) => Some(message.connection()),
        Message::ToReplica(message) => Some(message.connection()),
        _ => None,
    });
    match known.into_iter().next().filter(|_| input.below(16) != 15) {
        Some(connection) => connection,
        None => Connection { term: term(node, input), epoch: near(link.epoch, input) },
    }
}

fn message(node: &Lone, link: Link, dialled: bool, input: &mut Input<'_>) -> Message {
    match (link.service, dialled) {
        (Service::Peer, _) => of_peer(node, link, input),
        (Service::Feeder, true) => Message::ToReplica(of_feeder(node, link, input)),
        (Service::Feeder, false) => Message::ToFeeder(of_replica(node, link, input)),
    }
}

fn of_peer(node: &Lone, link: Link, input: &mut Input<'_>) -> Message {
    let term = term(node, input);
    match input.below(8) {
        0 | 1 => Message::Heartbeat { term, round: input.number(), quorate: input.is() },
        2 => Message::HeartbeatReply { term, round: input.number() },
        3 => Message::ReadIndex { term, number: input.number() },
        4 => {
            let index = point(node, input).vlsn;
            Message::ReadIndexReply { term, number: input.number(), index }
        }
        5 => Message::Pong { nonce: near(node.now.as_nanos() as u64, input) },
        _ => {
            let message = election(node, link, term, input);
            // What cannot be spelled is not said.
            match message.check() {
                Ok(()) => Message::Election(message),
                Err(_) => Message::Ping { nonce: 1 },
            }
        }
    }
}

fn election(node: &Lone, link: Link, term: Term, input: &mut Input<'_>) -> ElectionMessage {
    let rank = point(node, input);
    let electorate = electorate(node);
    let promiser = |id: NodeId| Promiser { id, incarnation: incarnation(id), rank };
    match input.below(6) {
        0 => {
            let fence = Term::new(near(term.get(), input));
            ElectionMessage::PreSolicit(PreSolicit { term, fence, rank, priority: 0, electorate })
        }
        1 => ElectionMessage::PreGrant(PreGrant { term, rank, electorate }),
        2 => {
            let reasons = [Reason::StaleTerm, Reason::Busy, Reason::NotAMember, Reason::CrownWait];
            let (pre_vote, reason) = (input.is(), reasons[input.below(4)]);
            let fence = Term::new(near(term.get(), input));
            ElectionMessage::Refuse(Refuse { term, pre_vote, fence, reason })
        }
        3 => ElectionMessage::Solicit(Solicit { term, rank, electorate, transfer: input.is() }),
        4 => ElectionMessage::Promise(promise(term, rank, electorate, input.is())),
        _ => {
            let winner = [ME, link.peer][input.below(2)];
            let promisers = vec![promiser(ME), promiser(link.peer)];
            ElectionMessage::Name(Name { term, winner, promisers })
        }
    }
}

fn promise(term: Term, rank: LogPoint, electorate: Electorate, nameable: bool) -> Promise {
    let (priority, round_trips) = (0, Lone::no_round_trips());
    Promise { term, rank, nameable, electorate, priority, round_trips, reaches_commit_quorum: true }
}

/// The membership as every member knows it.
fn electorate(node: &Lone) -> Electorate {
    match node.node.membership() {
        Some(membership) => membership.electorate(),
        None => {
            Electorate::founding((1..=3).map(|id| (NodeId::new(id), Voter::unknown())).collect())
        }
    }
}

fn of_replica(node: &Lone, link: Link, input: &mut Input<'_>) -> ReplicaMessage {
    let connection = connection(node, link, input);
    match input.below(4) {
        0 => ReplicaMessage::Handshake(handshake(node, link, connection, input)),
        1 => ReplicaMessage::Ready { connection, at: point(node, input) },
        _ => {
            let received = point(node, input);
            let synced = if input.is() { received } else { point(node, input) };
            ReplicaMessage::Ack { connection, synced, received }
        }
    }
}

/// A peer that holds the node's own log up to some entry.
fn handshake(node: &Lone, link: Link, connection: Connection, input: &mut Input<'_>) -> Handshake {
    let last = point(node, input);
    let mut history = node.node.log().history().clone();
    history.truncate(last.vlsn);
    Handshake {
        connection,
        group: node.group().filter(|_| input.below(8) != 7),
        node: if input.below(16) == 15 { ME } else { link.peer },
        incarnation: directory(link.peer, input),
        first: Vlsn::FIRST,
        last,
        synced: last.vlsn,
        dvlsn: Vlsn::new(near(node.node.dvlsn().get(), input)),
        history,
        attributes: Vec::new(),
    }
}

fn of_feeder(node: &Lone, link: Link, input: &mut Input<'_>) -> FeederMessage {
    let connection = connection(node, link, input);
    let (dvlsn, cvlsn) = (point(node, input).vlsn, point(node, input).vlsn);
    match input.below(8) {
        0 | 1 => FeederMessage::SyncUp(sync_up(node, connection, input)),
        2 => FeederMessage::NeedsRestore { connection, first: Vlsn::new(input.number()) },
        3 => {
            let fence = term(node, input);
            let master = Some(peer(input));
            let reasons = [
                RefuseReason::StaleTerm { fence },
                RefuseReason::NotMaster { master },
                RefuseReason::NotMember,
                RefuseReason::HistoryConflict,
            ];
            FeederMessage::Refused { connection, reason: reasons[input.below(4)] }
        }
        4 => FeederMessage::Watermarks { connection, dvlsn, cvlsn },
        _ => match entries(node, connection.term, input) {
            Some((prev, entries)) => {
                FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries }
            }
            None => FeederMessage::Watermarks { connection, dvlsn, cvlsn },
        },
    }
}

/// A source that shares the node's log up to some entry, and then opened its own term.
fn sync_up(node: &Lone, connection: Connection, input: &mut Input<'_>) -> SyncUp {
    let matchpoint = point(node, input);
    let mut history = node.node.log().history().clone();
    history.truncate(matchpoint.vlsn);
    let start = matchpoint.vlsn.next();
    let last = LogPoint::new(connection.term, Vlsn::new(near(start.get(), input)));
    let opening = rep_vlsn::TermStart { term: connection.term, start, node: NodeId::new(2) };
    let opened = history.push(opening);
    SyncUp {
        connection,
        group: of_group(node, input),
        matchpoint,
        last: if opened.is_ok() { last } else { matchpoint },
        history,
        dvlsn: Vlsn::new(near(node.node.dvlsn().get(), input)),
        cvlsn: Vlsn::new(near(node.node.cvlsn().get(), input)),
    }
}

/// Entries behind some entry of the node's log, mostly the last.
fn entries(node: &Lone, term: Term, input: &mut Input<'_>) -> Option<(LogPoint, Batch)> {
    let keep = match input.below(8) {
        0 => usize::from(input.byte()) % (node.tail.len() + 1),
        _ => node.tail.len(),
    };
    let prev = node.tail[..keep].last().map_or(LogPoint::NULL, Record::point);
    let mut records = node.tail[..keep].to_vec();
    if keep == 0 && input.below(8) != 7 {
        records.push(FOUNDING.clone());
    }
    for _ in 0..=input.below(ENTRIES_MAX) {
        let opens = records.last().is_none_or(|last| last.point().term < term);
        let draft = match opens {
            true => Draft::opening(Kind::TermStart, NodeId::new(2), input.short()),
            false => Draft::new(Kind::Data, Flags::default(), input.short()),
        };
        push(&mut records, term.max(Term::new(1)), draft);
    }
    Batch::of(records.split_off(keep)).ok().map(|batch| (prev, batch))
}

// ---- what honest peers answer ----

/// One of the last things that the node said is answered as a sound member would.
fn answer(node: &mut Lone, input: &mut Input<'_>) {
    let back = usize::from(input.byte() & 7);
    let Some(at) = node.said.len().checked_sub(1 + back) else { return };
    let Some((link, said)) = node.said.remove(at) else { return };
    let Some(place) = node.place_of(link) else { return };
    if let Some(message) = honest(node, link, said) {
        node.frame(place, message.encode());
    }
}

fn honest(node: &Lone, link: Link, said: Message) -> Option<Message> {
    Some(match said {
        Message::Election(ElectionMessage::PreSolicit(ask)) => {
            let (term, electorate) = (ask.term, electorate(node));
            Message::Election(ElectionMessage::PreGrant(PreGrant {
                term,
                rank: ask.rank,
                electorate,
            }))
        }
        Message::Election(ElectionMessage::Solicit(ask)) => {
            let rank = if node.group().is_some() { ask.rank } else { LogPoint::NULL };
            let promise = promise(ask.term, rank, electorate(node), true);
            Message::Election(ElectionMessage::Promise(promise))
        }
        Message::Heartbeat { term, round, .. } => Message::HeartbeatReply { term, round },
        Message::Ping { nonce } => Message::Pong { nonce },
        Message::ReadIndex { term, number } => {
            Message::ReadIndexReply { term, number, index: node.node.dvlsn() }
        }
        Message::ToFeeder(ReplicaMessage::Handshake(it)) => {
            Message::ToReplica(FeederMessage::SyncUp(SyncUp {
                connection: it.connection,
                group: node.group().unwrap_or(FOUNDING_GROUP),
                matchpoint: it.last,
                last: it.last,
                history: it.history,
                dvlsn: it.dvlsn,
                cvlsn: it.dvlsn,
            }))
        }
        // The node's own sends come back as the acknowledgement of who got them, its own acknowledgements as news.
        Message::ToFeeder(ReplicaMessage::Ack { connection, synced, received }) => {
            match node.links.iter().find(|(open, _)| *open == link)? {
                (_, false) => {
                    Message::ToFeeder(ReplicaMessage::Ack { connection, synced, received })
                }
                (_, true) => Message::ToReplica(FeederMessage::Watermarks {
                    connection,
                    dvlsn: synced.vlsn,
                    cvlsn: synced.vlsn,
                }),
            }
        }
        Message::ToReplica(FeederMessage::SyncUp(it)) => {
            let (connection, at) = (it.connection, it.matchpoint);
            Message::ToFeeder(ReplicaMessage::Ready { connection, at })
        }
        _ => return None,
    })
}

const FOUNDING_GROUP: GroupId = GroupId([77; 16]);

/// Lets member 1 found the group with two honest others, and takes its first entry.
fn founding() -> Record {
    let mut node = Lone::new(&[], 1);
    for id in [2, 3] {
        node.dialled(incarnation(NodeId::new(id)), None);
    }
    for _ in 0..100 {
        node.jump();
        while let Some((link, said)) = node.said.pop_front() {
            node.fence_persisted();
            let place = node.place_of(link);
            if let Some((place, message)) = place.zip(honest(&node, link, said)) {
                node.frame(place, message.encode());
            }
        }
        node.fence_persisted();
        if let Some(record) = node.tail.first() {
            return record.clone();
        }
    }
    panic!("nobody founds the group");
}

/// Lives: a founding, a reign with writes and reads, a life as a replica, and their ends.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    assert_eq!(History::from_starts(Vec::new()), Ok(History::new()));
    let linked: &[u8] = &[2, 7, 0, 2, 7, 1];
    let all_done: &[u8] = &[23, 15];
    let jump: &[u8] = &[18];
    // Answers the last eight things that were said, the oldest first.
    let answers: Vec<u8> = (0..8).rev().flat_map(|back| [9, back]).collect();
    let round = [jump, &answers, all_done, &answers, all_done].concat();
    let elected = [linked, &round.repeat(12)].concat();
    let replica_comes: &[u8] = &[0, 0, 1, 0, 0, 5, 2, 0, 0, 0, 0];
    let write: &[u8] = &[20, 0, 0, 0, 200, 3, b'k', b'e', b'y'];
    let reads: &[u8] = &[21, 0, 200, 21, 1, 100, 200, 21, 2, 0, 0, 0, 200];
    let reign = [&elected, replica_comes, &round, write, reads, &round, &[22, 0], &round.repeat(2)];
    let reign = reign.concat();
    let follows: &[u8] = &[5, 0, 160, 0, 1, 1];
    let fed: &[u8] = &[5, 2, 0, 0, 0, 0, 0, 5, 1, 1, 3, b'f', b'e', b'd', 1, b'x'];
    let acked = [all_done, &answers].concat();
    let replica = [linked, follows, all_done, &[2, 7, 0], &acked, all_done, fed, &acked, reads];
    let replica = [&replica.concat(), fed, &acked, &round, fed, &acked, all_done].concat();
    let mut seeds = Vec::new();
    for held in 0..4 {
        for life in [&elected, &reign, &replica] {
            seeds.push([&[held, 3], &life[..]].concat());
        }
        seeds.push([&[held, 3], &reign[..], &[23, 0], &round, follows].concat());
        seeds.push([&[held, 9], &replica[..], &[23, 1], &round].concat());
    }
    // A source that begins its log with an entry that founds nothing.
    let unfounded: &[u8] = &[5, 2, 0, 0, 0, 0, 0, 5, 1, 7, 1, 3, b'f', b'e', b'd', 1, b'x'];
    let replica = [&[0, 3], linked, follows, all_done, &[2, 7, 0], &acked, unfounded, &acked];
    seeds.push(replica.concat());
    seeds
}
