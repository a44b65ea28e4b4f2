//! Threads that wait for what the engine does: a future is driven here until it is ready or a deadline passes.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use crate::sync::{Condvar, Mutex};

/// Waits on this thread until the future is ready; none if the deadline passes first. Looks once even if it has passed already.
///
/// Needs no runtime around it, so that it may be called from anywhere, from the thread of somebody else's runtime too.
pub(super) fn wait<R>(future: impl Future<Output = R>, deadline: Option<Instant>) -> Option<R> {
    let mut future = pin!(future);
    MINE.with(|(bell, waker)| {
        let mut context = Context::from_waker(waker);
        loop {
            bell.hush();
            if let Poll::Ready(ready) = future.as_mut().poll(&mut context) {
                return Some(ready);
            }
            if !bell.wait(deadline) {
                return None;
            }
        }
    })
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
