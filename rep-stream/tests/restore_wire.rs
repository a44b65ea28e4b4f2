//! What is said of a restore: the bytes are pinned, the bounds hold, and whoever says what no correct end says is cut off.

use bytes::Bytes;
use rep_stream::PeerError;
use rep_stream::restore::{
    BEGINNING_BYTES_MAX, CHUNK_BYTES_MAX, ChunkId, Digest16, IDS_PER_MESSAGE_MAX,
    MANIFEST_BYTES_MAX, Manifest, Refusal, RestoreConfig, RestoreSink, RestoreSource,
    SINK_MESSAGE_BYTES_MAX, SOURCE_MESSAGE_BYTES_MAX, SinkMessage, SinkOutput, SourceMessage,
    SourceOutput,
};
use rep_vlsn::{CELL_BYTES_MAX, GroupId, LogPoint, Term, Vlsn};
use std::time::Duration;

const GROUP: GroupId = GroupId([0xAA; 16]);
const NOW: Duration = Duration::from_secs(3);

fn manifest() -> Manifest {
    let point = LogPoint::new(Term::new(2), Vlsn::new(300));
    Manifest::new(GROUP, point, Bytes::from_static(b"entry"), Bytes::from_static(b"past"))
}

fn ids(first: u8, count: u8) -> Vec<ChunkId> {
    (first..first + count).map(|byte| ChunkId([byte; 16])).collect()
}

fn ask(ids: u32) -> SinkMessage {
    SinkMessage::Ask { group: Some(GROUP), at_least: Vlsn::new(0x102), window_bytes: 4_000, ids }
}

fn sink_messages() -> Vec<SinkMessage> {
    vec![
        ask(0x0304_0506),
        SinkMessage::Have { ids: ids(1, 2) },
        SinkMessage::Received { bytes: 0x0708 },
    ]
}

fn source_messages() -> Vec<SourceMessage> {
    vec![
        SourceMessage::Manifest(manifest()),
        SourceMessage::Chunk { given: Some((3, 0x0405)), chunk: Bytes::from_static(b"chunk") },
        SourceMessage::Known { given: None, ids: ids(1, 2) },
        SourceMessage::End { chunks: 7, digest: Digest16([0xDD; 16]) },
        SourceMessage::Wait,
        SourceMessage::Refused(Refusal::NotInSync),
        SourceMessage::Refused(Refusal::LogInDoubt),
        SourceMessage::Refused(Refusal::Busy),
        SourceMessage::Refused(Refusal::Behind { applied: Vlsn::new(300) }),
        SourceMessage::Refused(Refusal::OtherGroup),
        SourceMessage::Refused(Refusal::ShuttingDown),
        SourceMessage::Refused(Refusal::StoreFailed),
    ]
}

#[test]
fn every_message_is_as_it_was() {
    let hex = |bytes: Bytes| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    let one_and_two = "01".repeat(16) + &"02".repeat(16);
    let group = "aa".repeat(16);
    let expected = [
        format!("0101000000000000{group}0201000000000000a00f00000000000006050403"),
        format!("0201000000000000{one_and_two}"),
        "03010000000000000807000000000000".to_owned(),
    ];
    for (message, expected) in sink_messages().into_iter().zip(expected) {
        assert_eq!(hex(message.encode()), expected, "{message:?}");
        assert_eq!(SinkMessage::decode(message.encode()), Ok(message));
    }
    let expected = [
        format!("100100000000000001{group}02ac0205656e747279{}", "0470617374"),
        "1101000000000000030000000000000005040000000000006368756e6b".to_owned(),
        format!("1201000000000000{}{one_and_two}", "00".repeat(16)),
        format!("13010000000000000700000000000000{}", "dd".repeat(16)),
        "1401000000000000".to_owned(),
        "150100000000000000".to_owned(),
        "150100000000000001".to_owned(),
        "150100000000000002".to_owned(),
        "150100000000000003ac02".to_owned(),
        "150100000000000004".to_owned(),
        "150100000000000005".to_owned(),
        "150100000000000006".to_owned(),
    ];
    for (message, expected) in source_messages().into_iter().zip(expected) {
        assert_eq!(hex(message.encode()), expected, "{message:?}");
        assert_eq!(SourceMessage::decode(message.encode()), Ok(message));
    }
}

