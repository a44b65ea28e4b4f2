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

use crate::engine::{Engine, Loading, ViewSource};
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
        Ok(Fjall { disk, current, applied, published, living, _lock: lock })
    }

    fn publish(&mut self, applied: LogPoint) {
        self.applied = applied;
        *self.published.write() = view_of(&self.disk, &self.current, applied);
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

    fn replace(&mut self) -> Result<Box<dyn Loading + '_>, StoreError> {
        let number = self.current.number + 1;
        let keyspace = generation::create(&self.disk, number)?;
        Ok(Box::new(Replacement { fjall: self, number, keyspace: Some(keyspace) }))
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.published) as Arc<dyn ViewSource>
    }
}

/// The next generation, while it is loaded.
struct Replacement<'a> {
    fjall: &'a mut Fjall,
    number: u64,
    /// Taken when it is complete.
    keyspace: Option<Keyspace>,
}

impl Replacement<'_> {
    fn keyspace(&self) -> &Keyspace {
        self.keyspace.as_ref().expect("it is taken by `commit`, which is the end")
    }
}

impl Loading for Replacement<'_> {
    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        let mut batch = self.fjall.disk.batch();
        write_runs(&mut batch, self.keyspace(), runs)?;
        batch.commit().map_err(StoreError::engine("load pairs"))
    }

    fn commit(mut self: Box<Self>, applied: LogPoint) -> Result<(), StoreError> {
        let mut batch = self.fjall.disk.batch();
        write_applied(&mut batch, self.keyspace(), applied);
        batch.commit().map_err(StoreError::engine("install"))?;
        self.fjall.checkpoint()?;
        let Some(keyspace) = self.keyspace.take() else { return Ok(()) };
        let next = Arc::new(Generation::new(self.number, keyspace));
        self.fjall.succeed(next, applied)
    }
}

impl Drop for Replacement<'_> {
    fn drop(&mut self) {
        // Should this fail, the next opening does it: a generation without an applied point is deleted there.
        let Some(keyspace) = self.keyspace.take() else { return };
        if let Err(error) = self.fjall.disk.delete_keyspace(keyspace) {
            tracing::warn!(%error, "a replacement that was given up could not be deleted");
        }
    }
}

#[cfg(test)]
mod crash_tests;
