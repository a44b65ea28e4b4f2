//! What went wrong, in our words: from what quinn says of a connection.

use std::io;
use std::time::SystemTime;

use quinn::{ConnectionError, TransportErrorCode};
use rustls::AlertDescription;

use crate::error::{CertificateFault, DialError, NetError, TlsError};
use crate::hello::RefuseReason;
use crate::quic::link::code;
use crate::tls::faults as tls;
use crate::transport::Address;

/// Why a connection ended, for the channels on it.
pub(super) fn why_lost(error: &ConnectionError) -> NetError {
    match error {
        // The peer said so, in order: the last who used it has gone, or the process is closing. What we end while channels use it was
        // found to be lost.
        ConnectionError::ApplicationClosed(_) => NetError::Closed,
        error => lost(&error.clone().into()),
    }
}

pub(super) fn lost(error: &io::Error) -> NetError {
    NetError::lost(error)
}

/// Why a call came to nothing.
pub(super) struct Judge<'a> {
    pub(super) address: &'a Address,
    /// From when on our own certificate is valid.
    pub(super) own_not_before: SystemTime,
    /// What our own verifier found wrong with the peer's certificate.
    pub(super) found: Option<CertificateFault>,
}

impl Judge<'_> {
    pub(super) fn failure(&self, error: &ConnectionError, during: &'static str) -> DialError {
        let address = self.address.clone();
        let tls = |error| DialError::Tls { address: self.address.clone(), error };
        match error {
            ConnectionError::TimedOut => DialError::TimedOut { address, during },
            ConnectionError::TransportError(error) => match (&self.found, alert(error.code)) {
                (Some(fault), _) => tls(TlsError::Peer(fault.clone())),
                (None, Some(AlertDescription::NoApplicationProtocol)) => {
                    tls(TlsError::OtherProtocol)
                }
                (None, Some(AlertDescription::ProtocolVersion)) => tls(TlsError::Version),
                (None, _) => tls(TlsError::Broken(error.to_string())),
            },
            ConnectionError::ConnectionClosed(close)
                if close.error_code == TransportErrorCode::CONNECTION_REFUSED =>
            {
                DialError::RefusedHello { address, reason: RefuseReason::Busy }
            }
            ConnectionError::ConnectionClosed(close) => match alert(close.error_code) {
                Some(alert) => tls(tls::seen_by(self.own_not_before, tls::of_alert(alert))),
                None => DialError::HungUp { address, detail: error.to_string() },
            },
            ConnectionError::ApplicationClosed(close) if close.error_code == code::TOO_MANY => {
                DialError::RefusedHello { address, reason: RefuseReason::TooManyChannels }
            }
            ConnectionError::VersionMismatch
            | ConnectionError::ApplicationClosed(_)
            | ConnectionError::Reset
            | ConnectionError::LocallyClosed
            | ConnectionError::CidsExhausted => {
                DialError::HungUp { address, detail: error.to_string() }
            }
        }
    }
}

/// The alert of TLS that a code of QUIC stands for, if it does.
fn alert(code: TransportErrorCode) -> Option<AlertDescription> {
    let code = u64::from(code).checked_sub(0x100)?;
    u8::try_from(code).ok().map(AlertDescription::from)
}
