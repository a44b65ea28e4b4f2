//! What kind of run a seed is.
//!
//! A run with every fault at its average rate is always the same run. So each seed first draws its own
//! world: how many nodes, how fast, how small the buffers, and for each kind of fault whether it exists at
//! all (half of the time) and, if so, at a rate drawn log-uniformly.
//!
//! Source: swarm testing, Groce et al. 2012; the rates-off half is its whole point.

use crate::rng::Rng;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The world that a seed draws.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct Swarm {
    /// Members of the group.
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
}

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
    /// A partition begins, per second of virtual time.
    pub partitions_per_s: f64,
    /// How long a partition lasts.
    pub partition: Duration,
    /// A partition cuts one direction only.
    pub one_way: f64,
}

/// The disks of a run.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[non_exhaustive]
#[serde(default)]
pub struct DiskSwarm {
    /// Mean latency of a write.
    pub write: Duration,
    /// Mean latency of a sync.
    pub sync: Duration,
    /// One node's disk is this much slower, and which one.
    pub slow: Option<(u32, u32)>,
    /// A disk hangs for a while, per second of virtual time.
    pub hangs_per_s: f64,
    /// A disk is slow for a while, per second of virtual time.
    pub slows_per_s: f64,
    /// The next sync, write or read of a disk will fail, per second of virtual time.
    pub errors_per_s: f64,
    /// A disk has no space for a while, per second of virtual time.
    pub fills_per_s: f64,
    /// Bytes of entries that may wait for a disk before writes are refused.
    pub unsynced_bytes_max: u64,
    /// Bytes of a segment of which the index file is told at once.
    pub checkpoint_bytes: u64,
    /// Segment length, in bytes.
    pub segment_bytes: u64,
    /// Bytes of the log's tail in memory.
    pub tail_bytes: usize,
    /// Payload padding: entries up to this long.
    pub payload_bytes_max: u64,
}

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
}

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
}

/// From a caller's thread to a node that is not busy.
const LANE: Duration = Duration::from_micros(5);

/// The calm world of three members and one client: what a case means that does not say.
impl Default for Swarm {
    fn default() -> Self {
        Swarm { load: LoadSwarm::default(), ..Swarm::calm(3) }
    }
}

impl Swarm {
    /// The world of `seed`.
    pub fn draw(seed: u64) -> Self {
        let rng = &mut Rng::split(seed, "swarm");
        let nodes = rng.pick(&[1, 2, 3, 3, 3, 3, 3, 3, 4, 5, 5, 5, 6, 7]);
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
        };
        // Of a stream of its own, so that worlds that were drawn before there were images are what they were.
        swarm.process.images_per_s = images(&mut Rng::split(seed, "images"), election_timeout);
        swarm
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
        swarm.load.lane = LANE;
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

/// In one world in five somebody copies directories and puts them back: such a run may end before it is over.
fn images(rng: &mut Rng, election_timeout: Duration) -> f64 {
    let some = rate(rng, election_timeout, 0.2, 2.0);
    if rng.chance(0.4) { some } else { 0.0 }
}

impl Default for NetSwarm {
    fn default() -> Self {
        NetSwarm::calm()
    }
}

impl NetSwarm {
    fn draw(rng: &mut Rng, election_timeout: Duration) -> Self {
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
            partitions_per_s: rate(rng, election_timeout, 0.3, 6.0),
            partition: election_timeout.mul_f64(rng.log_uniform(0.2, 6.0)),
            one_way: rng.pick(&[0.0, 0.3, 1.0]),
        }
    }

    fn calm() -> Self {
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
            partitions_per_s: 0.0,
            partition: Duration::ZERO,
            one_way: 0.0,
        }
    }
}

impl Default for DiskSwarm {
    fn default() -> Self {
        DiskSwarm::calm()
    }
}

impl DiskSwarm {
    fn draw(rng: &mut Rng, nodes: u32, heartbeat: Duration, election_timeout: Duration) -> Self {
        let slowest = heartbeat.as_nanos() as f64 / 2.0;
        let slow_by = rng.pick(&[5, 20, 60]);
        DiskSwarm {
            write: Duration::from_nanos(rng.log_uniform(5_000.0, slowest / 4.0) as u64),
            sync: Duration::from_nanos(rng.log_uniform(50_000.0, slowest) as u64),
            slow: rng.chance(0.4).then(|| (rng.between(1, u64::from(nodes)) as u32, slow_by)),
            hangs_per_s: rate(rng, election_timeout, 0.2, 3.0),
            slows_per_s: rate(rng, election_timeout, 0.2, 3.0),
            errors_per_s: rate(rng, election_timeout, 0.2, 6.0),
            fills_per_s: rate(rng, election_timeout, 0.2, 3.0),
            unsynced_bytes_max: rng.pick(&[2 << 10, 64 << 20, 64 << 20]),
            checkpoint_bytes: rng.pick(&[1, 1 << 10, 4 << 20]),
            segment_bytes: rng.pick(&[4 << 10, 16 << 10, 64 << 10]),
            tail_bytes: rng.pick(&[256, 1 << 10, 8 << 10, 64 << 10]),
            payload_bytes_max: rng.pick(&[8, 60, 400]),
        }
    }

    fn calm() -> Self {
        DiskSwarm {
            write: Duration::from_micros(20),
            sync: Duration::from_millis(1),
            slow: None,
            hangs_per_s: 0.0,
            slows_per_s: 0.0,
            errors_per_s: 0.0,
            fills_per_s: 0.0,
            unsynced_bytes_max: 64 << 20,
            checkpoint_bytes: 4 << 20,
            segment_bytes: 64 << 10,
            tail_bytes: 64 << 10,
            payload_bytes_max: 8,
        }
    }
}

impl Default for ProcessSwarm {
    fn default() -> Self {
        ProcessSwarm::calm()
    }
}

impl ProcessSwarm {
    fn draw(rng: &mut Rng, nodes: u32, election_timeout: Duration) -> Self {
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
            away: election_timeout.mul_f64(rng.log_uniform(0.02, 6.0)),
            damaged_max: if reckless { nodes.saturating_sub(1) } else { minority },
            traps: if rng.chance(0.5) { 0 } else { rng.between(1, 8) as u32 },
            leaps_per_s: rate(rng, election_timeout, 0.2, 3.0),
            frozen: rng.pick(&[0.0, 0.5, 1.0]),
            drift_ppm: rng.pick(&[0, 0, 1_000, 30_000]),
            recipe: Recipe::draw(rng),
        }
    }

    fn calm() -> Self {
        ProcessSwarm {
            kills_per_s: 0.0,
            power_cuts_per_s: 0.0,
            closes_per_s: 0.0,
            pauses_per_s: 0.0,
            armed_per_s: 0.0,
            wipes_per_s: 0.0,
            rots_per_s: 0.0,
            images_per_s: 0.0,
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
    const ALL: [Recipe; 10] = [
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

    fn draw(rng: &mut Rng) -> Option<Self> {
        let recipe = rng.pick(&Recipe::ALL);
        rng.chance(0.5).then_some(recipe)
    }
}

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
        }
    }
}

impl LoadSwarm {
    fn draw(rng: &mut Rng, heartbeat: Duration) -> Self {
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
        }
    }
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
        for recipe in Recipe::ALL {
            assert!(worlds.iter().any(|world| world.process.recipe == Some(recipe)), "{recipe:?}");
        }
        let quiet = worlds.iter().filter(|world| world.process.kills_per_s == 0.0).count();
        assert!((150..350).contains(&quiet), "each fault is off in about half of the worlds");
    }
}
