//! The engine in memory: copy-on-write trees under one lock.
//!
//! Readers want the state at one point for as long as they like, and the applier wants to write a
//! million pairs a second. Both are served by trees whose nodes are shared by count (see [`tree`]):
//! a view is a clone of the root, taken under a read lock in constant time; the applier changes
//! nodes in place, and copies only those that some view still shares. There are no versions to
//! prune and no list of live views: dropping a view frees what only it held.
//!
//! While a batch is applied the lock is held, so a new view waits for the batch's end, never for a
//! disk; views that exist are not touched.

mod key;
pub(crate) mod tree;

use crate::engine::{Engine, EngineView, Pairs, ViewSource};
use crate::write_set::Run;
use crate::{Database, StoreError, View};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use rep_vlsn::{LogPoint, mutant};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use tree::Tree;

/// What a memory store keeps over a crash: its last checkpoint. For tests and simulators, where dropping
/// a store and opening it again in the same home is what a power cut does to one on a disk.
#[derive(Clone, Default)]
pub struct MemoryHome(Arc<Mutex<State>>);

impl MemoryHome {
    /// A home where nothing was ever checkpointed.
    pub fn new() -> Self {
        MemoryHome::default()
    }

    /// Another home that holds the same: what a copy of a directory is.
    pub fn copy(&self) -> MemoryHome {
        MemoryHome(Arc::new(Mutex::new(self.0.lock().clone())))
    }

    /// The point of the last checkpoint.
    pub fn checkpointed(&self) -> LogPoint {
        self.0.lock().applied
    }
}

impl fmt::Debug for MemoryHome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryHome").field("checkpointed", &self.checkpointed()).finish()
    }
}

/// The whole state; a clone is a view.
#[derive(Clone, Default)]
struct State {
    applied: LogPoint,
    databases: Tree<Tree<Bytes>>,
}

impl State {
    fn change(&mut self, run: &Run<'_>) {
        let name = run.database.as_bytes();
        if self.databases.get(name).is_none() {
            self.databases.insert(name, Tree::new());
        }
        let database = self.databases.get_mut(name).expect("it was just made sure of");
        for (key, value) in &run.changes {
            match value {
                Some(value) => database.insert(key, Bytes::copy_from_slice(value)),
                None if mutant!("store-keeps-deleted") => None,
                None => database.remove(key),
            };
        }
        if database.is_empty() {
            self.databases.remove(name);
        }
    }
}

pub(crate) struct Memory {
    shared: Arc<RwLock<State>>,
    /// What was loaded to take its place.
    loaded: State,
    /// Where checkpoints go; without one nothing outlives the store, and no checkpoint keeps old nodes.
    home: Option<MemoryHome>,
}

impl Memory {
    /// Opens empty, for as long as it lives.
    pub(crate) fn ephemeral() -> Self {
        Memory { shared: Arc::default(), loaded: State::default(), home: None }
    }

    /// Opens at the last checkpoint of `home`.
    pub(crate) fn open(home: MemoryHome) -> Self {
        let state = home.0.lock().clone();
        let shared = Arc::new(RwLock::new(state));
        Memory { shared, loaded: State::default(), home: Some(home) }
    }
}

impl Engine for Memory {
    fn recovered(&self) -> LogPoint {
        self.shared.read().applied
    }

    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError> {
        let mut state = self.shared.write();
        runs.iter().for_each(|run| state.change(run));
        state.applied = applied;
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<(), StoreError> {
        if let Some(home) = &self.home {
            *home.0.lock() = self.shared.read().clone();
        }
        Ok(())
    }

    fn outlives(&self) -> bool {
        self.home.is_some()
    }

    fn takes_space(&self) -> bool {
        false
    }

    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError> {
        runs.iter().for_each(|run| self.loaded.change(run));
        Ok(())
    }

    fn put_in_place(&mut self, applied: LogPoint) -> Result<(), StoreError> {
        let loaded = std::mem::take(&mut self.loaded);
        *self.shared.write() = State { applied, ..loaded };
        self.checkpoint()
    }

    fn unload(&mut self) {
        self.loaded = State::default();
    }

    fn source(&self) -> Arc<dyn ViewSource> {
        Arc::clone(&self.shared) as Arc<dyn ViewSource>
    }
}

impl ViewSource for RwLock<State> {
    fn view(&self) -> Result<View, StoreError> {
        let state = self.read().clone();
        Ok(View::new(state.applied, Arc::new(state)))
    }
}

impl EngineView for State {
    fn get(&self, database: &str, key: &[u8]) -> Result<Option<Bytes>, StoreError> {
        let tree = self.databases.get(database.as_bytes());
        Ok(tree.and_then(|tree| tree.get(key)).cloned())
    }

    fn range(
        &self,
        database: &str,
        start: Bound<&[u8]>,
        end: Bound<&[u8]>,
    ) -> Result<Pairs, StoreError> {
        Ok(match self.databases.get(database.as_bytes()) {
            Some(tree) => Box::new(tree.range(start, end).map(Ok)),
            None => Box::new(std::iter::empty()),
        })
    }

    fn len(&self, database: &str) -> Result<u64, StoreError> {
        let tree = self.databases.get(database.as_bytes());
        Ok(tree.map_or(0, |tree| tree.len() as u64))
    }

    fn databases(&self) -> Result<Vec<Database>, StoreError> {
        let all = self.databases.range(Bound::Unbounded, Bound::Unbounded);
        let name = |(name, _): (Bytes, Tree<Bytes>)| match std::str::from_utf8(&name) {
            Ok(name) => Database::new(name),
            Err(_) => unreachable!("names were checked when they were decoded"),
        };
        Ok(all.map(name).collect())
    }
}
