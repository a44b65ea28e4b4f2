//! Reads that must not be old.
//!
//! What a linearizable read has to see is asked of the master: the master asks itself by a read round, a replica asks
//! by a message. Either way one *question* is under way at a time, and every read that waits when it leaves rides
//! it; those that come later ride the next. Its answer is an *index*: once that entry is applied here, the read is
//! served. A read of bounded lag is served by any such answer that is young enough, and rides a question only if none is.
//! A read with a token waits until that very entry is applied.

use crate::evidence::Evidence;
use crate::output::{Outcome, Request};
use rep_vlsn::{GroupId, LogPoint, NodeId, Vlsn};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// What a read asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ReadKind {
    /// That very entry is applied.
    AtLeast {
        /// The group in which the token was made.
        group: GroupId,
        /// The entry.
        point: LogPoint,
    },
    /// What is shown was the newest at some moment no longer ago than this, by the clock of the node that serves it.
    Bounded {
        /// How long ago.
        lag: Duration,
    },
    /// Every write acknowledged before the read began is seen.
    Linearizable,
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    deadline: Duration,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Token(GroupId, LogPoint),
    Bounded(Duration),
    /// With the entry that must be applied, once that is known.
    Linearizable(Option<Vlsn>),
}

/// The reads that ride one question.
#[derive(Debug)]
struct Ride {
    question: u64,
    reads: Vec<Request>,
}

/// All reads that wait, each in the list of what it waits for.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: BTreeMap<Request, Waiting>,
    deadlines: BTreeSet<(Duration, Request)>,
    tokens: BTreeSet<(Vlsn, Request)>,
    bounded: BTreeSet<(Duration, Request)>,
    /// Bounded reads begin no question before this moment: the last one took longer than they allow.
    bounded_pause: Duration,
    /// Linearizable reads that ride no question yet.
    fresh: Vec<Request>,
    rides: VecDeque<Ride>,
    indexed: BTreeSet<(Vlsn, Request)>,
}

impl Reads {
    pub(crate) fn add(&mut self, request: Request, kind: ReadKind, deadline: Duration) {
        let what = match kind {
            ReadKind::AtLeast { group, point } => {
                self.tokens.insert((point.vlsn, request));
                What::Token(group, point)
            }
            ReadKind::Bounded { lag } => {
                self.bounded.insert((lag, request));
                What::Bounded(lag)
            }
            ReadKind::Linearizable => {
                self.fresh.push(request);
                What::Linearizable(None)
            }
        };
        self.waiting.insert(request, Waiting { deadline, what });
        self.deadlines.insert((deadline, request));
    }

    // ---- questions ----

    /// Whether a read waits that only a question sent from now on can serve.
    pub(crate) fn want_question(&self, now: Duration, evidence: &Evidence) -> bool {
        self.have_fresh() || self.next_question(evidence).is_some_and(|at| at <= now)
    }

    /// Whether a linearizable read waits for a question to ride.
    pub(crate) fn have_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// When bounded reads will want another question, if nothing happens before.
    pub(crate) fn next_question(&self, evidence: &Evidence) -> Option<Duration> {
        let (lag, _) = self.bounded.first()?;
        let too_old = evidence.newest().map_or(Duration::ZERO, |newest| {
            newest.saturating_add(*lag).saturating_add(Duration::from_nanos(1))
        });
        Some(too_old.max(self.bounded_pause))
    }

    /// The question leaves now: every read that waits for one rides it.
    pub(crate) fn question_leaves(&mut self, question: u64) {
        if self.have_fresh() {
            self.rides.push_back(Ride { question, reads: std::mem::take(&mut self.fresh) });
        }
    }

    /// `question` is answered, and with it those that left before it: they need see no more than it does.
    pub(crate) fn answered(&mut self, question: u64, index: Vlsn) {
        let answered = self.rides.partition_point(|ride| ride.question <= question);
        for ride in self.rides.drain(..answered) {
            for request in ride.reads {
                // Some have run out of time meanwhile.
                let Some(waiting) = self.waiting.get_mut(&request) else { continue };
                waiting.what = What::Linearizable(Some(index));
                self.indexed.insert((index, request));
            }
        }
    }

