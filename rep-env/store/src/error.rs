//! What can go wrong in a store, and whose doing it is.

use rep_vlsn::LogPoint;
use std::error::Error;
use std::sync::Arc;

/// A refusal or a failure. After every one of them but [`StoreError::Engine`], [`StoreError::Damaged`] and
/// [`StoreError::Poisoned`] the store is as it was before the call, and usable.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The caller's: a name, key, value or write set above its bound. Make it smaller.
    #[error("{what} of {bytes} bytes; at most {bytes_max} are allowed")]
    TooLong {
        /// What is too long.
        what: &'static str,
        /// How long it is.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },
    /// The caller's: a write to a database whose name is empty.
    #[error("a database needs a name")]
    Unnamed,
    /// Whoever made these bytes: they are no write set.
    #[error("no write set: {what} at byte {at}")]
    Malformed {
        /// Where decoding stopped.
        at: usize,
        /// What was found there.
        what: &'static str,
    },
    /// The group's: an entry of the log holds no write set. Nothing of its batch was applied. Applying
    /// past it would make this copy differ from the others: halt, and look at who proposed it.
    #[error("entry {point} holds no write set: {what} at byte {at}")]
    Corrupt {
        /// The entry.
        point: LogPoint,
        /// Where decoding stopped.
        at: usize,
        /// What was found there.
        what: &'static str,
    },
    /// The caller's: an entry that cannot follow what is applied (a gap, a falling term, or another
    /// entry at the applied VLSN). The store and the log do not belong together; restore.
    #[error("entry {entry} cannot follow {applied}")]
    OutOfOrder {
        /// What is applied.
        applied: LogPoint,
        /// The entry that was to follow.
        entry: LogPoint,
    },
    /// Not now: a bounded resource is in use. Try again later.
    #[error("busy: {what}")]
    Busy {
        /// What is in use.
        what: &'static str,
    },
    /// The source's: a chunk that is damaged, out of order, or does not add up. Nothing was installed.
    #[error("snapshot chunk {chunk} refused: {what}")]
    BadChunk {
        /// The chunk, from 0.
        chunk: u32,
        /// What is wrong with it.
        what: &'static str,
    },
    /// The source's: the chunks ended early, as their iterator told. Nothing was installed.
    #[error("snapshot source failed: {reason}")]
    SourceFailed {
        /// What the source said.
        reason: String,
    },
    /// The file was written by another version of this store.
    #[error("store format {found}, but this version knows {known}")]
    Format {
        /// The format of the file.
        found: u32,
        /// The format that this version writes.
        known: u32,
    },
    /// The environment's: the engine failed (disk full, I/O error). The store takes no
    /// more writes until it is opened again; the log has everything that was not checkpointed.
    #[error("store failed to {operation}: {source}")]
    Engine {
        /// What was tried.
        operation: &'static str,
        /// What the engine said.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// The environment's: what the store's file holds is not what was written to it. To open it again does not help: the state has to
    /// come from another member.
    #[error("the store is damaged, as it showed when it was to {operation}: {detail}")]
    Damaged {
        /// What was tried.
        operation: &'static str,
        /// What the engine said.
        detail: String,
    },
    /// An earlier write failed, so what the store holds is not known. Open it again.
    #[error("the store failed earlier and has to be opened again")]
    Poisoned,
}

impl StoreError {
    /// Wraps what an engine said while it tried to do `operation`.
    #[cfg(any(feature = "redb", feature = "fjall"))]
    pub(crate) fn engine<E: Error + Send + Sync + 'static>(
        operation: &'static str,
    ) -> impl FnOnce(E) -> StoreError {
        move |source| StoreError::Engine { operation, source: Arc::new(source) }
    }

    /// Whether the store may hold something else than before, so that it has to be opened again.
    pub(crate) fn poisons(&self) -> bool {
        matches!(self, StoreError::Engine { .. } | StoreError::Damaged { .. })
    }
}
