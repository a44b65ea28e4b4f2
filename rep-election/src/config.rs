//! Settings of one node's election core.

use rep_vlsn::{Incarnation, NodeId};
use std::time::Duration;

/// Settings of [`crate::Election`]. Every time is virtual: a [`Duration`] since the driver's start.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ElectionConfig {
    /// This node.
    pub me: NodeId,
    /// The incarnation of its data directory.
    pub incarnation: Incarnation,
    /// A master not heard for so long is silent. Default 600 ms; each wait adds up to half of it.
    pub election_timeout: Duration,
    /// How long a pre-vote or a solicitation waits for those who do not answer. Default a third of the
    /// election timeout.
    pub round_timeout: Duration,
    /// How long promisers wait for the winner to act. Default, and at most, a quarter of the election timeout.
    pub crown_wait: Duration,
    /// Seed of the jitter. Nodes of one group must differ in it.
    pub seed: u64,
}

impl ElectionConfig {
    /// The defaults, for one node.
    pub fn new(me: NodeId, incarnation: Incarnation, seed: u64) -> Self {
        let config = ElectionConfig {
            me,
            incarnation,
            election_timeout: Duration::ZERO,
            round_timeout: Duration::ZERO,
            crown_wait: Duration::ZERO,
            seed,
        };
        config.with_election_timeout(Duration::from_millis(600))
    }

    /// The same with another election timeout, and round timeout and crown wait in their usual proportion.
    pub fn with_election_timeout(mut self, election_timeout: Duration) -> Self {
        self.election_timeout = election_timeout;
        self.round_timeout = election_timeout / 3;
        self.crown_wait = election_timeout / 4;
        self
    }

    pub(crate) fn assert_sound(&self) {
        let quarter = self.election_timeout / 4;
        assert!(self.round_timeout > Duration::ZERO, "a round takes time");
        assert!(self.crown_wait > Duration::ZERO, "a winner needs time to act");
        assert!(self.crown_wait <= quarter, "the crown wait is at most a quarter of the timeout");
    }
}
