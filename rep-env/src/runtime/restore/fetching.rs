//! The thread that fetches a copy: from the sources that the node names, one after the other, into files in the home.
//!
//! What it has kept is worth keeping whatever ends it, so it ends at once when it is told to.

use super::account::Came;
use super::loading::{Ahead, Loaded};
use super::{RESTORE_SERVICE, config};
use crate::runtime::applier::Task;
use crate::runtime::inbox::Input;
use crate::runtime::peers::Context;
use crate::sync::{AtomicBool, Mutex, MutexGuard, Ordering};
use bytes::Bytes;
use rep_net::queue::Queue;
use rep_net::{Address, Channel, NetError};
use rep_node::rep_stream::PeerError;
use rep_node::rep_stream::restore::{
    ChunkId, Manifest, RestoreEnd, RestoreSink, SinkOutput, SourceMessage, Staging, StagingError,
};
use rep_node::{FetchId, RestoreNews, check_manifest};
use rep_vlsn::disk::Disk;
use rep_vlsn::{NodeId, Vlsn};
use std::fmt::Debug;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Progress is told so often at most.
const NEWS_EVERY: Duration = Duration::from_millis(100);
/// While chunks are kept the next step is not the source's, and takes as long as the disk does.
const LONG: Duration = Duration::from_secs(3600);
/// While chunks wait to be loaded it is looked after them so often at least.
const LOAD_EVERY: Duration = Duration::from_millis(5);

/// What the node asks of whoever fetches, whatever disk lies below.
pub(crate) trait Fetches: Send + Sync + Debug {
    /// Begins a fetch in a thread of its own; what becomes of it, the inbox is told.
    ///
    /// # Errors
    ///
    /// Why it cannot, in words.
    fn begin(&self, fetch: FetchId, sources: Vec<NodeId>, at_least: Vlsn) -> Result<(), String>;

    /// The present fetch is over, if there is one.
    fn end(&self);

    /// The member follows a stream, or reigns: what fetches have left is of no use any more.
    fn clear_up(&self);
}

/// Fetches copies onto one disk. Clones are handles to the same.
#[derive(Debug)]
pub(crate) struct Fetcher<D: Disk>(Arc<Inner<D>>);

impl<D: Disk> Clone for Fetcher<D> {
    fn clone(&self) -> Self {
        Fetcher(Arc::clone(&self.0))
    }
}

#[derive(Debug)]
struct Inner<D: Disk> {
    context: Arc<Context>,
    /// Held by whoever fetches, from beginning to end.
    staging: Mutex<Staging<D>>,
    present: Mutex<Present>,
    /// To the owner of the state machine.
    tasks: Queue<Task>,
    loaded: Loaded,
    /// Whether the store is built again from the log, which a copy is not.
    needs_whole_log: bool,
    /// Whether chunks may be here that nobody needs.
    may_have_chunks: AtomicBool,
}

/// The fetch that is wanted now.
#[derive(Debug, Default)]
struct Present {
    fetch: Option<FetchId>,
    channel: Option<Arc<dyn Channel>>,
    fetched: Option<Fetched>,
}

/// A copy that is here, and of which nothing says so durably.
#[derive(Debug)]
pub(crate) struct Fetched {
    pub(crate) manifest: Manifest,
    pub(crate) order: Vec<ChunkId>,
}

impl<D: Disk> Fetcher<D> {
    pub(crate) fn new(
        context: Arc<Context>,
        staging: Staging<D>,
        tasks: Queue<Task>,
        needs_whole_log: bool,
    ) -> Self {
        Fetcher(Arc::new(Inner {
            context,
            staging: Mutex::new(staging),
            present: Mutex::default(),
            tasks,
            loaded: Loaded::default(),
            needs_whole_log,
            may_have_chunks: AtomicBool::new(true),
        }))
    }

    /// What the state machine has loaded of a copy.
    pub(crate) fn loaded(&self) -> &Loaded {
        &self.0.loaded
    }

    /// What the last fetch has brought, and where; to whoever opens the directory again.
    pub(crate) fn fetched(&self) -> (Option<Fetched>, MutexGuard<'_, Staging<D>>) {
        // In this order, so that nobody takes the chunks of what was fetched for chunks that nobody needs.
        let staging = self.0.staging.lock();
        let fetched = std::mem::take(&mut *self.0.present.lock()).fetched;
        (fetched, staging)
    }
}

impl<D: Disk> Fetches for Fetcher<D> {
    fn begin(&self, fetch: FetchId, sources: Vec<NodeId>, at_least: Vlsn) -> Result<(), String> {
        if self.0.needs_whole_log {
            return Err("its store is built again from the log, which a copy is not".to_owned());
        }
        *self.0.present.lock() = Present { fetch: Some(fetch), channel: None, fetched: None };
        self.0.may_have_chunks.store(true, Ordering::Relaxed);
        let own = Arc::clone(&self.0);
        let started = self.0.context.threads.start("rep-restore", move || {
            own.run(fetch, &sources, at_least);
        });
        started.map_err(|error| format!("no thread for it: {error}"))
    }

