//! Channels to the other members: dialled or accepted, then two threads each.
//!
//! A dial runs in a thread of its own; a channel that exists gets one thread that reads (and decodes, so that the node meets
//! only what has been checked) and one that writes what could not be written at once ([`outgoing`]). The first frame
//! on a PEER channel, each way, is the runtime's own: the sender's attributes.

pub(crate) mod announce;
mod current_log;
mod outgoing;
mod receiver;
mod sender;

use crate::runtime::inbox::Input;
use crate::runtime::scrubber::{Scrubs, scrub_of};
use crate::runtime::shared::Shared;
use crate::runtime::threads::Threads;
use crate::sync::{AtomicU64, Mutex, Ordering};
use bytes::Bytes;
use outgoing::Handed;
use rep_net::{
    Address, Channel, DialError, Hello, RefuseReason, ServiceHandler, Transport, Versions,
};
use rep_node::output::SendRange;
use rep_node::{DialFailure, Link, PEER_VERSION, RunId, Service, Shown};
use rep_vlsn::disk::Disk;
use rep_vlsn::error::ReadError;
use rep_vlsn::reader::{LogReader, Run};
use rep_vlsn::tail::Tail;
use rep_vlsn::{Batch, Epoch, Incarnation, LogPoint, NodeId, SegmentSize, Vlsn};
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::sync::Arc;
use std::time::Instant;

pub(crate) use current_log::{CurrentLog, Watch};
pub(crate) use outgoing::Outgoing;

/// What this build speaks on that channel.
fn versions_of(service: Service) -> Versions {
    match service {
        Service::Peer => Versions::new(1, PEER_VERSION),
        Service::Feeder => Versions::new(1, 1),
    }
}

/// The name under which a service is asked for.
pub(crate) fn service_name(service: Service) -> &'static str {
    match service {
        Service::Peer => "peer",
        Service::Feeder => "feeder",
    }
}

/// The log as readers see it, whatever disk lies below.
pub(crate) trait Entries: Send + Sync + Debug {
    /// The first entry that is held.
    fn first(&self) -> Vlsn;

    /// A way to read all of it again.
    fn scrub(&self) -> Box<dyn Scrubs>;

    fn run(&self, from: Vlsn, to: Vlsn, bytes_max: usize, epoch: Epoch) -> Result<Run, ReadError>;

    /// Entries whose place is settled, so that a cut elsewhere does not matter.
    fn settled(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError>;

    /// The log's files.
    fn segments(&self) -> Result<Vec<SegmentSize>, ReadError>;

    /// An entry as the beginning of another log, encoded.
    fn beginning(&self, point: LogPoint) -> Result<Bytes, ReadError>;
}

impl<D: Disk> Entries for LogReader<D> {
    fn first(&self) -> Vlsn {
        LogReader::first(self)
    }

    fn scrub(&self) -> Box<dyn Scrubs> {
        scrub_of(self)
    }

    fn run(&self, from: Vlsn, to: Vlsn, bytes_max: usize, epoch: Epoch) -> Result<Run, ReadError> {
        self.read(from, to, bytes_max, epoch)
    }

    fn settled(&self, from: Vlsn, to: Vlsn, bytes_max: usize) -> Result<Batch, ReadError> {
        loop {
            match self.batch(from, to, bytes_max, self.tail().epoch()) {
                Err(ReadError::Truncated) => {}
                other => return other,
            }
        }
    }

    fn segments(&self) -> Result<Vec<SegmentSize>, ReadError> {
        LogReader::segments(self)
    }

    fn beginning(&self, point: LogPoint) -> Result<Bytes, ReadError> {
        Ok(LogReader::beginning(self, point)?.encode())
    }
}

/// What the threads of channels need.
#[derive(Debug)]
pub(crate) struct Context {
    pub(crate) shared: Arc<Shared>,
    pub(crate) threads: Threads,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) entries: Arc<CurrentLog>,
    pub(crate) incarnation: Incarnation,
    run: RunId,
    epochs: AtomicU64,
    /// Every channel that has threads; `None` once no more may begin.
    open: Mutex<Option<BTreeMap<u64, Outgoing>>>,
}

