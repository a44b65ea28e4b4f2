//! Source and sink against each other: whatever happens on the way, what is complete is what the source had, and nothing
//! is sent twice for it.

#[path = "support/restoring.rs"]
mod restoring;

use bytes::Bytes;
use rep_stream::PeerError;
use rep_stream::restore::{
    BYTES_PER_S_MIN, ChunkId, Manifest, RATE_BURST, Refusal, RestoreConfig, RestoreEnd,
    RestoreSink, RestoreSource, SinkMessage, SinkOutput, SourceMessage, SourceOutput, Staging,
};
use rep_vlsn::{GroupId, MemDisk, Vlsn};
use restoring::{Ended, GROUP, Rig, Rng, State, Weather, assert_holds, point, restore, small};
use std::time::Duration;

const MS: Duration = Duration::from_millis(1);

fn staging() -> Staging<MemDisk> {
    Staging::open(MemDisk::new()).unwrap()
}

fn done(ended: &Ended) -> bool {
    ended.complete && ended.sink == Some(RestoreEnd::Done)
}

#[test]
fn a_state_arrives_whole_whatever_the_order_of_events() {
    for seed in 0..60 {
        let mut staging = staging();
        let state = State::new(&mut Rng(seed), 30, seed % 40);
        let ended = restore(&state, &mut staging, Weather { seed, ..Weather::default() });
        assert!(done(&ended), "{ended:?}");
        assert_eq!(ended.source, Some(RestoreEnd::Done));
        assert_eq!((ended.came, ended.known), (state.chunks.len() as u64, 0));
        assert_holds(&mut staging, &state);
    }
}

/// The link breaks after the first message, after the second, and so on; each time the rest comes over another one. Every
/// chunk that was kept is named, not sent.
#[test]
fn wherever_the_connection_breaks_the_rest_is_fetched_and_nothing_twice() {
    let state = State::new(&mut Rng(1), 30, 25);
    let whole = restore(&state, &mut staging(), Weather::default());
    for breaks_after in 0..whole.messages {
        let mut staging = staging();
        let weather = Weather {
            seed: breaks_after as u64,
            breaks_after: Some(breaks_after),
            ..Weather::default()
        };
        let first = restore(&state, &mut staging, weather);
        let kept = staging.ids().unwrap().len() as u64;
        let mut came = 0;
        if !first.complete {
            let second = restore(&state, &mut staging, Weather::default());
            assert!(done(&second), "{second:?}");
            assert_eq!(second.known, kept);
            came = second.came;
        }
        assert_eq!(kept + came, state.chunks.len() as u64);
        assert_holds(&mut staging, &state);
    }
}

/// Break after break, and each time it is another source, whose state has moved on: only what differs is sent.
#[test]
fn a_restore_that_is_broken_off_again_and_again_comes_to_its_end() {
    for seed in 0..15 {
        let (mut rng, disk) = (Rng(900 + seed), MemDisk::new());
        let mut state = State::new(&mut rng, 30, 120);
        let (mut came, mut attempts, mut changed) = (0, 0, 0);
        loop {
            // The sink's process may have been restarted in the meantime.
            let mut staging = Staging::open(disk.clone()).unwrap();
            let breaks_after = Some(20 + rng.below(60) as usize);
            let ended =
                restore(&state, &mut staging, Weather { seed, breaks_after, ..Weather::default() });
            came += ended.came;
            attempts += 1;
            assert!(attempts < 60, "no progress");
            if ended.complete {
                assert_holds(&mut staging, &state);
                break;
            }
            let next = state.later(&mut rng, 40);
            let before = state.ids();
            changed += next.ids().iter().filter(|id| !before.contains(id)).count() as u64;
            state = next;
        }
        assert!(attempts > 2, "it was broken off");
        // What was on its way when it broke, at most a window of small chunks, may come twice.
        assert!(came <= 121 + changed + attempts * 40, "{came} chunks, {changed} changed");
    }
}

/// Messages vanish and the link goes on: the end is a refusal to believe, or silence; never a wrong copy.
#[test]
fn a_link_that_loses_messages_makes_no_wrong_copy() {
    let (mut whole, mut refused, mut silent) = (0, 0, 0);
    for seed in 0..300 {
        let mut staging = staging();
        let state = State::new(&mut Rng(seed), 30, 20);
        let weather = Weather { seed, loses_one_of: Some(40), ..Weather::default() };
        let ended = restore(&state, &mut staging, weather);
        if ended.complete {
            assert_holds(&mut staging, &state);
            whole += 1;
        } else if ended.error.is_some() {
            refused += 1;
        } else {
            assert!(matches!(ended.sink, Some(RestoreEnd::TimedOut { .. })), "{ended:?}");
            silent += 1;
        }
        assert!(staging.ids().unwrap().iter().all(|id| state.ids().contains(id)));
    }
    assert!(whole > 20 && refused > 20 && silent > 20, "{whole} {refused} {silent}");
}

