//! What a process proves itself by and whom it believes: what is in force now, and what will be from the next connection on.

use std::sync::Arc;
use std::time::{Instant, SystemTime};

use crate::sync::Mutex;
use crate::tls::config::{TlsConfig, TlsConfigError};
use crate::tls::material::{CertificateInfo, Material};
use crate::tls::{DAY, EXPIRY_WARNING};

/// Certificates, keys and lists that may be exchanged while everything runs. Shared by a transport, its clones and its listeners.
#[derive(Debug)]
pub(crate) struct Credentials {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    config: TlsConfig,
    material: Arc<Material>,
    warned: Option<Instant>,
}

impl Credentials {
    pub(crate) fn new(config: TlsConfig) -> Result<Self, TlsConfigError> {
        let material = Arc::new(Material::read(&config)?);
        let credentials = Self { state: Mutex::new(State { config, material, warned: None }) };
        credentials.material();
        Ok(credentials)
    }

    /// Reads everything again from where it was.
    pub(crate) fn reload(&self) -> Result<(), TlsConfigError> {
        let config = self.state.lock().config.clone();
        self.replace(config)
    }

    /// Reads everything from somewhere else. If that fails, what was in force stays in force.
    pub(crate) fn replace(&self, config: TlsConfig) -> Result<(), TlsConfigError> {
        let material = Arc::new(Material::read(&config)?);
        *self.state.lock() = State { config, material, warned: None };
        self.material();
        Ok(())
    }

    pub(crate) fn certificate(&self) -> CertificateInfo {
        self.state.lock().material.certificate.clone()
    }

    /// What is in force; with a warning now and then if it will not be for long.
    pub(crate) fn material(&self) -> Arc<Material> {
        let state = &mut *self.state.lock();
        let (now, certificate) = (SystemTime::now(), &state.material.certificate);
        let is_near = certificate.not_after <= now + EXPIRY_WARNING;
        if is_near && state.warned.is_none_or(|warned| warned.elapsed() >= DAY) {
            let (days_left, place) = (certificate.days_left(now), &state.config.certificate);
            tracing::warn!(days_left, certificate = %place, "our certificate expires soon, or has; renew it and reload");
            state.warned = Some(Instant::now());
        }
        Arc::clone(&state.material)
    }
}
