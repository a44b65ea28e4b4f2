//! The applier: reads what is durable from the log and hands it to the store, a batch at a time.

use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, Violation, ensure};
use crate::trace::digest;
use crate::world::{Event, World};
use bytes::Bytes;
use rep_store::{Databases, Entry, StateMachine};
use rep_vlsn::{LogPoint, ReadError, Record, Vlsn};
use std::time::Duration;

impl World {
    pub(crate) fn apply(&mut self, id: Machine, from: Vlsn, to: Vlsn) {
        let checked = self.oracle.applying(id, from, to);
        self.check(checked);
        let Some(live) = self.live_mut(id) else { return };
        live.apply = Some((from, to));
        self.applier(id);
    }

    fn applier(&mut self, id: Machine) {
        let run = self.process(id).run;
        let after = Duration::from_nanos(self.rngs.disk.latency_ns(20_000));
        self.schedule.push(self.now + after, Event::Applied { id, run });
    }

    pub(crate) fn applied(&mut self, id: Machine) {
        let bytes_max = self.rngs.disk.pick(&[1, 500, 4_000]) as usize;
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        let Some((from, to)) = live.apply else { return };
        let batch = match live.reader.batch(from, to, bytes_max, live.tail.epoch()) {
            Ok(batch) => batch,
            Err(error) => return self.cannot_apply(id, &error),
        };
        let entries: Vec<Entry> = batch.records().iter().map(Entry::of).collect();
        let point = batch.last();
        let done = live.store.apply(&entries, &mut Vec::new());
        let due = live.plan.note_applied(live.clock.local(now), entries.len(), batch.byte_len());
        let kept = due && live.store.checkpoint().is_ok();
        if kept {
            live.plan.note_checkpoint();
        }
        live.apply = (point.vlsn < to).then(|| (point.vlsn.next(), to));
        let more = live.apply.is_some();
        let state = point.vlsn.get().is_multiple_of(8).then(|| live.store.digest().ok()).flatten();
        if let Err(error) = done {
            let what = format!("{id} cannot apply up to {point}: {error}");
            return self.fail(Violation { invariant: Invariant::AppliedBound, what });
        }
        let checked = self.passengers.apply(id, &entries);
        self.check(checked);
        if kept {
            let checked = self.passengers.checkpoint(id);
            self.check(checked);
        }
        self.note(id, &[28, point.vlsn.get()], || {
            format!("n{} has applied up to {point}", id.get())
        });
        self.stranded.remove(&id);
        let checked = self.oracle.applied(id, point, state.map(|state| state.0));
        self.check(checked);
        if more {
            self.applier(id);
        }
        self.step(id, |node, now| node.handle_applied(now, point));
        if kept {
            self.checkpointed(id);
        }
    }

    /// I-14: whoever hands the store an entry again that it holds changes nothing. Any of them is as good as another.
    pub(crate) fn applies_nothing_again(
        &mut self,
        id: Machine,
        store: &mut Databases,
        entries: &[(LogPoint, Bytes)],
    ) {
        let applied = store.applied();
        let known = entries.partition_point(|(point, _)| *point <= applied);
        let lot = digest(self.process(id).run ^ self.seed, &id.get().to_le_bytes());
        let Some(at) = lot.checked_rem(known as u64) else { return };
        let Ok(record) = Record::split_from(&mut entries[at as usize].1.clone()) else { return };
        let state = |store: &Databases| (store.applied(), store.digest().ok());
        let before = state(store);
        let done = store.apply(&[Entry::of(&record)], &mut Vec::new());
        let checked =
            ensure(done.is_ok() && state(store) == before, Invariant::AppliedBound, || {
                format!(
                    "{id} is handed entry {} again, and its store is another: {done:?}",
                    record.point()
                )
            });
        self.check(checked);
    }

    /// What is durable cannot be read: the environment closes, as its runtime has it.
    fn cannot_apply(&mut self, id: Machine, error: &ReadError) {
        self.note(id, &[29], || format!("n{} cannot read what it applies: {error}", id.get()));
        let checked = self.may_fail(id, error);
        self.check(checked);
        self.step(id, |node, now| node.close(now));
        self.needs_restart(id);
    }

    /// Whether an entry was not synced by a disk that has failed since.
    fn may_be_dropped(&self, id: Machine, vlsn: Vlsn) -> bool {
        let live = self.process(id).live.as_ref();
        let unsynced = live.is_some_and(|live| vlsn > live.node.log().synced());
        unsynced && self.process(id).ails.is_some()
    }

    /// A read of the log fails only because of its disk: what a failed sync has dropped reads as it was before.
    pub(crate) fn may_fail(&self, id: Machine, error: &ReadError) -> Checked {
        let excused = match error {
            ReadError::Damaged { vlsn } => {
                self.oracle.member(id).damaged || self.may_be_dropped(id, *vlsn)
            }
            ReadError::Io(_) => self.process(id).ails.is_some(),
            _ => false,
        };
        ensure(excused, Invariant::CorruptionIsNotACrash, || {
            format!("{id} cannot read its sound log: {error}")
        })
    }
}