impl Context {
    pub(crate) fn new(
        shared: Arc<Shared>,
        threads: Threads,
        transport: Arc<dyn Transport>,
        entries: Arc<CurrentLog>,
        incarnation: Incarnation,
        run: RunId,
    ) -> Arc<Self> {
        let open = Mutex::new(Some(BTreeMap::new()));
        Arc::new(Context {
            shared,
            threads,
            transport,
            entries,
            incarnation,
            run,
            // No two runs number their channels alike: what one said may come late, in the next one's.
            epochs: AtomicU64::new(run.0 >> 1),
            open,
        })
    }

    /// Dials once, here and now, and tells the node what came of it.
    fn dial(self: &Arc<Self>, peer: NodeId, service: Service) {
        self.shared.counters.dials.add(1);
        let deadline = Instant::now() + self.shared.timing.dial_timeout;
        let link = self.number(peer, service);
        let outcome = match self.shared.directory.address_of(peer) {
            Some(address) => {
                self.transport.dial(&Address::new(&*address), &self.hello(link), deadline)
            }
            None => return self.dial_failed(peer, service, DialFailure::Unreachable),
        };
        match outcome {
            Ok(channel) => {
                let peer_shown = Shown::from(Incarnation(channel.peer().incarnation));
                let shown = peer_shown.speaking(channel.peer().version);
                self.attach(channel, link, shown, true);
            }
            Err(error) => {
                tracing::debug!(node = %self.shared.name, %error, "a dial failed");
                self.dial_failed(peer, service, failure_of(&error));
            }
        }
    }

    /// A stream bears the number of its channel, which is told beside the run.
    fn hello(&self, link: Link) -> Hello {
        let Link { peer, service, epoch } = link;
        let hello = self.hello_for(peer, service_name(service)).speaking(versions_of(service));
        match service {
            Service::Peer => hello,
            Service::Feeder => hello.greeting(greeting(&[self.run.0, epoch])),
        }
    }

    pub(crate) fn hello_for(&self, peer: NodeId, service: &str) -> Hello {
        Hello::new(&*self.shared.group_name, service)
            .from_node(&*self.shared.name, self.incarnation.0)
            .to_node(self.shared.directory.name_of(peer))
            .greeting(greeting(&[self.run.0]))
    }

    fn dial_failed(&self, peer: NodeId, service: Service, why: DialFailure) {
        self.shared.counters.dials_failed.add(1);
        self.shared.inbox.completed(Input::DialFailed { peer, service, why });
    }

    /// Whether somebody who calls is another member that is known to hold the data, or to be about to, and this node takes calls.
    pub(crate) fn check_holder(&self, hello: &Hello) -> Result<(), RefuseReason> {
        let (id, is_member) = self.caller(hello)?;
        let recorded = self.shared.recorded.lock();
        let member = recorded.as_ref().and_then(|group| group.members.get(&id));
        match is_member && member.is_some_and(|member| member.kind.holds_data()) {
            true => Ok(()),
            false => Err(not_member(hello)),
        }
    }

    /// Whom somebody who calls is taken for, and whether that is a member still.
    fn caller(&self, hello: &Hello) -> Result<(NodeId, bool), RefuseReason> {
        let shared = &self.shared;
        if shared.is_closing() || shared.inbox.is_closed() {
            return Err(RefuseReason::Closing);
        }
        let caller = shared.directory.caller(&hello.node, Incarnation(hello.incarnation));
        match caller {
            Some((id, is_member)) if id != shared.directory.me() => Ok((id, is_member)),
            Some(_) | None => Err(not_member(hello)),
        }
    }

    /// The next channel's number.
    fn number(&self, peer: NodeId, service: Service) -> Link {
        Link { peer, service, epoch: self.epochs.fetch_add(1, Ordering::Relaxed) }
    }

