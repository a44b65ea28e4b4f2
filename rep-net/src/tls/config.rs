//! What a transport needs to know of certificates: where they lie, and how nodes are named in them.

use std::fmt;
use std::fs;
use std::path::PathBuf;

use crate::tls::verifier::Naming;

/// Certificate, private key, authorities and, if there are any, lists of what is revoked; all of them PEM.
///
/// The certificate's file holds the node's own certificate first and then those between it and the authority, if any. The authorities'
/// file is a bundle: whatever one of them signed is believed, so while an authority is exchanged it holds both.
#[derive(Debug, Clone)]
pub struct TlsConfig {
    pub(super) certificate: Pem,
    pub(super) key: Pem,
    pub(super) authorities: Pem,
    pub(super) revoked: Option<Pem>,
    pub(super) naming: Naming,
}

impl TlsConfig {
    /// From files, which are read now and by every [`reload`](crate::TlsTransport::reload).
    pub fn from_files(
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
        authorities: impl Into<PathBuf>,
    ) -> Self {
        Self::new(
            Pem::File(certificate.into()),
            Pem::File(key.into()),
            Pem::File(authorities.into()),
        )
    }

    /// From memory.
    pub fn from_pem(
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
        authorities: impl Into<Vec<u8>>,
    ) -> Self {
        Self::new(
            Pem::Bytes(certificate.into()),
            Pem::Bytes(key.into()),
            Pem::Bytes(authorities.into()),
        )
    }

    fn new(certificate: Pem, key: Pem, authorities: Pem) -> Self {
        Self { certificate, key, authorities, revoked: None, naming: Naming::default() }
    }

    /// Refuses what the lists in this file revoke. An authority without a list has revoked nothing; a list that is past its time still counts.
    #[must_use]
    pub fn revoked_file(mut self, lists: impl Into<PathBuf>) -> Self {
        self.revoked = Some(Pem::File(lists.into()));
        self
    }

    /// Refuses what these lists revoke.
    #[must_use]
    pub fn revoked_pem(mut self, lists: impl Into<Vec<u8>>) -> Self {
        self.revoked = Some(Pem::Bytes(lists.into()));
        self
    }

    /// Has nodes named by `NODE.GROUP.SUFFIX` among a certificate's names of hosts, and not by `rep://GROUP/NODE` among its URIs: for
    /// authorities that sign nothing else. An administrator is `NAME.admin.GROUP.SUFFIX` there. Every member of a group has to be told the same.
    #[must_use]
    pub fn dns_names_under(mut self, suffix: impl Into<String>) -> Self {
        self.naming = Naming::Dns { suffix: suffix.into() };
        self
    }
}

/// Where some PEM is.
#[derive(Clone)]
pub(super) enum Pem {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Pem {
    pub(super) fn read(&self, what: &'static str) -> Result<Vec<u8>, TlsConfigError> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(path) => fs::read(path).map_err(|error| TlsConfigError::Read {
                what,
                path: path.clone(),
                detail: error.to_string(),
            }),
        }
    }
}

impl fmt::Display for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(f),
            Self::Bytes(_) => f.write_str("memory"),
        }
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // It may be a private key: where it is, never what it is.
        fmt::Display::fmt(self, f)
    }
}

/// Why there is no transport of these certificates, or why the old ones stay in force. All the caller's doing, or the file system's.
///
/// None of it quotes what was read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TlsConfigError {
    /// The file cannot be read.
    #[error("cannot read the {what} in {}: {detail}; check the path, and that this user may read it", path.display())]
    Read {
        /// `certificate`, `private key`, `authorities` or `revoked`.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// The system's words.
        detail: String,
    },
    /// What was read is not what it should be.
    #[error("no usable {what} in {place}: {detail}; it has to be PEM, and hold {expected}")]
    Unusable {
        /// `certificate`, `private key`, `authorities` or `revoked`.
        what: &'static str,
        /// The file, or `memory`.
        place: String,
        /// What is wrong.
        detail: String,
        /// What it should hold.
        expected: &'static str,
    },
    /// The key is not the one that the certificate is about.
    #[error(
        "the private key in {key} does not belong to the certificate in {certificate}; give the pair that was made together"
    )]
    KeyMismatch {
        /// The key's file, or `memory`.
        key: String,
        /// The certificate's file, or `memory`.
        certificate: String,
    },
    /// The certificate names no node, so that nobody would believe it.
    #[error(
        "the certificate in {certificate} names no node of a group; have it issued with {expected}"
    )]
    NoIdentity {
        /// The certificate's file, or `memory`.
        certificate: String,
        /// What it should have among its alternative names.
        expected: String,
    },
}
