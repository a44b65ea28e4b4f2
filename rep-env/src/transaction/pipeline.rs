//! Committed write sets on their way to the store, and the slots of their handles.
//!
//! All of it belongs to one term: when that is over, everything here is void, and nothing of the term may enter
//! any more. That is decided under the same lock under which entries enter.

use crate::commit::CommitSlot;
use crate::error::Error;
use crate::sync::{Flaw, Mutex, broken};
use rep_store::overlay::{Overlay, Pending, Seq};
use rep_store::{Reader, WriteSet};
use rep_vlsn::{Term, Vlsn};
use std::collections::VecDeque;
use std::sync::Arc;

/// The overlay and what belongs to it.
#[derive(Debug, Default)]
pub(crate) struct Pipeline {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    overlay: Overlay,
    /// The slots of the overlay's entries, in the same order.
    slots: VecDeque<(Seq, Arc<CommitSlot>)>,
    /// The last admission's number.
    newest: u64,
    /// Terms up to here are over.
    over: Term,
}

impl Pipeline {
    /// Begins a transaction of `term`; `None` while the store lacks the term's own first entry.
    ///
    /// The view is taken under the lock, so no view is older than the last trim.
    pub(crate) fn begin(&self, term: Term, reader: &Reader) -> Result<Option<Pending>, Error> {
        let early = broken(Flaw::ViewBeforeLock).then(|| reader.view()).transpose()?;
        let mut state = self.state.lock();
        let view = early.map_or_else(|| reader.view(), Ok)?;
        if view.applied().term < term || state.over >= term {
            return Ok(None);
        }
        let pending = state.overlay.begin(view);
        state.forget_slots();
        Ok(Some(pending))
    }

    /// Whether `bytes` more fit; if not, how many there are. What has been applied since the transaction began is trimmed: that
    /// transaction reads from a copy of its own, and the next one begins on a view at least as new as this one.
    pub(crate) fn room_for(
        &self,
        bytes: u64,
        bytes_max: u64,
        reader: &Reader,
    ) -> Result<Option<u64>, Error> {
        let mut state = self.state.lock();
        if !state.fits(bytes, bytes_max) {
            let applied = reader.view()?.applied();
            state.overlay.trim(applied);
            state.forget_slots();
        }
        Ok((!state.fits(bytes, bytes_max)).then_some(state.overlay.bytes() as u64))
    }

    /// Puts an admitted write set on top and numbers it; `None` if its term is over.
    pub(crate) fn push(
        &self,
        writes: WriteSet,
        bytes: usize,
        term: Term,
    ) -> Option<(u64, Arc<CommitSlot>)> {
        let mut state = self.state.lock();
        if state.over >= term {
            return None;
        }
        if broken(Flaw::TermAskedOutside) {
            drop(state);
            state = self.state.lock();
        }
        state.newest += 1;
        let (seq, slot) = (Seq(state.newest), Arc::new(CommitSlot::pending()));
        state.overlay.push(seq, Arc::new(writes), bytes);
        state.slots.push_back((seq, Arc::clone(&slot)));
        Some((seq.0, slot))
    }

    /// Numbers an entry that no transaction reads from.
    pub(crate) fn number(&self) -> (u64, Arc<CommitSlot>) {
        let mut state = self.state.lock();
        state.newest += 1;
        (Seq(state.newest).0, Arc::new(CommitSlot::pending()))
    }

    /// An admission has its place in the log.
    pub(crate) fn assign(&self, request: u64, vlsn: Vlsn) {
        self.state.lock().overlay.assign(Seq(request), vlsn);
    }

    /// The slot of an entry that a transaction of `term` has read from.
    pub(crate) fn slot_of(&self, seq: Seq, term: Term) -> Option<Arc<CommitSlot>> {
        let state = self.state.lock();
        if state.over >= term {
            return None;
        }
        let at = state.slots.binary_search_by_key(&seq, |(known, _)| *known).ok()?;
        Some(Arc::clone(&state.slots[at].1))
    }

    /// The term is over, and with it all that was built in it.
    pub(crate) fn end(&self, term: Term) {
        let mut state = self.state.lock();
        state.over = state.over.max(term);
        state.overlay.drop_all();
        state.slots.clear();
    }

