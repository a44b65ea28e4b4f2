//! One connection: the peer's proof, and the channels that share it.

use std::fmt;
use std::sync::Arc;

use quinn::Connection;
use rustls::pki_types::CertificateDer;

use crate::error::CertificateFault;
use crate::identity::Identity;
use crate::socket::Side;
use crate::sync::{AtomicBool, AtomicUsize, Ordering};
use crate::tls::Material;

/// By which codes streams and connections are ended.
pub(super) mod code {
    use quinn::VarInt;

    /// In order.
    pub(in crate::quic) const CLOSED: VarInt = VarInt::from_u32(0);
    /// The listener wants to see certificates again: what was shown when the connection was made counts no longer.
    pub(in crate::quic) const PROVE_AGAIN: VarInt = VarInt::from_u32(1);
    /// The last words were not taken in time.
    pub(in crate::quic) const CUT_OFF: VarInt = VarInt::from_u32(2);
    /// The caller has as many connections as it may have.
    pub(in crate::quic) const TOO_MANY: VarInt = VarInt::from_u32(3);
}

/// A connection whose two ends have proved who they are. It ends when nobody uses it any more.
pub(super) struct Link {
    pub(super) connection: Connection,
    /// What the peer showed: its own certificate first.
    chain: Vec<CertificateDer<'static>>,
    /// Whom it has proved to be.
    pub(super) proved: Vec<Identity>,
    /// By what we were proved to it.
    pub(super) material: Arc<Material>,
    /// Which end of the connection the peer is.
    peer_side: Side,
    open_channels: AtomicUsize,
    retired: AtomicBool,
}

impl Link {
    pub(super) fn new(connection: Connection, material: Arc<Material>, peer_side: Side) -> Self {
        let shown = connection.peer_identity().and_then(|shown| shown.downcast().ok());
        let chain: Vec<CertificateDer<'static>> = *shown.unwrap_or_default();
        let own = chain.first();
        let proved = own.map(|own| material.naming.identities(own)).unwrap_or_default();
        Self {
            connection,
            chain,
            proved,
            material,
            peer_side,
            open_channels: AtomicUsize::new(0),
            retired: AtomicBool::new(false),
        }
    }

    /// Whether what the peer showed would be believed now: its time may be over, it may have been revoked, its authority be another.
    pub(super) fn is_believed(&self, material: &Material) -> Result<(), CertificateFault> {
        let (own, others) = self.chain.split_first().ok_or(CertificateFault::Missing)?;
        material.verifier.check_now(own, others, self.peer_side)
    }

    /// Whether new channels may go over it.
    pub(super) fn is_usable(&self, material: &Arc<Material>) -> bool {
        !self.retired.load(Ordering::Acquire)
            && self.connection.close_reason().is_none()
            && Arc::ptr_eq(&self.material, material)
            && self.is_believed(material).is_ok()
    }

    /// Has no new channels go over it.
    pub(super) fn retire(&self) {
        self.retired.store(true, Ordering::Release);
    }

    /// The peer is gone, and cannot say so itself.
    pub(super) fn lose(&self) {
        self.connection.close(code::CLOSED, b"");
    }

    pub(super) fn opened(&self) {
        self.open_channels.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn closed(&self) {
        self.open_channels.fetch_sub(1, Ordering::AcqRel);
    }

    pub(super) fn has_open_channels(&self) -> bool {
        self.open_channels.load(Ordering::Acquire) > 0
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.connection.close(code::CLOSED, b"");
    }
}

impl fmt::Debug for Link {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Link")
            .field("proved", &self.proved)
            .field("open_channels", &self.open_channels)
            .finish_non_exhaustive()
    }
}
