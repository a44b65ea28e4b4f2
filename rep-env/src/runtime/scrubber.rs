//! The thread that reads again what lies in the home, slowly, and what becomes of a member in which something has rotted.
//!
//! What is verified, and how, is `rep-vlsn`'s ([`Scrub`](rep_vlsn::Scrub)); this keeps the rate, and the news. A member that cannot vouch for what it holds any more is silent from that moment on: it
//! neither votes nor acknowledges. One that is the only copy of its group's data goes on, for there is nobody to go on in its place (decision 31).

use crate::runtime::home::{CELLS, IDENTITY_CELL};
use crate::runtime::inbox::Input;
use crate::runtime::peers::{CurrentLog, Entries};
use crate::runtime::shared::Shared;
use crate::runtime::threads::Threads;
use crate::sync::Mutex;
use rep_net::queue::{Lane, Queue};
use rep_vlsn::disk::Disk;
use rep_vlsn::{LogReader, Rot, Scrub, Scrubbed, inspect_cell};
use std::collections::BTreeSet;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two rounds, however short they are.
const REST: Duration = Duration::from_secs(1);
/// After the disk gave nothing to read.
const REST_AFTER_ERROR: Duration = Duration::from_secs(10);
/// Findings that are remembered; what comes on top is neither said nor counted.
const FINDINGS_MAX: usize = 64;
/// A cell is written in place, one slot after the other: who looks in the middle looks again.
const LOOKS_AT_A_CELL: usize = 3;

/// What the scrub of a node has come to.
#[derive(Debug)]
pub(crate) struct Scrubbing {
    /// Nothing is ever in it: its end is the order to stop.
    stop: Queue<()>,
    news: Mutex<News>,
}

#[derive(Clone, Debug, Default)]
struct News {
    /// What has rotted, in words; and whether this member goes on all the same.
    damage: Option<(String, bool)>,
    /// All that was found in this run, each of which is said and counted once.
    known: BTreeSet<(String, bool)>,
    /// Why the disk gives nothing to read.
    trouble: Option<String>,
}

impl Default for Scrubbing {
    fn default() -> Self {
        let stop = Queue::new([Lane { items_max: 1, bytes_max: 0 }]);
        Scrubbing { stop, news: Mutex::default() }
    }
}

impl Scrubbing {
    pub(crate) fn stop(&self) {
        self.stop.close();
    }

    /// What has rotted, in words.
    pub(crate) fn damage(&self) -> Option<String> {
        self.news.lock().damage.as_ref().map(|(what, _)| what.clone())
    }

    /// The whole home is not what it was.
    pub(crate) fn disowned(&self, why: &str) {
        self.found(why, false);
    }

    /// Something has rotted; tells whether it was not known yet.
    fn found(&self, what: &str, goes_on: bool) -> bool {
        let mut news = self.news.lock();
        let found = (what.to_owned(), goes_on);
        news.damage = Some(found.clone());
        news.known.len() < FINDINGS_MAX && news.known.insert(found)
    }

    /// What is wrong, in words, as long as the member goes on: else its end says it.
    pub(crate) fn problems(&self) -> Vec<String> {
        let News { damage, trouble, .. } = self.news.lock().clone();
        let only = |what| {
            format!(
                "damage was found: {what}; this is the only copy of the group's data, so it goes on: copy its home, and add a member"
            )
        };
        let damage = damage.filter(|(_, goes_on)| *goes_on).map(|(what, _)| only(what));
        let trouble = trouble.map(|why| format!("the home cannot be scrubbed: {why}"));
        damage.into_iter().chain(trouble).collect()
    }
}

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
                Ok(Err(rot)) if self.is_current(entries) => self.found(&format!("log: {rot}")),
                Ok(Err(_)) => Duration::ZERO,
                Err(error) => self.failed(&error.to_string()),
            };
            if self.shared.scrubbing.stop.pop(Some(Instant::now() + pause)).is_err() {
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
                    return self.found(&format!("{name}: cell {name} is damaged in both slots"));
                }
                Err(error) => return self.failed(&error),
            }
        }
        self.shared.scrubbing.news.lock().trouble = None;
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
        let before = self.shared.scrubbing.news.lock().trouble.replace(why.to_owned());
        if before.as_deref() != Some(why) {
            tracing::warn!(node = %self.shared.name, %why, "the home cannot be scrubbed; it is tried again");
        }
        REST_AFTER_ERROR
    }

    fn found(&self, what: &str) -> Duration {
        let goes_on = !self.others_hold_data();
        if self.shared.scrubbing.found(what, goes_on) {
            tracing::error!(node = %self.shared.name, %what, goes_on, "damage was found");
            self.shared.counters.damage_found.add(1);
        }
        if !goes_on {
            self.shared.inbox.completed(Input::DamageFound(what.to_owned()));
        }
        REST
    }

    /// Whether somebody else has a copy that the group can go on with.
    fn others_hold_data(&self) -> bool {
        let me = self.shared.directory.me();
        let recorded = self.shared.recorded.lock();
        recorded.as_ref().is_some_and(|membership| {
            membership.members.values().any(|member| member.id != me && member.kind.is_copy())
        })
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    /// A member that goes on with two rotten entries meets both in each round.
    #[test]
    fn each_finding_is_news_once_and_they_are_bounded() {
        let scrubbing = Scrubbing::default();
        let rounds = ["entry 7", "entry 9", "entry 7", "entry 9"];
        let news = rounds.map(|what| scrubbing.found(what, true));
        assert_eq!(news, [true, true, false, false]);
        assert_eq!(scrubbing.damage().as_deref(), Some("entry 9"));
        assert!(scrubbing.found("entry 9", false), "and this member does not go on any more");
        let many = (0..2 * FINDINGS_MAX).filter(|n| scrubbing.found(&format!("more: {n}"), false));
        assert_eq!(many.count(), FINDINGS_MAX - 3);
    }
}
