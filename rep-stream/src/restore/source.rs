//! The giving side: one value per sink that dialled.
//!
//! A source sees chunks one at a time. It has its driver open a snapshot and read it, sends what the sink lacks and
//! names what it has, no faster than it may and no further ahead than the window. When the connection breaks nothing is
//! left to be remembered here: what the sink has, it says itself the next time, to whomever it asks.

use super::RestoreEnd;
use super::config::RestoreConfig;
use super::digest::{ChunkId, OrderDigester};
use super::message::{
    CHUNK_BYTES_MAX, Given, IDS_PER_MESSAGE_MAX, Manifest, Refusal, SinkMessage, SourceMessage,
};
use super::outflow::Outflow;
use crate::error::PeerError;
use bytes::Bytes;
use rep_vlsn::{GroupId, Vlsn};
use std::collections::VecDeque;
use std::time::Duration;

/// What a source wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SourceOutput {
    /// Open a snapshot at this entry or a later one, and keep the log from its point on until the restore is over; then
    /// say [`RestoreSource::handle_opened`] or [`RestoreSource::refuse`].
    Open {
        /// The entry.
        at_least: Vlsn,
    },
    /// Read the next chunk of the snapshot; then say [`RestoreSource::handle_chunk`] or [`RestoreSource::refuse`]. No
    /// second one is asked for before that.
    ReadChunk,
    /// Send a message.
    Send(SourceMessage),
    /// Let the snapshot go, and close the connection after what was sent before.
    Close(RestoreEnd),
}

/// Counters of one source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SourceStats {
    /// Chunks sent.
    pub chunks: u64,
    /// Bytes sent, as the window counts them.
    pub bytes: u64,
    /// Chunks that the sink had.
    pub known: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing heard yet.
    AwaitAsk,
    /// The sink says what it has; so many names are missing.
    TakingIds { at_least: Vlsn, missing: u32 },
    /// The driver opens a snapshot.
    Opening { at_least: Vlsn },
    /// Chunks are read and sent.
    Giving,
    /// The last chunk has been read.
    Ending,
    /// Nothing more happens.
    Closed,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::AwaitAsk => "awaiting a question",
            Phase::TakingIds { .. } => "hearing what is there",
            Phase::Opening { .. } => "opening a snapshot",
            Phase::Giving => "giving a copy",
            Phase::Ending => "awaiting the last acknowledgement",
            Phase::Closed => "closed",
        }
    }
}

/// Why a source that may not send yet wants to be called.
const PACE: &str = "pace";

/// The giving side of one restore.
#[derive(Debug)]
pub struct RestoreSource {
    config: RestoreConfig,
    group: GroupId,
    phase: Phase,
    /// What the sink has, increasing.
    have: Vec<ChunkId>,
    outflow: Outflow,
    /// Whether the driver is reading a chunk.
    reading: bool,
    /// Chunks that the sink has and has not been told of.
    known: Vec<ChunkId>,
    given: Given,
    order: OrderDigester,
    /// When anything was said last. The sink must not take us for dead.
    said_at: Duration,
    /// When the sink is given up.
    until: Option<Duration>,
    outputs: VecDeque<SourceOutput>,
    stats: SourceStats,
}

impl RestoreSource {
    /// A source for a sink that dialled and is expected to ask.
    ///
    /// # Panics
    ///
    /// If the configuration does not pass [`RestoreConfig::check`].
    pub fn new(config: RestoreConfig, group: GroupId, now: Duration) -> Self {
        config.check().expect("the configuration was checked");
        let until = Some(now + config.progress_timeout);
        RestoreSource {
            outflow: Outflow::new(&config),
            config,
            group,
            phase: Phase::AwaitAsk,
            have: Vec::new(),
            reading: false,
            known: Vec::new(),
            given: None,
            order: OrderDigester::default(),
            said_at: now,
            until,
            outputs: VecDeque::new(),
            stats: SourceStats::default(),
        }
    }

    /// The sink said something.
    ///
    /// # Errors
    ///
    /// If no correct sink says that. The source has stopped; let the snapshot go and close the connection.
    pub fn handle_message(&mut self, now: Duration, message: SinkMessage) -> Result<(), PeerError> {
        if self.is_closed() {
            return Ok(());
        }
        let outcome = self.take(now, message);
        if outcome.is_err() {
            self.phase = Phase::Closed;
        }
        outcome
    }

