//! Bytes as a message of a stream, either way: read for what they are and written the same, or refused. A batch is taken
//! exactly if its records are whole, dense and chained, and follow the point that it names.

use crate::kit::Input;
use bytes::Bytes;
use rep_stream::message::{BATCH_MESSAGE_BYTES_MAX, CONTROL_MESSAGE_BYTES_MAX};
use rep_stream::{
    BatchHeader, Connection, FeederMessage, Handshake, RefuseReason, ReplicaMessage, SyncUp,
};
use rep_vlsn::{
    Draft, Flags, GroupId, History, Incarnation, Kind, LogPoint, NodeId, Record, Term, TermStart,
    Vlsn,
};

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => of_replica(Bytes::copy_from_slice(input.rest())),
        1 => of_feeder(Bytes::copy_from_slice(input.rest())),
        _ => batch(&mut input),
    }
}

fn of_replica(bytes: Bytes) {
    let Ok(message) = ReplicaMessage::decode(bytes.clone()) else { return };
    let again = message.encode();
    assert!(again.len() <= bytes.len().min(CONTROL_MESSAGE_BYTES_MAX), "nothing is spelled longer");
    assert_eq!(ReplicaMessage::decode(again.clone()).as_ref(), Ok(&message));
    match &message {
        ReplicaMessage::Handshake(it) => {
            assert_eq!(it.history.check(), Ok(()));
            assert!(it.synced <= it.last.vlsn && it.first <= it.last.vlsn.next());
            assert!(it.history.starts().last().is_none_or(|newest| newest.term == it.last.term));
        }
        ReplicaMessage::Ready { .. } | ReplicaMessage::Ack { .. } => assert_eq!(again, bytes),
    }
}

fn of_feeder(bytes: Bytes) {
    let Ok(message) = FeederMessage::decode(bytes.clone()) else { return };
    let again = message.encode();
    assert!(again.len() <= bytes.len().min(BATCH_MESSAGE_BYTES_MAX), "nothing is spelled longer");
    assert_eq!(FeederMessage::decode(again.clone()).as_ref(), Ok(&message));
    match &message {
        FeederMessage::SyncUp(it) => {
            assert_eq!(it.history.check(), Ok(()));
            assert!(it.matchpoint.vlsn <= it.last.vlsn);
        }
        FeederMessage::Refused { .. } => {}
        FeederMessage::Batch { prev, entries, .. } => {
            assert_eq!(again, bytes, "one meaning, one spelling");
            assert_eq!(entries.first(), prev.vlsn.next());
            assert!(entries.first() > prev.vlsn && entries.first_point().term >= prev.term);
        }
        FeederMessage::NeedsRestore { .. } | FeederMessage::Watermarks { .. } => {
            assert_eq!(again, bytes, "one meaning, one spelling");
        }
    }
}

/// A batch made of sound records, with or without a flaw in how they follow one another.
fn batch(input: &mut Input<'_>) {
    let connection = Connection { term: Term::new(input.number()), epoch: input.number() };
    let prev = LogPoint::new(Term::new(1 + input.number() / 2), Vlsn::new(input.number()));
    let (dvlsn, cvlsn) = (Vlsn::new(input.number()), Vlsn::new(input.number()));
    let header = BatchHeader { connection, prev, dvlsn, cvlsn };
    let mut frame = header.encode().to_vec();
    let (mut last, mut crc) = (prev, u32::from(input.word()));
    let (mut records, mut is_sound) = (0, true);
    while !input.is_empty() {
        let Some(record) = next(input, last, crc, records == 0, &mut is_sound) else { return };
        frame.extend_from_slice(record.bytes());
        (last, crc) = (record.point(), record.header_crc());
        records += 1;
    }
    if records > 0 {
        let decoded = FeederMessage::decode(frame.clone().into());
        assert_eq!(decoded.is_ok(), is_sound, "{decoded:?}");
    }
    of_feeder(frame.into());
}

