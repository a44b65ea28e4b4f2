//! The runtime of a simulated process: what the threads of a real one do, one event at a time.
//!
//! Each input of the node is a step; its outputs are carried out in order, and after any of them the process may
//! be gone. The log writer, the promise writer, the applier and the writers of the peers' links are events of
//! their own, so that anything may happen between a thing asked for and the thing done.

use crate::disk::latency;
use crate::faults::Moment;
use crate::network::Side;
use crate::oracle::Watermark;
use crate::oracle::{Invariant, Violation, ensure};
use crate::process::{Crash, Live};
use crate::trace::digest;
use crate::world::{Event, World};
use bytes::{BufMut, BytesMut};
use rep_node::output::SendRange;
use rep_node::{
    ElectionMessage, FeederMessage, Link, Message, Node, Outcome, Output, PersistFailed, Persisted,
    ReplicaMessage, Request, Role, SendFailed,
};
use rep_store::{Entry, StateMachine};
use rep_vlsn::{GroupId, Kind, LogPoint, NodeId, ReadError, Record, Vlsn};
use std::time::Duration;

impl World {
    /// Gives the node an input and carries out what it asks for.
    pub(crate) fn step<R>(
        &mut self,
        id: NodeId,
        act: impl FnOnce(&mut Node, Duration) -> R,
    ) -> Option<R> {
        let now = self.now;
        let live = self.process_mut(id).live.as_mut()?;
        let local = live.clock.local(now);
        let result = act(&mut live.node, local);
        self.drain(id);
        Some(result)
    }

    pub(crate) fn drain(&mut self, id: NodeId) {
        loop {
            if self.crash_is_due(id) || self.failure.is_some() {
                return;
            }
            let Some(live) = self.process_mut(id).live.as_mut() else { return };
            let Some(output) = live.node.poll_output() else { break };
            // What is appended comes before what leans on it.
            if matches!(output, Output::Apply { .. } | Output::Resolve { .. }) {
                self.observe(id);
            }
            self.carry_out(id, output);
        }
        self.after_step(id);
    }

    /// An armed crash counts outputs; at zero the rest of them never happens.
    fn crash_is_due(&mut self, id: NodeId) -> bool {
        let Some(live) = self.process_mut(id).live.as_mut() else { return true };
        match &mut live.crash_in {
            Some((0, how)) => {
                let how = *how;
                self.crash(id, how);
                self.restart_later(id);
                true
            }
            Some((left, _)) => {
                *left -= 1;
                false
            }
            None => false,
        }
    }

    /// What the oracle sees of a node between two steps, and its next wake-up.
    fn after_step(&mut self, id: NodeId) {
        let now = self.now;
        let run = self.process(id).run;
        let Some(live) = self.process_mut(id).live.as_mut() else { return };
        let local = live.clock.local(now);
        live.front.admission = live.node.admission(local);
        live.front.group = live.node.group();
        let wake = live.node.next_timeout().map(|(at, _)| at.max(local));
        let wake = wake.filter(|at| live.wake.is_none_or(|armed| *at < armed));
        if let Some(at) = wake {
            live.wake = Some(at);
            let world = live.clock.world(at).max(now);
            let late = self.rngs.jitter.below(200_000);
            self.schedule.push(world + Duration::from_nanos(late), Event::Timer { id, run, at });
        }
        self.observe(id);
    }

    /// What the node claims to be durable.
    fn observe(&mut self, id: NodeId) {
        let Some(live) = self.live_mut(id) else { return };
        let is_master = live.node.role() == Role::Leader;
        let mark = Watermark { dvlsn: live.node.dvlsn(), term: live.node.term(), is_master };
        let checked = self.oracle.watermark(id, mark);
        self.check(checked);
        self.learn_commits();
    }

    pub(crate) fn timer(&mut self, id: NodeId, at: Duration) {
        let now = self.now;
        let Some(live) = self.process_mut(id).live.as_mut() else { return };
        if live.wake == Some(at) {
            live.wake = None;
        }
        let local = live.clock.local(now);
        let due = live.node.next_timeout().is_some_and(|(due, _)| due <= local);
        if due {
            self.note(id, &[10], || format!("n{} timer", id.get()));
            self.step(id, |node, now| node.handle_timeout(now));
        } else {
            self.after_step(id);
        }
    }

