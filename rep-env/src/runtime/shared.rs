//! What the threads and the callers share. Nobody holds a lock of it while waiting for anything else.

use crate::commit::{CommitPromise, CommitToken};
use crate::config::{Limits, Timing};
use crate::error::Error;
use crate::events::Board;
use crate::read::{Consistency, ReadPromise, ReadSlot};
use crate::runtime::bell::Bell;
use crate::runtime::credit::{Credit, Grant, NoCredit};
use crate::runtime::directory::Directory;
use crate::runtime::inbox::{Inbox, Input};
use crate::runtime::restore::account::Account;
use crate::runtime::scrubber::Scrubbing;
use crate::runtime::shipper::Shipments;
use crate::runtime::shown::Shown;
use crate::stats::Counters;
use crate::sync::{AtomicBool, AtomicU64, Mutex, OnceLock, Ordering};
use crate::transaction::pipeline::Pipeline;
use crate::transaction::turn::Turn;
use arc_swap::ArcSwap;
use rep_node::{
    Acks, Admission, Contact, Membership, NodeState, NodeStatus, Proposal, ReadKind, Request,
};
use rep_vlsn::{Draft, GroupId, LogPoint, NodeId, Term};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Everything that is neither a thread's own nor the state machine's.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) group_name: String,
    pub(crate) timing: Timing,
    pub(crate) limits: Limits,
    pub(crate) directory: Arc<Directory>,
    pub(crate) board: Board,
    pub(crate) clock: Clock,
    /// What callers decide by, but for the bytes that wait for the disk, which the credit knows.
    pub(crate) admission: ArcSwap<Admission>,
    pub(crate) shown: Shown,
    /// Rings whenever admission or positions change.
    pub(crate) bell: Bell,
    pub(crate) turn: Turn,
    pub(crate) pipeline: Pipeline,
    pub(crate) credit: Credit,
    pub(crate) inbox: Inbox,
    pub(crate) counters: Counters,
    /// The sinks that are shipped to.
    pub(crate) shipments: Shipments,
    pub(crate) scrubbing: Scrubbing,
    /// How it goes with the copy that this member is given, or was last.
    pub(crate) copy: Account,
    group: OnceLock<GroupId>,
    closing: AtomicBool,
    failed: OnceLock<String>,
    reads: AtomicU64,
    last_status: Mutex<Option<NodeStatus>>,
    /// Whether this node is a member that holds no data.
    lacks_data: AtomicBool,
    /// Who belongs, as the node's log says.
    pub(crate) recorded: Mutex<Option<Membership>>,
    /// While this node wants to be admitted: why it is not yet.
    pub(crate) joining: Mutex<Option<String>>,
    /// Commits that wait for room in the overlay.
    pub(crate) overlay_waiting: AtomicU64,
    /// There is no space for what waits for this node's disk.
    pub(crate) disk_full: AtomicBool,
    /// Why this node comes back, if it is one after a damaged directory.
    pub(crate) damage: Mutex<Option<String>>,
}

/// Read requests are numbered apart from commits, whose numbers are the overlay's.
const READS_FROM: u64 = 1 << 63;

impl Shared {
    pub(crate) fn new(
        names: (String, String),
        timing: Timing,
        limits: Limits,
        directory: Arc<Directory>,
        admission: Admission,
    ) -> Self {
        Shared {
            name: names.1,
            group_name: names.0,
            board: Board::new(Arc::clone(&directory)),
            clock: Clock::start(),
            admission: ArcSwap::from_pointee(admission),
            shown: Shown::default(),
            bell: Bell::default(),
            turn: Turn::new(timing.txn_timeout),
            pipeline: Pipeline::default(),
            credit: Credit::new(limits.unsynced_bytes_max),
            inbox: Inbox::new(),
            counters: Counters::default(),
            shipments: Shipments::default(),
            scrubbing: Scrubbing::default(),
            copy: Account::default(),
            group: OnceLock::new(),
            closing: AtomicBool::new(false),
            failed: OnceLock::new(),
            reads: AtomicU64::new(READS_FROM),
            last_status: Mutex::new(None),
            lacks_data: AtomicBool::new(false),
            recorded: Mutex::new(None),
            joining: Mutex::new(None),
            damage: Mutex::new(None),
            overlay_waiting: AtomicU64::new(0),
            disk_full: AtomicBool::new(false),
            timing,
            limits,
            directory,
        }
    }

