//! A group of two with an authority, over whichever transport proves names; and those who should not be let in.
#![allow(dead_code)] // each test uses a part of it

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertificateParams;
use rep_net::tls::TlsConfigError;
use rep_net::{
    CertificateFault, DialError, Hello, Limits, TlsConfig, TlsError, TlsTransport, Transport,
};

use super::tls::{Authority, Issued, usual};
use super::{Desk, Party, hello, soon, table};

pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A transport that proves names, by certificates that may be exchanged.
pub(crate) trait Proving: Transport + Clone + Sized + 'static {
    fn with(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError>;
    fn reload(&self) -> Result<(), TlsConfigError>;
}

impl Proving for TlsTransport {
    fn with(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError> {
        Self::new(config, limits)
    }

    fn reload(&self) -> Result<(), TlsConfigError> {
        self.reload()
    }
}

#[cfg(feature = "quic")]
impl Proving for rep_net::QuicTransport {
    fn with(config: TlsConfig, limits: Limits) -> Result<Self, TlsConfigError> {
        Self::new(config, limits)
    }

    fn reload(&self) -> Result<(), TlsConfigError> {
        self.reload()
    }
}

impl Issued {
    pub(crate) fn speak<T: Proving>(&self, authorities: &str) -> T {
        T::with(self.trusting(authorities), Limits::default()).unwrap()
    }
}

/// One authority, and n1 that listens and n2 that dials as they should.
pub(crate) struct Bank<T> {
    pub(crate) authority: Authority,
    pub(crate) n1: Party,
    pub(crate) n2: T,
}

pub(crate) fn to_n1() -> Hello {
    hello().to_node("n1")
}

impl<T: Proving> Bank<T> {
    pub(crate) fn new() -> Self {
        Self::revoking(Authority::new("bank's"), |config| config)
    }

    pub(crate) fn revoking(authority: Authority, change: impl Fn(TlsConfig) -> TlsConfig) -> Self {
        let transport = |uri: &str| {
            let config = change(authority.issue(uri).trusting(&authority.pem()));
            T::with(config, Limits::default()).unwrap()
        };
        let (n1, n2) = (transport("rep://bank/n1"), transport("rep://bank/n2"));
        let n1 = Party::new(&n1, "127.0.0.1:0", Arc::new(n2.clone()));
        Self { authority, n1, n2 }
    }

    /// Has somebody with this certificate call n1 as n2.
    pub(crate) fn call_n1(&self, odd: &Issued) -> DialError {
        let odd = odd.speak::<T>(&self.authority.pem());
        let refused = odd.dial(self.n1.address(), &to_n1(), soon()).unwrap_err();
        assert!(self.n1.desk.arrivals.is_empty(), "nobody arrived");
        refused
    }

    /// Has n2 call somebody with this certificate, who takes the call as n1.
    pub(crate) fn be_called_by_n2(&self, odd: &Issued) -> DialError {
        let (odd, desk) = (odd.speak::<T>(&self.authority.pem()), Desk::new());
        let listener = odd.listen(&"127.0.0.1:0".into(), table(&desk)).unwrap();
        let refused = self.n2.dial(listener.local_address(), &to_n1(), soon()).unwrap_err();
        listener.close();
        assert!(desk.arrivals.is_empty(), "nothing was said to it");
        refused
    }

    /// What is wrong with a certificate is found on both sides, and told.
    pub(crate) fn both_refuse(
        &self,
        params: impl Fn(&str) -> CertificateParams,
        fault: &CertificateFault,
    ) {
        let ours = self.call_n1(&self.authority.sign(&params("rep://bank/n2")));
        assert_eq!(ours.tls_error(), Some(&TlsError::Ours(fault.clone())), "{ours}");
        let theirs = self.be_called_by_n2(&self.authority.sign(&params("rep://bank/n1")));
        assert_eq!(theirs.tls_error(), Some(&TlsError::Peer(fault.clone())), "{theirs}");
    }
}

pub(crate) fn changed(uri: &str, change: impl FnOnce(&mut CertificateParams)) -> CertificateParams {
    let mut params = usual(uri);
    change(&mut params);
    params
}

/// A node's files, which are written anew while it runs.
pub(crate) struct Files(tempfile::TempDir);

impl Files {
    pub(crate) fn new(issued: &Issued, authorities: &str) -> Self {
        let files = Self(tempfile::tempdir().unwrap());
        files.write_certificate(issued);
        files.write_authorities(authorities);
        files
    }

    pub(crate) fn at(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write_certificate(&self, issued: &Issued) {
        fs::write(self.at("node.crt"), &issued.certificate).unwrap();
        fs::write(self.at("node.key"), &issued.key).unwrap();
    }

    pub(crate) fn write_authorities(&self, authorities: &str) {
        fs::write(self.at("ca.crt"), authorities).unwrap();
    }

    pub(crate) fn config(&self) -> TlsConfig {
        TlsConfig::from_files(self.at("node.crt"), self.at("node.key"), self.at("ca.crt"))
    }

    pub(crate) fn speak<T: Proving>(&self) -> T {
        T::with(self.config(), Limits::default()).unwrap()
    }
}