/// A shorter message is none, but for a shorter chunk and a shorter list of names: those the end's digest tells apart.
#[test]
fn a_message_that_was_cut_is_no_message_or_visibly_another() {
    for message in sink_messages() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            match SinkMessage::decode(bytes.slice(..length)) {
                Err(_) => {}
                Ok(SinkMessage::Have { ids }) => assert_eq!(ids.len() * 16, length - 8),
                Ok(other) => panic!("{message:?} cut is {other:?}"),
            }
        }
    }
    for message in source_messages() {
        let bytes = message.encode();
        for length in 0..bytes.len() {
            match SourceMessage::decode(bytes.slice(..length)) {
                Err(_) => {}
                Ok(SourceMessage::Known { ids, .. }) => assert_eq!(ids.len() * 16, length - 24),
                Ok(SourceMessage::Chunk { chunk, .. }) => assert_eq!(chunk.len(), length - 24),
                Ok(other) => panic!("{message:?} cut is {other:?}"),
            }
        }
    }
}

#[test]
fn bytes_that_do_not_belong_are_found() {
    for encoded in sink_messages().iter().map(SinkMessage::encode) {
        for (at, byte) in [(0, 16), (1, 2), (2, 1), (7, 1)] {
            let mut bytes = encoded.to_vec();
            bytes[at] = byte;
            assert!(SinkMessage::decode(bytes.into()).is_err(), "byte {at}");
        }
        assert!(SinkMessage::decode([&encoded[..], b"x"].concat().into()).is_err());
    }
    for encoded in source_messages().iter().map(SourceMessage::encode) {
        for (at, byte) in [(0, 1), (1, 2), (2, 1), (7, 1)] {
            let mut bytes = encoded.to_vec();
            bytes[at] = byte;
            assert!(SourceMessage::decode(bytes.into()).is_err(), "byte {at}");
        }
        let longer = SourceMessage::decode([&encoded[..], b"x"].concat().into());
        assert!(longer.is_err() || matches!(longer, Ok(SourceMessage::Chunk { .. })));
    }
}

#[test]
fn claims_that_contradict_themselves_are_refused() {
    let malformed = |outcome| assert!(matches!(outcome, Err(PeerError::Malformed { .. })));
    let mut window = ask(0).encode().to_vec();
    window[32..40].fill(0);
    malformed(SinkMessage::decode(window.into()));
    for ids in [vec![], ids(1, 2).into_iter().rev().collect(), [ids(1, 1), ids(1, 1)].concat()] {
        malformed(SinkMessage::decode(SinkMessage::Have { ids }.encode()));
    }
    let malformed = |outcome| assert!(matches!(outcome, Err(PeerError::Malformed { .. })));
    let mut given = source_messages()[1].encode().to_vec();
    given[9] = 0x05;
    malformed(SourceMessage::decode(given.into()));
    malformed(SourceMessage::decode(SourceMessage::Known { given: None, ids: vec![] }.encode()));
    let manifests: [fn(&mut Manifest); 4] = [
        |it| it.point = LogPoint::NULL,
        |it| it.point.vlsn = Vlsn::new(u64::MAX),
        |it| it.beginning = Bytes::new(),
        |it| it.past = vec![0; CELL_BYTES_MAX + 1].into(),
    ];
    for spoil in manifests {
        let mut manifest = manifest();
        spoil(&mut manifest);
        malformed(SourceMessage::decode(SourceMessage::Manifest(manifest).encode()));
    }
}

