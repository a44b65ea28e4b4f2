//! What kind of run a seed is.
//!
//! A run with every fault at its average rate is always the same run. So each seed first draws its own
//! world: how many nodes, how fast, how small the buffers, and for each kind of fault whether it exists at
//! all (half of the time) and, if so, at a rate drawn log-uniformly.
//!
//! `net`, `disk`, `process`, `load`, `members` and `sinks` draw its six parts.
//!
//! Source: swarm testing, Groce et al. 2012; the rates-off half is its whole point.

mod disk;
mod load;
mod members;
mod net;
mod process;
mod sinks;

pub use disk::DiskSwarm;
pub use load::LoadSwarm;
pub use members::MembersSwarm;
use members::Roles;
pub(crate) use members::SPARES_MAX;
pub use net::NetSwarm;
pub use process::{ProcessSwarm, Recipe};
pub use sinks::SinkSwarm;

use crate::machine::Machine;
use crate::rng::Rng;
use disk::{copies_rot, wears};
use load::LANE;
use net::storms;
use process::{crashes, images, twins};
use rep_node::MemberType;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The world that a seed draws.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Swarm {
    /// Members that found the group.
    pub nodes: u32,
    /// Time that faults last, before everything heals.
    pub chaos: Duration,
    /// Time between heartbeats; everything else of the protocol's timing scales with it.
    pub heartbeat: Duration,
    /// Election timeout, at its shortest.
    pub election_timeout: Duration,
    /// How the network behaves.
    pub net: NetSwarm,
    /// How the disks behave.
    pub disk: DiskSwarm,
    /// How often processes and machines fail.
    pub process: ProcessSwarm,
    /// What the clients do.
    pub load: LoadSwarm,
    /// Who comes and goes.
    pub members: MembersSwarm,
    /// What leaves the group.
    pub sinks: SinkSwarm,
}

/// No world is drawn larger.
pub(crate) const MEMBERS_MAX: u32 = 7;

/// The calm world of three members and one client: what a case means that does not say.
impl Default for Swarm {
    fn default() -> Self {
        Swarm { load: LoadSwarm::default(), ..Swarm::calm(3) }
    }
}

impl Swarm {
    /// The world of `seed`.
    pub fn draw(seed: u64) -> Self {
        Swarm::draw_of(seed, None)
    }

    /// The world of `seed`, of so many members if that is said.
    pub fn draw_of(seed: u64, members: Option<u32>) -> Self {
        let roles = match members {
            None => Roles::rarely(&mut Rng::split(seed, "who else")),
            Some(_) => Roles::default(),
        };
        Swarm::draw_with(seed, members, roles)
    }

    /// A world in which somebody joins as an arbiter or as a secondary, with all that a seed draws besides. One member alone admits no arbiter.
    pub(crate) fn with_roles(seed: u64) -> Self {
        let roles = Roles::draw(&mut Rng::split(seed, "roles"));
        Swarm::draw_with(seed, None, roles)
    }

    fn draw_with(seed: u64, members: Option<u32>, roles: Roles) -> Self {
        let rng = &mut Rng::split(seed, "swarm");
        let drawn = rng.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
        let drawn = if roles.pair { 2 } else { drawn };
        let nodes = members.unwrap_or(drawn).clamp(1, MEMBERS_MAX);
        let heartbeat = Duration::from_millis(rng.pick(&[20, 50, 100, 100]));
        let election_timeout = heartbeat * rng.pick(&[4, 6, 6, 8]);
        let mut swarm = Swarm {
            nodes,
            chaos: election_timeout * rng.between(15, 50) as u32,
            heartbeat,
            election_timeout,
            net: NetSwarm::draw(rng, election_timeout),
            disk: DiskSwarm::draw(rng, nodes, heartbeat, election_timeout),
            process: ProcessSwarm::draw(rng, nodes, election_timeout),
            load: LoadSwarm::draw(rng, heartbeat),
            members: MembersSwarm::default(),
            sinks: SinkSwarm::draw(&mut Rng::split(seed, "who ships"), election_timeout),
        };
        // Of streams of their own, so that worlds that were drawn before there were such faults are what they were.
        swarm.disk.clean(&mut Rng::split(seed, "cleaning"), election_timeout);
        swarm.load.transfers = load::transfers(&mut Rng::split(seed, "transfers"));
        swarm.load.copies = load::copies(&mut Rng::split(seed, "orders of copies"));
        swarm.process.images_per_s = images(&mut Rng::split(seed, "images"), election_timeout);
        swarm.net.storms_per_s = storms(&mut Rng::split(seed, "storms"), election_timeout);
        swarm.process.crashes_per_step = crashes(&mut Rng::split(seed, "outputs"));
        swarm.process.twins_per_s = twins(&mut Rng::split(seed, "twins"), election_timeout);
        swarm.members = MembersSwarm::draw(&mut Rng::split(seed, "who comes"), election_timeout);
        swarm.members.take_in(roles);
        swarm.members.relays = roles.has_secondaries() && Rng::split(seed, "relays").chance(0.7);
        let watched = if roles == Roles::default() { 0.03 } else { 0.2 };
        if members.is_none() && Rng::split(seed, "who watches").chance(watched) {
            swarm.members.be_watched();
        }
        // One member alone admits no arbiter.
        swarm.members.arbiter &= nodes > 1;
        if swarm.members.arbiter {
            swarm.vouch(&mut Rng::split(seed, "vouching"));
        }
        swarm.disk.copies_rot = copies_rot(&mut Rng::split(seed, "copies rot"));
        swarm.disk.wears_per_s = wears(&mut Rng::split(seed, "wear"), election_timeout);
        swarm.scatter(&mut Rng::split(seed, "scattered tails"));
        if nodes == 2 && !swarm.members.arbiter {
            swarm.designate(&mut Rng::split(seed, "designated"));
        }
        swarm
    }

