//! Channels over TLS: encrypted, and both ends prove who they are.
//!
//! TLS 1.3 alone, mutual, by the group's own authorities; the system's are not asked. A certificate names the nodes that its holder
//! may be, as `rep://GROUP/NODE` ([`identity`](crate::identity)), and what a Hello says has to agree with it on both sides: a dialler
//! says nothing to somebody else than it meant, and a listener does not so much as look up the service for a caller who is not who it
//! claims to be. Certificates are shown on every connection: there is no resumption, and no data goes before the proof.
//!
//! Everything else is as over TCP: the same threads, bounds, deadlines and closing. A stream that ends without TLS's own word for it was cut
//! off, and its channel says [`Lost`](crate::NetError::Lost).
//!
//! # Certificates come and go
//!
//! [`reload`](TlsTransport::reload) reads certificate, key, authorities and lists again; listeners and later dials use them, connections
//! that stand go on with what they were made with. To change the authority without a pause: first every member's bundle holds both, then every
//! member gets a certificate of the new one, then every bundle holds the new one alone. A certificate that expires ends no connection
//! either, but no new one is made with it: a warning is logged once a day from [`EXPIRY_WARNING`] before that,
//! and [`certificate`](TlsTransport::certificate) says how long it is.

mod config;
mod covering;
mod credentials;
pub(crate) mod faults;
mod material;
mod session;
mod strength;
mod validity;
mod verifier;
#[cfg(feature = "quic")]
mod watched;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::limits::Limits;
use crate::service::ServiceTable;
use crate::socket::{self, Covering};
use crate::transport::{Address, Listener, Transport};

pub use config::{TlsConfig, TlsConfigError};
pub(crate) use credentials::Credentials;
pub use material::CertificateInfo;
#[cfg(feature = "quic")]
pub(crate) use material::{Material, PROTOCOL};
#[cfg(feature = "quic")]
pub(crate) use watched::Watched;

/// How long before its certificate expires a process begins to warn of it.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * DAY.as_secs());

const DAY: Duration = Duration::from_secs(86_400);

/// Dials and listens over TLS. Addresses are `host:port`; names are resolved, and prove nothing.
///
/// Clones share their certificates, and so do listeners: [`reload`](TlsTransport::reload) is for all of them.
#[derive(Debug, Clone)]
pub struct TlsTransport {
    credentials: Arc<Credentials>,
    limits: Limits,
}

impl TlsTransport {
    /// A transport of these certificates, with those bounds.
    ///
    /// # Errors
    /// [`TlsConfigError`] if something cannot be read, is not what it should be, or does not belong together.
    pub fn new(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError> {
        Ok(Self { credentials: Arc::new(Credentials::new(config)?), limits })
    }

    /// Reads everything again from where it was. Connections that stand go on; new ones are made with what was read.
    ///
    /// # Errors
    /// As [`new`](TlsTransport::new), and then what was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        self.credentials.reload()
    }

    /// As [`reload`](TlsTransport::reload), from somewhere else.
    ///
    /// # Errors
    /// As [`new`](TlsTransport::new), and then what was in force stays in force.
    pub fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        self.credentials.replace(config)
    }

    /// What our own certificate says: whom it names, and how long it is valid.
    pub fn certificate(&self) -> CertificateInfo {
        self.credentials.certificate()
    }

    /// Listens on a socket that is bound already; for callers that choose their port beforehand.
    ///
    /// # Errors
    /// [`NetError::Listen`] if the socket cannot be used.
    pub fn listen_on(
        &self,
        socket: TcpListener,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let covering = Arc::clone(&self.credentials) as Arc<dyn Covering>;
        let asked = Address::new("a bound socket");
        socket::listen_on(vec![socket], &asked, services, covering, &self.limits)
    }
}

impl Transport for TlsTransport {
    fn proof_expires(&self) -> Option<SystemTime> {
        Some(self.certificate().not_after)
    }

    fn dial(
        &self,
        address: &Address,
        hello: &Hello,
        deadline: Instant,
    ) -> Result<Arc<dyn Channel>, DialError> {
        socket::dial(address, hello, deadline, &*self.credentials, &self.limits)
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let covering = Arc::clone(&self.credentials) as Arc<dyn Covering>;
        socket::listen(address, services, covering, &self.limits)
    }
}
