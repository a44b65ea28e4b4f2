//! Accepting clients, a thread for each.

use super::scan::Cursors;
use super::{DATABASE, connection};
use parking_lot::{Condvar, Mutex};
use rep_env::{Database, ReplicatedEnvironment};
use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// What can be chosen about the port.
#[derive(Clone, Debug)]
pub(crate) struct RespConfig {
    /// Clients at a time; one more is refused with an error.
    pub(crate) clients_max: usize,
}

impl Default for RespConfig {
    fn default() -> Self {
        RespConfig { clients_max: 1024 }
    }
}

/// A Redis port that is being served. Dropped without [`close`](RespServer::close), it is closed.
#[derive(Debug)]
pub(crate) struct RespServer {
    port: Arc<Port>,
    local: SocketAddr,
    acceptor: Option<JoinHandle<()>>,
}

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Port {
    pub(crate) env: ReplicatedEnvironment,
    pub(crate) database: Database,
    pub(crate) cursors: Cursors,
    pub(crate) counters: Counters,
    pub(crate) began: Instant,
    config: RespConfig,
    clients: Mutex<BTreeMap<i64, Arc<TcpStream>>>,
    /// A client has left.
    left: Condvar,
    closing: AtomicBool,
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
        let port = Arc::new(Port::new(env, config));
        let acceptor = thread::Builder::new().name("resp-accept".to_owned()).spawn({
            let port = Arc::clone(&port);
            move || accept(&port, &listener)
        })?;
        Ok(RespServer { port, local, acceptor: Some(acceptor) })
    }

    /// Where it listens.
    pub(crate) fn local_addr(&self) -> SocketAddr {
        self.local
    }

    /// Takes no more commands; waits for `patience` at most until those that were taken are answered.
    pub(crate) fn close(&mut self, patience: Duration) {
        let Some(acceptor) = self.acceptor.take() else { return };
        self.port.closing.store(true, Ordering::SeqCst);
        // The acceptor sleeps until somebody comes.
        let woken = TcpStream::connect_timeout(&reachable(self.local), Duration::from_secs(1));
        if woken.is_ok() && acceptor.join().is_err() {
            tracing::error!("the Redis port's acceptor has panicked");
        }
        self.port.hang_up(Shutdown::Read);
        self.port.wait_until_empty(patience);
        self.port.hang_up(Shutdown::Both);
    }
}

impl Drop for RespServer {
    fn drop(&mut self) {
        self.close(Duration::ZERO);
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
            config,
            clients: Mutex::default(),
            left: Condvar::new(),
            closing: AtomicBool::new(false),
        }
    }

    /// Clients that are connected.
    pub(crate) fn clients(&self) -> usize {
        self.clients.lock().len()
    }

    fn hang_up(&self, how: Shutdown) {
        for client in self.clients.lock().values() {
            // One that is gone needs no farewell.
            let _ = client.shutdown(how);
        }
    }

    fn wait_until_empty(&self, patience: Duration) {
        let deadline = Instant::now() + patience;
        let mut clients = self.clients.lock();
        while !clients.is_empty() {
            if self.left.wait_until(&mut clients, deadline).timed_out() {
                return;
            }
        }
    }

    /// Remembers a client, if there is room.
    fn admit(&self, id: i64, stream: &Arc<TcpStream>) -> bool {
        let mut clients = self.clients.lock();
        let room = clients.len() < self.config.clients_max;
        if room {
            clients.insert(id, Arc::clone(stream));
        }
        room
    }
}

fn accept(port: &Arc<Port>, listener: &TcpListener) {
    for id in 1.. {
        let accepted = listener.accept();
        if port.closing.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, _)) => welcome(port, Arc::new(stream), id),
            Err(error) => {
                // Out of file descriptors, most likely: give those who are here time to leave.
                tracing::warn!(%error, "cannot accept a client");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }
}

fn welcome(port: &Arc<Port>, stream: Arc<TcpStream>, id: i64) {
    port.counters.clients.fetch_add(1, Ordering::Relaxed);
    if !port.admit(id, &stream) {
        return connection::refuse(&stream, "ERR max number of clients reached");
    }
    let client = Client { port: Arc::clone(port), stream, id };
    let spawned = thread::Builder::new().name(format!("resp-{id}")).spawn(move || client.serve());
    if let Err(error) = spawned {
        tracing::warn!(%error, "no thread for a client");
    }
}

/// A client that is connected; forgotten when this is dropped, however its thread ends.
struct Client {
    port: Arc<Port>,
    stream: Arc<TcpStream>,
    id: i64,
}

impl Client {
    fn serve(&self) {
        if let Err(error) = connection::serve(&self.port, &self.stream, self.id) {
            tracing::debug!(client = self.id, %error, "a client is gone");
        }
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        self.port.clients.lock().remove(&self.id);
        self.port.left.notify_all();
    }
}

/// Where this machine reaches a listener of its own.
fn reachable(local: SocketAddr) -> SocketAddr {
    match local {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => (Ipv4Addr::LOCALHOST, v4.port()).into(),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => (Ipv6Addr::LOCALHOST, v6.port()).into(),
        other => other,
    }
}
