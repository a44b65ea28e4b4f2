//! Taking calls: the acceptor never waits for a caller, and a caller has only so long.

use std::io::{self, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::calling::{Guest, calling_peer, judge_hello, malformed};
use crate::channel::Channel;
use crate::closing::Closing;
use crate::error::{NetError, TlsError};
use crate::hello::Answer;
use crate::limits::Limits;
use crate::seats::Seats;
use crate::service::{Admitted, ServiceTable};
use crate::socket::connect::{bind, configure};
use crate::socket::cover::{Covering, Side};
use crate::socket::handshake::{Handshake, HandshakeError};
use crate::sync::Mutex;
use crate::transport::{Address, Listener};
use crate::workers::{NotStarted, Place, Workers, join_all};

/// How long to wait after a failed accept, at first and at most. Such failures (no more descriptors, say) come in showers and pass.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// Listens on every address that the name stands for.
pub(crate) fn listen(
    address: &Address,
    services: Arc<ServiceTable>,
    covering: Arc<dyn Covering>,
    limits: &Limits,
) -> Result<Box<dyn Listener>, NetError> {
    let failed = |error: io::Error| NetError::listen(address, &error);
    let all: Vec<SocketAddr> = address.as_str().to_socket_addrs().map_err(failed)?.collect();
    if !all.iter().all(|at| covering.may_be_used_at(at)) {
        return Err(NetError::Plaintext { address: address.clone() });
    }
    let sockets = bind(all, TcpListener::bind).map_err(failed)?;
    start(sockets, address, services, covering, limits)
}

/// Starts one acceptor for each socket.
pub(crate) fn start(
    sockets: Vec<TcpListener>,
    asked: &Address,
    services: Arc<ServiceTable>,
    covering: Arc<dyn Covering>,
    limits: &Limits,
) -> Result<Box<dyn Listener>, NetError> {
    let failed = |error: io::Error| NetError::listen(asked, &error);
    let first =
        sockets.first().expect("at least one socket was bound").local_addr().map_err(failed)?;
    // Those that were bound for us are seen here for the first time.
    if !covering.may_be_used_at(&first) {
        return Err(NetError::Plaintext { address: first.into() });
    }
    let reception = Arc::new(Reception {
        services,
        covering,
        limits: limits.clone(),
        workers: Workers::new(limits),
        seats: Seats::new(limits),
        closing: Closing::default(),
    });
    let listening = SocketListening {
        address: first.into(),
        sockets: sockets.into_iter().map(Arc::new).collect(),
        reception,
        acceptors: Mutex::new(Vec::new()),
    };
    for socket in &listening.sockets {
        // A listener handed to us may be in non-blocking mode.
        socket.set_nonblocking(false).map_err(failed)?;
        let (socket, reception) = (Arc::clone(socket), Arc::clone(&listening.reception));
        let acceptor = thread::Builder::new()
            .name("rep-accept".into())
            .spawn(move || reception.take_calls(&socket))
            .map_err(failed)?;
        listening.acceptors.lock().push(acceptor);
    }
    Ok(Box::new(listening))
}

#[derive(Debug)]
struct SocketListening {
    address: Address,
    sockets: Vec<Arc<TcpListener>>,
    reception: Arc<Reception>,
    acceptors: Mutex<Vec<JoinHandle<()>>>,
}

impl Listener for SocketListening {
    fn local_address(&self) -> &Address {
        &self.address
    }

    fn close(&self) {
        let reception = &self.reception;
        reception.closing.begin();
        self.sockets.iter().for_each(|socket| wake_acceptor(socket));
        join_all(std::mem::take(&mut self.acceptors.lock()));
        reception.workers.stop();
        reception.workers.join();
    }
}

impl Drop for SocketListening {
    fn drop(&mut self) {
        self.close();
    }
}

/// Ends a blocking accept. On Linux a shut socket does; elsewhere it takes a call.
fn wake_acceptor(socket: &TcpListener) {
    let shut = SockRef::from(socket).shutdown(Shutdown::Both);
    if cfg!(target_os = "linux") && shut.is_ok() {
        return;
    }
    if let Ok(mut at) = socket.local_addr() {
        if at.ip().is_unspecified() {
            at.set_ip(match at {
                SocketAddr::V4(_) => std::net::Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => std::net::Ipv6Addr::LOCALHOST.into(),
            });
        }
        let _ = TcpStream::connect_timeout(&at, Duration::from_millis(500));
    }
}

/// What the acceptors and the threads of the callers share.
#[derive(Debug)]
struct Reception {
    services: Arc<ServiceTable>,
    covering: Arc<dyn Covering>,
    limits: Limits,
    workers: Arc<Workers>,
    seats: Arc<Seats>,
    closing: Closing,
}

impl Reception {
    fn take_calls(self: &Arc<Self>, socket: &TcpListener) {
        let mut backoff = BACKOFF.0;
        loop {
            let accepted = socket.accept();
            if self.closing.has_begun() {
                return;
            }
            match accepted {
                Ok((stream, from)) => {
                    backoff = BACKOFF.0;
                    self.take_call(stream, from);
                }
                // The caller's own change of mind.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::ConnectionAborted | io::ErrorKind::Interrupted
                    ) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot take a call; trying again");
                    if self.closing.pause(Instant::now() + backoff) {
                        return;
                    }
                    backoff = (backoff * 2).min(BACKOFF.1);
                }
            }
        }
    }

    /// Gives a call to a thread of its own, at once.
    fn take_call(self: &Arc<Self>, stream: TcpStream, from: SocketAddr) {
        let deadline = Instant::now() + self.limits.hello_timeout;
        let handles = configure(&stream, &self.limits)
            .and_then(|()| Ok((stream.try_clone()?, stream.try_clone()?)));
        let (hang_up, busy) = match handles {
            Ok(handles) => handles,
            Err(error) => return tracing::warn!(%error, %from, "a call failed as it was taken"),
        };
        let reception = Arc::clone(self);
        let stop = Box::new(move || drop(hang_up.shutdown(Shutdown::Both)));
        let job = move |place: &Place| reception.greet(place, stream, from, deadline);
        match self.workers.start(Some(from.ip()), stop, job) {
            Ok(()) | Err(NotStarted::Closing) => {}
            Err(NotStarted::Busy) => {
                tracing::info!(%from, "too many callers have not said Hello; one more was turned away");
                turn_away(&busy, &self.covering.busy());
            }
        }
    }

    /// Hears a caller out, answers, and hands the channel to the service; on the caller's own thread.
    fn greet(&self, place: &Place, stream: TcpStream, from: SocketAddr, deadline: Instant) {
        let Some((mut handshake, guest)) = self.hear(stream, from, deadline) else { return };
        let Guest { hello, admitted: Admitted { accepted, handler }, seat } = guest;
        let peer = calling_peer(&hello, &accepted, from.into());
        if handshake.send(&Answer::Accepted(accepted).encode()).is_err() {
            return tracing::debug!(%from, "a caller left before it was answered");
        }
        match handshake.into_channel(peer, seat, &self.limits) {
            Ok(channel) => {
                let channel = Arc::new(channel);
                let stop = Arc::clone(&channel);
                if place.serve(Box::new(move || stop.close())) {
                    handler.accept(hello, channel);
                }
            }
            Err(error) => tracing::warn!(%from, %error, "a connection failed as it was accepted"),
        }
    }

    /// Hears a caller out: a Hello that may be accepted, or none, and then the caller has been told why.
    fn hear(
        &self,
        stream: TcpStream,
        from: SocketAddr,
        deadline: Instant,
    ) -> Option<(Handshake, Guest)> {
        let covering = &*self.covering;
        let begun = Handshake::begin(covering, Side::Listening, stream, deadline, &self.limits);
        let mut handshake = begun.map_err(|error| log_unheard(from, &error)).ok()?;
        let judged = match handshake.receive() {
            Ok(frame) => {
                judge_hello(&self.services, &self.seats, &frame, handshake.proved.as_deref())
            }
            Err(HandshakeError::Frame(error)) => Err(Some(malformed(error))),
            Err(HandshakeError::Tls(error @ TlsError::TlsSpoken)) => Err(Some(malformed(error))),
            Err(error) => {
                log_unheard(from, &error);
                return None;
            }
        };
        match judged {
            Ok(guest) => return Some((handshake, guest)),
            Err(None) => tracing::debug!(%from, "a caller speaks another protocol"),
            Err(Some(reason)) => {
                tracing::info!(%from, %reason, "a caller was refused");
                let _ = handshake.send(&Answer::Refused(reason).encode());
                handshake.end();
            }
        }
        None
    }
}

fn log_unheard(from: SocketAddr, error: &HandshakeError) {
    match error {
        HandshakeError::TimedOut => tracing::debug!(%from, "a caller took too long to say Hello"),
        HandshakeError::Ended(detail) => tracing::debug!(%from, detail, "a caller hung up"),
        HandshakeError::Frame(error) => tracing::debug!(%from, %error, "a caller sent no Hello"),
        HandshakeError::Tls(reason) => tracing::info!(%from, %reason, "a caller was refused"),
    }
}

/// Says that there is no room, without reading a byte or waiting: the answer fits into the empty send buffer of a new connection.
fn turn_away(mut stream: &TcpStream, answer: &[u8]) {
    let _ = stream.set_nonblocking(true).and_then(|()| stream.write_all(answer));
}
