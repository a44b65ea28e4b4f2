//! How much may be on its way: bytes sent and not yet acknowledged as received.
//!
//! A window in bytes keeps a pipe of any length full and the memory at both ends bounded, whatever the size
//! of the entries. What is counted is what the sender reports, since only it saw the bytes.

use rep_vlsn::Vlsn;
use std::collections::VecDeque;

/// Batches remembered one by one; beyond it the newest are counted together.
const BATCHES_MAX: usize = 1024;

/// Bytes in flight, by the entry that ends each batch.
///
/// ```
/// use rep_stream::Window;
/// use rep_vlsn::Vlsn;
///
/// let mut window = Window::new(1000, 600);
/// window.sent(Vlsn::new(3), 600);
/// assert!(!window.has_room(), "a second batch of 600 would not fit");
/// window.acked(Vlsn::new(3));
/// assert!(window.has_room());
/// ```
#[derive(Clone, Debug)]
pub struct Window {
    bytes_max: usize,
    batch_bytes: usize,
    in_flight: usize,
    batches: VecDeque<(Vlsn, usize)>,
}

impl Window {
    /// An empty window of `bytes_max`, for batches of up to `batch_bytes`.
    pub fn new(bytes_max: usize, batch_bytes: usize) -> Self {
        Window { bytes_max, batch_bytes, in_flight: 0, batches: VecDeque::new() }
    }

    /// Whether a whole batch fits. An empty window always takes one.
    pub fn has_room(&self) -> bool {
        self.in_flight == 0 || self.in_flight.saturating_add(self.batch_bytes) <= self.bytes_max
    }

    /// Bytes sent and not acknowledged.
    pub fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// A batch that ends with entry `last` has been sent.
    pub fn sent(&mut self, last: Vlsn, bytes: usize) {
        self.in_flight = self.in_flight.saturating_add(bytes);
        let mut batch = (last, bytes);
        if self.batches.len() >= BATCHES_MAX {
            let (_, newest_bytes) = self.batches.pop_back().unwrap_or((last, 0));
            batch.1 = batch.1.saturating_add(newest_bytes);
        }
        self.batches.push_back(batch);
    }

    /// Everything up to entry `received` has arrived.
    pub fn acked(&mut self, received: Vlsn) {
        while let Some(&(_, bytes)) = self.batches.front().filter(|(last, _)| *last <= received) {
            self.in_flight = self.in_flight.saturating_sub(bytes);
            self.batches.pop_front();
        }
    }

    /// Nothing is in flight any more.
    pub fn clear(&mut self) {
        self.in_flight = 0;
        self.batches.clear();
    }

    pub(crate) fn invariants(&self) {
        assert_eq!(self.batches.is_empty(), self.in_flight == 0);
        assert!(self.batches.len() <= BATCHES_MAX);
    }
}
