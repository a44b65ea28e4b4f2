//! A place that is kept for what is still under way.

use std::fmt::{self, Debug};
use std::sync::Arc;

use super::waiting::Shared;

/// A place kept in a lane. Dropping it unfilled gives the place back.
pub struct Slot<T> {
    shared: Arc<Shared<T>>,
    lane: usize,
    bytes: usize,
    filled: bool,
}

impl<T> Slot<T> {
    /// For a place that has been taken already.
    pub(super) fn new(shared: Arc<Shared<T>>, lane: usize, bytes: usize) -> Self {
        Self { shared, lane, bytes, filled: false }
    }

    /// Puts the item in its place. Never blocks. The item counts as the bytes reserved.
    ///
    /// # Errors
    /// The item, if the queue was closed meanwhile.
    pub fn fill(mut self, item: T) -> Result<(), T> {
        let mut state = self.shared.state.lock();
        if state.closed {
            drop(state);
            return Err(item);
        }
        self.filled = true;
        state.append(self.lane, self.bytes, item);
        self.shared.filled(state);
        Ok(())
    }
}

impl<T> Drop for Slot<T> {
    fn drop(&mut self) {
        if !self.filled {
            let mut state = self.shared.state.lock();
            state.lanes[self.lane].give_back(self.bytes);
            self.shared.made_room(&mut state, self.lane);
            self.shared.release(state);
        }
    }
}

impl<T> Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Slot")
            .field("lane", &self.lane)
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}
