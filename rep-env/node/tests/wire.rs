//! The bytes of PEER frames, pinned: two versions that disagree about them are no group.

use bytes::Bytes;
use rep_node::{Load, Message, PeerError, Service, TurnedAway};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
use std::time::Duration;

fn decode(frame: &[u8]) -> Result<Message, PeerError> {
    Message::decode(Service::Peer, true, Bytes::copy_from_slice(frame))
}

/// A tag, numbers of eight bytes, and what follows them.
fn frame(tag: u8, numbers: &[u64], rest: &[u8]) -> Vec<u8> {
    let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
    [tag].into_iter().chain(numbers).chain(rest.iter().copied()).collect()
}

fn golden() -> Vec<(Message, Vec<u8>)> {
    let (term, number, round) = (Term::new(0x0102), 0x0304, 0x0506);
    let index = Vlsn::new(0x0708);
    let point = LogPoint::new(term, index);
    vec![
        (Message::Heartbeat { term, round, quorate: true }, frame(2, &[0x0102, 0x0506], &[1])),
        (Message::Heartbeat { term, round, quorate: false }, frame(2, &[0x0102, 0x0506], &[0])),
        (Message::HeartbeatReply { term, round }, frame(3, &[0x0102, 0x0506], &[])),
        (Message::Ping { nonce: 9 }, frame(4, &[9], &[])),
        (Message::Pong { nonce: 9 }, frame(5, &[9], &[])),
        (Message::ReadIndex { term, number }, frame(6, &[0x0102, 0x0304], &[])),
        (Message::ReadIndexReply { term, number, index }, frame(7, &[0x0102, 0x0304, 0x0708], &[])),
        (Message::TurnedAway(TurnedAway::Twin), frame(8, &[1], &[])),
        (Message::TurnedAway(TurnedAway::Removed(Incarnation([7; 16]))), frame(8, &[2], &[7; 16])),
        (
            Message::TurnedAway(TurnedAway::Image {
                incarnation: Incarnation([7; 16]),
                counted: point,
            }),
            frame(8, &[3, 0x0102, 0x0708], &[7; 16]),
        ),
        (Message::GroupShutDown { term }, frame(9, &[0x0102], &[])),
        (Message::Vouch { term, point }, frame(11, &[0x0102, 0x0102, 0x0708], &[])),
        (Message::Vouched { term, point }, frame(12, &[0x0102, 0x0102, 0x0708], &[])),
        (
            Message::Stands { term, synced: point, source: NodeId::new(0x0a0b) },
            frame(14, &[0x0102, 0x0102, 0x0708], &[0x0b, 0x0a, 0, 0]),
        ),
        (Message::Load(Load::new(2, 3, true)), frame(15, &[0x0000_0003_0000_0002], &[1])),
        (Message::Load(Load::new(0, 0, false)), frame(15, &[0], &[0])),
    ]
}

#[test]
fn every_message_of_a_fixed_layout_is_these_bytes() {
    for (message, bytes) in golden() {
        assert_eq!(message.encode(), bytes, "{message:?}");
        assert_eq!(decode(&bytes).unwrap(), message);
    }
}

#[test]
fn a_frame_of_another_length_is_no_message() {
    for (message, bytes) in golden() {
        for length in 0..bytes.len() {
            assert!(decode(&bytes[..length]).is_err(), "{message:?} cut to {length} bytes");
        }
        let longer = [&bytes[..], &[0]].concat();
        assert!(matches!(decode(&longer), Err(PeerError::Malformed(_))), "{message:?} and a byte");
    }
}

#[test]
fn a_row_of_round_trips_is_these_bytes() {
    let row = [(2, 0x0a0b), (3, 7)].map(|(id, us)| (NodeId::new(id), Duration::from_micros(us)));
    let (message, bytes) =
        (Message::RoundTrips(row.into()), frame(13, &[0x0a0b_0000_0002, 0x0007_0000_0003], &[]));
    assert_eq!(message.encode(), bytes);
    assert_eq!(decode(&bytes).unwrap(), message);
    let twice = frame(13, &[0x0a0b_0000_0002, 0x0007_0000_0002], &[]);
    assert_eq!(decode(&twice), Err(PeerError::Malformed("round trips out of order")));
    let many: Vec<u64> = (1..=65).collect();
    for wrong in [&bytes[..bytes.len() - 1], &frame(13, &many, &[])] {
        assert_eq!(decode(wrong), Err(PeerError::Malformed("wrong length")));
    }
}

#[test]
fn what_is_unknown_is_refused() {
    for tag in (0..=u8::MAX).filter(|tag| !(1..=15).contains(tag)) {
        assert_eq!(decode(&frame(tag, &[1, 1], &[])), Err(PeerError::Malformed("unknown tag")));
    }
    let flag = frame(2, &[1, 1], &[2]);
    assert_eq!(decode(&flag), Err(PeerError::Malformed("a flag is 0 or 1")));
    let flag = frame(15, &[1], &[2]);
    assert_eq!(decode(&flag), Err(PeerError::Malformed("a flag is 0 or 1")));
}