    fn carry_out(&mut self, id: NodeId, output: Output) {
        match output {
            Output::PersistFence(fence) => {
                self.note(id, &[20, fence.term.get()], || {
                    format!("n{} stores {fence:?}", id.get())
                });
                if let Some(live) = self.live_mut(id) {
                    live.fences.push_back(fence);
                }
                self.promise_writer(id);
                self.spring(id, Moment::FenceIssued);
            }
            Output::Append { group, records } => self.append(id, group, records),
            Output::Truncate { keep, epoch } => self.truncate(id, keep, epoch),
            Output::Send { link, message } => self.send(id, link, message),
            Output::SendEntries { link, range } => {
                self.acts(id, range.header.connection.term, "sends entries");
                let after = Duration::from_nanos(self.rngs.disk.latency_ns(20_000));
                let run = self.process(id).run;
                self.schedule.push(self.now + after, Event::SendEntries { id, run, link, range });
            }
            Output::Connect { peer, service } => {
                let dial =
                    crate::network::Dial { from: id, run: self.process(id).run, to: peer, service };
                let coming = self.network.dial(self.now, dial);
                self.net_coming(coming);
            }
            Output::Disconnect { link } => self.hang_up(id, link),
            Output::Apply { from, to } => self.apply(id, from, to),
            Output::Staged { request, point } => self.staged(id, request, point),
            Output::Resolve { request, outcome } => self.resolve(id, request, outcome),
            Output::Event(event) => self.heard(id, event),
            Output::Halt(reason) => {
                let what = format!("{id} halts: {reason}");
                self.fail(Violation { invariant: Invariant::ErrorHonesty, what });
            }
            other => self.fail(Violation {
                invariant: Invariant::ErrorHonesty,
                what: format!("the simulator does not know the output {other:?}"),
            }),
        }
    }

    pub(crate) fn acts(&mut self, id: NodeId, term: rep_vlsn::Term, how: &str) {
        let run = self.process(id).run;
        let checked = self.oracle.acts_as_master((id, run), term, how);
        self.check(checked);
    }

    // ---- the promise writer

