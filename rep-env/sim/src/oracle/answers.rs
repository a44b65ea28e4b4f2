//! What clients were told: I-8, I-17, I-18, I-19, I-22.

use super::{Checked, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_node::{Acks, Durability};
use rep_vlsn::{LogPoint, Term};
use std::time::Duration;

/// Where and when an answer was given.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answer {
    pub(crate) by: Machine,
    /// The term of the master that took the write, or that answers the read.
    pub(crate) term: Term,
    /// The term of the node's fence when it answers.
    pub(crate) term_now: Term,
    pub(crate) begun: Duration,
    pub(crate) now: Duration,
}

impl Oracle {
    /// A client is told that its write is committed, as it asked.
    pub(crate) fn write_acked(
        &mut self,
        answer: Answer,
        point: LogPoint,
        asked: Durability,
    ) -> Checked {
        let at = point.vlsn.get() as usize;
        let by = answer.by;
        let entry = self.member(by).log.get(at.wrapping_sub(1)).cloned();
        let held = entry.is_some_and(|entry| entry.term == point.term);
        ensure(held, Invariant::AckedCommitLoss, || {
            format!("{by} acknowledges {point}, which its log does not hold")
        })?;
        if asked.acks != Acks::None {
            self.not_deposed(answer, "acknowledges a write")?;
        }
        let durable = self.claimed_term(point.vlsn.get()) == Some(point.term);
        if !durable || asked.acks == Acks::All {
            self.is_held_as_asked(by, point, asked)?;
        }
        if durable {
            self.acked.push(point);
            self.acked_max = self.acked_max.max(point.vlsn.get());
            self.acked_at.push((answer.now, self.acked_max));
        } else {
            ensure(answer.term_now == point.term, Invariant::OldTerm, || {
                format!("{by} acknowledges {point} in {}, and it is not durable", answer.term_now)
            })?;
            self.remember_weak(point, asked);
        }
        self.first_ack.entry(point.term).or_insert(answer.now);
        Ok(())
    }

    /// A linearizable read is answered with a state that covers `at`; `floor` was acknowledged when it began.
    pub(crate) fn read_served(&mut self, answer: Answer, at: LogPoint, floor: u64) -> Checked {
        self.not_deposed(answer, "answers a linearizable read")?;
        let by = answer.by;
        ensure(at.vlsn.get() >= floor, Invariant::LinearizableReads, || {
            format!(
                "{by} answers a read with {at}, entry {floor} was acknowledged before the read began"
            )
        })
    }

    /// A read is answered with a state that covers `at`, which was the newest no longer than `lag` of the world's time ago.
    pub(crate) fn bounded_served(&self, answer: Answer, at: LogPoint, lag: Duration) -> Checked {
        let since = answer.now.saturating_sub(lag);
        let before = self.acked_at.partition_point(|(when, _)| *when < since);
        let floor = self.acked_at[..before].last().map_or(0, |(_, vlsn)| *vlsn);
        ensure(at.vlsn.get() >= floor, Invariant::BoundedReads, || {
            format!(
                "{} answers a read of at most {lag:?} ago with {at}; entry {floor} was acknowledged before that",
                answer.by
            )
        })
    }

    /// A read with a token is answered with a state at `at`.
    pub(crate) fn token_served(&self, by: Machine, at: LogPoint, token: LogPoint) -> Checked {
        let log = &self.member(by).log;
        let held = log.get(token.vlsn.get() as usize - 1).is_some_and(|e| e.term == token.term);
        ensure(at.vlsn >= token.vlsn && held, Invariant::TokenReads, || {
            format!(
                "{by} answers a read at {token} with {at}, and {} that entry",
                if held { "holds" } else { "lacks" }
            )
        })
    }

    /// A read with a token is told that the entry is gone.
    pub(crate) fn token_refused(&self, by: Machine, point: LogPoint, token: LogPoint) -> Checked {
        let durable = self.claimed_term(token.vlsn.get());
        let gone = durable.is_some_and(|term| term != token.term);
        ensure(point == token && gone, Invariant::TokenReads, || {
            format!(
                "{by} says that {point} was rolled back, asked for {token}; durable there is an entry of {durable:?}"
            )
        })
    }

    /// I-22: nothing begun after a newer master acknowledged a write is answered by an older one.
    fn not_deposed(&self, answer: Answer, does: &str) -> Checked {
        let newer = self.first_ack.range(answer.term.next()..).find(|(_, at)| **at < answer.begun);
        ensure(newer.is_none(), Invariant::DeposedMaster, || {
            format!(
                "{} {does} in {}, begun at {:?}; a later master ({newer:?}) had acknowledged one before",
                answer.by, answer.term, answer.begun
            )
        })
    }

    /// At the end: every acknowledged write is in this log.
    pub(crate) fn holds_all_acked(&self, node: Machine) -> Checked {
        let log = &self.member(node).log;
        let holds = |point: &LogPoint| {
            log.get(point.vlsn.get() as usize - 1).is_some_and(|entry| entry.term == point.term)
        };
        let missing = self.acked.iter().find(|point| !holds(point));
        ensure(missing.is_none(), Invariant::AckedCommitLoss, || {
            format!(
                "acknowledged {missing:?} is not in the log of {node}, which ends at {}",
                log.len()
            )
        })?;
        self.holds_what_nobody_lost(node)
    }
}
