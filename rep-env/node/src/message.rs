//! Everything that two nodes say to each other, and how it looks as a frame.
//!
//! PEER frames begin with one tag byte; heartbeats have a fixed layout, elections their own encoding
//! (`rep-election`). FEEDER frames are `rep-stream`'s. Decoding runs in the thread that reads the channel, so a
//! batch has been checked whole before the node sees it.

use crate::error::PeerError;
use crate::links::Service;
use crate::load::{self, Load};
use crate::membership::Membership;
use crate::nearness::{self, RoundTrips};
use bytes::{BufMut, Bytes, BytesMut};
use rep_stream::{FeederMessage, ReplicaMessage};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::fmt;

const ELECTION: u8 = 1;
const HEARTBEAT: u8 = 2;
const HEARTBEAT_REPLY: u8 = 3;
const PING: u8 = 4;
const PONG: u8 = 5;
const READ_INDEX: u8 = 6;
const READ_INDEX_REPLY: u8 = 7;
const TURNED_AWAY: u8 = 8;
const GROUP_SHUT_DOWN: u8 = 9;
const ACQUAINT: u8 = 10;
const VOUCH: u8 = 11;
const VOUCHED: u8 = 12;
const ROUND_TRIPS: u8 = 13;
const STANDS: u8 = 14;
const LOAD: u8 = 15;

/// Why a link is about to be closed by who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TurnedAway {
    /// Another process shows the same data directory, and is heard there.
    Twin,
    /// This directory was a member's, and that was removed. It is named, since the word may come late, to another directory of that name.
    Removed(Incarnation),
    /// This directory has acknowledged more than it holds: it is an older image of itself.
    Image {
        /// Which directory. The word may come late, to another one of that name.
        incarnation: Incarnation,
        /// Up to where the master had counted its log as synced.
        counted: LogPoint,
    },
}

impl TurnedAway {
    fn encode(self) -> Bytes {
        match self {
            TurnedAway::Twin => words(TURNED_AWAY, &[1], &[]),
            TurnedAway::Removed(incarnation) => words(TURNED_AWAY, &[2], &incarnation.0),
            TurnedAway::Image { incarnation, counted } => {
                words(TURNED_AWAY, &[3, counted.term.get(), counted.vlsn.get()], &incarnation.0)
            }
        }
    }

    fn decode(body: &[u8]) -> Result<Self, PeerError> {
        let directory = || {
            let last = body.last_chunk().copied().map(Incarnation);
            last.ok_or(PeerError::Malformed("wrong length"))
        };
        match body.first_chunk().map(|code| u64::from_le_bytes(*code)) {
            Some(1) => numbers::<1>(body, 0).map(|_| TurnedAway::Twin),
            Some(2) => {
                let [_] = numbers(body, 16)?;
                Ok(TurnedAway::Removed(directory()?))
            }
            Some(3) => {
                let [_, term, vlsn] = numbers(body, 16)?;
                let counted = LogPoint::new(Term::new(term), Vlsn::new(vlsn));
                Ok(TurnedAway::Image { incarnation: directory()?, counted })
            }
            Some(_) | None => Err(PeerError::Malformed("an unknown reason to be turned away")),
        }
    }
}

impl fmt::Display for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TurnedAway::Twin => write!(
                f,
                "another process with this node's data directory (a copy of it?) is connected there; only one may run"
            ),
            TurnedAway::Removed(_) => write!(f, "this node was removed from the group"),
            TurnedAway::Image { counted, .. } => write!(
                f,
                "this directory is an older image of itself: it had acknowledged all up to {counted}"
            ),
        }
    }
}

