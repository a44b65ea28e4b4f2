//! The port as a whole: what its threads share, how it begins and ends.

use super::DATABASE;
use super::front::{self, Start};
use super::helper::Helper;
use super::mailbox::{Letter, Mailbox};
use super::memory::Memory;
use super::password::Password;
use super::poll::Poll;
use super::scan::Cursors;
use parking_lot::Mutex;
use rep_env::config::Timing;
use rep_env::{Database, Durability, ReplicatedEnvironment};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What can be chosen about the port.
#[derive(Clone, Debug)]
pub(crate) struct RespConfig {
    /// Threads that serve clients.
    pub(crate) fronts: usize,
    /// Clients at a time; one more is refused with an error.
    pub(crate) clients_max: usize,
    /// Bytes that all clients together may make the port keep beyond a small share for each.
    pub(crate) memory_bytes_max: usize,
    /// A client that takes no reply for so long is hung up on.
    pub(crate) client_timeout: Duration,
    /// So is one that wants more memory than its share for so long while there is none, or keeps some and says nothing.
    pub(crate) memory_timeout: Duration,
    /// What clients have to say first.
    pub(crate) password: Option<Password>,
    /// How far a write has to have come before it is answered.
    pub(crate) durability: Durability,
    /// How long a write waits for its turn.
    pub(crate) begin_timeout: Duration,
    /// How long a write waits for enough live members.
    pub(crate) replicas_wait: Duration,
    /// How long a write waits for room.
    pub(crate) busy_wait: Duration,
}

impl RespConfig {
    /// Writes wait for as long as those of a program that uses the library.
    pub(crate) fn timing(mut self, timing: &Timing) -> Self {
        self.begin_timeout = timing.begin_timeout;
        self.replicas_wait = timing.replicas_wait;
        self.busy_wait = timing.busy_wait;
        self
    }
}

impl Default for RespConfig {
    fn default() -> Self {
        RespConfig {
            fronts: 1,
            clients_max: 1024,
            memory_bytes_max: 256 << 20,
            client_timeout: Duration::from_secs(30),
            memory_timeout: Duration::from_secs(10),
            password: None,
            durability: Durability::default(),
            begin_timeout: Duration::ZERO,
            replicas_wait: Duration::ZERO,
            busy_wait: Duration::ZERO,
        }
        .timing(&Timing::default())
    }
}

/// A Redis port that is being served. Dropped without [`close`](RespServer::close), it is closed.
#[derive(Debug)]
pub(crate) struct RespServer {
    local: SocketAddr,
    fronts: Vec<(Arc<Mailbox>, JoinHandle<()>)>,
}

/// What all clients and threads share.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) env: ReplicatedEnvironment,
    pub(crate) database: Database,
    pub(crate) cursors: Cursors,
    pub(crate) counters: Counters,
    pub(crate) began: Instant,
    pub(crate) config: RespConfig,
    pub(super) memory: Memory,
    /// Clients that are connected.
    pub(super) clients: AtomicUsize,
    /// One front at a time builds a transaction.
    pub(super) turn: Mutex<()>,
    futures: AtomicU64,
}

/// Numbers for `INFO`.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    pub(crate) clients: AtomicU64,
    pub(crate) commands: AtomicU64,
}

impl RespServer {
    /// Serves `env` to whoever connects to `listener`.
    pub(crate) fn start(
        listener: TcpListener,
        env: ReplicatedEnvironment,
        config: RespConfig,
    ) -> io::Result<Self> {
        let local = listener.local_addr()?;
        listener.set_nonblocking(true)?;
        let port = Arc::new(Port::new(env, config));
        let helper = Helper::start(Arc::clone(&port))?;
        let polls = (0..port.config.fronts.max(1)).map(|_| {
            let poll = Poll::new()?;
            let mailbox = Arc::new(Mailbox::new(poll.bell()));
            Ok((poll, mailbox))
        });
        let polls = polls.collect::<io::Result<Vec<_>>>()?;
        let mailboxes: Vec<_> = polls.iter().map(|(_, mailbox)| Arc::clone(mailbox)).collect();
        let mut server = RespServer { local, fronts: Vec::new() };
        let mut listener = Some(listener);
        for (poll, mailbox) in polls {
            let start = Start {
                poll,
                mailbox: Arc::clone(&mailbox),
                listener: listener.take(),
                fronts: mailboxes.clone(),
                helper: helper.clone(),
            };
            let port = Arc::clone(&port);
            let name = format!("resp-{}", server.fronts.len() + 1);
            let thread = thread::Builder::new().name(name).spawn(move || serve(&port, start))?;
            server.fronts.push((mailbox, thread));
        }
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes no more commands; waits for `patience` at most until those that were taken are answered.
    pub(crate) fn close(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        for (mailbox, _) in &self.fronts {
            mailbox.put(Letter::Close(until));
        }
        for (_, thread) in self.fronts.drain(..) {
            if thread.join().is_err() {
                tracing::error!("a thread of the Redis port has panicked");
            }
        }
    }
}

impl Drop for RespServer {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
    }
}

fn serve(port: &Port, start: Start) {
    if let Err(error) = front::run(port, start) {
        tracing::error!(%error, "the Redis port cannot go on");
    }
}

impl Port {
    /// A port that nobody is connected to yet.
    pub(crate) fn new(env: ReplicatedEnvironment, config: RespConfig) -> Self {
        Port {
            env,
            database: Database::new(DATABASE),
            cursors: Cursors::new(),
            counters: Counters::default(),
            began: Instant::now(),
            memory: Memory::new(config.memory_bytes_max),
            clients: AtomicUsize::new(0),
            turn: Mutex::new(()),
            futures: AtomicU64::new(0),
            config,
        }
    }

    /// Clients that are connected.
    pub(crate) fn clients(&self) -> usize {
        self.clients.load(Ordering::SeqCst)
    }

    pub(super) fn is_full(&self) -> bool {
        self.clients() >= self.config.clients_max
    }

    /// A number for a client that has just come, from 1.
    pub(super) fn next_client(&self) -> i64 {
        self.counters.clients.fetch_add(1, Ordering::Relaxed) as i64 + 1
    }

    /// A number for a future, never used again.
    pub(super) fn next_future(&self) -> u64 {
        self.futures.fetch_add(1, Ordering::Relaxed)
    }
}
