//! What is durable in the group, what is acknowledged, and which commits that resolves.
//!
//! Commits wait by class: those that asked for the same durability wait for the same number, so that resolving them is
//! a matter of looking at the front of a queue, and a weak commit does not wait for a stronger one before it.

use crate::durability::Durability;
use crate::output::{Outcome, Request};
use rep_election::quorum::Acks;
use rep_vlsn::{LogPoint, LogView, NodeId, Term, Vlsn, mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::Bound::{Excluded, Included};
use std::time::Duration;

/// Runs of entries of one class that are remembered; what comes on top counts as acknowledged when it is durable.
const RUNS_MAX: usize = 4096;

/// The two watermarks of a node, and the commits that wait for them.
#[derive(Debug, Default)]
pub(crate) struct Watermarks {
    dvlsn: Vlsn,
    cvlsn: Vlsn,
    classes: BTreeMap<Durability, Class>,
    deadlines: BTreeSet<(Duration, LogPoint, Durability)>,
    /// What the entries of this reign asked for, from the first that is not known to be acknowledged.
    runs: VecDeque<Run>,
}

/// Commits that asked for the same.
#[derive(Debug, Default)]
struct Class {
    /// In this reign, entries up to here have what the class asks for.
    reached: Vlsn,
    pending: BTreeMap<(Vlsn, LogPoint), Pending>,
}

#[derive(Clone, Copy, Debug)]
struct Pending {
    request: Request,
    deadline: Duration,
}

/// Neighbouring entries that asked for the same; `None`: they count when they are durable.
#[derive(Clone, Copy, Debug)]
struct Run {
    first: Vlsn,
    last: Vlsn,
    class: Option<Durability>,
}

/// Who held an entry as it asked when its commit ran out of time, and who did not.
#[derive(Debug, Default)]
pub(crate) struct Holders {
    pub(crate) acked_by: Vec<NodeId>,
    pub(crate) missing: Vec<NodeId>,
    pub(crate) needed: usize,
    /// The mastership was over, and this is what was known when it ended.
    pub(crate) deposed: bool,
}

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

    /// Keeps the maximum; tells where dvlsn was if it moved.
    pub(crate) fn advance(&mut self, dvlsn: Vlsn, cvlsn: Vlsn) -> Option<Vlsn> {
        let before = self.dvlsn;
        self.dvlsn = self.dvlsn.max(dvlsn);
        self.cvlsn = self.cvlsn.max(cvlsn).max(self.dvlsn);
        (self.dvlsn > before).then_some(before)
    }

    /// Entries after `keep` are cut away: what was acknowledged of them is lost, and other entries will have their
    /// numbers.
    pub(crate) fn roll_back(&mut self, keep: Vlsn) {
        if !mutant!("watermarks-not-rolled-back") {
            self.cvlsn = self.cvlsn.min(keep).max(self.dvlsn);
        }
    }

    // ---- a reign

    /// A reign begins or ends: what is held in it is counted from nothing.
    pub(crate) fn forget_reign(&mut self) {
        self.runs.clear();
        self.classes.values_mut().for_each(|class| class.reached = Vlsn::NULL);
    }

    /// The master appended entries that ask for this.
    pub(crate) fn appended(&mut self, first: Vlsn, last: Vlsn, class: Durability) {
        let full = self.runs.len() >= RUNS_MAX;
        match self.runs.back_mut() {
            Some(run) if run.class == Some(class) || full => {
                run.class = run.class.filter(|known| *known == class);
                run.last = last;
            }
            _ => self.runs.push_back(Run { first, last, class: Some(class) }),
        }
    }

    /// Resolves the commits of `term` that have what they asked for; `reached` tells how far that is so for a class.
    pub(crate) fn resolve_acknowledged(
        &mut self,
        term: Term,
        reached: impl Fn(Durability) -> Vlsn,
    ) -> Vec<(Request, Outcome)> {
        let mut resolved = Vec::new();
        for (durability, class) in &mut self.classes {
            let from = if mutant!("dur-old-term") { Vlsn::NULL } else { class.reached };
            if class.pending.is_empty() {
                continue;
            }
            let to = reached(*durability);
            if to <= from {
                continue;
            }
            class.reached = to;
            for (point, pending) in
                class.take(from, to, |point| point.term == term || mutant!("dur-old-term"))
            {
                self.deadlines.remove(&(pending.deadline, point, *durability));
                resolved.push((pending.request, Outcome::Committed { point }));
            }
        }
        resolved
    }

    /// How far every entry of this reign has what it asked for, given how far that is so for a class. What is durable
    /// has it, and nothing of an earlier term counts before an entry of this one does.
    pub(crate) fn acknowledged(&mut self, reached: impl Fn(Durability) -> Vlsn) -> Vlsn {
        let mut cvlsn = self.cvlsn.max(self.dvlsn);
        while let Some(run) = self.runs.front() {
            let reach = run.class.map_or(Vlsn::NULL, &reached).max(self.dvlsn);
            if reach < run.first {
                break;
            }
            cvlsn = cvlsn.max(reach.min(run.last));
            if reach < run.last {
                break;
            }
            self.runs.pop_front();
        }
        cvlsn
    }

    // ---- commits

    /// A commit waits for the entry at `point`.
    pub(crate) fn wait(
        &mut self,
        request: Request,
        point: LogPoint,
        durability: Durability,
        deadline: Duration,
    ) {
        let class = self.classes.entry(durability).or_default();
        class.pending.insert((point.vlsn, point), Pending { request, deadline });
        self.deadlines.insert((deadline, point, durability));
    }

    /// Resolves what the durable part of `log` decides, which has grown from `after`: the very entry durable is success;
    /// another term's entry durable in its place is a definite failure. A commit that asked for all members is not
    /// served by most of them, and goes on waiting for the others.
    pub(crate) fn resolve_durable(
        &mut self,
        after: Vlsn,
        log: &LogView,
    ) -> Vec<(Request, Outcome)> {
        let mut resolved = Vec::new();
        for (durability, class) in &mut self.classes {
            let decided = |point: LogPoint| {
                durability.acks != Acks::All || log.term_at(point.vlsn) != Some(point.term)
            };
            for (point, pending) in class.take(after, self.dvlsn, decided) {
                self.deadlines.remove(&(pending.deadline, point, *durability));
                let outcome = match log.term_at(point.vlsn) {
                    Some(term) if term == point.term || mutant!("commits-any-entry") => {
                        Outcome::Committed { point }
                    }
                    Some(_) => Outcome::RolledBack { point },
                    // Held no more (or never here): what became of it cannot be told from here.
                    None => {
                        Outcome::unknown(point, Holders { deposed: true, ..Holders::default() })
                    }
                };
                resolved.push((pending.request, outcome));
            }
        }
        resolved
    }

    /// Resolves what has waited too long: its outcome is unknown.
    pub(crate) fn expire(
        &mut self,
        now: Duration,
        holders: impl Fn(LogPoint, Durability) -> Holders,
    ) -> Vec<(Request, Outcome)> {
        let mut expired = Vec::new();
        while let Some(&(deadline, point, durability)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            self.deadlines.pop_first();
            let class = self.classes.entry(durability).or_default();
            if let Some(pending) = class.pending.remove(&(point.vlsn, point)) {
                let outcome = Outcome::unknown(point, holders(point, durability));
                expired.push((pending.request, outcome));
            }
        }
        expired
    }

    /// Resolves everything as closed.
    pub(crate) fn close(&mut self) -> Vec<(Request, Outcome)> {
        self.take_all(|_, _| Outcome::Closed)
    }

    /// Resolves everything as unknown: nobody here will learn what became of it.
    pub(crate) fn give_up(
        &mut self,
        holders: impl Fn(LogPoint, Durability) -> Holders,
    ) -> Vec<(Request, Outcome)> {
        self.take_all(|point, durability| Outcome::unknown(point, holders(point, durability)))
    }

    fn take_all(
        &mut self,
        outcome: impl Fn(LogPoint, Durability) -> Outcome,
    ) -> Vec<(Request, Outcome)> {
        self.deadlines.clear();
        let mut resolved = Vec::new();
        for (durability, class) in std::mem::take(&mut self.classes) {
            let told = |((_, point), pending): ((Vlsn, LogPoint), Pending)| {
                (pending.request, outcome(point, durability))
            };
            resolved.extend(class.pending.into_iter().map(told));
        }
        resolved
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, ..)| *deadline)
    }
}

impl Class {
    /// Takes out the commits after `from` and up to `to` that `which` picks.
    fn take(
        &mut self,
        from: Vlsn,
        to: Vlsn,
        which: impl Fn(LogPoint) -> bool,
    ) -> Vec<(LogPoint, Pending)> {
        if to <= from {
            return Vec::new();
        }
        let last = LogPoint::new(Term::new(u64::MAX), Vlsn::new(u64::MAX));
        let range = (Excluded((from, last)), Included((to, last)));
        let picked: Vec<(LogPoint, Pending)> = self
            .pending
            .range(range)
            .map(|((_, point), pending)| (*point, *pending))
            .filter(|(point, _)| which(*point))
            .collect();
        for (point, _) in &picked {
            self.pending.remove(&(point.vlsn, *point));
        }
        picked
    }
}