    /// Gives a channel its threads, and tells the node.
    fn attach(
        self: &Arc<Self>,
        channel: Arc<dyn Channel>,
        link: Link,
        shown: Shown,
        dialled: bool,
    ) {
        let bytes_max = self.shared.limits.outgoing_bytes_max as usize;
        let counters = self.shared.counters.peer(link.peer);
        let outgoing = Outgoing::new(Arc::clone(&channel), bytes_max, counters);
        match &mut *self.open.lock() {
            Some(open) => drop(open.insert(link.epoch, outgoing.clone())),
            None => return channel.close(),
        }
        if link.service == Service::Peer {
            let own = self.shared.directory.own_attributes();
            outgoing.queue_frame(announce::encode(&own));
        }
        self.shared.inbox.control(Input::LinkUp {
            link,
            shown,
            dialled,
            outgoing: outgoing.clone(),
        });
        if let Err(error) = self.start_threads(link, dialled, outgoing) {
            tracing::warn!(node = %self.shared.name, %error, "no thread for a channel: it is closed");
            self.ended(link);
            self.shared.inbox.control(Input::LinkDown { link });
        }
    }

    /// A channel has ended, or must.
    fn ended(&self, link: Link) {
        let outgoing = self.open.lock().as_mut().and_then(|open| open.remove(&link.epoch));
        if let Some(outgoing) = outgoing {
            outgoing.abandon();
        }
    }

    /// Ends every channel, and lets none begin.
    fn end_all(&self) {
        let open = self.open.lock().take();
        open.into_iter().flatten().for_each(|(_, outgoing)| outgoing.abandon());
    }

    fn start_threads(
        self: &Arc<Self>,
        link: Link,
        dialled: bool,
        outgoing: Outgoing,
    ) -> std::io::Result<()> {
        let name = self.shared.directory.name_of(link.peer);
        let (context, to) = (Arc::clone(self), outgoing.clone());
        self.threads.start(format!("rep-send-{name}"), move || sender::run(&context, link, &to))?;
        let context = Arc::clone(self);
        let channel = outgoing.into_channel();
        self.threads.start(format!("rep-recv-{name}"), move || {
            receiver::run(&context, link, dialled, &*channel)
        })
    }
}

fn not_member(hello: &Hello) -> RefuseReason {
    let detail = format!("{:?} is no member of the group, as far as is known here", hello.node);
    RefuseReason::NotMember { detail }
}

/// Who calls: the directory that its Hello names, the run of its process, and its number for the channel, as far as it says so.
fn shown_in(hello: &Hello, channel: &dyn Channel) -> Shown {
    let incarnation = Incarnation(channel.peer().incarnation);
    greeted(incarnation, &hello.greeting).speaking(channel.peer().version)
}

/// What a dialler says of itself: its run and, where a stream is to come, its number for the channel.
fn greeting(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_le_bytes()).collect()
}

fn greeted(incarnation: Incarnation, greeting: &[u8]) -> Shown {
    let shown = |run: &[u8; 8]| Shown::new(incarnation, RunId(u64::from_le_bytes(*run)));
    match greeting.as_chunks::<8>() {
        ([run], []) => shown(run),
        ([run, number], []) => shown(run).numbered(u64::from_le_bytes(*number)),
        _ => Shown::from(incarnation),
    }
}

fn failure_of(error: &DialError) -> DialFailure {
    match error {
        DialError::Refused { .. } => DialFailure::Refused,
        DialError::RefusedHello { reason, .. } => match reason {
            // It is on its way out, not yet ready, or has its hands full: that passes, and says nothing of who this node is.
            RefuseReason::Closing => DialFailure::Refused,
            RefuseReason::Busy | RefuseReason::TooManyChannels | RefuseReason::UnknownService => {
                DialFailure::Unreachable
            }
            other => DialFailure::Rejected(other.to_string()),
        },
        DialError::BadAnswer { error, .. } => DialFailure::Rejected(error.to_string()),
        DialError::Plaintext { .. } => DialFailure::Rejected(error.to_string()),
        DialError::TimedOut { .. }
        | DialError::Unreachable { .. }
        | DialError::HungUp { .. }
        | DialError::Hello(_)
        | _ => DialFailure::Unreachable,
    }
}

/// What became of a range that was to be sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RangeSent {
    /// It is sent.
    Now { last: LogPoint, bytes: usize },
    /// The inbox will be told.
    Later,
    /// The link had to be given up, because its peer does not read.
    LinkLost,
}

