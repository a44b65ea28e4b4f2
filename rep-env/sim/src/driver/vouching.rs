//! An arbiter's word: it is asked for, written down, and given.

use super::Word;
use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::world::World;
use rep_node::{PersistFailed, Persisted};
use rep_vlsn::{LogPoint, Term};

impl World {
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