    fn end(&self) {
        let Present { channel, .. } = std::mem::take(&mut *self.0.present.lock());
        channel.into_iter().for_each(|channel| channel.close());
    }

    fn clear_up(&self) {
        if self.0.may_have_chunks.swap(false, Ordering::Relaxed) {
            let own = Arc::clone(&self.0);
            // Without a thread for it they stay until the next time.
            drop(self.0.context.threads.start("rep-restore", move || own.remove_chunks()));
        }
    }
}

impl<D: Disk> Inner<D> {
    fn run(&self, fetch: FetchId, sources: &[NodeId], at_least: Vlsn) {
        let mut staging = self.staging.lock();
        let mut why = "there is nobody to ask".to_owned();
        for source in sources {
            if !self.is_wanted(fetch) {
                return;
            }
            match self.fetch_from(fetch, (*source, at_least), &mut staging) {
                Ok(fetched) => return self.complete(fetch, fetched),
                Err(NotFetched::Here(error)) => {
                    why = error.to_string();
                    break;
                }
                Err(error) => {
                    why = error.to_string();
                    let reason = why.clone();
                    self.tell(fetch, RestoreNews::Refused { by: *source, reason });
                }
            }
        }
        self.fails(fetch, why);
    }

    /// It is not wanted any more from here on, unless another one is by now.
    fn fails(&self, fetch: FetchId, why: String) {
        let mut present = self.present.lock();
        if present.fetch == Some(fetch) {
            *present = Present::default();
        }
        drop(present);
        self.tell(fetch, RestoreNews::Failed { why });
    }

    fn complete(&self, fetch: FetchId, fetched: Fetched) {
        let point = fetched.manifest.point;
        let mut present = self.present.lock();
        if present.fetch == Some(fetch) {
            present.fetched = Some(fetched);
        }
        drop(present);
        self.tell(fetch, RestoreNews::Fetched { point });
    }

    fn tell(&self, fetch: FetchId, news: RestoreNews) {
        self.context.shared.inbox.control(Input::Restore { fetch, news, came: None });
    }

    fn is_wanted(&self, fetch: FetchId) -> bool {
        self.present.lock().fetch == Some(fetch)
    }

    /// Waits for a fetch that is about to end. One that is wanted needs them after all.
    fn remove_chunks(&self) {
        let mut staging = self.staging.lock();
        if self.present.lock().fetch.is_some() || staging.is_complete() {
            return self.may_have_chunks.store(true, Ordering::Relaxed);
        }
        let unload = || self.tasks.try_push(0, 0, Task::Unload(self.loaded.clone()));
        if !self.loaded.is_empty() && unload().is_err() {
            self.may_have_chunks.store(true, Ordering::Relaxed);
        }
        if let Err(error) = staging.keep_only(&[]) {
            tracing::warn!(node = %self.context.shared.name, %error, "chunks that nobody needs are left");
        }
    }

    fn fetch_from(
        &self,
        fetch: FetchId,
        (source, at_least): (NodeId, Vlsn),
        staging: &mut Staging<D>,
    ) -> Result<Fetched, NotFetched> {
        let shared = &self.context.shared;
        // One that never held an entry takes the group of its source.
        let group = shared.group();
        // Before anybody waits for it: what an earlier run has left is read.
        let have = staging.ids()?;
        let channel = self.dial(fetch, source)?;
        let sink = RestoreSink::new(config(shared), group, at_least, have, shared.clock.now());
        let ahead = Ahead::new(self.tasks.clone(), self.loaded.clone());
        let mut fetching = Fetching { sink, ahead, fetch, source, told: None, counted: (0, 0) };
        let outcome = self.take(&mut fetching, &*channel, staging);
        channel.close();
        let fetched = outcome.inspect_err(|_| fetching.ahead.leave_off())?;
        let is_over = || !self.is_wanted(fetch) || shared.is_closing();
        let loaded = fetching.ahead.finish(&fetched.order, staging, is_over);
        make_room(loaded, staging, &fetched.order)?;
        Ok(fetched)
    }

    fn dial(&self, fetch: FetchId, source: NodeId) -> Result<Arc<dyn Channel>, NotFetched> {
        let shared = &self.context.shared;
        let deadline = Instant::now() + shared.timing.dial_timeout;
        let address = shared.directory.address_of(source).ok_or(NotFetched::Ended)?;
        let hello = self.context.hello_for(source, RESTORE_SERVICE);
        shared.counters.dials.add(1);
        let dialled = self.context.transport.dial(&Address::new(address), &hello, deadline);
        let channel = dialled.inspect_err(|_| shared.counters.dials_failed.add(1))?;
        let mut present = self.present.lock();
        if present.fetch != Some(fetch) {
            drop(present);
            channel.close();
            return Err(NotFetched::Ended);
        }
        present.channel = Some(Arc::clone(&channel));
        Ok(channel)
    }

