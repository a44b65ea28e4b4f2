//! Entries for a state machine of one's own: bytes in, the machine's result out.
//!
//! The log knows where an entry stands, the applier knows what the machine made of it, and the caller knows neither. So the place is
//! noted when the entry is staged, by its whole [`LogPoint`]: an entry that is cut away and replaced has another one, and its
//! caller is not given the replacement's result.

use crate::commit::{CommitSlot, CommitToken};
use crate::error::Error;
use crate::sync::Mutex;
use crate::waiter::{Seat, Slot};
use rep_vlsn::LogPoint;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// A result, to be taken once; `None` if there will be none.
type Parcel<O> = Arc<Mutex<Option<O>>>;
type ResultSlot<O> = Slot<Parcel<O>>;

/// The outcome of [`replicate`](crate::ReplicatedEnvironment::replicate), when there is one: wait for it, or `.await` it on any executor.
///
/// The commit resolves by `ack_timeout`, the result as long after that at most. Dropping it cancels nothing.
#[must_use = "until the handle resolves, the entry may not have been logged"]
pub struct ReplicateHandle<O> {
    commit: Arc<CommitSlot>,
    commit_seat: Seat,
    result: Arc<ResultSlot<O>>,
    result_seat: Seat,
}

impl<O> ReplicateHandle<O> {
    /// Sleeps until the entry is durable and applied here. The result is `None` if there is none yet `ack_timeout` after the
    /// entry became durable, because the machine is slow or stuck, or if this node was closed before it had applied the
    /// entry. It is durable all the same, and every member will apply it.
    ///
    /// # Errors
    ///
    /// As [`CommitHandle::wait`](crate::CommitHandle::wait).
    pub fn wait(self) -> Result<(CommitToken, Option<O>), Error> {
        let token = self.commit.wait(None).expect("there is no deadline")?;
        let parcel = self.result.wait(None).expect("there is no deadline");
        let result = parcel.lock().take();
        Ok((token, result))
    }
}

impl<O> Future for ReplicateHandle<O> {
    type Output = Result<(CommitToken, Option<O>), Error>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Self { commit, commit_seat, result, result_seat } = self.get_mut();
        let token = match commit.poll(commit_seat, context) {
            Poll::Ready(Ok(token)) => token,
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Pending => return Poll::Pending,
        };
        result.poll(result_seat, context).map(|parcel| Ok((token, parcel.lock().take())))
    }
}

impl<O> fmt::Debug for ReplicateHandle<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReplicateHandle").field("commit", &self.commit).finish_non_exhaustive()
    }
}

/// What whoever drives the node tells, whatever the results are.
pub(crate) trait Places: Send + Sync + fmt::Debug {
    /// The request has its place.
    fn staged(&self, request: u64, point: LogPoint);

    /// The request failed: no result will be asked for.
    fn failed(&self, request: u64);

    /// The request is durable; its result is waited for until this moment, if it is still to come, which is what this says.
    fn durable(&self, request: u64, until: Duration) -> bool;

    /// Whoever waits for what should have come by now is told that there is no result: the tasks to be woken, and when the next
    /// one is due.
    fn give_up(&self, now: Duration) -> (Vec<Waker>, Option<Duration>);

    /// The machine answers nothing more, or nobody waits for it any more.
    fn end(&self);
}

/// Who waits for which result.
pub(crate) struct Results<O> {
    state: Mutex<Waiting<O>>,
}

struct Waiting<O> {
    slots: BTreeMap<u64, Expected<O>>,
    places: BTreeMap<LogPoint, u64>,
    ended: bool,
}

/// A result that somebody waits for.
struct Expected<O> {
    slot: Arc<ResultSlot<O>>,
    place: Option<LogPoint>,
    /// Until when, once the entry is durable.
    until: Option<Duration>,
}

impl<O> Results<O> {
    pub(crate) fn new() -> Self {
        Results {
            state: Mutex::new(Waiting {
                slots: BTreeMap::new(),
                places: BTreeMap::new(),
                ended: false,
            }),
        }
    }

    /// The result of this request will be asked for.
    pub(crate) fn expect(&self, request: u64, commit: Arc<CommitSlot>) -> ReplicateHandle<O> {
        let result = Arc::new(Slot::pending());
        let mut state = self.state.lock();
        if state.ended {
            result.resolve(Parcel::default());
        } else {
            let expected = Expected { slot: Arc::clone(&result), place: None, until: None };
            state.slots.insert(request, expected);
        }
        let (commit_seat, result_seat) = (Seat::default(), Seat::default());
        ReplicateHandle { commit, commit_seat, result, result_seat }
    }

