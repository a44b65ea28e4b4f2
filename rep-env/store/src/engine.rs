//! What an engine under the named databases has to do; private, so that it can change freely.

use crate::write_set::Run;
use crate::{Database, StoreError, View};
use bytes::Bytes;
#[cfg(any(feature = "redb", feature = "fjall"))]
use parking_lot::RwLock;
use rep_vlsn::LogPoint;
#[cfg(any(feature = "redb", feature = "fjall"))]
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

/// A key and its value.
pub(crate) type Pair = (Bytes, Bytes);
/// Pairs in order of keys, independent of whoever made them.
pub(crate) type Pairs = Box<dyn Iterator<Item = Result<Pair, StoreError>> + Send>;

/// Holds pairs by (database, key), and the point that they stand for.
///
/// After an error that [poisons](StoreError::poisons) it is not called again.
pub(crate) trait Engine: Send {
    /// The point that the pairs stood for when the engine was opened.
    fn recovered(&self) -> LogPoint;

    /// Makes changes, in order, atomically with the new point, without waiting for a disk.
    fn apply(&mut self, runs: &[Run<'_>], applied: LogPoint) -> Result<(), StoreError>;

    /// Makes everything applied durable.
    fn checkpoint(&mut self) -> Result<(), StoreError>;

    /// Whether anything outlives this value: if not, a checkpoint promises nothing.
    fn outlives(&self) -> bool {
        true
    }

    /// Whether a power cut may leave a store that has to be built again from the log, whatever a checkpoint said.
    fn is_rebuilt_from_the_log(&self) -> bool {
        false
    }

    /// Whether the pairs lie on a disk.
    fn takes_space(&self) -> bool {
        true
    }

    /// Adds pairs to a state that may take the place of the present one, which may go on meanwhile. Nobody sees them, and they end with
    /// this value.
    fn load(&mut self, runs: &[Run<'_>]) -> Result<(), StoreError>;

    /// Puts what was loaded in place of the old state, durably, at one stroke.
    fn put_in_place(&mut self, applied: LogPoint) -> Result<(), StoreError>;

    /// Forgets what was loaded. What cannot be removed now goes when something is loaded again, or at the next opening.
    fn unload(&mut self);

    /// Gives views, for as long as anyone wants.
    fn source(&self) -> Arc<dyn ViewSource>;
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

    /// Whether `len` is kept, and not counted anew each time.
    fn keeps_len(&self) -> bool {
        true
    }

    /// Databases that hold a key, in order of names.
    fn databases(&self) -> Result<Vec<Database>, StoreError>;
}

/// A view that is published after each batch, for all readers to share.
#[cfg(any(feature = "redb", feature = "fjall"))]
impl ViewSource for RwLock<View> {
    fn view(&self) -> Result<View, StoreError> {
        Ok(self.read().clone())
    }
}

#[cfg(any(feature = "redb", feature = "fjall"))]
type NetChanges<'a> = BTreeMap<&'a str, BTreeMap<&'a [u8], Option<&'a [u8]>>>;

/// The last change of each key, in order: a key that changes a hundred times in a batch is written once.
#[cfg(any(feature = "redb", feature = "fjall"))]
pub(crate) fn net_changes<'a>(runs: &[Run<'a>]) -> NetChanges<'a> {
    let mut net = NetChanges::new();
    for run in runs {
        net.entry(run.database).or_default().extend(run.changes.iter().copied());
    }
    net
}

/// A file is durable once its name is. Synced at every open: an earlier one may have died before this.
#[cfg(any(feature = "redb", feature = "fjall"))]
pub(crate) fn sync_parent(path: &std::path::Path) -> Result<(), StoreError> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    let directory = parent.unwrap_or(std::path::Path::new("."));
    if cfg!(unix) {
        std::fs::File::open(directory)
            .and_then(|directory| directory.sync_all())
            .map_err(StoreError::engine("sync its directory"))?;
    }
    Ok(())
}
