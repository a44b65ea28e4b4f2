//! Copies of the state for members that no log reaches any more (decision 24): the threads and the disk of it.
//!
//! What is to be done, and when, is said by `rep-node`; who says what to whom by `rep-stream`. Here is a service that gives
//! copies ([`giving`]), a thread that fetches one ([`fetching`]) and has it loaded meanwhile ([`loading`]), and the way in which a member opens itself again with what was
//! fetched ([`reopening`]), which the thread that owns the state machine goes. What is told of it meanwhile is in [`account`].

pub(crate) mod account;
pub(crate) mod fetching;
pub(crate) mod giving;
pub(crate) mod loading;
pub(crate) mod reopening;

use crate::runtime::shared::Shared;
use rep_net::queue::{Lane, Queue};
use rep_node::rep_stream::restore::RestoreConfig;
use std::time::{Duration, Instant};

/// The name under which the service is asked for.
pub(crate) const RESTORE_SERVICE: &str = "restore";

/// How often somebody who waits looks whether all is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How both ends of a restore behave here.
fn config(shared: &Shared) -> RestoreConfig {
    let mut config = RestoreConfig::default();
    config.bytes_per_s = Some(shared.limits.restore_bytes_per_s);
    config.progress_timeout = shared.timing.restore_timeout;
    config
}

/// The duty to answer one question; dropped, there will be no answer.
#[derive(Debug)]
pub(crate) struct Answer<T>(Queue<T>);

/// A question that one other thread answers, once or never.
#[derive(Debug)]
pub(crate) struct Question<T>(Queue<T>);

/// A question, and the duty to answer it.
pub(crate) fn question<T>() -> (Question<T>, Answer<T>) {
    let queue = Queue::new([Lane { items_max: 1, bytes_max: 0 }]);
    (Question(queue.clone()), Answer(queue))
}

impl<T> Answer<T> {
    pub(crate) fn give(self, answer: T) {
        // Nobody else gives one, so there is room.
        drop(self.0.try_push(0, 0, answer));
    }
}

impl<T> Drop for Answer<T> {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl<T> Question<T> {
    /// Waits until it is answered, or nobody will.
    pub(crate) fn wait(self) -> Option<T> {
        self.0.pop(None).ok().flatten()
    }

    /// Waits until then; `None` if there is no answer yet, and `Some(None)` if there will be none.
    pub(crate) fn wait_until(&self, deadline: Instant) -> Option<Option<T>> {
        match self.0.pop(Some(deadline)) {
            Ok(None) => None,
            answered => Some(answered.ok().flatten()),
        }
    }

    /// The same, unless `is_over` meanwhile, which nobody tells and is looked at now and then.
    pub(crate) fn wait_unless(self, is_over: impl Fn() -> bool) -> Option<T> {
        loop {
            match self.0.pop(Some(Instant::now() + LOOK_EVERY)) {
                Ok(None) if !is_over() => {}
                answered => return answered.ok().flatten(),
            }
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_answered_or_nobody_will() {
        let (asked, answer) = question();
        answer.give(7);
        assert_eq!(asked.wait(), Some(7));
        let (asked, answer) = question::<u8>();
        drop(answer);
        assert_eq!(asked.wait(), None);
    }

    #[test]
    fn nobody_waits_for_an_answer_when_all_is_over() {
        let (asked, _answer) = question::<u8>();
        assert_eq!(asked.wait_unless(|| true), None);
        let (asked, answer) = question();
        answer.give(7);
        assert_eq!(asked.wait_unless(|| false), Some(7));
    }
}
