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
mod faults;
mod material;
mod session;
mod validity;
mod verifier;

use std::net::TcpListener;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::channel::Channel;
use crate::error::{DialError, NetError};
use crate::hello::Hello;
use crate::limits::Limits;
use crate::service::ServiceTable;
use crate::socket::{self, Covering};
use crate::sync::Mutex;
use crate::transport::{Address, Listener, Transport};

pub use config::{TlsConfig, TlsConfigError};
pub use material::CertificateInfo;
use material::Material;

/// How long before its certificate expires a process begins to warn of it.
pub const EXPIRY_WARNING: Duration = Duration::from_secs(30 * DAY.as_secs());

const DAY: Duration = Duration::from_secs(86_400);

/// Dials and listens over TLS. Addresses are `host:port`; names are resolved, and prove nothing.
///
/// Clones share their certificates, and so do listeners: [`reload`](TlsTransport::reload) is for all of them.
#[derive(Debug, Clone)]
pub struct TlsTransport {
    shared: Arc<Shared>,
    limits: Limits,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: TlsConfig,
    material: Arc<Material>,
    warned: Option<Instant>,
}

impl TlsTransport {
    /// A transport of these certificates, with those bounds.
    ///
    /// # Errors
    /// [`TlsConfigError`] if something cannot be read, is not what it should be, or does not belong together.
    pub fn new(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError> {
        let material = Arc::new(Material::read(&config)?);
        let state = Mutex::new(State { config, material, warned: None });
        let transport = Self { shared: Arc::new(Shared { state }), limits };
        transport.shared.material();
        Ok(transport)
    }

    /// Reads everything again from where it was. Connections that stand go on; new ones are made with what was read.
    ///
    /// # Errors
    /// As [`new`](TlsTransport::new), and then what was in force stays in force.
    pub fn reload(&self) -> Result<(), TlsConfigError> {
        let config = self.shared.state.lock().config.clone();
        self.replace(config)
    }

    /// As [`reload`](TlsTransport::reload), from somewhere else.
    ///
    /// # Errors
    /// As [`new`](TlsTransport::new), and then what was in force stays in force.
    pub fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        let material = Arc::new(Material::read(&config)?);
        *self.shared.state.lock() = State { config, material, warned: None };
        self.shared.material();
        Ok(())
    }

    /// What our own certificate says: whom it names, and how long it is valid.
    pub fn certificate(&self) -> CertificateInfo {
        self.shared.state.lock().material.certificate.clone()
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
        let covering = Arc::clone(&self.shared) as Arc<dyn Covering>;
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
        socket::dial(address, hello, deadline, &*self.shared, &self.limits)
    }

    fn listen(
        &self,
        address: &Address,
        services: Arc<ServiceTable>,
    ) -> Result<Box<dyn Listener>, NetError> {
        let covering = Arc::clone(&self.shared) as Arc<dyn Covering>;
        socket::listen(address, services, covering, &self.limits)
    }
}

impl Shared {
    /// What is in force; with a warning now and then if it will not be for long.
    fn material(&self) -> Arc<Material> {
        let state = &mut *self.state.lock();
        let (now, certificate) = (SystemTime::now(), &state.material.certificate);
        let is_near = certificate.not_after <= now + EXPIRY_WARNING;
        if is_near && state.warned.is_none_or(|warned| warned.elapsed() >= DAY) {
            let (days_left, place) = (certificate.days_left(now), &state.config.certificate);
            tracing::warn!(days_left, certificate = %place, "our certificate expires soon, or has; renew it and reload");
            state.warned = Some(Instant::now());
        }
        Arc::clone(&state.material)
    }
}
