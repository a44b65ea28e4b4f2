//! The sending side: one value per connected replica.
//!
//! A feeder answers where the logs part, then keeps the pipe full: whenever entries exist that were not
//! sent and the window has room, it asks for the next range to be sent, one range at a time, and never
//! waits for an acknowledgement in between. It sees positions only. The bytes are read and sent by a
//! thread, which reports what it did with [`Feeder::handle_sent`].

mod acked;
mod output;
mod progress;
mod sync_up;

pub use output::{FeederFacts, FeederOutput, FeederStats, SendFailed};
pub use progress::Progress;

use crate::config::FeederConfig;
use crate::error::{CloseReason, PeerError};
use crate::handshake::{Handshake, RefuseReason};
use crate::message::{Connection, FeederMessage, ReplicaMessage};
use crate::window::Window;
use progress::{Outstanding, Phase};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Vlsn, buggify, mutant};
use std::collections::VecDeque;
use std::time::Duration;

/// Why a feeder that has nothing else to send wants to be called.
const WATERMARK: &str = "watermark";

/// The sending side of one stream.
#[derive(Debug)]
pub struct Feeder {
    config: FeederConfig,
    connection: Connection,
    peer: NodeId,
    incarnation: Option<Incarnation>,
    attributes: Vec<(String, String)>,
    phase: Phase,
    sent: LogPoint,
    synced: LogPoint,
    received: LogPoint,
    told: (Vlsn, Vlsn),
    /// When news of a watermark is sent alone, if no entries came that take it along.
    tell_at: Option<Duration>,
    window: Window,
    outstanding: Option<Outstanding>,
    deferred: Option<Handshake>,
    stalled_at: Option<Duration>,
    outputs: VecDeque<FeederOutput>,
    stats: FeederStats,
}

impl Feeder {
    /// A feeder for `peer`, which dialled this `connection` and is expected to send its handshake.
    ///
    /// # Panics
    ///
    /// If the configuration does not pass [`FeederConfig::check`].
    pub fn new(config: FeederConfig, connection: Connection, peer: NodeId, now: Duration) -> Self {
        config.check().expect("the configuration was checked");
        let window = Window::new(config.window_bytes, config.batch_bytes);
        let until = now + config.handshake_timeout;
        Feeder {
            config,
            connection,
            peer,
            incarnation: None,
            attributes: Vec::new(),
            phase: Phase::AwaitHandshake { until },
            sent: LogPoint::NULL,
            synced: LogPoint::NULL,
            received: LogPoint::NULL,
            told: (Vlsn::NULL, Vlsn::NULL),
            tell_at: None,
            window,
            outstanding: None,
            deferred: None,
            stalled_at: None,
            outputs: VecDeque::new(),
            stats: FeederStats::default(),
        }
    }

    /// The replica said something.
    ///
    /// # Errors
    ///
    /// If no correct replica says that. The feeder has stopped; close the connection.
    pub fn handle_message(
        &mut self,
        now: Duration,
        message: ReplicaMessage,
        facts: &FeederFacts<'_>,
    ) -> Result<(), PeerError> {
        if self.is_closed() {
            return Ok(());
        }
        let stale = message.connection() != self.connection;
        if stale && !(mutant!("stream-old-connection-ack") && message.name() == "Ack") {
            self.stats.dropped_messages += 1;
            return Ok(());
        }
        let outcome = match message {
            ReplicaMessage::Handshake(handshake) => self.on_handshake(now, handshake, facts),
            ReplicaMessage::Ready { at, .. } => self.on_ready(now, at, facts),
            ReplicaMessage::Ack { synced, received, .. } => {
                self.on_ack(now, synced, received, facts)
            }
        };
        if outcome.is_err() {
            self.phase = Phase::Closed;
        }
        outcome
    }

