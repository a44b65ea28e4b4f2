//! How it is drawn who ships, and to what.

use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What leaves the group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct SinkSwarm {
    /// So many of the first machines ship, to one sink.
    pub shippers: u32,
    /// It is a folder, and not a sink that believes what it is given.
    pub folder: bool,
    /// Time between two looks at what is durable.
    pub every: Duration,
    /// Share of the looks at which something is wrong with the sink.
    pub fails: f64,
}

/// Share of the worlds in which somebody ships.
const SHARE: f64 = 0.12;

impl Default for SinkSwarm {
    fn default() -> Self {
        SinkSwarm { shippers: 0, folder: false, every: Duration::from_secs(1), fails: 0.0 }
    }
}

impl SinkSwarm {
    pub(super) fn draw(rng: &mut Rng, election_timeout: Duration) -> Self {
        if !rng.chance(SHARE) {
            return SinkSwarm::default();
        }
        SinkSwarm::ships(rng, election_timeout)
    }

    /// Somebody does.
    pub(super) fn ships(rng: &mut Rng, election_timeout: Duration) -> Self {
        SinkSwarm {
            shippers: rng.pick(&[1, 2, 3]),
            folder: rng.chance(0.5),
            every: election_timeout.mul_f64(rng.log_uniform(0.1, 3.0)),
            fails: rng.pick(&[0.0, 0.1, 0.4]),
        }
    }
}
