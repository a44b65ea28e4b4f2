//! Writers, and the ledger of what they were told.
//!
//! Each writes keys of its own, each key once, so that every answer can be held against what is there afterwards: an
//! acknowledged key has to be, a refused one must not be, and of one whose outcome is unknown nothing can be said.

use super::Patience;
use crate::client::Client;
use anyhow::anyhow;
use parking_lot::Mutex;
use redis_protocol::resp2::types::BytesFrame;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Commands that a connection sends before it looks at the answers.
pub(super) const DEPTH: u64 = 32;
/// After a refusal: how long until the next attempt.
const PAUSE: Duration = Duration::from_millis(5);

/// Writers at work. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Load {
    shared: Arc<Shared>,
    writers: Vec<JoinHandle<Told>>,
}

#[derive(Debug)]
struct Shared {
    addresses: Vec<String>,
    acked: AtomicU64,
    stop: AtomicBool,
    /// A failover is being timed.
    watching: AtomicBool,
    watch: Mutex<Option<Watch>>,
}

/// The master that is to die, and the first to acknowledge a write after it.
#[derive(Debug)]
struct Watch {
    dead: usize,
    first_ack: Option<(usize, Instant)>,
}

/// What one writer was told, by number of key.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) acked: Vec<u64>,
    pub(super) refused: Vec<u64>,
    pub(super) unknown: Vec<u64>,
}

/// What all writers were told.
#[derive(Debug)]
pub(super) struct Ledger(pub(super) Vec<Told>);

/// The key that writer `writer` writes as its `number`-th.
pub(super) fn key(writer: usize, number: u64) -> String {
    format!("w{writer}:{number:08}")
}

