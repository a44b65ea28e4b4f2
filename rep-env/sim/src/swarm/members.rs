//! How it is drawn who comes and goes.

use super::rate;
use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Changes of the membership in a run. Rates are per second of virtual time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct MembersSwarm {
    /// Machines beyond those that found the group: they may be taken in later.
    pub spares: u32,
    /// Who is no member and finds a group asks to be admitted: spare machines, and wiped ones, which come back so.
    pub join: bool,
    /// A machine that is no member is told to join.
    pub recruits_per_s: f64,
    /// An operator asks for a change.
    pub orders_per_s: f64,
    /// Share of the removals that are forced.
    pub forced: f64,
    /// The first of the spare machines joins as an arbiter, from the beginning.
    pub arbiter: bool,
    /// So many of those after it join as secondaries.
    pub secondaries: u32,
    /// So many of those after it join as monitors.
    pub monitors: u32,
    /// An operator has a member designated, or nobody any more.
    pub designates_per_s: f64,
    /// Secondaries ask replicas for their entries, and not the master.
    pub relays: bool,
    /// Operators choose no quorums by hand.
    pub majorities: bool,
}

/// Machines beyond the founders, at most.
pub(crate) const SPARES_MAX: u32 = 3;

/// Share of the worlds in which members come and go: of those without there have to be enough, too.
const SHARE: f64 = 0.4;

impl MembersSwarm {
    /// In two worlds of five members come and go.
    pub(super) fn draw(rng: &mut Rng, election_timeout: Duration) -> Self {
        if !rng.chance(SHARE) {
            return MembersSwarm::default();
        }
        MembersSwarm {
            spares: rng.pick(&[0, 1, 1, 2]),
            join: true,
            recruits_per_s: rate(rng, election_timeout, 0.5, 6.0),
            orders_per_s: rate(rng, election_timeout, 0.5, 6.0),
            forced: rng.pick(&[0.0, 0.0, 0.2]),
            ..MembersSwarm::default()
        }
    }

    /// Somebody joins, leaves or moves once or twice a minute. Quorums are majorities: one that needs everybody waits for whoever is wiped for ever.
    pub(super) fn live_for_years(&mut self, rng: &mut Rng) {
        self.spares = rng.pick(&[1, 2, 3]);
        self.secondaries = rng.pick(&[0, 0, 1]).min(self.spares - 1);
        self.relays = rng.chance(0.7);
        self.monitors = u32::from(self.spares - self.secondaries > 1 && rng.chance(0.5));
        self.join = true;
        self.recruits_per_s = 1.0 / rng.pick(&[5.0, 20.0]);
        self.orders_per_s = 1.0 / rng.pick(&[15.0, 40.0]);
        self.majorities = true;
    }

    /// In three of four worlds of two members one is designated, soon after the founding.
    pub(super) fn designate(&mut self, rng: &mut Rng, election_timeout: Duration) -> bool {
        let comes = rng.chance(0.75);
        if comes {
            self.designates_per_s = 0.5 / election_timeout.as_secs_f64();
            self.join |= rng.chance(0.5);
        }
        comes
    }

    /// Those join, from the beginning.
    pub(super) fn take_in(&mut self, roles: Roles) {
        if roles == Roles::default() {
            return;
        }
        let Roles { arbiter, secondaries, .. } = roles;
        (self.arbiter, self.secondaries, self.join) = (arbiter, secondaries, true);
        self.spares = (self.spares + u32::from(arbiter) + secondaries).min(SPARES_MAX);
    }

    /// Somebody watches, if there is a machine left for that.
    pub(super) fn be_watched(&mut self) {
        let others = u32::from(self.arbiter) + self.secondaries;
        if others < SPARES_MAX {
            (self.monitors, self.join) = (1, true);
            self.spares = (self.spares + 1).min(SPARES_MAX);
        }
    }
}

/// Who is there besides members that hold the data and vote.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Roles {
    arbiter: bool,
    secondaries: u32,
    /// Two members found the group: what an arbiter is for.
    pub(super) pair: bool,
}

impl Roles {
    pub(super) fn has_secondaries(self) -> bool {
        self.secondaries > 0
    }

    /// In one world of twenty.
    pub(super) fn rarely(rng: &mut Rng) -> Self {
        if rng.chance(0.05) { Roles::draw(rng) } else { Roles::default() }
    }

    /// An arbiter mostly, and mostly beside two members; or secondaries.
    pub(super) fn draw(rng: &mut Rng) -> Self {
        match rng.chance(0.75) {
            true => {
                Roles { arbiter: true, secondaries: rng.pick(&[0, 0, 1]), pair: rng.chance(0.6) }
            }
            false => Roles { arbiter: false, secondaries: rng.pick(&[1, 2]), pair: false },
        }
    }
}
