//! Bytes: the fixed layouts are pinned, the bounds hold.

use bytes::Bytes;
use rep_stream::{
    BatchHeader, ConfigError, Connection, FeederConfig, FeederMessage, Handshake, PeerError,
    RefuseReason, ReplicaConfig, ReplicaMessage, SyncUp, message,
};
use rep_vlsn::{
    Batch, Draft, Flags, GroupId, History, Incarnation, Kind, LogPoint, NodeId, Term, TermStart,
    Vlsn,
};

const CONNECTION: Connection = Connection { term: Term::new(0x0102), epoch: 0x0304 };

fn point(term: u64, vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(term), Vlsn::new(vlsn))
}

fn hex(bytes: &[u8]) -> String {
    bytes
        .chunks(8)
        .map(|word| word.iter().map(|b| format!("{b:02x}")).collect::<String>() + " ")
        .collect()
}

fn handshake() -> Handshake {
    let start = |term, start, node| TermStart {
        term: Term::new(term),
        start: Vlsn::new(start),
        node: NodeId::new(node),
    };
    Handshake {
        connection: CONNECTION,
        group: Some(GroupId([0xAA; 16])),
        node: NodeId::new(3),
        incarnation: Incarnation([0xBB; 16]),
        first: Vlsn::new(1),
        last: point(4, 300),
        synced: Vlsn::new(299),
        dvlsn: Vlsn::new(298),
        history: History::from_starts(vec![start(1, 1, 1), start(4, 200, 2)]).unwrap(),
        attributes: vec![("resp".into(), "h:1".into())],
    }
}

fn sync_up() -> SyncUp {
    SyncUp {
        connection: CONNECTION,
        group: GroupId([0xAA; 16]),
        matchpoint: point(1, 199),
        last: point(4, 300),
        history: handshake().history,
        dvlsn: Vlsn::new(150),
        cvlsn: Vlsn::new(151),
    }
}

fn entries() -> Batch {
    let first = Draft::new(Kind::Data, Flags::default(), b"one").stamp(point(4, 6), 77, 9);
    let crc = first.header_crc();
    let second = Draft::new(Kind::Data, Flags::default(), b"two").stamp(point(4, 7), crc, 9);
    Batch::of(vec![first, second]).unwrap()
}

#[test]
fn every_message_comes_back_as_it_was() {
    let connection = CONNECTION;
    for message in [
        ReplicaMessage::Handshake(handshake()),
        ReplicaMessage::Ready { connection, at: point(2, 9) },
        ReplicaMessage::Ack { connection, synced: point(2, 8), received: point(2, 9) },
    ] {
        assert_eq!(ReplicaMessage::decode(message.encode()), Ok(message.clone()));
        assert_eq!(message.connection(), CONNECTION);
    }
    let (prev, dvlsn, cvlsn) = (point(4, 5), Vlsn::new(3), Vlsn::new(4));
    for message in [
        FeederMessage::SyncUp(sync_up()),
        FeederMessage::NeedsRestore { connection, first: Vlsn::new(9) },
        FeederMessage::Refused { connection, reason: RefuseReason::NotMaster { master: None } },
        FeederMessage::Refused {
            connection,
            reason: RefuseReason::StaleTerm { fence: Term::new(9) },
        },
        FeederMessage::Watermarks { connection, dvlsn, cvlsn },
        FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries: entries() },
    ] {
        assert_eq!(FeederMessage::decode(message.encode()), Ok(message.clone()));
        assert_eq!(message.connection(), CONNECTION);
    }
}

