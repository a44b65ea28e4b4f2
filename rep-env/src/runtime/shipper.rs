//! The threads that ship, one for each sink, and what the log has to keep for them.
//!
//! What goes to a sink next is `rep-stream`'s to say; this loops: ship what is durable, wait, ship again. Nothing else waits for these threads, so they
//! look at a cadence of their own instead of being told of each commit, and what has gathered by then leaves together.

use crate::error::Error;
use crate::runtime::peers::{CurrentLog, Entries};
use crate::runtime::shared::Shared;
use crate::runtime::threads::Threads;
use crate::shipping::{SINKS_MAX, ShipProblem};
use crate::sync::Mutex;
use rep_net::queue::{Lane, Queue};
use rep_node::oldest_within;
use rep_node::rep_stream::segments::{
    Segment, SegmentSink, ShardId, ShipError, ShippedLog, Shipper,
};
use rep_vlsn::error::ReadError;
use rep_vlsn::{Batch, Beginning, GroupId, LogPoint, SegmentSize, Vlsn};
use std::fmt::Display;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A group has one log.
pub(crate) const SHARD: ShardId = ShardId(0);
/// The first pause after a sink took nothing; it doubles up to the longest.
const RETRY_MIN: Duration = Duration::from_millis(100);
const RETRY_MAX: Duration = Duration::from_secs(5);

/// All sinks of a node.
#[derive(Debug, Default)]
pub(crate) struct Shipments(Mutex<Vec<Arc<Shipment>>>);

/// One sink, as everybody but its thread sees it.
#[derive(Debug)]
pub(crate) struct Shipment {
    name: String,
    /// Nothing is ever in it: its end is the order to stop.
    stop: Queue<()>,
    progress: Mutex<Progress>,
}

/// How far a sink is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Progress {
    /// The last entry that it has; `None` while it has not said so.
    pub(crate) acknowledged: Option<LogPoint>,
    pub(crate) problem: Option<ShipProblem>,
    /// Its thread has ended: nothing waits for it any more.
    ended: bool,
}

impl Shipments {
    /// What the log may lose at a checkpoint: not what a sink has still to get, unless that is more than `bytes_max`.
    pub(crate) fn hold(
        &self,
        checkpoint: LogPoint,
        segments: &[SegmentSize],
        bytes_max: u64,
    ) -> LogPoint {
        let all = self.0.lock();
        let needed = all.iter().filter_map(|shipment| shipment.progress.lock().needs()).min();
        let kept = needed.map(|needed| needed.max(oldest_within(segments, bytes_max)));
        let vlsn = kept.map_or(checkpoint.vlsn, |kept| kept.min(checkpoint.vlsn));
        LogPoint { vlsn, ..checkpoint }
    }

    /// What is wrong with sinks, in words.
    pub(crate) fn problems(&self, dvlsn: Vlsn) -> Vec<String> {
        let all = self.0.lock();
        all.iter().filter_map(|shipment| shipment.in_words(dvlsn)).collect()
    }

    /// Entries that are durable and that not every sink has, counted at the one that lacks the most; and the last entry that all have.
    pub(crate) fn lag(&self, dvlsn: Vlsn) -> Option<(Vlsn, u64)> {
        let all = self.0.lock();
        let acknowledged = |shipment: &Arc<Shipment>| {
            let progress = shipment.progress.lock();
            let said = progress.acknowledged.map_or(Vlsn::NULL, |point| point.vlsn);
            (!progress.ended).then_some(said)
        };
        let last = all.iter().filter_map(acknowledged).min()?;
        Some((last, dvlsn.max(last).distance_from(last)))
    }

    /// All of them stop, and no other begins.
    pub(crate) fn stop(&self) {
        self.0.lock().iter().for_each(|shipment| shipment.stop());
    }

    fn add(&self, shipment: &Arc<Shipment>) -> Result<(), Error> {
        let mut all = self.0.lock();
        all.retain(|shipment| !shipment.progress.lock().ended);
        if all.iter().any(|other| other.name == shipment.name) {
            let why = format!("a sink of the name {:?} is shipped to already", shipment.name);
            return Err(Error::Invalid { what: why });
        }
        if all.len() >= SINKS_MAX {
            let why =
                format!("{SINKS_MAX} sinks are shipped to, which are as many as there may be");
            return Err(Error::Invalid { what: why });
        }
        all.push(Arc::clone(shipment));
        Ok(())
    }
}

impl Shipment {
    pub(crate) fn new(name: String) -> Arc<Self> {
        let stop = Queue::new([Lane { items_max: 1, bytes_max: 0 }]);
        Arc::new(Shipment { name, stop, progress: Mutex::default() })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.lock().clone()
    }

    pub(crate) fn stop(&self) {
        self.stop.close();
    }

    /// Waits so long; false once it is to stop.
    fn goes_on_after(&self, pause: Duration) -> bool {
        self.stop.pop(Some(Instant::now() + pause)).is_ok()
    }

    fn acknowledged(&self, last: Option<LogPoint>) {
        let mut progress = self.progress.lock();
        progress.acknowledged = last.or(progress.acknowledged);
        progress.problem = None;
    }

