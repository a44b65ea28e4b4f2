//! Whether a write set may be logged, decided while its transaction holds the turn, against the node's published picture.
//!
//! Every refusal here means that nothing was logged. The waits are bounded each by its own option; whoever is admitted
//! enters the overlay first and then the node's inbox, so the order of the overlay is the order of the log.

use super::{Held, Patience};
use crate::commit::{CommitHandle, CommitPromise, CommitToken};
use crate::error::Error;
use crate::replicate::{ReplicateHandle, Results};
use crate::runtime::shared::Shared;
use crate::sync::Ordering;
use rep_node::{Acks, Admission, Durability, NodeState, PAUSE_MAX};
use rep_store::overlay::Pending;
use rep_store::{Reader, WriteSet};
use rep_vlsn::record::ENTRY_BYTES_MAX;
use rep_vlsn::{Draft, Kind, Term};
use std::sync::Arc;
use std::time::Instant;

impl Shared {
    /// A picture in which this node may write.
    pub(crate) fn writable(&self) -> Result<Admission, Error> {
        self.check_open()?;
        self.check_data()?;
        let admission = self.admission.load();
        if !admission.writable {
            return Err(self.not_master(admission.master));
        }
        Ok(Admission::clone(&admission))
    }

    /// As [`Shared::writable`], waiting while this node is the master and only has to catch up with its predecessors.
    pub(super) fn wait_writable(&self, deadline: Instant) -> Result<Admission, Error> {
        let began = Instant::now();
        loop {
            let heard = self.bell.heard();
            let reigns = self.admission.load().state == NodeState::Master;
            match self.writable() {
                Err(Error::NotMaster { .. }) if reigns => {}
                decided => return decided,
            }
            if !self.bell.wait(heard, deadline) {
                return Err(self.not_caught_up(began));
            }
        }
    }

    /// It was waited for since then.
    pub(super) fn not_caught_up(&self, began: Instant) -> Error {
        let why = "this master has not applied yet what its predecessors left".to_owned();
        Error::NoMaster { waited: began.elapsed(), why }
    }

    /// A picture in which this node may still write in `term`.
    pub(super) fn writable_in(&self, term: Term) -> Result<Admission, Error> {
        match self.writable()? {
            admission if admission.term == term => Ok(admission),
            admission => Err(self.not_master(admission.master)),
        }
    }

    /// What a transaction saw is as sure as the newest write that it read asked, once that has what it asked for; what is
    /// applied is durable.
    pub(super) fn commit_nothing(
        &self,
        pending: &Pending,
        term: Term,
        admission: &Admission,
    ) -> Result<CommitHandle, Error> {
        match pending.newest_read() {
            Some(seq) => match self.pipeline.slot_of(seq, term) {
                Some(slot) => Ok(CommitHandle::new(slot)),
                None => Err(self.not_master(admission.master)),
            },
            None => {
                let group = self.group().ok_or_else(|| self.not_master(admission.master))?;
                Ok(CommitHandle::resolved(CommitToken::new(group, pending.view().applied())))
            }
        }
    }

    /// Admission: the turn is held, so whoever is admitted first enters overlay and lane first.
    pub(super) fn commit_writes(
        &self,
        writes: WriteSet,
        (term, durability): (Term, Durability),
        reader: &Reader,
        patience: Patience,
    ) -> Result<CommitHandle, Error> {
        let draft =
            Draft::build(Kind::Data, durability.flags(), |payload| writes.encode_into(payload));
        let bytes = draft.record_bytes() as u64;
        self.wait_for_a_straggler(term, patience)?;
        self.wait_while_draining(term, patience)?;
        self.wait_for_replicas(term, durability.acks, patience)?;
        let room_by = patience.ends(self.timing.busy_wait);
        self.wait_for_overlay(bytes, term, reader, room_by)?;
        let credit = self.take_credit(bytes, room_by)?;
        self.writable_in(term)?;
        let master = self.admission.load().master;
        let (request, slot) = self
            .pipeline
            .push(writes, bytes as usize, term)
            .ok_or_else(|| self.not_master(master))?;
        let promise = CommitPromise::new(Arc::clone(&slot));
        self.propose(request, term, (draft, durability.acks), credit, promise);
        Ok(CommitHandle::new(slot))
    }

