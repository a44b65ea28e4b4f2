//! The receiving side: one value per connection to a source.
//!
//! A replica shows its log, cuts what the source's log contradicts, then takes batches that continue its
//! last entry and nothing else. It acknowledges what its own disk has confirmed: written, or synced. It decides;
//! the node appends, cuts, writes and syncs, and tells it when that is done.

use crate::config::ReplicaConfig;
use crate::error::{Breach, CloseReason, PeerError};
use crate::handshake::{Handshake, SyncUp};
use crate::message::{Connection, FeederMessage, ReplicaMessage};
use crate::syncup::{Offer, Plan, plan, point_in};
use crate::wire::check_batch;
use rep_vlsn::{
    Batch, GroupId, LogPoint, LogView, NodeId, SyncClass, Term, Vlsn, mutant, sometimes,
};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// What a replica looks at in each step. It keeps none of it.
#[derive(Clone, Copy, Debug)]
pub struct ReplicaFacts<'a> {
    /// The log that is filled.
    pub log: &'a LogView,
    /// What this node knows to be durable in the group.
    pub dvlsn: Vlsn,
    /// The group, once known.
    pub group: Option<GroupId>,
    /// The node's promise. Above the stream's term the replica does nothing more.
    pub fence_term: Term,
}

/// What a replica wants done, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplicaOutput {
    /// Send a message.
    Send(ReplicaMessage),
    /// Cut the log after `keep`, durably, then say [`Replica::handle_truncated`]. The entries dropped are
    /// worth an event.
    Truncate {
        /// The last entry that stays.
        keep: LogPoint,
        /// The entries that go.
        dropped: RangeInclusive<Vlsn>,
    },
    /// Append the entries to the log's view before the next message, then say
    /// [`Replica::handle_appended`].
    Append(Batch),
    /// The watermarks rose. They cover only entries that this connection has matched.
    Watermarks {
        /// Durable in the group up to here.
        dvlsn: Vlsn,
        /// Acknowledged in the group up to here.
        cvlsn: Vlsn,
    },
    /// Sync-up is done.
    InSync,
    /// The source's log begins after what we need.
    NeedsRestore {
        /// The source's first entry.
        source_first: Vlsn,
    },
    /// A belief of the protocol is broken: the node halts.
    Breach(Breach),
    /// Close the connection.
    Close(CloseReason),
}

/// Counters of one replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReplicaStats {
    /// Messages of another connection, and entries that came between two sync-ups.
    pub dropped_messages: u64,
    /// Handshakes sent.
    pub sync_ups: u64,
    /// Batches taken.
    pub batches: u64,
    /// Bytes of records taken.
    pub bytes: u64,
    /// Entries cut from the log.
    pub entries_dropped: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// The handshake is out.
    Probing { until: Duration },
    /// The log is being cut.
    Truncating { keep: LogPoint },
    /// Batches are taken.
    Streaming,
    /// Nothing more happens.
    Closed,
}

/// The receiving side of one stream.
#[derive(Debug)]
pub struct Replica {
    config: ReplicaConfig,
    connection: Connection,
    source: NodeId,
    group: Option<GroupId>,
    phase: Phase,
    /// The last entry known to be the source's too.
    matched: LogPoint,
    told: (Vlsn, Vlsn),
    taken: (Vlsn, Vlsn),
    acked: (LogPoint, LogPoint),
    unacked_bytes: usize,
    /// The last entry that is to be acknowledged as soon as it is written.
    lazy: Vlsn,
    ack_at: Option<Duration>,
    attempts: u32,
    outputs: VecDeque<ReplicaOutput>,
    stats: ReplicaStats,
}

impl Replica {
    /// A replica that dialled `source`. Its first output is the handshake; the node has made its promise
    /// of the stream's term durable before that leaves, and no cut of the log is under way.
    ///
    /// # Panics
    ///
    /// If the configuration does not pass [`ReplicaConfig::check`].
    pub fn new(
        config: ReplicaConfig,
        connection: Connection,
        source: NodeId,
        now: Duration,
        facts: &ReplicaFacts<'_>,
    ) -> Self {
        config.check().expect("the configuration was checked");
        let mut replica = Replica {
            config,
            connection,
            source,
            group: None,
            phase: Phase::Closed,
            matched: LogPoint::NULL,
            told: (Vlsn::NULL, Vlsn::NULL),
            taken: (facts.dvlsn, facts.dvlsn),
            acked: (LogPoint::NULL, LogPoint::NULL),
            unacked_bytes: 0,
            lazy: Vlsn::NULL,
            ack_at: None,
            attempts: 0,
            outputs: VecDeque::new(),
            stats: ReplicaStats::default(),
        };
        replica.shake_hands(now, facts);
        replica
    }

