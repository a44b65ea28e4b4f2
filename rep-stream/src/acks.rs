//! What enough members hold.
//!
//! Acknowledgements are attributed, not counted: the table keeps each member's highest points, so that a
//! member that answers twice is still one member. Who votes and how many are needed is told by the
//! caller; this file only picks the need-th highest.
//!
//! A table lives as long as one reign: within a term a member never loses an acknowledged entry by the
//! protocol, so one that comes back with less than it had acknowledged is a restored image (or a twin), and
//! counts for nothing until it has been admitted anew.

use rep_vlsn::{Incarnation, LogPoint, LogView, NodeId, SyncClass, Term, Vlsn, mutant};
use std::collections::{BTreeMap, BTreeSet};
use thiserror::Error;

/// Per-member acknowledged points: what a member has on stable storage (synced), and what it has at least handed to
/// its operating system (received).
///
/// ```
/// use rep_stream::AckTable;
/// use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, Vlsn};
///
/// let at = |vlsn| LogPoint::new(Term::new(1), Vlsn::new(vlsn));
/// let voters: Vec<NodeId> = (1..=3).map(NodeId::new).collect();
/// let mut acks = AckTable::new();
/// acks.observe(voters[0], Incarnation::default(), at(9), at(9)); // the master's own copy
/// acks.observe(voters[1], Incarnation::default(), at(7), at(8));
/// assert_eq!(acks.durable(voters.iter().copied(), 2), Vlsn::new(7));
/// assert_eq!(acks.received(voters.iter().copied(), 2), Vlsn::new(8));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AckTable {
    members: BTreeMap<NodeId, Member>,
}

/// A member that is back with less than it had acknowledged in this incarnation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("it had acknowledged {acked} in this incarnation and comes back with {now}")]
pub struct RolledBackImage {
    /// What it had acknowledged as synced.
    pub acked: LogPoint,
    /// Where its log ends now.
    pub now: LogPoint,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Member {
    incarnation: Incarnation,
    synced: LogPoint,
    received: LogPoint,
    /// Comes back with less than it acknowledged; kept so that `acked` stays what it was.
    suspended: bool,
}

impl AckTable {
    /// A table in which nobody has acknowledged anything.
    pub fn new() -> Self {
        AckTable::default()
    }

    /// A member has written everything up to `received`, and has everything up to `synced` on stable storage. Points
    /// only rise. Tells whether anything moved; another incarnation than the recorded one moves nothing,
    /// and neither does a suspended member.
    pub fn observe(
        &mut self,
        member: NodeId,
        incarnation: Incarnation,
        synced: LogPoint,
        received: LogPoint,
    ) -> bool {
        let entry = self.members.entry(member).or_insert_with(|| Member::new(incarnation));
        if entry.incarnation != incarnation || entry.suspended {
            return false;
        }
        let before = (entry.synced, entry.received);
        entry.synced = entry.synced.max(synced);
        entry.received = entry.received.max(received).max(entry.synced);
        before != (entry.synced, entry.received)
    }

    /// A member connects, its log ending `at`. The first time, and in a new incarnation, it starts from
    /// nothing.
    ///
    /// # Errors
    ///
    /// If it acknowledged more than that before: from now on that incarnation counts for nothing. Its member comes back in another one.
    pub fn reconnected(
        &mut self,
        member: NodeId,
        incarnation: Incarnation,
        at: LogPoint,
    ) -> Result<(), RolledBackImage> {
        let entry = self.members.entry(member).or_insert_with(|| Member::new(incarnation));
        if entry.incarnation != incarnation {
            *entry = Member::new(incarnation);
        }
        entry.suspended |= at < entry.synced;
        if entry.suspended {
            return Err(RolledBackImage { acked: entry.synced, now: at });
        }
        entry.received = entry.received.min(at);
        Ok(())
    }

    /// A member has cut its log after `to`.
    pub fn lower(&mut self, member: NodeId, to: LogPoint) {
        if let Some(entry) = self.members.get_mut(&member) {
            entry.synced = entry.synced.min(to);
            entry.received = entry.received.min(to);
        }
    }

