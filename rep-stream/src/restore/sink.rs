//! The taking side: one value per source that is asked.
//!
//! A sink says what it has, takes what it lacks, and believes nothing but bytes: it makes the name of each chunk itself,
//! and at the end compares count and digest of all names. What it was handed it has kept before it says so, and the
//! source sends no more than a window beyond that.

use super::RestoreEnd;
use super::config::RestoreConfig;
use super::digest::{ChunkId, Digest16, OrderDigester};
use super::message::{
    CHUNK_BYTES_MAX, Given, IDS_PER_MESSAGE_MAX, Manifest, SinkMessage, SourceMessage,
};
use super::wire::CHUNK_HEADER_BYTES;
use crate::error::PeerError;
use bytes::Bytes;
use rep_vlsn::{GroupId, Vlsn, mutant};
use std::collections::VecDeque;
use std::time::Duration;

/// What a sink wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkOutput {
    /// Send a message.
    Send(SinkMessage),
    /// Keep a chunk ([`Staging::keep`](super::Staging::keep)), then say [`RestoreSink::handle_kept`]. If it cannot be kept,
    /// drop the sink and close the connection.
    Keep {
        /// Its name.
        id: ChunkId,
        /// Its bytes.
        chunk: Bytes,
    },
    /// Every chunk of the copy has been kept: see [`Staging::complete`](super::Staging::complete).
    Complete {
        /// What it is a copy of.
        manifest: Manifest,
        /// Its chunks, in order.
        order: Vec<ChunkId>,
    },
    /// Close the connection, after what was sent before.
    Close(RestoreEnd),
}

/// Counters of one sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SinkStats {
    /// Chunks that came.
    pub chunks: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Chunks that were here already.
    pub known: u64,
    /// How far the source is with its state, if it says so.
    pub given: Given,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The question is on its way; so many names have been told.
    Asking { told: usize },
    /// The question is out.
    AwaitManifest,
    /// Chunks come.
    Taking,
    /// All chunks came; the last of them are being kept.
    Keeping,
    /// Nothing more happens.
    Closed,
}

impl Phase {
    fn name(self) -> &'static str {
        match self {
            Phase::Asking { .. } => "asking",
            Phase::AwaitManifest => "awaiting a manifest",
            Phase::Taking => "awaiting chunks",
            Phase::Keeping => "keeping the last chunks",
            Phase::Closed => "closed",
        }
    }
}

/// The taking side of one restore.
#[derive(Debug)]
pub struct RestoreSink {
    config: RestoreConfig,
    group: Option<GroupId>,
    at_least: Vlsn,
    phase: Phase,
    /// The question before the names.
    question: Option<SinkMessage>,
    /// What was here before, increasing.
    have: Vec<ChunkId>,
    manifest: Option<Manifest>,
    order: Vec<ChunkId>,
    digester: OrderDigester,
    /// Bytes that came and are kept, or need not be, since the manifest.
    received: u64,
    /// What is being kept, in order: bytes as the window counts them.
    keeping: VecDeque<u64>,
    keeping_bytes: u64,
    /// When the source is given up. While something is being kept the next step is not the source's.
    until: Duration,
    outputs: VecDeque<SinkOutput>,
    stats: SinkStats,
}

impl RestoreSink {
    /// A sink that dialled a source and asks it for a state of `group` at entry `at_least` or a later one. It has the
    /// chunks `have`: see [`Staging::ids`](super::Staging::ids). Without a group it takes the source's: for a
    /// member that never held an entry. Whoever drives such a sink has to look at the [manifest](RestoreSink::manifest) before the copy
    /// is made complete: a directory that was wiped never held an entry either, and the members in `past` do not know it.
    ///
    /// # Panics
    ///
    /// If the configuration does not pass [`RestoreConfig::check`].
    pub fn new(
        config: RestoreConfig,
        group: impl Into<Option<GroupId>>,
        at_least: Vlsn,
        mut have: Vec<ChunkId>,
        now: Duration,
    ) -> Self {
        config.check().expect("the configuration was checked");
        have.sort_unstable();
        have.dedup();
        have.truncate(config.ids_max as usize);
        let group = group.into();
        let (window_bytes, ids) = (config.window_bytes, have.len() as u32);
        RestoreSink {
            until: now + config.progress_timeout,
            config,
            group,
            at_least,
            phase: Phase::Asking { told: 0 },
            question: Some(SinkMessage::Ask { group, at_least, window_bytes, ids }),
            have,
            manifest: None,
            order: Vec::new(),
            digester: OrderDigester::default(),
            received: 0,
            keeping: VecDeque::new(),
            keeping_bytes: 0,
            outputs: VecDeque::new(),
            stats: SinkStats::default(),
        }
    }