    /// Half of the tails that are logged alone lie in many files, so that a cut has many steps at which power may fail.
    fn scatter(&mut self, rng: &mut Rng) {
        if self.process.recipe == Some(Recipe::LoneTail) && rng.chance(0.5) {
            self.disk.segment_bytes = 512;
            self.disk.payload_bytes_max = 400;
            self.disk.tail_bytes = self.disk.tail_bytes.max(8 << 10);
            self.load.clients = 4;
            self.load.pause = self.load.pause.min(self.heartbeat / 2);
        }
    }

    /// Mostly an arbiter is asked at bad moments; and in every other world what it is asked comes late, or again.
    fn vouch(&mut self, rng: &mut Rng) {
        if rng.chance(0.6) {
            self.process.recipe = Some(Recipe::PendingWord);
        }
        if rng.chance(0.5) {
            self.net.hostile = true;
            self.net.duplicate = rng.log_uniform(0.05, 0.3);
            self.net.reorder = rng.log_uniform(0.1, 0.5);
            self.net.delay = self.net.delay.max(self.election_timeout / 60);
            self.load.pause = self.load.pause.min(self.heartbeat / 5);
        }
    }

    /// Mostly somebody is designated, and mostly falls silent whom that one can do without, or both do, for long.
    fn designate(&mut self, rng: &mut Rng) {
        if !self.members.designate(rng, self.election_timeout) {
            return;
        }
        self.chaos = self.chaos.max(self.election_timeout * 40);
        if rng.chance(0.7) {
            self.process.recipe = Some(Recipe::GoesAlone);
        }
    }

    /// A world without faults, for scripts: fixed small delays, no chance in it.
    pub fn calm(nodes: u32) -> Self {
        let mut swarm = Swarm::draw(0);
        swarm.nodes = nodes;
        swarm.heartbeat = Duration::from_millis(100);
        swarm.election_timeout = Duration::from_millis(600);
        swarm.net = NetSwarm::calm();
        swarm.disk = DiskSwarm::calm();
        swarm.process = ProcessSwarm::calm();
        swarm.load.clients = 0;
        swarm.load.transfers = 0.0;
        swarm.load.copies = 0.0;
        swarm.load.lane = LANE;
        swarm.members = MembersSwarm::default();
        swarm.sinks = SinkSwarm::default();
        swarm
    }

    /// A world in which nothing breaks: a network and disks with tails, clocks that drift, and callers that never stop,
    /// for `time`. Its timing is the default one.
    pub fn healthy(seed: u64, time: Duration) -> Self {
        let rng = &mut Rng::split(seed, "healthy");
        let mut swarm = Swarm::calm(rng.pick(&[3, 3, 3, 5, 7]));
        swarm.chaos = time;
        swarm.net.delay = Duration::from_nanos(rng.log_uniform(50_000.0, 5_000_000.0) as u64);
        swarm.disk.write = Duration::from_nanos(rng.log_uniform(5_000.0, 500_000.0) as u64);
        swarm.disk.sync = Duration::from_nanos(rng.log_uniform(50_000.0, 10_000_000.0) as u64);
        swarm.disk.slow =
            rng.chance(0.4).then(|| (rng.between(1, u64::from(swarm.nodes)) as u32, 3));
        swarm.process.drift_ppm = rng.pick(&[0, 1_000, 30_000]);
        swarm.load.clients = rng.between(2, 8) as u32;
        swarm.load.pause = Duration::from_nanos(rng.log_uniform(2e7, 2e8) as u64);
        swarm.load.reads = rng.pick(&[0.1, 0.3, 0.6]);
        swarm.load.patience = 8.0;
        swarm.load.weak = rng.pick(&[0.0, 0.5]);
        swarm
    }

