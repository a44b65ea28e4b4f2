//! The node's one inbox, and how whoever leaves something there drives the node.
//!
//! Lanes, drained in this order: completions of disk and store, without which nothing moves; control, which keeps elections
//! alive whatever else is queued; data from the master; proposals and reads. What data and proposals may
//! hold in bytes is the [credit](super::credit)'s to say; the lanes bound items.
//!
//! Who has the [helm](super::helm) steps the node with what was left. To wake tasks is another matter, for a waker is
//! foreign code. Only threads of our own do it: a caller may hold a lock that the waker wants. They let go of the helm
//! before, for the waker may come back here. A thread that comes back in this way steps the node like any other, for it may
//! leave more than a lane holds, and it may be the watch itself; but it wakes nobody, for the pile of its calls would
//! have no bound. Nor does a thread of ours that runs code of the application. Whatever cannot be done on the spot is the watch's to do.

use crate::commit::CommitPromise;
use crate::member::Attributes;
use crate::orders::{GroupShutDown, Order, Transferred};
use crate::read::ReadPromise;
use crate::runtime::helm::{Helm, LaneBounds, Post};
use crate::runtime::node_loop::NodeLoop;
use crate::runtime::peers::Outgoing;
use crate::runtime::restore::Answer;
use crate::runtime::restore::account::Came;
use crate::runtime::restore::reopening::Reopened;
use crate::waiter::{Slot, wake};
use bytes::Bytes;
use rep_node::{
    ChangeRequest, Changed, DialFailure, FetchId, Link, Membership, Message, NodeStatus,
    NotCancelled, NotOffered, NotOurs, NotRestored, Offer, PersistFailed, Persisted, Pin, Proposal,
    ReadKind, Request, RestoreNews, SendFailed, Service, Shown, Transfer,
};
use rep_vlsn::{Incarnation, LogPoint, NodeId, SegmentSize, Vlsn};
use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that happened, for the node.
#[derive(Debug)]
pub(crate) enum Input {
    Persisted(Persisted),
    PersistFailed(PersistFailed, String),
    Applied(LogPoint),
    /// The store is durable up to there; and the files that the log has.
    Checkpointed {
        point: LogPoint,
        segments: Vec<SegmentSize>,
    },
    /// Nothing more is applied, and why.
    ApplyFailed(String),
    /// What lies in the home is not what was written, in words.
    DamageFound(String),
    /// The log waits for space, or has some again.
    DiskFull(bool),
    Sent {
        link: Link,
        last: LogPoint,
        bytes: usize,
    },
    SendFailed {
        link: Link,
        why: SendFailed,
    },
    DialFailed {
        peer: NodeId,
        service: Service,
        why: DialFailure,
    },
    LinkUp {
        link: Link,
        shown: Shown,
        dialled: bool,
        outgoing: Outgoing,
    },
    LinkDown {
        link: Link,
    },
    /// What the other end of a link says about itself.
    Announced {
        link: Link,
        incarnation: Incarnation,
        attributes: Attributes,
    },
    Message {
        link: Link,
        message: Message,
        credit: u64,
    },
    Propose {
        proposal: Proposal,
        credit: u64,
        promise: CommitPromise,
    },
    Read {
        request: Request,
        kind: ReadKind,
        deadline: Duration,
        promise: ReadPromise,
    },
    Transfer {
        transfer: Transfer,
        order: Order<Transferred>,
    },
    ShutGroupDown {
        request: Request,
        deadline: Duration,
        order: Order<GroupShutDown>,
    },
    ChangeMembership {
        change: ChangeRequest,
        order: Order<Changed>,
    },
    /// The group has admitted this node.
    Admitted {
        membership: Box<Membership>,
        answer: Option<Answer<Result<(), NotOurs>>>,
    },
    /// What became of a fetch.
    Restore {
        fetch: FetchId,
        news: RestoreNews,
        /// With progress, for those who watch.
        came: Option<Came>,
    },
    /// The directory is open again, and this node takes the old one's place.
    Reopened(Box<Reopened>),
    /// Whether a copy may be given.
    Offer {
        at_least: Vlsn,
        taker: Incarnation,
        answer: Answer<Result<Offer, NotOffered>>,
    },
    /// What is to be remembered beside a copy at that point.
    PastOf {
        point: LogPoint,
        answer: Answer<Option<Bytes>>,
    },
    /// A copy was given, to the member with that data directory, or was not.
    Unpin {
        pin: Pin,
        given_to: Option<Incarnation>,
    },
    /// A copy is to be fetched by order.
    RestoreFrom {
        source: NodeId,
        answer: Answer<Result<(), NotRestored>>,
    },
    /// The copy that was ordered is not wanted any more.
    CancelRestore {
        answer: Answer<Result<(), NotCancelled>>,
    },
    Status(Arc<Slot<NodeStatus>>),
    Close,
}

