//! What a reader sees: the whole state at one applied point, unchanging.

use crate::digest::Digester;
use crate::engine::{EngineView, Pairs};
use crate::{Database, Digest, StoreError};
use bytes::Bytes;
use rep_vlsn::LogPoint;
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

/// The databases at one applied point. Cheap to clone; it never changes, and keeps what it shows from
/// being reclaimed, so it is not for keeping.
#[derive(Clone)]
pub struct View {
    applied: LogPoint,
    engine: Arc<dyn EngineView>,
}

impl View {
    pub(crate) fn new(applied: LogPoint, engine: Arc<dyn EngineView>) -> Self {
        View { applied, engine }
    }

    /// The point whose state this is.
    pub fn applied(&self) -> LogPoint {
        self.applied
    }

    /// The value of `key`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the engine cannot read.
    pub fn get(&self, database: &Database, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        self.engine.get(database.name(), key)
    }

    /// The pairs whose keys lie within `bounds`, in order of keys. Crossed bounds hold nothing.
    pub fn range<'k>(&self, database: &Database, bounds: impl RangeBounds<&'k [u8]>) -> Range {
        let (start, end) = (bounds.start_bound().cloned(), bounds.end_bound().cloned());
        if are_crossed(start, end) {
            return Range { pairs: Box::new(std::iter::empty()) };
        }
        match self.engine.range(database.name(), start, end) {
            Ok(pairs) => Range { pairs },
            Err(error) => Range { pairs: Box::new(std::iter::once(Err(error))) },
        }
    }

    /// Number of keys in `database`.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the engine cannot read.
    pub fn len(&self, database: &Database) -> Result<u64, StoreError> {
        self.engine.len(database.name())
    }

    /// The databases that hold at least one key, in order of names.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the engine cannot read.
    pub fn databases(&self) -> Result<Vec<Database>, StoreError> {
        self.engine.databases()
    }

    /// How many pairs `databases` hold, if the engine keeps that number.
    pub(crate) fn pairs_kept(&self, databases: &[Database]) -> Result<Option<u64>, StoreError> {
        if !self.engine.keeps_len() {
            return Ok(None);
        }
        let lens = databases.iter().map(|database| self.len(database));
        lens.sum::<Result<u64, _>>().map(Some)
    }

    /// Digest over ordered (database, key, value). Reads everything.
    ///
    /// # Errors
    ///
    /// [`StoreError::Engine`] if the engine cannot read.
    pub fn digest(&self) -> Result<Digest, StoreError> {
        let mut digester = Digester::new();
        for database in self.databases()? {
            for pair in self.range(&database, ..) {
                let (key, value) = pair?;
                digester.pair(database.name(), &key, &value);
            }
        }
        Ok(digester.finish())
    }
}

impl fmt::Debug for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("applied", &self.applied).finish_non_exhaustive()
    }
}

/// Pairs in order of keys. It keeps its view alive. After an error it ends.
pub struct Range {
    pairs: Pairs,
}

impl Iterator for Range {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        let item = self.pairs.next();
        if let Some(Err(_)) = item {
            self.pairs = Box::new(std::iter::empty());
        }
        item
    }
}

impl fmt::Debug for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Range").finish_non_exhaustive()
    }
}

/// Whether no key can lie between these bounds; maps and engines panic on some of them.
pub(crate) fn are_crossed(start: Bound<&[u8]>, end: Bound<&[u8]>) -> bool {
    use Bound::{Excluded, Included, Unbounded};
    match (start, end) {
        (Unbounded, _) | (_, Unbounded) => false,
        (Included(start), Included(end)) => start > end,
        (Included(start) | Excluded(start), Excluded(end)) | (Excluded(start), Included(end)) => {
            start >= end
        }
    }
}