    /// The source said something.
    ///
    /// # Errors
    ///
    /// If no correct feeder says that. The replica has stopped; close the connection.
    pub fn handle_message(
        &mut self,
        now: Duration,
        message: FeederMessage,
        facts: &ReplicaFacts<'_>,
    ) -> Result<(), PeerError> {
        if message.connection() != self.connection {
            self.stats.dropped_messages += 1;
            return Ok(());
        }
        if self.is_over(facts) {
            return Ok(());
        }
        let outcome = self.take(now, message, facts);
        if outcome.is_err() {
            self.phase = Phase::Closed;
        }
        outcome
    }

    /// The cut asked for is durable, and the log's view knows it.
    pub fn handle_truncated(&mut self, now: Duration, facts: &ReplicaFacts<'_>) {
        if self.is_over(facts) {
            return;
        }
        let Phase::Truncating { keep } = self.phase else { return };
        assert_eq!(facts.log.last(), keep, "the log ends where it was cut");
        self.be_ready(now, facts);
    }

    /// The entries asked for are in the log's view.
    pub fn handle_appended(&mut self, now: Duration, facts: &ReplicaFacts<'_>) {
        if self.is_over(facts) || self.phase != Phase::Streaming {
            return;
        }
        let unsynced = mutant!("stream-ack-before-sync");
        let unwritten = mutant!("dur-ack-unwritten");
        if unsynced || unwritten {
            return self.acknowledge(facts);
        }
        if facts.log.last() != self.acked.1 && self.ack_at.is_none() {
            self.ack_at = Some(now + self.config.ack_delay);
        }
    }

    /// The log's written point moved. Where only the sync is waited for, this is worth no message of its own, unless
    /// the source's window may be waiting for it.
    pub fn handle_written(&mut self, _now: Duration, facts: &ReplicaFacts<'_>) {
        if self.is_over(facts) || self.phase != Phase::Streaming {
            return;
        }
        let news = facts.log.written() > self.acked.1.vlsn;
        let waited_for = self.lazy > self.acked.1.vlsn;
        if news && (waited_for || self.unacked_bytes >= self.config.ack_bytes) {
            self.acknowledge(facts);
        }
    }

    /// The log's synced point moved.
    pub fn handle_synced(&mut self, _now: Duration, facts: &ReplicaFacts<'_>) {
        if !self.is_over(facts) {
            self.acknowledge(facts);
        }
    }

