//! A restore with something wrong about it: a source that says anything, a sink that says anything, or a link that spoils
//! what two sound ends say. No end is hurt by it, and what is complete is what the source has.

use crate::kit::Input;
use bytes::Bytes;
use rep_stream::restore::{
    ChunkId, Digest16, Manifest, Refusal, RestoreConfig, RestoreSink, RestoreSource, SinkMessage,
    SinkOutput, SourceMessage, SourceOutput, Staging,
};
use rep_vlsn::{GroupId, LogPoint, MemDisk, Term, Vlsn};
use std::collections::VecDeque;
use std::time::Duration;

const GROUP: GroupId = GroupId([7; 16]);
/// Events of one drama, at most.
const EVENTS_MAX: usize = 400;
const WINDOW_BYTES: u64 = 400;
const IDS_MAX: u32 = 12;

pub(crate) fn body(data: &[u8]) {
    let mut input = Input::new(data);
    match input.below(3) {
        0 => against_a_source(&mut input),
        1 => against_a_sink(&mut input),
        _ => over_a_link(&mut input),
    }
}

fn config() -> RestoreConfig {
    let mut config = RestoreConfig::default();
    (config.window_bytes, config.ids_max) = (WINDOW_BYTES, IDS_MAX);
    config
}

fn manifest(vlsn: u64) -> Manifest {
    let point = LogPoint::new(Term::new(1), Vlsn::new(vlsn));
    Manifest::new(GROUP, point, Bytes::from("entry"), Bytes::from("past"))
}

/// One of a few chunks, so that they come again.
fn chunk(input: &mut Input<'_>) -> Bytes {
    let which = input.byte();
    vec![which % 8; usize::from(which)].into()
}

fn some_ids(input: &mut Input<'_>) -> Vec<ChunkId> {
    (0..input.below(5)).map(|_| ChunkId::of(&chunk(input))).collect()
}

/// A sink whose source is the input. What it calls complete is what it was told, in order, and it has all of it.
fn against_a_source(input: &mut Input<'_>) {
    let mut staging = Staging::open(MemDisk::new()).expect("it is new");
    for _ in 0..input.below(4) {
        let chunk = chunk(input);
        staging.keep(ChunkId::of(&chunk), &chunk).expect("there is space");
    }
    let (mut now, have) = (Duration::ZERO, staging.ids().expect("the disk is well"));
    let mut sink = RestoreSink::new(config(), GROUP, Vlsn::new(5), have, now);
    let (mut told, mut keeping) = (Vec::new(), VecDeque::new());
    for _ in 0..EVENTS_MAX {
        while let Some(output) = sink.poll_output() {
            match output {
                SinkOutput::Keep { id, chunk } => keeping.push_back((id, chunk)),
                SinkOutput::Complete { manifest, order } => {
                    assert_eq!(order, told);
                    staging.complete(&manifest, &order).expect("it was all kept");
                }
                SinkOutput::Send(_) | SinkOutput::Close(_) => {}
                other => panic!("{other:?}"),
            }
        }
        sink.invariants();
        if input.is_empty() || sink.is_closed() {
            break;
        }
        match input.below(8) {
            0 => {
                if let Some((id, chunk)) = keeping.pop_front() {
                    staging.keep(id, &chunk).expect("there is space");
                    sink.handle_kept(now);
                }
            }
            1 => {
                now += Duration::from_secs(input.number() % 20);
                sink.handle_timeout(now);
            }
            _ => {
                let message = source_message(input, &told);
                let ids = match &message {
                    SourceMessage::Chunk { chunk, .. } => vec![ChunkId::of(chunk)],
                    SourceMessage::Known { ids, .. } => ids.clone(),
                    _ => Vec::new(),
                };
                told.extend(ids);
                if sink.handle_message(now, message).is_err() {
                    assert!(sink.is_closed());
                }
            }
        }
    }
    let Some(pending) = staging.pending().expect("the disk is well") else { return };
    assert!(pending.manifest.point.vlsn >= Vlsn::new(5) && pending.manifest.group == GROUP);
    assert!(pending.order.len() <= IDS_MAX as usize);
    assert!(staging.chunks(&pending.order).all(|chunk| chunk.is_ok()));
}

