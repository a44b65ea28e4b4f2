//! The thread that reads again what lies in the home, slowly, and what becomes of a member in which something has rotted.
//!
//! What is verified, and how, is `rep-vlsn`'s ([`Scrub`](rep_vlsn::Scrub)); this keeps the rate. What is found, here or by a reader, is told to [`findings`].

mod findings;

use crate::runtime::home::{CELLS, IDENTITY_CELL};
use crate::runtime::peers::{CurrentLog, Entries};
use crate::runtime::shared::Shared;
use crate::runtime::threads::Threads;
use rep_vlsn::disk::Disk;
use rep_vlsn::{LogReader, Rot, Scrub, Scrubbed, inspect_cell};
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use findings::{Scrubbing, outgrown};

/// Between two rounds, however short they are.
const REST: Duration = Duration::from_secs(1);
/// After the disk gave nothing to read.
const REST_AFTER_ERROR: Duration = Duration::from_secs(10);
/// A cell is written in place, one slot after the other: who looks in the middle looks again.
const LOOKS_AT_A_CELL: usize = 3;

/// A log that can be read again, whatever disk lies below.
pub(crate) trait Scrubs: Send + Debug {
    fn step(&mut self) -> io::Result<Result<Scrubbed, Rot>>;
}

impl<D: Disk> Scrubs for Scrub<D> {
    fn step(&mut self) -> io::Result<Result<Scrubbed, Rot>> {
        Scrub::step(self)
    }
}

pub(crate) fn scrub_of<D: Disk>(log: &LogReader<D>) -> Box<dyn Scrubs> {
    Box::new(log.scrub())
}

/// Scrubs the home on `disk` in a thread of its own, at the configured rate, until all is over.
pub(crate) fn begin<D: Disk>(
    disk: D,
    (shared, log, threads): (&Arc<Shared>, &Arc<CurrentLog>, &Threads),
) -> io::Result<()> {
    let bytes_per_s = shared.limits.scrub_bytes_per_s;
    if bytes_per_s == 0 {
        return Ok(());
    }
    let (shared, log) = (Arc::clone(shared), Arc::clone(log));
    threads.start("rep-scrub", move || Scrubber { disk, shared, log, bytes_per_s }.run())
}

struct Scrubber<D: Disk> {
    disk: D,
    shared: Arc<Shared>,
    log: Arc<CurrentLog>,
    bytes_per_s: u64,
}

impl<D: Disk> Scrubber<D> {
    fn run(&self) {
        let mut open = (self.log.get(), None);
        loop {
            // The directory was opened again: what the old log looks like is of no interest.
            if !self.is_current(&open.0) {
                open = (self.log.get(), None);
            }
            let (entries, scrub) = (&open.0, &mut open.1);
            let scrub = scrub.get_or_insert_with(|| entries.scrub());
            let pause = match scrub.step() {
                Ok(Ok(Scrubbed::Read { bytes })) => self.read(bytes),
                Ok(Ok(_)) => self.end_round(),
                Ok(Err(rot)) if self.is_current(entries) => {
                    self.found(&findings::place_of(rot.vlsn), &format!("log: {rot}"))
                }
                Ok(Err(_)) => Duration::ZERO,
                Err(error) => self.failed(&error.to_string()),
            };
            if !self.shared.scrubbing.goes_on_after(pause) {
                return;
            }
        }
    }

    fn is_current(&self, entries: &Arc<dyn Entries>) -> bool {
        Arc::ptr_eq(entries, &self.log.get())
    }

    /// As long as so many bytes may take.
    fn read(&self, bytes: u64) -> Duration {
        self.shared.counters.scrubbed_bytes.add(bytes);
        Duration::from_secs_f64(bytes as f64 / self.bytes_per_s as f64)
    }

    /// The log is whole; the cells are left.
    fn end_round(&self) -> Duration {
        for name in CELLS.into_iter().chain([IDENTITY_CELL]) {
            match self.is_rotten(name) {
                Ok(false) => {}
                Ok(true) => {
                    let what = format!("{name}: cell {name} is damaged in both slots");
                    return self.found(name, &what);
                }
                Err(error) => return self.failed(&error),
            }
        }
        self.shared.scrubbing.trouble(None);
        self.shared.counters.scrubs.add(1);
        REST
    }

    fn is_rotten(&self, name: &'static str) -> Result<bool, String> {
        for _ in 0..LOOKS_AT_A_CELL {
            let state = inspect_cell(&self.disk, name).map_err(|error| error.to_string())?;
            if !state.is_damaged() {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn failed(&self, why: &str) -> Duration {
        if self.shared.scrubbing.trouble(Some(why)) {
            tracing::warn!(node = %self.shared.name, %why, "the home cannot be scrubbed; it is tried again");
        }
        REST_AFTER_ERROR
    }

    fn found(&self, place: &str, what: &str) -> Duration {
        findings::found(&self.shared, place, what);
        REST
    }
}
