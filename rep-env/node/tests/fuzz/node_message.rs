//! Bytes as a frame between two members, on either service and from either side: read for what they are and written the
//! same, or refused.

use crate::kit::Input;
use bytes::Bytes;
use rep_node::rep_election::{Electorate, Voter};
use rep_node::{ElectionMessage, FeederMessage, Message, ReplicaMessage, Service};
use rep_stream::{Connection, RefuseReason};
use rep_vlsn::{LogPoint, NodeId, Term, Vlsn};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    let (service, dialled) = side(input.below(3));
    let frame = Bytes::copy_from_slice(input.rest());
    let Ok(message) = Message::decode(service, dialled, frame.clone()) else { return };
    assert_eq!(message.service(), service);
    let again = message.encode();
    assert_eq!(Message::decode(service, dialled, again.clone()).as_ref(), Ok(&message));
    let is_fixed = matches!(
        message,
        Message::Heartbeat { .. }
            | Message::HeartbeatReply { .. }
            | Message::Ping { .. }
            | Message::Pong { .. }
            | Message::ReadIndex { .. }
            | Message::ReadIndexReply { .. }
    );
    if is_fixed {
        assert_eq!(again, frame, "one meaning, one spelling");
    }
    assert!(!message.name().is_empty());
}

fn side(choice: usize) -> (Service, bool) {
    match choice {
        0 => (Service::Peer, true),
        1 => (Service::Feeder, true),
        _ => (Service::Feeder, false),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let (term, round, number) = (Term::new(3), 7, 9);
    let connection = Connection { term, epoch: 2 };
    let at = LogPoint::new(term, Vlsn::new(5));
    let electorate = Electorate::founding([(NodeId::new(1), Voter::unknown())].into());
    let grant = rep_node::rep_election::message::PreGrant { term, rank: at, electorate };
    let reason = RefuseReason::NotMember;
    let messages = [
        Message::Election(ElectionMessage::PreGrant(grant)),
        Message::Heartbeat { term, round, quorate: true },
        Message::HeartbeatReply { term, round },
        Message::Ping { nonce: 4 },
        Message::Pong { nonce: 4 },
        Message::ReadIndex { term, number },
        Message::ReadIndexReply { term, number, index: at.vlsn },
        Message::ToReplica(FeederMessage::Refused { connection, reason }),
        Message::ToFeeder(ReplicaMessage::Ready { connection, at }),
    ];
    let side = |message: &Message| match message {
        Message::ToReplica(_) => 1,
        Message::ToFeeder(_) => 2,
        _ => 0,
    };
    messages.iter().map(|it| [&[side(it)][..], &it.encode()].concat()).collect()
}
