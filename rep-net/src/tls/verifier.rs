//! Whether a certificate is to be believed: by the group's own authorities, in its time, for its use, not revoked, and naming a node.
//!
//! The same for both sides, because nodes both dial and listen. Whether it names the *right* node is not known here, where the Hello has not
//! been said: that is looked at when it is.

use std::fmt;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme};
use webpki::{
    CertRevocationList, EndEntityCert, KeyUsage, RevocationOptions, RevocationOptionsBuilder,
    UnknownStatusPolicy,
};

use crate::error::CertificateFault;
use crate::identity::Identity;
use crate::tls::{faults, strength};

/// How many certificates may lie between a node's and the authority's that is trusted.
const INTERMEDIATES_MAX: usize = 3;

/// How nodes are named in certificates.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Naming {
    /// `rep://GROUP/NODE`, as a URI.
    #[default]
    Uri,
    /// `NODE.GROUP.SUFFIX`, as the name of a host; `NAME.admin.GROUP.SUFFIX` if it is an administrator.
    Dns { suffix: String },
}

impl Naming {
    /// The nodes that a certificate names.
    pub(crate) fn identities(&self, certificate: &CertificateDer<'_>) -> Vec<Identity> {
        let Ok(certificate) = EndEntityCert::try_from(certificate) else { return Vec::new() };
        match self {
            Self::Uri => certificate.valid_uri_names().filter_map(Identity::from_uri).collect(),
            Self::Dns { suffix } => certificate
                .valid_dns_names()
                .filter_map(|name| Identity::from_dns(name, suffix))
                .collect(),
        }
    }
}

/// Whom we believe.
pub(crate) struct Verifier {
    pub(super) authorities: Vec<TrustAnchor<'static>>,
    pub(super) revoked: Vec<CertRevocationList<'static>>,
    pub(super) algorithms: WebPkiSupportedAlgorithms,
    pub(super) naming: Naming,
}

impl Verifier {
    /// Whether a certificate that was shown on that side of a connection would be believed now.
    #[cfg(feature = "quic")]
    pub(crate) fn check_now(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        side: crate::socket::Side,
    ) -> Result<(), CertificateFault> {
        let usage = match side {
            crate::socket::Side::Dialling => KeyUsage::client_auth(),
            crate::socket::Side::Listening => KeyUsage::server_auth(),
        };
        self.check(certificate, intermediates, UnixTime::now(), usage)
    }

    fn check(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
        usage: KeyUsage,
    ) -> Result<(), CertificateFault> {
        if intermediates.len() > INTERMEDIATES_MAX {
            return Err(CertificateFault::ChainTooLong { certificates_max: INTERMEDIATES_MAX });
        }
        let lists: Vec<_> = self.revoked.iter().collect();
        let in_our_words = |error| faults::of_webpki(&error);
        let end_entity = EndEntityCert::try_from(certificate).map_err(in_our_words)?;
        end_entity
            .verify_for_usage(
                self.algorithms.all,
                &self.authorities,
                intermediates,
                now,
                usage,
                revocation(&lists),
                None,
            )
            .map_err(in_our_words)?;
        strength::check(&end_entity.subject_public_key_info())?;
        match self.naming.identities(certificate).is_empty() {
            true => Err(CertificateFault::NoIdentity),
            false => Ok(()),
        }
    }

    fn verify_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.algorithms)
    }
}

/// An authority without a list has revoked nothing; a list that is out of date still revokes what is on it.
///
/// Both on purpose: while two authorities are trusted, the new one may have no list yet, and a group must not fall apart because nobody
/// renewed a list in time.
fn revocation<'a>(lists: &'a [&'a CertRevocationList<'a>]) -> Option<RevocationOptions<'a>> {
    let builder = RevocationOptionsBuilder::new(lists).ok()?;
    Some(builder.with_status_policy(UnknownStatusPolicy::Allow).build())
}

fn no_tls12() -> Error {
    PeerIncompatible::Tls12NotOfferedOrEnabled.into()
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::server_auth())
            .map(|()| ServerCertVerified::assertion())
            .map_err(faults::to_rustls)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl ClientCertVerifier for Verifier {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // A node has one certificate and needs no hint which to show.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(end_entity, intermediates, now, KeyUsage::client_auth())
            .map(|()| ClientCertVerified::assertion())
            .map_err(faults::to_rustls)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(no_tls12())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.verify_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verifier")
            .field("authorities", &self.authorities.len())
            .field("lists", &self.revoked.len())
            .field("naming", &self.naming)
            .finish_non_exhaustive()
    }
}
