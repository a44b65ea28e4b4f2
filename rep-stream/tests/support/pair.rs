//! Two ends in one test. Frames are encoded, queued and decoded; time jumps; every step is the test's to take.
#![allow(dead_code)] // each test crate uses its own part

use bytes::Bytes;
use rep_stream::{
    AckTable, Breach, CloseReason, Connection, Feeder, FeederConfig, FeederFacts, FeederMessage,
    FeederOutput, PeerError, Replica, ReplicaConfig, ReplicaFacts, ReplicaMessage, ReplicaOutput,
    commit_point,
};
use rep_vlsn::{
    Batch, Draft, Flags, GroupId, Incarnation, Kind, LogPoint, LogView, NodeId, Record, Term, Vlsn,
};
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

pub(crate) const GROUP: GroupId = GroupId([7; 16]);
pub(crate) const FEEDER: NodeId = NodeId::new(1);
pub(crate) const REPLICA: NodeId = NodeId::new(2);
pub(crate) const MS: Duration = Duration::from_millis(1);

pub(crate) fn point(term: u64, vlsn: u64) -> LogPoint {
    LogPoint::new(Term::new(term), Vlsn::new(vlsn))
}

/// A log in memory: what a log writer and its files would hold.
#[derive(Clone, Debug, Default)]
pub(crate) struct ModelLog {
    pub(crate) view: LogView,
    pub(crate) records: Vec<Record>,
}

impl ModelLog {
    /// `runs` of (term, entries), all synced.
    pub(crate) fn of(runs: &[(u64, u64)]) -> Self {
        let mut log = ModelLog::default();
        for (term, entries) in runs {
            (0..*entries).for_each(|_| log.write(*term, Flags::default(), 0));
        }
        log.sync();
        log
    }

    /// The next entry of `term`; its content follows from its place, so equal points are equal entries.
    pub(crate) fn write(&mut self, term: u64, flags: Flags, bytes: usize) {
        let place = LogPoint::new(Term::new(term), self.view.last().vlsn.next());
        let opens = place.term > self.view.last().term;
        let draft = if opens {
            Draft::opening(Kind::TermStart, NodeId::new(term as u32), b"opened")
        } else {
            let mut payload = place.to_string().into_bytes();
            payload.resize(payload.len().max(bytes), b'.');
            Draft::new(Kind::Data, flags, &payload)
        };
        let record = draft.stamp(place, self.view.last_crc(), 0);
        self.append(record);
    }

    pub(crate) fn append(&mut self, record: Record) {
        self.view.append(&record);
        self.records.push(record);
    }

    pub(crate) fn sync(&mut self) -> bool {
        self.view.mark_synced(self.view.last(), self.view.epoch())
    }

    fn cut(&mut self, keep: LogPoint) {
        self.view.truncate(keep);
        self.records.truncate(keep.vlsn.get() as usize);
    }

    fn cut_is_durable(&mut self) {
        self.view.truncated(self.records.last().map_or(0, Record::header_crc));
    }

    /// The bytes that a reader gives: at least one record, then as many as fit.
    fn read(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Vec<Record> {
        let mut bytes = 0;
        self.records[from.get() as usize - 1..to.get() as usize]
            .iter()
            .take_while(|record| {
                bytes += record.bytes().len();
                bytes == record.bytes().len() || bytes <= bytes_max
            })
            .cloned()
            .collect()
    }
}

/// The most interesting things that happened, for assertions.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) rollbacks: Vec<RangeInclusive<Vlsn>>,
    pub(crate) breach: Option<Breach>,
    pub(crate) needs_restore: Option<Vlsn>,
    pub(crate) feeder_closed: Option<CloseReason>,
    pub(crate) replica_closed: Option<CloseReason>,
    pub(crate) errors: Vec<PeerError>,
    pub(crate) acked: Option<(LogPoint, LogPoint)>,
    pub(crate) batches_bytes: Vec<usize>,
    pub(crate) watermarks: Vec<(Vlsn, Vlsn)>,
    pub(crate) acks_sent: usize,
}

