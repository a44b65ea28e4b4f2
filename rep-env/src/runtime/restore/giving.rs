//! The service that gives copies: a thread of the listener a caller.
//!
//! The node says whether this member may give one, and pins its log; the thread that owns the state machine opens a snapshot,
//! which it is then read from here. Whatever ends it, the snapshot goes with this thread; and the pin too, but that the node waits for
//! whoever was given the whole copy.

use super::{Answer, Question, RESTORE_SERVICE, config, question};
use crate::runtime::applier::Task;
use crate::runtime::inbox::Input;
use crate::runtime::peers::{Context, Entries};
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use rep_net::queue::Queue;
use rep_net::{Channel, Hello, NetError, RefuseReason, ServiceHandler};
use rep_node::rep_stream::restore::{
    Given, Manifest, Refusal, RestoreEnd, RestoreSource, SinkMessage, SourceMessage, SourceOutput,
};
use rep_node::{NotOffered, Offer, Pin};
use rep_store::Snapshot;
use rep_vlsn::{GroupId, Incarnation, Vlsn};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Callers at a time; how many of them are given a copy, the node says.
const CALLERS_MAX: usize = 8;
/// A source that wants nothing of the clock is woken by its channel alone.
const LONG: Duration = Duration::from_secs(3600);

/// Gives copies of one node's state.
pub(crate) struct Giving {
    context: Arc<Context>,
    tasks: Queue<Task>,
    callers: AtomicUsize,
}

impl Giving {
    pub(crate) fn new(context: Arc<Context>, tasks: Queue<Task>) -> Self {
        Giving { context, tasks, callers: AtomicUsize::new(0) }
    }

    /// Gives a copy, and says why if it cannot. The log is kept for whoever got it whole.
    fn give(
        &self,
        channel: &dyn Channel,
        group: GroupId,
        taker: Incarnation,
    ) -> Result<(), Broken> {
        let shared = &self.context.shared;
        let mut source = RestoreSource::new(config(shared), group, shared.clock.now());
        let mut given: Option<Copy> = None;
        loop {
            while let Some(output) = source.poll_output() {
                let now = shared.clock.now();
                match output {
                    SourceOutput::Open { at_least } => match self.open(group, taker, at_least) {
                        Ok((manifest, copy)) => {
                            given = Some(copy);
                            source.handle_opened(shared.clock.now(), manifest);
                        }
                        Err(refusal) => source.refuse(refusal),
                    },
                    SourceOutput::ReadChunk => match given.as_mut().map(Copy::next_chunk) {
                        Some(Ok((chunk, progress))) => source.handle_chunk(now, chunk, progress),
                        Some(Err(_)) | None => source.refuse(Refusal::StoreFailed),
                    },
                    SourceOutput::Send(message) => self.send(channel, message)?,
                    SourceOutput::Close(end) => {
                        if let (RestoreEnd::Done, Some(copy)) = (end, &mut given) {
                            copy.pinned.given_to = Some(taker);
                        }
                        return Ok(());
                    }
                    other => unreachable!("an output that this version does not know: {other:?}"),
                }
            }
            let due = source.next_timeout().map(|(at, _)| shared.clock.instant(at));
            match channel.receive(due.unwrap_or_else(|| Instant::now() + LONG))? {
                Some(frame) => {
                    let message = SinkMessage::decode(frame)?;
                    source.handle_message(shared.clock.now(), message)?;
                }
                None => source.handle_timeout(shared.clock.now()),
            }
        }
    }

    fn send(&self, channel: &dyn Channel, message: SourceMessage) -> Result<(), NetError> {
        match message {
            SourceMessage::Chunk { given, chunk } => {
                self.context.shared.counters.restore_bytes_given.add(chunk.len() as u64);
                let header = SourceMessage::chunk_header(given);
                channel.send_parts(&[Bytes::copy_from_slice(&header), chunk])
            }
            message => channel.send(message.encode()),
        }
    }

