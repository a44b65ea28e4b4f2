//! Write transactions: one builds at a time, many are on their way.
//!
//! A transaction holds the turn from `begin` to `commit`, which is short, because nothing in between waits for a disk or
//! a member: it reads its own writes, then what was committed before it (though not yet durable), then what is
//! applied. `commit` decides admission and queues the write set; durability comes later, through the
//! [`CommitHandle`].

pub(crate) mod pipeline;
pub(crate) mod turn;

use crate::commit::{CommitHandle, CommitPromise, CommitToken, Durability};
use crate::error::Error;
use crate::replicate::{ReplicateHandle, Results};
use crate::runtime::shared::Shared;
use bytes::Bytes;
use rep_node::{Admission, NodeState};
use rep_store::overlay::{Pending, PendingRange};
use rep_store::{Database, Reader, StoreError, WriteSet};
use rep_vlsn::record::ENTRY_BYTES_MAX;
use rep_vlsn::{Draft, Flags, Kind, Term};
use std::fmt;
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::{Duration, Instant};
use turn::Ticket;

/// A write transaction on the built-in databases. It holds the turn; dropped without a commit, nothing happened.
///
/// Reads see its own writes, and every transaction that was committed before it.
#[must_use = "a transaction that is dropped has no effect"]
pub struct WriteTxn<'env> {
    held: Held<'env>,
    reader: &'env Reader,
    pending: Pending,
    term: Term,
}

/// The turn, given back when this is dropped.
struct Held<'env> {
    shared: &'env Shared,
    ticket: Ticket,
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.turn.give_back(self.ticket);
    }
}

impl<'env> WriteTxn<'env> {
    /// Waits for the turn until `begin_timeout`.
    pub(crate) fn begin(shared: &'env Shared, reader: &'env Reader) -> Result<Self, Error> {
        let deadline = Instant::now() + shared.timing.begin_timeout;
        shared.wait_writable(deadline)?;
        let ticket = shared.turn.take(deadline)?;
        WriteTxn::with_turn(Held { shared, ticket }, reader, deadline)
    }

    /// Begins if nobody has the turn.
    pub(crate) fn try_begin(shared: &'env Shared, reader: &'env Reader) -> Result<Self, Error> {
        shared.writable()?;
        let ticket = shared.turn.try_take()?;
        WriteTxn::with_turn(
            Held { shared, ticket },
            reader,
            Instant::now() + shared.timing.begin_timeout,
        )
    }

    /// A new master has entries of its predecessors in its log that its store may not have yet, and of which no overlay
    /// knows. So the first transaction of a term waits until the term's own first entry is applied.
    fn with_turn(held: Held<'env>, reader: &'env Reader, deadline: Instant) -> Result<Self, Error> {
        let shared = held.shared;
        loop {
            let heard = shared.bell.heard();
            let term = shared.wait_writable(deadline)?.term;
            if let Some(pending) = shared.pipeline.begin(term, reader)? {
                return Ok(WriteTxn { held, reader, pending, term });
            }
            if !shared.bell.wait(heard, deadline) {
                return Err(shared.not_caught_up());
            }
        }
    }

    /// The value of `key` as this transaction sees it.
    ///
    /// # Errors
    ///
    /// [`Error::TxnExpired`], [`Error::NotMaster`], [`Error::Closed`], [`Error::Store`].
    pub fn get(&self, database: &Database, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.check()?;
        Ok(self.pending.get(database, key)?)
    }

    /// The pairs whose keys lie within `bounds` as this transaction sees them, in order of keys.
    ///
    /// # Errors
    ///
    /// As [`get`](WriteTxn::get); each item may be an [`Error::Store`].
    pub fn range<'key>(
        &self,
        database: &Database,
        bounds: impl RangeBounds<&'key [u8]>,
    ) -> Result<TxnRange<'_>, Error> {
        self.check()?;
        Ok(TxnRange(self.pending.range(database, bounds)))
    }

    /// Sets `key` to a copy of `value`.
    ///
    /// # Errors
    ///
    /// As [`get`](WriteTxn::get), and [`Error::TxnTooLarge`], [`Error::Invalid`]; the transaction is as it was.
    pub fn put(&mut self, database: &Database, key: &[u8], value: &[u8]) -> Result<(), Error> {
        self.check()?;
        Ok(self.pending.put(database, key, value)?)
    }

    /// As [`put`](WriteTxn::put), without copying.
    ///
    /// # Errors
    ///
    /// As [`put`](WriteTxn::put).
    pub fn put_bytes(
        &mut self,
        database: &Database,
        key: Bytes,
        value: Bytes,
    ) -> Result<(), Error> {
        self.check()?;
        Ok(self.pending.put_bytes(database, key, value)?)
    }

    /// Removes `key`, whether it is there or not.
    ///
    /// # Errors
    ///
    /// As [`put`](WriteTxn::put).
    pub fn delete(&mut self, database: &Database, key: &[u8]) -> Result<(), Error> {
        self.check()?;
        Ok(self.pending.delete(database, key)?)
    }

    /// Commits with the default [`Durability`].
    ///
    /// # Errors
    ///
    /// As [`commit_with`](WriteTxn::commit_with).
    pub fn commit(self) -> Result<CommitHandle, Error> {
        self.commit_with(Durability::default())
    }

    /// Decides whether the transaction may be logged, hands it over, and gives the turn back. The handle tells what became of it.
    /// One that wrote nothing waits for the newest commit that it read from.
    ///
    /// # Errors
    ///
    /// Nothing was logged: [`Error::NotMaster`], [`Error::InsufficientReplicas`], [`Error::Busy`], [`Error::TxnExpired`],
    /// [`Error::Unsupported`], [`Error::Halted`], [`Error::Closed`].
    pub fn commit_with(self, durability: Durability) -> Result<CommitHandle, Error> {
        if durability != Durability::default() {
            let what = "a durability other than Sync, Sync, SimpleMajority";
            return Err(Error::Unsupported { what });
        }
        let WriteTxn { held, reader, pending, term } = self;
        held.shared.turn.pin(held.ticket)?;
        let admission = held.shared.writable_in(term)?;
        if pending.writes().is_empty() {
            return held.shared.commit_nothing(&pending, term, &admission);
        }
        held.shared.commit_writes(pending.into_writes(), term, reader)
    }

    /// Ends the transaction without effect; as dropping it does.
    pub fn abort(self) {}

    fn check(&self) -> Result<(), Error> {
        self.held.shared.turn.check(self.held.ticket)?;
        self.held.shared.writable_in(self.term)?;
        Ok(())
    }
}