    /// The snapshot is open, and this is what it is of. Ignored unless it was asked for.
    pub fn handle_opened(&mut self, now: Duration, manifest: Manifest) {
        let Phase::Opening { at_least } = self.phase else { return };
        if manifest.point.vlsn < at_least {
            return self.refuse(Refusal::Behind { applied: manifest.point.vlsn });
        }
        if !manifest.is_sound() {
            return self.refuse(Refusal::StoreFailed);
        }
        self.phase = Phase::Giving;
        self.send(now, SourceMessage::Manifest(manifest));
        self.pump(now);
    }

    /// The next chunk of the snapshot, or `None` after the last; and how far that is. Ignored unless it was asked for.
    pub fn handle_chunk(&mut self, now: Duration, chunk: Option<Bytes>, given: Given) {
        if self.phase != Phase::Giving || !std::mem::take(&mut self.reading) {
            return;
        }
        self.given = given;
        match chunk {
            None => self.end(),
            Some(chunk) if self.is_too_much(&chunk) => return self.refuse(Refusal::StoreFailed),
            Some(chunk) => self.give(now, chunk),
        }
        self.pump(now);
    }

    /// No copy from here, or no more of it: because the node said so, or because the store cannot be read.
    pub fn refuse(&mut self, refusal: Refusal) {
        if self.is_closed() {
            return;
        }
        self.outputs.push_back(SourceOutput::Send(SourceMessage::Refused(refusal)));
        self.close(RestoreEnd::Refused(refusal));
    }

