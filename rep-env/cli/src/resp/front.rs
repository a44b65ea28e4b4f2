//! A thread that serves many clients, and never waits for one of them.
//!
//! It goes round: take what has come from every client that said something, and from other threads; run every command that can
//! run; commit what was written, all of it together; ask for one view for all who read; send each client its replies in one go.
//! Then it sleeps until there is news. What would hold up the others is the helper's.

#[cfg(test)]
mod tests;

use super::batches::{Batches, News, Told};
use super::connection::{Connection, refuse};
use super::helper::Helper;
use super::looks::{Looks, Seen};
use super::mailbox::{Letter, Mailbox};
use super::poll::{Interest, Poll, Ready};
use super::server::Port;
use super::session::Asks;
use std::collections::BTreeMap;
use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// The number under which the listener is watched; clients have numbers from 1.
const LISTENER: u64 = 0;
/// Clients accepted at a time.
const ACCEPTED_MAX: usize = 64;
/// How long nobody is accepted after that failed: out of file descriptors, most likely.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Bytes taken from a client at a time.
const READ_BYTES: usize = 64 << 10;
/// How often commands are run before their replies are sent: some can run as soon as those before them have.
const PASSES: usize = 4;

/// What a front has to start with.
#[derive(Debug)]
pub(super) struct Start {
    pub(super) poll: Poll,
    pub(super) mailbox: Arc<Mailbox>,
    /// One of the fronts accepts.
    pub(super) listener: Option<TcpListener>,
    /// All fronts, to spread clients over.
    pub(super) fronts: Vec<Arc<Mailbox>>,
    pub(super) helper: Helper,
}

/// A front at work.
#[derive(Debug)]
struct Front<'p> {
    port: &'p Port,
    start: Start,
    connections: BTreeMap<i64, Connection<'p>>,
    batches: Batches,
    looks: Looks,
    asks: Asks,
    told: Told,
    seen: Seen,
    /// Clients whose commands are to be run.
    active: Vec<i64>,
    /// Clients that may have something to be sent.
    touched: Vec<i64>,
    scratch: Box<[u8]>,
    now: Instant,
    /// When clients are looked at even if nothing happens.
    alarm: Option<Instant>,
    /// When writes that could not be committed are tried again.
    retry: Option<Instant>,
    /// When clients are accepted again.
    accept: Option<Instant>,
    /// No more commands are taken, and what is not answered by then is not.
    closing: Option<Instant>,
}

/// Serves clients until the port is closed.
pub(super) fn run(port: &Port, start: Start) -> io::Result<()> {
    if let Some(listener) = &start.listener {
        start.poll.add(listener, LISTENER, Interest { read: true, ..Interest::default() })?;
    }
    let mut front = Front {
        port,
        start,
        connections: BTreeMap::new(),
        batches: Batches::default(),
        looks: Looks::default(),
        asks: Asks::default(),
        told: Vec::new(),
        seen: Vec::new(),
        active: Vec::new(),
        touched: Vec::new(),
        scratch: vec![0; READ_BYTES].into(),
        now: Instant::now(),
        alarm: None,
        retry: None,
        accept: None,
        closing: None,
    };
    let (mut ready, mut letters) = (Vec::new(), Vec::new());
    while !front.is_over() {
        let timeout = front.timeout();
        front.start.poll.wait(timeout, &mut ready)?;
        front.now = Instant::now();
        front.start.mailbox.take(&mut letters);
        ready.drain(..).for_each(|ready| front.ready(ready));
        letters.drain(..).for_each(|letter| front.open(letter));
        front.ring_alarms();
        front.work();
        front.flush();
    }
    Ok(())
}

impl<'p> Front<'p> {
    fn is_over(&self) -> bool {
        self.closing.is_some_and(|until| self.connections.is_empty() || self.now >= until)
    }

    /// How long to sleep at most.
    fn timeout(&self) -> Option<Duration> {
        if !self.active.is_empty() || !self.start.mailbox.sleep() {
            return Some(Duration::ZERO);
        }
        let alarms = [self.alarm, self.retry, self.accept, self.closing];
        let next = alarms.into_iter().flatten().min()?;
        Some(next.saturating_duration_since(Instant::now()))
    }

    // ---- news ----