#[test]
fn the_longest_messages_are_taken_and_none_beyond() {
    let many: Vec<_> = (0..IDS_PER_MESSAGE_MAX as u128).map(|n| ChunkId(n.to_be_bytes())).collect();
    let have = SinkMessage::Have { ids: many.clone() };
    assert_eq!(have.encode().len(), SINK_MESSAGE_BYTES_MAX);
    assert_eq!(SinkMessage::decode(have.encode()), Ok(have));
    let beyond = SinkMessage::decode(vec![2; SINK_MESSAGE_BYTES_MAX + 1].into());
    assert!(matches!(beyond, Err(PeerError::TooLong { .. })));

    let known = SourceMessage::Known { given: None, ids: many.clone() };
    assert_eq!(SourceMessage::decode(known.encode()), Ok(known));
    let ids = [many, ids(0xfe, 1)].concat();
    assert!(SourceMessage::decode(SourceMessage::Known { given: None, ids }.encode()).is_err());
    let chunk = SourceMessage::Chunk { given: None, chunk: vec![1; CHUNK_BYTES_MAX].into() };
    assert_eq!(chunk.encode().len(), SOURCE_MESSAGE_BYTES_MAX);
    assert_eq!(SourceMessage::decode(chunk.encode()), Ok(chunk));
    let beyond = SourceMessage::decode(vec![17; SOURCE_MESSAGE_BYTES_MAX + 1].into());
    assert!(matches!(beyond, Err(PeerError::TooLong { .. })));

    let mut longest = manifest();
    longest.beginning = vec![1; BEGINNING_BYTES_MAX].into();
    longest.past = vec![2; CELL_BYTES_MAX].into();
    longest.point = LogPoint::new(Term::new(u64::MAX), Vlsn::new(u64::MAX - 1));
    let encoded = longest.encode();
    assert!(encoded.len() <= MANIFEST_BYTES_MAX);
    assert_eq!(Manifest::decode(encoded), Ok(longest.clone()));
    longest.beginning = vec![1; BEGINNING_BYTES_MAX + 1].into();
    assert!(Manifest::decode(longest.encode()).is_err());
}

fn config() -> RestoreConfig {
    let mut config = RestoreConfig::default();
    (config.window_bytes, config.ids_max) = (300, 4);
    config
}

/// A source that has heard these messages and done what it was to do: its store gives chunks of 100 bytes for ever.
fn source(messages: &[SinkMessage]) -> (RestoreSource, Result<(), PeerError>) {
    let mut source = RestoreSource::new(config(), GROUP, NOW);
    let mut outcome = Ok(());
    for message in messages {
        outcome = outcome.and_then(|()| source.handle_message(NOW, message.clone()));
        let mut reads = 0_u8;
        while let Some(output) = source.poll_output() {
            match output {
                SourceOutput::Open { .. } => source.handle_opened(NOW, manifest()),
                SourceOutput::ReadChunk => {
                    reads += 1;
                    source.handle_chunk(NOW, Some(vec![reads; 100].into()), None);
                }
                _ => {}
            }
        }
        source.invariants();
    }
    (source, outcome)
}

#[test]
fn a_sink_that_says_what_no_sink_says_is_cut_off() {
    let received = |bytes| SinkMessage::Received { bytes };
    let have = |first, count| SinkMessage::Have { ids: ids(first, count) };
    let sound = [&[ask(0)][..], &[ask(0), received(124)], &[ask(2), have(1, 2), received(0)]];
    for messages in sound {
        let (source, outcome) = source(messages);
        assert!(outcome.is_ok() && !source.is_closed(), "{messages:?}: {outcome:?}");
    }
    let endless = SinkMessage::Have { ids: Vec::new() };
    let unsound = [
        &[have(1, 1)][..],
        &[received(0)],
        &[ask(0), ask(0)],
        &[ask(0), have(1, 1)],
        &[ask(1), received(0)],
        &[ask(5)],
        &[ask(2), have(1, 3)],
        &[ask(2), endless],
        &[ask(4), have(1, 2), have(2, 2)],
        &[ask(4), have(3, 2), have(1, 2)],
        &[ask(0), received(249)],
    ];
    for messages in unsound {
        let (mut source, outcome) = source(messages);
        assert!(outcome.is_err() && source.is_closed(), "{messages:?}");
        assert_eq!(source.handle_message(NOW, ask(0)), Ok(()), "it has stopped");
        assert_eq!((source.poll_output(), source.next_timeout()), (None, None));
    }
}

/// Two chunks of 100 bytes fit into a window of 300; an acknowledgement that goes back gives no room.
#[test]
fn an_acknowledgement_that_goes_back_opens_no_window() {
    let received = |bytes| SinkMessage::Received { bytes };
    let (source, outcome) = source(&[ask(0), received(248), received(100), received(0)]);
    assert_eq!((outcome, source.in_flight_bytes(), source.stats().chunks), (Ok(()), 248, 4));
}

