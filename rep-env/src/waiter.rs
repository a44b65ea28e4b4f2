//! One result, awaited by any number of handles, given exactly once.
//!
//! A commit is answered by the node, by the node's end, or by nobody in time; whoever is first decides, and
//! every handle sees the same. Handles may sleep ([`Slot::wait`]) or be polled by any executor ([`Slot::poll`]).

use crate::sync::{Condvar, Flaw, Mutex, broken, now};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// As good as for ever. A caller may say "for ever" by `Duration::MAX`, which no clock can be added to.
pub(crate) const TIME_MAX: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// The moment when a caller's patience ends.
pub(crate) fn deadline(patience: Duration) -> Instant {
    now() + patience.min(TIME_MAX)
}

/// Wakes a task. A waker that panics is its executor's fault, and must not end the thread that happens to call it.
pub(crate) fn wake(waker: Waker) {
    if catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err() {
        tracing::error!("the waker of a task panicked");
    }
}

/// A handle's place among the tasks that wait for a result.
///
/// A handle has one, however often and by whichever task it is polled: who polled last is woken. Telling tasks apart
/// by [`Waker::will_wake`] would not do, which may say no of two wakers of one task: each poll would leave one more.
#[derive(Debug, Default)]
pub(crate) struct Seat(Option<usize>);

/// A place for one result.
pub(crate) struct Slot<T> {
    state: Mutex<State<T>>,
    resolved: Condvar,
}

enum State<T> {
    /// The tasks to be woken, by their [`Seat`].
    Pending(Vec<Waker>),
    Resolved(T),
}

impl<T: Clone> Slot<T> {
    pub(crate) fn pending() -> Self {
        Self { state: Mutex::new(State::Pending(Vec::new())), resolved: Condvar::default() }
    }

    pub(crate) fn resolved(result: T) -> Self {
        Self { state: Mutex::new(State::Resolved(result)), resolved: Condvar::default() }
    }

    /// Gives the result; false, and nothing changes, if there was one already.
    pub(crate) fn resolve(&self, result: T) -> bool {
        let wakers = self.settle(result);
        // Woken outside the lock: a waker may poll, or drop the handle, right here.
        wakers.map(|wakers| wakers.into_iter().for_each(wake)).is_some()
    }

    /// As [`Slot::resolve`], for a caller that holds what wakers may ask for: who sleeps is woken, the tasks are the caller's
    /// to wake. `None` if there was a result already.
    pub(crate) fn settle(&self, result: T) -> Option<Vec<Waker>> {
        let mut state = self.state.lock();
        let wakers = match &mut *state {
            State::Pending(wakers) => std::mem::take(wakers),
            State::Resolved(_) if broken(Flaw::LastAnswerStays) => Vec::new(),
            State::Resolved(_) => return None,
        };
        if broken(Flaw::WakersBeforeResult) {
            drop(state);
            state = self.state.lock();
        }
        *state = State::Resolved(result);
        drop(state);
        self.resolved.notify_all();
        Some(wakers)
    }

    /// Sleeps until there is a result; `None` when the deadline passed first.
    pub(crate) fn wait(&self, deadline: Option<Instant>) -> Option<T> {
        let mut state = self.state.lock();
        let mut late = false;
        loop {
            if let State::Resolved(result) = &*state {
                return Some(result.clone());
            }
            if late {
                return None;
            }
            if broken(Flaw::LookThenSleep) {
                drop(state);
                state = self.state.lock();
            }
            (state, late) = self.resolved.wait_until(state, deadline);
            late |= broken(Flaw::ReturnIsDeadline);
        }
    }

    /// The result if there is one; else the task is woken when there is, in place of whoever had that seat.
    pub(crate) fn poll(&self, seat: &mut Seat, context: &mut Context<'_>) -> Poll<T> {
        match &mut *self.state.lock() {
            State::Resolved(result) => Poll::Ready(result.clone()),
            State::Pending(wakers) => {
                match seat.0 {
                    Some(at) => wakers[at].clone_from(context.waker()),
                    None => {
                        seat.0 = Some(wakers.len());
                        wakers.push(context.waker().clone());
                    }
                }
                Poll::Pending
            }
        }
    }