/// The record that follows `last`, or, as the input will have it, one that does not. `None` where no number is left.
fn next(
    input: &mut Input<'_>,
    last: LogPoint,
    crc: u32,
    is_first: bool,
    is_sound: &mut bool,
) -> Option<Record> {
    let flaw = input.byte();
    let opens = input.below(4) == 0;
    let mut point = LogPoint::new(last.term, Vlsn::new(last.vlsn.get().checked_add(1)?));
    let mut prev_crc = crc;
    if opens {
        point.term = Term::new(last.term.get().checked_add(1)?);
    }
    match flaw {
        255 => {
            point.vlsn = Vlsn::new(point.vlsn.get().checked_add(1)?);
            *is_sound = false;
        }
        254 => {
            point.term = Term::new(last.term.get().checked_sub(1).filter(|term| *term > 0)?);
            *is_sound = false;
        }
        // The first record's predecessor is not in the batch: only the log can say whether it is the right one.
        253 if !is_first => {
            prev_crc ^= 1;
            *is_sound = false;
        }
        252 if !opens && !is_first => {
            point.term = Term::new(last.term.get().checked_add(1)?);
            *is_sound = false;
        }
        _ => {}
    }
    let draft = match opens {
        true => Draft::opening(Kind::TermStart, NodeId::new(1), input.short()),
        false => Draft::new(Kind::Data, Flags::default(), input.short()),
    };
    Some(draft.stamp(point, prev_crc, 7))
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let connection = Connection { term: Term::new(9), epoch: 4 };
    let point = |term, vlsn| LogPoint::new(Term::new(term), Vlsn::new(vlsn));
    let start = |term, start, node| TermStart {
        term: Term::new(term),
        start: Vlsn::new(start),
        node: NodeId::new(node),
    };
    let history = History::from_starts(vec![start(1, 1, 1), start(4, 200, 2)]).expect("a history");
    let handshake = Handshake {
        connection,
        group: Some(GroupId([0xaa; 16])),
        node: NodeId::new(3),
        incarnation: Incarnation([0xbb; 16]),
        first: Vlsn::new(1),
        last: point(4, 300),
        synced: Vlsn::new(299),
        dvlsn: Vlsn::new(298),
        history: history.clone(),
        attributes: vec![("resp".into(), "h:1".into())],
    };
    let (dvlsn, cvlsn) = (Vlsn::new(150), Vlsn::new(151));
    let sync_up = SyncUp {
        connection,
        group: GroupId([0xaa; 16]),
        matchpoint: point(1, 199),
        last: point(4, 300),
        history,
        dvlsn,
        cvlsn,
    };
    let replicas = [
        ReplicaMessage::Handshake(Handshake { group: None, ..handshake.clone() }),
        // Whose claims contradict each other.
        ReplicaMessage::Handshake(Handshake { synced: Vlsn::new(301), ..handshake.clone() }),
        ReplicaMessage::Handshake(Handshake { first: Vlsn::new(302), ..handshake.clone() }),
        ReplicaMessage::Handshake(Handshake { last: point(3, 300), ..handshake.clone() }),
        ReplicaMessage::Handshake(handshake),
        ReplicaMessage::Ready { connection, at: point(1, 199) },
        ReplicaMessage::Ack { connection, synced: point(4, 299), received: point(4, 300) },
    ];
    let refused = |reason| FeederMessage::Refused { connection, reason };
    let feeders = [
        FeederMessage::SyncUp(sync_up),
        FeederMessage::NeedsRestore { connection, first: Vlsn::new(70) },
        FeederMessage::Watermarks { connection, dvlsn, cvlsn },
        refused(RefuseReason::WrongGroup),
        refused(RefuseReason::NotMaster { master: Some(NodeId::new(2)) }),
        refused(RefuseReason::StaleTerm { fence: Term::new(12) }),
        refused(RefuseReason::Behind { limit: Vlsn::new(7) }),
    ];
    let mut seeds = Vec::new();
    seeds.extend(replicas.iter().map(|message| [&[0][..], &message.encode()].concat()));
    seeds.extend(feeders.iter().map(|message| [&[1][..], &message.encode()].concat()));
    let records = [&[0, 1, 3][..], b"one", &[0, 0, 0], &[0, 2, 0]].concat();
    for flaw in [0, 252, 253, 254, 255] {
        let flawed = [flaw, 1, 1, 9];
        seeds.push([&[2, 9, 4, 6, 5, 3, 4, 77, 0][..], &records, &flawed].concat());
        seeds.push([&[2, 9, 4, 6, 5, 3, 4, 77, 0][..], &flawed, &records].concat());
    }
    seeds
}
