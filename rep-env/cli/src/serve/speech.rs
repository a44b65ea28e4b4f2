//! What a member speaks to the others: plain TCP, or TLS or QUIC if it was given certificates.

use super::settings::Settings;
use crate::trust::Transport;
use anyhow::Context;
use clap::ValueEnum;
use rep_env::config::RepConfigBuilder;

#[cfg(feature = "tls")]
use crate::trust::{Files, Proven};

/// What a member speaks.
#[derive(Debug)]
pub(super) struct Speech {
    #[cfg(feature = "tls")]
    proven: Option<Proven>,
}

fn chosen(settings: &Settings) -> anyhow::Result<Transport> {
    let has_certificates = settings.text("tls_ca").is_some();
    let chosen = settings.text("transport").map(|said| {
        let unknown = || format!("transport: {said:?} is none of tcp, tls, quic");
        Transport::from_str(said, false).map_err(anyhow::Error::msg).with_context(unknown)
    });
    Transport::of(chosen.transpose()?, has_certificates).context("transport")
}

#[cfg(feature = "tls")]
impl Speech {
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let transport = chosen(settings)?;
        let file = |key| settings.text(key).map(Into::into);
        let Some((ca, identity)) = file("tls_ca").zip(file("tls_identity")) else {
            return Ok(Speech { proven: None });
        };
        let dns_suffix = settings.text("tls_dns_suffix").map(str::to_owned);
        let files = Files { ca, identity, revoked: file("tls_revoked"), dns_suffix };
        let limits = settings.timing()?.transport_limits();
        Ok(Speech { proven: Some(files.proven(transport, limits)?) })
    }

    /// Has the member speak it.
    pub(super) fn over(&self, config: RepConfigBuilder) -> RepConfigBuilder {
        match &self.proven {
            Some(proven) => proven.over(config),
            None => config,
        }
    }

    /// Reads the certificates again. What cannot be read changes nothing: the member goes on with what it had.
    pub(super) fn reload(&self) {
        let Some(proven) = &self.proven else {
            return tracing::warn!("SIGHUP reads certificates again, and there are none");
        };
        match proven.reload() {
            Ok(()) => {
                let days_left = proven.certificate().days_left(std::time::SystemTime::now());
                tracing::info!(days_left, "the certificates were read again");
            }
            Err(error) => tracing::error!(%error, "the certificates stay as they were"),
        }
    }
}

#[cfg(not(feature = "tls"))]
impl Speech {
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        match chosen(settings)? {
            Transport::Tcp => Ok(Speech {}),
            Transport::Tls | Transport::Quic => {
                anyhow::bail!("tls_ca: this `rep` was built without the feature `tls`")
            }
        }
    }

    pub(super) fn over(&self, config: RepConfigBuilder) -> RepConfigBuilder {
        config
    }

    pub(super) fn reload(&self) {
        tracing::warn!("SIGHUP reads certificates again, and there are none");
    }
}
