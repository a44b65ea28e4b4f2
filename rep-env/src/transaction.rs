//! Write transactions: one builds at a time, many are on their way.
//!
//! A transaction holds the turn from `begin` to `commit`, which is short, because nothing in between waits for a disk or
//! a member: it reads its own writes, then what was committed before it (though not yet durable), then what is
//! applied. `commit` decides admission and queues the write set; durability comes later, through the
//! [`CommitHandle`].

pub(crate) mod admission;
pub(crate) mod pipeline;
pub(crate) mod turn;

use crate::commit::CommitHandle;
use crate::error::Error;
use crate::runtime::shared::Shared;
use bytes::Bytes;
use rep_node::Durability;
use rep_store::overlay::{Pending, PendingRange};
use rep_store::{Database, Reader, StoreError};
use rep_vlsn::Term;
use std::fmt;
use std::ops::RangeBounds;
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

impl Held<'_> {
    /// What was proposed is seen to, once the turn is given back.
    fn hand_in(self) {
        let shared = self.shared;
        drop(self);
        shared.inbox.drive();
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.shared.turn.give_back(self.ticket);
    }
}

impl<'env> WriteTxn<'env> {
    /// Waits for the turn until `begin_timeout`.
    pub(crate) fn begin(shared: &'env Shared, reader: &'env Reader) -> Result<Self, Error> {
        let now = Instant::now();
        let deadline = now + shared.timing.begin_timeout;
        shared.wait_writable(deadline)?;
        let ticket = shared.turn.take(deadline)?;
        WriteTxn::with_turn(Held { shared, ticket }, reader, (now, deadline))
    }

    /// Begins if nobody has the turn, and waits for nothing.
    pub(crate) fn try_begin(shared: &'env Shared, reader: &'env Reader) -> Result<Self, Error> {
        let now = Instant::now();
        shared.wait_writable(now)?;
        let ticket = shared.turn.try_take()?;
        WriteTxn::with_turn(Held { shared, ticket }, reader, (now, now))
    }

    /// A new master has entries of its predecessors in its log that its store may not have yet, and of which no overlay
    /// knows. So the first transaction of a term waits until the term's own first entry is applied.
    fn with_turn(
        held: Held<'env>,
        reader: &'env Reader,
        (began, deadline): (Instant, Instant),
    ) -> Result<Self, Error> {
        let shared = held.shared;
        loop {
            let heard = shared.bell.heard();
            let term = shared.wait_writable(deadline)?.term;
            if let Some(pending) = shared.pipeline.begin(term, reader)? {
                return Ok(WriteTxn { held, reader, pending, term });
            }
            if !shared.bell.wait(heard, deadline) {
                return Err(shared.not_caught_up(began));
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

    /// The term in which it began, and in which alone it can commit.
    pub fn term(&self) -> Term {
        self.term
    }

    /// Whether it has written nothing so far.
    pub fn is_empty(&self) -> bool {
        self.pending.writes().is_empty()
    }

    /// Commits with the default [`Durability`].
    ///
    /// # Errors
    ///
    /// As [`commit_with`](WriteTxn::commit_with).
    pub fn commit(self) -> Result<CommitHandle, Error> {
        self.commit_with(Durability::default())
    }

    /// Decides whether the transaction may be logged, hands it over, and gives the turn back. The handle tells what became of it:
    /// success, once the entry has come as far as `durability` asks.
    ///
    /// One that wrote nothing waits for the newest commit that it read from: what it saw is as sure then as that commit asked, but another master,
    /// of which this one has not heard yet, may have gone on from there. A linearizable read begun after it tells.
    ///
    /// # Errors
    ///
    /// Nothing was logged: [`Error::NotMaster`], [`Error::DiskFull`], [`Error::InsufficientReplicas`], [`Error::HandingOver`], [`Error::Busy`], [`Error::Paced`],
    /// [`Error::TxnExpired`], [`Error::Halted`], [`Error::Closed`].
    pub fn commit_with(self, durability: Durability) -> Result<CommitHandle, Error> {
        self.commit_within(durability, Patience::AsConfigured)
    }

    /// As [`commit`](WriteTxn::commit), for threads that must not wait; see [`try_commit_with`](WriteTxn::try_commit_with).
    ///
    /// # Errors
    ///
    /// As [`commit_with`](WriteTxn::commit_with).
    pub fn try_commit(self) -> Result<CommitHandle, Error> {
        self.try_commit_with(Durability::default())
    }

    /// As [`commit_with`](WriteTxn::commit_with), but where that waits for members or for room, this refuses at once, with
    /// the error that the wait would have ended in. Nothing was logged then: the same transaction may be built again a
    /// little later.
    ///
    /// # Errors
    ///
    /// As [`commit_with`](WriteTxn::commit_with).
    pub fn try_commit_with(self, durability: Durability) -> Result<CommitHandle, Error> {
        self.commit_within(durability, Patience::None)
    }

    fn commit_within(
        self,
        durability: Durability,
        patience: Patience,
    ) -> Result<CommitHandle, Error> {
        let WriteTxn { held, reader, pending, term } = self;
        held.shared.turn.pin(held.ticket)?;
        let admission = held.shared.writable_in(term)?;
        if pending.writes().is_empty() {
            return held.shared.commit_nothing(&pending, term, &admission);
        }
        let writes = pending.into_writes();
        let handle = held.shared.commit_writes(writes, (term, durability), reader, patience)?;
        held.hand_in();
        Ok(handle)
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

/// How long a commit may wait for what it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// `replicas_wait` for members, `busy_wait` for room.
    AsConfigured,
    /// Not at all.
    None,
}

impl Patience {
    /// The moment when a wait ends that begins now and is configured to last for `configured`.
    fn ends(self, configured: Duration) -> Instant {
        let now = Instant::now();
        match self {
            Patience::AsConfigured => now + configured,
            Patience::None => now,
        }
    }
}

/// How long a thread of this environment that has to wait for something without a deadline of its own does so at most.
pub(crate) const PATIENCE: Duration = Duration::from_secs(1);
