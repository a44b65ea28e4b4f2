//! A verifier that notes what it finds wrong, for those who are told by an alert alone that it found something.

use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::error::{CertificateFault, TlsError};
use crate::sync::Mutex;
use crate::tls::faults;
use crate::tls::verifier::Verifier;

/// The verifier of one connection that is dialled.
#[derive(Debug)]
pub(crate) struct Watched {
    verifier: Arc<Verifier>,
    found: Arc<Mutex<Option<CertificateFault>>>,
}

impl Watched {
    pub(crate) fn new(
        verifier: Arc<Verifier>,
        found: Arc<Mutex<Option<CertificateFault>>>,
    ) -> Self {
        Self { verifier, found }
    }

    fn note<R>(&self, checked: Result<R, Error>) -> Result<R, Error> {
        checked.inspect_err(|error| {
            if let TlsError::Peer(fault) = faults::of(error) {
                *self.found.lock() = Some(fault);
            }
        })
    }
}

impl ServerCertVerifier for Watched {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let verifier = &self.verifier;
        let checked =
            verifier.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        self.note(checked)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &*self.verifier as &dyn ServerCertVerifier;
        verifier.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verifier = &*self.verifier as &dyn ServerCertVerifier;
        self.note(verifier.verify_tls13_signature(message, certificate, signature))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        ServerCertVerifier::supported_verify_schemes(&*self.verifier)
    }
}
