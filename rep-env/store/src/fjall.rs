//! The engine over fjall: a directory with a log-structured merge tree.
//!
//! Batches go to the engine's journal, which nobody syncs, and to a table in memory; a checkpoint syncs the
//! journal. The engine's own threads write tables and merge them, so applying is several times faster than
//! with one tree in a file, at the price of more memory, more disk, and a slower opening.
//!
//! The pairs of all databases and the applied point lie in *one* keyspace. Each keyspace is written out on
//! its own; were the point in another one than the pairs, a power cut could leave them a batch apart. In one
//! keyspace whatever is written out ends at the border of a batch. Where a pair lies, [`keys`] says.
//!
//! A replacement of everything is loaded into the keyspace of the next *generation*, whose applied point is
//! written last; at opening the highest generation that has one counts, and the others are deleted.

mod generation;
mod keys;
mod opening;
mod view;

use crate::engine::{Engine, ViewSource};
use crate::write_set::Run;
use crate::{StoreError, View};
use ::fjall as engine;
use engine::{Keyspace, PersistMode};
use generation::{Generation, write_applied, write_runs};
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Weak};
use view::view_of;

pub(crate) struct Fjall {
    disk: engine::Database,
    current: Arc<Generation>,
    applied: LogPoint,
    /// The next generation, while it is loaded.
    loading: Option<Keyspace>,
    published: Arc<RwLock<View>>,
    /// Generations that some view may still show.
    living: Vec<Weak<Generation>>,
    /// Let go after everything else.
    _lock: fs::File,
}

impl Fjall {
    pub(crate) fn open(path: &Path) -> Result<Self, StoreError> {
        let (disk, lock) = opening::open(path)?;
        let (current, applied) = generation::recover(&disk)?;
        let published = Arc::new(RwLock::new(view_of(&disk, &current, applied)));
        let living = vec![Arc::downgrade(&current)];
        Ok(Fjall { disk, current, applied, loading: None, published, living, _lock: lock })
    }

    fn publish(&mut self, applied: LogPoint) {
        self.applied = applied;
        *self.published.write() = view_of(&self.disk, &self.current, applied);
    }

    /// The keyspace of the next generation, which is made if there is none.
    fn next(&mut self) -> Result<Keyspace, StoreError> {
        if self.loading.is_none() {
            self.loading = Some(generation::create(&self.disk, self.current.number + 1)?);
        }
        Ok(self.loading.clone().expect("it was just made"))
    }

    /// Puts a loaded generation in place of the present one, which lives as long as its views.
    fn succeed(&mut self, next: Arc<Generation>, applied: LogPoint) -> Result<(), StoreError> {
        let old = std::mem::replace(&mut self.current, next);
        self.living.retain(|generation| generation.strong_count() > 0);
        self.living.push(Arc::downgrade(&self.current));
        self.publish(applied);
        generation::delete(&self.disk, old.keyspace()?)
    }
}

/// The directory's lock is held for as long as somebody has a keyspace, so views give theirs back.
impl Drop for Fjall {
    fn drop(&mut self) {
        // The engine's threads may end a little later than its handle. What they drop last is the journal, and that
        // must have nothing left to write by then.
        if let Err(error) = self.disk.persist(PersistMode::Buffer) {
            tracing::warn!(%error, "a store was closed and could not hand over its journal");
        }
        self.living.iter().filter_map(Weak::upgrade).for_each(|generation| generation.close());
    }
}

impl Engine for Fjall {
    fn recovered(&self) -> LogPoint {
        self.applied
    }

    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError> {
        let keyspace = self.current.keyspace()?;
        let mut batch = self.disk.batch();
        write_runs(&mut batch, &keyspace, runs)?;
        write_applied(&mut batch, &keyspace, applied);
        batch.commit().map_err(StoreError::engine("commit a batch"))?;
        self.publish(applied);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        self.disk.persist(PersistMode::SyncAll).map_err(StoreError::engine("checkpoint"))
    }

    /// A power cut may leave a hole in the journal, and then only the log has what it held.
    fn is_rebuilt_from_the_log(&self) -> bool {
        true
    }

    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        let keyspace = self.next()?;
        let mut batch = self.disk.batch();
        write_runs(&mut batch, &keyspace, runs)?;
        batch.commit().map_err(StoreError::engine("load pairs"))
    }

    fn put_in_place(&mut self, applied: LogPoint) -> Result<(), StoreError> {
        let keyspace = self.next()?;
        let mut batch = self.disk.batch();
        write_applied(&mut batch, &keyspace, applied);
        batch.commit().map_err(StoreError::engine("install"))?;
        self.checkpoint()?;
        self.loading = None;
        let next = Arc::new(Generation::new(self.current.number + 1, keyspace));
        self.succeed(next, applied)
    }

    fn unload(&mut self) {
        // Should this fail, the next opening does it: a generation without an applied point is deleted there.
        let Some(keyspace) = self.loading.take() else { return };
        if let Err(error) = self.disk.delete_keyspace(keyspace) {
            tracing::warn!(%error, "a replacement that was given up could not be deleted");
        }
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.published) as Arc<dyn ViewSource>
    }
}

#[cfg(test)]
mod crash_tests;
