//! The seam between the replicated log and whatever the log is about.
//!
//! The log is the truth, and it is durable before it is applied. So a state machine may be lazy about
//! its own disk: it applies without a sync, and now and then makes a *checkpoint*, which says how
//! much of the log it no longer needs. After a crash it comes back somewhere between its last
//! checkpoint and its last batch, and is fed the rest again. All that the protocol asks is that the
//! state and the [`LogPoint`] it stands for never part.

use crate::{Digest, StoreError};
use bytes::Bytes;
use rep_vlsn::{Kind, LogPoint, Record};
use std::fmt::Debug;

/// One entry of the log, as it is handed to a state machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Its place in the history.
    pub point: LogPoint,
    /// Commit time by the master's clock, ms since the Unix epoch. The only clock that a state
    /// machine may read: it is the same on every node.
    pub time_ms: u64,
    /// What it is. Only [`Kind::Data`] carries a payload meant for the machine.
    pub kind: Kind,
    /// The payload.
    pub payload: Bytes,
}

impl Entry {
    /// The entry of a checked record.
    pub fn of(record: &Record) -> Entry {
        let header = record.header();
        Entry {
            point: header.point,
            time_ms: header.time_ms,
            kind: header.kind,
            payload: record.payload(),
        }
    }

    /// A data entry.
    pub fn data(point: LogPoint, time_ms: u64, payload: Bytes) -> Entry {
        Entry { point, time_ms, kind: Kind::Data, payload }
    }
}

/// What the log is about. One thread, the applier, owns it; others read through its [`Reader`].
///
/// The contract, which the suite in `contract` tests (feature `contract`):
///
/// 1. *Deterministic.* The state is a function of the entries applied, whatever the batch borders and
///    whatever the node: no clock, no randomness, no thread order. Times come from the entries.
/// 2. *Atomic.* The state and `applied()` change together, also over a crash. A batch may be cut at
///    any entry by a crash, never inside an entry.
/// 3. *Idempotent.* An entry at or below `applied()` is skipped without effect.
/// 4. *Refusing.* A call that fails leaves the state as it was, or refuses all further calls.
/// 5. *Bounded loss.* After a crash, `applied()` is anything from the last checkpoint to the last
///    batch. So the log is cleaned at most up to the last checkpoint.
/// 6. *Readable.* What a reader sees belongs to one `applied()`, also while batches are applied.
///
/// [`Reader`]: StateMachine::Reader
pub trait StateMachine: Send + 'static {
    /// A handle that gives views of what is applied, from any thread, and stays valid over
    /// [`StateMachine::install`].
    type Reader: Clone + Send + Sync + 'static;
    /// The result of one entry, given to whoever proposed it.
    type Output: Send + Debug + 'static;

    /// A handle for readers.
    fn reader(&self) -> Self::Reader;

    /// The last entry whose effect is in the state, [`LogPoint::NULL`] before the first. It may be
    /// ahead of what would survive a crash.
    fn applied(&self) -> LogPoint;

    /// Applies entries in order, without waiting for a disk. Pushes one output for each entry of
    /// [`Kind::Data`] above `applied()`, in order; nothing for skipped entries or other kinds, which
    /// only move `applied()`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Corrupt`] if a payload means nothing, [`StoreError::OutOfOrder`] if an entry does
    /// not follow; then nothing of the batch is applied, and nothing is pushed. Otherwise as
    /// [`StoreError`] says.
    fn apply(&mut self, batch: &[Entry], results: &mut Vec<Self::Output>)
    -> Result<(), StoreError>;

    /// Makes what is applied durable, and names the point from which a crash can no longer take it
    /// back. May stall for tens of milliseconds.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`]: nothing may be cleaned from the log on the strength of this call.
    fn checkpoint(&mut self) -> Result<LogPoint, StoreError>;

    /// Whether a power cut may take what a checkpoint named, so that the machine has to be built again from the first entry: then the
    /// log is never cleaned. A machine around such a one has to say so, too. `false` unless it is overridden.
    fn is_rebuilt_from_the_log(&self) -> bool {
        false
    }

    /// A copy of the state at one applied point, to be sent to a node whose log no longer reaches
    /// back. It stays what it is while entries are applied.
    ///
    /// # Errors
    ///
    /// [`StoreError::Busy`] while too many are in the making.
    fn snapshot(&self) -> Result<Box<dyn Snapshot>, StoreError>;

    /// Loads the next chunk of a snapshot, which may be [installed](StateMachine::install) later, beside the present state: that stays what
    /// it is, for readers too, and may go on. The chunks of one snapshot come in order from its first. What was loaded ends with
    /// this value: after a crash there is nothing of it.
    ///
    /// `false` from a machine that cannot do so, the default: it has loaded nothing, and is given all chunks by `install`.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadChunk`], and whatever the disk says. Nothing is loaded any more; the state is what it was.
    fn load(&mut self, chunk: &Bytes) -> Result<bool, StoreError> {
        let _ = chunk;
        Ok(false)
    }

    /// Forgets what was loaded.
    fn unload(&mut self) {}

    /// Whether its state takes its length of a disk's space, so that a copy is put in its place only where there is room for both. A machine
    /// that says nothing is not asked for room.
    fn takes_space(&self) -> bool {
        false
    }

    /// Replaces the whole state by that of a snapshot, durably, and gives its point. `chunks` are
    /// those of one [`Snapshot`], in order, without those that were [loaded](StateMachine::load) already; an error among them ends the attempt.
    /// Nothing is loaded any more afterwards.
    ///
    /// The new point may be below the present one: whether that is wise is for the protocol to say.
    ///
    /// # Errors
    ///
    /// [`StoreError::BadChunk`], or what `chunks` gave. The state is then the old one, also after a
    /// crash during the call.
    fn install(&mut self, chunks: &mut Chunks<'_>) -> Result<LogPoint, StoreError>;

    /// A digest of the state at `applied()`: equal states have equal digests on every node, whatever
    /// engine holds them. Reads everything.
    fn digest(&self) -> Result<Digest, StoreError>;
}

/// The chunks of a snapshot as they arrive.
pub type Chunks<'a> = dyn Iterator<Item = Result<Bytes, StoreError>> + 'a;

/// A state machine's state at one point, as a sequence of chunks. It pins what it reads until dropped.
pub trait Snapshot: Send + Debug {
    /// The applied point that it shows.
    fn point(&self) -> LogPoint;

    /// The next chunk; `None` after the last. A receiver can tell from the chunks alone if one of them is missing, damaged, out
    /// of order or of another snapshot.
    ///
    /// A copy that was broken off goes on with the chunks that differ from those already there, byte for byte, also from the snapshot
    /// of another node at another point. So it is worth while to let chunks depend on what is in them, and not on the point or on
    /// their number; only the effort depends on it.
    fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError>;

    /// How much has been given, and of how much, in a unit of its own; for display only. `None` if nobody knows.
    fn progress(&self) -> Option<(u64, u64)> {
        None
    }
}