#[test]
fn what_is_in_flight_stays_within_the_smaller_window() {
    let state = State::new(&mut Rng(3), 30, 200);
    let wide = RestoreConfig::default();
    for configs in [(small(), wide.clone()), (wide, small())] {
        let mut staging = staging();
        let ended = Rig::new(configs, 1, &state, &mut staging, Weather::default()).run();
        assert!(done(&ended));
        // One chunk may be larger than the window: it is alone then, which the rig asserts.
        assert!(ended.in_flight_max > 1_500 && ended.in_flight_max < 6_100, "{ended:?}");
    }
}

/// In any stretch of time no more goes out than the pace, a burst and one message.
#[test]
fn the_pace_is_kept_and_used() {
    let mut config = RestoreConfig::default();
    config.bytes_per_s = Some(BYTES_PER_S_MIN);
    let chunks = (0..60).map(|byte| Bytes::from(vec![byte; 9_000])).collect();
    let state = State { point: point(1, 30), chunks };
    let mut staging = staging();
    let ended = Rig::new((config, small()), 1, &state, &mut staging, Weather::default()).run();
    assert!(done(&ended), "{ended:?}");
    for (at, (from, _)) in ended.sends.iter().enumerate() {
        let mut bytes = 0;
        for (to, more) in &ended.sends[at..] {
            bytes += more;
            let allowed = (*to - *from + RATE_BURST).as_secs_f64() * BYTES_PER_S_MIN as f64;
            assert!(bytes as f64 <= allowed + 9_025.0, "{bytes} bytes from {from:?} to {to:?}");
        }
    }
    let needed = 540_000.0 / BYTES_PER_S_MIN as f64;
    assert!(ended.took.as_secs_f64() < needed + 1.0, "{:?}", ended.took);
}

/// A chunk of eight megabytes at the slowest pace takes two minutes, and the sink gives up after ten seconds of silence.
#[test]
fn a_source_that_must_not_send_yet_says_that_it_is_there() {
    let mut config = RestoreConfig::default();
    config.bytes_per_s = Some(BYTES_PER_S_MIN);
    let chunks = vec![Bytes::from(vec![1; 8 << 20]), Bytes::from("more")];
    let state = State { point: point(1, 30), chunks };
    let mut staging = staging();
    let ended =
        Rig::new((config.clone(), config), 1, &state, &mut staging, Weather::default()).run();
    assert!(done(&ended), "{ended:?}");
    assert!(ended.took > Duration::from_secs(120) && ended.waits > 30, "{ended:?}");
}

#[test]
fn a_source_that_falls_silent_is_given_up_after_the_timeout_and_not_before() {
    let state = State::new(&mut Rng(4), 30, 20);
    let mut staging = staging();
    let weather = Weather { falls_silent_at: Some(9), ..Weather::default() };
    let ended = restore(&state, &mut staging, weather);
    let after = RestoreConfig::default().progress_timeout;
    assert_eq!(ended.sink, Some(RestoreEnd::TimedOut { what: "awaiting chunks", after }));
    assert_eq!(ended.took, after);
    assert_eq!(staging.ids().unwrap().len(), 9);
}

/// While the sink's disk is busy it is not the source's turn, and a long list of chunks costs no more than its names.
#[test]
fn a_slow_disk_of_the_sink_is_no_fault_of_the_source() {
    let config = RestoreConfig::default();
    let mut sink = RestoreSink::new(config.clone(), GROUP, Vlsn::new(1), Vec::new(), MS);
    while sink.poll_output().is_some() {}
    let state = State::new(&mut Rng(5), 30, 3);
    sink.handle_message(MS, SourceMessage::Manifest(state.manifest())).unwrap();
    let chunk = state.chunks[0].clone();
    sink.handle_message(MS, SourceMessage::Chunk { given: None, chunk }).unwrap();
    assert_eq!(sink.next_timeout(), None);
    sink.handle_timeout(MS + config.progress_timeout * 9);
    sink.handle_kept(MS + config.progress_timeout * 9);
    assert_eq!(sink.next_timeout(), Some((MS + config.progress_timeout * 10, "awaiting chunks")));
    assert!(!sink.is_closed());
}