#[derive(Debug)]
pub(crate) struct Pair {
    pub(crate) now: Duration,
    pub(crate) term: u64,
    pub(crate) epoch: u64,
    pub(crate) source: ModelLog,
    pub(crate) copy: ModelLog,
    pub(crate) feeder: Feeder,
    pub(crate) replica: Replica,
    pub(crate) feeder_config: FeederConfig,
    pub(crate) replica_config: ReplicaConfig,
    pub(crate) to_replica: VecDeque<Bytes>,
    pub(crate) to_feeder: VecDeque<Bytes>,
    pub(crate) sending: Option<FeederOutput>,
    pub(crate) cutting: bool,
    /// The replica's writer waits to be told.
    pub(crate) slow_writer: bool,
    pub(crate) table: AckTable,
    pub(crate) dvlsn: Vlsn,
    pub(crate) copy_dvlsn: Vlsn,
    pub(crate) fence: Term,
    /// A forged message said what is not so, and no feeder can tell.
    pub(crate) lied: bool,
    pub(crate) seen: Seen,
    pub(crate) trace: Vec<String>,
}

impl Pair {
    /// Both ends of the first connection of `term`, the replica knowing `copy_dvlsn` to be durable.
    pub(crate) fn new(term: u64, source: ModelLog, copy: ModelLog, copy_dvlsn: u64) -> Self {
        let replica_config = ReplicaConfig::new(REPLICA, Incarnation([2; 16]));
        Pair::with(term, source, copy, copy_dvlsn, FeederConfig::default(), replica_config)
    }

    pub(crate) fn with(
        term: u64,
        source: ModelLog,
        copy: ModelLog,
        copy_dvlsn: u64,
        feeder_config: FeederConfig,
        replica_config: ReplicaConfig,
    ) -> Self {
        let connection = Connection { term: Term::new(term), epoch: 1 };
        let (now, copy_dvlsn) = (Duration::ZERO, Vlsn::new(copy_dvlsn));
        let fence = Term::new(term);
        let facts = ReplicaFacts {
            log: &copy.view,
            dvlsn: copy_dvlsn,
            group: Some(GROUP),
            fence_term: fence,
        };
        let replica = Replica::new(replica_config.clone(), connection, FEEDER, now, &facts);
        let feeder = Feeder::new(feeder_config.clone(), connection, REPLICA, now);
        let mut pair = Pair {
            now,
            term,
            epoch: 1,
            source,
            copy,
            feeder,
            replica,
            feeder_config,
            replica_config,
            to_replica: VecDeque::new(),
            to_feeder: VecDeque::new(),
            sending: None,
            cutting: false,
            slow_writer: false,
            table: AckTable::new(),
            dvlsn: Vlsn::NULL,
            copy_dvlsn,
            fence,
            lied: false,
            seen: Seen::default(),
            trace: Vec::new(),
        };
        pair.drain();
        pair
    }

    /// The connection is lost with all that was on its way; the replica dials again.
    pub(crate) fn reset(&mut self) {
        self.trace.push("-- connection reset".into());
        self.to_replica.clear();
        self.to_feeder.clear();
        self.sending = None;
        if std::mem::take(&mut self.cutting) {
            self.copy.cut_is_durable();
        }
        self.epoch += 1;
        let connection = self.connection();
        self.feeder = Feeder::new(self.feeder_config.clone(), connection, REPLICA, self.now);
        let facts = ReplicaFacts {
            log: &self.copy.view,
            dvlsn: self.copy_dvlsn,
            group: Some(GROUP),
            fence_term: self.fence,
        };
        let config = self.replica_config.clone();
        self.replica = Replica::new(config, connection, FEEDER, self.now, &facts);
        self.drain();
    }

    pub(crate) fn connection(&self) -> Connection {
        Connection { term: Term::new(self.term), epoch: self.epoch }
    }

