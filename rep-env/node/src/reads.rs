//! Reads that must not be old.
//!
//! A linearizable read waits for a read round: a commit quorum answered, in this term, a heartbeat that was sent
//! after the read arrived. Many reads ride one round. Then it waits until what was durable at its arrival is
//! applied. A read with a token waits until that very entry is applied.

use crate::output::{Outcome, Request};
use rep_vlsn::{GroupId, LogPoint, Vlsn};
use std::collections::BTreeMap;
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
    /// Every write acknowledged before the read began is seen. Only at the master.
    Linearizable,
}

/// How far a linearizable read has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The master's own term has not begun durably yet.
    AwaitsTermStart,
    /// No heartbeat has been sent since it arrived; all that it must see is at or below this.
    AwaitsRound(Vlsn),
    /// A commit quorum has to answer this round.
    InRound(u64, Vlsn),
    /// This must be applied.
    AwaitsApplied(Vlsn),
}

#[derive(Clone, Copy, Debug)]
struct Waiting {
    deadline: Duration,
    what: What,
}

#[derive(Clone, Copy, Debug)]
enum What {
    Token(GroupId, LogPoint),
    Linearizable(Stage),
}

/// All reads that wait.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    waiting: BTreeMap<Request, Waiting>,
}

impl Reads {
    pub(crate) fn add_token(
        &mut self,
        request: Request,
        group: GroupId,
        point: LogPoint,
        deadline: Duration,
    ) {
        self.waiting.insert(request, Waiting { deadline, what: What::Token(group, point) });
    }

    pub(crate) fn add_linearizable(&mut self, request: Request, stage: Stage, deadline: Duration) {
        self.waiting.insert(request, Waiting { deadline, what: What::Linearizable(stage) });
    }

    /// Whether a read waits for a heartbeat to be sent.
    pub(crate) fn want_round(&self) -> bool {
        self.stages().any(|stage| matches!(stage, Stage::AwaitsRound(_)))
    }

    /// The master's term has begun durably, with everything up to `dvlsn`.
    pub(crate) fn term_started(&mut self, dvlsn: Vlsn) {
        self.advance(|stage| match stage {
            Stage::AwaitsTermStart => Stage::AwaitsRound(dvlsn),
            other => other,
        });
    }

    /// The heartbeat of `round` leaves now.
    pub(crate) fn round_begins(&mut self, round: u64) {
        self.advance(|stage| match stage {
            Stage::AwaitsRound(index) => Stage::InRound(round, index),
            other => other,
        });
    }

    /// A commit quorum has answered `round`.
    pub(crate) fn round_confirmed(&mut self, round: u64) {
        self.advance(|stage| match stage {
            Stage::InRound(own, index) if own <= round => Stage::AwaitsApplied(index),
            other => other,
        });
    }

    /// Takes out every linearizable read: the reign is over.
    pub(crate) fn take_linearizable(&mut self) -> Vec<Request> {
        self.take(|waiting| match waiting.what {
            What::Linearizable(_) => Some(()),
            What::Token(..) => None,
        })
        .into_iter()
        .map(|(request, ())| request)
        .collect()
    }

    /// Takes out what can be answered now. `judge` tells of a token's entry: applied, replaced, foreign, or wait.
    pub(crate) fn take_ready(
        &mut self,
        applied: LogPoint,
        judge: impl Fn(GroupId, LogPoint) -> Option<Outcome>,
    ) -> Vec<(Request, Outcome)> {
        self.take(|waiting| match waiting.what {
            What::Token(group, point) => judge(group, point),
            What::Linearizable(Stage::AwaitsApplied(index)) if index <= applied.vlsn => {
                Some(Outcome::Read { at: applied })
            }
            What::Linearizable(_) => None,
        })
    }

    /// Takes out what has waited too long.
    pub(crate) fn take_expired(&mut self, now: Duration) -> Vec<(Request, Outcome)> {
        self.take(|waiting| (waiting.deadline <= now).then_some(Outcome::ReadTimeout))
    }

    /// Takes out everything.
    pub(crate) fn take_all(&mut self) -> Vec<Request> {
        std::mem::take(&mut self.waiting).into_keys().collect()
    }

    pub(crate) fn next_timeout(&self) -> Option<Duration> {
        self.waiting.values().map(|waiting| waiting.deadline).min()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    fn stages(&self) -> impl Iterator<Item = Stage> + '_ {
        self.waiting.values().filter_map(|waiting| match waiting.what {
            What::Linearizable(stage) => Some(stage),
            What::Token(..) => None,
        })
    }

    fn advance(&mut self, step: impl Fn(Stage) -> Stage) {
        for waiting in self.waiting.values_mut() {
            if let What::Linearizable(stage) = &mut waiting.what {
                *stage = step(*stage);
            }
        }
    }

    fn take<T>(&mut self, pick: impl Fn(&Waiting) -> Option<T>) -> Vec<(Request, T)> {
        let picked: Vec<(Request, T)> = self
            .waiting
            .iter()
            .filter_map(|(request, waiting)| pick(waiting).map(|value| (*request, value)))
            .collect();
        for (request, _) in &picked {
            self.waiting.remove(request);
        }
        picked
    }
}
