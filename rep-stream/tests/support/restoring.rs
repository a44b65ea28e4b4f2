//! Both ends of a restore in one hand: a state, a disk, a link that loses and breaks, and a clock that jumps.
#![allow(dead_code, reason = "each test file uses its part")]

use bytes::Bytes;
use rep_stream::PeerError;
use rep_stream::restore::{
    ChunkId, Manifest, Refusal, RestoreConfig, RestoreEnd, RestoreSink, RestoreSource, SinkMessage,
    SinkOutput, SourceMessage, SourceOutput, Staging,
};
use rep_vlsn::{GroupId, LogPoint, MemDisk, Term, Vlsn};
use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

pub(crate) const GROUP: GroupId = GroupId([7; 16]);
/// No restore of these tests takes more steps.
const STEPS_MAX: usize = 200_000;

/// A small, fixed generator: the same seed, the same test.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}

pub(crate) fn point(term: u64, vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(term), Vlsn::new(vlsn))
}

/// What a source has: chunks of which most are no business of the point, and a last one that names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct State {
    pub(crate) point: LogPoint,
    pub(crate) chunks: Vec<Bytes>,
}

impl State {
    pub(crate) fn new(rng: &mut Rng, vlsn: u64, chunks: u64) -> State {
        let chunks = (0..chunks).map(|_| chunk(rng)).collect();
        State { point: point(1, vlsn), chunks }.ended()
    }

    /// The same some entries later: of `of` chunks one is another one, gone, or new.
    pub(crate) fn later(&self, rng: &mut Rng, of: u64) -> State {
        let mut chunks = Vec::new();
        for old in &self.chunks[..self.chunks.len() - 1] {
            match rng.below(3 * of) {
                0 => chunks.push(chunk(rng)),
                1 => {}
                2 => chunks.extend([old.clone(), chunk(rng)]),
                _ => chunks.push(old.clone()),
            }
        }
        State { point: point(1, self.point.vlsn.get() + 1 + rng.below(9)), chunks }.ended()
    }

    fn ended(mut self) -> State {
        self.chunks.push(Bytes::from(format!("the end, at {}", self.point)));
        self
    }

    pub(crate) fn manifest(&self) -> Manifest {
        let entry = Bytes::from(format!("entry {}", self.point));
        Manifest::new(GROUP, self.point, entry, Bytes::from("members and terms"))
    }

    pub(crate) fn ids(&self) -> Vec<ChunkId> {
        self.chunks.iter().map(|chunk| ChunkId::of(chunk)).collect()
    }
}

fn chunk(rng: &mut Rng) -> Bytes {
    let length = if rng.below(12) == 0 { rng.below(6_000) } else { 1 + rng.below(400) };
    (0..length).map(|_| rng.next() as u8).collect()
}

/// What happens to a restore on its way.
#[derive(Clone, Debug, Default)]
pub(crate) struct Weather {
    pub(crate) seed: u64,
    /// The link breaks when so many messages went either way.
    pub(crate) breaks_after: Option<usize>,
    /// One message of so many is lost, and the link goes on as if nothing had happened.
    pub(crate) loses_one_of: Option<u64>,
    /// From the chunk of that number on the source says nothing any more.
    pub(crate) falls_silent_at: Option<usize>,
    /// At the chunk of that number the node refuses to go on.
    pub(crate) refuses_at: Option<(usize, Refusal)>,
}

/// How it ended.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ended {
    pub(crate) source: Option<RestoreEnd>,
    pub(crate) sink: Option<RestoreEnd>,
    pub(crate) error: Option<PeerError>,
    pub(crate) complete: bool,
    /// Chunks whose bytes came, and such as were only named.
    pub(crate) came: u64,
    pub(crate) known: u64,
    pub(crate) messages: usize,
    pub(crate) waits: usize,
    /// Each send of a part of the copy: when, and how much.
    pub(crate) sends: Vec<(Duration, u64)>,
    pub(crate) in_flight_max: u64,
    pub(crate) took: Duration,
}

