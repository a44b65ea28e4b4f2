//! Writers whose every key is written once: what was acknowledged has to be everywhere in the end, and what was refused nowhere.
//!
//! One writer belongs to each node and stays with it, so that one that waits for a frozen node holds up none that could tell of
//! a new master. So the journal also measures how long a group took to serve again.

use super::crew::told;
use super::history::Ended;
use super::network::Namespace;
use super::resp::Client;
use anyhow::{Context, anyhow};
use parking_lot::{Condvar, Mutex};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

const DIAL: Duration = Duration::from_millis(200);
/// After this the write's outcome is unknown, and the next is tried.
const PATIENCE: Duration = Duration::from_millis(400);
const PAUSE: Duration = Duration::from_millis(10);
/// Bytes of a value when much is to be written.
const BULK_BYTES: usize = 16 << 10;

/// The key of a write: by whom, the how manyeth.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Line {
    writer: usize,
    number: u64,
}

impl Line {
    pub(super) fn new(writer: usize, number: u64) -> Line {
        Line { writer, number }
    }

    pub(super) fn key(self) -> String {
        format!("j{}.{:08}", self.writer, self.number)
    }

    /// Begins with what no other line has.
    pub(super) fn value(self, bulk: bool) -> Vec<u8> {
        let mut value = format!("{:016x}", self.mark()).into_bytes();
        if bulk {
            value.resize(BULK_BYTES, b'.');
        }
        value
    }

    fn mark(self) -> u64 {
        (self.number << 8 | self.writer as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }

    /// Whether `value` is what this line wrote.
    pub(super) fn wrote(self, value: &[u8]) -> bool {
        value.starts_with(&self.value(false))
    }
}

/// What the writers were told.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    pub(super) acked: Vec<Line>,
    pub(super) refused: Vec<Line>,
    pub(super) unknown: Vec<Line>,
}

/// The writers at work. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Journal {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    bulk: AtomicBool,
    state: Mutex<State>,
    acknowledged: Condvar,
}

#[derive(Debug, Default)]
struct State {
    ledger: Ledger,
    /// Of each acknowledged write, in the order of acknowledgements, when it was asked and when it was acknowledged.
    times: Vec<(Instant, Instant)>,
}

impl State {
    /// When the first write was acknowledged that was asked after `since`.
    fn first_asked_after(&self, since: Instant) -> Option<Instant> {
        let later = self.times.partition_point(|(_, acked)| *acked < since);
        let first = self.times[later..].iter().find(|(asked, _)| *asked >= since);
        first.map(|(_, acked)| *acked)
    }
}

impl Journal {
    /// Starts one writer for each of the nodes with these Redis ports.
    pub(super) fn start(namespace: &Namespace, nodes: &[SocketAddr]) -> anyhow::Result<Journal> {
        let mut journal = Journal { shared: Arc::default(), threads: Vec::new() };
        for (number, node) in nodes.iter().enumerate() {
            let mut writer = Writer {
                number,
                node: *node,
                client: None,
                next: 0,
                shared: Arc::clone(&journal.shared),
            };
            let namespace = namespace.clone();
            let thread = thread::Builder::new().name(format!("journal-{number}"));
            journal.threads.push(thread.spawn(move || {
                namespace.move_here().context("a writer cannot start")?;
                writer.run();
                Ok(())
            })?);
        }
        Ok(journal)
    }

    /// Waits for the acknowledgement of a write that was asked after `since`; how long after that it came.
    pub(super) fn served_after(&self, since: Instant, bound: Duration) -> Option<Duration> {
        let mut state = self.shared.state.lock();
        loop {
            if let Some(acked) = state.first_asked_after(since) {
                return Some(acked - since);
            }
            let left = (since + bound).checked_duration_since(Instant::now())?;
            self.shared.acknowledged.wait_for(&mut state, left);
        }
    }

    /// Whether values are large from now on.
    pub(super) fn write_bulk(&self, bulk: bool) {
        self.shared.bulk.store(bulk, Ordering::Relaxed);
    }

    /// Stops the writers, and gives what they were told.
    pub(super) fn stop(mut self) -> anyhow::Result<Ledger> {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in std::mem::take(&mut self.threads) {
            thread.join().map_err(|_| anyhow!("a writer has panicked"))??;
        }
        Ok(std::mem::take(&mut self.shared.state.lock().ledger))
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
    }
}

struct Writer {
    number: usize,
    node: SocketAddr,
    client: Option<Client>,
    next: u64,
    shared: Arc<Shared>,
}

impl Writer {
    fn run(&mut self) {
        while !self.shared.stop.load(Ordering::Relaxed) {
            match self.client.take() {
                Some(client) => self.client = self.write(client),
                None => self.client = Client::connect(self.node, DIAL, PATIENCE).ok(),
            }
            thread::sleep(PAUSE);
        }
    }

    /// One line. The connection, if it is still good for another.
    fn write(&mut self, mut client: Client) -> Option<Client> {
        let line = Line::new(self.number, self.next);
        self.next += 1;
        let value = line.value(self.shared.bulk.load(Ordering::Relaxed));
        let asked = Instant::now();
        let answer = client.ask(&[b"SET", line.key().as_bytes(), &value]);
        // An error reply leaves the connection in order; silence does not, the answer may still come.
        let keep = answer.is_ok();
        let (ended, _) = told(answer);
        self.note(line, &ended, asked);
        keep.then_some(client)
    }

    fn note(&self, line: Line, ended: &Ended, asked: Instant) {
        let mut state = self.shared.state.lock();
        match ended {
            Ended::Ok(_) => {
                state.ledger.acked.push(line);
                state.times.push((asked, Instant::now()));
                self.shared.acknowledged.notify_all();
            }
            Ended::Failed => state.ledger.refused.push(line),
            Ended::Unknown => state.ledger.unknown.push(line),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_knows_its_value_and_no_other() {
        for bulk in [false, true] {
            assert!(Line::new(1, 7).wrote(&Line::new(1, 7).value(bulk)));
            assert!(!Line::new(1, 7).wrote(&Line::new(2, 7).value(bulk)));
            assert!(!Line::new(1, 7).wrote(&Line::new(1, 8).value(bulk)));
        }
        assert!(!Line::new(1, 7).wrote(b""));
    }

    #[test]
    fn the_first_write_that_was_asked_after_a_moment_counts_and_no_earlier_or_later_one() {
        let begun = Instant::now();
        let at = |millis| begun + Duration::from_millis(millis);
        let times = vec![(at(0), at(2)), (at(3), at(9)), (at(5), at(9)), (at(8), at(10))];
        let state = State { ledger: Ledger::default(), times };
        assert_eq!(state.first_asked_after(at(4)), Some(at(9)));
        assert_eq!(state.first_asked_after(at(6)), Some(at(10)));
        assert_eq!(state.first_asked_after(at(9)), None);
    }
}
