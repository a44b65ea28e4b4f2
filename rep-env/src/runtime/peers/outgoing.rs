//! What goes out over one channel: at once if there is room, else through the channel's own thread.
//!
//! Who drives the node must not wait for a peer, and waking a thread that would send for it takes longer than sending. So a
//! driver writes to the channel itself as long as nothing waits before it and there is room; only what remains is queued.
//! All frames are handed over by drivers, one at a time, so a channel for which nothing is unsent stays so meanwhile.

use crate::stats::PeerCounters;
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use rep_net::queue::{Lane, PushError, Queue};
use rep_net::{Channel, NetError, TrySent};
use rep_node::output::SendRange;
use rep_vlsn::tail::Tail;
use rep_vlsn::{LogPoint, Record};
use std::sync::Arc;

/// Frames that wait for one channel at most.
const ITEMS_MAX: usize = 4096;
/// Bytes of a range that a driver sends itself at most: to copy more than this takes as long as a wake-up, and the
/// node has other things to do.
const AT_ONCE_BYTES_MAX: usize = 64 << 10;

/// One channel's way out. Clones are handles to the same one.
#[derive(Clone, Debug)]
pub(crate) struct Outgoing {
    queue: Queue<Job>,
    /// Jobs that were queued and are not done.
    unsent: Arc<AtomicUsize>,
    channel: Arc<dyn Channel>,
    counters: Arc<PeerCounters>,
}

/// What the channel's thread has to send.
#[derive(Debug)]
pub(super) enum Job {
    Frame(Bytes),
    Entries(SendRange),
    /// The rest of a frame of which there was room for a part.
    Rest,
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handed {
    /// It is sent, or nothing more can be: the reader of the channel tells.
    Sent,
    /// The channel's thread will send it.
    Queued,
    /// There is no room for it.
    Full,
}

/// Entries that were sent.
#[derive(Clone, Copy, Debug)]
pub(super) struct SentRun {
    pub(super) last: LogPoint,
    pub(super) bytes: usize,
}

impl Outgoing {
    pub(super) fn new(
        channel: Arc<dyn Channel>,
        bytes_max: usize,
        counters: Arc<PeerCounters>,
    ) -> Self {
        let queue = Queue::new([Lane { items_max: ITEMS_MAX, bytes_max }]);
        Outgoing { queue, unsent: Arc::default(), channel, counters }
    }

    pub(super) fn count_sent(&self, bytes: usize) {
        self.counters.frames_sent.add(1);
        self.counters.bytes_sent.add(bytes as u64);
    }

    pub(super) fn count_entries(&self, run: &SentRun) {
        self.count_sent(run.bytes);
        self.counters.sent.set(run.last.vlsn.get());
    }

    pub(super) fn into_channel(self) -> Arc<dyn Channel> {
        self.channel
    }

    // ---- for whoever drives the node ----

    /// Sends a frame, or queues it.
    pub(super) fn frame(&self, frame: Bytes) -> Handed {
        match self.try_now(std::slice::from_ref(&frame)) {
            Some(handed) => handed,
            None => self.queue_frame(frame),
        }
    }

    pub(super) fn queue_frame(&self, frame: Bytes) -> Handed {
        self.push(frame.len(), Job::Frame(frame))
    }

    /// Sends a range that lies in the tail, or as much of it as may be sent at once; or queues it.
    pub(super) fn entries(&self, range: SendRange, tail: &Tail) -> (Handed, Option<SentRun>) {
        if self.is_idle()
            && let Some((run, parts)) = from_tail(range, tail)
            && let Some(handed) = self.try_now(&parts)
        {
            return (handed, Some(run));
        }
        (self.push(0, Job::Entries(range)), None)
    }

    fn is_idle(&self) -> bool {
        self.unsent.load(Ordering::Acquire) == 0
    }

    /// `None` if it has to wait.
    fn try_now(&self, parts: &[Bytes]) -> Option<Handed> {
        if !self.is_idle() {
            return None;
        }
        match self.channel.try_send_parts(parts) {
            Ok(TrySent::Whole) => Some(Handed::Sent),
            Ok(TrySent::Partly) => Some(match self.push(0, Job::Rest) {
                Handed::Full => Handed::Full,
                Handed::Sent | Handed::Queued => Handed::Sent,
            }),
            Ok(TrySent::NotNow) => None,
            Err(error) => {
                tracing::debug!(%error, "a channel is lost");
                self.abandon();
                Some(Handed::Sent)
            }
        }
    }

    fn push(&self, bytes: usize, job: Job) -> Handed {
        self.unsent.fetch_add(1, Ordering::AcqRel);
        match self.queue.try_push(0, bytes, job) {
            Ok(()) => Handed::Queued,
            Err(PushError::Full(_) | PushError::Closed(_)) => {
                self.done();
                Handed::Full
            }
        }
    }

    /// Sends what is queued, then closes.
    pub(super) fn finish(&self) {
        self.queue.close();
    }

    /// Closes at once.
    pub(super) fn abandon(&self) {
        self.queue.close_and_discard();
        self.channel.close();
    }

    // ---- for the channel's thread ----

    /// Gives each job to `send`, until the queue is closed or `send` fails; tells what came of it when the job no longer
    /// counts as unsent, so that whoever drives on it may send at once again.
    pub(super) fn work<N>(
        &self,
        mut send: impl FnMut(&dyn Channel, Job) -> Result<Option<N>, NetError>,
        tell: impl Fn(N),
    ) {
        while let Ok(Some(job)) = self.queue.pop(None) {
            let sent = send(&*self.channel, job);
            self.done();
            match sent {
                Ok(news) => drop(news.map(&tell)),
                Err(_) => break,
            }
        }
        // The reader learns of it, and tells the node.
        self.abandon();
    }

    fn done(&self) {
        self.unsent.fetch_sub(1, Ordering::AcqRel);
    }
}

/// The header of a range and its records, if they are in memory still.
fn from_tail(range: SendRange, tail: &Tail) -> Option<(SentRun, Vec<Bytes>)> {
    if tail.epoch() != range.log_epoch {
        return None;
    }
    let bytes_max = range.bytes_max.min(AT_ONCE_BYTES_MAX);
    let run =
        tail.get(range.from..=range.to, bytes_max).filter(|run| run.prev == range.header.prev)?;
    let last = run.records.last()?.point();
    let mut parts = Vec::with_capacity(1 + run.records.len());
    parts.push(Bytes::copy_from_slice(&range.header.encode()));
    parts.extend(run.records.iter().map(Record::bytes).cloned());
    let bytes = parts[1..].iter().map(Bytes::len).sum();
    Some((SentRun { last, bytes }, parts))
}