    fn in_words(&self, dvlsn: Vlsn) -> Option<String> {
        let Progress { acknowledged, problem, .. } = self.progress();
        let at = match acknowledged {
            Some(point) => {
                let lag = dvlsn.max(point.vlsn).distance_from(point.vlsn);
                format!("it has entry {} of {dvlsn}, {lag} are missing", point.vlsn)
            }
            None => "how much it has is not known".to_owned(),
        };
        problem.map(|problem| format!("shipping to {}: {problem} ({at})", self.name))
    }
}

impl Progress {
    /// The last entry that may go from here, as far as this sink is concerned; `None` if it waits for nothing.
    fn needs(&self) -> Option<Vlsn> {
        let waits = !self.ended && self.problem.as_ref().is_none_or(ShipProblem::keeps_the_log);
        waits.then(|| self.acknowledged.map_or(Vlsn::NULL, |point| point.vlsn))
    }
}

/// Ships to `sink` in a thread of its own, until the shipment is stopped or all is over.
pub(crate) fn begin<S>(
    name: String,
    mut sink: S,
    (shared, log, threads): (&Arc<Shared>, &Arc<CurrentLog>, &Threads),
) -> Result<Arc<Shipment>, Error>
where
    S: SegmentSink + Send + 'static,
    S::Error: Display,
{
    let shipment = Shipment::new(name);
    shared.shipments.add(&shipment)?;
    // Who closes looks at what there is after it has said so; who begins looks whether that was said after it is there.
    if shared.is_closing() {
        shipment.stop();
    }
    let ended = Ended(Arc::clone(&shipment));
    let (own, log, shared) = (Arc::clone(&shipment), Arc::clone(log), Arc::clone(shared));
    let started = threads.lend("rep-ship", move || {
        let _ended = ended;
        run(&own, &log, &mut sink, &shared);
    });
    let failed = |error| Error::Open { detail: format!("a thread cannot be started: {error}") };
    started.map(|()| shipment).map_err(failed)
}

fn run<S>(shipment: &Shipment, log: &CurrentLog, sink: &mut S, shared: &Shared)
where
    S: SegmentSink,
    S::Error: Display,
{
    let mut shipper = None;
    let mut pause = RETRY_MIN;
    loop {
        let wait = match ship(&mut shipper, shipment, log, sink, shared) {
            Ok(()) => {
                pause = RETRY_MIN;
                shared.timing.ship_interval
            }
            Err(error) => {
                let problem = ShipProblem::of(&error);
                tell(shipment, &problem, shared);
                shared.counters.ships_failed.add(1);
                let longer = (pause * 2).min(RETRY_MAX);
                std::mem::replace(&mut pause, longer)
            }
        };
        if !shipment.goes_on_after(wait) {
            return;
        }
    }
}

/// Ships all that is durable now.
fn ship<S: SegmentSink>(
    shipper: &mut Option<Shipper>,
    shipment: &Shipment,
    log: &CurrentLog,
    sink: &mut S,
    shared: &Shared,
) -> Result<(), ShipError<S::Error>> {
    let Some(group) = shared.group() else { return Ok(()) };
    let shipper = shipper.get_or_insert_with(|| Shipper::new(group, SHARD));
    let mut counted = Counted { sink, shared };
    while !shipment.stop.is_closed() {
        let shipped = shipper.ship(log, durable(shared), &mut counted)?;
        shipment.acknowledged(shipper.acknowledged());
        if shipped.is_none() {
            break;
        }
    }
    Ok(())
}

/// The last entry that no later master can lack, and that this log holds.
fn durable(shared: &Shared) -> Vlsn {
    let positions = shared.shown.positions();
    positions.dvlsn.min(positions.last.vlsn)
}

fn tell(shipment: &Shipment, problem: &ShipProblem, shared: &Shared) {
    let before = shipment.progress.lock().problem.replace(problem.clone());
    if before.as_ref() != Some(problem) {
        tracing::warn!(node = %shared.name, sink = %shipment.name, %problem, "nothing is shipped; it is tried again");
    }
}

/// A sink, and what it takes is counted.
struct Counted<'s, S> {
    sink: &'s mut S,
    shared: &'s Shared,
}

impl<S: SegmentSink> SegmentSink for Counted<'_, S> {
    type Error = S::Error;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, S::Error> {
        self.sink.acknowledged(group, shard)
    }

    fn take(&mut self, segment: &Segment) -> Result<(), S::Error> {
        self.sink.take(segment)?;
        let counters = &self.shared.counters;
        counters.segments_shipped.add(1);
        counters.entries_shipped.add(segment.entries().records().len() as u64);
        counters.bytes_shipped.add(segment.entries().byte_len() as u64);
        Ok(())
    }
}

/// However it ends: the log does not wait for it any more.
struct Ended(Arc<Shipment>);

impl Drop for Ended {
    fn drop(&mut self) {
        let problem = std::thread::panicking().then_some(ShipProblem::Panicked);
        let mut progress = self.0.progress.lock();
        *progress = Progress { problem, ended: true, ..*progress };
    }
}

impl ShippedLog for CurrentLog {
    fn first(&self) -> Vlsn {
        Entries::first(self)
    }

    fn entries(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError> {
        self.settled(from, to, bytes_max)
    }

    fn beginning(&self, point: LogPoint) -> Result<Beginning, ReadError> {
        let bytes = Entries::beginning(self, point)?;
        Beginning::decode(bytes).map_err(|_| ReadError::Damaged { vlsn: point.vlsn })
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests;