/// The settings of tests: small, so that all bounds are met.
pub(crate) fn small() -> RestoreConfig {
    let mut config = RestoreConfig::default();
    config.window_bytes = 2_000;
    config
}

/// One restore under way.
pub(crate) struct Rig<'a> {
    pub(crate) now: Duration,
    pub(crate) source: RestoreSource,
    pub(crate) sink: RestoreSink,
    state: &'a State,
    staging: &'a mut Staging<MemDisk>,
    weather: Weather,
    rng: Rng,
    read: usize,
    reading: bool,
    keeping: VecDeque<(ChunkId, Bytes)>,
    to_source: VecDeque<SinkMessage>,
    to_sink: VecDeque<SourceMessage>,
    broken: bool,
    window_bytes: u64,
    sent: u64,
    received: u64,
    pub(crate) ended: Ended,
}

impl<'a> Rig<'a> {
    pub(crate) fn new(
        configs: (RestoreConfig, RestoreConfig),
        at_least: u64,
        state: &'a State,
        staging: &'a mut Staging<MemDisk>,
        weather: Weather,
    ) -> Rig<'a> {
        let (now, have) = (Duration::from_secs(50), staging.ids().unwrap());
        let window_bytes = configs.0.window_bytes.min(configs.1.window_bytes);
        Rig {
            now,
            source: RestoreSource::new(configs.0, GROUP, now),
            sink: RestoreSink::new(configs.1, GROUP, Vlsn::new(at_least), have, now),
            state,
            staging,
            rng: Rng(weather.seed),
            weather,
            read: 0,
            reading: false,
            keeping: VecDeque::new(),
            to_source: VecDeque::new(),
            to_sink: VecDeque::new(),
            broken: false,
            window_bytes,
            sent: 0,
            received: 0,
            ended: Ended::default(),
        }
    }

    /// Goes on until both ends are closed, or one is and the link has brought it all.
    pub(crate) fn run(mut self) -> Ended {
        let began = self.now;
        for _ in 0..STEPS_MAX {
            self.source.invariants();
            self.sink.invariants();
            if self.ended.error.is_some() || !(self.step() || self.jump()) {
                self.ended.came = self.sink.stats().chunks;
                self.ended.known = self.sink.stats().known;
                self.ended.took = self.now - began;
                return self.ended;
            }
        }
        panic!("a restore goes on for ever");
    }

    /// Does one of the things that can be done, as chance will have it.
    fn step(&mut self) -> bool {
        let first = self.rng.below(6);
        (first..first + 6).any(|which| match which % 6 {
            0 => self.carry_out_source(),
            1 => self.carry_out_sink(),
            2 => self.read_chunk(),
            3 => self.keep(),
            4 => self.bring_to_source(),
            _ => self.bring_to_sink(),
        })
    }

    /// Nothing to do: the clock jumps to the next deadline.
    fn jump(&mut self) -> bool {
        if self.broken {
            return false;
        }
        let deadlines = [self.source.next_timeout(), self.sink.next_timeout()];
        let Some((at, _)) = deadlines.into_iter().flatten().min() else { return false };
        self.now = self.now.max(at);
        self.source.handle_timeout(self.now);
        self.sink.handle_timeout(self.now);
        true
    }

    fn carry_out_source(&mut self) -> bool {
        let Some(output) = self.source.poll_output() else { return false };
        match output {
            SourceOutput::Open { .. } => self.source.handle_opened(self.now, self.state.manifest()),
            SourceOutput::ReadChunk => self.reading = true,
            SourceOutput::Send(message) => self.send_to_sink(message),
            SourceOutput::Close(end) => self.ended.source = Some(end),
            other => panic!("{other:?}"),
        }
        true
    }

    fn carry_out_sink(&mut self) -> bool {
        let Some(output) = self.sink.poll_output() else { return false };
        match output {
            SinkOutput::Send(message) => {
                if !self.is_lost() {
                    self.to_source.push_back(message);
                }
            }
            SinkOutput::Keep { id, chunk } => self.keeping.push_back((id, chunk)),
            SinkOutput::Complete { manifest, order } => {
                self.staging.complete(&manifest, &order).unwrap();
                self.ended.complete = true;
            }
            SinkOutput::Close(end) => self.ended.sink = Some(end),
            other => panic!("{other:?}"),
        }
        true
    }

    fn read_chunk(&mut self) -> bool {
        if !std::mem::take(&mut self.reading) {
            return false;
        }
        if self.weather.falls_silent_at == Some(self.read) {
            return true;
        }
        if let Some((_, refusal)) = self.weather.refuses_at.filter(|(at, _)| *at == self.read) {
            self.source.refuse(refusal);
            return true;
        }
        let chunk = self.state.chunks.get(self.read).cloned();
        self.read += 1;
        let given = Some((self.read as u64, self.state.chunks.len() as u64 + 1));
        self.source.handle_chunk(self.now, chunk, given);
        true
    }

    fn keep(&mut self) -> bool {
        let Some((id, chunk)) = self.keeping.pop_front() else { return false };
        assert_eq!(id, ChunkId::of(&chunk));
        self.staging.keep(id, &chunk).unwrap();
        self.sink.handle_kept(self.now);
        true
    }

    fn bring_to_source(&mut self) -> bool {
        let Some(message) = self.to_source.pop_front() else { return false };
        if let SinkMessage::Received { bytes } = message {
            self.received = bytes;
        }
        let message = SinkMessage::decode(message.encode()).unwrap();
        if let Err(error) = self.source.handle_message(self.now, message) {
            self.ended.error = Some(error);
        }
        true
    }

    fn bring_to_sink(&mut self) -> bool {
        let Some(message) = self.to_sink.pop_front() else { return false };
        let message = SourceMessage::decode(message.encode()).unwrap();
        if let Err(error) = self.sink.handle_message(self.now, message) {
            self.ended.error = Some(error);
        }
        true
    }

    fn send_to_sink(&mut self, message: SourceMessage) {
        let bytes = message.window_bytes();
        assert_eq!(bytes == 0, !is_part(&message));
        if bytes > 0 {
            assert_eq!(bytes, message.encode().len() as u64);
            self.sent += bytes;
            self.ended.sends.push((self.now, bytes));
            let in_flight = self.sent - self.received;
            assert!(in_flight <= self.window_bytes || in_flight == bytes, "the window binds");
            self.ended.in_flight_max = self.ended.in_flight_max.max(in_flight);
        }
        self.ended.waits += usize::from(message == SourceMessage::Wait);
        if !self.is_lost() {
            self.to_sink.push_back(message);
        }
    }

    fn is_lost(&mut self) -> bool {
        self.ended.messages += 1;
        if self.weather.breaks_after.is_some_and(|after| self.ended.messages > after) {
            self.broken = true;
        }
        self.broken || self.weather.loses_one_of.is_some_and(|of| self.rng.below(of) == 0)
    }
}

fn is_part(message: &SourceMessage) -> bool {
    matches!(
        message,
        SourceMessage::Chunk { .. } | SourceMessage::Known { .. } | SourceMessage::End { .. }
    )
}

/// A restore between two members with small settings.
pub(crate) fn restore(state: &State, staging: &mut Staging<MemDisk>, weather: Weather) -> Ended {
    Rig::new((small(), small()), 1, state, staging, weather).run()
}

/// Whether what waits is this state and nothing else.
pub(crate) fn assert_holds(staging: &mut Staging<MemDisk>, state: &State) {
    let pending = staging.pending().unwrap().expect("a complete copy");
    assert_eq!(pending.manifest, state.manifest());
    assert_eq!(pending.order, state.ids());
    let chunks: Vec<_> = staging.chunks(&pending.order).map(Result::unwrap).collect();
    assert_eq!(chunks, state.chunks);
    let distinct: BTreeSet<_> = pending.order.into_iter().collect();
    assert_eq!(staging.ids().unwrap(), Vec::from_iter(distinct), "and no chunk of another state");
}