    /// The master writes `entries` of the stream's term.
    pub(crate) fn write(&mut self, entries: usize, bytes: usize) {
        self.write_with(entries, bytes, Flags::default());
    }

    pub(crate) fn write_with(&mut self, entries: usize, bytes: usize, flags: Flags) {
        (0..entries).for_each(|_| self.source.write(self.term, flags, bytes));
        self.source.sync();
        self.count();
        self.with_feeder(|feeder, now, facts| feeder.pump(now, facts));
    }

    /// Takes the next frame off the wire at the replica. Tells whether there was one.
    pub(crate) fn deliver_to_replica(&mut self) -> bool {
        let Some(frame) = self.to_replica.pop_front() else { return false };
        match FeederMessage::decode(frame) {
            Ok(message) => self.hand_to_replica(message),
            Err(error) => self.error("replica", error),
        }
        true
    }

    pub(crate) fn deliver_to_feeder(&mut self) -> bool {
        let Some(frame) = self.to_feeder.pop_front() else { return false };
        match ReplicaMessage::decode(frame) {
            Ok(message) => self.hand_to_feeder(message),
            Err(error) => self.error("feeder", error),
        }
        true
    }

    pub(crate) fn hand_to_replica(&mut self, message: FeederMessage) {
        let outcome =
            self.with_replica(|replica, now, facts| replica.handle_message(now, message, facts));
        if let Err(error) = outcome {
            self.error("replica", error);
        }
    }

    pub(crate) fn hand_to_feeder(&mut self, message: ReplicaMessage) {
        let outcome =
            self.with_feeder(|feeder, now, facts| feeder.handle_message(now, message, facts));
        if let Err(error) = outcome {
            self.error("feeder", error);
        }
    }

    /// The sender's thread does what it was asked to, and reports it at once.
    pub(crate) fn carry_out_send(&mut self) -> bool {
        let Some((last, bytes)) = self.put_on_wire() else { return false };
        self.with_feeder(|feeder, now, facts| feeder.handle_sent(now, last, bytes, facts));
        true
    }

    /// The sender's thread does what it was asked to; its report is still under way.
    pub(crate) fn put_on_wire(&mut self) -> Option<(LogPoint, usize)> {
        let order = self.sending.take()?;
        let FeederOutput::SendEntries { from, to, bytes_max, .. } = order else { unreachable!() };
        let records = self.source.read(from, to, bytes_max);
        let bytes = records.iter().map(|record| record.bytes().len()).sum();
        let last = records.last().unwrap().point();
        let mut frame = order.batch_header().unwrap().encode().to_vec();
        records.iter().for_each(|record| frame.extend_from_slice(record.bytes()));
        self.trace.push(format!("F> Batch {from}..={}", last.vlsn));
        self.to_replica.push_back(frame.into());
        self.seen.batches_bytes.push(bytes);
        Some((last, bytes))
    }

    /// The replica's writer has handed everything to its operating system.
    pub(crate) fn write_replica(&mut self) -> bool {
        let (last, epoch) = (self.copy.view.last(), self.copy.view.epoch());
        if self.cutting || !self.copy.view.mark_written(last, epoch) {
            return false;
        }
        self.with_replica(|replica, now, facts| replica.handle_written(now, facts));
        true
    }

    /// The replica's disk finishes a sync.
    pub(crate) fn sync_replica(&mut self) -> bool {
        if self.cutting || !self.copy.sync() {
            return false;
        }
        self.with_replica(|replica, now, facts| replica.handle_synced(now, facts));
        true
    }

    /// The replica's disk finishes a cut.
    pub(crate) fn finish_cut(&mut self) -> bool {
        if !std::mem::take(&mut self.cutting) {
            return false;
        }
        self.copy.cut_is_durable();
        self.with_replica(|replica, now, facts| replica.handle_truncated(now, facts));
        true
    }

