//! Transports of ours that prove names, and what is asked of them beyond what every transport can.

use crate::config::Timing;
use crate::error::Error;
#[cfg(feature = "quic")]
use rep_net::QuicTransport;
use rep_net::tls::CertificateInfo;
use rep_net::{Identity, TlsTransport};
use std::time::Duration;

/// The transport of a node that knows its peers by certificates.
#[derive(Debug)]
pub(crate) enum Proving {
    Tls(TlsTransport),
    #[cfg(feature = "quic")]
    Quic(QuicTransport),
}

impl Proving {
    fn option(&self) -> &'static str {
        match self {
            Proving::Tls(_) => "tls",
            #[cfg(feature = "quic")]
            Proving::Quic(_) => "quic",
        }
    }

    fn certificate(&self) -> CertificateInfo {
        match self {
            Proving::Tls(tls) => tls.certificate(),
            #[cfg(feature = "quic")]
            Proving::Quic(quic) => quic.certificate(),
        }
    }

    /// Whether it can serve that node. A certificate of somebody else would be refused by every peer, one by one; and a connection whose
    /// silence is noticed after an election is of no use to it.
    pub(crate) fn check(&self, own: &Identity, timing: &Timing) -> Result<(), Error> {
        let wrong = |problem| Err(Error::config(self.option(), problem));
        let named = self.certificate().identities;
        if !named.contains(own) {
            let named: Vec<String> = named.iter().map(Identity::to_string).collect();
            return wrong(format!(
                "the certificate is for {}, and this node is {own}",
                named.join(", ")
            ));
        }
        match self.keepalive().filter(|keepalive| *keepalive >= timing.election_timeout) {
            None => Ok(()),
            Some(keepalive) => wrong(format!(
                "its quic_keepalive of {keepalive:?} has to be below the election_timeout of {:?}",
                timing.election_timeout
            )),
        }
    }

    /// How soon it asks for a silent peer, if it does so itself.
    fn keepalive(&self) -> Option<Duration> {
        match self {
            Proving::Tls(_) => None,
            #[cfg(feature = "quic")]
            Proving::Quic(quic) => Some(quic.limits().quic_keepalive),
        }
    }
}

/// A connection of QUIC that has been silent for less is not lost: a machine may stand still for a moment.
const QUIC_IDLE_MIN: Duration = Duration::from_secs(2);

impl Timing {
    /// Bounds for a transport that fit these times: over QUIC, a silent peer is asked four times within an election timeout, and lost
    /// after two of them, or two seconds.
    pub fn transport_limits(&self) -> rep_net::Limits {
        let mut limits = rep_net::Limits::default();
        limits.quic_keepalive = self.election_timeout / 4;
        limits.quic_idle_timeout = QUIC_IDLE_MIN.max(self.election_timeout * 2);
        limits
    }
}
