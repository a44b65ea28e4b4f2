//! Whom to trust, for the commands that ask a running member: nobody over plain TCP, or those with a certificate.

use rep_env::admin::AdminClient;
use rep_env::net::{Limits, TcpTransport};
use std::time::Duration;

#[cfg(feature = "tls")]
use rep_env::Error;
#[cfg(feature = "tls")]
use rep_env::net::{TlsConfig, TlsTransport};
#[cfg(feature = "tls")]
use std::path::PathBuf;

/// For members that speak TLS: the same files that `rep serve` is given.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Trust {
    /// The authorities that the member's certificate may be of; for members that speak TLS
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_identity")]
    tls_ca: Option<PathBuf>,
    /// A certificate of the group and its private key, to be let in with
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_ca")]
    tls_identity: Option<PathBuf>,
    /// Certificates that are trusted no more
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_ca")]
    tls_revoked: Option<PathBuf>,
    /// Certificates name members as NODE.GROUP.SUFFIX, and not as rep://GROUP/NODE
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "SUFFIX", requires = "tls_ca")]
    tls_dns_suffix: Option<String>,
}

impl Trust {
    #[cfg(feature = "tls")]
    pub(crate) fn of(ca: PathBuf, identity: PathBuf) -> Self {
        Trust { tls_ca: Some(ca), tls_identity: Some(identity), ..Trust::default() }
    }

    /// Reaches the member that listens at `address`.
    pub(crate) fn connect(&self, address: &str, patience: Duration) -> anyhow::Result<AdminClient> {
        #[cfg(feature = "tls")]
        if let Some((ca, identity)) = self.tls_ca.clone().zip(self.tls_identity.clone()) {
            let (revoked, dns_suffix) = (self.tls_revoked.clone(), self.tls_dns_suffix.clone());
            let files = Files { ca, identity, revoked, dns_suffix };
            return Ok(connect_over_tls(&files.transport()?, address, patience)?);
        }
        Ok(AdminClient::connect(&TcpTransport::new(Limits::default()), address, patience)?)
    }
}

/// Where certificates lie.
#[cfg(feature = "tls")]
#[derive(Clone, Debug)]
pub(crate) struct Files {
    pub(crate) ca: PathBuf,
    /// Certificate and key.
    pub(crate) identity: PathBuf,
    pub(crate) revoked: Option<PathBuf>,
    pub(crate) dns_suffix: Option<String>,
}

#[cfg(feature = "tls")]
impl Files {
    pub(crate) fn transport(self) -> anyhow::Result<TlsTransport> {
        let mut config = TlsConfig::from_files(&self.identity, &self.identity, &self.ca);
        if let Some(revoked) = &self.revoked {
            config = config.revoked_file(revoked);
        }
        if let Some(suffix) = &self.dns_suffix {
            config = config.dns_names_under(suffix);
        }
        Ok(TlsTransport::new(config, Limits::default())?)
    }
}

/// Asks under the name that the certificate has.
#[cfg(feature = "tls")]
pub(crate) fn connect_over_tls(
    transport: &TlsTransport,
    address: &str,
    patience: Duration,
) -> Result<AdminClient, Error> {
    let certificate = transport.certificate();
    let name = certificate.identities.first().map_or("", |identity| identity.node());
    AdminClient::connect_as(transport, name, address, patience)
}
