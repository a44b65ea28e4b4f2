//! The thread that writes promises, and what else is a few bytes that somebody relies on. It never waits behind the log: an
//! election must not hang on a slow write.

use crate::runtime::home::{Cells, encode_point};
use crate::runtime::inbox::Input;
use crate::runtime::last_words::LastWords;
use crate::runtime::shared::Shared;
use bytes::Bytes;
use rep_net::queue::Queue;
use rep_node::{Fence, PersistFailed, Persisted};
use rep_vlsn::LogPoint;
use rep_vlsn::cell::DurableCell;
use rep_vlsn::disk::Disk;

/// Words on their way at most; the election core keeps fewer fences in flight, and of the others there is one at a time.
pub(crate) const WORDS_MAX: usize = 64;

/// What is to be written down.
#[derive(Clone, Debug)]
pub(crate) enum Word {
    Fence(Fence),
    /// An arbiter vouches for its master's log up to there.
    Vouch(LogPoint),
    /// What the directory was told of its group. Nobody waits for it.
    Place(Bytes),
    /// Why the directory is to be set aside. Nobody waits for it either: who does not find it is told again.
    Disowned(String),
}

/// Runs until the queue is closed.
pub(crate) fn run<D: Disk>(mut cells: Cells<D>, words: &Queue<Word>, shared: &Shared) {
    let _last_words = LastWords::of(&shared.inbox, PersistFailed::Fence);
    while let Ok(Some(word)) = words.pop(None) {
        match word {
            Word::Fence(fence) => {
                let stored = store(&mut cells.promise, &fence.encode(), shared);
                if stored {
                    shared.counters.promises_written.add(1);
                    shared.inbox.completed(Input::Persisted(Persisted::Fence(fence)));
                }
            }
            Word::Vouch(point) => {
                if store(&mut cells.vouch, &encode_point(point), shared) {
                    shared.inbox.completed(Input::Persisted(Persisted::Vouch(point)));
                }
            }
            Word::Place(place) => {
                store(&mut cells.place, &place, shared);
            }
            Word::Disowned(why) => {
                store(&mut cells.disowned, why.as_bytes(), shared);
            }
        }
    }
}

/// Whether it is written; if not, the node knows.
fn store<D: Disk>(cell: &mut DurableCell<D>, value: &[u8], shared: &Shared) -> bool {
    let stored = cell.store(value);
    if let Err(error) = &stored {
        let failed = Input::PersistFailed(PersistFailed::Fence, error.to_string());
        shared.inbox.completed(failed);
    }
    stored.is_ok()
}