/// The node's side of all channels.
#[derive(Debug)]
pub(crate) struct Peers {
    context: Arc<Context>,
    links: BTreeMap<Link, Outgoing>,
}

impl Peers {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Peers { context, links: BTreeMap::new() }
    }

    pub(crate) fn up(&mut self, link: Link, outgoing: Outgoing) {
        self.links.insert(link, outgoing);
    }

    /// The channel has ended.
    pub(crate) fn down(&mut self, link: Link) {
        if let Some(outgoing) = self.links.remove(&link) {
            outgoing.abandon();
        }
    }

    /// False if the link had to be given up, because its peer does not read.
    #[must_use]
    pub(crate) fn send(&mut self, link: Link, frame: Bytes) -> bool {
        let Some(outgoing) = self.links.get(&link) else { return true };
        let bytes = frame.len();
        match outgoing.frame(frame) {
            Handed::Sent => {
                outgoing.count_sent(bytes);
                true
            }
            Handed::Queued => true,
            Handed::Full => self.give_up(link),
        }
    }

    /// Sends a range, or queues it.
    pub(crate) fn send_entries(&mut self, link: Link, range: SendRange, tail: &Tail) -> RangeSent {
        let Some(outgoing) = self.links.get(&link) else { return RangeSent::Later };
        match outgoing.entries(range, tail) {
            (Handed::Sent, Some(run)) => {
                outgoing.count_entries(&run);
                RangeSent::Now { last: run.last, bytes: run.bytes }
            }
            (Handed::Sent | Handed::Queued, _) => RangeSent::Later,
            (Handed::Full, _) => {
                self.give_up(link);
                RangeSent::LinkLost
            }
        }
    }

    fn give_up(&mut self, link: Link) -> bool {
        tracing::warn!(?link, "a member does not read: its channel is given up");
        self.down(link);
        false
    }

    /// The node wants no more of this link, but for what it has said already.
    pub(crate) fn disconnect(&mut self, link: Link) {
        if let Some(outgoing) = self.links.remove(&link) {
            outgoing.finish();
        }
    }

    /// Dials in a thread of its own.
    ///
    /// # Errors
    ///
    /// There is no thread for it. What comes of a dial that has begun is told to the inbox.
    pub(crate) fn dial(&self, peer: NodeId, service: Service) -> Result<(), DialFailure> {
        let context = Arc::clone(&self.context);
        let name = format!("rep-dial-{}", context.shared.directory.name_of(peer));
        let started = self.context.threads.start(name, move || context.dial(peer, service));
        started.map_err(|_| {
            self.context.shared.counters.dials_failed.add(1);
            DialFailure::Unreachable
        })
    }

    pub(crate) fn context(&self) -> &Arc<Context> {
        &self.context
    }

    pub(crate) fn threads(&self) -> &Threads {
        &self.context.threads
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        self.context.end_all();
    }
}

/// Takes calls of the other members.
pub(crate) struct PeerService {
    pub(crate) context: Arc<Context>,
    pub(crate) service: Service,
}

impl ServiceHandler for PeerService {
    fn versions(&self, _: Versions) -> Versions {
        versions_of(self.service)
    }

    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        // Who was removed is let in, to be told so by the node.
        self.context.caller(hello).map(drop)
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        match self.context.caller(&hello) {
            Ok((peer, _)) => {
                let shown = shown_in(&hello, &*channel);
                let link = self.context.number(peer, self.service);
                self.context.attach(channel, link, shown, false);
            }
            Err(_) => channel.close(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_dialler_says_of_itself_is_understood() {
        let incarnation = Incarnation([7; 16]);
        let run = Shown::new(incarnation, RunId(1 << 40));
        assert_eq!(greeted(incarnation, &greeting(&[1 << 40])), run);
        assert_eq!(greeted(incarnation, &greeting(&[1 << 40, 3])), run.numbered(3));
        // Whoever says neither is taken all the same, and not told apart.
        for strange in [&[][..], &[1; 7], &[1; 9], &[1; 24]] {
            assert_eq!(greeted(incarnation, strange), Shown::from(incarnation));
        }
    }
}