    /// A group that lives for years, in `time`: members join, leave, move and are wiped, processes and machines fail now and then, masters
    /// are handed over and copies ordered. Logs have small files and small bounds, so that they are cleaned all the time.
    pub fn churn(seed: u64, time: Duration) -> Self {
        let mut swarm = Swarm::healthy(seed, time);
        let rng = &mut Rng::split(seed, "churn");
        swarm.nodes = rng.pick(&[3, 3, 3, 4, 5]);
        swarm.disk.slow = None;
        swarm.members.live_for_years(rng);
        swarm.process.wear_out(rng, swarm.nodes);
        swarm.disk.stay_small(rng);
        swarm.load.clients = rng.between(1, 3) as u32;
        swarm.load.pause = Duration::from_nanos(rng.log_uniform(1e8, 5e8) as u64);
        swarm.load.keys = rng.between(1, 8);
        swarm.load.weak = 0.0;
        swarm.load.transfers = rng.pick(&[0.001, 0.005]);
        swarm.load.copies = rng.pick(&[0.0005, 0.002]);
        swarm
    }

    /// What a killed master may cost: a stagger, some fifteen messages and half a dozen syncs. One step in fifty takes
    /// ten times its mean here, so that two of them may be among those; but nobody may wait for a silence.
    pub fn kill_bound(&self) -> Duration {
        let slowest = self.disk.slow.map_or(1, |(_, factor)| factor);
        let steps = self.net.delay * 40 + self.disk.sync * (20 * slowest);
        (self.election_timeout / 20 + steps).min(self.election_timeout)
    }

    /// What a frozen master may cost: the longest silence, and 300 ms.
    pub fn freeze_bound(&self) -> Duration {
        self.election_timeout_max() + Duration::from_millis(300)
    }

    /// Longest time between two looks at a master: the bound of liveness is told in it.
    pub fn election_timeout_max(&self) -> Duration {
        self.election_timeout * 3 / 2
    }

    /// All machines: those that found the group, and those that are spare.
    pub fn machines(&self) -> u32 {
        self.nodes + self.members.spares
    }

    /// As what a machine joins a group. Who founds one votes and holds the data.
    pub(crate) fn kind_of(&self, machine: Machine) -> MemberType {
        let Some(spare) = machine.get().checked_sub(self.nodes + 1) else {
            return MemberType::Electable;
        };
        let MembersSwarm { arbiter, secondaries, monitors, .. } = self.members;
        match spare.checked_sub(u32::from(arbiter)) {
            None => MemberType::Arbiter,
            Some(place) if place < secondaries => MemberType::Secondary,
            Some(place) if place < secondaries + monitors => MemberType::Monitor,
            Some(_) => MemberType::Electable,
        }
    }

    /// The fewest members that make a majority.
    pub fn majority(&self) -> usize {
        self.nodes as usize / 2 + 1
    }
}

/// Off half of the time, else log-uniform: the swarm's coin.
fn sometimes(rng: &mut Rng, low: f64, high: f64) -> f64 {
    if rng.chance(0.5) { 0.0 } else { rng.log_uniform(low, high) }
}

/// A rate per second such that a run of this timing sees it between `low` and `high` times in ten
/// election timeouts.
fn rate(rng: &mut Rng, election_timeout: Duration, low: f64, high: f64) -> f64 {
    sometimes(rng, low, high) / (10.0 * election_timeout.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_draws_one_world_and_every_world_can_be_drawn() {
        let worlds: Vec<Swarm> = (0..500).map(Swarm::draw).collect();
        assert_eq!(format!("{:?}", worlds[3]), format!("{:?}", Swarm::draw(3)));
        for nodes in 1..=7 {
            assert!(worlds.iter().any(|world| world.nodes == nodes), "no world of {nodes}");
        }
        let kinds = |world: &Swarm| {
            (1..=world.machines()).map(|it| world.kind_of(Machine::new(it))).collect::<Vec<_>>()
        };
        for kind in [MemberType::Arbiter, MemberType::Secondary, MemberType::Monitor] {
            assert!(
                (0..500).any(|seed| kinds(&Swarm::with_roles(seed)).contains(&kind)),
                "no world with: {kind}"
            );
        }
        for recipe in Recipe::ALL {
            assert!(worlds.iter().any(|world| world.process.recipe == Some(recipe)), "{recipe:?}");
        }
        for recipe in [Recipe::GoesAlone, Recipe::PendingWord] {
            let draws = |seed| Swarm::draw(seed).process.recipe == Some(recipe);
            assert!((0..1_000).any(draws), "{recipe:?}");
        }
        let quiet = worlds.iter().filter(|world| world.process.kills_per_s == 0.0).count();
        assert!((150..350).contains(&quiet), "each fault is off in about half of the worlds");
    }
}