impl Input {
    /// Bytes of credit that it entered with.
    pub(crate) fn credit(&self) -> u64 {
        match self {
            Input::Message { credit, .. } | Input::Propose { credit, .. } => *credit,
            Input::Persisted(_)
            | Input::PersistFailed(..)
            | Input::Applied(_)
            | Input::Checkpointed { .. }
            | Input::ApplyFailed(_)
            | Input::DamageFound(_)
            | Input::DiskFull(_)
            | Input::Sent { .. }
            | Input::SendFailed { .. }
            | Input::DialFailed { .. }
            | Input::LinkUp { .. }
            | Input::LinkDown { .. }
            | Input::Announced { .. }
            | Input::Read { .. }
            | Input::Transfer { .. }
            | Input::ShutGroupDown { .. }
            | Input::ChangeMembership { .. }
            | Input::Admitted { .. }
            | Input::Restore { .. }
            | Input::Reopened(_)
            | Input::Offer { .. }
            | Input::PastOf { .. }
            | Input::Unpin { .. }
            | Input::RestoreFrom { .. }
            | Input::CancelRestore { .. }
            | Input::Status(_)
            | Input::Close => 0,
        }
    }
}

const COMPLETIONS: usize = 0;
const CONTROL: usize = 1;
const DATA: usize = 2;
const PROPOSALS: usize = 3;

/// Items in a lane at most. Whoever finds a lane full waits: the loop waits for nothing, so that is short.
const LANE_ITEMS_MAX: usize = 16 << 10;
/// Bytes of control messages at most.
const CONTROL_BYTES_MAX: usize = 16 << 20;

/// Inputs of one turn at most, so that a flood of one kind does not keep the clock waiting.
const INPUTS_MAX: usize = 256;
/// Turns that a thread does in a row before it hands over to the watch: it has work of its own.
const SHARE_TURNS: usize = 8;

type AtHelm = Box<Post<Input, NodeLoop>>;

/// Where everybody leaves what the node has to know.
#[derive(Debug)]
pub(crate) struct Inbox(Helm<Input, NodeLoop>);

thread_local! {
    /// The present thread drives a node, or tells what came of it.
    static DRIVES: Cell<bool> = const { Cell::new(false) };
}

impl Inbox {
    pub(crate) fn new() -> Self {
        let lane = |bytes_max| LaneBounds { items_max: LANE_ITEMS_MAX, bytes_max };
        let lanes = [lane(usize::MAX), lane(CONTROL_BYTES_MAX), lane(usize::MAX), lane(usize::MAX)];
        Inbox(Helm::new(lanes, INPUTS_MAX))
    }

    // ---- what is left ----

    /// A disk, the store, a sender or a dialler has finished.
    pub(crate) fn completed(&self, input: Input) {
        self.0.leave(COMPLETIONS, 0, input);
        self.drive();
    }

    pub(crate) fn control(&self, input: Input) {
        self.control_frame(0, input);
    }

    /// A control message that came as a frame of `bytes`.
    pub(crate) fn control_frame(&self, bytes: usize, input: Input) {
        self.0.leave(CONTROL, bytes, input);
        self.drive();
    }

