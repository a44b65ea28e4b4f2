//! Certificates and keys, read and ready for use.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rustls::client::Resumption;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, PrivateKeyDer};
use rustls::server::NoServerSessionStorage;
use rustls::version::TLS13;
use rustls::{ClientConfig, InconsistentKeys, ServerConfig};
use webpki::{CertRevocationList, OwnedCertRevocationList, anchor_from_trusted_cert};

use crate::identity::Identity;
use crate::tls::config::{Pem, TlsConfig, TlsConfigError};
use crate::tls::validity;
use crate::tls::verifier::{Naming, Verifier};

/// What is spoken under TLS. A version of the Hello that is not this one's would have another.
pub(crate) const PROTOCOL: &[u8] = b"rep/1";

/// All that one set of certificates makes possible.
pub(crate) struct Material {
    pub(crate) client: Arc<ClientConfig>,
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) naming: Naming,
    pub(crate) certificate: CertificateInfo,
    #[cfg(feature = "quic")]
    pub(crate) verifier: Arc<Verifier>,
    /// A secret of whoever has the private key.
    #[cfg(feature = "quic")]
    pub(crate) reset_key: ring::hmac::Key,
}

impl fmt::Debug for Material {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A key is among the rest.
        f.debug_struct("Material").field("certificate", &self.certificate).finish_non_exhaustive()
    }
}

/// What our own certificate says.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateInfo {
    /// The nodes that it names.
    pub identities: Vec<Identity>,
    /// It is valid from this moment on.
    pub not_before: SystemTime,
    /// It is valid up to this moment.
    pub not_after: SystemTime,
}

impl CertificateInfo {
    /// Whole days from `now` until it expires; negative if it has.
    pub fn days_left(&self, now: SystemTime) -> i64 {
        let days = |time: Duration| i64::try_from(time.as_secs() / 86_400).unwrap_or(i64::MAX);
        match self.not_after.duration_since(now) {
            Ok(left) => days(left),
            Err(over) => -1 - days(over.duration()),
        }
    }
}

impl Material {
    pub(super) fn read(config: &TlsConfig) -> Result<Self, TlsConfigError> {
        let (chain, key) = (read_chain(config)?, read_key(config)?);
        let certificate = info(config, &chain)?;
        let provider = provider();
        let verifier = Arc::new(Verifier {
            authorities: read_authorities(config)?,
            revoked: read_revoked(config)?,
            algorithms: provider.signature_verification_algorithms,
            naming: config.naming.clone(),
        });
        let unfit = |error: rustls::Error| unfit(config, &error);
        let server = server(&provider, &verifier, &chain, &key).map_err(unfit)?;
        #[cfg(feature = "quic")]
        let reset_key = derived_key(&key);
        let client = client(&provider, &verifier, chain, key).map_err(unfit)?;
        Ok(Self {
            client: Arc::new(client),
            server: Arc::new(server),
            naming: config.naming.clone(),
            certificate,
            #[cfg(feature = "quic")]
            verifier,
            #[cfg(feature = "quic")]
            reset_key,
        })
    }
}

/// A key by which a process that was started again recognises what the one before it said, and others do not.
#[cfg(feature = "quic")]
fn derived_key(key: &PrivateKeyDer<'static>) -> ring::hmac::Key {
    use ring::hmac::{HMAC_SHA256, Key, sign};

    const PURPOSE: &[u8] = b"rep: stateless reset of QUIC";
    let derived = sign(&Key::new(HMAC_SHA256, key.secret_der()), PURPOSE);
    Key::new(HMAC_SHA256, derived.as_ref())
}

/// Never what the process has installed: two libraries in one process must not choose each other's cryptography.
fn provider() -> Arc<CryptoProvider> {
    #[cfg(feature = "tls-aws-lc")]
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    #[cfg(not(feature = "tls-aws-lc"))]
    let provider = rustls::crypto::ring::default_provider();
    Arc::new(provider)
}

/// Without tickets and without a store of sessions: each connection proves afresh who is there, by the certificates and the lists that
/// are in force when it is made. Nothing is ever accepted before that.
fn server(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let mut server = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(Arc::clone(verifier) as _)
        .with_single_cert(chain.to_vec(), key.clone_key())?;
    server.alpn_protocols = vec![PROTOCOL.to_vec()];
    server.send_tls13_tickets = 0;
    server.session_storage = Arc::new(NoServerSessionStorage {});
    server.max_early_data_size = 0;
    Ok(server)
}

