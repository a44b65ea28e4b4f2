//! Clients that look for the master, read and write a few keys that all of them share, and note what they were told.

use super::chance::Chance;
use super::history::{Ended, History, Op};
use super::network::Namespace;
use super::resp::{Client, Reply};
use anyhow::{Context, anyhow};
use parking_lot::Mutex;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// Few keys, so that clients meet.
pub(super) const KEYS: usize = 4;
/// Operations of one client in one round: more than it makes in the longest.
const OPERATIONS_MAX: usize = 4000;
const DIAL: Duration = Duration::from_millis(300);
/// After this the outcome counts as unknown, and the client goes elsewhere. There is a client for each: the impatient have written at
/// the next master when the one for whom the patient still wait wakes up and answers them.
const PATIENCES: [Duration; 4] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1500),
    Duration::from_secs(8),
];
/// Between operations, and after a refusal.
const PAUSE: Duration = Duration::from_millis(6);

/// Clients at work. They stop when this is dropped.
#[derive(Debug)]
pub(super) struct Crew {
    stop: Arc<AtomicBool>,
    history: Arc<History>,
    /// By which each client can be hung up on.
    handles: Vec<Arc<Mutex<Option<TcpStream>>>>,
    threads: Vec<JoinHandle<anyhow::Result<()>>>,
}

impl Crew {
    /// Starts clients of a round, whose keys nobody has used before, against the nodes with these Redis ports.
    pub(super) fn start(
        namespace: &Namespace,
        nodes: &[SocketAddr],
        history: History,
        round: u64,
        seed: u64,
    ) -> anyhow::Result<Crew> {
        let history = Arc::new(history);
        let (handles, threads) = (Vec::new(), Vec::new());
        let mut crew = Crew { stop: Arc::default(), history, handles, threads };
        for (number, patience) in PATIENCES.into_iter().enumerate() {
            let mut client = Wanderer {
                nodes: nodes.to_vec(),
                at: number % nodes.len(),
                connection: None,
                handle: Arc::default(),
                patience,
                history: Arc::clone(&crew.history),
                keys: (0..KEYS).map(|key| format!("r{round}.k{key}")).collect(),
                chance: Chance::split(seed, &format!("client {round} {number}")),
                process: crew.history.process(),
                written: 0,
            };
            crew.handles.push(Arc::clone(&client.handle));
            let (stop, namespace) = (Arc::clone(&crew.stop), namespace.clone());
            let thread = thread::Builder::new().name(format!("client-{number}"));
            crew.threads.push(thread.spawn(move || {
                namespace.move_here().context("a client cannot start")?;
                client.run(&stop);
                Ok(())
            })?);
        }
        Ok(crew)
    }

    /// Waits until a read and a write were answered that were asked after `since`; whether they were before `bound` was over.
    pub(super) fn answered_after(&self, since: Instant, bound: Duration) -> bool {
        while !self.history.answered_after(since) {
            if since.elapsed() > bound {
                return false;
            }
            thread::sleep(PAUSE);
        }
        true
    }

    /// Stops them, also those that wait for an answer, and gives what they noted.
    pub(super) fn stop(mut self) -> anyhow::Result<Arc<History>> {
        self.stop.store(true, Ordering::Relaxed);
        for handle in &self.handles {
            if let Some(handle) = &*handle.lock() {
                // It fails if the other side has hung up already.
                let _ = handle.shutdown(Shutdown::Both);
            }
        }
        for thread in std::mem::take(&mut self.threads) {
            thread.join().map_err(|_| anyhow!("a client has panicked"))??;
        }
        Ok(Arc::clone(&self.history))
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

struct Wanderer {
    nodes: Vec<SocketAddr>,
    /// The node that is believed to be master.
    at: usize,
    connection: Option<Client>,
    handle: Arc<Mutex<Option<TcpStream>>>,
    patience: Duration,
    history: Arc<History>,
    keys: Vec<String>,
    chance: Chance,
    process: u64,
    written: u64,
}

impl Wanderer {
    fn run(&mut self, stop: &AtomicBool) {
        let mut operations = 0;
        while operations < OPERATIONS_MAX && !stop.load(Ordering::Relaxed) {
            match self.connection.take() {
                Some(client) => {
                    operations += 1;
                    self.connection = self.operate(client);
                }
                None => self.connect(),
            }
            thread::sleep(PAUSE);
        }
    }

    fn connect(&mut self) {
        match Client::connect(self.nodes[self.at], DIAL, self.patience) {
            Ok(client) => {
                *self.handle.lock() = client.handle().ok();
                self.connection = Some(client);
            }
            Err(_) => self.go_on(),
        }
    }

    fn go_on(&mut self) {
        self.at = (self.at + 1) % self.nodes.len();
    }

    /// One operation. The connection, if it is still good for another.
    fn operate(&mut self, mut client: Client) -> Option<Client> {
        let history = Arc::clone(&self.history);
        let key = self.keys[self.chance.below(self.keys.len())].clone();
        let op = if self.chance.happens(500) { Op::Read } else { Op::Write(self.value()) };
        let asked = history.ask(self.process, &key, op.clone());
        let (ended, refusal) = match &op {
            Op::Read => told(client.ask(&[b"GET", key.as_bytes()])),
            Op::Write(value) => told(client.ask(&[b"SET", key.as_bytes(), value.as_bytes()])),
        };
        history.end(&asked, &ended);
        match (ended, refusal) {
            (Ended::Ok(_), _) => return Some(client),
            (Ended::Failed, Some(refusal)) => self.redirect(&refusal),
            (Ended::Failed, None) => self.go_on(),
            (Ended::Unknown, _) => {
                self.process = history.process();
                self.go_on();
            }
        }
        None
    }

    /// A value that nobody else writes, so that a read tells whose it was.
    fn value(&mut self) -> String {
        self.written += 1;
        format!("{}.{}", self.process, self.written)
    }

    /// To the node that a refusal names, if it names one of ours.
    fn redirect(&mut self, refusal: &str) {
        let named = refusal.rsplit(' ').next().and_then(|last| last.parse::<SocketAddr>().ok());
        match named.and_then(|named| self.nodes.iter().position(|node| *node == named)) {
            Some(node) => self.at = node,
            None => self.go_on(),
        }
    }
}

/// What an answer means, and its words if it is a refusal.
///
/// Every error but one means that the command has no effect, now or later; that is what is judged here, too.
pub(super) fn told(answer: std::io::Result<Reply>) -> (Ended, Option<String>) {
    match answer {
        Ok(Reply::Simple(_)) => (Ended::Ok(None), None),
        Ok(Reply::Value(value)) => {
            (Ended::Ok(value.map(|value| String::from_utf8_lossy(&value).into_owned())), None)
        }
        Ok(Reply::Error(error)) if error.starts_with("UNKNOWNOUTCOME") => (Ended::Unknown, None),
        Ok(Reply::Error(error)) => (Ended::Failed, Some(error)),
        // No answer to what was asked: nothing is known.
        Ok(Reply::Integer(_) | Reply::Array(_)) | Err(_) => (Ended::Unknown, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unknown_outcome_and_a_closed_connection_leave_a_write_open() {
        let error = |text: &str| told(Ok(Reply::Error(text.to_owned()))).0;
        assert_eq!(error("UNKNOWNOUTCOME x"), Ended::Unknown);
        assert_eq!(told(Err(std::io::ErrorKind::UnexpectedEof.into())).0, Ended::Unknown);
        for word in ["READONLY", "NOTMASTER", "NOREPLICAS", "TRYAGAIN", "ERR"] {
            assert_eq!(error(word), Ended::Failed);
        }
    }
}