    /// When to call [`RestoreSource::handle_timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        if self.is_closed() {
            return None;
        }
        let stalled = self.until.map(|at| (at, self.phase.name()));
        let pace = self.outflow.held_up_until().map(|at| (at.min(self.wait_at()), PACE));
        stalled.into_iter().chain(pace).min()
    }

    /// The clock reached [`RestoreSource::next_timeout`].
    pub fn handle_timeout(&mut self, now: Duration) {
        let Some((_, what)) = self.next_timeout().filter(|(at, _)| *at <= now) else { return };
        if what != PACE {
            let after = self.config.progress_timeout;
            return self.close(RestoreEnd::TimedOut { what, after });
        }
        self.pump(now);
        if self.outflow.held_up_until().is_some() {
            self.say_something(now);
        }
    }

    /// The next thing to do; drain it until `None` after every step.
    pub fn poll_output(&mut self) -> Option<SourceOutput> {
        self.outputs.pop_front()
    }

    /// Bytes sent and not acknowledged, as the window counts them.
    pub fn in_flight_bytes(&self) -> u64 {
        self.outflow.in_flight_bytes()
    }

    /// How far it is with the snapshot, if the store says so.
    pub fn given(&self) -> Given {
        self.given
    }

    /// Whether nothing more happens.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Counters.
    pub fn stats(&self) -> SourceStats {
        self.stats
    }

    /// What must hold of every source between steps.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        self.outflow.invariants();
        assert!(self.known.len() <= IDS_PER_MESSAGE_MAX, "names go out in time");
        assert!(!self.reading || self.outflow.is_empty(), "nothing is read ahead");
    }

    fn take(&mut self, now: Duration, message: SinkMessage) -> Result<(), PeerError> {
        match (self.phase, message) {
            (Phase::AwaitAsk, SinkMessage::Ask { group, at_least, window_bytes, ids }) => {
                self.hear(now, group, at_least, (window_bytes, ids))
            }
            (Phase::TakingIds { at_least, missing }, SinkMessage::Have { ids }) => {
                self.take_ids(now, ids, at_least, missing)
            }
            (Phase::Giving | Phase::Ending, SinkMessage::Received { bytes }) => {
                self.on_received(now, bytes)
            }
            (phase, message) => {
                Err(PeerError::Unexpected { message: message.name(), phase: phase.name() })
            }
        }
    }

    fn hear(
        &mut self,
        now: Duration,
        group: Option<GroupId>,
        at_least: Vlsn,
        (window_bytes, ids): (u64, u32),
    ) -> Result<(), PeerError> {
        if group.is_some_and(|group| group != self.group) {
            self.refuse(Refusal::OtherGroup);
            return Ok(());
        }
        if window_bytes == 0 {
            return Err(PeerError::Malformed { what: "a window of nothing" });
        }
        if ids > self.config.ids_max {
            return Err(PeerError::TooManyChunks { ids_max: self.config.ids_max });
        }
        self.outflow.narrow(window_bytes);
        self.await_ids(now, at_least, ids);
        Ok(())
    }

    /// The list grows with what comes, not with what was announced.
    fn take_ids(
        &mut self,
        now: Duration,
        ids: Vec<ChunkId>,
        at_least: Vlsn,
        missing: u32,
    ) -> Result<(), PeerError> {
        let still = u32::try_from(ids.len()).ok().and_then(|count| missing.checked_sub(count));
        let Some(still) = still.filter(|_| !ids.is_empty()) else {
            return Err(PeerError::Malformed { what: "other names than were announced" });
        };
        let last = self.have.last().into_iter().chain(&ids);
        if !last.is_sorted_by(|one, next| one < next) {
            return Err(PeerError::Malformed { what: "names of chunks out of order" });
        }
        self.have.extend(ids);
        self.say_something(now);
        self.await_ids(now, at_least, still);
        Ok(())
    }

    fn await_ids(&mut self, now: Duration, at_least: Vlsn, missing: u32) {
        if missing > 0 {
            self.phase = Phase::TakingIds { at_least, missing };
            self.until = Some(now + self.config.progress_timeout);
        } else {
            self.phase = Phase::Opening { at_least };
            self.until = None;
            self.outputs.push_back(SourceOutput::Open { at_least });
        }
    }

    fn on_received(&mut self, now: Duration, bytes: u64) -> Result<(), PeerError> {
        let Some(is_news) = self.outflow.acknowledge(bytes) else {
            let sent = self.outflow.sent_bytes();
            return Err(PeerError::ReceivedBeyondSent { received: bytes, sent });
        };
        if is_news {
            self.watch_for_stall(now, true);
        }
        self.pump(now);
        Ok(())
    }

    fn is_too_much(&self, chunk: &Bytes) -> bool {
        chunk.len() > CHUNK_BYTES_MAX || self.order.chunks() >= u64::from(self.config.ids_max)
    }

    /// A chunk that the sink has is worth a name, and that may wait for others; but not for so long that the sink would
    /// take us for dead.
    fn give(&mut self, now: Duration, chunk: Bytes) {
        let id = ChunkId::of(&chunk);
        self.order.push(id);
        if self.have.binary_search(&id).is_ok() {
            self.stats.known += 1;
            self.known.push(id);
            if self.known.len() == IDS_PER_MESSAGE_MAX || self.wait_at() <= now {
                self.name_known();
            }
        } else {
            self.name_known();
            self.stats.chunks += 1;
            self.outflow.push(SourceMessage::Chunk { given: self.given, chunk });
        }
    }

    fn name_known(&mut self) {
        let ids = std::mem::take(&mut self.known);
        if !ids.is_empty() {
            self.outflow.push(SourceMessage::Known { given: self.given, ids });
        }
    }

    fn end(&mut self) {
        self.name_known();
        let (chunks, digest) = self.order.finish();
        self.outflow.push(SourceMessage::End { chunks, digest });
        self.phase = Phase::Ending;
    }

    /// Sends what may go, and has the next chunk read when nothing waits.
    fn pump(&mut self, now: Duration) {
        while let Some(message) = self.outflow.pop(now) {
            self.stats.bytes += message.window_bytes();
            self.send(now, message);
            self.watch_for_stall(now, false);
        }
        if !self.outflow.is_empty() {
            return;
        }
        if self.phase == Phase::Giving && !self.reading {
            self.reading = true;
            self.outputs.push_back(SourceOutput::ReadChunk);
        } else if self.phase == Phase::Ending && self.in_flight_bytes() == 0 {
            self.close(RestoreEnd::Done);
        }
    }

    /// When the sink has to hear something again.
    fn wait_at(&self) -> Duration {
        self.said_at + self.config.progress_timeout / 3
    }

    fn say_something(&mut self, now: Duration) {
        if self.wait_at() <= now {
            self.send(now, SourceMessage::Wait);
        }
    }

    fn watch_for_stall(&mut self, now: Duration, moved: bool) {
        if self.in_flight_bytes() == 0 {
            self.until = None;
        } else if moved || self.until.is_none() {
            self.until = Some(now + self.config.progress_timeout);
        }
    }

    fn send(&mut self, now: Duration, message: SourceMessage) {
        self.said_at = now;
        self.outputs.push_back(SourceOutput::Send(message));
    }

    fn close(&mut self, end: RestoreEnd) {
        self.phase = Phase::Closed;
        self.have = Vec::new();
        self.outflow.clear();
        self.outputs.push_back(SourceOutput::Close(end));
    }
}
