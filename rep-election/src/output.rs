//! What the core asks of its driver, in order.

use crate::message::{Message, Reason};
use crate::promise::Fence;
use rep_vlsn::{Incarnation, NodeId, Term};
use std::collections::BTreeMap;

/// One thing to do. Do them in the order in which they come.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Output {
    /// Write the fence to disk, sync, then call `handle_persisted` with it. Fences are reported in order.
    Persist(Fence),
    /// Send a message. It may be lost.
    Send {
        /// To whom.
        to: NodeId,
        /// What.
        message: Message,
    },
    /// This node stands, by its own will or by a promise to another: role Replica to Candidate.
    Stand {
        /// The term asked for, or promised.
        term: Term,
    },
    /// Its candidacy is over: role Candidate to Replica. Each `Stand` ends in one `Lost` or `Crown`.
    Lost {
        /// The term of the fence when it ended.
        term: Term,
        /// Why.
        reason: Lost,
    },
    /// This node is master of `term`: role Candidate to Leader. Its first entry is to be appended.
    Crown {
        /// The term.
        term: Term,
        /// Who promised, under which incarnation. Of a founding: every founder.
        promisers: BTreeMap<NodeId, Incarnation>,
    },
    /// The reign is over at once, because of a higher term: role Leader to Replica. It comes before any
    /// message of the higher term leaves, and nothing of the old term may be acknowledged after it.
    Deposed {
        /// The term of the reign.
        term: Term,
        /// The higher term.
        by: Term,
    },
    /// Something to log.
    Event(Event),
}

/// Why a candidacy ended without a crown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Lost {
    /// A master of this or a higher term was heard.
    MasterHeard {
        /// Which.
        master: NodeId,
    },
    /// Another was named.
    AnotherNamed {
        /// Who.
        winner: NodeId,
    },
    /// The pre-vote found no quorum.
    PreVoteFailed,
    /// The solicitation found no quorum.
    TooFewPromises,
    /// A better candidate asked at the same time.
    Yielded {
        /// Who.
        to: NodeId,
    },
    /// The term was promised and nobody took it in time.
    NobodyCrowned,
    /// A member has reached a higher term.
    TermPassed {
        /// The higher term.
        by: Term,
    },
}

/// Something worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Event {
    /// A member refused us.
    RefusedBy {
        /// Who.
        by: NodeId,
        /// The term we asked for.
        term: Term,
        /// Why.
        reason: Reason,
    },
    /// We took over a higher term that a member has reached.
    TermAdopted {
        /// From whom.
        from: NodeId,
        /// The term.
        term: Term,
    },
    /// We named the winner of a term.
    Named {
        /// The term.
        term: Term,
        /// Who.
        winner: NodeId,
    },
    /// The winner that we named was not heard within the crown wait.
    WinnerSilent {
        /// The term.
        term: Term,
        /// Who.
        winner: NodeId,
    },
    /// We were named and do not accept.
    CrownDeclined {
        /// The term.
        term: Term,
        /// Why.
        reason: Declined,
    },
}

/// Why a node that was named does not accept mastership.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Declined {
    /// The term is not that of its durable fence, or was promised to somebody else than who names it.
    NotPromised,
    /// The promise was made before the process restarted.
    PromisedBeforeRestart,
    /// It has reigned in this term already, or follows another master in it.
    TermUsed,
    /// Its log is poisoned.
    NotNameable,
    /// By its own membership it is no voter.
    NotAVoter,
    /// The promisers listed are no election quorum of its own membership.
    NoQuorum,
    /// A promiser ranks above it.
    Outranked,
}
