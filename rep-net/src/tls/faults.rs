//! What went wrong, in our words: from what rustls and webpki say, and from the alert that the other side sent.

use std::sync::Arc;
use std::time::SystemTime;

use rustls::{AlertDescription, CertificateError, Error, OtherError, PeerIncompatible};

use crate::error::{CertificateFault, TlsError};

/// What an error of rustls means.
pub(super) fn of(error: &Error) -> TlsError {
    match error {
        Error::InvalidCertificate(error) => TlsError::Peer(of_certificate(error)),
        Error::NoCertificatesPresented => TlsError::Peer(CertificateFault::Missing),
        Error::AlertReceived(alert) => of_alert(*alert),
        Error::NoApplicationProtocol => TlsError::OtherProtocol,
        Error::PeerIncompatible(
            PeerIncompatible::SupportedVersionsExtensionRequired
            | PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig
            | PeerIncompatible::ServerDoesNotSupportTls12Or13
            | PeerIncompatible::Tls13RequiredForQuic
            | PeerIncompatible::Tls12NotOffered
            | PeerIncompatible::Tls12NotOfferedOrEnabled,
        ) => TlsError::Version,
        Error::InvalidMessage(
            rustls::InvalidMessage::InvalidContentType
            | rustls::InvalidMessage::UnknownProtocolVersion,
        ) => TlsError::NotTls,
        other => TlsError::Broken(other.to_string()),
    }
}

fn of_certificate(error: &CertificateError) -> CertificateFault {
    use CertificateError as E;

    match error {
        E::Expired | E::ExpiredContext { .. } => CertificateFault::Expired,
        E::NotValidYet | E::NotValidYetContext { .. } => CertificateFault::NotYetValid,
        E::Revoked => CertificateFault::Revoked,
        E::UnknownIssuer => CertificateFault::UnknownAuthority,
        E::InvalidPurpose | E::InvalidPurposeContext { .. } => CertificateFault::WrongUse,
        E::BadSignature
        | E::UnsupportedSignatureAlgorithmContext { .. }
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            CertificateFault::BadSignature
        }
        E::ApplicationVerificationFailure => CertificateFault::NoIdentity,
        E::Other(OtherError(inner)) => inner
            .downcast_ref::<CertificateFault>()
            .cloned()
            .unwrap_or_else(|| CertificateFault::Other(inner.to_string())),
        other => CertificateFault::Other(other.to_string()),
    }
}

/// A fault as rustls takes it from a verifier: it chooses by this which alert the peer is told by.
pub(super) fn to_rustls(fault: CertificateFault) -> Error {
    Error::InvalidCertificate(match fault {
        CertificateFault::Expired => CertificateError::Expired,
        CertificateFault::NotYetValid => CertificateError::NotValidYet,
        CertificateFault::Revoked => CertificateError::Revoked,
        CertificateFault::UnknownAuthority => CertificateError::UnknownIssuer,
        CertificateFault::WrongUse => CertificateError::InvalidPurpose,
        CertificateFault::BadSignature => CertificateError::BadSignature,
        CertificateFault::NoIdentity => CertificateError::ApplicationVerificationFailure,
        other => CertificateError::Other(OtherError(Arc::new(other))),
    })
}

/// What webpki finds wrong with a certificate or its chain.
pub(super) fn of_webpki(error: &webpki::Error) -> CertificateFault {
    use webpki::Error as E;

    match error {
        E::CertExpired { .. } => CertificateFault::Expired,
        E::CertNotValidYet { .. } => CertificateFault::NotYetValid,
        E::CertRevoked => CertificateFault::Revoked,
        // Or from one of the same name, with another key.
        E::UnknownIssuer | E::InvalidSignatureForPublicKey => CertificateFault::UnknownAuthority,
        E::CaUsedAsEndEntity
        | E::EndEntityUsedAsCa
        | E::RequiredEkuNotFoundContext(_)
        | E::EmptyEkuExtension => CertificateFault::WrongUse,
        E::SignatureAlgorithmMismatch
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_) => CertificateFault::BadSignature,
        other => CertificateFault::Other(format!("it is malformed or not allowed: {other}")),
    }
}

/// An error as it looks to whoever has a certificate that is valid from that moment on. Peers say with one and the same alert that a
/// certificate has expired and that its time has not come.
pub(crate) fn seen_by(own_not_before: SystemTime, error: TlsError) -> TlsError {
    match error {
        TlsError::Ours(CertificateFault::Expired) if SystemTime::now() < own_not_before => {
            TlsError::Ours(CertificateFault::NotYetValid)
        }
        error => error,
    }
}

/// The alert of a listener that has no room: `internal_error`, of which rustls itself makes no use.
pub(super) const BUSY: u8 = 80;

/// The alert for those who speak no TLS: `unexpected_message`. They see that somebody here does.
pub(super) const NO_TLS: u8 = 10;

/// An alert as it is sent to somebody with whom no key is shared.
pub(super) fn bare_alert(description: u8) -> Vec<u8> {
    const RECORD: [u8; 5] = [21, 3, 3, 0, 2];
    const FATAL: u8 = 2;
    [&RECORD[..], &[FATAL, description]].concat()
}

/// What the other side says of us.
pub(crate) fn of_alert(alert: AlertDescription) -> TlsError {
    use AlertDescription as A;

    TlsError::Ours(match alert {
        A::CertificateRequired | A::NoCertificate => CertificateFault::Missing,
        A::UnknownCA => CertificateFault::UnknownAuthority,
        // Also said of one whose time has not come; whoever knows our certificate can tell.
        A::CertificateExpired => CertificateFault::Expired,
        A::CertificateRevoked => CertificateFault::Revoked,
        A::UnsupportedCertificate => CertificateFault::WrongUse,
        A::AccessDenied => CertificateFault::NoIdentity,
        A::DecryptError => CertificateFault::BadSignature,
        A::BadCertificate => CertificateFault::Other("it is malformed or not allowed".into()),
        A::CertificateUnknown => CertificateFault::Other("it does not say why".into()),
        A::InternalError => return TlsError::Busy,
        A::ProtocolVersion => return TlsError::Version,
        A::NoApplicationProtocol => return TlsError::OtherProtocol,
        other => return TlsError::Broken(format!("the peer broke off with the alert {other:?}")),
    })
}