/// One message between members.
#[derive(Clone, Debug, PartialEq)]
pub enum Message {
    /// Of an election.
    Election(rep_election::Message),
    /// The master is there.
    Heartbeat {
        /// Its term.
        term: Term,
        /// Which round of heartbeats this is; replies echo it.
        round: u64,
        /// Whether a commit quorum has answered in this term.
        quorate: bool,
    },
    /// A heartbeat was heard.
    HeartbeatReply {
        /// The fence of who answers: the heartbeat's term, or a higher one that ends the reign.
        term: Term,
        /// The round that is answered; 0 for a heartbeat below the fence.
        round: u64,
    },
    /// Asks for a sign of life.
    Ping {
        /// Echoed.
        nonce: u64,
    },
    /// Answers a ping.
    Pong {
        /// The ping's.
        nonce: u64,
    },
    /// A replica asks the master what its reads have to see.
    ReadIndex {
        /// The term whose master is meant.
        term: Term,
        /// The question's number at who asks; never 0.
        number: u64,
    },
    /// The master answers.
    ReadIndexReply {
        /// The question's.
        term: Term,
        /// The question's.
        number: u64,
        /// Covers every write acknowledged before the question left; 0 if who answers is not master of that term.
        index: Vlsn,
    },
    /// The master asks the arbiter to vouch for its log up to an entry of its term that it has synced.
    Vouch {
        /// Its term.
        term: Term,
        /// The entry.
        point: LogPoint,
    },
    /// The arbiter has written that down.
    Vouched {
        /// The master's term.
        term: Term,
        /// The entry.
        point: LogPoint,
    },
    /// A secondary that another member feeds tells its master how far it is.
    Stands {
        /// The master's term.
        term: Term,
        /// The last entry that it has synced.
        synced: LogPoint,
        /// Who feeds it.
        source: NodeId,
    },
    /// Who belongs, as far as the sender's log says.
    Acquaint(Box<Membership>),
    /// How far the others are from the sender.
    RoundTrips(RoundTrips),
    /// What the sender has to do beside its own work. From version 2 of the channel on.
    Load(Load),
    /// The last word on a link that is not taken.
    TurnedAway(TurnedAway),
    /// The master shuts the group down: whoever follows it stops.
    GroupShutDown {
        /// Its term.
        term: Term,
    },
    /// From a replica to its source.
    ToFeeder(ReplicaMessage),
    /// From a source to its replica.
    ToReplica(FeederMessage),
}

impl Message {
    /// The channel that this message belongs on.
    pub fn service(&self) -> Service {
        match self {
            Message::Election(_)
            | Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::Ping { .. }
            | Message::Pong { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
            | Message::Acquaint(_)
            | Message::RoundTrips(_)
            | Message::Load(_)
            | Message::Vouch { .. }
            | Message::Vouched { .. }
            | Message::Stands { .. }
            | Message::TurnedAway(_)
            | Message::GroupShutDown { .. } => Service::Peer,
            Message::ToFeeder(_) | Message::ToReplica(_) => Service::Feeder,
        }
    }

    /// The message's name, for traces and errors.
    pub fn name(&self) -> &'static str {
        match self {
            Message::Election(_) => "election message",
            Message::Heartbeat { .. } => "heartbeat",
            Message::HeartbeatReply { .. } => "heartbeat reply",
            Message::Ping { .. } => "ping",
            Message::Pong { .. } => "pong",
            Message::ReadIndex { .. } => "read index question",
            Message::ReadIndexReply { .. } => "read index reply",
            Message::Acquaint(_) => "acquaintance",
            Message::RoundTrips(_) => "round trips",
            Message::Load(_) => "load",
            Message::Vouch { .. } => "vouch",
            Message::Vouched { .. } => "vouched",
            Message::Stands { .. } => "standing",
            Message::TurnedAway(_) => "farewell",
            Message::GroupShutDown { .. } => "group shutdown",
            Message::ToFeeder(_) => "replica message",
            Message::ToReplica(_) => "feeder message",
        }
    }

    /// The message as a frame.
    pub fn encode(&self) -> Bytes {
        match self {
            Message::Election(message) => {
                let body = message.encode();
                let mut frame = BytesMut::with_capacity(1 + body.len());
                frame.put_u8(ELECTION);
                frame.extend_from_slice(&body);
                frame.freeze()
            }
            Message::Heartbeat { term, round, quorate } => {
                words(HEARTBEAT, &[term.get(), *round], &[u8::from(*quorate)])
            }
            Message::HeartbeatReply { term, round } => {
                words(HEARTBEAT_REPLY, &[term.get(), *round], &[])
            }
            Message::Ping { nonce } => words(PING, &[*nonce], &[]),
            Message::Pong { nonce } => words(PONG, &[*nonce], &[]),
            Message::ReadIndex { term, number } => words(READ_INDEX, &[term.get(), *number], &[]),
            Message::ReadIndexReply { term, number, index } => {
                words(READ_INDEX_REPLY, &[term.get(), *number, index.get()], &[])
            }
            Message::GroupShutDown { term } => words(GROUP_SHUT_DOWN, &[term.get()], &[]),
            Message::Vouch { term, point } => point_of(VOUCH, *term, *point),
            Message::Vouched { term, point } => point_of(VOUCHED, *term, *point),
            Message::Stands { term, synced, source } => {
                let numbers = [term.get(), synced.term.get(), synced.vlsn.get()];
                words(STANDS, &numbers, &source.get().to_le_bytes())
            }
            Message::Acquaint(membership) => words(ACQUAINT, &[], &membership.encode()),
            Message::RoundTrips(row) => words(ROUND_TRIPS, &[], &nearness::encode(row)),
            Message::Load(load) => {
                let (numbers, flag) = load::encode(*load);
                words(LOAD, &numbers, &flag)
            }
            Message::TurnedAway(why) => why.encode(),
            Message::ToFeeder(message) => message.encode(),
            Message::ToReplica(message) => message.encode(),
        }
    }

