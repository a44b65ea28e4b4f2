//! The promise writer and the log writer: what is asked of the disk, and what it has finished.

use crate::disk::latency;
use crate::faults::Moment;
use crate::machine::Machine;
use crate::oracle::{Invariant, Noted, Roll, Violation, ensure};
use crate::world::{Event, World};
use rep_node::{Fence, PersistFailed, Persisted, Role};
use rep_vlsn::error::LogError;
use rep_vlsn::{GroupId, Holder, Kind, LogPoint, Record, Vlsn, Written};
use std::time::Duration;

/// What a cell is to hold.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Word {
    Fence(Fence),
    /// An arbiter vouches for its master's log up to there.
    Vouch(LogPoint),
}

impl World {
    pub(crate) fn promise_writer(&mut self, id: Machine) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        if live.promise_busy || live.words.is_empty() {
            return;
        }
        live.promise_busy = true;
        let after = self.disk_latency(id, self.swarm.disk.sync);
        self.schedule.push(self.now + after, Event::WordStored { id, run });
    }

    pub(crate) fn word_stored(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        live.promise_busy = false;
        match live.words.pop_front() {
            Some(Word::Fence(fence)) => self.fence_stored(id, fence),
            Some(Word::Vouch(point)) => self.vouch_stored(id, point),
            None => {}
        }
    }

    fn fence_stored(&mut self, id: Machine, fence: Fence) {
        let Some(live) = self.live_mut(id) else { return };
        let stored = live.promise.store(&fence.encode()).map_err(|error| error.to_string());
        if let Err(why) = stored {
            return self.disk_failed(id, PersistFailed::Fence, why);
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

    pub(crate) fn append(
        &mut self,
        id: Machine,
        group: GroupId,
        holder: Holder,
        records: Vec<Record>,
    ) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        let (leads, me) = (live.node.role() == Role::Leader, live.me);
        if let Err(error) = live.writer.set_group(group) {
            let what = format!("{id}: {error}");
            return self.fail(Violation { invariant: Invariant::ErrorHonesty, what });
        }
        live.tail.stage_as(holder, &records);
        let last = records.last().map_or(LogPoint::NULL, Record::point);
        self.note(id, &[22, last.vlsn.get(), last.term.get()], || {
            format!("n{} appends {} entries up to {last}", id.get(), records.len())
        });
        if leads && records.first().is_some_and(|first| first.point().vlsn == Vlsn::FIRST) {
            self.founds_again();
        }
        self.reader_is_too_late(id, last.vlsn);
        let mut opened = false;
        for record in &records {
            let point = record.point();
            if leads && record.opener() == Some(me) && record.header().kind.opens_term() {
                opened = true;
                let checked = self.oracle.opens_term((id, run), point.term);
                self.check(checked);
            } else if leads {
                self.acts(id, point.term, "appends");
            }
            if record.header().kind.says_members() {
                self.enrol(id, record, leads);
            }
            let checked = self.oracle.appended(id, point, record.bytes().clone());
            self.check(checked);
        }
        if opened {
            let checked = self.oracle.counts_only_who_was_asked(id, last.term);
            self.check(checked);
        }
        self.log_writer(id);
        let moment = match (leads, opened) {
            (true, true) => Moment::Crowned,
            (true, false) => Moment::Logged,
            (false, _) => Moment::Received,
        };
        self.spring(id, moment);
    }

    /// I-5 for whoever began to read before a cut: what has come in the place of what was cut is not given to it.
    fn reader_is_too_late(&mut self, id: Machine, last: Vlsn) {
        let Some(live) = self.live_mut(id) else { return };
        let Some((from, epoch)) = live.late_reader.take_if(|(from, _)| *from <= last) else {
            return;
        };
        let read = live.reader.read(from, last, usize::MAX, epoch);
        let checked = ensure(read.is_err(), Invariant::LogMatching, || {
            format!("who reads {id} since before a cut is given {from}..={last} of after it")
        });
        self.check(checked);
    }

    /// A group is founded. If all whom the flags name were wiped since the first one was, and nobody has told them of that, they are right to.
    fn founds_again(&mut self) {
        let is_unaware = |id: Machine| {
            let live = self.process(id).live.as_ref();
            let asks = live.is_some_and(|live| live.joining.is_some());
            !asks && self.oracle.member(id).log.is_empty()
        };
        if self.oracle.committed() > 0 && (1..=self.swarm.nodes).map(Machine::new).all(is_unaware) {
            self.oracle
                .give_up(|| "all who had founded the group were wiped, and found another".into());
        }
    }

    /// An entry that names the members: a master may add one only under conditions.
    fn enrol(&mut self, id: Machine, record: &Record, leads: bool) {
        let Ok(membership) = rep_node::Membership::from_record(record) else { return };
        let Some(roll) = Roll::of(&membership) else { return };
        if leads && record.header().kind == Kind::Membership {
            self.counts.rolls += 1;
            let before = self.oracle.ruling(id).cloned();
            if let Some(before) = before.filter(|it| self.oracle.is_override(id, it, &roll)) {
                self.goes_on_alone(id, &before);
            }
            let silence = self.a_silence_ago(id);
            let upto = self.oracle.durable_at(silence);
            let checked = self.oracle.changes(id, &roll, upto);
            self.check(checked);
        }
        self.oracle.enrolled(roll);
    }

    /// An election timeout ago by the node's clock, or longer.
    fn a_silence_ago(&mut self, id: Machine) -> Duration {
        let now = self.now;
        let slow = 2.0 * self.swarm.process.drift_ppm as f64 / 1e6;
        let silence = self.swarm.election_timeout.mul_f64(1.0 + slow) + Duration::from_micros(1);
        let lag = self.live_mut(id).map_or(silence, |live| live.clock.lag_of(silence, now));
        now.saturating_sub(lag)
    }

    pub(super) fn log_writer(&mut self, id: Machine) {
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        if live.log_busy {
            return;
        }
        if live.cut.is_some() && !live.waits_for_space {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
            self.schedule.push(self.now + after, Event::LogCut { id, run });
        } else if live.keeping.is_some() {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
            self.schedule.push(self.now + after, Event::PastKept { id, run });
        } else if live.cleaning.is_some() {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.sync) * 2;
            self.schedule.push(self.now + after, Event::LogCleaned { id, run });
        } else if live.cut.is_none() && live.tail.unwritten_bytes() > 0 && !live.waits_for_space {
            live.log_busy = true;
            let after = self.disk_latency(id, self.swarm.disk.write);
            self.schedule.push(self.now + after, Event::GroupWritten { id, run });
        }
    }

    pub(crate) fn group_written(&mut self, id: Machine) {
        let now = self.now;
        self.hands_free(id);
        let durable = self.oracle.member(id).durable;
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let dvlsn = live.node.dvlsn();
        let written = live.writer.write_group(dvlsn);
        if let Err(LogError::Full { .. }) = written {
            return self.out_of_space(id);
        }
        if matches!(written, Ok(Some(_))) {
            live.unsynced_since.get_or_insert(now);
        }
        let written = written.map_err(|error| error.to_string());
        match self.unless_crashed(id, written) {
            Ok(None) => self.log_writer(id),
            Ok(Some(written)) => {
                let Some(live) = self.live_mut(id) else { return };
                live.log_busy = true;
                live.mark = Noted { upto: durable, dvlsn };
                let last = written.last;
                self.oracle.written(id, last);
                self.judge_log_size(id);
                self.note(id, &[23, last.vlsn.get()], || {
                    format!("n{} has written up to {last}", id.get())
                });
                if self.spring(id, Moment::Written) {
                    return;
                }
                self.has_written(id);
                if written.told {
                    let (point, epoch) = (written.last, written.epoch);
                    let what = Persisted::Written { point, epoch };
                    self.step(id, |node, now| node.handle_persisted(now, what));
                }
                self.plan_sync(id, &written);
            }
            Err(why) => self.disk_failed(id, PersistFailed::Log, why),
        }
    }

    /// What was written is synced at once, or within the interval.
    fn plan_sync(&mut self, id: Machine, written: &Written) {
        let now = self.now;
        let run = self.process(id).run;
        let Some(live) = self.live_mut(id) else { return };
        if live.syncs.note_written(live.clock.local(now), written) {
            return self.sync_files(id);
        }
        live.log_busy = false;
        let due = live.syncs.next_timeout().map(|at| live.clock.world(at).max(now));
        due.into_iter().for_each(|at| self.schedule.push(at, Event::SyncDue { id, run }));
        self.log_writer(id);
    }

    /// A busy writer looks by itself whether a sync is due.
    pub(crate) fn sync_due(&mut self, id: Machine) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        if !live.log_busy && live.syncs.is_due(live.clock.local(now)) {
            live.log_busy = true;
            self.sync_files(id);
        }
    }

    pub(crate) fn hands_free(&mut self, id: Machine) {
        let now = self.now;
        if let Some(live) = self.live_mut(id) {
            live.free_since = now;
        }
    }

    /// I-39: nothing that is written waits longer than the interval for a sync that could have begun.
    pub(crate) fn is_synced_in_time(&mut self, id: Machine) {
        let (now, interval) = (self.now, self.swarm.heartbeat);
        let Some(live) = self.live_mut(id) else { return };
        let Some(since) = live.unsynced_since.filter(|_| !live.log_busy) else { return };
        // Clocks run slow by some percent, and the wake-up is an event like others.
        let due = (since + interval.mul_f64(1.05)).max(live.free_since) + Duration::from_millis(1);
        let checked = ensure(now <= due, Invariant::SyncedInTime, || {
            format!(
                "{id} wrote at {since:?} what it does not sync at {now:?}; the interval is {interval:?}"
            )
        });
        self.check(checked);
    }

    fn sync_files(&mut self, id: Machine) {
        let run = self.process(id).run;
        let after = self.disk_latency(id, self.swarm.disk.sync);
        self.schedule.push(self.now + after, Event::GroupSynced { id, run });
    }

    pub(crate) fn group_synced(&mut self, id: Machine) {
        self.hands_free(id);
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let mark = live.mark;
        let synced = live.writer.sync().map_err(|error| error.to_string());
        let synced = match self.unless_crashed(id, synced) {
            Ok(synced) => synced,
            Err(why) => return self.disk_failed(id, PersistFailed::Log, why),
        };
        let Some(live) = self.live_mut(id) else { return };
        live.syncs.note_synced();
        live.unsynced_since = None;
        let current = synced.epoch == live.tail.epoch();
        let (point, epoch) = (synced.point, synced.epoch);
        if current {
            let checked = self.oracle.synced(id, point, mark);
            self.check(checked);
            self.is_on_disk(id, point);
        }
        self.note(id, &[24, point.vlsn.get()], || {
            format!("n{} has synced up to {point}", id.get())
        });
        if self.spring(id, Moment::Synced) {
            return;
        }
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Log { point, epoch }));
        let Some(live) = self.live_mut(id) else { return };
        let ahead = live.writer.write_ahead().map_err(|error| error.to_string());
        match self.unless_crashed(id, ahead) {
            Ok(_) => self.log_writer(id),
            Err(why) => self.disk_failed(id, PersistFailed::Log, why),
        }
    }

    /// I-7 from below: the writer says that its log is synced, and the disk agrees.
    fn is_on_disk(&mut self, id: Machine, point: LogPoint) {
        let checked =
            ensure(self.process(id).home.log_is_synced(), Invariant::AckAfterSync, || {
                format!("{id} says that it has synced {point}, and a power cut could take it")
            });
        self.check(checked);
    }

    pub(crate) fn truncate(&mut self, id: Machine, keep: LogPoint, epoch: rep_vlsn::Epoch) {
        let known = self.live_mut(id).map_or(Vlsn::NULL, |live| live.node.dvlsn());
        let last = self.oracle.member(id).log.len() as u64;
        self.note(id, &[25, keep.vlsn.get()], || {
            format!("n{} cuts {}..={last}", id.get(), keep.vlsn.next())
        });
        self.counts.rollbacks += 1;
        let checked = self.oracle.truncated(id, keep, known);
        self.check(checked);
        let Some(live) = self.live_mut(id) else { return };
        live.late_reader = Some((keep.vlsn.next(), live.tail.epoch()));
        live.tail.truncate(keep, epoch);
        live.cut = Some((keep, epoch));
        live.dropped = Some((keep.vlsn.get() + 1, last));
        self.log_writer(id);
        self.spring(id, Moment::Cutting);
    }

    pub(crate) fn log_cut(&mut self, id: Machine) {
        self.hands_free(id);
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let Some((keep, epoch)) = live.cut.take() else { return };
        if self.spring(id, Moment::CutBegins) {
            return;
        }
        let Some(live) = self.live_mut(id) else { return };
        let done = live.writer.truncate(keep, epoch);
        if let Err(LogError::Full { .. }) = done {
            live.cut = Some((keep, epoch));
            return self.out_of_space(id);
        }
        let done = match self.unless_crashed(id, done.map_err(|error| error.to_string())) {
            Ok(done) => done,
            Err(why) => return self.disk_failed(id, PersistFailed::Log, why),
        };
        let Some(live) = self.live_mut(id) else { return };
        live.syncs.note_synced();
        live.unsynced_since = None;
        let (point, last_crc, epoch) = (done.point, done.last_crc, done.epoch);
        self.is_on_disk(id, point);
        let checked = self.oracle.synced(id, point, Noted::default());
        self.check(checked);
        self.note(id, &[26, point.vlsn.get()], || format!("n{} has cut after {point}", id.get()));
        if self.spring(id, Moment::Cut) {
            return;
        }
        self.has_written(id);
        let done = Persisted::Truncated { point, epoch, last_crc };
        self.step(id, |node, now| node.handle_persisted(now, done));
        self.log_writer(id);
    }

    /// What the index file loses is no error of the log's; but a machine without power does nothing more.
    pub(super) fn unless_crashed<T>(
        &self,
        id: Machine,
        done: Result<T, String>,
    ) -> Result<T, String> {
        match self.process(id).home.disk.crashed() {
            true => Err("the machine has lost power".to_owned()),
            false => done,
        }
    }

    /// The disk said no: because it lost power in the middle of the operation, or by itself.
    pub(super) fn disk_failed(&mut self, id: Machine, what: PersistFailed, why: String) {
        if self.process(id).home.disk.crashed() {
            let (end, back) = self.tear_of(id);
            return self.end_and_back(id, end, back);
        }
        self.note(id, &[27], || format!("n{}: {why}", id.get()));
        let excused = self.process(id).ails.is_some() || self.oracle.member(id).damaged;
        let checked = ensure(excused, Invariant::ErrorHonesty, || {
            format!("{id} says that its sound disk failed: {why}")
        });
        self.check(checked);
        if what == PersistFailed::Log {
            self.oracle.log_failed(id);
        }
        if let Some(live) = self.live_mut(id).filter(|_| what == PersistFailed::Log) {
            live.unsynced_since = None;
        }
        self.step(id, |node, now| node.handle_persist_failed(now, what, why));
        self.needs_restart(id);
    }

    pub(crate) fn disk_latency(&mut self, id: Machine, mean: Duration) -> Duration {
        if let Some(takes) = self.process(id).sync_takes {
            return takes;
        }
        // A disk may hang for longer than a master is suffered to wait for it, and not for ever.
        let most = self.swarm.election_timeout * 10;
        latency(&self.swarm.disk, &mut self.rngs.disk, id.get(), mean).min(most)
    }
}