    /// The machine has answered the entry at `point`.
    pub(crate) fn answered(&self, point: LogPoint, output: O) {
        let mut state = self.state.lock();
        let slot = state.places.remove(&point).and_then(|request| state.slots.remove(&request));
        drop(state);
        if let Some(Expected { slot, .. }) = slot {
            slot.resolve(Arc::new(Mutex::new(Some(output))));
        }
    }
}

impl<O> Waiting<O> {
    fn forget(&mut self, request: u64) -> Option<Arc<ResultSlot<O>>> {
        let expected = self.slots.remove(&request)?;
        if let Some(point) = expected.place {
            self.places.remove(&point);
        }
        Some(expected.slot)
    }
}

impl<O: Send> Places for Results<O> {
    fn staged(&self, request: u64, point: LogPoint) {
        let mut state = self.state.lock();
        if let Some(expected) = state.slots.get_mut(&request) {
            expected.place = Some(point);
            state.places.insert(point, request);
        }
    }

    fn failed(&self, request: u64) {
        self.state.lock().forget(request);
    }

    fn durable(&self, request: u64, until: Duration) -> bool {
        let mut state = self.state.lock();
        let expected = state.slots.get_mut(&request);
        expected.map(|expected| expected.until = Some(until)).is_some()
    }

    fn give_up(&self, now: Duration) -> (Vec<Waker>, Option<Duration>) {
        let mut state = self.state.lock();
        let late = |expected: &Expected<O>| expected.until.is_some_and(|until| until <= now);
        let late: Vec<u64> =
            state.slots.iter().filter(|(_, slot)| late(slot)).map(|(at, _)| *at).collect();
        let slots: Vec<_> = late.into_iter().filter_map(|request| state.forget(request)).collect();
        let next = state.slots.values().filter_map(|expected| expected.until).min();
        drop(state);
        let wakers = slots.into_iter().filter_map(|slot| slot.settle(Parcel::default()));
        (wakers.flatten().collect(), next)
    }

    fn end(&self) {
        let mut state = self.state.lock();
        state.ended = true;
        state.places.clear();
        let slots = std::mem::take(&mut state.slots);
        drop(state);
        for expected in slots.into_values() {
            expected.slot.resolve(Parcel::default());
        }
    }
}

impl<O> fmt::Debug for Results<O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Results").field("waiting", &self.state.lock().slots.len()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rep_vlsn::{GroupId, Term, Vlsn};

    fn point(term: u64, vlsn: u64) -> LogPoint {
        LogPoint::new(Term::new(term), Vlsn::new(vlsn))
    }

    fn durable(at: LogPoint) -> Arc<CommitSlot> {
        Arc::new(Slot::resolved(Ok(CommitToken::new(GroupId::default(), at))))
    }

    #[test]
    fn a_caller_is_given_the_result_of_its_own_entry_and_not_of_what_replaced_it() {
        let results = Results::new();
        let (first, second) =
            (results.expect(1, durable(point(1, 5))), results.expect(2, durable(point(2, 5))));
        results.staged(1, point(1, 5));
        results.staged(2, point(2, 5));
        results.answered(point(2, 5), "second");
        results.answered(point(3, 5), "a stranger's");
        assert_eq!(second.wait().unwrap().1, Some("second"));
        results.end();
        assert_eq!(first.wait().unwrap().1, None);
        assert_eq!(results.expect(3, durable(point(3, 6))).wait().unwrap().1, None);
    }

    #[test]
    fn who_waits_too_long_is_told_and_the_others_wait_on() {
        let results = Results::new();
        let (late, patient) =
            (results.expect(1, durable(point(1, 5))), results.expect(2, durable(point(1, 6))));
        let seconds = Duration::from_secs;
        (1..=2).for_each(|request| results.staged(request, point(1, 4 + request)));
        assert!(results.durable(1, seconds(5)) && results.durable(2, seconds(6)));
        assert_eq!(results.give_up(seconds(4)).1, Some(seconds(5)));
        assert_eq!(results.give_up(seconds(5)).1, Some(seconds(6)));
        assert_eq!(late.wait().unwrap().1, None);
        results.answered(point(1, 5), "too late");
        results.answered(point(1, 6), "in time");
        assert_eq!(patient.wait().unwrap().1, Some("in time"));
        assert!(!results.durable(2, seconds(9)), "it has come");
        assert_eq!(results.give_up(seconds(9)).1, None);
    }

    #[test]
    fn what_failed_is_forgotten() {
        let results = Results::<()>::new();
        drop(results.expect(1, durable(point(1, 5))));
        results.staged(1, point(1, 5));
        results.failed(1);
        let state = results.state.lock();
        assert!(state.slots.is_empty() && state.places.is_empty());
    }
}
