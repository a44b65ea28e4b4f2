//! What clients were shown, from one moment to the next: I-20, I-21.

use super::{Checked, Invariant, Oracle, ensure};
use crate::machine::Machine;
use rep_vlsn::{LogPoint, Term};

impl Oracle {
    /// I-20 for a read: it carried a token of `known`, or of something newer.
    pub(crate) fn session_reads(&self, by: Machine, applied: LogPoint, known: LogPoint) -> Checked {
        ensure(applied.vlsn >= known.vlsn, Invariant::SessionOrder, || {
            format!("{by} shows a session {applied}; it had seen {known} before, and said so")
        })
    }

    /// I-20 for a write: its session knew `known` when it committed.
    pub(crate) fn session_writes(&self, by: Machine, point: LogPoint, known: LogPoint) -> Checked {
        ensure(point.vlsn > known.vlsn, Invariant::SessionOrder, || {
            format!("{by} commits {point} for a session that had seen {known} before")
        })
    }

    /// I-21: a state is shown, and no entry of it may ever be rolled back from now on.
    pub(crate) fn is_shown(&mut self, by: Machine, applied: LogPoint) -> Checked {
        if applied.vlsn.is_null() {
            return Ok(());
        }
        let durable = self.claimed_term(applied.vlsn.get());
        ensure(durable == Some(applied.term), Invariant::NoAbortedRead, || {
            format!("{by} shows {applied}; durable in that place is an entry of {durable:?}")
        })?;
        self.shown = self.shown.max(applied.vlsn.get());
        Ok(())
    }

    /// I-21: of a log cut after `kept` entries nothing goes that anybody was shown.
    pub(super) fn aborts_nothing_shown(&self, node: Machine, kept: usize) -> Checked {
        let log = &self.member(node).log;
        let upto = log.len().min(self.shown as usize);
        let aborted = (kept..upto).find(|at| log[*at].chain == self.claims[*at].chain);
        ensure(aborted.is_none(), Invariant::NoAbortedRead, || {
            format!("{node} cuts its log after {kept}; entry {aborted:?} (from 0) was shown")
        })
    }

    /// I-21: a new master has all that anybody was shown. One that learns of its crown when others have reigned after it is
    /// not asked: what they have shown came later.
    pub(super) fn has_what_was_shown(&self, node: Machine, term: Term) -> Checked {
        let log = &self.member(node).log;
        let Some(last) = (self.shown as usize).checked_sub(1) else { return Ok(()) };
        if self.has_opened_after(term) {
            return Ok(());
        }
        let held = log.get(last).is_some_and(|entry| entry.chain == self.claims[last].chain);
        ensure(held, Invariant::NoAbortedRead, || {
            format!("{node} is crowned without entry {}, which was shown", self.shown)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Claim, Entry};
    use super::*;
    use bytes::Bytes;
    use rep_vlsn::Vlsn;

    const N1: Machine = Machine::new(1);

    fn at(term: u64, vlsn: u64) -> LogPoint {
        LogPoint::new(Term::new(term), Vlsn::new(vlsn))
    }

    /// A group in which three entries of term 1 are durable, and a member that holds them and one more.
    fn oracle() -> Oracle {
        let mut oracle = Oracle::new(1, 1);
        let term = Term::new(1);
        let entry = |chain| Entry { term, chain, bytes: Bytes::new() };
        oracle.member_mut(N1).log = (1..=4).map(entry).collect();
        oracle.claims = (1..=3).map(|chain| Claim { term, chain, in_term: term }).collect();
        oracle
    }

    fn fires(checked: Checked) -> Option<Invariant> {
        checked.err().map(|violation| violation.invariant)
    }

    #[test]
    fn a_session_never_goes_back() {
        let oracle = oracle();
        assert!(oracle.session_reads(N1, at(1, 3), at(1, 3)).is_ok());
        assert!(oracle.session_writes(N1, at(2, 4), at(1, 3)).is_ok());
        let (read, write) = (
            oracle.session_reads(N1, at(1, 2), at(1, 3)),
            oracle.session_writes(N1, at(1, 3), at(1, 3)),
        );
        assert_eq!(fires(read), Some(Invariant::SessionOrder));
        assert_eq!(fires(write), Some(Invariant::SessionOrder));
    }

    #[test]
    fn what_was_shown_is_durable_and_stays() {
        let mut oracle = oracle();
        assert!(oracle.is_shown(N1, LogPoint::NULL).is_ok());
        assert_eq!(fires(oracle.is_shown(N1, at(1, 4))), Some(Invariant::NoAbortedRead));
        assert_eq!(fires(oracle.is_shown(N1, at(2, 3))), Some(Invariant::NoAbortedRead));
        assert!(oracle.aborts_nothing_shown(N1, 0).is_ok(), "nothing was shown yet");
        assert!(oracle.is_shown(N1, at(1, 2)).is_ok());
        assert!(oracle.aborts_nothing_shown(N1, 2).is_ok());
        assert_eq!(fires(oracle.aborts_nothing_shown(N1, 1)), Some(Invariant::NoAbortedRead));
        let term = Term::new(2);
        assert!(oracle.has_what_was_shown(N1, term).is_ok());
        oracle.member_mut(N1).log.truncate(1);
        let lacks = oracle.has_what_was_shown(N1, term);
        assert_eq!(fires(lacks), Some(Invariant::NoAbortedRead));
        assert!(oracle.acts_as_master((N1, 1), Term::new(3), "reigns").is_ok());
        assert!(oracle.has_what_was_shown(N1, term).is_ok(), "it is late");
    }
}