    /// The log grew or a watermark moved: sends what the window allows.
    pub fn pump(&mut self, now: Duration, facts: &FeederFacts<'_>) {
        if self.phase != Phase::Streaming || self.outstanding.is_some() {
            return;
        }
        let to = facts.send_limit.min(facts.log.last().vlsn);
        if self.sent.vlsn < to && self.window.has_room() {
            self.send_entries(to, facts);
        } else if self.told.0 != facts.dvlsn {
            // cvlsn only rides along: once nothing is written any more, dvlsn reaches it.
            let at = *self.tell_at.get_or_insert(now + self.config.watermark_linger);
            if at <= now {
                self.tell_watermarks(facts);
            }
        }
    }

    /// Somebody waits at the replica for what is durable: news of it is sent now, unless a range on its way takes it along.
    pub fn hasten(&mut self, facts: &FeederFacts<'_>) {
        if self.tell_at.is_some() && self.phase == Phase::Streaming && self.outstanding.is_none() {
            self.tell_watermarks(facts);
        }
    }

    /// The range asked for was sent, up to and with `last`: `bytes` of records. A report about a range that
    /// this feeder did not ask for (but one before it, for the same replica) is ignored.
    ///
    /// # Panics
    ///
    /// If `last` lies outside of the range asked for.
    pub fn handle_sent(
        &mut self,
        now: Duration,
        last: LogPoint,
        bytes: usize,
        facts: &FeederFacts<'_>,
    ) {
        if self.is_closed() {
            return;
        }
        let Some(range) = self.outstanding.take() else { return };
        assert!(
            range.from <= last.vlsn && last.vlsn <= range.to,
            "only what was asked for is sent"
        );
        self.sent = last;
        self.stats.batches += 1;
        self.stats.bytes += bytes as u64;
        self.window.sent(last.vlsn, bytes);
        self.window.acked(self.received.vlsn);
        self.watch_for_stall(now, false);
        self.resume(now, facts);
    }

    /// The range asked for could not be sent.
    pub fn handle_send_failed(&mut self, now: Duration, why: SendFailed, facts: &FeederFacts<'_>) {
        if self.is_closed() {
            return;
        }
        self.outstanding = None;
        match why {
            SendFailed::Truncated if facts.log.contains(self.sent) => self.resume(now, facts),
            SendFailed::Truncated => self.close(CloseReason::LogTruncated),
            SendFailed::Cleaned { first } => self.need_restore(first.max(facts.log.first()), None),
            SendFailed::Damaged => self.close(CloseReason::LogDamaged),
        }
    }

    /// The node decided that this replica gets no stream.
    pub fn refuse(&mut self, reason: RefuseReason) {
        if self.is_closed() {
            return;
        }
        self.send(FeederMessage::Refused { connection: self.connection, reason });
        self.close(CloseReason::Refused(reason));
    }

