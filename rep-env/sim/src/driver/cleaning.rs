//! The head of the log: what is kept of it elsewhere, and what is removed.

use crate::machine::Machine;
use crate::oracle::{Invariant, LogBound, Needs, ensure};
use crate::process::CHECKPOINT_BYTES;
use crate::world::World;
use bytes::Bytes;
use rep_node::{NodeState, PersistFailed, Persisted};
use rep_vlsn::{SegmentSize, Vlsn};
use std::time::Duration;

impl World {
    /// The store of a member is durable up to where it has applied.
    pub(crate) fn checkpointed(&mut self, id: Machine) {
        let point = self.process(id).home.store.checkpointed();
        let Some(live) = self.live_mut(id) else { return };
        let Ok(segments) = live.reader.segments() else { return };
        let point = self.held_for_the_sink(id, point, &segments);
        self.step(id, |node, now| node.handle_checkpointed(now, point, &segments));
        self.ends_keeping(id, &segments);
        self.is_within_bounds(id, point.vlsn, &segments);
    }

    /// What is beyond the bounds, and the store does not need, is on its way out.
    fn is_within_bounds(&mut self, id: Machine, checkpoint: Vlsn, segments: &[SegmentSize]) {
        let mut bytes_max = self.swarm.disk.retention_bytes;
        let log_failed = self.process(id).failed;
        let Some(live) = self.live_mut(id) else { return };
        if live.giving.values().any(|giving| giving.pinned.is_some()) || !live.kept.is_empty() {
            bytes_max = bytes_max.saturating_mul(2);
        }
        let going = live.keeping.is_some() || live.cleaning.is_some();
        // Who has ended applies what was on its way, and cleans nothing any more.
        let over = live.node.state() == NodeState::Shutdown;
        let failed = log_failed || over || live.node.group().is_none();
        let bytes = bytes_of(segments);
        let spare = segments.get(1).is_some_and(|next| next.first <= checkpoint);
        let checked = ensure(
            going || failed || !spare || bytes <= bytes_max,
            Invariant::PurgeSafety,
            || {
                format!(
                    "{id} keeps {bytes} bytes of log for others, {bytes_max} are allowed; {segments:?}"
                )
            },
        );
        self.check(checked);
    }

    /// I-47, asked whenever the log has grown. A log that has failed is cleaned no more, and written no more.
    pub(super) fn judge_log_size(&mut self, id: Machine) {
        let disk = &self.swarm.disk;
        if !disk.judged {
            return;
        }
        let bound = LogBound {
            retention: disk.retention_bytes,
            checkpoint: CHECKPOINT_BYTES,
            unsynced: disk.unsynced_bytes_max,
            segment: disk.segment_bytes,
        };
        let Some(live) = self.process(id).live.as_ref() else { return };
        let Ok(segments) = live.reader.segments() else { return };
        let checked = self.oracle.takes(id, bytes_of(&segments), &bound);
        self.check(checked);
    }

    pub(crate) fn keep_past(&mut self, id: Machine, before: Vlsn, value: Bytes) {
        self.note(id, &[30, before.get()], || {
            format!("n{} keeps what entries before {before} said of the group", id.get())
        });
        if let Some(live) = self.live_mut(id) {
            live.keeping = Some((before, value));
        }
        self.log_writer(id);
    }

    /// An output: what is needed is needed from here on.
    pub(crate) fn clean(&mut self, id: Machine, before: Vlsn) {
        self.note(id, &[31, before.get()], || {
            format!("n{} cleans its log before {before}", id.get())
        });
        let checkpoint = self.process(id).home.store.checkpointed().vlsn;
        let Some(live) = self.live_mut(id) else { return };
        let segments = live.reader.segments().unwrap_or_default();
        live.cleaning = Some(before);
        let pinned = live.giving.values().filter_map(|giving| giving.pinned).min();
        let beyond_bounds = self.is_beyond(before, &segments);
        let twice = self.swarm.disk.retention_bytes.saturating_mul(2);
        let far_beyond = kept_with_newest_gone(before, &segments) > twice;
        let needed = pinned.filter(|pinned| before > *pinned && !far_beyond);
        let checked = ensure(needed.is_none(), Invariant::PurgeSafety, || {
            format!("{id} cleans its log before {before}, and gives a copy of {needed:?}")
        });
        self.check(checked);
        let needed = self.needed_by_a_taker(id).filter(|copy| {
            before > *copy && !far_beyond && self.swarm.disk.retention_age == Duration::MAX
        });
        let checked = ensure(needed.is_none(), Invariant::PurgeSafety, || {
            format!(
                "{id} cleans its log before {before}, and has given a copy of {needed:?} that is not in place yet"
            )
        });
        self.check(checked);
        let checked = self.oracle.cleans(id, before, Needs { checkpoint, beyond_bounds });
        self.check(checked);
        self.log_writer(id);
    }

    /// Whether the newest file that goes would, if it stayed, make more than may be kept for others. Of ages the world
    /// keeps no account.
    fn is_beyond(&self, before: Vlsn, segments: &[SegmentSize]) -> bool {
        kept_with_newest_gone(before, segments) > self.swarm.disk.retention_bytes
            || self.swarm.disk.retention_age < Duration::MAX
    }

    pub(crate) fn past_kept(&mut self, id: Machine) {
        self.hands_free(id);
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let Some((before, value)) = live.keeping.take() else { return };
        let stored = live.past.store(&value).map_err(|error| error.to_string());
        self.oracle.keeps_head(id);
        if let Err(why) = stored {
            return self.disk_failed(id, PersistFailed::Log, why);
        }
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Past { before }));
        self.go_on(id);
    }

    pub(crate) fn log_cleaned(&mut self, id: Machine) {
        self.hands_free(id);
        let Some(live) = self.live_mut(id) else { return };
        live.log_busy = false;
        let Some(before) = live.cleaning.take() else { return };
        let done = live.writer.clean(before).map_err(|error| error.to_string());
        let first = match self.unless_crashed(id, done) {
            Ok(first) => first,
            Err(why) => return self.disk_failed(id, PersistFailed::Log, why),
        };
        self.counts.cleanings += 1;
        self.oracle.begins(id, first);
        self.note(id, &[32, first.get()], || format!("the log of n{} begins at {first}", id.get()));
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Cleaned { first }));
        self.go_on(id);
    }

    /// A sync may have become due meanwhile.
    pub(super) fn go_on(&mut self, id: Machine) {
        self.sync_due(id);
        self.log_writer(id);
    }

    /// A member was told that only a copy of the state helps it.
    pub(super) fn strand(&mut self, id: Machine) {
        self.counts.stranded += u64::from(self.stranded.insert(id));
    }
}

/// Bytes of the log if the newest file that goes would stay.
fn kept_with_newest_gone(before: Vlsn, segments: &[SegmentSize]) -> u64 {
    let goes = segments.iter().skip(1).filter(|next| next.first <= before).count();
    bytes_of(&segments[goes.saturating_sub(1)..])
}

fn bytes_of(segments: &[SegmentSize]) -> u64 {
    segments.iter().map(|segment| segment.bytes).sum()
}