    /// What was asked will not be answered: those that rode it wait for another question.
    pub(crate) fn recall(&mut self) {
        for ride in std::mem::take(&mut self.rides) {
            self.fresh.extend(ride.reads.iter().filter(|read| self.waiting.contains_key(read)));
        }
    }

    /// An answer came that dates from `since`. If that is too long ago for the most exacting, asking again at once
    /// would end the same way.
    pub(crate) fn pause_bounded(&mut self, now: Duration, since: Duration, pause: Duration) {
        let age = now.saturating_sub(since);
        if self.bounded.first().is_some_and(|(lag, _)| *lag < age) {
            self.bounded_pause = now + pause;
        }
    }

    // ---- answers ----

    /// Takes out what can be answered now. Of a token whose entry is durable, `judge` tells: applied, replaced, or wait.
    pub(crate) fn take_ready(
        &mut self,
        now: Duration,
        applied: LogPoint,
        dvlsn: Vlsn,
        evidence: &Evidence,
        judge: impl Fn(LogPoint) -> Option<Outcome>,
    ) -> Vec<(Request, Outcome)> {
        let shown = Outcome::Read { at: applied };
        let mut ready = self.take_tokens(dvlsn, judge);
        while let Some(&(index, request)) = self.indexed.first() {
            if index > applied.vlsn {
                break;
            }
            ready.push((request, shown.clone()));
            self.forget(request);
        }
        let age = evidence.age(now);
        while let Some(&(lag, request)) = self.bounded.last() {
            if age.is_none_or(|age| age > lag) {
                break;
            }
            ready.push((request, shown.clone()));
            self.forget(request);
        }
        ready
    }

    fn take_tokens(
        &mut self,
        dvlsn: Vlsn,
        judge: impl Fn(LogPoint) -> Option<Outcome>,
    ) -> Vec<(Request, Outcome)> {
        let judged = |(_, request): &(Vlsn, Request)| match self.waiting.get(request)?.what {
            What::Token(_, point) => Some((*request, judge(point)?)),
            What::Bounded(_) | What::Linearizable(_) => None,
        };
        let durable = self.tokens.iter().take_while(|(vlsn, _)| *vlsn <= dvlsn);
        let ready: Vec<(Request, Outcome)> = durable.filter_map(judged).collect();
        for (request, _) in &ready {
            self.forget(*request);
        }
        ready
    }

    /// Takes out the reads whose token is of another group than `own`.
    pub(crate) fn take_foreign(&mut self, own: GroupId) -> Vec<Request> {
        let foreign = |(_, request): &&(Vlsn, Request)| match self.waiting[request].what {
            What::Token(group, _) => group != own,
            What::Bounded(_) | What::Linearizable(_) => false,
        };
        let taken: Vec<Request> = self.tokens.iter().filter(foreign).map(|token| token.1).collect();
        for request in &taken {
            self.forget(*request);
        }
        taken
    }

    /// Takes out what has waited too long. A linearizable read that found nobody to ask is told who is `master`.
    pub(crate) fn take_expired(
        &mut self,
        now: Duration,
        reigns: bool,
        master: Option<NodeId>,
    ) -> Vec<(Request, Outcome)> {
        let mut expired = Vec::new();
        while let Some(&(deadline, request)) = self.deadlines.first() {
            if deadline > now {
                break;
            }
            let outcome = match self.forget(request).map(|waiting| waiting.what) {
                Some(What::Linearizable(None)) if !reigns => Outcome::NotMaster { master },
                Some(_) | None => Outcome::ReadTimeout,
            };
            expired.push((request, outcome));
        }
        if !expired.is_empty() {
            self.fresh.retain(|read| self.waiting.contains_key(read));
        }
        expired
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<Request> {
        std::mem::take(self).waiting.into_keys().collect()
    }

    pub(crate) fn next_deadline(&self) -> Option<Duration> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What rides a question is left in its list: whoever takes the list looks here first.
    fn forget(&mut self, request: Request) -> Option<Waiting> {
        let waiting = self.waiting.remove(&request)?;
        self.deadlines.remove(&(waiting.deadline, request));
        match waiting.what {
            What::Token(_, point) => self.tokens.remove(&(point.vlsn, request)),
            What::Bounded(lag) => self.bounded.remove(&(lag, request)),
            What::Linearizable(Some(index)) => self.indexed.remove(&(index, request)),
            What::Linearizable(None) => false,
        };
        Some(waiting)
    }
}