    /// Time jumps to the next deadline of either end.
    pub(crate) fn jump(&mut self) -> bool {
        let deadlines = [self.feeder.next_timeout(), self.replica.next_timeout()];
        let Some((at, _)) = deadlines.into_iter().flatten().min() else { return false };
        self.now = self.now.max(at);
        self.with_feeder(|feeder, now, facts| feeder.handle_timeout(now, facts));
        self.with_replica(|replica, now, facts| replica.handle_timeout(now, facts));
        true
    }

    /// Runs everything but time until nothing moves.
    pub(crate) fn run(&mut self) {
        for _ in 0..100_000 {
            let moved = self.deliver_to_replica()
                | self.deliver_to_feeder()
                | self.carry_out_send()
                | self.finish_cut()
                | self.sync_replica();
            if !moved {
                return;
            }
        }
        panic!("the pair never comes to rest");
    }

    pub(crate) fn with_replica<T>(
        &mut self,
        step: impl FnOnce(&mut Replica, Duration, &ReplicaFacts<'_>) -> T,
    ) -> T {
        let facts = ReplicaFacts {
            log: &self.copy.view,
            dvlsn: self.copy_dvlsn,
            group: Some(GROUP),
            fence_term: self.fence,
        };
        let result = step(&mut self.replica, self.now, &facts);
        self.drain();
        result
    }

    pub(crate) fn with_feeder<T>(
        &mut self,
        step: impl FnOnce(&mut Feeder, Duration, &FeederFacts<'_>) -> T,
    ) -> T {
        let send_limit =
            if self.feeder_config.relay { self.dvlsn } else { self.source.view.last().vlsn };
        let (dvlsn, cvlsn) = (self.dvlsn, self.dvlsn);
        let facts = FeederFacts { log: &self.source.view, dvlsn, cvlsn, group: GROUP, send_limit };
        let result = step(&mut self.feeder, self.now, &facts);
        if !self.feeder.is_closed() {
            self.feeder.invariants(&facts);
        }
        self.drain();
        result
    }

    fn drain(&mut self) {
        while let Some(output) = self.feeder.poll_output() {
            self.do_for_feeder(output);
        }
        while let Some(output) = self.replica.poll_output() {
            self.do_for_replica(output);
        }
    }

    fn do_for_feeder(&mut self, output: FeederOutput) {
        match output {
            FeederOutput::Send(message) => {
                self.trace.push(format!("F> {}", told_by_feeder(&message)));
                self.to_replica.push_back(message.encode());
            }
            FeederOutput::SendEntries { .. } => {
                assert!(self.sending.is_none(), "one range at a time");
                self.sending = Some(output);
            }
            FeederOutput::Acked { synced, received } => {
                self.trace.push(format!("F: acked synced {synced} received {received}"));
                let vouched = self.copy.view.synced() >= synced.vlsn;
                assert!(vouched || self.lied, "an ack vouches for a sync");
                self.seen.acked = Some((synced, received));
                self.table.observe(REPLICA, Incarnation([2; 16]), synced, received);
                self.count();
                self.with_feeder(|feeder, now, facts| feeder.pump(now, facts));
            }
            FeederOutput::InSync { at } => self.trace.push(format!("F: in sync at {at}")),
            FeederOutput::NeedsRestore { first, .. } => {
                self.trace.push(format!("F: needs restore, log begins at {first}"));
            }
            FeederOutput::Close(reason) => {
                self.trace.push(format!("F: close, {reason}"));
                self.seen.feeder_closed = Some(reason);
            }
        }
    }

    fn do_for_replica(&mut self, output: ReplicaOutput) {
        match output {
            ReplicaOutput::Send(message) => {
                self.trace.push(format!("R> {}", told_by_replica(&message)));
                self.seen.acks_sent += usize::from(matches!(message, ReplicaMessage::Ack { .. }));
                self.to_feeder.push_back(message.encode());
            }
            ReplicaOutput::Truncate { keep, dropped } => {
                self.trace.push(format!(
                    "R: truncate after {keep}, dropping {}..={}",
                    dropped.start(),
                    dropped.end()
                ));
                assert!(keep.vlsn >= self.copy_dvlsn, "nothing durable is cut");
                assert_eq!(*dropped.start(), keep.vlsn.next());
                assert_eq!(*dropped.end(), self.copy.view.last().vlsn);
                self.copy.cut(keep);
                self.cutting = true;
                self.seen.rollbacks.push(dropped);
            }
            ReplicaOutput::Append(batch) => self.append(batch),
            ReplicaOutput::Watermarks { dvlsn, cvlsn } => {
                self.trace.push(format!("R: watermarks dvlsn {dvlsn} cvlsn {cvlsn}"));
                assert!(dvlsn <= self.copy.view.last().vlsn, "a watermark covers what is held");
                assert!(dvlsn >= self.copy_dvlsn, "a watermark never falls");
                self.copy_dvlsn = dvlsn;
                self.seen.watermarks.push((dvlsn, cvlsn));
                let shared = self.source.records.iter().zip(&self.copy.records);
                for (source, copy) in shared.take(dvlsn.get() as usize) {
                    assert_eq!(source, copy, "what is durable is the source's");
                }
            }
            ReplicaOutput::InSync => self.trace.push("R: in sync".into()),
            ReplicaOutput::NeedsRestore { source_first } => {
                self.trace.push(format!("R: needs restore, source begins at {source_first}"));
                self.seen.needs_restore = Some(source_first);
            }
            ReplicaOutput::Breach(breach) => {
                self.trace.push(format!("R: breach, {breach}"));
                self.seen.breach = Some(breach);
            }
            ReplicaOutput::Close(reason) => {
                self.trace.push(format!("R: close, {reason}"));
                self.seen.replica_closed = Some(reason);
            }
        }
    }

    fn append(&mut self, batch: Batch) {
        self.trace.push(format!("R: append {}..={}", batch.first(), batch.last().vlsn));
        batch.into_records().into_iter().for_each(|record| self.copy.append(record));
        self.with_replica(|replica, now, facts| {
            replica.handle_appended(now, facts);
            replica.invariants(facts);
        });
        if !self.slow_writer {
            self.write_replica();
        }
    }

    /// What a group of these two has made durable.
    fn count(&mut self) {
        let own = self.source.view.last();
        self.table.observe(FEEDER, Incarnation([1; 16]), own, own);
        let candidate = self.table.durable([FEEDER, REPLICA], 2);
        if let Some(dvlsn) = commit_point(candidate, &self.source.view, Term::new(self.term)) {
            self.dvlsn = self.dvlsn.max(dvlsn);
        }
    }

    fn error(&mut self, at: &str, error: PeerError) {
        self.trace.push(format!("{at} refuses: {error}"));
        self.seen.errors.push(error);
    }
}

fn told_by_feeder(message: &FeederMessage) -> String {
    match message {
        FeederMessage::SyncUp(it) => {
            format!("SyncUp matchpoint {} of {}, dvlsn {}", it.matchpoint, it.last, it.dvlsn)
        }
        FeederMessage::NeedsRestore { first, .. } => format!("NeedsRestore first {first}"),
        FeederMessage::Refused { reason, .. } => format!("Refused: {reason}"),
        FeederMessage::Watermarks { dvlsn, cvlsn, .. } => {
            format!("Watermarks dvlsn {dvlsn} cvlsn {cvlsn}")
        }
        FeederMessage::Batch { prev, .. } => format!("Batch after {prev}"),
    }
}

fn told_by_replica(message: &ReplicaMessage) -> String {
    match message {
        ReplicaMessage::Handshake(it) => {
            format!("Handshake {}..={} synced {} dvlsn {}", it.first, it.last, it.synced, it.dvlsn)
        }
        ReplicaMessage::Ready { at, .. } => format!("Ready at {at}"),
        ReplicaMessage::Ack { synced, received, .. } => {
            format!("Ack synced {synced} received {received}")
        }
    }
}
