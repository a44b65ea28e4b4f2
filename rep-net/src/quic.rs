//! Channels over QUIC: the certificates of [`tls`](crate::tls), one connection for each peer, a stream of it for each channel.
//!
//! Who may talk to whom is decided as over TLS: by the same files, the same checks and the same reasons, on both sides, reload and lists
//! of what is revoked included. What differs is below. Channels to one address share a connection, so a second one costs no second proof, a
//! datagram that is lost holds up the channel that it belongs to and no other, and when the connection is lost all of its channels are, at
//! once. The proof is looked at anew for every channel: if it would not be believed any more, a new connection has to be made.
//!
//! # One thread
//!
//! quinn is asynchronous, and this crate is not. Each transport has one thread, `rep-quic`, with a small runtime on it, from its first use until
//! the last of its channels and listeners is gone. Threads that send put whole frames into an outbox; threads that receive read from the
//! stream themselves. None of them needs a runtime, and all may be somebody else's.
//!
//! # What is bounded
//!
//! A channel holds [`queue_bytes_max`](Limits::queue_bytes_max) in its outbox, and as much may be under way or waiting to be received; a
//! connection has [`quic_channels_max`](Limits::quic_channels_max) channels. A frame that is longer is taken in as it is received. Callers in a
//! handshake are counted, in total and by address; when half of the places are taken, a caller first has to show that it is at the address
//! that it writes from. Datagrams begin at 1200 bytes, which fit through any path, and grow if longer ones get through. There are no
//! tickets and there is no early data.
//!
//! # Who has gone
//!
//! A process that ends in order says so. One that was killed cannot, but its system tells who asks that nobody has its port any more. So a dialler
//! asks, when it dials ([`Refused`](DialError::Refused)) and every [`quic_keepalive`](Limits::quic_keepalive) from then on. Where the network hides such answers, and on the side that
//! was dialled, a peer is missed when nothing was heard of it for [`quic_idle_timeout`](Limits::quic_idle_timeout), or, if it was started again with
//! the same key, when something is sent to it.

mod channel;
mod config;
mod connecting;
mod dialling;
mod engine;
mod faults;
mod greeting;
mod half_open;
mod line;
mod link;
mod listener;
mod outbox;
mod pool;
mod pump;
mod waiting;

use std::io;
use std::net::{ToSocketAddrs, UdpSocket};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::limits::Limits;
use crate::quic::connecting::Callers;
use crate::quic::dialling::Call;
use crate::quic::engine::Engine;
use crate::quic::greeting::Reception;
use crate::quic::link::Link;
use crate::quic::pool::Pool;
use crate::service::ServiceTable;
use crate::socket;
use crate::sync::Mutex;
use crate::tls::{CertificateInfo, Credentials, TlsConfig, TlsConfigError};
use crate::transport::{Address, Listener, Transport};

/// Dials and listens over QUIC. Addresses are `host:port`, of UDP; names are resolved, and prove nothing.
///
/// Clones share their certificates, connections and thread.
#[derive(Debug, Clone)]
pub struct QuicTransport {
    shared: Arc<Shared>,
}

/// What the clones of a transport share.
#[derive(Debug)]
struct Shared {
    credentials: Arc<Credentials>,
    limits: Limits,
    pool: Pool<Link>,
    callers: Callers,
    // Behind whatever lives on it, so that it goes last.
    engine: Mutex<Option<Arc<Engine>>>,
}

impl QuicTransport {
    /// A transport of these certificates, with those bounds.
    ///
    /// # Errors
    /// [`TlsConfigError`] if something cannot be read, is not what it should be, or does not belong together.
    pub fn new(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError> {
        let shared = Shared {
            credentials: Arc::new(Credentials::new(config)?),
            limits,
            pool: Pool::default(),
            callers: Callers::default(),
            engine: Mutex::new(None),
        };
        Ok(Self { shared: Arc::new(shared) })
    }

    /// Reads everything again from where it was. Channels that exist go on; new ones are made with what was read.
    ///
    /// # Errors
    /// As [`new`](QuicTransport::new), and then what was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        self.shared.credentials.reload()
    }

    /// As [`reload`](QuicTransport::reload), from somewhere else.
    ///
    /// # Errors
    /// As [`new`](QuicTransport::new), and then what was in force stays in force.
    pub fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        self.shared.credentials.replace(config)
    }

    /// What our own certificate says: whom it names, and how long it is valid.
    pub fn certificate(&self) -> CertificateInfo {
        self.shared.credentials.certificate()
    }

    /// The bounds that it was made with.
    pub fn limits(&self) -> &Limits {
        &self.shared.limits
    }

    /// Listens on a socket that is bound already; for callers that choose their port beforehand.
    ///
    /// # Errors
    /// [`NetError::Listen`] if the socket cannot be used.
    pub fn listen_on(
        &self,
        socket: UdpSocket,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        self.shared.listen_on(vec![socket], &Address::new("a bound socket"), services)
    }
}

impl Transport for QuicTransport {
    fn proof_expires(&self) -> Option<SystemTime> {
        Some(self.certificate().not_after)
    }

    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        let engine = &self.shared.engine().map_err(|error| DialError::Unreachable {
            address: address.clone(),
            kind: error.kind(),
            detail: error.to_string(),
        })?;
        Call { shared: &self.shared, engine, address, hello, deadline }.dial()
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let bound = address.as_str().to_socket_addrs();
        let bound = bound.and_then(|all| socket::bind(all, UdpSocket::bind));
        let sockets = bound.map_err(|error| NetError::listen(address, &error))?;
        self.shared.listen_on(sockets, address, services)
    }
}

impl Shared {
    fn engine(&self) -> io::Result<Arc<Engine>> {
        let mut engine = self.engine.lock();
        if let Some(engine) = &*engine {
            return Ok(Arc::clone(engine));
        }
        Ok(Arc::clone(engine.insert(Arc::new(Engine::start()?))))
    }

    fn listen_on(
        &self,
        sockets: Vec<UdpSocket>,
        asked: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let engine = self.engine().map_err(|error| NetError::listen(asked, &error))?;
        let reception = Reception::new(services, Arc::clone(&self.credentials), &self.limits);
        listener::start(sockets, asked, engine, reception)
    }
}
