//! Threads that wait for what the engine does: a future is driven here until it is ready or a deadline passes.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::sync::{Condvar, Mutex, broken};

/// Waits on this thread until the future is ready; none if the deadline passes first. Looks once even if it has passed already.
///
/// Needs no runtime around it, so that it may be called from anywhere, from the thread of somebody else's runtime too.
pub(super) fn wait<R>(future: impl Future<Output = R>, deadline: Option<Instant>) -> Option<R> {
    MINE.with(|(bell, waker)| bell.drive(waker, pin!(future), deadline))
}

thread_local! {
    static MINE: (Arc<Bell>, Waker) = {
        let bell = Arc::new(Bell::default());
        let waker = Arc::clone(&bell).into();
        (bell, waker)
    };
}

/// What a thread is woken by.
#[derive(Default)]
struct Bell {
    rung: Mutex<bool>,
    ringing: Condvar,
}

impl Bell {
    /// Polls the future, with the waker that rings this bell, each time that it rings.
    fn drive<R>(
        &self,
        waker: &Waker,
        mut future: Pin<&mut impl Future<Output = R>>,
        deadline: Option<Instant>,
    ) -> Option<R> {
        let mut context = Context::from_waker(waker);
        loop {
            // Before the look: what rings from now on is looked for again.
            self.hush();
            if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
                return Some(ready);
            }
            if broken("bell-hushed-after-the-look") {
                self.hush();
            }
            if !self.wait(deadline) {
                return None;
            }
        }
    }

    fn hush(&self) {
        *self.rung.lock() = false;
    }

    /// Waits until it rings; false if the deadline passes first.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut rung = self.rung.lock();
        let mut passed = false;
        while !*rung && !passed {
            (rung, passed) = self.ringing.wait_until(rung, deadline);
        }
        *rung
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.rung.lock() = true;
        self.ringing.notify_one();
    }
}

/// Something that one waits for, and that others may end: the engine wakes who waits for what comes, and this who waits for what ends.
#[derive(Debug)]
pub(super) struct Awaited<T> {
    state: Mutex<(T, Option<Waker>)>,
}

impl<T> Awaited<T> {
    pub(super) fn new(it: T) -> Self {
        Self { state: Mutex::new((it, None)) }
    }

    /// Has a look; who finds nothing is woken when it ends.
    pub(super) fn poll<R>(
        &self,
        context: &mut Context<'_>,
        look: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<R>,
    ) -> Poll<R> {
        let mut state = self.state.lock();
        let found = look(&mut state.0, context);
        if found.is_pending() {
            state.1 = Some(context.waker().clone());
        }
        found
    }

    /// For what nobody waits for.
    pub(super) fn with<R>(&self, work: impl FnOnce(&mut T) -> R) -> R {
        work(&mut self.state.lock().0)
    }

    /// Ends it, and has whoever waits look again.
    pub(super) fn end(&self, end: impl FnOnce(&mut T)) {
        let mut state = self.state.lock();
        end(&mut state.0);
        let waiting = state.1.take();
        drop(state);
        if !broken("awaited-ends-in-silence") {
            waiting.into_iter().for_each(Waker::wake);
        }
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{break_line, explore, explore_returns, thread};
    use std::future::poll_fn;

    fn what_is_brought_is_seen() {
        let (bell, awaited) = (Arc::new(Bell::default()), Arc::new(Awaited::new(false)));
        let waker = Waker::from(Arc::clone(&bell));
        let bringing = Arc::clone(&awaited);
        let bringing = thread::spawn(move || bringing.end(|brought| *brought = true));
        let look = |brought: &mut bool, _: &mut Context<'_>| match brought {
            true => Poll::Ready(()),
            false => Poll::Pending,
        };
        let seen = bell.drive(&waker, pin!(poll_fn(|context| awaited.poll(context, look))), None);
        assert_eq!(seen, Some(()));
        bringing.join().unwrap();
    }

    #[test]
    fn loom_a_thread_that_waits_for_a_future_sees_what_is_brought() {
        explore_returns(what_is_brought_is_seen);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_a_bell_that_is_hushed_after_the_look_is_slept_over() {
        break_line("bell-hushed-after-the-look");
        explore(what_is_brought_is_seen);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_an_end_that_wakes_nobody_is_found() {
        break_line("awaited-ends-in-silence");
        explore(what_is_brought_is_seen);
    }
}