/// A message of any kind, mostly one that fits.
fn source_message(input: &mut Input<'_>, told: &[ChunkId]) -> SourceMessage {
    let given = input.is().then(|| (1, input.number().max(1)));
    match input.below(9) {
        0 => SourceMessage::Manifest(manifest(input.number())),
        1..=3 => SourceMessage::Chunk { given, chunk: chunk(input) },
        4 => SourceMessage::Known { given, ids: some_ids(input) },
        5 => SourceMessage::End { chunks: input.number(), digest: Digest16(input.array()) },
        6 => {
            let names: Vec<u8> = told.iter().flat_map(|id| id.0).collect();
            SourceMessage::End { chunks: told.len() as u64, digest: Digest16::of(&names) }
        }
        7 => SourceMessage::Wait,
        _ => SourceMessage::Refused(Refusal::Busy),
    }
}

/// A source whose sink is the input. What it sends unacknowledged stays within the window.
fn against_a_sink(input: &mut Input<'_>) {
    let mut paced = config();
    paced.bytes_per_s = input.is().then_some(1 << 20);
    let mut now = Duration::ZERO;
    let mut source = RestoreSource::new(paced, GROUP, now);
    let (mut sent, mut received, mut reading) = (0_u64, 0_u64, false);
    for _ in 0..EVENTS_MAX {
        while let Some(output) = source.poll_output() {
            match output {
                SourceOutput::Open { .. } => source.handle_opened(now, manifest(input.number())),
                SourceOutput::ReadChunk => reading = true,
                SourceOutput::Send(message) => {
                    let bytes = message.window_bytes();
                    sent += bytes;
                    let in_flight = sent - received;
                    assert!(in_flight <= WINDOW_BYTES || in_flight == bytes || bytes == 0);
                }
                SourceOutput::Close(_) => assert!(source.is_closed()),
                other => panic!("{other:?}"),
            }
        }
        source.invariants();
        if input.is_empty() || source.is_closed() {
            return;
        }
        match input.below(6) {
            0 | 1 if std::mem::take(&mut reading) => {
                let chunk = (input.below(16) > 0).then(|| chunk(input));
                source.handle_chunk(now, chunk, None);
            }
            2 => {
                now += Duration::from_secs(input.number() % 20);
                source.handle_timeout(now);
            }
            3 => {
                received = received.saturating_add(input.number()).min(sent);
                let message = SinkMessage::Received { bytes: received };
                if source.handle_message(now, message).is_err() {
                    assert!(source.is_closed());
                }
            }
            _ => drop(source.handle_message(now, sink_message(input))),
        }
    }
}

fn sink_message(input: &mut Input<'_>) -> SinkMessage {
    match input.below(3) {
        0 => {
            let (at_least, window_bytes) = (Vlsn::new(input.number()), 1 + input.number() / 2);
            SinkMessage::Ask {
                group: Some(GROUP),
                at_least,
                window_bytes,
                ids: input.below(5) as u32,
            }
        }
        1 => SinkMessage::Have { ids: some_ids(input) },
        // Never more than was sent; the other side of that is in the tests of the wire.
        _ => SinkMessage::Received { bytes: 0 },
    }
}

