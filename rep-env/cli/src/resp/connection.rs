//! One client: its socket, and its session. Nothing here waits.

use super::memory::{Charge, SHARE};
use super::poll::{Interest, Poll, Ready};
use super::server::Port;
use super::session::{OUT_MAX, Session};
use bytes::{Buf, Bytes, BytesMut};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown, sockopt};
use std::io;
use std::net::TcpStream;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// After the last words to a client: how long it may go on talking before it is hung up on.
const LINGER: Duration = Duration::from_millis(200);

/// A client that is connected, and was counted when it was accepted.
#[derive(Debug)]
pub(super) struct Connection<'p> {
    stream: TcpStream,
    pub(super) session: Session<'p>,
    port: &'p Port,
    charge: Charge<'p>,
    /// What the poll was told.
    interest: Interest,
    /// The client says no more, or is not listened to any more.
    deaf: bool,
    /// The client itself has said its last.
    ended: bool,
    /// Its socket took no more, since then.
    stuck: Option<Instant>,
    /// It wants memory that there is not, since then.
    starving: Option<Instant>,
    /// When bytes last came.
    heard: Instant,
    /// All is said; until then it may still be talking.
    farewell: Option<Instant>,
    gone: bool,
    /// It is among those that are to be run in this round.
    pub(super) active: bool,
    /// It is among those that are to be flushed in this round.
    pub(super) touched: bool,
}

impl<'p> Connection<'p> {
    pub(super) fn new(
        stream: TcpStream,
        id: i64,
        port: &'p Port,
        poll: &Poll,
        now: Instant,
    ) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        sockopt::set_socket_keepalive(&stream, true)?;
        let interest = Interest { read: true, ..Interest::default() };
        poll.add(&stream, id as u64, interest)?;
        Ok(Connection {
            stream,
            session: Session::new(port, id),
            port,
            charge: Charge::new(&port.memory),
            interest,
            deaf: false,
            ended: false,
            stuck: None,
            starving: None,
            heard: now,
            farewell: None,
            gone: false,
            active: false,
            touched: false,
        })
    }

    /// Its socket is ready: takes what has come.
    pub(super) fn ready(&mut self, ready: Ready, scratch: &mut [u8], now: Instant) {
        if ready.gone && !ready.read {
            self.gone = true;
        }
        let bytes_max = match (&self.farewell, self.deaf) {
            (Some(_), _) => scratch.len(),
            (None, true) => 0,
            (None, false) => scratch.len().min(self.room()),
        };
        if !ready.read || bytes_max == 0 {
            return;
        }
        match recv(&self.stream, &mut scratch[..bytes_max], RecvFlags::DONTWAIT) {
            Ok((0, _)) => (self.deaf, self.ended) = (true, true),
            // What is said after the farewell is thrown away.
            Ok((bytes, _)) if self.farewell.is_none() => {
                self.session.arrived(&scratch[..bytes]);
                self.charge.set(self.session.bytes());
                self.heard = now;
            }
            Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.gone = true,
        }
    }

    /// Takes no more commands than have come.
    pub(super) fn stop_listening(&mut self) {
        self.deaf = true;
    }

    /// Sends what can be sent, and tells the poll what is wanted next. False if the connection is over.
    pub(super) fn flush(&mut self, id: i64, poll: &Poll, now: Instant) -> bool {
        let commands = self.session.take_count();
        self.port.counters.commands.fetch_add(commands, Ordering::Relaxed);
        if self.gone || !self.send(now) {
            return false;
        }
        self.charge.set(self.session.bytes());
        if self.session.is_done(self.deaf)
            && self.session.out().is_empty()
            && !self.say_farewell(now)
        {
            return false;
        }
        let interest = Interest { read: self.wants_to_read(now), write: self.stuck.is_some() };
        if interest != self.interest {
            self.interest = interest;
            return poll.change(&self.stream, id as u64, interest).is_ok();
        }
        true
    }

    /// False if there is nobody to send to.
    fn send(&mut self, now: Instant) -> bool {
        let out = self.session.out();
        while !out.is_empty() {
            match send(&self.stream, out, SendFlags::DONTWAIT | SendFlags::NOSIGNAL) {
                Ok(sent) => {
                    out.advance(sent);
                    self.stuck = None;
                }
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    self.stuck.get_or_insert(now);
                    return true;
                }
                Err(_) => return false,
            }
        }
        // What is larger was one large reply; it is not kept for the next.
        if out.capacity() > 4 * OUT_MAX {
            *out = BytesMut::new();
        }
        self.stuck = None;
        true
    }

    /// Closing a socket that has unread input would take the last answers back, so what the client still sends is thrown away for a
    /// moment. False once that is over.
    fn say_farewell(&mut self, now: Instant) -> bool {
        if self.ended {
            return false;
        }
        match self.farewell {
            Some(until) => now < until,
            None => {
                self.farewell = Some(now + LINGER);
                shutdown(&self.stream, Shutdown::Write).is_ok()
            }
        }
    }

    fn wants_to_read(&mut self, now: Instant) -> bool {
        if self.farewell.is_some() {
            return !self.ended;
        }
        if self.deaf || self.session.is_held_up() {
            self.starving = None;
            return false;
        }
        let room = self.room() > 0;
        self.starving = if room { None } else { Some(self.starving.unwrap_or(now)) };
        room
    }

    /// Bytes that may be taken from it: what is left of its share, and of what all have together.
    fn room(&self) -> usize {
        SHARE.saturating_sub(self.session.bytes()) + self.port.memory.room()
    }

    /// When this has to be looked at even if nothing happens.
    pub(super) fn alarm(&self, now: Instant) -> Option<Instant> {
        let alarms = [
            self.session.alarm(),
            self.farewell,
            self.stuck.map(|since| since + self.port.config.client_timeout),
            // Room may come at any time, through a client of another front, and so may want of it.
            (self.starving.is_some() || self.charge.beyond_share() > 0).then(|| now + LINGER),
        ];
        alarms.into_iter().flatten().min()
    }

    /// Hangs up on a client that has kept others waiting for too long.
    pub(super) fn check_patience(&mut self, now: Instant) {
        let late = |since: Option<Instant>, patience| {
            since.is_some_and(|since| now.duration_since(since) >= patience)
        };
        let memory_timeout = self.port.config.memory_timeout;
        if late(self.stuck, self.port.config.client_timeout) {
            self.gone = true;
        }
        // It keeps an unfinished command, and others starve.
        let keeps = self.charge.beyond_share() > 0
            && !self.session.is_held_up()
            && self.port.memory.room() == 0;
        if late(self.starving, memory_timeout) || keeps && late(Some(self.heard), memory_timeout) {
            tracing::warn!("a client is hung up on: the memory of the Redis port is full");
            self.gone = true;
        }
    }
}

impl Drop for Connection<'_> {
    fn drop(&mut self) {
        self.port.clients.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Tells a client why it is not served.
pub(super) fn refuse(stream: &TcpStream, why: &str) {
    let text = Bytes::from(format!("-{why}\r\n"));
    // It may be gone, or take nothing; that is its affair.
    let _ = send(stream, &text, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}