    /// A snapshot at `at_least` or later, with all that goes with it, if this member may give one.
    fn open(
        &self,
        group: GroupId,
        taker: Incarnation,
        at_least: Vlsn,
    ) -> Result<(Manifest, Copy), Refusal> {
        let offer = self.ask(|answer| Input::Offer { at_least, taker, answer });
        let Offer { pin, .. } = offer.ok_or(Refusal::ShuttingDown)?.map_err(refusal)?;
        let pinned = Pinned { context: Arc::clone(&self.context), pin, given_to: None };
        let (asked, answer) = question();
        if self.tasks.try_push(0, 0, Task::Snapshot(answer)).is_err() {
            return Err(Refusal::Busy);
        }
        // The machine may be stuck, and a close waits for this thread without looking at the clock.
        let shared = &self.context.shared;
        let snapshot = asked.wait_unless(|| shared.is_closing()).ok_or(Refusal::ShuttingDown)?;
        let snapshot = snapshot.map_err(|error| self.no_snapshot(&error))?;
        let point = snapshot.point();
        let past = self.ask(|answer| Input::PastOf { point, answer }).flatten();
        let past = past.ok_or(Refusal::LogInDoubt)?;
        let beginning = self.context.entries.beginning(point);
        let beginning = beginning.map_err(|error| self.no_snapshot(&error))?;
        self.context.shared.counters.restores_given.add(1);
        Ok((Manifest::new(group, point, beginning, past), Copy { snapshot, pinned }))
    }

    fn ask<T>(&self, ask: impl FnOnce(Answer<T>) -> Input) -> Option<T> {
        let (asked, answer): (Question<T>, _) = question();
        self.context.shared.inbox.control(ask(answer));
        asked.wait()
    }

    fn no_snapshot(&self, error: &dyn fmt::Display) -> Refusal {
        tracing::warn!(node = %self.context.shared.name, %error, "no copy can be given");
        Refusal::StoreFailed
    }
}

/// A copy that is being given.
struct Copy {
    snapshot: Box<dyn Snapshot>,
    pinned: Pinned,
}

impl Copy {
    fn next_chunk(&mut self) -> Result<(Option<Bytes>, Given), rep_store::StoreError> {
        let chunk = self.snapshot.next_chunk()?;
        Ok((chunk, self.snapshot.progress()))
    }
}

/// The log is kept from the copy's entry on until this is dropped, and longer if the copy was given to somebody.
struct Pinned {
    context: Arc<Context>,
    pin: Pin,
    given_to: Option<Incarnation>,
}

impl Drop for Pinned {
    fn drop(&mut self) {
        let Pinned { pin, given_to, .. } = *self;
        self.context.shared.inbox.control(Input::Unpin { pin, given_to });
    }
}

fn refusal(why: NotOffered) -> Refusal {
    match why {
        NotOffered::NotInSync => Refusal::NotInSync,
        NotOffered::LogInDoubt => Refusal::LogInDoubt,
        NotOffered::Busy => Refusal::Busy,
        NotOffered::Behind { applied } => Refusal::Behind { applied },
        // Closed, or something that this version does not know.
        _ => Refusal::ShuttingDown,
    }
}

/// Why a caller is hung up on.
#[derive(Debug, thiserror::Error)]
enum Broken {
    #[error(transparent)]
    Channel(#[from] NetError),
    #[error(transparent)]
    Peer(#[from] rep_node::rep_stream::PeerError),
}

impl ServiceHandler for Giving {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        if self.callers.load(Ordering::Relaxed) >= CALLERS_MAX {
            return Err(RefuseReason::Busy);
        }
        self.context.check_holder(hello)
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        // Its snapshot may hold files of the home: a close waits for it as for the node's own threads.
        let _counted = self.context.threads.enrol(format!("rep-give-{}", hello.node));
        let shared = &self.context.shared;
        if self.callers.fetch_add(1, Ordering::Relaxed) < CALLERS_MAX
            && let Some(group) = shared.group()
            && !shared.is_closing()
            && let Err(error) = self.give(&*channel, group, Incarnation(hello.incarnation))
        {
            tracing::info!(node = %shared.name, to = %hello.node, %error, "a copy was not given to its end");
        }
        self.callers.fetch_sub(1, Ordering::Relaxed);
        channel.close();
    }
}

impl fmt::Debug for Giving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Giving").field("service", &RESTORE_SERVICE).finish_non_exhaustive()
    }
}