    fn promise_writer(&mut self, id: NodeId) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        if live.promise_busy || live.fences.is_empty() {
            return;
        }
        live.promise_busy = true;
        let after = self.disk_latency(id, self.swarm.disk.sync);
        self.schedule.push(self.now + after, Event::FenceStored { id, run });
    }

    pub(crate) fn fence_stored(&mut self, id: NodeId) {
        let Some(live) = self.live_mut(id) else { return };
        live.promise_busy = false;
        let Some(fence) = live.fences.pop_front() else { return };
        let stored = live.promise.store(&fence.encode()).map_err(|error| error.to_string());
        if let Err(why) = stored {
            return self.disk_failed(id, PersistFailed::Fence, why);
        }
        if let Some(live) = self.live_mut(id) {
            live.stored = fence;
        }
        let checked = self.oracle.fence_durable(id, fence.term, fence.promised_to);
        self.check(checked);
        self.note(id, &[21, fence.term.get()], || format!("n{} has stored {fence:?}", id.get()));
        if self.spring(id, Moment::FenceStored) {
            return;
        }
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Fence(fence)));
        self.promise_writer(id);
    }

    // ---- the log writer

    fn append(&mut self, id: NodeId, group: GroupId, records: Vec<Record>) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        let leads = live.node.role() == Role::Leader;
        if let Err(error) = live.writer.set_group(group) {
            let what = format!("{id}: {error}");
            return self.fail(Violation { invariant: Invariant::ErrorHonesty, what });
        }
        live.tail.stage(&records);
        let last = records.last().map_or(LogPoint::NULL, Record::point);
        self.note(id, &[22, last.vlsn.get(), last.term.get()], || {
            format!("n{} appends {} entries up to {last}", id.get(), records.len())
        });
        let mut opened = false;
        for record in &records {
            let point = record.point();
            if leads && record.opener() == Some(id) && record.header().kind.opens_term() {
                opened = true;
                let checked = self.oracle.opens_term((id, run), point.term);
                self.check(checked);
            } else if leads {
                self.acts(id, point.term, "appends");
            }
            let checked = self.oracle.appended(id, point, record.bytes().clone());
            self.check(checked);
            if record.header().kind == Kind::GroupFounded {
                self.founded(record);
            }
        }
        self.log_writer(id);
        let moment = match (leads, opened) {
            (true, true) => Moment::Crowned,
            (true, false) => Moment::Logged,
            (false, _) => Moment::Received,
        };
        self.spring(id, moment);
    }

    fn founded(&mut self, record: &Record) {
        if let Ok(membership) = rep_node::Membership::from_record(record) {
            let members = membership.members.iter().map(|(id, member)| (*id, member.incarnation));
            self.oracle.founded(members.collect());
        }
    }

    fn log_writer(&mut self, id: NodeId) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        if live.log_busy {
            return;
        }
        if live.cut.is_some() {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
            self.schedule.push(self.now + after, Event::LogCut { id, run });
        } else if live.tail.unwritten_bytes() > 0 {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.write);
            self.schedule.push(self.now + after, Event::GroupWritten { id, run });
        }
    }

    pub(crate) fn group_written(&mut self, id: NodeId) {
        let durable = self.oracle.member(id).durable;
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let dvlsn = live.node.dvlsn();
        match live.writer.write_group(dvlsn).map_err(|error| error.to_string()) {
            Ok(None) => self.log_writer(id),
            Ok(Some(written)) => {
                live.log_busy = true;
                live.mark = durable;
                let last = written.last;
                self.note(id, &[23, last.vlsn.get()], || {
                    format!("n{} has written up to {last}", id.get())
                });
                if self.spring(id, Moment::Written) {
                    return;
                }
                let after = self.disk_latency(id, self.swarm.disk.sync);
                self.schedule.push(self.now + after, Event::GroupSynced { id, run });
            }
            Err(why) => self.disk_failed(id, PersistFailed::Log, why),
        }
    }

    pub(crate) fn group_synced(&mut self, id: NodeId) {
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let mark = live.mark;
        let synced = match live.writer.sync().map_err(|error| error.to_string()) {
            Ok(synced) => synced,
            Err(why) => return self.disk_failed(id, PersistFailed::Log, why),
        };
        let current = synced.epoch == live.tail.epoch();
        let (point, epoch) = (synced.point, synced.epoch);
        if current {
            self.oracle.synced(id, point, mark);
        }
        self.note(id, &[24, point.vlsn.get()], || {
            format!("n{} has synced up to {point}", id.get())
        });
        if self.spring(id, Moment::Synced) {
            return;
        }
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Log { point, epoch }));
        self.log_writer(id);
    }

    fn truncate(&mut self, id: NodeId, keep: LogPoint, epoch: rep_vlsn::Epoch) {
        let known = self.live_mut(id).map_or(Vlsn::NULL, |live| live.node.dvlsn());
        let last = self.oracle.member(id).log.len() as u64;
        self.note(id, &[25, keep.vlsn.get()], || {
            format!("n{} cuts {}..={last}", id.get(), keep.vlsn.next())
        });
        self.counts.rollbacks += 1;
        let checked = self.oracle.truncated(id, keep, known);
        self.check(checked);
        let Some(live) = self.live_mut(id) else { return };
        live.tail.truncate(keep, epoch);
        live.cut = Some((keep, epoch));
        live.dropped = Some((keep.vlsn.get() + 1, last));
        self.log_writer(id);
        self.spring(id, Moment::Cutting);
    }

    pub(crate) fn log_cut(&mut self, id: NodeId) {
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let Some((keep, epoch)) = live.cut.take() else { return };
        let done = match live.writer.truncate(keep, epoch).map_err(|error| error.to_string()) {
            Ok(done) => done,
            Err(why) => return self.disk_failed(id, PersistFailed::Log, why),
        };
        let (point, last_crc, epoch) = (done.point, done.last_crc, done.epoch);
        self.oracle.synced(id, point, 0);
        self.note(id, &[26, point.vlsn.get()], || format!("n{} has cut after {point}", id.get()));
        if self.spring(id, Moment::Cut) {
            return;
        }
        let done = Persisted::Truncated { point, epoch, last_crc };
        self.step(id, |node, now| node.handle_persisted(now, done));
        self.log_writer(id);
    }

    /// The disk said no: because it lost power in the middle of the operation, or by itself.
    fn disk_failed(&mut self, id: NodeId, what: PersistFailed, why: String) {
        if self.process(id).home.disk.crashed() {
            self.crash(id, Crash::PowerCut);
            return self.restart_later(id);
        }
        self.note(id, &[27], || format!("n{}: {why}", id.get()));
        self.step(id, |node, now| node.handle_persist_failed(now, what, why));
    }

    pub(crate) fn disk_latency(&mut self, id: NodeId, mean: Duration) -> Duration {
        // A disk may hang for longer than a master is suffered to wait for it, and not for ever.
        let most = self.swarm.election_timeout * 10;
        latency(&self.swarm.disk, &mut self.rngs.disk, id.get(), mean).min(most)
    }

    // ---- the applier

    fn apply(&mut self, id: NodeId, from: Vlsn, to: Vlsn) {
        let checked = self.oracle.applying(id, from, to);
        self.check(checked);
        let Some(live) = self.live_mut(id) else { return };
        live.apply = Some((from, to));
        self.applier(id);
    }

    fn applier(&mut self, id: NodeId) {
        let run = self.process(id).run;
        let after = Duration::from_nanos(self.rngs.disk.latency_ns(20_000));
        self.schedule.push(self.now + after, Event::Applied { id, run });
    }

    pub(crate) fn applied(&mut self, id: NodeId) {
        let bytes_max = self.rngs.disk.pick(&[1, 500, 4_000]) as usize;
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let Some((from, to)) = live.apply else { return };
        let batch = match live.reader.batch(from, to, bytes_max, live.tail.epoch()) {
            Ok(batch) => batch,
            Err(error) => {
                let what = format!("{id} cannot read {from}..={to} to apply it: {error}");
                return self.fail(Violation { invariant: Invariant::AppliedBound, what });
            }
        };
        let entries: Vec<Entry> = batch.records().iter().map(Entry::of).collect();
        let point = batch.last();
        let done = live.store.apply(&entries, &mut Vec::new());
        let due = live.plan.note_applied(live.clock.local(now), batch.byte_len());
        if due && live.store.checkpoint().is_ok() {
            live.plan.note_checkpoint();
        }
        live.apply = (point.vlsn < to).then(|| (point.vlsn.next(), to));
        let more = live.apply.is_some();
        let state = point.vlsn.get().is_multiple_of(8).then(|| live.store.digest().ok()).flatten();
        if let Err(error) = done {
            let what = format!("{id} cannot apply up to {point}: {error}");
            return self.fail(Violation { invariant: Invariant::AppliedBound, what });
        }
        self.note(id, &[28, point.vlsn.get()], || {
            format!("n{} has applied up to {point}", id.get())
        });
        let checked = self.oracle.applied(id, point, state.map(|state| state.0));
        self.check(checked);
        if more {
            self.applier(id);
        }
        self.step(id, |node, now| node.handle_applied(now, point));
    }

    // ---- links

    fn send(&mut self, id: NodeId, link: Link, message: Message) {
        let Some((conn, side)) = self.network.find(id, link.epoch) else { return };
        let moment = self.inspect(id, link, &message);
        let bytes = message.encode();
        let facts = [30, u64::from(link.peer.get()), digest(0, &bytes)];
        self.note(id, &facts, || {
            format!("n{} -> n{}: {}", id.get(), link.peer.get(), brief(&message))
        });
        let coming = self.network.send(self.now, conn, side, bytes);
        self.net_coming(coming);
        if let Some(moment) = moment {
            self.spring(id, moment);
        }
    }

    /// What leaves is what the oracle judges: it looks at it at the very moment.
    fn inspect(&mut self, id: NodeId, link: Link, message: &Message) -> Option<Moment> {
        let run = self.process(id).run;
        let stored = self.live_mut(id).map(|live| live.stored).unwrap_or_default();
        let (checked, moment) = match message {
            Message::Election(ElectionMessage::Promise(promise)) => {
                let durable = (stored.term, stored.promised_to);
                let promised = self.oracle.promise_leaves(id, promise.term, link.peer, durable);
                (promised, Moment::PromiseSent)
            }
            Message::Election(ElectionMessage::Solicit(ask)) => {
                (self.oracle.proposal_leaves((id, run), ask.term), Moment::SolicitSent)
            }
            Message::Election(ElectionMessage::Name(name)) => {
                (self.oracle.proposal_leaves((id, run), name.term), Moment::NameSent)
            }
            Message::Election(
                ElectionMessage::PreSolicit(_)
                | ElectionMessage::PreGrant(_)
                | ElectionMessage::Refuse(_),
            ) => return None,
            Message::Heartbeat { term, .. } => {
                self.acts(id, *term, "sends heartbeats");
                return None;
            }
            Message::HeartbeatReply { .. } | Message::Ping { .. } | Message::Pong { .. } => {
                return None;
            }
            Message::ToFeeder(ReplicaMessage::Ack { synced, .. }) => {
                (self.oracle.ack_leaves(id, *synced), Moment::AckSent)
            }
            // It says where the logs agree; nobody counts it as synced.
            Message::ToFeeder(ReplicaMessage::Ready { .. }) => return Some(Moment::ReadySent),
            Message::ToFeeder(ReplicaMessage::Handshake(_)) | Message::ToReplica(_) => return None,
        };
        self.check(checked);
        Some(moment)
    }

    /// A peer's writer thread: reads the range and sends it as one frame.
    pub(crate) fn send_entries(&mut self, id: NodeId, link: Link, range: SendRange) {
        let Some(live) = self.live_mut(id) else { return };
        let run = live.reader.read(range.from, range.to, range.bytes_max, range.log_epoch);
        let run = match run {
            Ok(run) => run,
            Err(error) => {
                let why = match error {
                    ReadError::Cleaned { first } => SendFailed::Cleaned { first },
                    ReadError::Truncated => SendFailed::Truncated,
                    _ => SendFailed::Damaged,
                };
                self.step(id, |node, now| node.handle_send_failed(now, link, why));
                return;
            }
        };
        let mut frame = BytesMut::with_capacity(64 + run.bytes);
        frame.put_slice(&range.header.encode());
        run.slices.iter().for_each(|slice| frame.put_slice(slice));
        let (last, bytes) = (run.last, run.bytes);
        let facts = [31, u64::from(link.peer.get()), last.vlsn.get()];
        self.note(id, &facts, || {
            let (from, dvlsn) = (range.from, range.header.dvlsn);
            format!(
                "n{} -> n{}: entries {from}..={last} (dvlsn {dvlsn})",
                id.get(),
                link.peer.get()
            )
        });
        if let Some((conn, side)) = self.network.find(id, link.epoch) {
            let coming = self.network.send(self.now, conn, side, frame.freeze());
            self.net_coming(coming);
        }
        if self.spring(id, Moment::EntriesSent) {
            return;
        }
        self.step(id, |node, now| node.handle_sent(now, link, last, bytes));
    }

    fn hang_up(&mut self, id: NodeId, link: Link) {
        self.note(id, &[32, link.epoch], || format!("n{} closes {link:?}", id.get()));
        if let Some((conn, side)) = self.network.find(id, link.epoch) {
            let coming = self.network.close(self.now, conn, side);
            self.net_coming(coming);
        }
    }

    /// A frame has come. `old`: it was sent on an earlier connection, and must change nothing.
    pub(crate) fn frame_came(
        &mut self,
        id: NodeId,
        link: Link,
        side: Side,
        frame: bytes::Bytes,
        old: bool,
    ) {
        let dialled = side == Side::Dialler;
        let facts = [33, u64::from(link.peer.get()), digest(1, &frame), u64::from(old)];
        self.note(id, &facts, || {
            let again = if old { " (of an earlier connection)" } else { "" };
            format!("n{} <- n{}: {} bytes{again}", id.get(), link.peer.get(), frame.len())
        });
        let message = match Message::decode(link.service, dialled, frame) {
            Ok(message) => message,
            Err(error) => return self.peer_erred(id, link, &error.to_string()),
        };
        let before = old.then(|| self.known_points(id));
        let handled = self.step(id, |node, now| node.handle_message(now, link, message));
        if let Some(before) = before {
            let after = self.known_points(id);
            let stale = link.service == rep_node::Service::Feeder;
            let raised = before.iter().zip(&after).any(|(before, after)| before < after);
            let checked = ensure(!stale || !raised, Invariant::DistinctVoters, || {
                format!(
                    "an acknowledgement of an earlier connection counts at {id}: {before:?} becomes {after:?}"
                )
            });
            self.check(checked);
        }
        if let Some(Err(error)) = handled {
            self.peer_erred(id, link, &error.to_string());
        }
    }

    fn known_points(&mut self, id: NodeId) -> Vec<Option<Vlsn>> {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return Vec::new() };
        let status = live.node.status(live.clock.local(now));
        status.members.iter().map(|member| member.synced).collect()
    }

    /// The driver closes a link on which something impossible was said. Between correct nodes on a network
    /// that keeps its word nothing is.
    fn peer_erred(&mut self, id: NodeId, link: Link, error: &str) {
        self.counts.peer_errors += 1;
        self.note(id, &[34], || {
            format!("n{} hears nonsense from n{}: {error}", id.get(), link.peer.get())
        });
        let excused = self.network.config.hostile || self.ever_hostile;
        let checked = ensure(excused, Invariant::ErrorHonesty, || {
            format!("{id} refuses what correct {} said: {error}", link.peer)
        });
        self.check(checked);
        self.hang_up(id, link);
        self.step(id, |node, now| node.handle_link_down(now, link));
    }

    // ---- what the node tells its callers

    fn staged(&mut self, id: NodeId, request: Request, point: LogPoint) {
        self.note(id, &[40, request.0, point.vlsn.get()], || {
            format!("n{} stages call {} at {point}", id.get(), request.0)
        });
        if let Some(live) = self.live_mut(id) {
            live.front.staged(request, point.vlsn);
        }
        self.history.staged(request, point);
    }

    fn resolve(&mut self, id: NodeId, request: Request, outcome: Outcome) {
        let code = u64::from(matches!(outcome, Outcome::Committed { .. }));
        self.note(id, &[41, request.0, code], || {
            format!("n{} resolves call {}: {outcome:?}", id.get(), request.0)
        });
        let known = self.live_mut(id).is_some_and(|live| live.open_calls.remove(&request));
        let checked = ensure(known, Invariant::ErrorHonesty, || {
            format!("{id} resolves call {} twice, or unasked", request.0)
        });
        self.check(checked);
        let committed = matches!(outcome, Outcome::Committed { .. });
        self.answer(id, request, outcome);
        if committed {
            self.spring(id, Moment::Acknowledged);
        }
    }

    fn heard(&mut self, id: NodeId, event: rep_node::Event) {
        self.note(id, &[42], || format!("n{}: {event:?}", id.get()));
        match event {
            rep_node::Event::TermOver { .. } => {
                if let Some(live) = self.live_mut(id) {
                    live.front.term_over();
                }
            }
            rep_node::Event::RolledBack { dropped } => {
                let cut = self.live_mut(id).and_then(|live| live.dropped.take());
                let checked = self.oracle.rollback_told(id, &dropped, cut);
                self.check(checked);
            }
            rep_node::Event::Crowned { .. } => self.counts.elections += 1,
            _ => {}
        }
    }

    pub(crate) fn live_mut(&mut self, id: NodeId) -> Option<&mut Live> {
        self.process_mut(id).live.as_deref_mut()
    }
}

/// A message in a few words, for the trace.
fn brief(message: &Message) -> String {
    match message {
        Message::Election(message) => {
            let text = format!("{message:?}");
            let end = text.find("electorate").unwrap_or(text.len());
            text[..end].trim_end_matches([',', ' ']).to_owned()
        }
        Message::ToFeeder(ReplicaMessage::Handshake(hello)) => {
            format!("Handshake {:?} last {} synced {}", hello.connection, hello.last, hello.synced)
        }
        Message::ToReplica(FeederMessage::SyncUp(sync)) => {
            format!(
                "SyncUp {:?} matchpoint {} last {}",
                sync.connection, sync.matchpoint, sync.last
            )
        }
        other => format!("{other:?}"),
    }
}
