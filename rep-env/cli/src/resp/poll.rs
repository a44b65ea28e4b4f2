//! The one file that knows how this system tells which of many sockets are ready: epoll, and an eventfd as the bell by
//! which other threads end the sleep. Another system would have its own.

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::fd::{AsFd, OwnedFd};
use rustix::io::Errno;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;

/// Events taken at a time; the rest comes with the next look.
const EVENTS_MAX: usize = 512;
/// The number under which the bell's own events come.
const BELL: u64 = u64::MAX;

/// Sleeps until one of its sockets is ready, its bell rings, or time is up.
#[derive(Debug)]
pub(super) struct Poll {
    epoll: OwnedFd,
    bell: Arc<Bell>,
}

/// Ends the sleep of its poll, from any thread.
#[derive(Debug)]
pub(super) struct Bell(OwnedFd);

/// What a socket is watched for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Interest {
    pub(super) read: bool,
    pub(super) write: bool,
}

/// A socket that is ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ready {
    /// The number it was added under.
    pub(super) number: u64,
    pub(super) read: bool,
    pub(super) write: bool,
    /// Nothing can be read from it or written to it any more.
    pub(super) gone: bool,
}

impl Poll {
    pub(super) fn new() -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let bell = Arc::new(Bell(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?));
        epoll::add(&epoll, &bell.0, EventData::new_u64(BELL), EventFlags::IN)?;
        Ok(Poll { epoll, bell })
    }

    pub(super) fn bell(&self) -> Arc<Bell> {
        Arc::clone(&self.bell)
    }

    /// Watches `socket` under `number`, which is not `u64::MAX`, until it is closed.
    pub(super) fn add(&self, socket: impl AsFd, number: u64, interest: Interest) -> io::Result<()> {
        Ok(epoll::add(&self.epoll, socket, EventData::new_u64(number), interest.flags())?)
    }

    /// Watches a socket that is watched already for something else.
    pub(super) fn change(
        &self,
        socket: impl AsFd,
        number: u64,
        interest: Interest,
    ) -> io::Result<()> {
        Ok(epoll::modify(&self.epoll, socket, EventData::new_u64(number), interest.flags())?)
    }

    /// Sleeps, `timeout` at most, and puts what is ready into `ready`, which is emptied first. A bell that rang ends the sleep
    /// and is silent again.
    pub(super) fn wait(&self, timeout: Option<Duration>, ready: &mut Vec<Ready>) -> io::Result<()> {
        ready.clear();
        let timeout = timeout.map(|timeout| Timespec {
            tv_sec: timeout.as_secs().min(1 << 20) as i64,
            tv_nsec: timeout.subsec_nanos().into(),
        });
        let mut events = [const { MaybeUninit::uninit() }; EVENTS_MAX];
        let events = match epoll::wait(&self.epoll, &mut events, timeout.as_ref()) {
            Ok((events, _)) => events,
            Err(Errno::INTR) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        for event in events {
            let (number, flags) = ({ event.data }.u64(), event.flags);
            if number == BELL {
                self.bell.hush();
                continue;
            }
            ready.push(Ready {
                number,
                read: flags.contains(EventFlags::IN),
                write: flags.contains(EventFlags::OUT),
                gone: flags.intersects(EventFlags::ERR | EventFlags::HUP),
            });
        }
        Ok(())
    }
}

impl Bell {
    /// Ends the present sleep, or the next one.
    pub(super) fn ring(&self) {
        // It fails only if the bell has rung 2^64 times unheard, and then it rings already.
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        // It fails if the bell is silent, which is what is wanted.
        let _ = rustix::io::read(&self.0, &mut [0_u8; 8]);
    }
}

impl Interest {
    fn flags(self) -> EventFlags {
        let mut flags = EventFlags::empty();
        flags.set(EventFlags::IN, self.read);
        flags.set(EventFlags::OUT, self.write);
        flags
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::net::{TcpListener, TcpStream};

    const READ: Interest = Interest { read: true, write: false };

    #[test]
    fn a_bell_that_rang_before_the_sleep_ends_it_once() {
        let poll = Poll::new().unwrap();
        let mut ready = Vec::new();
        poll.bell().ring();
        poll.bell().ring();
        poll.wait(None, &mut ready).unwrap();
        assert!(ready.is_empty());
        poll.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert!(ready.is_empty());
    }

    #[test]
    fn a_socket_is_ready_for_what_it_is_watched_for() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        let poll = Poll::new().unwrap();
        let mut ready = Vec::new();
        poll.add(&server, 7, READ).unwrap();
        client.write_all(b"x").unwrap();
        poll.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [Ready { number: 7, read: true, write: false, gone: false }]);
        poll.change(&server, 7, Interest { read: false, write: true }).unwrap();
        poll.wait(None, &mut ready).unwrap();
        assert_eq!(ready, [Ready { number: 7, read: false, write: true, gone: false }]);
        poll.change(&server, 7, Interest::default()).unwrap();
        poll.wait(Some(Duration::ZERO), &mut ready).unwrap();
        assert!(ready.is_empty(), "{ready:?}");
    }
}
