//! Settings of a restore, with defaults that leave a working group its disk and its network.

use crate::error::ConfigError;
use std::time::Duration;

/// The slowest pace that may be asked for, in bytes a second: below it a restore would hardly ever end.
pub const BYTES_PER_S_MIN: u64 = 64 << 10;
/// The most chunks that a state may be allowed to have.
pub const CHUNKS_MAX: u32 = 64 << 20;

/// How both ends of a restore behave.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RestoreConfig {
    /// Bytes that may be sent and not yet kept by the sink. Default 4 MiB. Both ends have a word in it, the smaller one
    /// counts; one chunk that is longer travels alone.
    pub window_bytes: u64,
    /// The source sends no more than so many bytes a second (beyond a burst of [`RATE_BURST`](super::RATE_BURST) and one
    /// chunk). Default none; at least [`BYTES_PER_S_MIN`].
    pub bytes_per_s: Option<u64>,
    /// How long the other end may take to do anything at all. Default 10 s. Nothing else times out: a large state takes
    /// its time.
    pub progress_timeout: Duration,
    /// The chunks that a state may have, and the names of chunks that a source listens to. Default 4 Mi, at most
    /// [`CHUNKS_MAX`].
    pub ids_max: u32,
}

impl Default for RestoreConfig {
    fn default() -> Self {
        RestoreConfig {
            window_bytes: 4 << 20,
            bytes_per_s: None,
            progress_timeout: Duration::from_secs(10),
            ids_max: 4 << 20,
        }
    }
}

impl RestoreConfig {
    /// Whether the settings can work.
    ///
    /// # Errors
    ///
    /// What does not fit.
    pub fn check(&self) -> Result<(), ConfigError> {
        let zeros = [
            (self.window_bytes == 0, "window_bytes"),
            (self.progress_timeout.is_zero(), "progress_timeout"),
            (self.ids_max == 0, "ids_max"),
        ];
        if let Some((_, option)) = zeros.into_iter().find(|(is_zero, _)| *is_zero) {
            return Err(ConfigError::Zero { option });
        }
        if self.ids_max > CHUNKS_MAX {
            return Err(ConfigError::TooManyChunks { ids_max: self.ids_max, bound: CHUNKS_MAX });
        }
        match self.bytes_per_s {
            Some(bytes_per_s) if bytes_per_s < BYTES_PER_S_MIN => {
                Err(ConfigError::TooSlow { bytes_per_s, bytes_per_s_min: BYTES_PER_S_MIN })
            }
            Some(_) | None => Ok(()),
        }
    }
}