    /// While a straggler catches up commits are let in at its pace. It is waited for, and then gone on without; who does not wait is refused.
    fn wait_for_a_straggler(&self, term: Term, patience: Patience) -> Result<(), Error> {
        let deadline = patience.ends(PAUSE_MAX);
        loop {
            let heard = self.bell.heard();
            if !self.writable_in(term)?.paced {
                return Ok(());
            }
            if self.bell.wait(heard, deadline) {
                continue;
            }
            return match patience {
                Patience::AsConfigured => Ok(()),
                Patience::None => Err(Error::Paced { within: PAUSE_MAX }),
            };
        }
    }

    /// While the mastership is handed over nothing new is let in; afterwards this node is either the master as before, or not
    /// the master.
    fn wait_while_draining(&self, term: Term, patience: Patience) -> Result<(), Error> {
        let (began, deadline) = (Instant::now(), patience.ends(self.timing.replicas_wait));
        loop {
            let heard = self.bell.heard();
            if !self.writable_in(term)?.draining {
                return Ok(());
            }
            if !self.bell.wait(heard, deadline) {
                return Err(Error::HandingOver { waited: began.elapsed() });
            }
        }
    }

    fn wait_for_replicas(&self, term: Term, policy: Acks, patience: Patience) -> Result<(), Error> {
        let deadline = patience.ends(self.timing.replicas_wait);
        loop {
            let heard = self.bell.heard();
            let admission = self.writable_in(term)?;
            let (live, needed) = (admission.live_for(policy), admission.need(policy));
            if live >= needed {
                return Ok(());
            }
            if !self.bell.wait(heard, deadline) {
                self.counters.refused_replicas.add(1);
                let missing = self.names_of(admission.missing_for(policy));
                return Err(Error::InsufficientReplicas { policy, needed, live, missing });
            }
        }
    }

    fn wait_for_overlay(
        &self,
        bytes: u64,
        term: Term,
        reader: &Reader,
        deadline: Instant,
    ) -> Result<(), Error> {
        let bytes_max = self.limits.overlay_bytes_max;
        loop {
            let heard = self.bell.heard();
            self.writable_in(term)?;
            let held = self.pipeline.room_for(bytes, bytes_max, reader)?;
            let Some(held) = held else { return Ok(()) };
            self.overlay_waiting.fetch_add(1, Ordering::Relaxed);
            let news = self.bell.wait(heard, deadline);
            self.overlay_waiting.fetch_sub(1, Ordering::Relaxed);
            if !news {
                self.counters.refused_busy.add(1);
                return Err(Error::Busy {
                    what: "the overlay of committed writes",
                    bytes: held,
                    bytes_max,
                });
            }
        }
    }
}

/// One entry for a state machine of the application's own: it takes a turn, and reads nothing.
pub(crate) fn replicate<O>(
    shared: &Shared,
    payload: &[u8],
    results: &Results<O>,
) -> Result<ReplicateHandle<O>, Error> {
    if payload.len() > ENTRY_BYTES_MAX {
        return Err(Error::TxnTooLarge { bytes: payload.len(), bytes_max: ENTRY_BYTES_MAX });
    }
    let durability = Durability::default();
    let draft = Draft::new(Kind::Data, durability.flags(), payload);
    let bytes = draft.record_bytes() as u64;
    let deadline = Instant::now() + shared.timing.begin_timeout;
    let term = shared.wait_writable(deadline)?.term;
    let ticket = shared.turn.take(deadline)?;
    let held = Held { shared, ticket };
    shared.turn.pin(held.ticket)?;
    shared.wait_for_a_straggler(term, Patience::AsConfigured)?;
    shared.wait_while_draining(term, Patience::AsConfigured)?;
    shared.wait_for_replicas(term, durability.acks, Patience::AsConfigured)?;
    let credit = shared.take_credit(bytes, Instant::now() + shared.timing.busy_wait)?;
    let (request, slot) = shared.pipeline.number();
    let handle = results.expect(request, Arc::clone(&slot));
    let entry = (draft, durability.acks);
    shared.propose(request, term, entry, credit, CommitPromise::new(slot));
    held.hand_in();
    Ok(handle)
}