    /// Bytes of the write sets here.
    pub(crate) fn bytes(&self) -> u64 {
        self.state.lock().overlay.bytes() as u64
    }
}

impl State {
    /// A write set over the bound enters alone.
    fn fits(&self, bytes: u64, bytes_max: u64) -> bool {
        self.overlay.is_empty() || self.overlay.bytes() as u64 + bytes <= bytes_max
    }

    fn forget_slots(&mut self) {
        while self.slots.front().is_some_and(|(seq, _)| !self.overlay.contains(*seq)) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rep_store::{Database, Databases, Entry, StateMachine};
    use rep_vlsn::{Kind, LogPoint};

    const TERM: Term = Term::new(3);

    /// A store whose last entry is the first of `term`.
    fn store(term: Term) -> Databases {
        let mut machine = Databases::memory();
        let point = LogPoint::new(term, Vlsn::FIRST);
        let opening = Entry { kind: Kind::TermStart, ..Entry::data(point, 0, Default::default()) };
        machine.apply(&[opening], &mut Vec::new()).unwrap();
        machine
    }

    fn writes(value: &str) -> WriteSet {
        let mut writes = WriteSet::new();
        writes.put(&Database::new("d"), b"key", value.as_bytes()).unwrap();
        writes
    }

    fn key(pending: &Pending) -> Option<bytes::Bytes> {
        pending.get(&Database::new("d"), b"key").unwrap()
    }

    #[test]
    fn the_next_transaction_sees_what_was_pushed_and_finds_its_slot() {
        let (pipeline, machine) = (Pipeline::default(), store(TERM));
        let (request, slot) = pipeline.push(writes("1"), 10, TERM).unwrap();
        let pending = pipeline.begin(TERM, &machine.reader()).unwrap().unwrap();
        assert_eq!(key(&pending).unwrap(), "1");
        assert_eq!(pending.newest_read(), Some(Seq(request)));
        assert!(Arc::ptr_eq(&pipeline.slot_of(Seq(request), TERM).unwrap(), &slot));
    }

    #[test]
    fn nothing_begins_before_the_terms_own_first_entry_is_applied() {
        let (pipeline, machine) = (Pipeline::default(), store(TERM));
        assert!(pipeline.begin(TERM.next(), &machine.reader()).unwrap().is_none());
        assert!(pipeline.begin(TERM, &machine.reader()).unwrap().is_some());
    }

    #[test]
    fn what_belongs_to_a_term_ends_with_it_and_nothing_follows_it_in() {
        let (pipeline, machine) = (Pipeline::default(), store(TERM));
        let (request, _) = pipeline.push(writes("1"), 10, TERM).unwrap();
        pipeline.end(TERM);
        assert!(pipeline.push(writes("2"), 10, TERM).is_none());
        assert!(pipeline.slot_of(Seq(request), TERM).is_none());
        assert!(pipeline.begin(TERM, &machine.reader()).unwrap().is_none());
        assert_eq!(pipeline.bytes(), 0);
        let next = store(TERM.next());
        let pending = pipeline.begin(TERM.next(), &next.reader()).unwrap().unwrap();
        assert_eq!(key(&pending), None);
    }

    #[test]
    fn what_is_applied_makes_room_and_an_open_transaction_does_not_notice() {
        let (pipeline, mut machine) = (Pipeline::default(), store(TERM));
        let (request, _) = pipeline.push(writes("1"), 10, TERM).unwrap();
        let open = pipeline.begin(TERM, &machine.reader()).unwrap().unwrap();
        assert_eq!(pipeline.room_for(1, 10, &machine.reader()).unwrap(), Some(10));
        let point = LogPoint::new(TERM, Vlsn::new(2));
        pipeline.assign(request, point.vlsn);
        machine.apply(&[Entry::data(point, 0, writes("1").encode())], &mut Vec::new()).unwrap();
        assert_eq!(pipeline.room_for(1, 10, &machine.reader()).unwrap(), None);
        assert_eq!(key(&open).unwrap(), "1");
        let next = pipeline.begin(TERM, &machine.reader()).unwrap().unwrap();
        assert_eq!((key(&next).unwrap(), next.newest_read()), ("1".into(), None));
    }
}