/// These bytes are spoken between versions: a change here is a new version of the layout.
#[test]
fn the_fixed_layouts_are_pinned() {
    let connection = CONNECTION;
    let prefix = "0201000000000000 0403000000000000 ";
    let ack = ReplicaMessage::Ack { connection, synced: point(1, 2), received: point(3, 4) };
    assert_eq!(
        hex(&ack.encode()),
        format!(
            "0301000000000000 {prefix}0100000000000000 0200000000000000 0300000000000000 0400000000000000 "
        )
    );
    let ready = ReplicaMessage::Ready { connection, at: point(1, 2) };
    assert_eq!(
        hex(&ready.encode()),
        format!("0201000000000000 {prefix}0100000000000000 0200000000000000 ")
    );
    let (prev, dvlsn, cvlsn) = (point(5, 6), Vlsn::new(3), Vlsn::new(4));
    let watermarks = FeederMessage::Watermarks { connection, dvlsn, cvlsn };
    assert_eq!(
        hex(&watermarks.encode()),
        format!("1301000000000000 {prefix}0300000000000000 0400000000000000 ")
    );
    let restore = FeederMessage::NeedsRestore { connection, first: Vlsn::new(9) };
    assert_eq!(hex(&restore.encode()), format!("1101000000000000 {prefix}0900000000000000 "));
    let header = BatchHeader { connection, prev, dvlsn, cvlsn };
    assert_eq!(
        hex(&header.encode()),
        format!(
            "1401000000000000 {prefix}0500000000000000 0600000000000000 0300000000000000 0400000000000000 "
        )
    );
    assert_eq!(BatchHeader::decode(&header.encode()), Ok(header));
}

/// The postcard bodies too: fields and reasons are added at the end, or not at all.
#[test]
fn the_postcard_layouts_are_pinned() {
    let connection = CONNECTION;
    let body = |bytes: Bytes| hex(&bytes[24..]).replace(' ', "");
    assert_eq!(
        body(ReplicaMessage::Handshake(handshake()).encode()),
        format!(
            "01{}03{}0104ac02ab02aa020201010104c80102010472657370{}",
            "aa".repeat(16),
            "bb".repeat(16),
            "03683a31"
        )
    );
    assert_eq!(
        body(FeederMessage::SyncUp(sync_up()).encode()),
        format!("{}01c70104ac020201010104c8010296019701", "aa".repeat(16))
    );
    let reasons = [
        (RefuseReason::WrongGroup, "00"),
        (RefuseReason::NotMaster { master: Some(NodeId::new(2)) }, "010102"),
        (RefuseReason::NotMember, "03"),
        (RefuseReason::StaleTerm { fence: Term::new(7) }, "0407"),
        (RefuseReason::HistoryConflict, "05"),
        (RefuseReason::Behind { limit: Vlsn::new(7) }, "0607"),
    ];
    for (reason, bytes) in reasons {
        assert_eq!(body(FeederMessage::Refused { connection, reason }.encode()), bytes);
    }
}

#[test]
fn a_batch_is_a_header_and_slices_of_the_log() {
    let (connection, prev) = (CONNECTION, point(4, 5));
    let (dvlsn, cvlsn) = (Vlsn::new(3), Vlsn::new(4));
    let message = FeederMessage::Batch { connection, prev, dvlsn, cvlsn, entries: entries() };
    let mut frame = BatchHeader { connection, prev, dvlsn, cvlsn }.encode().to_vec();
    entries().records().iter().for_each(|record| frame.extend_from_slice(record.bytes()));
    assert_eq!(message.encode(), Bytes::from(frame));
}

#[test]
fn what_is_no_message_is_refused() {
    let replica = |bytes: &[u8]| ReplicaMessage::decode(Bytes::copy_from_slice(bytes)).unwrap_err();
    let ack =
        ReplicaMessage::Ack { connection: CONNECTION, synced: point(1, 1), received: point(1, 1) }
            .encode();
    assert_eq!(replica(&ack[..9]), PeerError::Length { needed: 24, got: 9 });
    assert_eq!(replica(&ack[..55]), PeerError::Length { needed: 56, got: 55 });
    let mut other = ack.to_vec();
    other[0] = 99;
    assert_eq!(replica(&other), PeerError::UnknownMessage { tag: 99 });
    other[0] = 3;
    other[1] = 2;
    assert_eq!(replica(&other), PeerError::UnknownVersion { version: 2 });
    other[1] = 1;
    other[7] = 1;
    assert_eq!(replica(&other), PeerError::Malformed { what: "reserved bytes are set" });
    let feeders = FeederMessage::SyncUp(sync_up()).encode();
    assert_eq!(replica(&feeders), PeerError::UnknownMessage { tag: 16 });
    let mut longer = feeders.to_vec();
    longer.push(0);
    let error = FeederMessage::decode(longer.into()).unwrap_err();
    assert_eq!(error, PeerError::Malformed { what: "bytes after the message" });
}

