//! What a node is told when it is made: who it is, who was listed with it, how patient it is, and what its
//! disk held.

use bytes::Bytes;
use rep_election::Fence;
use rep_vlsn::{GroupId, Incarnation, LogPoint, LogView, NodeId, Record, Vlsn};
use std::collections::BTreeMap;
use std::time::Duration;

/// A member as the flags list it, before the group's own metadata exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seed {
    /// The member's name, unique in its group.
    pub name: String,
    /// Where it listens, `host:port` (or a name within a memory hub).
    pub address: String,
}

/// Numbers the listed members: from 1, in byte order of their names (so every node finds the same numbers).
/// Of two seeds of one name the later is kept.
pub fn number_members(seeds: &[Seed]) -> BTreeMap<NodeId, Seed> {
    let by_name: BTreeMap<&str, &Seed> = seeds.iter().map(|seed| (&*seed.name, seed)).collect();
    (1..).map(NodeId::new).zip(by_name.into_values().cloned()).collect()
}

/// How patient a node is. All members of a group should agree.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Timing {
    /// A master sends a heartbeat at least this often. Default 100 ms.
    pub heartbeat: Duration,
    /// Silence of a master after which another election is tried, plus 0 to 50 %; also how long a master
    /// that hears no commit quorum goes on. Default 600 ms.
    pub election_timeout: Duration,
    /// How long one round of pre-votes or promises waits. Default 200 ms.
    pub round_timeout: Duration,
    /// A master whose writes wait, or whose own sync is in flight, for this long gives up. Default 5 s.
    pub disk_stall: Duration,
    /// The first wait before a lost connection is dialled again. Default 20 ms.
    pub redial_min: Duration,
    /// The longest such wait. Default 500 ms.
    pub redial_max: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Timing {
            heartbeat: Duration::from_millis(100),
            election_timeout: Duration::from_millis(600),
            round_timeout: Duration::from_millis(200),
            disk_stall: Duration::from_secs(5),
            redial_min: Duration::from_millis(20),
            redial_max: Duration::from_millis(500),
        }
    }
}

/// How much of a log is kept for members that may still ask for it, beyond what the node needs itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Retention {
    /// Bytes of the log's files. Default 4 GiB.
    pub bytes: u64,
    /// How long a file is kept after the next one was begun. Default 7 days.
    pub age: Duration,
}

impl Default for Retention {
    fn default() -> Self {
        Retention { bytes: 4 << 30, age: Duration::from_secs(7 * 24 * 60 * 60) }
    }
}

/// Who gives a secondary its entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FeedFrom {
    /// The master, as for everybody else.
    #[default]
    Master,
    /// A replica, so that the master's network is spared; the master, where there is none that can.
    Replica,
}

/// Who a node is, and who was listed with it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct NodeConfig {
    /// The group's name.
    pub group_name: String,
    /// This node's number: see [`number_members`].
    pub me: NodeId,
    /// Minted with the data directory.
    pub incarnation: Incarnation,
    /// The members as listed; once the group is founded its own metadata wins. Empty if this node joins a group.
    pub members: BTreeMap<NodeId, Seed>,
    /// Addresses of members that are asked to admit this node, if it is none yet. Default none: it founds a group with those listed.
    pub joining: Vec<String>,
    /// The identity that the group gets if this node founds it. Random, from the driver.
    pub fresh_group: GroupId,
    /// How patient the node is.
    pub timing: Timing,
    /// Bytes of entries that may wait for this node's disk. Default 64 MiB.
    pub unsynced_bytes_max: u64,
    /// Bytes in flight to one replica. Default 8 MiB.
    pub window_bytes: usize,
    /// Bytes of one batch; a larger record travels alone. Default 256 KiB.
    pub batch_bytes: usize,
    /// How much of its log the node keeps for others.
    pub retention: Retention,
    /// For how long a master slows its writers down, at a stretch, for a member that was given a copy and falls behind again: see
    /// [`PAUSE_MAX`](crate::PAUSE_MAX). Default 10 min; zero: not at all.
    pub straggler_patience: Duration,
    /// Copies of the state that it gives at a time. Default 2.
    pub restores_max: usize,
    /// For how long each file of the log, by its first entry, had been begun when this node was opened, by the driver's best knowledge (the time at which
    /// the file before it was written last). A file that is not named here counts from when it is first seen. Default none.
    pub file_ages: Vec<(Vlsn, Duration)>,
    /// The last entry of the copy that this opening of the directory has put in place, if it has. Default none.
    pub restored: Option<LogPoint>,
    /// Whether this opening was to put a copy in place and could not. Default no.
    pub unplaced: bool,
    /// Who feeds this node, if it is a secondary. Default the master.
    pub feed_from: FeedFrom,
    /// Told to the source of a stream: name=value, 1 KiB at most.
    pub attributes: Vec<(String, String)>,
    /// Wall-clock time when the driver's clock stood at zero, ms since the Unix epoch. Stamped on entries for
    /// people and lag bounds; no rule depends on it. Default 0.
    pub epoch_ms: u64,
    /// Seeds the jitter of elections and redials. The only randomness there is.
    pub seed: u64,
}

impl NodeConfig {
    /// A configuration with the default bounds and patience.
    pub fn new(
        group_name: impl Into<String>,
        me: NodeId,
        incarnation: Incarnation,
        members: BTreeMap<NodeId, Seed>,
        fresh_group: GroupId,
        seed: u64,
    ) -> Self {
        NodeConfig {
            group_name: group_name.into(),
            me,
            incarnation,
            members,
            joining: Vec::new(),
            fresh_group,
            timing: Timing::default(),
            unsynced_bytes_max: 64 << 20,
            window_bytes: 8 << 20,
            batch_bytes: 256 << 10,
            retention: Retention::default(),
            straggler_patience: Duration::from_secs(600),
            restores_max: 2,
            file_ages: Vec::new(),
            restored: None,
            unplaced: false,
            feed_from: FeedFrom::default(),
            attributes: Vec::new(),
            epoch_ms: 0,
            seed,
        }
    }
}

/// What the disk held when the node was opened.
#[derive(Clone, Debug)]
pub struct Recovered {
    /// The promise cell; default if it was never written.
    pub fence: Fence,
    /// The log's positions, all of them synced.
    pub log: LogView,
    /// The entries that say who belongs, as far as the log has them: those at [`LogView::memberships`].
    pub memberships: Vec<Record>,
    /// The cell `past`, if it was ever stored to: what [`Output::PersistPast`](crate::Output::PersistPast) gave.
    pub past: Option<Bytes>,
    /// The cell `place`, if it was ever stored to: what [`Output::TakePlace`](crate::Output::TakePlace) gave.
    pub place: Option<Bytes>,
    /// What the store holds.
    pub applied: LogPoint,
    /// dvlsn as the last local mark tells it.
    pub mark_dvlsn: Vlsn,
    /// The cell `vouch` of an arbiter: what [`Output::PersistVouch`](crate::Output::PersistVouch) gave last.
    pub vouched: LogPoint,
}

impl Recovered {
    /// A directory that has just been made.
    pub fn empty() -> Self {
        Recovered {
            fence: Fence::default(),
            log: LogView::empty(),
            memberships: Vec::new(),
            past: None,
            place: None,
            applied: LogPoint::NULL,
            mark_dvlsn: Vlsn::NULL,
            vouched: LogPoint::NULL,
        }
    }
}