/// Two sound ends; on the way a message is spoilt, lost, doubled or late, but for the manifest, whose parts have checksums
/// of their own.
fn over_a_link(input: &mut Input<'_>) {
    let state: Vec<Bytes> = (0..input.below(IDS_MAX as usize)).map(|_| chunk(input)).collect();
    let mut staging = Staging::open(MemDisk::new()).expect("it is new");
    for chunk in state.iter().take(input.below(4)) {
        staging.keep(ChunkId::of(chunk), chunk).expect("there is space");
    }
    let (mut now, have) = (Duration::ZERO, staging.ids().expect("the disk is well"));
    let mut source = RestoreSource::new(config(), GROUP, now);
    let mut sink = RestoreSink::new(config(), GROUP, Vlsn::new(5), have, now);
    let (mut to_source, mut to_sink) = (VecDeque::<Bytes>::new(), VecDeque::<Bytes>::new());
    let mut chunks = state.iter();
    let mut complete = false;
    for _ in 0..EVENTS_MAX {
        while let Some(output) = source.poll_output() {
            match output {
                SourceOutput::Open { .. } => source.handle_opened(now, manifest(9)),
                SourceOutput::ReadChunk => source.handle_chunk(now, chunks.next().cloned(), None),
                SourceOutput::Send(message) => {
                    let is_plain = matches!(message, SourceMessage::Manifest(_));
                    carry(&mut to_sink, message.encode(), is_plain, input);
                }
                _ => {}
            }
        }
        while let Some(output) = sink.poll_output() {
            match output {
                SinkOutput::Send(message) => carry(&mut to_source, message.encode(), false, input),
                SinkOutput::Keep { id, chunk } => {
                    staging.keep(id, &chunk).expect("there is space");
                    sink.handle_kept(now);
                }
                SinkOutput::Complete { manifest, order } => {
                    staging.complete(&manifest, &order).expect("it was all kept");
                    complete = true;
                }
                _ => {}
            }
        }
        let heard = match (to_source.pop_front(), to_sink.pop_front()) {
            (None, None) => {
                now += Duration::from_secs(4);
                source.handle_timeout(now);
                sink.handle_timeout(now);
                Ok(())
            }
            (to_source, to_sink) => {
                let asked = to_source.map_or(Ok(()), |bytes| {
                    SinkMessage::decode(bytes).and_then(|it| source.handle_message(now, it))
                });
                asked.and(to_sink.map_or(Ok(()), |bytes| {
                    SourceMessage::decode(bytes).and_then(|it| sink.handle_message(now, it))
                }))
            }
        };
        source.invariants();
        sink.invariants();
        if heard.is_err() || (sink.is_closed() && sink.poll_output().is_none()) {
            break;
        }
    }
    if complete {
        let pending = staging.pending().expect("the disk is well").expect("it is complete");
        let chunks: Vec<Bytes> =
            staging.chunks(&pending.order).map(|chunk| chunk.expect("it is whole")).collect();
        assert_eq!((pending.manifest, chunks), (manifest(9), state));
    }
}

fn carry(link: &mut VecDeque<Bytes>, message: Bytes, is_plain: bool, input: &mut Input<'_>) {
    match input.byte() {
        255 => {}
        254 => link.extend([message.clone(), message]),
        253 => link.push_front(message),
        252 if !is_plain => {
            let mut spoilt = message.to_vec();
            let at = usize::from(input.word()) % spoilt.len();
            spoilt[at] ^= 1 << input.below(8);
            link.push_back(spoilt.into());
        }
        251 if !is_plain => link.push_back(message.slice(..message.len() - 1)),
        _ => link.push_back(message),
    }
}

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let quiet = |count: usize| vec![0; count];
    let mut seeds = vec![
        // A source: its manifest, three chunks, one kept after the other, an end that is right.
        [
            &[0, 1, 200, 2, 0, 0, 9][..],
            &[2, 0, 1, 40, 0, 2, 0, 2, 60, 0, 2, 1, 1, 3, 3, 0, 2, 0, 6],
        ]
        .concat(),
        // And one that is wrong.
        [&[0, 0, 2, 0, 0, 9, 2, 0, 1, 40, 0, 2, 0, 5, 1][..], &[3; 16]].concat(),
        // A sink: a question, an acknowledgement of each of two chunks and of the end.
        [&[1, 0, 4, 0, 2, 200, 0, 30][..], &[0, 1, 50, 3, 74, 0, 1, 60, 3, 84, 0, 0, 3, 32]]
            .concat(),
        // At a pace, so that the clock has to move on.
        [&[1, 1, 4, 0, 2, 250, 0, 30][..], &[0, 1, 90, 0, 1, 9, 2, 1, 0, 0, 2, 9, 3, 250]].concat(),
    ];
    // A sink that has two chunks, and says so in their order.
    let mut have = [50, 60];
    have.sort_by_key(|which: &u8| ChunkId::of(&vec![which % 8; usize::from(*which)]));
    let question = [1, 0, 4, 0, 2, 200, 2, 4, 1, 2, have[0], have[1], 30];
    seeds
        .push([&question[..], &[0, 1, 50, 0, 1, 70, 3, 40, 3, 94, 0, 1, 60, 0, 0, 3, 72]].concat());
    // Links: a sound one, then one on which a message of each place is lost, doubled, overtaking, spoilt or cut.
    let state = [2, 7, 40, 90, 130, 200, 3, 11, 250, 2];
    seeds.push([&state[..], &quiet(40)].concat());
    for trouble in 251..=255 {
        for place in 0..12 {
            let (before, after) = (quiet(place), quiet(20));
            seeds.push([&state[..], &before, &[trouble, 30, 0, 3], &after].concat());
        }
    }
    seeds
}
