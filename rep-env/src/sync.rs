//! The one place that knows whether locks are real or explored: parking_lot and std, or rep-explore's under `--cfg rep_loom` and
//! `--cfg rep_shuttle`.
//!
//! What has to be explored is small: the slot that resolves once ([`waiter`](crate::waiter)), the turn, the credit, the bell,
//! the board of states, the pipeline, what is shown of the log, the tables of threads and of callers, and the flag by which the
//! log writer is called. Their models lie in `models`, and `scenarios` has them at work together.

// What is counted or set once orders nothing that a model would have to try.
pub(crate) use std::sync::OnceLock;
pub(crate) use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

#[cfg(not(any(rep_loom, rep_shuttle)))]
pub(crate) use real::{AtomicBool, Condvar, Mutex, MutexGuard, ShownU64, broken, now};

#[cfg(any(rep_loom, rep_shuttle))]
pub(crate) use flaws::broken;
#[cfg(all(test, any(rep_loom, rep_shuttle)))]
pub(crate) use flaws::set_broken;
#[cfg(any(rep_loom, rep_shuttle))]
pub(crate) use rep_explore::{AtomicBool, AtomicU64 as ShownU64, Condvar, Mutex, MutexGuard, now};

/// Lines that a model can leave out, one at a time: its negative twin, which the checker has to reject. In every other build
/// nothing is [`broken`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    /// Who waits looks, lets go of the lock, and then sleeps.
    LookThenSleep,
    /// Who resolves a slot takes the tasks to be woken, and gives the result a moment later.
    WakersBeforeResult,
    /// A promise that is dropped says nothing.
    PromiseDropsSilently,
    /// Who was told of a free turn and found it taken counts as told for ever.
    ToldStaysTold,
    /// A turn that is closed tells only the first in line.
    CloseTellsOne,
    /// A state is published before the words of its reason.
    StateBeforeReason,
    /// Listeners are told of a change when the lock is let go under which it was made.
    ToldOutside,
    /// What happens is told also when the last state was.
    ToldAfterTheEnd,
    /// The log writer lets itself be called again only when it has looked for work.
    CalledAfterLooking,
    /// A result counts though there was one before it.
    LastAnswerStays,
    /// An expired holder of the turn is not told from the one who has it now.
    AnyTicketHolds,
    /// Who has driven the node for its share goes away without a look at what came meanwhile.
    GoesWithoutLooking,
    /// A node that closes does not tell those who wait for room in its inbox.
    CloseTellsNobody,
    /// A wait that has returned is taken for one whose deadline has come.
    ReturnIsDeadline,
    /// Who was woken for room takes it without another look.
    WokenIsRoom,
    /// Whether the term is over is asked before the lock is taken under which entries enter.
    TermAskedOutside,
    /// A transaction begins on a view from before the lock was taken under which entries are trimmed.
    ViewBeforeLock,
    /// Services that are closed still let callers in.
    DoorStaysOpen,
    /// A thread that has ended tells nobody.
    EndTellsNobody,
}

#[cfg(not(any(rep_loom, rep_shuttle)))]
mod real {
    pub(crate) use parking_lot::{Mutex, MutexGuard};
    pub(crate) use std::sync::atomic::{AtomicBool, AtomicU64 as ShownU64};
    use std::time::Instant;

    /// The present moment, for deadlines.
    pub(crate) fn now() -> Instant {
        Instant::now()
    }

    pub(crate) const fn broken(_flaw: super::Flaw) -> bool {
        false
    }

    #[derive(Debug, Default)]
    pub(crate) struct Condvar(parking_lot::Condvar);

    impl Condvar {
        pub(crate) fn notify_all(&self) {
            self.0.notify_all();
        }

        /// Waits for a notification; true if the deadline came first. Wakes without cause now and then.
        pub(crate) fn wait_until<'a, T>(
            &self,
            mut guard: MutexGuard<'a, T>,
            deadline: Option<Instant>,
        ) -> (MutexGuard<'a, T>, bool) {
            let late = match deadline {
                Some(deadline) => self.0.wait_until(&mut guard, deadline).timed_out(),
                None => {
                    self.0.wait(&mut guard);
                    false
                }
            };
            (guard, late)
        }
    }
}

#[cfg(any(rep_loom, rep_shuttle))]
mod flaws {
    use super::Flaw;
    use std::cell::Cell;

    thread_local! {
        static BROKEN: Cell<Option<Flaw>> = const { Cell::new(None) };
    }

    /// All threads of a model are run by the thread that began it, so each model has its own.
    pub(crate) fn broken(flaw: Flaw) -> bool {
        BROKEN.get() == Some(flaw)
    }

    /// Breaks that line in what runs on this thread from now on.
    #[cfg(test)]
    pub(crate) fn set_broken(flaw: Option<Flaw>) {
        BROKEN.set(flaw);
    }
}
