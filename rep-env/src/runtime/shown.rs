//! Where the log and the store stand, as whoever drives the node shows it to callers and to the log writer.

use crate::sync::{Mutex, Ordering, ShownU64};
use rep_vlsn::{LogPoint, Vlsn};

/// Where the log and the store stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Positions {
    pub(crate) first: Vlsn,
    pub(crate) last: LogPoint,
    pub(crate) dvlsn: Vlsn,
    pub(crate) applied: LogPoint,
}

/// The positions, for all to see. Who drives the node shows them after each step, and has the helm until then: that alone
/// keeps what is shown from going back when another thread drives.
#[derive(Debug, Default)]
pub(crate) struct Shown {
    positions: Mutex<Positions>,
    /// The watermark alone, for the log writer, which puts it into each mark and should wait for nobody.
    dvlsn: ShownU64,
}

impl Shown {
    /// To be followed by a stroke of the bell.
    pub(crate) fn show(&self, positions: Positions) {
        self.dvlsn.store(positions.dvlsn.get(), Ordering::Relaxed);
        *self.positions.lock() = positions;
    }

    pub(crate) fn positions(&self) -> Positions {
        *self.positions.lock()
    }

    pub(crate) fn dvlsn(&self) -> Vlsn {
        Vlsn::new(self.dvlsn.load(Ordering::Relaxed))
    }
}