    fn ready(&mut self, ready: Ready) {
        if ready.number == LISTENER {
            return self.accept();
        }
        let id = ready.number as i64;
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.ready(ready, &mut self.scratch, self.now);
            activate(connection, id, &mut self.active, &mut self.touched);
        }
    }

    fn open(&mut self, letter: Letter) {
        match letter {
            Letter::Client(stream, id) => {
                let made = Connection::new(stream, id, self.port, &self.start.poll, self.now);
                match made {
                    Ok(mut connection) => {
                        if self.closing.is_some() {
                            connection.stop_listening();
                        }
                        activate(&mut connection, id, &mut self.active, &mut self.touched);
                        self.connections.insert(id, connection);
                    }
                    Err(error) => {
                        self.port.clients.fetch_sub(1, Ordering::SeqCst);
                        tracing::debug!(client = id, %error, "a client is gone");
                    }
                }
            }
            Letter::Woken(number) => {
                let mailbox = &self.start.mailbox;
                if !self.batches.woken(number, self.port, mailbox, &mut self.told) {
                    self.looks.woken(number, mailbox, &mut self.seen);
                }
            }
            Letter::Helped(id, help) => {
                if let Some(connection) = self.connections.get_mut(&id) {
                    connection.session.helped(help, self.now);
                    activate(connection, id, &mut self.active, &mut self.touched);
                }
            }
            Letter::Close(until) => self.close(until),
        }
    }

    fn close(&mut self, until: Instant) {
        self.closing = Some(until);
        self.accept = None;
        // Nobody is accepted any more.
        self.start.listener = None;
        for (id, connection) in &mut self.connections {
            connection.stop_listening();
            activate(connection, *id, &mut self.active, &mut self.touched);
        }
    }

    /// Looks at every client if it is time to.
    fn ring_alarms(&mut self) {
        if self.accept.is_some_and(|at| at <= self.now) {
            self.accept = None;
            self.watch_listener(true);
        }
        if self.alarm.is_none_or(|at| at > self.now) {
            return;
        }
        self.alarm = None;
        for (id, connection) in &mut self.connections {
            if connection.alarm(self.now).is_some() {
                connection.check_patience(self.now);
                connection.session.due(self.now, &mut self.asks);
                activate(connection, *id, &mut self.active, &mut self.touched);
            }
        }
    }

    // ---- work ----

    fn work(&mut self) {
        for _ in 0..PASSES {
            self.tell();
            for id in std::mem::take(&mut self.active) {
                let Some(connection) = self.connections.get_mut(&id) else { continue };
                connection.active = connection.session.advance(self.now, &mut self.asks);
                if connection.active {
                    self.active.push(id);
                }
            }
            self.commit();
            self.look();
            for (client, task) in self.asks.tasks.drain(..) {
                self.start.helper.ask(client, task, &self.start.mailbox);
            }
            if self.told.is_empty() && self.seen.is_empty() {
                return;
            }
        }
        self.tell();
    }

    fn commit(&mut self) {
        let due = self.retry.is_none_or(|at| at <= self.now);
        if self.asks.writes.is_empty() && (self.batches.is_quiet() || !due) {
            return;
        }
        self.batches.take_in(&mut self.asks.writes);
        if due {
            let mailbox = &self.start.mailbox;
            self.retry = self.batches.commit(self.port, mailbox, self.now, &mut self.told);
        }
    }

    fn look(&mut self) {
        if !self.asks.looks.is_empty() {
            let mailbox = &self.start.mailbox;
            self.looks.begin(&mut self.asks.looks, self.port, mailbox, &mut self.seen);
        }
    }

    /// Tells clients what has become of their writes and reads.
    fn tell(&mut self) {
        for (id, place, news) in self.told.drain(..) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            match news {
                News::Began(bytes) => connection.session.began(place, bytes),
                News::Settled(reply, token) => {
                    connection.session.settled(place, reply, token);
                    activate(connection, id, &mut self.active, &mut self.touched);
                }
            }
        }
        for (id, view) in self.seen.drain(..) {
            if let Some(connection) = self.connections.get_mut(&id) {
                connection.session.seen(view, &mut self.asks);
                activate(connection, id, &mut self.active, &mut self.touched);
            }
        }
    }

    /// Sends everybody what there is for them, and forgets those who are gone.
    fn flush(&mut self) {
        for id in std::mem::take(&mut self.touched) {
            let Some(connection) = self.connections.get_mut(&id) else { continue };
            connection.touched = false;
            if !connection.flush(id, &self.start.poll, self.now) {
                self.connections.remove(&id);
                continue;
            }
            // What was held up by unsent replies may go on.
            if !connection.active && connection.session.can_go_on() {
                activate(connection, id, &mut self.active, &mut self.touched);
            }
            let alarm = connection.alarm(self.now);
            self.alarm = self.alarm.into_iter().chain(alarm).min();
        }
    }

    // ---- clients ----

    fn accept(&mut self) {
        for _ in 0..ACCEPTED_MAX {
            let Some(listener) = &self.start.listener else { return };
            match listener.accept() {
                Ok((stream, _)) => {
                    let id = self.port.next_client();
                    if self.port.is_full() {
                        refuse(&stream, "ERR max number of clients reached");
                        continue;
                    }
                    self.port.clients.fetch_add(1, Ordering::SeqCst);
                    let front = id as usize % self.start.fronts.len();
                    let front = Arc::clone(&self.start.fronts[front]);
                    if Arc::ptr_eq(&front, &self.start.mailbox) {
                        self.open(Letter::Client(stream, id));
                    } else {
                        front.put(Letter::Client(stream, id));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a client");
                    self.watch_listener(false);
                    self.accept = Some(self.now + ACCEPT_AGAIN);
                    return;
                }
            }
        }
    }

    fn watch_listener(&self, read: bool) {
        if let Some(listener) = &self.start.listener {
            let interest = Interest { read, ..Interest::default() };
            if let Err(error) = self.start.poll.change(listener, LISTENER, interest) {
                tracing::error!(%error, "the Redis port accepts nobody any more");
            }
        }
    }
}

/// Has a client's commands run and its replies sent in this round.
fn activate(
    connection: &mut Connection<'_>,
    id: i64,
    active: &mut Vec<i64>,
    touched: &mut Vec<i64>,
) {
    if !std::mem::replace(&mut connection.active, true) {
        active.push(id);
    }
    if !std::mem::replace(&mut connection.touched, true) {
        touched.push(id);
    }
}