impl fmt::Debug for WriteTxn<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (term, writes) = (self.term, self.pending.writes().len());
        f.debug_struct("WriteTxn")
            .field("term", &term)
            .field("writes", &writes)
            .finish_non_exhaustive()
    }
}

/// Pairs in order of keys, as a transaction sees them.
pub struct TxnRange<'txn>(PendingRange<'txn>);

impl Iterator for TxnRange<'_> {
    type Item = Result<(Bytes, Bytes), Error>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.next().map(|pair| pair.map_err(Error::from))
    }
}

impl fmt::Debug for TxnRange<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TxnRange").finish_non_exhaustive()
    }
}

impl Shared {
    /// A picture in which this node may write.
    pub(crate) fn writable(&self) -> Result<Admission, Error> {
        self.check_open()?;
        let admission = self.admission.load();
        if !admission.writable {
            return Err(self.not_master(admission.master));
        }
        Ok(Admission::clone(&admission))
    }

    /// As [`Shared::writable`], waiting while this node is the master and only has to catch up with its predecessors.
    fn wait_writable(&self, deadline: Instant) -> Result<Admission, Error> {
        loop {
            let heard = self.bell.heard();
            let reigns = self.admission.load().state == NodeState::Master;
            match self.writable() {
                Err(Error::NotMaster { .. }) if reigns => {}
                decided => return decided,
            }
            if !self.bell.wait(heard, deadline) {
                return Err(self.not_caught_up());
            }
        }
    }

    fn not_caught_up(&self) -> Error {
        let why = "this master has not applied yet what its predecessors left".to_owned();
        Error::NoMaster { waited: self.timing.begin_timeout, why }
    }

    /// A picture in which this node may still write in `term`.
    fn writable_in(&self, term: Term) -> Result<Admission, Error> {
        match self.writable()? {
            admission if admission.term == term => Ok(admission),
            admission => Err(self.not_master(admission.master)),
        }
    }

    /// What a transaction saw is true once the newest write that it read is durable; what is applied is so already.
    fn commit_nothing(
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
    fn commit_writes(
        &self,
        writes: WriteSet,
        term: Term,
        reader: &Reader,
    ) -> Result<CommitHandle, Error> {
        let draft =
            Draft::build(Kind::Data, Flags::default(), |payload| writes.encode_into(payload));
        let bytes = draft.record_bytes() as u64;
        self.wait_for_replicas(term)?;
        let room_by = Instant::now() + self.timing.busy_wait;
        self.wait_for_overlay(bytes, term, reader, room_by)?;
        let credit = self.take_credit(bytes, room_by)?;
        self.writable_in(term)?;
        let master = self.admission.load().master;
        let (request, slot) = self
            .pipeline
            .push(writes, bytes as usize, term)
            .ok_or_else(|| self.not_master(master))?;
        let promise = CommitPromise::new(Arc::clone(&slot));
        self.propose(request, term, draft, credit, promise);
        Ok(CommitHandle::new(slot))
    }

    fn wait_for_replicas(&self, term: Term) -> Result<(), Error> {
        let deadline = Instant::now() + self.timing.replicas_wait;
        loop {
            let heard = self.bell.heard();
            let Admission { live, needed, .. } = self.writable_in(term)?;
            if live >= needed {
                return Ok(());
            }
            if !self.bell.wait(heard, deadline) {
                self.counters.refused_replicas.add(1);
                return Err(Error::InsufficientReplicas { policy: "a majority", needed, live });
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
            if !self.bell.wait(heard, deadline) {
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
    let draft = Draft::new(Kind::Data, Flags::default(), payload);
    let bytes = draft.record_bytes() as u64;
    let deadline = Instant::now() + shared.timing.begin_timeout;
    let term = shared.wait_writable(deadline)?.term;
    let ticket = shared.turn.take(deadline)?;
    let held = Held { shared, ticket };
    shared.turn.pin(held.ticket)?;
    shared.wait_for_replicas(term)?;
    let credit = shared.take_credit(bytes, Instant::now() + shared.timing.busy_wait)?;
    let (request, slot) = shared.pipeline.number();
    let handle = results.expect(request, Arc::clone(&slot));
    shared.propose(request, term, draft, credit, CommitPromise::new(slot));
    Ok(handle)
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::TooLong { what: "write set", bytes, bytes_max } => {
                Error::TxnTooLarge { bytes, bytes_max }
            }
            StoreError::TooLong { .. } | StoreError::Unnamed => {
                Error::Invalid { what: error.to_string() }
            }
            _ => Error::Store { detail: error.to_string() },
        }
    }
}

/// How long a thread of this environment that has to wait for something without a deadline of its own does so at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
