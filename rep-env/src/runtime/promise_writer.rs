//! The thread that writes promises. It never waits behind the log: an election must not hang on a slow write.

use crate::runtime::inbox::Input;
use crate::runtime::last_words::LastWords;
use crate::runtime::shared::Shared;
use rep_net::queue::Queue;
use rep_node::{Fence, PersistFailed, Persisted};
use rep_vlsn::cell::DurableCell;
use rep_vlsn::disk::Disk;

/// Fences on their way at most; the election core keeps fewer in flight.
pub(crate) const FENCES_MAX: usize = 64;

/// Runs until the queue is closed.
pub(crate) fn run<D: Disk>(mut cell: DurableCell<D>, fences: &Queue<Fence>, shared: &Shared) {
    let _last_words = LastWords::of(&shared.inbox, PersistFailed::Fence);
    while let Ok(Some(fence)) = fences.pop(None) {
        let input = match cell.store(&fence.encode()) {
            Ok(()) => {
                shared.counters.promises_written.add(1);
                Input::Persisted(Persisted::Fence(fence))
            }
            Err(error) => Input::PersistFailed(PersistFailed::Fence, error.to_string()),
        };
        shared.inbox.completed(input);
    }
}