/// The value of that key.
pub(super) fn value(writer: usize, number: u64) -> String {
    format!("{:016x} written by {writer}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

impl Load {
    /// Starts writers against the nodes whose Redis ports these are.
    pub(super) fn start(writers: usize, addresses: Vec<String>) -> anyhow::Result<Self> {
        let shared = Arc::new(Shared {
            addresses,
            acked: AtomicU64::new(0),
            stop: AtomicBool::new(false),
            watching: AtomicBool::new(false),
            watch: Mutex::new(None),
        });
        let mut load = Load { shared, writers: Vec::new() };
        for number in 0..writers {
            let writer = Writer::new(number, Arc::clone(&load.shared));
            let thread = thread::Builder::new().name(format!("writer-{number}"));
            load.writers.push(thread.spawn(move || writer.run())?);
        }
        Ok(load)
    }

    /// Writes that have been acknowledged so far.
    pub(super) fn acked(&self) -> u64 {
        self.shared.acked.load(Ordering::Relaxed)
    }

    /// Waits until all goes well for a while.
    pub(super) fn wait_for_calm(&self, patience: &Patience) -> anyhow::Result<()> {
        let (began, goal) = (Instant::now(), self.acked() + super::CALM_WRITES);
        patience.until("writes to be acknowledged", || {
            Ok((self.acked() >= goal && began.elapsed() >= super::CALM).then_some(()))
        })
    }

    /// `dead` is about to be killed: from now on the first acknowledgement of another node counts.
    pub(super) fn watch(&self, dead: usize) {
        *self.shared.watch.lock() = Some(Watch { dead, first_ack: None });
        self.shared.watching.store(true, Ordering::SeqCst);
    }

    /// Who acknowledged first, and when.
    pub(super) fn first_ack(&self, patience: &Patience) -> anyhow::Result<(usize, Instant)> {
        patience.until("an acknowledgement of another master", || {
            Ok(self.shared.watch.lock().as_ref().and_then(|watch| watch.first_ack))
        })
    }

    /// Ends the load, and gives what was told.
    pub(super) fn stop(mut self) -> anyhow::Result<Ledger> {
        self.shared.stop.store(true, Ordering::SeqCst);
        let writers = std::mem::take(&mut self.writers);
        let told = writers.into_iter().map(|writer| writer.join());
        let told: Result<Vec<Told>, _> = told.collect();
        told.map(Ledger).map_err(|_| anyhow!("a writer has panicked"))
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
    }
}

impl Ledger {
    pub(super) fn acked(&self) -> u64 {
        self.sum(|told| &told.acked)
    }

    pub(super) fn refused(&self) -> u64 {
        self.sum(|told| &told.refused)
    }

    pub(super) fn unknown(&self) -> u64 {
        self.sum(|told| &told.unknown)
    }

    fn sum(&self, of: impl Fn(&Told) -> &Vec<u64>) -> u64 {
        self.0.iter().map(|told| of(told).len() as u64).sum()
    }
}

impl Shared {
    fn acknowledged_by(&self, node: usize) {
        self.acked.fetch_add(1, Ordering::Relaxed);
        if self.watching.load(Ordering::SeqCst)
            && let Some(watch) = &mut *self.watch.lock()
            && watch.dead != node
            && watch.first_ack.is_none()
        {
            watch.first_ack = Some((node, Instant::now()));
            self.watching.store(false, Ordering::SeqCst);
        }
    }
}

/// One connection's worth of writing; it follows the master from node to node.
struct Writer {
    number: usize,
    shared: Arc<Shared>,
    /// The node that is believed to be master.
    node: usize,
    client: Option<Client>,
    next: u64,
    told: Told,
}

impl Writer {
    fn new(number: usize, shared: Arc<Shared>) -> Self {
        let node = number % shared.addresses.len();
        Writer { number, shared, node, client: None, next: 0, told: Told::default() }
    }

    fn run(mut self) -> Told {
        while !self.shared.stop.load(Ordering::Relaxed) {
            if self.client.is_none() {
                self.client = Client::connect(&self.shared.addresses[self.node]).ok();
            }
            let moved = match self.client.take() {
                Some(mut client) => match self.write_some(&mut client) {
                    Ok(None) => {
                        self.client = Some(client);
                        continue;
                    }
                    Ok(Some(error)) => self.redirected(&error),
                    Err(_) => None,
                },
                None => None,
            };
            self.node = moved.unwrap_or((self.node + 1) % self.shared.addresses.len());
            thread::sleep(PAUSE);
        }
        self.told
    }

    /// Writes some keys and takes the answers. An error reply, if there was one; `Err` if the connection broke, which
    /// leaves what was not answered unknown.
    fn write_some(&mut self, client: &mut Client) -> anyhow::Result<Option<String>> {
        let numbers = self.next..self.next + DEPTH;
        self.next = numbers.end;
        for number in numbers.clone() {
            let (key, value) = (key(self.number, number), value(self.number, number));
            client.command(&[b"SET", key.as_bytes(), value.as_bytes()]);
        }
        let mut sent = client.flush();
        let mut refusal = None;
        for number in numbers {
            let reply = match &sent {
                Ok(()) => client.reply(),
                Err(_) => Err(anyhow!("not sent as a whole")),
            };
            match reply {
                Ok(BytesFrame::SimpleString(_)) => {
                    self.told.acked.push(number);
                    self.shared.acknowledged_by(self.node);
                }
                Ok(BytesFrame::Error(error)) if error.starts_with("UNKNOWNOUTCOME") => {
                    self.told.unknown.push(number);
                    refusal = Some(error.to_string());
                }
                Ok(BytesFrame::Error(error)) => {
                    self.told.refused.push(number);
                    refusal = Some(error.to_string());
                }
                Ok(other) => {
                    self.told.unknown.push(number);
                    sent = Err(anyhow!("{other:?} does not answer a SET"));
                }
                Err(error) => {
                    self.told.unknown.push(number);
                    sent = Err(error);
                }
            }
        }
        sent.map(|()| refusal)
    }

    /// The node that an error reply names last, if it is one of ours.
    fn redirected(&self, error: &str) -> Option<usize> {
        let address = error.rsplit(' ').next()?;
        self.shared.addresses.iter().position(|known| known == address)
    }
}
