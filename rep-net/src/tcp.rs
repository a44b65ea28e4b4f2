//! Channels over TCP.
//!
//! No threads of its own beyond the acceptor and one for each caller that has not been let in yet: the callers' threads
//! read and write. A frame is one vectored write, and Nagle's algorithm is off, because a frame that waits for the acknowledgement of the one
//! before costs a round trip of tens of milliseconds. The two directions share nothing but the socket.
//!
//! Anybody who can open a connection can read and forge what goes over it: this transport proves no names. Use it where the network is
//! trusted, or on loopback. Where it is not loopback, that has to be said: [`allow_plaintext`](TcpTransport::allow_plaintext).

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Instant;

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::limits::Limits;
use crate::service::ServiceTable;
use crate::socket::{self, Plain};
use crate::transport::{Address, Listener, Transport};

/// Dials and listens over TCP. Addresses are `host:port`; names are resolved.
#[derive(Debug, Clone, Default)]
pub struct TcpTransport {
    limits: Limits,
    plain: Plain,
}

impl TcpTransport {
    /// A transport with those bounds.
    pub fn new(limits: Limits) -> Self {
        Self { limits, plain: Plain::default() }
    }

    /// Listens on and dials addresses that are not this host's own too. Whoever is on the way can then read and forge everything.
    #[must_use]
    pub fn allow_plaintext(mut self) -> Self {
        self.plain = Plain { may_be_exposed: true };
        self
    }

    /// Listens on a socket that is bound already; for callers that choose their port beforehand.
    ///
    /// # Errors
    /// [`NetError::Listen`] if the socket cannot be used, [`NetError::Plaintext`] if others can reach it.
    pub fn listen_on(
        &self,
        socket: TcpListener,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let asked = Address::new("a bound socket");
        socket::listen_on(vec![socket], &asked, services, Arc::new(self.plain), &self.limits)
    }
}

impl Transport for TcpTransport {
    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        socket::dial(address, hello, deadline, &self.plain, &self.limits)
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        socket::listen(address, services, Arc::new(self.plain), &self.limits)
    }
}