/// A sink that has the chunks 1 to 3 and has heard these messages; of what it was to keep nothing is kept.
fn sink(messages: &[SourceMessage]) -> (RestoreSink, Result<(), PeerError>) {
    let mut sink = RestoreSink::new(config(), GROUP, Vlsn::new(20), ids(1, 3), NOW);
    let mut outcome = Ok(());
    for message in messages {
        while let Some(output) = sink.poll_output() {
            assert!(!matches!(output, SinkOutput::Complete { .. }), "nothing was kept");
        }
        outcome = outcome.and_then(|()| sink.handle_message(NOW, message.clone()));
    }
    (sink, outcome)
}

#[test]
fn a_source_that_says_what_no_source_says_is_cut_off() {
    let begin = || SourceMessage::Manifest(manifest());
    let chunk = |bytes: usize| SourceMessage::Chunk { given: None, chunk: vec![9; bytes].into() };
    let known = |first, count| SourceMessage::Known { given: None, ids: ids(first, count) };
    let end_of = |ids: &[ChunkId]| {
        let names: Vec<u8> = ids.iter().flat_map(|id| id.0).collect();
        SourceMessage::End { chunks: ids.len() as u64, digest: Digest16::of(&names) }
    };
    let one = [ChunkId::of(&[9; 50])];
    let wait = SourceMessage::Wait;
    let sound = [
        &[
            wait.clone(),
            begin(),
            wait.clone(),
            chunk(50),
            known(1, 3),
            end_of(&[&one[..], &ids(1, 3)].concat()),
            wait,
        ][..],
        &[begin(), chunk(1_000)],
        &[begin(), chunk(100), chunk(100)],
        &[begin(), known(2, 1), known(2, 1), known(1, 1)],
    ];
    for messages in sound {
        let (sink, outcome) = sink(messages);
        assert!(outcome.is_ok() && !sink.is_closed(), "{messages:?}: {outcome:?}");
        sink.invariants();
    }
    let wrong = |chunks, digest| SourceMessage::End { chunks, digest };
    let SourceMessage::End { digest, .. } = end_of(&one) else { panic!("an end") };
    let unsound = [
        &[chunk(50)][..],
        &[known(1, 1)],
        &[end_of(&[])],
        &[begin(), begin()],
        &[begin(), chunk(50), begin()],
        &[begin(), chunk(50), end_of(&[])],
        &[begin(), chunk(50), wrong(2, digest)],
        &[begin(), chunk(50), wrong(1, Digest16([0; 16]))],
        &[begin(), known(1, 2), end_of(&[ids(2, 1), ids(1, 1)].concat())],
        &[begin(), chunk(50), end_of(&one), chunk(50)],
        &[begin(), chunk(50), end_of(&one), end_of(&one)],
        &[begin(), known(4, 1)],
        &[begin(), chunk(100), chunk(153)],
        &[begin(), chunk(1_000), chunk(0)],
        &[begin(), chunk(CHUNK_BYTES_MAX + 1)],
        &[begin(), known(1, 3), known(1, 2)],
        &[begin(), known(1, 3), chunk(1), chunk(1)],
    ];
    for messages in unsound {
        let (mut sink, outcome) = sink(messages);
        assert!(outcome.is_err() && sink.is_closed(), "{messages:?}");
        assert_eq!(sink.handle_message(NOW, begin()), Ok(()), "it has stopped");
        sink.handle_kept(NOW);
        while let Some(output) = sink.poll_output() {
            assert!(matches!(output, SinkOutput::Keep { .. } | SinkOutput::Send(_)), "{output:?}");
        }
        assert_eq!(sink.next_timeout(), None);
    }
}

/// A source may refuse before the sink has told all that it has, and the sink stops telling.
#[test]
fn a_refusal_is_heard_at_any_time() {
    let mut config = config();
    config.ids_max = 10_000;
    let have = (0..10_000_u128).map(|n| ChunkId(n.to_be_bytes())).collect();
    let mut sink = RestoreSink::new(config, GROUP, Vlsn::new(20), have, NOW);
    assert!(matches!(
        sink.poll_output(),
        Some(SinkOutput::Send(SinkMessage::Ask { ids: 10_000, .. }))
    ));
    assert!(matches!(sink.poll_output(), Some(SinkOutput::Send(SinkMessage::Have { .. }))));
    sink.handle_message(NOW, SourceMessage::Refused(Refusal::Busy)).unwrap();
    assert!(matches!(sink.poll_output(), Some(SinkOutput::Close(_))));
    assert_eq!((sink.poll_output(), sink.is_closed()), (None, true));
}
