//! The turn: one write transaction builds at a time.
//!
//! Whoever holds the turn sees everything that was committed before, so write sets never conflict, and the order of
//! commits is the order in the log. Those who wait are served in the order they came. A holder that forgets
//! to finish loses the turn after `txn_timeout`, to the next in line, and learns of it at its next step.
//!
//! A turn lasts microseconds, and to wake a thread takes longer than that. Were a free turn kept for a thread that is only
//! waking up, each commit would cost a wake-up, everybody else would have come to wait meanwhile, and the queue would never
//! dissolve. So one who comes along while the turn is free takes it, past the one who is waking up; but only for
//! [`PASSING`], after which the turn is kept. And only the first in line is ever woken.

use crate::error::Error;
use crate::sync::{Condvar, Flaw, Mutex, MutexGuard, broken, now};
use std::collections::VecDeque;
use std::sync::Arc;
use std::thread::Thread;
use std::time::{Duration, Instant};

/// How long the first in line may be passed by others once it has been woken.
const PASSING: Duration = Duration::from_millis(2);

/// Hands out the turn.
#[derive(Debug)]
pub(crate) struct Turn {
    state: Mutex<State>,
    txn_timeout: Duration,
}

/// Proof of having been given the turn; worth something while [`Turn::check`] says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ticket(u64);

#[derive(Debug, Default)]
struct State {
    tickets: u64,
    row: VecDeque<Waiting>,
    /// When the first in line was told that the turn is free.
    told: Option<Instant>,
    /// It was told, and has not looked yet.
    waking: bool,
    holder: Option<Holder>,
    closed: bool,
}

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    wake: Arc<Condvar>,
}

#[derive(Debug)]
struct Holder {
    ticket: Ticket,
    thread: Thread,
    since: Instant,
    /// It has begun to commit, which has bounds of its own; the turn is not taken from it any more.
    committing: bool,
}

impl Turn {
    pub(crate) fn new(txn_timeout: Duration) -> Self {
        Turn { state: Mutex::new(State::default()), txn_timeout }
    }

    /// Waits for the turn until `deadline`.
    pub(crate) fn take(&self, deadline: Instant) -> Result<Ticket, Error> {
        let mut state = self.state.lock();
        match state.pass(self.txn_timeout)? {
            Some(ticket) => Ok(ticket),
            None => self.stand_in_line(state, deadline),
        }
    }

    fn stand_in_line(
        &self,
        mut state: MutexGuard<'_, State>,
        deadline: Instant,
    ) -> Result<Ticket, Error> {
        let began = now();
        let (ticket, wake) = (state.draw(), Arc::<Condvar>::default());
        state.row.push_back(Waiting { ticket, wake: Arc::clone(&wake) });
        loop {
            if state.closed {
                return Err(self.leave(state, ticket, Error::Closed));
            }
            let now = now();
            let first = state.is_first(ticket);
            if first && state.is_free(now, self.txn_timeout) {
                state.forget_first();
                state.hold(ticket, now);
                return Ok(ticket);
            }
            if now >= deadline {
                let error = state.timeout(now, now.duration_since(began));
                return Err(self.leave(state, ticket, error));
            }
            state.waking &= !first || broken(Flaw::ToldStaysTold);
            let look = state.next_look(now, self.txn_timeout).min(deadline);
            (state, _) = wake.wait_until(state, Some(look));
        }
    }

    /// Takes the turn if nobody has it or waits for it.
    pub(crate) fn try_take(&self) -> Result<Ticket, Error> {
        let mut state = self.state.lock();
        let now = now();
        if state.closed {
            return Err(Error::Closed);
        }
        if !state.row.is_empty() || !state.is_free(now, self.txn_timeout) {
            return Err(state.taken(now));
        }
        let ticket = state.draw();
        state.hold(ticket, now);
        Ok(ticket)
    }

    /// Whether `ticket` still has the turn.
    pub(crate) fn check(&self, ticket: Ticket) -> Result<(), Error> {
        self.holding(ticket, |_| {})
    }

    /// As [`Turn::check`], and from now on the turn is not taken away until it is given back.
    pub(crate) fn pin(&self, ticket: Ticket) -> Result<(), Error> {
        self.holding(ticket, |holder| holder.committing = true)
    }

    /// Gives the turn back, if `ticket` still has it.
    pub(crate) fn give_back(&self, ticket: Ticket) {
        let mut state = self.state.lock();
        if state.holder.as_ref().is_some_and(|holder| holder.ticket == ticket) {
            state.holder = None;
            state.tell_first();
        }
    }

