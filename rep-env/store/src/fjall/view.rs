//! What readers see: a snapshot of one generation.

use super::engine::{self, Readable, Snapshot};
use super::generation::Generation;
use super::keys::{self, Bucket, Place, Stretch};
use crate::engine::{EngineView, Pairs};
use crate::{Database, StoreError, View};
use bytes::Bytes;
use rep_vlsn::LogPoint;
use std::ops::Bound;
use std::sync::Arc;

/// A snapshot of one generation.
struct FjallView {
    generation: Arc<Generation>,
    snapshot: Snapshot,
}

impl FjallView {
    /// The first stored key at or after `from`.
    fn first_from(&self, from: &[u8]) -> Result<Option<Vec<u8>>, StoreError> {
        self.generation.reading(|keyspace| {
            let Some(found) = self.snapshot.range(keyspace, from..).next() else { return Ok(None) };
            Ok(Some(found.key().map_err(StoreError::engine("read"))?.to_vec()))
        })
    }
}

impl EngineView for FjallView {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let Some(place) = Place::of(database, key) else { return Ok(None) };
        let stored = self.generation.reading(|keyspace| {
            self.snapshot.get(keyspace, &place.stored).map_err(StoreError::engine("read"))
        })?;
        match (stored, place.rest) {
            (None, _) => Ok(None),
            (Some(value), None) => Ok(Some(Bytes::copy_from_slice(&value))),
            (Some(bucket), Some(rest)) => Ok(Bucket::decode(&bucket)?.get(rest)),
        }
    }

    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError> {
        let Some(stretch) = Stretch::of(database, start, end) else {
            return Ok(Box::new(std::iter::empty()));
        };
        let stored = self
            .generation
            .reading(|keyspace| Ok(self.snapshot.range(keyspace, stretch.stored.clone())))?;
        let generation = Arc::clone(&self.generation);
        Ok(Box::new(PairsOf { generation, stored, stretch, bucket: Vec::new().into_iter() }))
    }

    fn len(&self, database: &str) -> Result<u64, StoreError> {
        let pairs = self.range(database, Bound::Unbounded, Bound::Unbounded)?;
        let mut len = 0;
        for pair in pairs {
            pair?;
            len += 1;
        }
        Ok(len)
    }

    fn keeps_len(&self) -> bool {
        false
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        let mut databases = Vec::new();
        let mut from = keys::FIRST.to_vec();
        while let Some(found) = self.first_from(&from)? {
            let name = keys::database_of(&found)?;
            from = keys::after(name);
            databases.push(Database::new(name));
        }
        databases.sort();
        Ok(databases)
    }
}

/// The pairs of a stretch. It keeps its snapshot alive, though not the store open.
struct PairsOf {
    generation: Arc<Generation>,
    stored: engine::Iter,
    stretch: Stretch,
    /// Pairs that lie at one stored key.
    bucket: std::vec::IntoIter<(Bytes, Bytes)>,
}

impl PairsOf {
    fn next_stored(&mut self) -> Option<Result<(engine::Slice, engine::Slice), StoreError>> {
        let stored = &mut self.stored;
        self.generation
            .reading(|_| {
                let next = stored.next().map(engine::Guard::into_inner).transpose();
                next.map_err(StoreError::engine("read a range"))
            })
            .transpose()
    }
}

impl Iterator for PairsOf {
    type Item = Result<(Bytes, Bytes), StoreError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(pair) = self.bucket.next() {
                return Some(Ok(pair));
            }
            let (key, value) = match self.next_stored()? {
                Ok(stored) => stored,
                Err(error) => return Some(Err(error)),
            };
            match self.stretch.pairs(&key, &value) {
                Ok(keys::Pairs::One(pair)) => return Some(Ok(pair)),
                Ok(keys::Pairs::Many(pairs)) => self.bucket = pairs.into_iter(),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

pub(super) fn view_of(
    disk: &engine::Database,
    generation: &Arc<Generation>,
    applied: LogPoint,
) -> View {
    let (generation, snapshot) = (Arc::clone(generation), disk.snapshot());
    View::new(applied, Arc::new(FjallView { generation, snapshot }))
}
