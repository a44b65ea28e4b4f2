//! The callers' side of a process: the turn and the overlay, as the facade keeps them.
//!
//! One write transaction builds at a time. It commits while it still holds the turn: admission is decided
//! against the picture that the node published after its last step, and only an admitted write set enters the
//! overlay and the proposal lane, in that order. So overlay order is log order.

use rep_node::{Acks, Admission, Request};
use rep_store::{Overlay, Pending, Reader, Seq, StoreError};
use rep_vlsn::{GroupId, Term, Vlsn};
use std::collections::BTreeMap;

/// The state that callers of one process share.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) overlay: Overlay,
    pub(crate) reader: Reader,
    /// Published by the node after each step.
    pub(crate) admission: Admission,
    pub(crate) group: Option<GroupId>,
    /// Who holds the turn.
    pub(crate) turn: Option<usize>,
    next: u64,
    admitted: BTreeMap<Request, Seq>,
}

impl Front {
    pub(crate) fn new(reader: Reader, admission: Admission) -> Self {
        Front {
            overlay: Overlay::new(),
            reader,
            admission,
            group: None,
            turn: None,
            next: 0,
            admitted: BTreeMap::new(),
        }
    }

    /// Whether a transaction may begin, and in which term.
    pub(crate) fn open_to_writes(&self) -> Option<Term> {
        self.admission.writable.then_some(self.admission.term)
    }

    /// A transaction over what is applied and admitted.
    pub(crate) fn begin(&mut self) -> Result<Pending, StoreError> {
        let view = self.reader.view()?;
        Ok(self.overlay.begin(view))
    }

    /// Whether a transaction that began in `term` is admitted now: master still, enough live replicas, and room beside what waits for the disk and
    /// the `queued` bytes that wait for the node, as the facade's credit counts them.
    pub(crate) fn admits(&self, term: Term, acks: Acks, queued: u64) -> bool {
        let now = &self.admission;
        now.writable
            && now.term == term
            && !now.draining
            && !now.paced
            && now.live >= now.need(acks)
            && now.unsynced_bytes + queued < now.unsynced_bytes_max
    }

    /// The write set enters the overlay.
    pub(crate) fn admit(&mut self, request: Request, pending: Pending) {
        self.next += 1;
        let seq = Seq(self.next);
        let writes = std::sync::Arc::new(pending.into_writes());
        let bytes = writes.encoded_bytes();
        self.overlay.push(seq, writes, bytes);
        self.admitted.insert(request, seq);
    }

    /// The entry has its place in the log.
    pub(crate) fn staged(&mut self, request: Request, vlsn: Vlsn) {
        if let Some(seq) = self.admitted.remove(&request) {
            self.overlay.assign(seq, vlsn);
        }
    }

    /// The term is over: nothing is built on what was admitted in it.
    pub(crate) fn term_over(&mut self) {
        self.overlay.drop_all();
        self.admitted.clear();
        self.turn = None;
    }
}