    /// The result, if there is one.
    pub(crate) fn peek(&self) -> Option<T> {
        match &*self.state.lock() {
            State::Resolved(result) => Some(result.clone()),
            State::Pending(_) => None,
        }
    }
}

impl<T> fmt::Debug for Slot<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let resolved = matches!(&*self.state.lock(), State::Resolved(_));
        f.debug_struct("Slot").field("resolved", &resolved).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::task::Wake;
    use std::thread;

    struct Count(AtomicUsize);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[test]
    fn the_first_result_stays() {
        let slot = Slot::pending();
        assert!(slot.resolve(1));
        assert!(!slot.resolve(2));
        assert_eq!((slot.wait(None), slot.peek()), (Some(1), Some(1)));
    }

    #[test]
    fn a_wait_ends_at_its_deadline_and_the_result_may_still_come() {
        let slot = Slot::pending();
        assert_eq!(slot.wait(Some(Instant::now())), None);
        assert!(slot.resolve(7));
        assert_eq!(slot.wait(Some(Instant::now())), Some(7));
    }

    #[test]
    fn each_handle_wakes_the_task_that_polled_it_last_and_once() {
        let slot = Slot::pending();
        let counts = [0; 3].map(|none| Arc::new(Count(AtomicUsize::new(none))));
        let wakers = counts.each_ref().map(|count| Waker::from(Arc::clone(count)));
        let (mut one, mut other) = (Seat::default(), Seat::default());
        for (seat, waker) in [(&mut one, 0), (&mut other, 1)] {
            assert!(slot.poll(seat, &mut Context::from_waker(&wakers[waker])).is_pending());
        }
        // The same task again, and then another one that the handle was given to.
        for waker in [1, 1, 2] {
            assert!(slot.poll(&mut other, &mut Context::from_waker(&wakers[waker])).is_pending());
        }
        slot.resolve(());
        assert_eq!(counts.map(|count| count.0.load(Ordering::SeqCst)), [1, 0, 1]);
    }

    /// Two wakers of one task need not look alike: the standard library's own do not where a compiler keeps their tables apart,
    /// as miri does. Each poll then left one more waker behind.
    #[test]
    fn a_handle_that_is_polled_for_ever_keeps_one_waker() {
        let slot = Slot::<()>::pending();
        let mut seat = Seat::default();
        for _ in 0..100 {
            let stranger = Waker::from(Arc::new(Count(AtomicUsize::new(0))));
            assert!(slot.poll(&mut seat, &mut Context::from_waker(&stranger)).is_pending());
        }
        assert_eq!(slot.settle(()).map(|wakers| wakers.len()), Some(1));
    }

    /// A result is given by threads that have other duties: the one that applies the log among them. A waker that panicked there
    /// ended it, and with it the node.
    #[test]
    fn a_waker_that_panics_is_caught_and_the_others_are_woken() {
        struct Broken;
        impl Wake for Broken {
            fn wake(self: Arc<Self>) {
                panic!("as a broken executor would");
            }
        }
        let slot = Slot::pending();
        let count = Arc::new(Count(AtomicUsize::new(0)));
        for waker in [Waker::from(Arc::new(Broken)), Waker::from(Arc::clone(&count))] {
            let mut seat = Seat::default();
            assert!(slot.poll(&mut seat, &mut Context::from_waker(&waker)).is_pending());
        }
        assert!(slot.resolve(()));
        assert_eq!(count.0.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn sleepers_in_other_threads_all_see_it() {
        let slot = Arc::new(Slot::pending());
        let sleepers: Vec<_> = (0..3)
            .map(|_| {
                let slot = Arc::clone(&slot);
                thread::spawn(move || slot.wait(None))
            })
            .collect();
        slot.resolve(5);
        assert!(sleepers.into_iter().all(|sleeper| sleeper.join().unwrap() == Some(5)));
    }
}
