//! What the `cut` cell remembers: how far the log was cut at either end.
//!
//! A truncation takes several steps, and a crash may come between any two. So the cut is first written
//! down, durably, and recovery finishes it before it believes a byte of the log. The cell also says that
//! the log has begun and with which entry, so that a log whose files are gone is not taken for a new one.
//!
//! ```text
//!  0  format   u32   1
//!  4  pending  u32   1 if a truncation is under way, else 0
//!  8  epoch    u64   how often the log has been cut, this time included
//! 16  first    u64   the first entry still held
//! 24  keep     16    the last entry to be kept: term, vlsn (0 and 0 unless pending)
//! ```

use crate::ids::{Epoch, LogPoint, Vlsn};
use crate::record::{u32_at, u64_at};

/// The cell's file name.
pub(crate) const CUT_CELL: &str = "cut";
const FORMAT: u32 = 1;
const CUT_BYTES: usize = 40;

/// The value of the cell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) epoch: Epoch,
    pub(crate) first: Vlsn,
    pub(crate) keep: Option<LogPoint>,
}

impl Cut {
    pub(crate) fn encode(&self) -> [u8; CUT_BYTES] {
        let mut out = [0; CUT_BYTES];
        out[0..4].copy_from_slice(&FORMAT.to_le_bytes());
        out[4..8].copy_from_slice(&u32::from(self.keep.is_some()).to_le_bytes());
        out[8..16].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[16..24].copy_from_slice(&self.first.get().to_le_bytes());
        out[24..40].copy_from_slice(&self.keep.unwrap_or_default().encode());
        out
    }

    /// `None` for a value that this version did not write.
    pub(crate) fn decode(bytes: &[u8]) -> Option<Cut> {
        if bytes.len() != CUT_BYTES || u32_at(bytes, 0) != FORMAT {
            return None;
        }
        let mut keep = [0; LogPoint::ENCODED_BYTES];
        keep.copy_from_slice(&bytes[24..40]);
        let keep = match u32_at(bytes, 4) {
            0 => None,
            1 => Some(LogPoint::decode(keep)),
            _ => return None,
        };
        Some(Cut { epoch: Epoch(u64_at(bytes, 8)), first: Vlsn::new(u64_at(bytes, 16)), keep })
    }
}
