//! The node loop's one inbox.
//!
//! Lanes, drained in this order: completions of disk and store, without which nothing moves; control, which keeps elections
//! alive whatever else is queued; data from the master; proposals and reads. What data and proposals may
//! hold in bytes is the [credit](super::credit)'s to say; the lanes bound items.

use crate::commit::CommitPromise;
use crate::read::ReadPromise;
use crate::runtime::peers::Outgoing;
use crate::waiter::Slot;
use rep_net::queue::{Closed, Lane, Queue};
use rep_node::{
    DialFailure, Link, Message, NodeStatus, PersistFailed, Persisted, Proposal, ReadKind, Request,
    SendFailed, Service,
};
use rep_vlsn::{Incarnation, LogPoint, NodeId};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Something that happened, for the node.
#[derive(Debug)]
pub(crate) enum Input {
    Persisted(Persisted),
    PersistFailed(PersistFailed, String),
    Applied(LogPoint),
    ApplyFailed(String),
    Sent { link: Link, last: LogPoint, bytes: usize },
    SendFailed { link: Link, why: SendFailed },
    DialFailed { peer: NodeId, service: Service, why: DialFailure },
    LinkUp { link: Link, incarnation: Incarnation, dialled: bool, outgoing: Outgoing },
    LinkDown { link: Link },
    Message { link: Link, message: Message, credit: u64 },
    Propose { proposal: Proposal, credit: u64, promise: CommitPromise },
    Read { request: Request, kind: ReadKind, deadline: Duration, promise: ReadPromise },
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
            | Input::ApplyFailed(_)
            | Input::Sent { .. }
            | Input::SendFailed { .. }
            | Input::DialFailed { .. }
            | Input::LinkUp { .. }
            | Input::LinkDown { .. }
            | Input::Read { .. }
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

/// Where everybody leaves what the node has to know.
#[derive(Clone, Debug)]
pub(crate) struct Inbox(Queue<Input>);

impl Inbox {
    pub(crate) fn new() -> Self {
        let lane = |bytes_max| Lane { items_max: LANE_ITEMS_MAX, bytes_max };
        Inbox(Queue::new([
            lane(usize::MAX),
            lane(CONTROL_BYTES_MAX),
            lane(usize::MAX),
            lane(usize::MAX),
        ]))
    }

    /// A disk, the store, a sender or a dialler has finished.
    pub(crate) fn completed(&self, input: Input) {
        let _ = self.0.push(COMPLETIONS, 0, input, None);
    }

    pub(crate) fn control(&self, input: Input) {
        self.control_frame(0, input);
    }

    /// A control message that came as a frame of `bytes`.
    pub(crate) fn control_frame(&self, bytes: usize, input: Input) {
        let _ = self.0.push(CONTROL, bytes, input, None);
    }

    /// Something of the stream from the master, in its order.
    pub(crate) fn data(&self, input: Input) {
        let _ = self.0.push(DATA, 0, input, None);
    }

    /// What is dropped because the node has ended tells its handle so.
    pub(crate) fn propose(&self, input: Input) {
        let _ = self.0.push(PROPOSALS, 0, input, None);
    }

    pub(crate) fn take(
        &self,
        into: &mut Vec<Input>,
        items_max: usize,
        deadline: Option<Instant>,
    ) -> Result<usize, Closed> {
        self.0.pop_batch(into, items_max, deadline)
    }

    /// Nothing enters any more; what is queued is dropped.
    pub(crate) fn close(&self) {
        self.0.close_and_discard();
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }
}
