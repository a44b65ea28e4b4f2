//! How clients are drawn.

use super::sometimes;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The clients of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct LoadSwarm {
    /// Concurrent clients.
    pub clients: u32,
    /// Mean time between the operations of one client.
    pub pause: Duration,
    /// Distinct keys.
    pub keys: u64,
    /// Share of operations that read.
    pub reads: f64,
    /// Share of transactions that think while they hold the turn.
    pub slow_turns: f64,
    /// Patience for an acknowledgement, in election timeouts.
    pub patience: f64,
    /// Share of writes that ask for another durability than the default.
    pub weak: f64,
    /// Mean time from a caller's thread to the node.
    pub lane: Duration,
    /// Clients that read with a token carry that of their own session, not anybody's.
    pub sessions: bool,
    /// Share of a client's moments at which it wants another member to be master.
    pub transfers: f64,
    /// Share of a client's moments at which an operator has a member fetch a copy from another one.
    pub copies: f64,
}

/// From a caller's thread to a node that is not busy.
pub(super) const LANE: Duration = Duration::from_micros(5);

impl Default for LoadSwarm {
    fn default() -> Self {
        LoadSwarm {
            clients: 1,
            pause: Duration::from_millis(50),
            keys: 1,
            reads: 0.0,
            slow_turns: 0.0,
            patience: 4.0,
            weak: 0.0,
            lane: LANE,
            sessions: false,
            transfers: 0.0,
            copies: 0.0,
        }
    }
}

/// How often there is such a wish; in half of the worlds there is none.
pub(super) fn transfers(rng: &mut Rng) -> f64 {
    rng.pick(&[0.0, 0.0, 0.01, 0.05])
}

/// How often there is such an order; in most worlds never.
pub(super) fn copies(rng: &mut Rng) -> f64 {
    rng.pick(&[0.0, 0.0, 0.0, 0.02])
}

impl LoadSwarm {
    pub(super) fn draw(rng: &mut Rng, heartbeat: Duration) -> Self {
        LoadSwarm {
            clients: rng.between(1, 4) as u32,
            pause: heartbeat.mul_f64(rng.log_uniform(0.1, 5.0)),
            keys: rng.between(1, 8),
            reads: rng.pick(&[0.1, 0.3, 0.6]),
            slow_turns: sometimes(rng, 0.02, 0.5),
            patience: rng.log_uniform(0.5, 8.0),
            weak: rng.pick(&[0.0, 0.0, 0.5, 1.0]),
            lane: rng.pick(&[LANE, LANE, LANE, heartbeat / 2, heartbeat * 2]),
            sessions: rng.chance(0.5),
            transfers: 0.0,
            copies: 0.0,
        }
    }
}