    /// When to call [`Feeder::handle_timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        match self.phase {
            Phase::AwaitHandshake { until } => Some((until, "handshake")),
            Phase::AwaitReady { until, .. } => Some((until, "sync-up")),
            Phase::Streaming => {
                let stalled = self.stalled_at.map(|at| (at, "acknowledgement"));
                // While a range is on its way, nothing is sent; what comes of it sends the news.
                let tell = self.tell_at.filter(|_| self.outstanding.is_none());
                stalled.into_iter().chain(tell.map(|at| (at, WATERMARK))).min()
            }
            Phase::Restore | Phase::Closed => None,
        }
    }

    /// The clock reached [`Feeder::next_timeout`].
    pub fn handle_timeout(&mut self, now: Duration, facts: &FeederFacts<'_>) {
        let Some((_, what)) = self.next_timeout().filter(|(at, _)| *at <= now) else { return };
        if what == WATERMARK {
            return self.tell_watermarks(facts);
        }
        let after = match self.phase {
            Phase::AwaitHandshake { .. } => self.config.handshake_timeout,
            Phase::AwaitReady { .. } => self.config.sync_up_timeout,
            Phase::Streaming | Phase::Restore | Phase::Closed => self.config.stall_timeout,
        };
        self.close(CloseReason::TimedOut { what, after });
    }

    /// The next thing to do; drain it until `None` after every step.
    pub fn poll_output(&mut self) -> Option<FeederOutput> {
        self.outputs.pop_front()
    }

    /// What feeder and replica are doing.
    pub fn progress(&self) -> Progress {
        match self.phase {
            Phase::AwaitHandshake { .. } | Phase::AwaitReady { .. } => Progress::Probe,
            Phase::Streaming => {
                Progress::Stream { sent: self.sent, received: self.received, synced: self.synced }
            }
            Phase::Restore => Progress::Restore,
            Phase::Closed => Progress::Closed,
        }
    }

    /// The stream.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// The replica's node.
    pub fn peer(&self) -> NodeId {
        self.peer
    }

    /// The replica's incarnation, once it has shaken hands.
    pub fn incarnation(&self) -> Option<Incarnation> {
        self.incarnation
    }

    /// What the replica announced about itself.
    pub fn attributes(&self) -> &[(String, String)] {
        &self.attributes
    }

    /// The last entry that the replica has on stable storage, as far as it has said so on this connection.
    pub fn synced(&self) -> LogPoint {
        self.synced
    }

    /// Bytes sent and not acknowledged as received.
    pub fn in_flight_bytes(&self) -> usize {
        self.window.in_flight()
    }

    /// Whether nothing more happens.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Counters.
    pub fn stats(&self) -> FeederStats {
        self.stats
    }

    /// What must hold of every feeder.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self, facts: &FeederFacts<'_>) {
        self.window.invariants();
        assert!(self.synced.vlsn <= self.received.vlsn, "synced entries are received");
        let reach = self.outstanding.map_or(self.sent.vlsn, |range| range.to);
        if self.phase == Phase::Streaming {
            assert!(self.received.vlsn <= reach, "only what was sent is received");
            assert!(reach <= facts.log.last().vlsn, "only what exists is sent");
        }
    }

    fn resume(&mut self, now: Duration, facts: &FeederFacts<'_>) {
        match self.deferred.take() {
            Some(handshake) => self.answer_handshake(now, handshake, facts),
            None => self.pump(now, facts),
        }
    }

    fn send_entries(&mut self, to: Vlsn, facts: &FeederFacts<'_>) {
        let from = self.sent.vlsn.next();
        if from < facts.log.first() {
            return self.need_restore(facts.log.first(), None);
        }
        self.told = (facts.dvlsn, facts.cvlsn);
        self.tell_at = None;
        self.outstanding = Some(Outstanding { from, to });
        let bytes_max = if buggify!("stream-small-batch") { 1 } else { self.config.batch_bytes };
        self.outputs.push_back(FeederOutput::SendEntries {
            connection: self.connection,
            prev: self.sent,
            dvlsn: facts.dvlsn,
            cvlsn: facts.cvlsn,
            from,
            to,
            bytes_max,
            log_epoch: facts.log.epoch(),
        });
    }

    fn tell_watermarks(&mut self, facts: &FeederFacts<'_>) {
        let (connection, dvlsn, cvlsn) = (self.connection, facts.dvlsn, facts.cvlsn);
        self.told = (dvlsn, cvlsn);
        self.tell_at = None;
        self.send(FeederMessage::Watermarks { connection, dvlsn, cvlsn });
    }

    fn need_restore(&mut self, first: Vlsn, last: Option<LogPoint>) {
        self.send(FeederMessage::NeedsRestore { connection: self.connection, first });
        self.outputs.push_back(FeederOutput::NeedsRestore { first, last });
        self.phase = Phase::Restore;
        self.window.clear();
    }

    fn watch_for_stall(&mut self, now: Duration, moved: bool) {
        if self.window.in_flight() == 0 {
            self.stalled_at = None;
        } else if moved || self.stalled_at.is_none() {
            self.stalled_at = Some(now + self.config.stall_timeout);
        }
    }

    fn send(&mut self, message: FeederMessage) {
        self.outputs.push_back(FeederOutput::Send(message));
    }

    fn close(&mut self, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.outputs.push_back(FeederOutput::Close(reason));
    }
}