    /// Something of the stream from the master, in its order.
    pub(crate) fn data(&self, input: Input) {
        self.0.leave(DATA, 0, input);
        self.drive();
    }

    /// A proposal. It is only left here, because its caller has the turn: who wakes others, as a driver does, must not hold
    /// what they may wait for. So whoever proposes drives when it has given the turn back.
    ///
    /// What is dropped because the node has ended tells its handle so.
    pub(crate) fn propose(&self, input: Input) {
        self.0.leave(PROPOSALS, 0, input);
    }

    pub(crate) fn read(&self, input: Input) {
        self.0.leave(PROPOSALS, 0, input);
        self.drive();
    }

    /// Nothing enters any more; what is queued is dropped.
    pub(crate) fn close(&self) {
        self.0.close();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    #[cfg(test)]
    pub(crate) fn take_all(&self) -> Vec<Input> {
        self.0.take_items()
    }

    // ---- who drives ----

    /// The node can be driven from now on.
    pub(crate) fn install(&self, node: NodeLoop) {
        self.0.install(node);
    }

    /// Drives the node while there is something for it, if nobody else does; for a share of turns at most.
    pub(crate) fn drive(&self) {
        if let Some(post) = self.0.take() {
            self.drive_on(post);
        }
    }

    /// The watch: drives when the node's own time has come, or in the place of those who cannot. Returns when the node has
    /// ended and whoever drove it last has let go of everything.
    pub(crate) fn keep_watch(&self) {
        while let Some(post) = self.0.stand_watch() {
            self.drive_on(post);
        }
    }

    fn drive_on(&self, post: AtHelm) {
        let driving = Driving::begin();
        let tells = !driving.came_back && post.driven.threads().may_wake();
        let mut next = Some(post);
        for turn in 1..=SHARE_TURNS {
            let Some(post) = next else { return };
            next = self.turn(post, tells, turn < SHARE_TURNS);
        }
        debug_assert!(next.is_none(), "the last turn of a share lets go");
    }

    /// One turn; if there is to be another, the helm with its news.
    fn turn(&self, mut post: AtHelm, tells: bool, goes_on: bool) -> Option<AtHelm> {
        let shared = Arc::clone(post.driven.shared());
        let stepped = catch_unwind(AssertUnwindSafe(move || {
            let Post { driven, inputs } = &mut *post;
            driven.turn(inputs);
            post
        }));
        // The thread that drove is anybody's, and not to blame: the environment fails, the thread goes on.
        let Ok(post) = stepped else {
            shared.fail("a step of the node panicked; this is a bug in the library".to_owned());
            shared.loop_ended(None);
            self.0.end();
            return None;
        };
        let due = post.driven.due();
        if !post.driven.has_to_tell() {
            return self.0.after_turn(post, due, goes_on);
        }
        match tells {
            true => self.tell(post, due, goes_on),
            false => {
                self.0.entrust(post, due);
                None
            }
        }
    }

    /// Wakes tasks, or tells everybody that all is over.
    fn tell(&self, mut post: AtHelm, due: Option<Instant>, goes_on: bool) -> Option<AtHelm> {
        if let Some(status) = post.driven.last_status() {
            let shared = Arc::clone(post.driven.shared());
            // What this and earlier steps have resolved is told to its tasks too: nobody comes after this who could.
            let wakers = post.driven.take_wakers();
            shared.loop_ended(Some(status));
            drop(post);
            self.0.end();
            wakers.into_iter().for_each(wake);
            return None;
        }
        let wakers = post.driven.take_wakers();
        self.0.let_go(post, due);
        wakers.into_iter().for_each(wake);
        if goes_on {
            return self.0.take();
        }
        self.0.hand_over();
        None
    }
}

/// Remembers that this thread drives, until it is dropped.
struct Driving {
    /// It does so already, further up, and has come back from within a waker.
    came_back: bool,
}

impl Driving {
    fn begin() -> Self {
        Driving { came_back: DRIVES.replace(true) }
    }
}

impl Drop for Driving {
    fn drop(&mut self) {
        DRIVES.set(self.came_back);
    }
}