    fn take(
        &self,
        fetching: &mut Fetching,
        channel: &dyn Channel,
        staging: &mut Staging<D>,
    ) -> Result<Fetched, NotFetched> {
        let clock = &self.context.shared.clock;
        let mut fetched = None;
        loop {
            while let Some(output) = fetching.sink.poll_output() {
                match output {
                    SinkOutput::Send(message) => channel.send(message.encode())?,
                    SinkOutput::Keep { id, chunk } => {
                        fetching.keep(staging, id, chunk)?;
                        fetching.sink.handle_kept(clock.now());
                    }
                    SinkOutput::Complete { manifest, order } => {
                        fetched = Some(Fetched { manifest, order });
                    }
                    SinkOutput::Close(RestoreEnd::Done) => return fetched.ok_or(NotFetched::Ended),
                    SinkOutput::Close(end) => return Err(NotFetched::Refused(end)),
                    other => unreachable!("an output that this version does not know: {other:?}"),
                }
            }
            self.tell_progress(fetching)?;
            fetching.load_on(staging)?;
            let due = fetching.sink.next_timeout().map(|(at, _)| clock.instant(at));
            let soon = if fetching.lags() { LOAD_EVERY } else { LONG };
            let soon = Instant::now() + soon;
            match channel.receive(due.map_or(soon, |due| due.min(soon)))? {
                Some(frame) => {
                    let message = SourceMessage::decode(frame)?;
                    fetching.sink.handle_message(clock.now(), message)?;
                }
                None => fetching.sink.handle_timeout(clock.now()),
            }
        }
    }

    /// # Errors
    ///
    /// The copy cannot be put in place here.
    fn tell_progress(&self, fetching: &mut Fetching) -> Result<(), NotFetched> {
        let Fetching { sink, fetch, source, told, counted, .. } = fetching;
        let shared = &self.context.shared;
        let Some(manifest) = sink.manifest() else { return Ok(()) };
        if told.is_none() {
            let (me, incarnation) = (shared.directory.me(), self.context.incarnation);
            check_manifest(manifest, me, incarnation).map_err(NotFetched::OfNoUse)?;
            self.tell(*fetch, RestoreNews::Began { source: *source });
        }
        let stats = sink.stats();
        shared.counters.restore_chunks.add(stats.chunks - counted.0);
        shared.counters.restore_bytes.add(stats.bytes - counted.1);
        *counted = (stats.chunks, stats.bytes);
        let now = shared.clock.now();
        if told.is_none_or(|told| now.saturating_sub(told) >= NEWS_EVERY) {
            *told = Some(now);
            let (bytes, chunks) = (stats.bytes, stats.chunks + stats.known);
            let news = RestoreNews::Progress { bytes, chunks, of: stats.given };
            let came = Some(Came::of(&stats));
            shared.inbox.control(Input::Restore { fetch: *fetch, news, came });
        }
        Ok(())
    }
}

/// Where there is no room, what earlier attempts have left goes, unless this one needs it: the next one begins with that.
fn make_room<D: Disk>(
    done: Result<(), StagingError>,
    staging: &mut Staging<D>,
    needed: &[ChunkId],
) -> Result<(), StagingError> {
    if done.as_ref().is_err_and(StagingError::is_lack_of_space) {
        staging.keep_only(needed)?;
    }
    done
}

/// One source that is asked.
struct Fetching {
    sink: RestoreSink,
    ahead: Ahead,
    fetch: FetchId,
    source: NodeId,
    /// When progress was told last.
    told: Option<Duration>,
    /// What the counters know: chunks and bytes.
    counted: (u64, u64),
}

impl Fetching {
    fn keep<D: Disk>(
        &mut self,
        staging: &mut Staging<D>,
        id: ChunkId,
        chunk: Bytes,
    ) -> Result<(), StagingError> {
        let kept = staging.keep(id, &chunk);
        make_room(kept, staging, self.sink.order())?;
        self.ahead.hold(self.sink.order(), chunk);
        Ok(())
    }

    /// What it has of the copy is loaded while more comes.
    fn load_on<D: Disk>(&mut self, staging: &mut Staging<D>) -> Result<(), StagingError> {
        let loaded = self.ahead.go_on(self.sink.order(), staging);
        make_room(loaded, staging, self.sink.order())
    }

    fn lags(&self) -> bool {
        self.ahead.lags(self.sink.order())
    }
}

/// Why a source gave nothing, or not all.
#[derive(Debug, thiserror::Error)]
enum NotFetched {
    #[error("{0}")]
    Refused(RestoreEnd),
    #[error(transparent)]
    Dial(#[from] rep_net::DialError),
    #[error(transparent)]
    Channel(#[from] NetError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    /// No other source can help.
    #[error(transparent)]
    Here(#[from] StagingError),
    #[error("a copy that is of no use here: {0}")]
    OfNoUse(String),
    #[error("it is not wanted any more")]
    Ended,
}
