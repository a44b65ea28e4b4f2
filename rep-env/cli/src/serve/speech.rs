//! What a member speaks to the others: plain TCP, or TLS if it was given certificates.

use super::settings::Settings;
use rep_env::config::RepConfigBuilder;

#[cfg(feature = "tls")]
use crate::trust::Files;
#[cfg(feature = "tls")]
use rep_env::net::TlsTransport;

/// What a member speaks.
#[derive(Debug)]
pub(super) struct Speech {
    #[cfg(feature = "tls")]
    tls: Option<TlsTransport>,
}

#[cfg(feature = "tls")]
impl Speech {
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        let file = |key| settings.text(key).map(Into::into);
        let Some((ca, identity)) = file("tls_ca").zip(file("tls_identity")) else {
            return Ok(Speech { tls: None });
        };
        let dns_suffix = settings.text("tls_dns_suffix").map(str::to_owned);
        let files = Files { ca, identity, revoked: file("tls_revoked"), dns_suffix };
        Ok(Speech { tls: Some(files.transport()?) })
    }

    /// Has the member speak it.
    pub(super) fn over(&self, config: RepConfigBuilder) -> RepConfigBuilder {
        match &self.tls {
            Some(tls) => config.tls(tls.clone()),
            None => config,
        }
    }

    /// Reads the certificates again. What cannot be read changes nothing: the member goes on with what it had.
    pub(super) fn reload(&self) {
        let Some(tls) = &self.tls else {
            return tracing::warn!("SIGHUP reads certificates again, and there are none");
        };
        match tls.reload() {
            Ok(()) => {
                let days_left = tls.certificate().days_left(std::time::SystemTime::now());
                tracing::info!(days_left, "the certificates were read again");
            }
            Err(error) => tracing::error!(%error, "the certificates stay as they were"),
        }
    }
}

#[cfg(not(feature = "tls"))]
impl Speech {
    pub(super) fn of(settings: &Settings) -> anyhow::Result<Self> {
        match settings.text("tls_ca") {
            Some(_) => anyhow::bail!("tls_ca: this `rep` was built without the feature `tls`"),
            None => Ok(Speech {}),
        }
    }

    pub(super) fn over(&self, config: RepConfigBuilder) -> RepConfigBuilder {
        config
    }

    pub(super) fn reload(&self) {
        tracing::warn!("SIGHUP reads certificates again, and there are none");
    }
}