    /// Removes all memory of a member, as when it leaves the group. A lost connection is no reason: what is
    /// synced there stays so.
    pub fn forget(&mut self, member: NodeId) {
        self.members.remove(&member);
    }

    /// The points that count for a member: (synced, received).
    pub fn points(&self, member: NodeId) -> (LogPoint, LogPoint) {
        match self.members.get(&member) {
            Some(entry) if !entry.suspended => (entry.synced, entry.received),
            Some(_) | None => (LogPoint::NULL, LogPoint::NULL),
        }
    }

    /// Whether the member came back, in this incarnation, with less than it had acknowledged.
    pub fn is_suspended(&self, member: NodeId, incarnation: Incarnation) -> bool {
        let entry = self.members.get(&member);
        entry.is_some_and(|entry| entry.suspended && entry.incarnation == incarnation)
    }

    /// The highest entry that `need` of the voters hold on stable storage.
    pub fn durable(&self, voters: impl IntoIterator<Item = NodeId>, need: usize) -> Vlsn {
        self.held_by(voters, need, |(synced, _)| synced.vlsn)
    }

    /// How far a member holds the log as `class` asks.
    pub fn held(&self, member: NodeId, class: SyncClass) -> Vlsn {
        let (synced, received) = self.points(member);
        match class {
            SyncClass::Sync if !mutant!("dur-received-for-sync") => synced.vlsn,
            SyncClass::Sync | SyncClass::WriteNoSync | SyncClass::NoSync => received.vlsn,
        }
    }

    /// The highest entry that the master holds as `local` asks and enough other voters as `replica` asks, so that
    /// they are `need` together.
    pub fn acknowledged(
        &self,
        master: NodeId,
        voters: impl IntoIterator<Item = NodeId>,
        need: usize,
        (local, replica): (SyncClass, SyncClass),
    ) -> Vlsn {
        let own = self.held(master, local);
        let twice = mutant!("acks-own-twice");
        let others = voters.into_iter().filter(|voter| twice || *voter != master);
        let mut others: Vec<NodeId> = others.collect();
        others.sort_unstable();
        others.dedup();
        let mut held: Vec<Vlsn> =
            others.into_iter().map(|voter| self.held(voter, replica)).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        match need.checked_sub(2) {
            None => own,
            Some(last) => held.get(last).map_or(Vlsn::NULL, |theirs| own.min(*theirs)),
        }
    }

    /// The highest entry that `need` of the voters hold, synced or not.
    pub fn received(&self, voters: impl IntoIterator<Item = NodeId>, need: usize) -> Vlsn {
        self.held_by(voters, need, |(_, received)| received.vlsn)
    }

    fn held_by(
        &self,
        voters: impl IntoIterator<Item = NodeId>,
        need: usize,
        which: impl Fn((LogPoint, LogPoint)) -> Vlsn,
    ) -> Vlsn {
        let voters: BTreeSet<NodeId> = voters.into_iter().collect();
        let mut held: Vec<Vlsn> =
            voters.into_iter().map(|voter| which(self.points(voter))).collect();
        held.sort_unstable_by(|a, b| b.cmp(a));
        let need = if mutant!("acks-commit-one-too-few") { need.min(2) } else { need };
        let at = need.checked_sub(1).and_then(|at| held.get(at));
        at.copied().unwrap_or(Vlsn::NULL)
    }
}

impl Member {
    fn new(incarnation: Incarnation) -> Self {
        Member { incarnation, synced: LogPoint::NULL, received: LogPoint::NULL, suspended: false }
    }
}

/// Whether a watermark may move to `candidate`: only over an entry of the current term, which then covers
/// all before it. (That enough members hold an older term's entry does not make it safe: a log without
/// it may still win.)
pub fn commit_point(candidate: Vlsn, log: &LogView, term: Term) -> Option<Vlsn> {
    (log.term_at(candidate) == Some(term)).then_some(candidate)
}
