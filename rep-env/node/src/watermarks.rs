//! What is durable in the group, and which commits that resolves.

use crate::output::{Outcome, Request};
use rep_vlsn::{LogPoint, LogView, NodeId, Vlsn};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The two watermarks of a node, and the commits that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Watermarks {
    dvlsn: Vlsn,
    cvlsn: Vlsn,
    pending: BTreeMap<(Vlsn, LogPoint), Pending>,
    deadlines: BTreeSet<(Duration, LogPoint)>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    deadline: Duration,
}

/// Who held an entry when its commit ran out of time.
pub(crate) type Holders<'a> = &'a dyn Fn(Vlsn) -> (Vec<NodeId>, usize);

impl Watermarks {
    pub(crate) fn new(dvlsn: Vlsn) -> Self {
        Watermarks { dvlsn, cvlsn: dvlsn, ..Watermarks::default() }
    }

    /// Highest VLSN that this node knows to be synced by a commit quorum.
    pub(crate) fn dvlsn(&self) -> Vlsn {
        self.dvlsn
    }

    /// Highest VLSN that this node knows to be acknowledged as each entry's durability asked.
    pub(crate) fn cvlsn(&self) -> Vlsn {
        self.cvlsn
    }

    /// Keeps the maximum; tells whether dvlsn moved.
    pub(crate) fn advance(&mut self, dvlsn: Vlsn, cvlsn: Vlsn) -> bool {
        let moved = dvlsn > self.dvlsn;
        self.dvlsn = self.dvlsn.max(dvlsn);
        self.cvlsn = self.cvlsn.max(cvlsn).max(self.dvlsn);
        moved
    }

    /// A commit waits for the entry at `point`.
    pub(crate) fn wait(&mut self, request: Request, point: LogPoint, deadline: Duration) {
        self.pending.insert((point.vlsn, point), Pending { request, deadline });
        self.deadlines.insert((deadline, point));
    }

    /// Resolves what the durable part of `log` decides: the very entry durable is success; another term's entry
    /// durable in its place is a definite failure.
    pub(crate) fn resolve(&mut self, log: &LogView) -> Vec<(Request, Outcome)> {
        let mut resolved = Vec::new();
        while let Some((&(vlsn, point), &pending)) = self.pending.first_key_value() {
            if vlsn > self.dvlsn {
                break;
            }
            self.forget(point, pending);
            let outcome = match log.term_at(vlsn) {
                Some(term) if term == point.term => Outcome::Committed { point },
                Some(_) => Outcome::RolledBack { point },
                // Held no more (or never here): what became of it cannot be told from here.
                None => Outcome::Unknown { point, acked_by: Vec::new(), needed: 0 },
            };
            resolved.push((pending.request, outcome));
        }
        resolved
    }

    /// Resolves what has waited too long: its outcome is unknown.
    pub(crate) fn expire(
        &mut self,
        now: Duration,
        holders: Holders<'_>,
    ) -> Vec<(Request, Outcome)> {
        let mut expired = Vec::new();
        while let Some(&(deadline, point)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            let pending = self.pending[&(point.vlsn, point)];
            self.forget(point, pending);
            let (acked_by, needed) = holders(point.vlsn);
            expired.push((pending.request, Outcome::Unknown { point, acked_by, needed }));
        }
        expired
    }

    /// Resolves everything as closed.
    pub(crate) fn close(&mut self) -> Vec<(Request, Outcome)> {
        self.deadlines.clear();
        std::mem::take(&mut self.pending)
            .into_values()
            .map(|pending| (pending.request, Outcome::Closed))
            .collect()
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    fn forget(&mut self, point: LogPoint, pending: Pending) {
        self.pending.remove(&(point.vlsn, point));
        self.deadlines.remove(&(pending.deadline, point));
    }
}
