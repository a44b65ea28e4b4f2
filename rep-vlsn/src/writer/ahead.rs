//! Zeros ahead of the end.
//!
//! A segment's space is reserved when the segment is begun, but a file system remembers of reserved space that nothing was
//! written to it yet. The first write to a block of it changes that memory, and the sync of an append then waits for the
//! file system's journal as well, behind whoever else uses it. Where zeros have been written before, a sync is a write of
//! the appended bytes and nothing more.
//!
//! Zeros are what reserved space reads as: nothing in the file changes, whichever of them a crash lets survive. They are
//! written between two groups, by the one writer, so they never meet an entry on its way.

use super::{Active, LogWriter, is_full};
use crate::disk::{Disk, DiskFile};
use crate::error::{During, LogError};
use crate::{mutant, sometimes};
use bytes::Bytes;
use std::ops::Range;

/// One part of a write.
const CHUNK_BYTES: usize = 64 << 10;
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];
/// Where more than this has come between two calls, a sync writes for so long that the journal does not matter, and a bulk load
/// would write every byte twice.
const BULK_BYTES: u64 = 64 << 10;

impl<D: Disk> LogWriter<D> {
    /// Writes zeros behind the end of the log if few are left there; how many bytes. They are durable with the next
    /// sync. A call where there is nothing to do costs nothing: it belongs behind each sync, once that has been told.
    ///
    /// # Errors
    ///
    /// No lack of space is one. Any error poisons the log.
    pub fn write_ahead(&mut self) -> Result<u64, LogError> {
        self.guarded(LogWriter::write_zeros)
    }

    fn write_zeros(&mut self) -> Result<u64, LogError> {
        let ahead = self.config.ahead_bytes;
        let Some(active) = &mut self.active else { return Ok(0) };
        let Some(due) = active.zeros_due(ahead) else { return Ok(0) };
        let bytes = due.end - due.start;
        self.dirty = true;
        match active.segment.file.write_vectored_at(due.start, &zeros(bytes)) {
            // A file system that needs space for what is written over cannot be helped with zeros.
            Err(error) if is_full(&error) => {
                active.zeroed = active.len;
                Ok(0)
            }
            written => {
                written.during("write zeros")?;
                sometimes!(true, "vlsn-zeros-ahead");
                active.zeroed = due.end;
                Ok(bytes)
            }
        }
    }
}

impl<F> Active<F> {
    /// Which bytes are to be written with zeros, so that `ahead` of them lie ahead.
    fn zeros_due(&mut self, ahead: u64) -> Option<Range<u64>> {
        let come = self.end - std::mem::replace(&mut self.looked, self.end);
        let over = mutant!("vlsn-zeros-over-data");
        let start = if over { self.zeroed } else { self.zeroed.max(self.end) };
        let end = self.end.saturating_add(ahead).min(self.len);
        let plenty = start.saturating_sub(self.end) >= ahead / 2;
        (start < end && !plenty && come <= BULK_BYTES).then_some(start..end)
    }
}

fn zeros(bytes: u64) -> Vec<Bytes> {
    let whole = (bytes / CHUNK_BYTES as u64) as usize;
    let rest = (bytes % CHUNK_BYTES as u64) as usize;
    let mut parts = vec![Bytes::from_static(&ZEROS); whole];
    parts.push(Bytes::from_static(&ZEROS[..rest]));
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_zeros_as_are_asked_for() {
        for bytes in [0, 1, 65_535, 65_536, 65_537, 300_000] {
            let parts = zeros(bytes);
            assert_eq!(parts.iter().map(|part| part.len() as u64).sum::<u64>(), bytes);
            assert!(parts.concat().iter().all(|byte| *byte == 0));
        }
    }
}
