//! Reaching an address: the first of a name's that answers, and proof on both sides.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::pin::pin;
use std::sync::{Arc, Weak};
use std::task::Poll;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, Endpoint};

use crate::error::{DialError, TlsError};
use crate::quic::Shared;
use crate::quic::config;
use crate::quic::engine::Engine;
use crate::quic::faults::Judge;
use crate::quic::link::Link;
use crate::quic::listener::configure;
use crate::quic::waiting::wait;
use crate::socket::Side;
use crate::sync::Mutex;
use crate::tls::{Material, PROTOCOL};
use crate::transport::Address;

const DURING: &str = "agreeing on QUIC";

/// The sockets that calls are made from: one for each family of addresses, when it is needed.
#[derive(Default)]
pub(super) struct Callers {
    ipv4: Mutex<Option<Endpoint>>,
    ipv6: Mutex<Option<Endpoint>>,
}

impl fmt::Debug for Callers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Callers").finish_non_exhaustive()
    }
}

impl Callers {
    fn endpoint(&self, at: &SocketAddr, engine: &Engine) -> io::Result<Endpoint> {
        let (slot, any) = match at {
            SocketAddr::V4(_) => (&self.ipv4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            SocketAddr::V6(_) => (&self.ipv6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        let mut slot = slot.lock();
        if let Some(endpoint) = &*slot {
            return Ok(endpoint.clone());
        }
        let socket = UdpSocket::bind(any)?;
        configure(&socket);
        Ok(slot.insert(engine.calling(socket)?).clone())
    }
}

impl Shared {
    /// A new connection, to the first address of the name that answers.
    pub(super) fn connect(
        &self,
        engine: &Engine,
        address: &Address,
        material: &Arc<Material>,
        deadline: Instant,
    ) -> Result<Arc<Link>, DialError> {
        let unreachable = |error: io::Error| unreachable(address, &error);
        let candidates: Vec<_> = address.as_str().to_socket_addrs().map_err(unreachable)?.collect();
        let mut failure = None;
        for (number, at) in candidates.iter().enumerate() {
            // Silence may last: each has its share of the time.
            let left = deadline.saturating_duration_since(Instant::now());
            let share = left / u32::try_from(candidates.len() - number).unwrap_or(1);
            match self.connect_one(engine, address, at, material, Instant::now() + share) {
                Ok(link) => return Ok(link),
                // Only if every address refused is it certain that nobody listens.
                Err(error) if failure.is_some() && error.is_refused() => {}
                Err(error) => failure = Some(error),
            }
        }
        let nothing = || io::Error::new(io::ErrorKind::NotFound, "the name has no address");
        Err(failure.unwrap_or_else(|| unreachable(nothing())))
    }

    fn connect_one(
        &self,
        engine: &Engine,
        address: &Address,
        at: &SocketAddr,
        material: &Arc<Material>,
        deadline: Instant,
    ) -> Result<Arc<Link>, DialError> {
        let unreachable = |error: io::Error| unreachable(address, &error);
        let endpoint = self.callers.endpoint(at, engine).map_err(unreachable)?;
        let found = Arc::new(Mutex::new(None));
        let config = config::client(material, &self.limits, &found);
        // Before the first word of the connection: a listener that answers it with a refusal and goes at once was there for the question, so
        // nothing but what it said is heard of it.
        let probe = engine.within(|| Probe::send(at)).map_err(unreachable)?;
        // The name is asked for, and used for nothing: who is meant is looked for in the certificate.
        let connecting = endpoint
            .connect_with(config, *at, "nobody")
            .map_err(|error| unreachable(io::Error::other(error)))?;
        match wait(unless_refused(connecting, &probe), Some(deadline)) {
            None => Err(DialError::TimedOut { address: address.clone(), during: DURING }),
            Some(Err(Ended::Refused)) => Err(DialError::Refused { address: address.clone() }),
            Some(Err(Ended::Lost(error))) => {
                let judge = Judge {
                    address,
                    own_not_before: material.certificate.not_before,
                    found: found.lock().take(),
                };
                Err(judge.failure(&error, DURING))
            }
            Some(Ok(connection)) => {
                engine.farewell(connection.clone());
                let link = Arc::new(Link::new(connection, Arc::clone(material), Side::Listening));
                if protocol(&link.connection).as_deref() != Some(PROTOCOL) {
                    let (address, error) = (address.clone(), TlsError::OtherProtocol);
                    return Err(DialError::Tls { address, error });
                }
                let watch = watch(Arc::downgrade(&link), probe, self.limits.quic_keepalive);
                engine.spawn_unasked(watch);
                Ok(link)
            }
        }
    }
}

fn unreachable(address: &Address, error: &io::Error) -> DialError {
    DialError::Unreachable {
        address: address.clone(),
        kind: error.kind(),
        detail: error.to_string(),
    }
}

/// What is spoken, as both ends agreed.
pub(super) fn protocol(connection: &Connection) -> Option<Vec<u8>> {
    let data = connection.handshake_data()?;
    data.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// A datagram that nobody answers, on a socket of its own that hears if the system at the other end says that nobody has that port. So a
/// process that is gone is not waited for, where the network lets such messages through.
struct Probe(tokio::net::UdpSocket);

impl Probe {
    fn send(at: &SocketAddr) -> io::Result<Self> {
        let any = match at {
            SocketAddr::V4(_) => SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)),
            SocketAddr::V6(_) => SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0)),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(at)?;
        socket.set_nonblocking(true)?;
        // Before the runtime has it, which would not know yet that it may be written to. Whatever is wrong with that, the connection finds
        // out in its own way.
        let _ = socket.send(&[]);
        tokio::net::UdpSocket::from_std(socket).map(Self)
    }

    fn ask(&self) {
        let _ = self.0.try_send(&[]);
    }

    async fn refused(&self) {
        let heard = self.0.recv(&mut [0]).await;
        if !heard.is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused) {
            std::future::pending::<()>().await;
        }
    }
}

/// Asks now and then whether the port is still somebody's, as long as the link is there, and ends it if not: so a process that was killed is missed
/// as soon as its system says so, and not when it has been silent for long. Only diallers ask: their peer's port is one that has to be open to
/// them, where a dialler's may be hidden behind a wall that answers for it.
async fn watch(link: Weak<Link>, probe: Probe, every: Duration) {
    while tokio::time::timeout(every, probe.refused()).await.is_err() {
        match link.upgrade() {
            Some(link) if link.connection.close_reason().is_none() => probe.ask(),
            Some(_) | None => return,
        }
    }
    if let Some(link) = link.upgrade() {
        link.lose();
    }
}

enum Ended {
    Refused,
    Lost(ConnectionError),
}

async fn unless_refused(
    connecting: impl Future<Output = Result<Connection, ConnectionError>>,
    probe: &Probe,
) -> Result<Connection, Ended> {
    let (mut connecting, mut refused) = (pin!(connecting), pin!(probe.refused()));
    poll_fn(|context| match connecting.as_mut().poll(context) {
        Poll::Ready(connected) => Poll::Ready(connected.map_err(Ended::Lost)),
        Poll::Pending => refused.as_mut().poll(context).map(|()| Err(Ended::Refused)),
    })
    .await
}