#[test]
fn messages_above_their_bound_are_refused_unread() {
    let mut frame = ReplicaMessage::Handshake(handshake()).encode().to_vec();
    frame.resize(message::CONTROL_MESSAGE_BYTES_MAX + 1, 0);
    assert!(matches!(ReplicaMessage::decode(frame.into()), Err(PeerError::TooLong { .. })));
    let header = BatchHeader {
        connection: CONNECTION,
        prev: LogPoint::NULL,
        dvlsn: Vlsn::NULL,
        cvlsn: Vlsn::NULL,
    };
    // Zeros come from the allocator at once; growing by eight million bytes is minutes under miri.
    let mut frame = vec![0; message::BATCH_MESSAGE_BYTES_MAX + 1];
    let header = header.encode();
    frame[..header.len()].copy_from_slice(&header);
    assert!(matches!(FeederMessage::decode(frame.into()), Err(PeerError::TooLong { .. })));
}

#[test]
fn the_longest_history_fits_into_its_message() {
    let starts = (0..rep_stream::handshake::TERM_STARTS_MAX as u64).map(|at| TermStart {
        term: Term::new(u64::MAX - 10_000 + at),
        start: Vlsn::new(u64::MAX - 10_000 + at),
        node: NodeId::new(u32::MAX),
    });
    let history = History::from_starts(starts.collect()).unwrap();
    let newest = *history.starts().last().unwrap();
    let last = LogPoint::new(newest.term, newest.start);
    let attributes = vec![("a".repeat(24), "b".repeat(1000))];
    let message = ReplicaMessage::Handshake(Handshake { history, last, attributes, ..handshake() });
    let frame = message.encode();
    assert!(frame.len() <= message::CONTROL_MESSAGE_BYTES_MAX, "{} bytes", frame.len());
    assert_eq!(ReplicaMessage::decode(frame), Ok(message));
}

#[test]
fn handshakes_that_contradict_themselves_are_refused() {
    let refused = |change: fn(&mut Handshake)| {
        let mut it = handshake();
        change(&mut it);
        ReplicaMessage::decode(ReplicaMessage::Handshake(it).encode()).expect_err("refused")
    };
    refused(|it| it.attributes = vec![("a".into(), "b".repeat(1024))]);
    refused(|it| it.first = Vlsn::NULL);
    refused(|it| it.first = Vlsn::new(302));
    refused(|it| it.synced = Vlsn::new(301));
    refused(|it| it.last = point(3, 300));
    refused(|it| it.last = point(4, 199));
    refused(|it| it.last = point(0, 300));
    refused(|it| it.last = point(4, u64::MAX));
}

/// Such a list cannot be built, only sent: here the second opening repeats the first one's term.
#[test]
fn a_list_of_term_starts_that_is_no_history_is_refused() {
    let mut frame = ReplicaMessage::Handshake(handshake()).encode().to_vec();
    let starts = [2, 1, 1, 1, 4, 0xC8, 1, 2];
    let at = frame.windows(8).position(|bytes| bytes == starts).expect("the history's bytes");
    frame[at + 1] = 4;
    assert!(matches!(ReplicaMessage::decode(frame.into()), Err(PeerError::History(_))));
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let me = || ReplicaConfig::new(NodeId::new(1), Incarnation::default());
    let long = me().with_attributes(vec![("a".into(), "b".repeat(1024))]);
    assert!(matches!(long, Err(ConfigError::AttributesTooLong { got: 1025, .. })));
    let mut replica = me();
    replica.sync_ups_max = 0;
    assert_eq!(replica.check(), Err(ConfigError::Zero { option: "sync_ups_max" }));
    let mut feeder = FeederConfig::default();
    assert_eq!(feeder.check(), Ok(()));
    feeder.batch_bytes = 2 << 20;
    assert!(matches!(feeder.check(), Err(ConfigError::BatchTooLong { .. })));
    feeder.batch_bytes = 0;
    assert_eq!(feeder.check(), Err(ConfigError::Zero { option: "batch_bytes" }));
}
