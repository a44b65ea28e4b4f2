//! How networks are drawn.

use super::{rate, sometimes};
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The network of a run. Rates are chances per frame unless they say otherwise.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct NetSwarm {
    /// Mean one-way delay.
    pub delay: Duration,
    /// A frame is lost: its connection resets or, on a hostile network, nobody hears of it.
    pub drop: f64,
    /// The bytes of a frame change: the checksum tells, and its connection resets.
    pub corrupt: f64,
    /// Bytes that a wire carries per second, if that is a matter at all.
    pub bandwidth: Option<f64>,
    /// Frames may be lost, doubled and overtaken within a connection, and old ones come back.
    pub hostile: bool,
    /// A frame comes twice (hostile).
    pub duplicate: f64,
    /// A frame may be overtaken (hostile).
    pub reorder: f64,
    /// A frame of a dead connection comes back on a new one (hostile).
    pub replay: f64,
    /// One end of a connection is forgotten, and the other does not hear of it, per second of virtual time.
    pub half_opens_per_s: f64,
    /// A connection resets, per second of virtual time.
    pub resets_per_s: f64,
    /// A member is dialled many times at once by one that hears no answer, per second of virtual time.
    pub storms_per_s: f64,
    /// A partition begins, per second of virtual time.
    pub partitions_per_s: f64,
    /// How long a partition lasts.
    pub partition: Duration,
    /// A partition cuts one direction only.
    pub one_way: f64,
}

/// In half of the worlds there are storms.
pub(super) fn storms(rng: &mut Rng, election_timeout: Duration) -> f64 {
    rate(rng, election_timeout, 0.1, 2.0)
}

impl Default for NetSwarm {
    fn default() -> Self {
        NetSwarm::calm()
    }
}

impl NetSwarm {
    pub(super) fn draw(rng: &mut Rng, election_timeout: Duration) -> Self {
        let slowest = election_timeout.as_nanos() as f64 / 20.0;
        NetSwarm {
            delay: Duration::from_nanos(rng.log_uniform(50_000.0, slowest) as u64),
            drop: sometimes(rng, 0.0002, 0.03),
            corrupt: sometimes(rng, 0.0001, 0.01),
            bandwidth: rng.chance(0.3).then(|| rng.log_uniform(20_000.0, 5_000_000.0)),
            hostile: rng.chance(0.3),
            duplicate: sometimes(rng, 0.001, 0.2),
            reorder: sometimes(rng, 0.001, 0.2),
            replay: sometimes(rng, 0.02, 0.9),
            half_opens_per_s: rate(rng, election_timeout, 0.3, 4.0),
            resets_per_s: rate(rng, election_timeout, 0.3, 20.0),
            storms_per_s: 0.0,
            partitions_per_s: rate(rng, election_timeout, 0.3, 6.0),
            partition: election_timeout.mul_f64(rng.log_uniform(0.2, 6.0)),
            one_way: rng.pick(&[0.0, 0.3, 1.0]),
        }
    }

    pub(super) fn calm() -> Self {
        NetSwarm {
            delay: Duration::from_micros(200),
            drop: 0.0,
            corrupt: 0.0,
            bandwidth: None,
            hostile: false,
            duplicate: 0.0,
            reorder: 0.0,
            replay: 0.0,
            half_opens_per_s: 0.0,
            resets_per_s: 0.0,
            storms_per_s: 0.0,
            partitions_per_s: 0.0,
            partition: Duration::ZERO,
            one_way: 0.0,
        }
    }
}