#[test]
fn a_sink_that_falls_silent_is_given_up() {
    let (config, after) = (small(), small().progress_timeout);
    let mut source = RestoreSource::new(config, GROUP, MS);
    source.handle_timeout(after);
    assert!(!source.is_closed(), "not yet");
    source.handle_timeout(after + MS);
    let what = "awaiting a question";
    let end = RestoreEnd::TimedOut { what, after };
    assert_eq!(source.poll_output(), Some(SourceOutput::Close(end)));
    assert_eq!(source.next_timeout(), None);

    let mut source = giving(&[1_900, 90, 90]);
    let (at, what) = source.next_timeout().unwrap();
    assert_eq!((at, what), (MS + after, "giving a copy"));
    source.handle_message(MS * 5, SinkMessage::Received { bytes: 1_924 }).unwrap();
    assert_eq!(source.in_flight_bytes(), 114);
    assert_eq!(source.next_timeout().unwrap().0, MS * 5 + after, "any progress counts");
    source.handle_timeout(MS * 5 + after);
    assert!(source.is_closed());
}

/// A source with the small window that was given chunks of these lengths, as far as it asked for them.
fn giving(lengths: &[usize]) -> RestoreSource {
    let mut source = asked(&[]);
    let state = State { point: point(1, 30), chunks: Vec::new() };
    source.handle_opened(MS, state.manifest());
    let mut lengths = lengths.iter();
    while let Some(output) = source.poll_output() {
        if output == SourceOutput::ReadChunk {
            let chunk = lengths.next().map(|length| Bytes::from(vec![*length as u8; *length]));
            source.handle_chunk(MS, chunk, None);
        }
    }
    source
}

/// A source that knows what its sink has, and is opening a snapshot.
fn asked(have: &[ChunkId]) -> RestoreSource {
    let mut source = RestoreSource::new(small(), GROUP, MS);
    let (at_least, ids) = (Vlsn::new(20), have.len() as u32);
    let ask = SinkMessage::Ask { group: Some(GROUP), at_least, window_bytes: 1 << 20, ids };
    source.handle_message(MS, ask).unwrap();
    if !have.is_empty() {
        source.handle_message(MS, SinkMessage::Have { ids: have.to_vec() }).unwrap();
    }
    assert_eq!(source.poll_output(), Some(SourceOutput::Open { at_least }));
    source
}

#[test]
fn each_refusal_is_told_and_ends_both_ends() {
    let state = State::new(&mut Rng(6), 30, 20);
    for refusal in [
        Refusal::NotInSync,
        Refusal::LogInDoubt,
        Refusal::Busy,
        Refusal::Behind { applied: Vlsn::new(3) },
        Refusal::ShuttingDown,
        Refusal::StoreFailed,
    ] {
        for at in [0, 7] {
            let mut staging = staging();
            let weather = Weather { refuses_at: Some((at, refusal)), ..Weather::default() };
            let ended = restore(&state, &mut staging, weather);
            let end = Some(RestoreEnd::Refused(refusal));
            assert_eq!((ended.source, ended.sink), (end, end));
            assert_eq!(staging.ids().unwrap().len(), at, "what came before is kept");
        }
    }
}

#[test]
fn another_group_and_an_older_state_are_refused_at_both_ends() {
    let state = State::new(&mut Rng(7), 30, 20);
    let mut staging = staging();
    let ended = Rig::new((small(), small()), 31, &state, &mut staging, Weather::default()).run();
    let applied = Vlsn::new(30);
    assert_eq!(ended.sink, Some(RestoreEnd::Refused(Refusal::Behind { applied })));

    let mut source = RestoreSource::new(small(), GroupId([9; 16]), MS);
    let (at_least, window_bytes, ids) = (Vlsn::new(1), 9, 0);
    let ask = SinkMessage::Ask { group: Some(GROUP), at_least, window_bytes, ids };
    source.handle_message(MS, ask).unwrap();
    let refused = SourceMessage::Refused(Refusal::OtherGroup);
    assert_eq!(source.poll_output(), Some(SourceOutput::Send(refused)));

    let sink = |at_least| {
        let mut sink = RestoreSink::new(small(), GROUP, Vlsn::new(at_least), Vec::new(), MS);
        while sink.poll_output().is_some() {}
        sink
    };
    let old = sink(31).handle_message(MS, SourceMessage::Manifest(state.manifest()));
    assert!(matches!(old, Err(PeerError::CopyTooOld { .. })), "{old:?}");
    let mut foreign = state.manifest();
    foreign.group = GroupId([9; 16]);
    let foreign = sink(1).handle_message(MS, SourceMessage::Manifest(foreign));
    assert!(matches!(foreign, Err(PeerError::WrongGroup { .. })), "{foreign:?}");
}

