//! What members are spoken to, and whom of them to trust: nobody over plain TCP, or those with a certificate.

use anyhow::bail;
use rep_env::admin::AdminClient;
use rep_env::net::{Limits, TcpTransport};
use std::time::Duration;

#[cfg(feature = "tls")]
pub(crate) use proven::{Files, Proven};
#[cfg(feature = "tls")]
use std::path::PathBuf;

/// What is spoken between members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Transport {
    /// Anybody on the network can read and forge it.
    Tcp,
    /// With certificates on both sides.
    Tls,
    /// The same over UDP, with one connection to each member.
    Quic,
}

impl Transport {
    /// What was chosen, or follows from whether there are certificates. Nothing is ever spoken that is less than what was asked for.
    pub(crate) fn of(chosen: Option<Self>, has_certificates: bool) -> anyhow::Result<Self> {
        match (chosen, has_certificates) {
            (None, true) => Ok(Transport::Tls),
            (None, false) => Ok(Transport::Tcp),
            (Some(Transport::Tcp), true) => {
                bail!("tcp has no use for certificates: choose tls or quic, or leave tls_ca out")
            }
            (Some(Transport::Tls | Transport::Quic), false) => {
                bail!("tls and quic need certificates: give tls_ca and tls_identity")
            }
            (Some(chosen), _) => Ok(chosen),
        }
    }
}

/// For members that speak TLS or QUIC: the files that `rep serve` is given, but for an administrator's identity.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Trust {
    /// What the member speaks [default: tls if certificates are given, else tcp]
    #[arg(long, value_enum)]
    transport: Option<Transport>,
    /// Ask unencrypted at an address that is not this host's: whoever is on the way can read and forge the answer
    #[arg(long)]
    allow_plaintext: bool,
    /// The authorities that the member's certificate may be of; for members that speak TLS or QUIC
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_identity")]
    tls_ca: Option<PathBuf>,
    /// An administrator's certificate and its private key (`rep certs issue --admin`): members answer nobody else
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_ca")]
    tls_identity: Option<PathBuf>,
    /// Certificates that are trusted no more
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "FILE.pem", requires = "tls_ca")]
    tls_revoked: Option<PathBuf>,
    /// Certificates name members as NODE.GROUP.SUFFIX (administrators as NAME.admin.GROUP.SUFFIX), and not as rep://GROUP/NODE
    #[cfg(feature = "tls")]
    #[arg(long, value_name = "SUFFIX", requires = "tls_ca")]
    tls_dns_suffix: Option<String>,
}

impl Trust {
    #[cfg(feature = "tls")]
    pub(crate) fn of(transport: Transport, ca: PathBuf, identity: PathBuf) -> Self {
        let (tls_ca, tls_identity) = (Some(ca), Some(identity));
        Trust { transport: Some(transport), tls_ca, tls_identity, ..Trust::default() }
    }

    /// Reaches the member that listens at `address`.
    pub(crate) fn connect(&self, address: &str, patience: Duration) -> anyhow::Result<AdminClient> {
        #[cfg(feature = "tls")]
        if let Some((ca, identity)) = self.tls_ca.clone().zip(self.tls_identity.clone()) {
            let (revoked, dns_suffix) = (self.tls_revoked.clone(), self.tls_dns_suffix.clone());
            let files = Files { ca, identity, revoked, dns_suffix };
            let transport = Transport::of(self.transport, true)?;
            return Ok(files.proven(transport, Limits::default())?.connect(address, patience)?);
        }
        Transport::of(self.transport, false)?;
        let tcp = TcpTransport::new(Limits::default());
        let tcp = if self.allow_plaintext { tcp.allow_plaintext() } else { tcp };
        Ok(AdminClient::connect(&tcp, address, patience)?)
    }
}

/// Transports that prove names.
#[cfg(feature = "tls")]
mod proven {
    use super::Transport;
    use anyhow::bail;
    use rep_env::Error;
    use rep_env::admin::AdminClient;
    use rep_env::config::RepConfigBuilder;
    #[cfg(feature = "quic")]
    use rep_env::net::QuicTransport;
    use rep_env::net::tls::{CertificateInfo, TlsConfigError};
    use rep_env::net::{Identity, Limits, TlsConfig, TlsTransport};
    use std::path::PathBuf;
    use std::time::Duration;

    /// Where certificates lie.
    #[derive(Clone, Debug)]
    pub(crate) struct Files {
        pub(crate) ca: PathBuf,
        /// Certificate and key.
        pub(crate) identity: PathBuf,
        pub(crate) revoked: Option<PathBuf>,
        pub(crate) dns_suffix: Option<String>,
    }

    impl Files {
        pub(crate) fn proven(self, over: Transport, limits: Limits) -> anyhow::Result<Proven> {
            let config = self.config();
            match over {
                Transport::Tcp => bail!("tcp proves nothing"),
                Transport::Tls => Ok(Proven::Tls(TlsTransport::new(config, limits)?)),
                #[cfg(feature = "quic")]
                Transport::Quic => Ok(Proven::Quic(QuicTransport::new(config, limits)?)),
                #[cfg(not(feature = "quic"))]
                Transport::Quic => bail!("this `rep` was built without the feature `quic`"),
            }
        }

        fn config(&self) -> TlsConfig {
            let mut config = TlsConfig::from_files(&self.identity, &self.identity, &self.ca);
            if let Some(revoked) = &self.revoked {
                config = config.revoked_file(revoked);
            }
            if let Some(suffix) = &self.dns_suffix {
                config = config.dns_names_under(suffix);
            }
            config
        }
    }

    /// A transport that knows others by their certificates.
    #[derive(Debug)]
    pub(crate) enum Proven {
        Tls(TlsTransport),
        #[cfg(feature = "quic")]
        Quic(QuicTransport),
    }

    impl Proven {
        /// Has a member speak it.
        pub(crate) fn over(&self, config: RepConfigBuilder) -> RepConfigBuilder {
            match self {
                Proven::Tls(tls) => config.tls(tls.clone()),
                #[cfg(feature = "quic")]
                Proven::Quic(quic) => config.quic(quic.clone()),
            }
        }

        pub(crate) fn reload(&self) -> Result<(), TlsConfigError> {
            match self {
                Proven::Tls(tls) => tls.reload(),
                #[cfg(feature = "quic")]
                Proven::Quic(quic) => quic.reload(),
            }
        }

        pub(crate) fn certificate(&self) -> CertificateInfo {
            match self {
                Proven::Tls(tls) => tls.certificate(),
                #[cfg(feature = "quic")]
                Proven::Quic(quic) => quic.certificate(),
            }
        }

        /// Asks a member, under the name that the certificate has: an administrator's, if it has one.
        pub(crate) fn connect(
            &self,
            address: &str,
            patience: Duration,
        ) -> Result<AdminClient, Error> {
            let certificate = self.certificate();
            let names = || certificate.identities.iter().map(Identity::node);
            let administrator = names().find(|name| Identity::administrator_of(name).is_some());
            let name = administrator.or_else(|| names().next()).unwrap_or_default();
            match self {
                Proven::Tls(tls) => AdminClient::connect_as(tls, name, address, patience),
                #[cfg(feature = "quic")]
                Proven::Quic(quic) => AdminClient::connect_as(quic, name, address, patience),
            }
        }
    }
}
