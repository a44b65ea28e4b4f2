//! Transports: how channels come to be.
//!
//! There are two sides to it, dialling and listening, and one dialler for every service, so that nothing can be reached by
//! one way that is forbidden by another. A transport carries a Hello and its answer before it gives a channel out, so a channel that
//! exists has been agreed to by both sides.

use std::fmt::{self, Debug};
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::service::ServiceTable;

/// Where a transport finds somebody: `host:port` for networks, any name for a hub in memory.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address(Arc<str>);

impl Address {
    /// An address of that spelling. What it means is the transport's to say, when it is used.
    pub fn new(spelling: impl AsRef<str>) -> Self {
        Self(Arc::from(spelling.as_ref()))
    }

    /// The spelling.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Address {
    fn from(spelling: &str) -> Self {
        Self::new(spelling)
    }
}

impl From<String> for Address {
    fn from(spelling: String) -> Self {
        Self::new(spelling)
    }
}

impl From<std::net::SocketAddr> for Address {
    fn from(address: std::net::SocketAddr) -> Self {
        Self::new(address.to_string())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Debug::fmt(&*self.0, f)
    }
}

/// A way to make channels. Object-safe; share it as `Arc<dyn Transport>`.
///
/// The contract, beyond that of [`Channel`]: both verbs do the Hello (see [`hello`](crate::hello)); a transport that proves names (by
/// certificates) hands the proven name to [`ServiceTable::admit`]; a listener that fails to bind says so, and nothing listens.
pub trait Transport: Send + Sync + Debug {
    /// Reaches `address`, says `hello`, and gives the channel once the other side has accepted it.
    ///
    /// Blocks until `deadline` at most; looking up a host name may take the system longer, an address in digits never does.
    ///
    /// # Errors
    /// See [`DialError`]; `Refused` only if it is certain that nobody listens there.
    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError>;

    /// Until when others will believe who this transport proves to be; none if it proves nothing.
    fn proof_expires(&self) -> Option<SystemTime> {
        None
    }

    /// Listens on `address` and answers with `services`, until the listener is closed or dropped.
    ///
    /// # Errors
    /// [`NetError::Listen`] if the address cannot be had.
    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError>;
}

/// Something that listens. Dropping it closes it.
pub trait Listener: Send + Sync + Debug {
    /// Where it listens: what was asked for, with the port that the system chose if port 0 was.
    fn local_address(&self) -> &Address;

    /// Stops listening, hangs up on callers that have not been accepted, closes the channels whose
    /// [`accept`](crate::ServiceHandler::accept) has not returned, and joins every thread of its own. Channels that a handler took over live
    /// on; where they keep the address, as over QUIC, a call that finds them closed waits for a moment until it is free. Idempotent; a call from within a handler does not wait for that handler.
    fn close(&self);
}