    /// Nobody gets the turn any more; those who wait for it are told.
    pub(crate) fn close(&self) {
        let mut state = self.state.lock();
        state.closed = true;
        let told = if broken(Flaw::CloseTellsOne) { 1 } else { usize::MAX };
        state.row.iter().take(told).for_each(|waiting| waiting.wake.notify_all());
    }

    fn holding(&self, ticket: Ticket, then: impl FnOnce(&mut Holder)) -> Result<(), Error> {
        let mut state = self.state.lock();
        if state.closed {
            return Err(Error::Closed);
        }
        let (now, timeout) = (now(), self.txn_timeout);
        let is_holder =
            |holder: &&mut Holder| holder.ticket == ticket || broken(Flaw::AnyTicketHolds);
        match state.holder.as_mut().filter(is_holder) {
            Some(holder) if holder.committing || now.duration_since(holder.since) < timeout => {
                then(holder);
                Ok(())
            }
            Some(_) | None => Err(Error::TxnExpired { timeout }),
        }
    }

    fn leave(&self, mut state: MutexGuard<'_, State>, ticket: Ticket, error: Error) -> Error {
        if state.is_first(ticket) {
            state.forget_first();
        } else {
            state.row.retain(|waiting| waiting.ticket != ticket);
        }
        // The one behind may be first in line now, and nobody else would tell it.
        if state.is_free(now(), self.txn_timeout) {
            state.tell_first();
        }
        error
    }
}

impl State {
    fn draw(&mut self) -> Ticket {
        self.tickets += 1;
        Ticket(self.tickets)
    }

    /// Takes a free turn, if those who wait for it may be passed.
    fn pass(&mut self, txn_timeout: Duration) -> Result<Option<Ticket>, Error> {
        if self.closed {
            return Err(Error::Closed);
        }
        let now = now();
        let kept = !self.row.is_empty()
            && self.told.is_none_or(|told| now.duration_since(told) >= PASSING);
        if kept || !self.is_free(now, txn_timeout) {
            return Ok(None);
        }
        let ticket = self.draw();
        self.hold(ticket, now);
        Ok(Some(ticket))
    }

    fn is_first(&self, ticket: Ticket) -> bool {
        self.row.front().is_some_and(|first| first.ticket == ticket)
    }

    /// The turn is free: whoever is first in line has to look, unless it is about to.
    fn tell_first(&mut self) {
        if let Some(first) = self.row.front().filter(|_| !self.waking) {
            first.wake.notify_all();
            self.waking = true;
            self.told.get_or_insert_with(now);
        }
    }

    fn forget_first(&mut self) {
        self.row.pop_front();
        (self.told, self.waking) = (None, false);
    }

    /// When somebody in line has to look again though nobody told it. A holder that is yet to come cannot expire sooner
    /// than `txn_timeout` from now.
    fn next_look(&self, now: Instant, txn_timeout: Duration) -> Instant {
        let yet_to_come = now + txn_timeout.max(Duration::from_millis(1));
        self.expiry(txn_timeout).unwrap_or(yet_to_come)
    }

    fn is_free(&self, now: Instant, txn_timeout: Duration) -> bool {
        self.holder.is_none() || self.expiry(txn_timeout).is_some_and(|expiry| now >= expiry)
    }

    /// When the turn may be taken from its holder.
    fn expiry(&self, txn_timeout: Duration) -> Option<Instant> {
        let holder = self.holder.as_ref().filter(|holder| !holder.committing)?;
        Some(holder.since + txn_timeout)
    }

    fn hold(&mut self, ticket: Ticket, now: Instant) {
        let thread = std::thread::current();
        self.holder = Some(Holder { ticket, thread, since: now, committing: false });
    }

    /// The holder and its age; between two holders, whoever is next in line.
    fn holder(&self, now: Instant) -> (String, Duration) {
        match &self.holder {
            Some(holder) => {
                let name = holder.thread.name().unwrap_or("an unnamed thread");
                (name.to_owned(), now.duration_since(holder.since))
            }
            None => ("another in line".to_owned(), Duration::ZERO),
        }
    }

    fn timeout(&self, now: Instant, waited: Duration) -> Error {
        let (holder, age) = self.holder(now);
        Error::BeginTimeout { waited, holder, age }
    }