    /// When to call [`Replica::handle_timeout`], and why.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        match self.phase {
            Phase::Probing { until } => Some((until, "answer to the handshake")),
            Phase::Streaming => self.ack_at.map(|at| (at, "delayed acknowledgement")),
            Phase::Truncating { .. } | Phase::Closed => None,
        }
    }

    /// The clock reached [`Replica::next_timeout`].
    pub fn handle_timeout(&mut self, now: Duration, facts: &ReplicaFacts<'_>) {
        if self.is_over(facts) || self.next_timeout().is_none_or(|(at, _)| now < at) {
            return;
        }
        match self.phase {
            Phase::Probing { .. } => self.close(CloseReason::TimedOut {
                what: "answer to the handshake",
                after: self.config.handshake_timeout,
            }),
            Phase::Streaming => self.acknowledge(facts),
            Phase::Truncating { .. } | Phase::Closed => {}
        }
    }

    /// The next thing to do; drain it until `None` after every step.
    pub fn poll_output(&mut self) -> Option<ReplicaOutput> {
        self.outputs.pop_front()
    }

    /// Whether the log continues the source's: past sync-up, on this connection.
    pub fn in_sync(&self) -> bool {
        self.phase == Phase::Streaming
    }

    /// The stream.
    pub fn connection(&self) -> Connection {
        self.connection
    }

    /// Where the entries come from.
    pub fn source(&self) -> NodeId {
        self.source
    }

    /// The source's group, once it has said it.
    pub fn group(&self) -> Option<GroupId> {
        self.group
    }

    /// The last entry known to be the source's too; [`LogPoint::NULL`] before sync-up.
    pub fn matched(&self) -> LogPoint {
        self.matched
    }

    /// Whether nothing more happens.
    pub fn is_closed(&self) -> bool {
        self.phase == Phase::Closed
    }

    /// Counters.
    pub fn stats(&self) -> ReplicaStats {
        self.stats
    }

    /// What must hold of every replica between steps.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self, facts: &ReplicaFacts<'_>) {
        if self.phase == Phase::Streaming {
            assert_eq!(self.matched, facts.log.last(), "only this stream appends");
            assert!(self.acked.0.vlsn <= facts.log.synced(), "acknowledged means synced");
            assert!(self.acked.1.vlsn <= facts.log.written(), "acknowledged means written");
        }
    }

    fn take(
        &mut self,
        now: Duration,
        message: FeederMessage,
        facts: &ReplicaFacts<'_>,
    ) -> Result<(), PeerError> {
        match message {
            FeederMessage::SyncUp(sync_up) => self.on_sync_up(now, sync_up, facts),
            FeederMessage::Batch { prev, dvlsn, cvlsn, entries, .. } => {
                self.on_batch(now, prev, entries, (dvlsn, cvlsn), facts)
            }
            FeederMessage::Watermarks { dvlsn, cvlsn, .. } => {
                if self.phase == Phase::Streaming {
                    self.hear_watermarks(dvlsn, cvlsn);
                }
                Ok(())
            }
            FeederMessage::NeedsRestore { first, .. } => {
                self.need_restore(first);
                Ok(())
            }
            FeederMessage::Refused { reason, .. } => {
                self.close(CloseReason::Refused(reason));
                Ok(())
            }
        }
    }

    fn on_sync_up(
        &mut self,
        now: Duration,
        sync_up: SyncUp,
        facts: &ReplicaFacts<'_>,
    ) -> Result<(), PeerError> {
        if !matches!(self.phase, Phase::Probing { .. }) {
            return Err(PeerError::Unexpected { message: "SyncUp", phase: "not asking for it" });
        }
        sync_up.check()?;
        if let Some(ours) = facts.group.filter(|ours| *ours != sync_up.group) {
            return Err(PeerError::WrongGroup { ours, theirs: sync_up.group });
        }
        self.group = Some(sync_up.group);
        self.told = (sync_up.dvlsn, sync_up.cvlsn);
        match plan(&sync_up, facts)? {
            Plan::Keep => self.be_ready(now, facts),
            Plan::Truncate { keep, dropped } => self.truncate(keep, dropped),
            Plan::Halt(breach) => self.halt(breach),
            Plan::OutOfReach => self.need_restore(sync_up.matchpoint.vlsn.next()),
        }
        Ok(())
    }

    fn truncate(&mut self, keep: LogPoint, dropped: RangeInclusive<Vlsn>) {
        self.phase = Phase::Truncating { keep };
        sometimes!(dropped.end().distance_from(keep.vlsn) > 8, "stream-long-rollback");
        self.stats.entries_dropped += dropped.end().distance_from(keep.vlsn);
        self.outputs.push_back(ReplicaOutput::Truncate { keep, dropped });
    }

    fn be_ready(&mut self, _now: Duration, facts: &ReplicaFacts<'_>) {
        self.phase = Phase::Streaming;
        self.matched = facts.log.last();
        self.acked = (LogPoint::NULL, LogPoint::NULL);
        self.lazy = Vlsn::NULL;
        let (connection, at) = (self.connection, self.matched);
        self.send(ReplicaMessage::Ready { connection, at });
        self.outputs.push_back(ReplicaOutput::InSync);
        self.take_watermarks();
        self.acknowledge(facts);
    }

    /// A batch that does not continue our last entry is no reason to guess: ask again where the logs part.
    fn on_batch(
        &mut self,
        now: Duration,
        prev: LogPoint,
        entries: Batch,
        (dvlsn, cvlsn): (Vlsn, Vlsn),
        facts: &ReplicaFacts<'_>,
    ) -> Result<(), PeerError> {
        if self.phase != Phase::Streaming {
            self.stats.dropped_messages += 1;
            return Ok(());
        }
        check_batch(prev, &entries)?;
        if entries.last().term > self.connection.term {
            let (stream, entry) = (self.connection.term, entries.last());
            return Err(PeerError::TermAboveStream { stream, entry });
        }
        if mutant!("stream-skip-predecessor-check") {
            self.append(entries);
            self.hear_watermarks(dvlsn, cvlsn);
        } else if prev != facts.log.last() {
            sometimes!(true, "stream-batch-does-not-continue");
            self.shake_hands(now, facts);
        } else if entries.prev_crc() != facts.log.last_crc() {
            self.halt(Breach::Forked { at: prev });
        } else if !facts.log.accepts(prev, &entries) {
            return Err(PeerError::DoesNotFollow { prev, first: entries.first_point() });
        } else {
            self.append(entries);
            self.hear_watermarks(dvlsn, cvlsn);
        }
        Ok(())
    }

    fn append(&mut self, entries: Batch) {
        self.attempts = 0;
        self.matched = entries.last();
        self.stats.batches += 1;
        self.stats.bytes += entries.byte_len() as u64;
        self.unacked_bytes += entries.byte_len();
        let lazy = entries.records().iter().rev().find(|record| wants_no_sync(record));
        self.lazy = lazy.map_or(self.lazy, |record| record.point().vlsn);
        self.outputs.push_back(ReplicaOutput::Append(entries));
    }

    /// Says what has been written and what has been synced, if either rose.
    fn acknowledge(&mut self, facts: &ReplicaFacts<'_>) {
        if self.phase != Phase::Streaming {
            return;
        }
        self.unacked_bytes = 0;
        self.ack_at = None;
        let Some(mut received) = point_in(facts.log, facts.log.written()) else { return };
        let unsynced = mutant!("stream-ack-before-sync");
        let unwritten = mutant!("dur-ack-unwritten");
        if unsynced || unwritten {
            received = facts.log.last();
        }
        let Some(mut synced) = point_in(facts.log, facts.log.synced()) else { return };
        if unsynced {
            synced = received;
        }
        if (synced, received) != self.acked {
            self.acked = (synced, received);
            let connection = self.connection;
            self.send(ReplicaMessage::Ack { connection, synced, received });
        }
    }

    fn hear_watermarks(&mut self, dvlsn: Vlsn, cvlsn: Vlsn) {
        self.told = (self.told.0.max(dvlsn), self.told.1.max(cvlsn).max(dvlsn));
        self.take_watermarks();
    }

    /// A watermark covers the source's entries. It is ours only as far as our entries are known to be the
    /// source's; what lies beyond is taken when it has been matched.
    fn take_watermarks(&mut self) {
        let unlimited = mutant!("stream-watermark-unlimited");
        let limit = if unlimited { Vlsn::new(u64::MAX) } else { self.matched.vlsn };
        let (dvlsn, cvlsn) = (self.told.0.min(limit), self.told.1.min(limit));
        let next = (self.taken.0.max(dvlsn), self.taken.1.max(cvlsn));
        if next != self.taken {
            self.taken = next;
            let (dvlsn, cvlsn) = next;
            self.outputs.push_back(ReplicaOutput::Watermarks { dvlsn, cvlsn });
        }
    }

    fn shake_hands(&mut self, now: Duration, facts: &ReplicaFacts<'_>) {
        if self.attempts >= self.config.sync_ups_max {
            return self.close(CloseReason::SyncUpsExhausted { attempts: self.attempts });
        }
        let until = now + self.config.handshake_timeout;
        self.phase = Phase::Probing { until };
        if self.is_over(facts) {
            return;
        }
        self.attempts += 1;
        self.stats.sync_ups += 1;
        self.matched = LogPoint::NULL;
        let offer = Offer::of(facts.log);
        self.send(ReplicaMessage::Handshake(Handshake {
            connection: self.connection,
            group: facts.group,
            node: self.config.me,
            incarnation: self.config.incarnation,
            first: facts.log.first(),
            last: offer.last,
            synced: facts.log.synced(),
            dvlsn: facts.dvlsn,
            history: offer.history,
            attributes: self.config.attributes.clone(),
        }));
    }

    /// Below its fence a node does nothing for a stream.
    fn is_over(&mut self, facts: &ReplicaFacts<'_>) -> bool {
        if !self.is_closed() && facts.fence_term > self.connection.term {
            self.close(CloseReason::Fenced { fence: facts.fence_term });
        }
        self.is_closed()
    }

    fn need_restore(&mut self, source_first: Vlsn) {
        self.phase = Phase::Closed;
        self.outputs.push_back(ReplicaOutput::NeedsRestore { source_first });
    }

    fn halt(&mut self, breach: Breach) {
        self.phase = Phase::Closed;
        self.outputs.push_back(ReplicaOutput::Breach(breach));
    }

    fn close(&mut self, reason: CloseReason) {
        self.phase = Phase::Closed;
        self.outputs.push_back(ReplicaOutput::Close(reason));
    }

    fn send(&mut self, message: ReplicaMessage) {
        self.outputs.push_back(ReplicaOutput::Send(message));
    }
}

fn wants_no_sync(record: &rep_vlsn::Record) -> bool {
    match record.header().flags.replica_sync {
        SyncClass::Sync => false,
        SyncClass::WriteNoSync | SyncClass::NoSync => true,
    }
}
