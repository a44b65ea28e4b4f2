//! An arbiter's word: it is asked for, written down, and given.

use super::Word;
use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, Watermark, ensure};
use crate::world::World;
use rep_node::{PersistFailed, Persisted};
use rep_vlsn::{LogPoint, Term, Vlsn};
use std::time::Duration;

/// How steadily entries have become durable in a reign, seen from outside.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pace {
    term: Term,
    dvlsn: Vlsn,
    /// When dvlsn last moved, or nothing was waiting.
    since: Duration,
    /// It has stood still for about as long as its master is patient, at some time of the reign.
    slow: bool,
    /// What the membership was after its last step.
    pub(crate) ruling: Option<LogPoint>,
}

/// Clocks run fast by some percent.
const PATIENCE: f64 = 0.9;

impl World {
    /// What is to be known of a master in a group with an arbiter.
    pub(super) fn keep_pace(&mut self, id: Machine, mark: &Watermark) {
        if !self.swarm.members.arbiter || !mark.is_master {
            return;
        }
        let now = self.now;
        let slow = self.has_stood_still(id, mark.term);
        let Some(live) = self.live_mut(id) else { return };
        let moves = mark.dvlsn != live.pace.dvlsn || live.node.log().last().vlsn <= mark.dvlsn;
        let new = live.pace.term != mark.term;
        let since = if new || moves { now } else { live.pace.since };
        let slow = slow && !new;
        live.pace = Pace { term: mark.term, dvlsn: mark.dvlsn, since, slow, ..live.pace };
    }

    fn has_stood_still(&mut self, id: Machine, term: Term) -> bool {
        let (now, patience) = (self.now, self.swarm.election_timeout.mul_f64(PATIENCE));
        let Some(pace) = self.live_mut(id).map(|live| live.pace) else { return true };
        let late = now.saturating_sub(pace.since) >= patience;
        pace.term != term || pace.slow || late || self.process(id).has_leapt(pace.since)
    }

    /// I-46: who has enough copies that acknowledge, and has had all along, asks nobody to vouch. More than is needed would only keep others
    /// from being elected. In the step in which a master changes who belongs it may have asked before that.
    pub(super) fn lacks_copies(&mut self, id: Machine, term: Term, point: LogPoint) -> Checked {
        let slow = self.has_stood_still(id, term);
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return Ok(()) };
        let admission = live.node.admission(live.clock.local(now));
        let changed = live.pace.ruling != live.node.membership().map(|membership| membership.at);
        let (live, needed) = (admission.copies_live, admission.needed);
        ensure(slow || changed || live < needed, Invariant::VouchAsked, || {
            format!("{id} asks to vouch for {point}; it has {live} copies, {needed} are enough")
        })
    }

    /// An output.
    pub(super) fn keeps_word(&mut self, id: Machine, point: LogPoint) {
        self.note(id, &[94, point.vlsn.get(), point.term.get()], || {
            format!("n{} writes down that it vouches for {point}", id.get())
        });
        self.live_mut(id).into_iter().for_each(|live| live.words.push_back(Word::Vouch(point)));
        self.promise_writer(id);
    }

    pub(super) fn vouch_stored(&mut self, id: Machine, point: LogPoint) {
        let stored = self.process(id).home.store_vouch(point).map_err(|error| error.to_string());
        if let Err(why) = stored {
            return self.disk_failed(id, PersistFailed::Fence, why);
        }
        let checked = self.oracle.vouch_durable(id, point);
        self.check(checked);
        self.counts.vouches += 1;
        self.note(id, &[95, point.vlsn.get()], || format!("n{} vouches for {point}", id.get()));
        self.step(id, |node, now| node.handle_persisted(now, Persisted::Vouch(point)));
        self.promise_writer(id);
    }

    /// I-45: what an arbiter says is on its disk, and of the term of its fence.
    pub(super) fn vouched_leaves(&mut self, id: Machine, term: Term, point: LogPoint) -> Checked {
        let home = &self.process(id).home;
        let (kept, stored) = (home.certain_vouch(), home.certain_fence().term);
        let fence = self.live_mut(id).map_or(stored, |live| live.node.term().max(stored));
        ensure(kept >= point, Invariant::VouchKept, || {
            format!("{id} says that it vouches for {point}; its disk holds {kept}")
        })?;
        ensure(fence == term && point.term == term, Invariant::VouchKept, || {
            format!("{id} says in {term} that it vouches for {point}; its fence is of {fence}")
        })
    }
}