    /// Reads a frame of the channel for `service` that this node did or did not dial.
    pub fn decode(service: Service, dialled: bool, frame: Bytes) -> Result<Message, PeerError> {
        match (service, dialled) {
            (Service::Peer, _) => Message::decode_peer(&frame),
            (Service::Feeder, true) => Ok(Message::ToReplica(FeederMessage::decode(frame)?)),
            (Service::Feeder, false) => Ok(Message::ToFeeder(ReplicaMessage::decode(frame)?)),
        }
    }

    fn decode_peer(frame: &[u8]) -> Result<Message, PeerError> {
        let Some((tag, body)) = frame.split_first() else {
            return Err(PeerError::Malformed("empty frame"));
        };
        match *tag {
            ELECTION => Ok(Message::Election(rep_election::Message::decode(body)?)),
            HEARTBEAT => {
                let [term, round] = numbers(body, 1)?;
                let quorate = match body[16] {
                    0 => false,
                    1 => true,
                    _ => return Err(PeerError::Malformed("a flag is 0 or 1")),
                };
                Ok(Message::Heartbeat { term: Term::new(term), round, quorate })
            }
            HEARTBEAT_REPLY => {
                let [term, round] = numbers(body, 0)?;
                Ok(Message::HeartbeatReply { term: Term::new(term), round })
            }
            PING => numbers(body, 0).map(|[nonce]| Message::Ping { nonce }),
            PONG => numbers(body, 0).map(|[nonce]| Message::Pong { nonce }),
            READ_INDEX => {
                let [term, number] = numbers(body, 0)?;
                Ok(Message::ReadIndex { term: Term::new(term), number })
            }
            READ_INDEX_REPLY => {
                let [term, number, index] = numbers(body, 0)?;
                let (term, index) = (Term::new(term), Vlsn::new(index));
                Ok(Message::ReadIndexReply { term, number, index })
            }
            TURNED_AWAY => Ok(Message::TurnedAway(TurnedAway::decode(body)?)),
            VOUCH => {
                let (term, point) = point_in(body)?;
                Ok(Message::Vouch { term, point })
            }
            VOUCHED => {
                let (term, point) = point_in(body)?;
                Ok(Message::Vouched { term, point })
            }
            STANDS => {
                let [term, of, vlsn] = numbers(body, 4)?;
                let source = u32::from_le_bytes(body[24..].try_into().expect("4 bytes are left"));
                let (term, synced) =
                    (Term::new(term), LogPoint::new(Term::new(of), Vlsn::new(vlsn)));
                Ok(Message::Stands { term, synced, source: NodeId::new(source) })
            }
            ACQUAINT => Membership::decode(body)
                .map(|membership| Message::Acquaint(Box::new(membership)))
                .map_err(PeerError::Membership),
            ROUND_TRIPS => nearness::decode(body).map(Message::RoundTrips),
            LOAD => {
                let [counts] = numbers(body, 1)?;
                load::decode(counts, body[8]).map(Message::Load)
            }
            GROUP_SHUT_DOWN => {
                numbers(body, 0).map(|[term]| Message::GroupShutDown { term: Term::new(term) })
            }
            _ => Err(PeerError::Malformed("unknown tag")),
        }
    }
}

fn words(tag: u8, numbers: &[u64], rest: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(1 + 8 * numbers.len() + rest.len());
    frame.put_u8(tag);
    numbers.iter().for_each(|number| frame.put_u64_le(*number));
    frame.extend_from_slice(rest);
    frame.freeze()
}

fn point_of(tag: u8, term: Term, point: LogPoint) -> Bytes {
    words(tag, &[term.get(), point.term.get(), point.vlsn.get()], &[])
}

fn point_in(body: &[u8]) -> Result<(Term, LogPoint), PeerError> {
    let [term, of, vlsn] = numbers(body, 0)?;
    Ok((Term::new(term), LogPoint::new(Term::new(of), Vlsn::new(vlsn))))
}

/// `N` little-endian u64, then exactly `rest` more bytes.
fn numbers<const N: usize>(body: &[u8], rest: usize) -> Result<[u64; N], PeerError> {
    if body.len() != 8 * N + rest {
        return Err(PeerError::Malformed("wrong length"));
    }
    let mut out = [0; N];
    for (number, bytes) in out.iter_mut().zip(body.chunks_exact(8)) {
        *number = u64::from_le_bytes(bytes.try_into().expect("chunks of 8"));
    }
    Ok(out)
}
