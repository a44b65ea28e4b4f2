//! Sockets: bound to every address of a name, connected to the first that answers, and set as all of ours are.

use std::io;
use std::net::{SocketAddr, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use socket2::{SockRef, TcpKeepalive};

use crate::error::DialError;
use crate::limits::Limits;
use crate::socket::cover::Covering;
use crate::transport::Address;

/// Binds every address that the name stands for, so that a caller finds us under each of them, and so that a port that is taken on one is
/// reported and not silently had on another. With port 0 only the first, as there is no one port to be had on all.
pub(crate) fn bind<S>(
    addresses: impl IntoIterator<Item = SocketAddr>,
    bind_one: impl Fn(SocketAddr) -> io::Result<S>,
) -> io::Result<Vec<S>> {
    let mut sockets = Vec::new();
    let mut first_error = None;
    for at in addresses {
        match bind_one(at) {
            Ok(socket) => sockets.push(socket),
            // A host may have a name for an address family that it has not configured; any other failure is to be told.
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                first_error = first_error.or(Some(error))
            }
            Err(error) => return Err(error),
        }
        if at.port() == 0 && !sockets.is_empty() {
            break;
        }
    }
    match first_error {
        Some(error) if sockets.is_empty() => Err(error),
        None if sockets.is_empty() => {
            Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"))
        }
        Some(_) | None => Ok(sockets),
    }
}

/// Connects to the first address of the name that answers.
pub(super) fn connect(
    address: &Address,
    covering: &dyn Covering,
    deadline: Instant,
) -> Result<TcpStream, DialError> {
    let unreachable =
        |kind, detail: String| DialError::Unreachable { address: address.clone(), kind, detail };
    let candidates: Vec<SocketAddr> = address
        .as_str()
        .to_socket_addrs()
        .map_err(|error| unreachable(error.kind(), error.to_string()))?
        .collect();
    if !candidates.iter().all(|at| covering.may_be_used_at(at)) {
        return Err(DialError::Plaintext { address: address.clone() });
    }
    let mut failure = None;
    for at in candidates {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            failure = Some(io::Error::from(io::ErrorKind::TimedOut));
            break;
        }
        match connect_one(&at, left) {
            Ok(stream) => return Ok(stream),
            // Only if every address refused is it certain that nobody listens.
            Err(error) if failure.is_some() && error.kind() == io::ErrorKind::ConnectionRefused => {
            }
            Err(error) => failure = Some(error),
        }
    }
    Err(match failure {
        None => unreachable(io::ErrorKind::NotFound, "the name has no address".into()),
        Some(error) => match error.kind() {
            io::ErrorKind::ConnectionRefused => DialError::Refused { address: address.clone() },
            io::ErrorKind::TimedOut => {
                DialError::TimedOut { address: address.clone(), during: "connecting" }
            }
            kind => unreachable(kind, error.to_string()),
        },
    })
}

fn connect_one(at: &SocketAddr, left: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(at, left)?;
    // Dialling a free local port again and again sooner or later draws that same port as one's own, and TCP then connects the socket
    // with itself. Besides the nonsense, it would keep the port from the process that ought to listen there.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok(stream)
}

/// As many questions of the system that nobody answers end an idle connection.
const KEEPALIVE_QUESTIONS: u32 = 3;

/// What every connection of ours is set to, on both sides.
pub(super) fn configure(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let socket = SockRef::from(stream);
    let keepalive = TcpKeepalive::new().with_time(limits.keepalive_idle);
    #[cfg(any(target_os = "linux", target_os = "macos", target_os = "freebsd", windows))]
    let keepalive =
        keepalive.with_interval(limits.keepalive_interval).with_retries(KEEPALIVE_QUESTIONS);
    socket.set_tcp_keepalive(&keepalive)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_user_timeout(Some(limits.user_timeout))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    /// A peer that is gone without a word, as when a cable is cut, is found by the system: by its questions if nothing is said, and by what is
    /// not acknowledged otherwise.
    #[test]
    #[cfg(target_os = "linux")]
    fn the_system_is_asked_to_find_a_peer_that_is_gone_in_silence() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let limits = Limits {
            keepalive_idle: Duration::from_secs(7),
            keepalive_interval: Duration::from_secs(2),
            user_timeout: Duration::from_millis(4321),
            ..Limits::default()
        };
        configure(&stream, &limits).unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), limits.keepalive_idle);
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), limits.keepalive_interval);
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), KEEPALIVE_QUESTIONS);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(limits.user_timeout));
    }

    #[test]
    #[cfg(target_os = "linux")] // where all of 127.0.0.0/8 is this host
    fn a_port_taken_on_one_address_of_a_name_is_not_settled_for_on_another() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let first = taken.local_addr().unwrap();
        let second = SocketAddr::from(([127, 0, 0, 2], first.port()));
        for order in [[first, second], [second, first]] {
            assert_eq!(
                bind(order, TcpListener::bind).unwrap_err().kind(),
                io::ErrorKind::AddrInUse
            );
        }
        drop(taken);
        assert_eq!(bind([first, second], TcpListener::bind).unwrap().len(), 2);
    }
}
