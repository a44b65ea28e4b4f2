//! What an engine under the named databases has to do; private, so that it can change freely.

use crate::write_set::Run;
use crate::{Database, StoreError, View};
use bytes::Bytes;
use rep_vlsn::LogPoint;
use std::ops::Bound;
use std::sync::Arc;

/// A key and its value.
pub(crate) type Pair = (Bytes, Bytes);
/// Pairs in order of keys, independent of whoever made them.
pub(crate) type Pairs = Box<dyn Iterator<Item = Result<Pair, StoreError>> + Send>;

/// Holds pairs by (database, key), and the point that they stand for.
///
/// After an error of `apply`, `checkpoint` or [`Loading`] that [poisons](StoreError::poisons) it is not called again.
pub(crate) trait Engine: Send {
    /// The point that the pairs stood for when the engine was opened.
    fn recovered(&self) -> LogPoint;

    /// Makes changes, in order, atomically with the new point, without waiting for a disk.
    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError>;

    /// Makes everything applied durable.
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Begins to replace everything, see [`Loading`].
    fn replace(&mut self) -> Result<Box<dyn Loading + '_>, StoreError>;

    /// Gives views, for as long as anyone wants.
    fn source(&self) -> Arc<dyn ViewSource>;
}

/// A replacement of everything; dropped without `commit`, nothing happened.
pub(crate) trait Loading {
    /// Adds pairs.
    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError>;

    /// Puts the new state in place of the old one, durably.
    fn commit(self: Box<Self>, applied: LogPoint) -> Result<(), StoreError>;
}

/// Gives views of what is applied.
pub(crate) trait ViewSource: Send + Sync {
    fn view(&self) -> Result<View, StoreError>;
}

/// An unchanging state.
pub(crate) trait EngineView: Send + Sync {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError>;

    /// Pairs between bounds; whoever calls has tested that they are not crossed.
    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError>;

    /// Number of keys.
    fn len(&self, database: &str) -> Result<u64, StoreError>;

    /// Databases that hold a key, in order of names.
    fn databases(&self) -> Result<Vec<Database>, StoreError>;
}