fn client(
    provider: &Arc<CryptoProvider>,
    verifier: &Arc<Verifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, rustls::Error> {
    let mut client = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])?
        .dangerous() // so rustls calls any verifier that is not its own; this one asks for more
        .with_custom_certificate_verifier(Arc::clone(verifier) as _)
        .with_client_auth_cert(chain, key)?;
    client.alpn_protocols = vec![PROTOCOL.to_vec()];
    client.resumption = Resumption::disabled();
    client.enable_early_data = false;
    client.enable_sni = false;
    Ok(client)
}

fn unfit(config: &TlsConfig, error: &rustls::Error) -> TlsConfigError {
    match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
            TlsConfigError::KeyMismatch {
                key: config.key.to_string(),
                certificate: config.certificate.to_string(),
            }
        }
        error => unusable("private key", &config.key, error, A_KEY),
    }
}

const A_CERTIFICATE: &str = "the node's certificate first, in a block BEGIN CERTIFICATE";
const A_KEY: &str = "one key, in a block BEGIN PRIVATE KEY";
const AUTHORITIES: &str = "one certificate of an authority or several, in blocks BEGIN CERTIFICATE";
const LISTS: &str = "lists of authorities, in blocks BEGIN X509 CRL";

fn unusable(
    what: &'static str,
    place: &Pem,
    error: impl ToString,
    expected: &'static str,
) -> TlsConfigError {
    TlsConfigError::Unusable { what, place: place.to_string(), detail: error.to_string(), expected }
}

fn read_chain(config: &TlsConfig) -> Result<Vec<CertificateDer<'static>>, TlsConfigError> {
    read_blocks("certificate", &config.certificate, A_CERTIFICATE)
}

fn read_key(config: &TlsConfig) -> Result<PrivateKeyDer<'static>, TlsConfigError> {
    warn_of_readers(&config.key);
    let bytes = config.key.read("private key")?;
    PrivateKeyDer::from_pem_slice(&bytes)
        .map_err(|error| unusable("private key", &config.key, error, A_KEY))
}

/// A key that others may read is a key that others may have.
fn warn_of_readers(key: &Pem) {
    #[cfg(unix)]
    if let Pem::File(path) = key
        && let Ok(metadata) = std::fs::metadata(path)
        && std::os::unix::fs::PermissionsExt::mode(&metadata.permissions()) & 0o077 != 0
    {
        tracing::warn!(path = %path.display(), "the private key may be read by others than its owner; chmod 600");
    }
    #[cfg(not(unix))]
    let _ = key;
}

fn read_authorities(
    config: &TlsConfig,
) -> Result<Vec<rustls::pki_types::TrustAnchor<'static>>, TlsConfigError> {
    let place = &config.authorities;
    let certificates: Vec<CertificateDer<'static>> =
        read_blocks("authorities", place, AUTHORITIES)?;
    let anchors = certificates
        .iter()
        .map(|der| anchor_from_trusted_cert(der).map(|anchor| anchor.to_owned()));
    anchors
        .collect::<Result<_, _>>()
        .map_err(|error| unusable("authorities", place, error, AUTHORITIES))
}

fn read_revoked(config: &TlsConfig) -> Result<Vec<CertRevocationList<'static>>, TlsConfigError> {
    let Some(place) = &config.revoked else { return Ok(Vec::new()) };
    let lists: Vec<CertificateRevocationListDer<'static>> = read_blocks("revoked", place, LISTS)?;
    let owned = lists.iter().map(|der| OwnedCertRevocationList::from_der(der).map(Into::into));
    owned.collect::<Result<_, _>>().map_err(|error| unusable("revoked", place, error, LISTS))
}

/// All blocks of one kind; at least one.
fn read_blocks<T: PemObject>(
    what: &'static str,
    place: &Pem,
    expected: &'static str,
) -> Result<Vec<T>, TlsConfigError> {
    let bytes = place.read(what)?;
    let blocks: Vec<T> = T::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| unusable(what, place, error, expected))?;
    match blocks.is_empty() {
        true => Err(unusable(what, place, "there is none", expected)),
        false => Ok(blocks),
    }
}

fn info(
    config: &TlsConfig,
    chain: &[CertificateDer<'static>],
) -> Result<CertificateInfo, TlsConfigError> {
    let identities = config.naming.identities(&chain[0]);
    if identities.is_empty() {
        return Err(TlsConfigError::NoIdentity {
            certificate: config.certificate.to_string(),
            expected: match &config.naming {
                Naming::Uri => "the URI rep://GROUP/NODE".to_owned(),
                Naming::Dns { suffix } => format!("the DNS name NODE.GROUP.{suffix}"),
            },
        });
    }
    let (not_before, not_after) = validity::of(&chain[0]).ok_or_else(|| {
        unusable("certificate", &config.certificate, "it has no validity", A_CERTIFICATE)
    })?;
    Ok(CertificateInfo { identities, not_before, not_after })
}