    /// The source said something.
    ///
    /// # Errors
    ///
    /// If no correct source says that. The sink has stopped; close the connection. What was kept is as good as before.
    pub fn handle_message(
        &mut self,
        now: Duration,
        message: SourceMessage,
    ) -> Result<(), PeerError> {
        if self.is_closed() {
            return Ok(());
        }
        let outcome = self.take(message);
        self.until = now + self.config.progress_timeout;
        if outcome.is_err() {
            self.phase = Phase::Closed;
        }
        outcome
    }

    /// The chunk that has been with the driver for longest is kept.
    pub fn handle_kept(&mut self, now: Duration) {
        let Some(bytes) = self.keeping.pop_front().filter(|_| !self.is_closed()) else { return };
        self.keeping_bytes -= bytes;
        self.until = now + self.config.progress_timeout;
        self.acknowledge(bytes);
        self.finish();
    }

    /// When to call [`RestoreSink::handle_timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        let waits = self.keeping.is_empty() && !self.is_closed();
        waits.then(|| (self.until, self.phase.name()))
    }

    /// The clock reached [`RestoreSink::next_timeout`].
    pub fn handle_timeout(&mut self, now: Duration) {
        if let Some((_, what)) = self.next_timeout().filter(|(at, _)| *at <= now) {
            self.close(RestoreEnd::TimedOut { what, after: self.config.progress_timeout });
        }
    }

    /// The next thing to do; drain it until `None` after every step. The names of chunks are put into messages one by one
    /// as they are asked for here, so that a long list costs no second one.
    pub fn poll_output(&mut self) -> Option<SinkOutput> {
        let output = self.outputs.pop_front();
        output.or_else(|| self.ask_on().map(SinkOutput::Send))
    }

    /// What the copy is of, once the source has said it.
    pub fn manifest(&self) -> Option<&Manifest> {
        self.manifest.as_ref()
    }

    /// The chunks of the copy as far as they are known, in order.
    pub fn order(&self) -> &[ChunkId] {
        &self.order
    }

    /// Whether nothing more happens.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Counters.
    pub fn stats(&self) -> SinkStats {
        self.stats
    }

    /// What must hold of every sink between steps.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        assert_eq!(self.keeping.iter().sum::<u64>(), self.keeping_bytes);
        assert!(self.order.len() <= self.config.ids_max as usize, "the list is bounded");
        let alone = self.keeping.len() <= 1;
        assert!(alone || self.keeping_bytes <= self.config.window_bytes, "the window binds");
    }

    fn ask_on(&mut self) -> Option<SinkMessage> {
        let Phase::Asking { told } = self.phase else { return None };
        if let Some(question) = self.question.take() {
            self.asked(told);
            return Some(question);
        }
        let till = self.have.len().min(told + IDS_PER_MESSAGE_MAX);
        let ids = self.have[told..till].to_vec();
        self.asked(till);
        Some(SinkMessage::Have { ids })
    }

    fn asked(&mut self, told: usize) {
        let is_all = told == self.have.len();
        self.phase = if is_all { Phase::AwaitManifest } else { Phase::Asking { told } };
    }

    fn take(&mut self, message: SourceMessage) -> Result<(), PeerError> {
        match (self.phase, message) {
            (_, SourceMessage::Wait) => Ok(()),
            (_, SourceMessage::Refused(refusal)) => {
                self.close(RestoreEnd::Refused(refusal));
                Ok(())
            }
            (Phase::AwaitManifest, SourceMessage::Manifest(manifest)) => self.begin(manifest),
            (Phase::Taking, SourceMessage::Chunk { given, chunk }) => self.on_chunk(given, chunk),
            (Phase::Taking, SourceMessage::Known { given, ids }) => self.on_known(given, ids),
            (Phase::Taking, SourceMessage::End { chunks, digest }) => self.on_end(chunks, digest),
            (phase, message) => {
                Err(PeerError::Unexpected { message: message.name(), phase: phase.name() })
            }
        }
    }

    fn begin(&mut self, manifest: Manifest) -> Result<(), PeerError> {
        if let Some(ours) = self.group.filter(|ours| *ours != manifest.group) {
            return Err(PeerError::WrongGroup { ours, theirs: manifest.group });
        }
        if !manifest.is_sound() {
            return Err(PeerError::Malformed { what: "a manifest out of its bounds" });
        }
        if manifest.point.vlsn < self.at_least {
            let (at_least, point) = (self.at_least, manifest.point);
            return Err(PeerError::CopyTooOld { at_least, point });
        }
        self.manifest = Some(manifest);
        self.phase = Phase::Taking;
        Ok(())
    }

    fn on_chunk(&mut self, given: Given, chunk: Bytes) -> Result<(), PeerError> {
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(PeerError::TooLong { bytes_max: CHUNK_BYTES_MAX, got: chunk.len() });
        }
        let bytes = (CHUNK_HEADER_BYTES + chunk.len()) as u64;
        self.check_window(bytes)?;
        let id = ChunkId::of(&chunk);
        self.push(id)?;
        self.stats.given = given;
        self.stats.chunks += 1;
        self.stats.bytes += chunk.len() as u64;
        self.keeping.push_back(bytes);
        self.keeping_bytes += bytes;
        self.outputs.push_back(SinkOutput::Keep { id, chunk });
        Ok(())
    }

    fn on_known(&mut self, given: Given, ids: Vec<ChunkId>) -> Result<(), PeerError> {
        for id in &ids {
            if self.have.binary_search(id).is_err() {
                return Err(PeerError::NotHeld { id: *id });
            }
            self.push(*id)?;
        }
        self.stats.given = given;
        self.stats.known += ids.len() as u64;
        self.acknowledge(SourceMessage::Known { given, ids }.window_bytes());
        Ok(())
    }

    fn on_end(&mut self, told: u64, told_digest: Digest16) -> Result<(), PeerError> {
        let (got, got_digest) = self.digester.finish();
        let is_whole = told == got && told_digest == got_digest;
        if !is_whole && !mutant!("restore-end-unchecked") {
            return Err(PeerError::OtherChunks { told, told_digest, got, got_digest });
        }
        self.received += SourceMessage::End { chunks: told, digest: told_digest }.window_bytes();
        self.phase = Phase::Keeping;
        self.finish();
        Ok(())
    }

    fn push(&mut self, id: ChunkId) -> Result<(), PeerError> {
        if self.order.len() >= self.config.ids_max as usize {
            return Err(PeerError::TooManyChunks { ids_max: self.config.ids_max });
        }
        self.order.push(id);
        self.digester.push(id);
        Ok(())
    }

    fn check_window(&self, bytes: u64) -> Result<(), PeerError> {
        let (window_bytes, in_flight) = (self.config.window_bytes, self.keeping_bytes + bytes);
        if !self.keeping.is_empty() && in_flight > window_bytes {
            return Err(PeerError::WindowOverrun { window_bytes, in_flight });
        }
        Ok(())
    }

    fn acknowledge(&mut self, bytes: u64) {
        self.received += bytes;
        let bytes = self.received;
        self.outputs.push_back(SinkOutput::Send(SinkMessage::Received { bytes }));
    }

    /// The copy is complete when nothing of it is still on its way to the disk.
    fn finish(&mut self) {
        if self.phase != Phase::Keeping || !self.keeping.is_empty() {
            return;
        }
        let Some(manifest) = self.manifest.clone() else { return };
        let order = std::mem::take(&mut self.order);
        self.acknowledge(0);
        self.outputs.push_back(SinkOutput::Complete { manifest, order });
        self.close(RestoreEnd::Done);
    }

    fn close(&mut self, end: RestoreEnd) {
        self.phase = Phase::Closed;
        self.outputs.push_back(SinkOutput::Close(end));
    }
}