/// A member that supported the founding of its group, and crashed before the first entry was on its disk.
#[test]
fn a_sink_that_knows_no_group_takes_that_of_its_source() {
    let state = State::new(&mut Rng(9), 30, 20);
    let mut sink = RestoreSink::new(small(), None, Vlsn::NULL, Vec::new(), MS);
    let Some(SinkOutput::Send(ask)) = sink.poll_output() else { panic!("it asks") };
    assert!(matches!(ask, SinkMessage::Ask { group: None, .. }));
    let mut source = RestoreSource::new(small(), GROUP, MS);
    source.handle_message(MS, SinkMessage::decode(ask.encode()).unwrap()).unwrap();
    assert_eq!(source.poll_output(), Some(SourceOutput::Open { at_least: Vlsn::NULL }));
    sink.handle_message(MS, SourceMessage::Manifest(state.manifest())).unwrap();
    assert_eq!(sink.manifest().map(|manifest| manifest.group), Some(GROUP));
}

/// A store whose chunks are too many or too long gives no copy, and nobody sends half of one for ever.
#[test]
fn a_state_that_no_copy_can_hold_is_refused_by_its_source() {
    let mut few = small();
    few.ids_max = 5;
    let state = State::new(&mut Rng(8), 30, 20);
    let mut staging = staging();
    let ended = Rig::new((few, small()), 1, &state, &mut staging, Weather::default()).run();
    assert_eq!(ended.sink, Some(RestoreEnd::Refused(Refusal::StoreFailed)));

    let mut source = asked(&[]);
    source.handle_opened(MS, state.manifest());
    source.handle_chunk(MS, Some(Bytes::from(vec![0; (10 << 20) + 1])), None);
    assert!(source.is_closed());

    let mut source = asked(&[]);
    let past = Bytes::from(vec![0; (64 << 10) + 1]);
    source.handle_opened(MS, Manifest::new(GROUP, point(1, 30), Bytes::from("entry"), past));
    assert!(source.is_closed());
}

/// A sink whose names fill several messages, and a source that answers with as many.
#[test]
fn thousands_of_known_chunks_cost_their_names() {
    let chunks: Vec<Bytes> = (0..10_000_u32).map(|n| n.to_be_bytes().to_vec().into()).collect();
    let state = State { point: point(1, 30), chunks };
    let mut staging = staging();
    for chunk in &state.chunks[1..] {
        staging.keep(ChunkId::of(chunk), chunk).unwrap();
    }
    let configs = (RestoreConfig::default(), RestoreConfig::default());
    let ended = Rig::new(configs, 1, &state, &mut staging, Weather::default()).run();
    assert!(done(&ended), "{ended:?}");
    assert_eq!((ended.came, ended.known), (1, 9_999));
    assert!(ended.messages < 20, "{}", ended.messages);
    assert_holds(&mut staging, &state);
}

/// Reading known chunks takes the source its time, and nothing is sent for them: their names go out before the sink
/// begins to doubt.
#[test]
fn the_names_of_known_chunks_do_not_wait_for_long() {
    let chunks: Vec<Bytes> = (0..100_u8).map(|n| vec![n].into()).collect();
    let state = State { point: point(1, 30), chunks };
    let mut have = state.ids();
    have.sort();
    let mut source = asked(&have);
    let mut now = MS;
    source.handle_opened(now, state.manifest());
    let (mut heard, mut arrived, mut chunks) = (now, 0, state.chunks.iter());
    while let Some(output) = source.poll_output() {
        match output {
            SourceOutput::ReadChunk => {
                now += Duration::from_millis(1_500);
                source.handle_chunk(now, chunks.next().cloned(), None);
            }
            SourceOutput::Send(message) => {
                let silence = now - heard;
                assert!(silence < Duration::from_secs(5), "{message:?} after {silence:?}");
                heard = now;
                arrived += message.window_bytes();
                source.handle_message(now, SinkMessage::Received { bytes: arrived }).unwrap();
            }
            other => assert_eq!(other, SourceOutput::Close(RestoreEnd::Done)),
        }
    }
    assert_eq!(source.stats().known, 100);
    assert!(source.is_closed());
}

#[test]
fn settings_that_cannot_work_are_refused() {
    let mut configs = vec![RestoreConfig::default(); 5];
    configs[0].window_bytes = 0;
    configs[1].progress_timeout = Duration::ZERO;
    configs[2].ids_max = 0;
    configs[3].ids_max = u32::MAX;
    configs[4].bytes_per_s = Some(BYTES_PER_S_MIN - 1);
    assert!(configs.iter().all(|config| config.check().is_err()));
    assert_eq!(RestoreConfig::default().check(), Ok(()));
}
