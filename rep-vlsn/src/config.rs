//! Settings of a log.

use crate::ids::Vlsn;
use crate::segment::{MARK_BYTES, SEGMENT_HEADER_BYTES};

/// Settings of a log. Make one with [`LogConfig::default`] and change what you need.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogConfig {
    /// Length to which a segment is preallocated, in bytes (64 MiB). A longer record gets a segment of its
    /// own length. A few hundred bytes are enough to try things out.
    pub segment_bytes: u64,
    /// How much of the newest records stays in memory, in bytes (16 MiB); more only while records wait to be written.
    pub tail_bytes: usize,
    /// The most that one group write takes from the tail, in bytes (4 MiB), if it is more than one record.
    pub group_bytes_max: usize,
    /// Entries per place remembered by the index (64).
    pub index_stride: u64,
    /// How many bytes of a segment are written and synced before the index file is told of them, in bytes (4 MiB). After
    /// a kill an opening reads no more than these and what was not synced.
    pub checkpoint_bytes: u64,
    /// How many bytes behind its end a log keeps written with zeros, where [`LogWriter::write_ahead`](crate::LogWriter::write_ahead)
    /// is called (1 MiB; 0: none). It makes the syncs of small groups cheaper, and each of their bytes is written twice.
    pub ahead_bytes: u64,
    /// A segment is begun only if so many bytes of the disk stay free behind it (0): for what else has to be written there.
    pub reserve_bytes: u64,
    /// Whether an opening reads and checks every entry, whatever the index file says (no). Damage then shows at once and
    /// not when the entry is next read.
    pub verify_on_open: bool,
}

impl Default for LogConfig {
    fn default() -> Self {
        LogConfig {
            segment_bytes: 64 << 20,
            tail_bytes: 16 << 20,
            group_bytes_max: 4 << 20,
            index_stride: 64,
            checkpoint_bytes: 4 << 20,
            ahead_bytes: 1 << 20,
            reserve_bytes: 0,
            verify_on_open: false,
        }
    }
}

impl LogConfig {
    /// The same with other segments.
    pub fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// The same with another tail.
    pub fn with_tail_bytes(mut self, bytes: usize) -> Self {
        self.tail_bytes = bytes;
        self
    }

    /// The same with so many zeros ahead of the end, in bytes.
    pub fn with_ahead_bytes(mut self, bytes: u64) -> Self {
        self.ahead_bytes = bytes;
        self
    }

    /// The same with so many bytes of the disk that are left to others.
    pub fn with_reserve_bytes(mut self, bytes: u64) -> Self {
        self.reserve_bytes = bytes;
        self
    }

    /// The same with an opening that reads and checks every entry, or not.
    pub fn with_verify_on_open(mut self, verify: bool) -> Self {
        self.verify_on_open = verify;
        self
    }

    /// Length of a new segment whose first record is `record_bytes` long: with it go a mark, and room for the
    /// mark that closes the log.
    pub(crate) fn segment_len(&self, record_bytes: usize) -> u64 {
        let needed = SEGMENT_HEADER_BYTES + record_bytes + 2 * MARK_BYTES;
        self.segment_bytes.max(needed as u64)
    }

    pub(crate) fn stride(&self) -> u64 {
        self.index_stride.max(1)
    }

    pub(crate) fn index(&self, last: Vlsn) -> crate::index::VlsnIndex {
        crate::index::VlsnIndex::new(self.stride(), last)
    }
}