    // ---- what callers ask ----

    /// Leaves an admitted proposal for the node. The caller [drives](Inbox::drive) when it has given the turn back.
    pub(crate) fn propose(
        &self,
        request: u64,
        term: Term,
        (draft, acks): (Draft, Acks),
        credit: Grant<'_>,
        promise: CommitPromise,
    ) {
        self.counters.commits_begun.add(1);
        let deadline = self.clock.now() + self.timing.ack_timeout;
        let proposal = Proposal { request: Request(request), term, draft, acks, deadline };
        self.inbox.propose(Input::Propose { proposal, credit: credit.spend(), promise });
    }

    /// Waits for credit for a proposal.
    pub(crate) fn take_credit(&self, bytes: u64, deadline: Instant) -> Result<Grant<'_>, Error> {
        match self.credit.enter(bytes, Some(deadline)) {
            Ok(grant) => Ok(grant),
            Err(NoCredit::Closed) => Err(self.over()),
            Err(NoCredit::Full(held)) => {
                self.counters.refused_busy.add(1);
                let bytes_max = self.credit.bytes_max();
                Err(Error::Busy { what: "the queue for this node's disk", bytes: held, bytes_max })
            }
        }
    }

    /// Asks when a read may be served.
    pub(crate) fn ask_read(&self, consistency: Consistency) -> Arc<ReadSlot> {
        if let Err(error) = self.check_open().and_then(|()| self.check_data()) {
            return Arc::new(ReadSlot::resolved(Err(error)));
        }
        let kind = match consistency {
            Consistency::None => {
                self.counters.reads_served.add(1);
                return Arc::new(ReadSlot::resolved(Ok(())));
            }
            Consistency::AtLeast(token) => {
                ReadKind::AtLeast { group: token.group(), point: token.point() }
            }
            Consistency::Bounded(lag) => ReadKind::Bounded { lag },
            Consistency::Linearizable => ReadKind::Linearizable,
        };
        let slot = Arc::new(ReadSlot::pending());
        let request = self.next_request();
        let deadline = self.clock.now() + self.timing.read_timeout;
        let promise = ReadPromise::new(Arc::clone(&slot));
        self.inbox.read(Input::Read { request, kind, deadline, promise });
        slot
    }

    /// The node's own account of itself; after its end, the last one.
    pub(crate) fn ask_status(&self) -> Option<NodeStatus> {
        let slot = Arc::new(crate::waiter::Slot::pending());
        self.inbox.control(Input::Status(Arc::clone(&slot)));
        let patience = Instant::now() + crate::transaction::PATIENCE;
        let fresh = if self.inbox.is_closed() { slot.peek() } else { slot.wait(Some(patience)) };
        fresh.or_else(|| self.last_status.lock().clone())
    }

    /// A number for something that is asked of the node, and is not a write.
    pub(crate) fn next_request(&self) -> Request {
        Request(self.reads.fetch_add(1, Ordering::Relaxed))
    }

    // ---- the ends ----

    /// Is it neither closing, nor closed, nor halted?
    pub(crate) fn check_open(&self) -> Result<(), Error> {
        if self.is_closing() || self.failed.get().is_some() {
            return Err(self.over());
        }
        match &self.admission.load().halted {
            Some(reason) => Err(Error::Halted { reason: reason.to_string() }),
            None => Ok(()),
        }
    }

    /// Whether this node holds no data, as a member that is not to hold any.
    pub(crate) fn lacks_data(&self) -> bool {
        self.lacks_data.load(Ordering::SeqCst)
    }

    /// Is there anything to be read or written here?
    pub(crate) fn check_data(&self) -> Result<(), Error> {
        if !self.lacks_data() {
            return Ok(());
        }
        let me = self.directory.me();
        let recorded = self.recorded.lock();
        let own = recorded.as_ref().and_then(|group| group.members.get(&me));
        let kind = own.map(|member| member.kind).unwrap_or_default();
        let master = self.board.get().master.and_then(|master| self.directory.member(master));
        Err(Error::HoldsNoData { kind, master })
    }

    /// Why nothing can be had from here any more.
    pub(crate) fn over(&self) -> Error {
        match self.failed.get() {
            Some(reason) if !self.is_closing() => Error::Halted { reason: reason.clone() },
            Some(_) | None => Error::Closed,
        }
    }

    /// True for the first caller.
    pub(crate) fn begin_close(&self) -> bool {
        let first = !self.closing.swap(true, Ordering::SeqCst);
        self.turn.close();
        self.shipments.stop();
        self.scrubbing.stop();
        self.bell.ring();
        first
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.load(Ordering::SeqCst)
    }

    /// The driver cannot go on, for this reason; the first one counts.
    pub(crate) fn fail(&self, reason: String) {
        tracing::error!(node = %self.name, %reason, "the node has halted");
        self.end(reason);
    }

    /// The node has stopped for good, as was wanted or not.
    pub(crate) fn end(&self, reason: String) {
        let _ = self.failed.set(reason);
        self.bell.ring();
    }

    pub(crate) fn failure(&self) -> Option<&str> {
        self.failed.get().map(String::as_str)
    }

    /// The node has ended: whoever waits for it is told.
    pub(crate) fn loop_ended(&self, status: Option<NodeStatus>) {
        if status.is_some() {
            *self.last_status.lock() = status;
        }
        // The last word, should the node not have had the time to say it itself.
        let last = self.board.get();
        self.board.publish(NodeState::Shutdown, last.term, None, "closed");
        self.inbox.close();
        self.credit.close();
        self.turn.close();
        self.bell.ring();
    }

    // ---- facts ----

    /// Whom there is to know from now on.
    pub(crate) fn know(&self, contacts: Vec<Contact>) {
        self.counters.keep_peers(|id| contacts.iter().any(|contact| contact.id == id));
        self.directory.know(contacts);
    }

    /// That rules from now on.
    pub(crate) fn show_membership(&self, membership: &Membership) {
        let own = membership.members.get(&self.directory.me());
        let lacks_data = own.is_some_and(|member| !member.kind.holds_data());
        *self.recorded.lock() = Some(membership.clone());
        self.lacks_data.store(lacks_data, Ordering::SeqCst);
        // A member has no need to be admitted.
        *self.joining.lock() = None;
        self.bell.ring();
    }

    /// Is this node the master, as far as it knows?
    pub(crate) fn check_master(&self) -> Result<(), Error> {
        match self.board.get().state {
            NodeState::Master => Ok(()),
            _ => Err(self.not_master(self.admission.load().master)),
        }
    }

    /// The group, once it is founded.
    pub(crate) fn group(&self) -> Option<GroupId> {
        self.group.get().copied()
    }

    pub(crate) fn learn_group(&self, group: GroupId) {
        let _ = self.group.set(group);
    }

    pub(crate) fn not_master(&self, master: Option<NodeId>) -> Error {
        let other = master.filter(|master| *master != self.directory.me());
        match other.and_then(|master| self.directory.member(master)) {
            None if self.disk_full.load(Ordering::SeqCst) => Error::DiskFull,
            master => Error::NotMaster { master },
        }
    }

    pub(crate) fn names_of(&self, ids: impl IntoIterator<Item = NodeId>) -> Vec<String> {
        ids.into_iter().map(|id| self.directory.name_of(id)).collect()
    }

    /// The token of an entry of this group.
    pub(crate) fn token(&self, point: LogPoint) -> CommitToken {
        CommitToken::new(self.group().unwrap_or_default(), point)
    }
}

/// The driver's clock: time since it was opened, which is all that the node knows of time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    fn start() -> Self {
        Clock(Instant::now())
    }

    pub(crate) fn now(&self) -> Duration {
        self.0.elapsed()
    }

    pub(crate) fn instant(&self, at: Duration) -> Instant {
        self.0 + at
    }
}
