//! What other threads have for a front: a client, a future that may go on, what the helper found.
//!
//! The bell is rung only for a front that sleeps, and only once: the front says under the lock that it is about to sleep,
//! having found the box empty, and whoever puts the first letter in takes that word back.

use super::helper::Help;
use super::poll::Bell;
use parking_lot::Mutex;
use std::net::TcpStream;
use std::sync::Arc;
use std::task::{Wake, Waker};
use std::time::Instant;

/// News for a front.
#[derive(Debug)]
pub(super) enum Letter {
    /// A client that this front is to serve, under this number.
    Client(TcpStream, i64),
    /// The future kept under this number may be ready.
    Woken(u64),
    /// What the helper found for this client.
    Helped(i64, Help),
    /// No more commands are taken; what was taken is answered until then.
    Close(Instant),
}

/// Where letters wait for their front. It holds a letter or two a client, so the number of clients bounds it.
#[derive(Debug)]
pub(super) struct Mailbox {
    state: Mutex<State>,
    bell: Arc<Bell>,
}

#[derive(Debug, Default)]
struct State {
    letters: Vec<Letter>,
    /// The front sleeps, or is about to, and nobody has rung for it.
    asleep: bool,
}

impl Mailbox {
    /// Of a front that hears `bell`.
    pub(super) fn new(bell: Arc<Bell>) -> Self {
        Mailbox { state: Mutex::default(), bell }
    }

    pub(super) fn put(&self, letter: Letter) {
        let mut state = self.state.lock();
        state.letters.push(letter);
        let asleep = std::mem::take(&mut state.asleep);
        drop(state);
        if asleep {
            self.bell.ring();
        }
    }

    /// Moves the letters into `letters`, in the order in which they came. The front is awake.
    pub(super) fn take(&self, letters: &mut Vec<Letter>) {
        let mut state = self.state.lock();
        state.asleep = false;
        letters.append(&mut state.letters);
    }

    /// Whether the front may sleep: there is no letter, and the bell will ring for the next one.
    pub(super) fn sleep(&self) -> bool {
        let mut state = self.state.lock();
        state.asleep = state.letters.is_empty();
        state.asleep
    }

    /// Wakes the future `number`.
    pub(super) fn waker(self: &Arc<Self>, number: u64) -> Waker {
        Waker::from(Arc::new(Knock { mailbox: Arc::clone(self), number }))
    }
}

struct Knock {
    mailbox: Arc<Mailbox>,
    number: u64,
}

impl Wake for Knock {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.mailbox.put(Letter::Woken(self.number));
    }
}

#[cfg(test)]
mod tests {
    use super::super::poll::Poll;
    use super::*;
    use std::time::Duration;

    #[test]
    fn no_letter_is_slept_through() {
        let poll = Poll::new().unwrap();
        let mailbox = Arc::new(Mailbox::new(poll.bell()));
        let (mut letters, mut ready) = (Vec::new(), Vec::new());
        mailbox.put(Letter::Woken(1));
        assert!(!mailbox.sleep(), "there is a letter");
        mailbox.take(&mut letters);
        let senders: Vec<_> = (0..4_u64)
            .map(|number| {
                let waker = mailbox.waker(number);
                std::thread::spawn(move || (0..500).for_each(|_| waker.wake_by_ref()))
            })
            .collect();
        // Without a timeout: a bell that does not ring hangs the test.
        while letters.len() < 2001 {
            if mailbox.sleep() {
                poll.wait(None, &mut ready).unwrap();
            }
            mailbox.take(&mut letters);
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
        assert!(mailbox.sleep());
    }

    #[test]
    fn who_is_awake_is_not_rung_for() {
        let poll = Poll::new().unwrap();
        let mailbox = Mailbox::new(poll.bell());
        let mut letters = Vec::new();
        mailbox.put(Letter::Woken(1));
        mailbox.take(&mut letters);
        mailbox.put(Letter::Woken(2));
        assert!(!mailbox.sleep());
        mailbox.take(&mut letters);
        assert!(mailbox.sleep());
        poll.wait(Some(Duration::ZERO), &mut Vec::new()).unwrap();
        assert!(mailbox.sleep(), "a silent bell has told nothing");
    }
}
