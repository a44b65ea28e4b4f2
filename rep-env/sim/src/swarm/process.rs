//! How the fates of processes and directories are drawn.

use super::{rate, sometimes};
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The processes of a run. Rates are per second of virtual time, for the whole group.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct ProcessSwarm {
    /// A process is killed; its machine keeps what was written.
    pub kills_per_s: f64,
    /// A machine loses power; what was not synced may be gone.
    pub power_cuts_per_s: f64,
    /// A process is closed in good order.
    pub closes_per_s: f64,
    /// A process is stopped for a while (and all its timers are late at once).
    pub pauses_per_s: f64,
    /// A crash is armed to happen at a later output or disk operation.
    pub armed_per_s: f64,
    /// A directory is wiped: the member comes back as another incarnation.
    pub wipes_per_s: f64,
    /// Bits rot at or below the mark of a log.
    pub rots_per_s: f64,
    /// A member's directory is copied, and put back later.
    pub images_per_s: f64,
    /// A second process with a copy of a member's directory dials another member, per second of virtual time.
    pub twins_per_s: f64,
    /// Chance that a process ends in the middle of a step: right after one of its outputs was carried out.
    pub crashes_per_step: f64,
    /// How long a crashed process stays away.
    pub away: Duration,
    /// How many members may be wiped or rotten at once.
    pub damaged_max: u32,
    /// Traps set: a fault that waits for a protocol moment.
    pub traps: u32,
    /// The clock of a process leaps ahead, per second of virtual time.
    pub leaps_per_s: f64,
    /// Share of stops in which the clock of the process stands still too.
    pub frozen: f64,
    /// Clock drift, at most, in millionths.
    pub drift_ppm: u64,
    /// Whether a scripted dance directs the faults besides chance.
    pub recipe: Option<Recipe>,
}

/// Shapes of trouble that chance alone meets too seldom.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Recipe {
    /// The master is cut off with its clients, logs a tail alone, dies; the others go on; it returns.
    LoneTail,
    /// Promisers crash as they promise and are back within the same election.
    PromiseCrash,
    /// Masters die as soon as they have been crowned, or have replicated one entry to one member.
    ShortReigns,
    /// Proposers crash when they have solicited.
    SolicitCrash,
    /// The connections of the master reset again and again under load.
    Reconnects,
    /// A member is wiped and the others must come from it.
    WipedVoter,
    /// Everybody goes at once, or most do, and comes back one by one.
    Blackout,
    /// The master is cut off and does not know it; clients go on reading there.
    OldMaster,
    /// The links of one member come and go, as long each time as an election takes.
    Flapping,
    /// A disk fails a sync, and later its machine loses power in the middle of another.
    WornDisk,
    /// One of two members falls silent for longer than the designated one waits for it; both do; power fails as it comes back.
    GoesAlone,
    /// An arbiter is asked to vouch; its disk hangs, and before it has written that down the next master asks for its promise.
    PendingWord,
}

/// In one world in five somebody copies directories and puts them back: such a run may end before it is over.
pub(super) fn images(rng: &mut Rng, election_timeout: Duration) -> f64 {
    let some = rate(rng, election_timeout, 0.2, 2.0);
    if rng.chance(0.4) { some } else { 0.0 }
}

/// In half of the worlds somebody starts copies of machines.
pub(super) fn twins(rng: &mut Rng, election_timeout: Duration) -> f64 {
    rate(rng, election_timeout, 0.3, 6.0)
}

/// In half of the worlds processes end between two outputs of a step.
pub(super) fn crashes(rng: &mut Rng) -> f64 {
    sometimes(rng, 0.0001, 0.003)
}

impl Default for ProcessSwarm {
    fn default() -> Self {
        ProcessSwarm::calm()
    }
}

impl ProcessSwarm {
    pub(super) fn draw(rng: &mut Rng, nodes: u32, election_timeout: Duration) -> Self {
        let minority = (nodes - 1) / 2;
        let reckless = rng.chance(0.1);
        ProcessSwarm {
            kills_per_s: rate(rng, election_timeout, 0.3, 6.0),
            power_cuts_per_s: rate(rng, election_timeout, 0.3, 6.0),
            closes_per_s: rate(rng, election_timeout, 0.3, 4.0),
            pauses_per_s: rate(rng, election_timeout, 0.3, 6.0),
            armed_per_s: rate(rng, election_timeout, 0.3, 10.0),
            wipes_per_s: rate(rng, election_timeout, 0.2, 2.0),
            rots_per_s: rate(rng, election_timeout, 0.2, 2.0),
            images_per_s: 0.0,
            twins_per_s: 0.0,
            crashes_per_step: 0.0,
            away: election_timeout.mul_f64(rng.log_uniform(0.02, 6.0)),
            damaged_max: if reckless { nodes.saturating_sub(1) } else { minority },
            traps: if rng.chance(0.5) { 0 } else { rng.between(1, 8) as u32 },
            leaps_per_s: rate(rng, election_timeout, 0.2, 3.0),
            frozen: rng.pick(&[0.0, 0.5, 1.0]),
            drift_ppm: rng.pick(&[0, 0, 1_000, 30_000]),
            recipe: Recipe::draw(rng),
        }
    }

    /// Somebody is wiped or fails every minute or two, and is back a moment or a minute later.
    pub(super) fn wear_out(&mut self, rng: &mut Rng, nodes: u32) {
        let every = |rng: &mut Rng, low: f64, high: f64| 1.0 / rng.log_uniform(low, high);
        self.wipes_per_s = every(rng, 40.0, 200.0);
        self.kills_per_s = every(rng, 60.0, 400.0);
        self.power_cuts_per_s = every(rng, 100.0, 400.0);
        self.closes_per_s = every(rng, 100.0, 400.0);
        self.away = Duration::from_nanos(rng.log_uniform(2e8, 3e10) as u64);
        self.damaged_max = (nodes - 1) / 2;
    }

    pub(super) fn calm() -> Self {
        ProcessSwarm {
            kills_per_s: 0.0,
            power_cuts_per_s: 0.0,
            closes_per_s: 0.0,
            pauses_per_s: 0.0,
            armed_per_s: 0.0,
            wipes_per_s: 0.0,
            rots_per_s: 0.0,
            images_per_s: 0.0,
            twins_per_s: 0.0,
            crashes_per_step: 0.0,
            away: Duration::from_secs(1),
            damaged_max: 0,
            traps: 0,
            leaps_per_s: 0.0,
            frozen: 0.0,
            drift_ppm: 0,
            recipe: None,
        }
    }
}

impl Recipe {
    /// What any world may have. Who goes alone is another's affair.
    pub(super) const ALL: [Recipe; 10] = [
        Recipe::LoneTail,
        Recipe::PromiseCrash,
        Recipe::ShortReigns,
        Recipe::SolicitCrash,
        Recipe::Reconnects,
        Recipe::WipedVoter,
        Recipe::Blackout,
        Recipe::OldMaster,
        Recipe::Flapping,
        Recipe::WornDisk,
    ];

    pub(super) fn draw(rng: &mut Rng) -> Option<Self> {
        let recipe = rng.pick(&Recipe::ALL);
        rng.chance(0.5).then_some(recipe)
    }
}
