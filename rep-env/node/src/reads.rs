//! Reads that must not be old.
//!
//! What a linearizable read has to see is asked of the master: the master asks itself by a read round, a replica asks
//! by a message. Either way one *question* is under way at a time, and every read that waits when it leaves rides
//! it; those that come later ride the next. Its answer is an *index*: once that entry is applied here, the read is
//! served. A read of bounded lag is served by any such answer that is young enough, and rides a question only if none is.
//! A read with a token waits until that very entry is applied.

use crate::evidence::Evidence;
use crate::output::{Outcome, Request};
use crate::restoring::WaitingRead;
use rep_vlsn::{GroupId, LogPoint, NodeId, Vlsn, mutant};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// Reads that wait at one node, at most. What can be served at once is served however many wait; of the others, one too
/// many is refused.
pub const READS_WAITING_MAX: usize = 1 << 16;

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
    /// What was asked for.
    kind: ReadKind,
    /// What is still waited for.
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Token(GroupId, LogPoint),
    Bounded(Duration),
    /// A question, or the answer to the one that it rides.
    Linearizable,
    /// That all up to this entry is applied: nothing else is asked about it.
    Indexed(Vlsn),
}

/// The reads that ride one question. Some of them may have run out of time meanwhile.
#[derive(Debug)]
struct Ride {
    question: u64,
    reads: BTreeSet<Request>,
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
    fresh: BTreeSet<Request>,
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
                self.fresh.insert(request);
                What::Linearizable
            }
        };
        self.waiting.insert(request, Waiting { deadline, kind, what });
        self.deadlines.insert((deadline, request));
    }

    /// Takes `request` out again if more wait than may.
    pub(crate) fn refuse_beyond(&mut self, max: usize, request: Request) -> Option<Outcome> {
        let waiting = self.waiting.len().checked_sub(1)?;
        (waiting >= max).then(|| self.forget(request))??;
        Some(Outcome::TooManyReads { waiting })
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
        let rest = self.rides.split_off(answered);
        for ride in std::mem::replace(&mut self.rides, rest) {
            ride.reads.into_iter().for_each(|request| self.index(request, index));
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

    /// From now on `request`, if it still waits, waits only until all up to `index` is applied.
    fn index(&mut self, request: Request, index: Vlsn) {
        if let Some(waiting) = self.waiting.get_mut(&request) {
            waiting.what = What::Indexed(index);
            self.indexed.insert((index, request));
        }
    }

    /// Takes out what can be answered now. Tokens are judged up to `durable`: of each, `is_held` tells whether the entry in
    /// the log at its place is its very own.
    pub(crate) fn take_ready(
        &mut self,
        now: Duration,
        applied: LogPoint,
        durable: Option<Vlsn>,
        evidence: &Evidence,
        is_held: impl Fn(LogPoint) -> bool,
    ) -> Vec<(Request, Outcome)> {
        let shown = Outcome::Read { at: applied };
        let mut ready = durable.map_or(Vec::new(), |dvlsn| self.judge_tokens(dvlsn, is_held));
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

    /// Takes out the tokens whose place another entry has. Those whose entry is durable wait for the store, and are not
    /// looked at again before it has come so far.
    fn judge_tokens(
        &mut self,
        dvlsn: Vlsn,
        is_held: impl Fn(LogPoint) -> bool,
    ) -> Vec<(Request, Outcome)> {
        let mut replaced = Vec::new();
        while let Some(&(vlsn, request)) = self.tokens.first().filter(|(vlsn, _)| *vlsn <= dvlsn) {
            self.tokens.pop_first();
            match self.waiting[&request].what {
                What::Token(_, point) if !is_held(point) && !mutant!("reads-token-by-number") => {
                    self.forget(request);
                    replaced.push((request, Outcome::RolledBack { point }));
                }
                _ => self.index(request, vlsn),
            }
        }
        replaced
    }

    /// Takes out the reads whose token is of another group than `own`.
    pub(crate) fn take_foreign(&mut self, own: GroupId) -> Vec<Request> {
        let foreign = |(_, request): &&(Vlsn, Request)| match self.waiting[request].what {
            What::Token(group, _) => group != own,
            What::Bounded(_) | What::Linearizable | What::Indexed(_) => false,
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
                Some(What::Linearizable) if !reigns => Outcome::NotMaster { master },
                Some(_) | None => Outcome::ReadTimeout,
            };
            expired.push((request, outcome));
        }
        expired
    }

    /// Takes out everything, as it was asked.
    pub(crate) fn take_waiting(&mut self) -> Vec<WaitingRead> {
        let waiting = std::mem::take(self).waiting.into_iter();
        let asked =
            |(request, Waiting { deadline, kind, .. })| WaitingRead { request, kind, deadline };
        waiting.map(asked).collect()
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
            What::Indexed(index) => self.indexed.remove(&(index, request)),
            What::Linearizable => self.fresh.remove(&request),
        };
        Some(waiting)
    }
}