    fn taken(&self, now: Instant) -> Error {
        let (holder, age) = self.holder(now);
        Error::TurnTaken { holder, age }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::thread;

    const LONG: Duration = Duration::from_secs(60);

    fn within(time: Duration) -> Instant {
        Instant::now() + time
    }

    #[test]
    fn one_has_the_turn_and_the_error_names_who() {
        let turn = Turn::new(LONG);
        let ticket = turn.take(within(LONG)).unwrap();
        let holder = thread::current().name().unwrap().to_owned();
        assert!(
            matches!(turn.try_take(), Err(Error::TurnTaken { holder: named, .. }) if named == holder)
        );
        assert!(
            matches!(turn.take(Instant::now()), Err(Error::BeginTimeout { holder: named, .. }) if named == holder)
        );
        turn.give_back(ticket);
        assert!(turn.check(ticket).is_err());
        turn.try_take().unwrap();
    }

    #[test]
    fn an_expired_holder_loses_the_turn_and_is_told() {
        let turn = Turn::new(Duration::ZERO);
        let old = turn.take(within(LONG)).unwrap();
        let new = turn.take(within(LONG)).unwrap();
        assert_eq!(turn.check(old), Err(Error::TxnExpired { timeout: Duration::ZERO }));
        turn.give_back(old);
        assert!(turn.state.lock().holder.as_ref().is_some_and(|holder| holder.ticket == new));
    }

    #[test]
    fn who_commits_keeps_the_turn() {
        let turn = Turn::new(Duration::from_secs(3600));
        let ticket = turn.take(within(LONG)).unwrap();
        turn.pin(ticket).unwrap();
        turn.state.lock().holder.as_mut().unwrap().since -= Duration::from_secs(3600);
        assert!(turn.try_take().is_err());
        turn.check(ticket).unwrap();
    }

    #[test]
    fn those_who_wait_are_served_in_order() {
        let turn = Arc::new(Turn::new(LONG));
        let first = turn.take(within(LONG)).unwrap();
        let served = Arc::new(Mutex::new(Vec::new()));
        let waiters: Vec<_> = (0..4)
            .map(|number| {
                let (waiting, served) = (Arc::clone(&turn), Arc::clone(&served));
                let waiter = thread::spawn(move || {
                    let ticket = waiting.take(within(LONG)).unwrap();
                    served.lock().push(number);
                    waiting.give_back(ticket);
                });
                while turn.state.lock().row.len() <= number {
                    thread::yield_now();
                }
                waiter
            })
            .collect();
        turn.give_back(first);
        waiters.into_iter().for_each(|waiter| waiter.join().unwrap());
        assert_eq!(*served.lock(), [0, 1, 2, 3]);
    }

    #[test]
    fn who_wakes_up_is_passed_for_a_while_and_then_no_more() {
        let turn = Turn::new(LONG);
        let holder = turn.take(within(LONG)).unwrap();
        let mut state = turn.state.lock();
        let sleeper = Waiting { ticket: state.draw(), wake: Arc::default() };
        state.row.push_back(sleeper);
        assert_eq!(state.pass(LONG), Ok(None), "the turn is taken");
        drop(state);
        turn.give_back(holder);
        // Told in a moment that is yet to come: this thread may itself be slower than PASSING.
        turn.state.lock().told = Some(within(LONG));
        let passing = turn.take(within(LONG)).unwrap();
        turn.give_back(passing);
        turn.state.lock().told = Some(Instant::now() - PASSING);
        assert_eq!(turn.state.lock().pass(LONG), Ok(None), "the turn is kept");
        assert!(turn.try_take().is_err(), "who does not wait does not pass");
    }

    #[test]
    fn the_turn_goes_on_when_who_was_told_gives_up() {
        let turn = Arc::new(Turn::new(LONG));
        let holder = turn.take(within(LONG)).unwrap();
        let mut state = turn.state.lock();
        let impatient = state.draw();
        state.row.push_back(Waiting { ticket: impatient, wake: Arc::default() });
        drop(state);
        let waiter = thread::spawn({
            let turn = Arc::clone(&turn);
            move || turn.take(within(LONG))
        });
        while turn.state.lock().row.len() < 2 {
            thread::yield_now();
        }
        turn.give_back(holder);
        turn.leave(turn.state.lock(), impatient, Error::Closed);
        waiter.join().unwrap().unwrap();
    }

    #[test]
    fn closing_ends_every_wait() {
        let turn = Arc::new(Turn::new(LONG));
        let ticket = turn.take(within(LONG)).unwrap();
        let waiter = thread::spawn({
            let turn = Arc::clone(&turn);
            move || turn.take(within(LONG))
        });
        turn.close();
        assert_eq!(waiter.join().unwrap(), Err(Error::Closed));
        assert_eq!((turn.check(ticket), turn.try_take()), (Err(Error::Closed), Err(Error::Closed)));
    }
}
