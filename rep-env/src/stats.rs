//! Counters that move, and a picture of them.

use crate::sync::{AtomicU64, Mutex, Ordering};
use rep_fsm::{NodeState, Role};
use rep_vlsn::{NodeId, Vlsn};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::Arc;

/// A picture of a running node, in numbers. Counters begin at zero when the environment is opened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Stats {
    /// Transactions that were admitted and handed to the node.
    pub commits_begun: u64,
    /// Commits that succeeded: their entries came as far as they asked.
    pub commits_durable: u64,
    /// Commits whose outcome stayed unknown.
    pub commits_unknown: u64,
    /// Commits that were handed over and had no effect.
    pub commits_failed: u64,
    /// Commits refused because too few members were live.
    pub refused_replicas: u64,
    /// Commits refused because a budget was full.
    pub refused_busy: u64,
    /// Reads that were served.
    pub reads_served: u64,
    /// Reads that were refused or timed out.
    pub reads_failed: u64,
    /// Groups of entries written to the log.
    pub log_groups: u64,
    /// Entries written to the log.
    pub log_entries: u64,
    /// Bytes of these entries.
    pub log_bytes: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Truncations of the log.
    pub log_truncations: u64,
    /// Times that files of the log were removed because nobody needs them.
    pub log_cleanings: u64,
    /// Promises written.
    pub promises_written: u64,
    /// Entries given to the store.
    pub entries_applied: u64,
    /// Batches in which they were given.
    pub batches_applied: u64,
    /// Times that the store was made durable.
    pub checkpoints: u64,
    /// Copies of the state that this node has put in place of its own.
    pub restores: u64,
    /// Chunks of copies that it has fetched.
    pub restore_chunks: u64,
    /// Their bytes.
    pub restore_bytes: u64,
    /// Copies that it has begun to give to other members.
    pub restores_given: u64,
    /// Bytes of chunks that it has given.
    pub restore_bytes_given: u64,
    /// Segments that sinks have taken.
    pub segments_shipped: u64,
    /// Their entries.
    pub entries_shipped: u64,
    /// Bytes of these entries.
    pub bytes_shipped: u64,
    /// Times that a sink took nothing.
    pub ships_failed: u64,
    /// The last entry that every sink has; `None` if there is no sink.
    pub shipped: Option<u64>,
    /// Durable entries that the sink which has the fewest lacks.
    pub ship_lag: Option<u64>,
    /// Times that all of the home was read again.
    pub scrubs: u64,
    /// Bytes of the log that were read again.
    pub scrubbed_bytes: u64,
    /// Times that damage was found so.
    pub damage_found: u64,
    /// Times that entries which this node held, and no commit quorum did, were cut away because a master's history has others in their place.
    pub rollbacks: u64,
    /// These entries.
    pub entries_rolled_back: u64,
    /// The first and last of them, the last time.
    pub rolled_back: Option<(u64, u64)>,
    /// Turns of whoever drove the node.
    pub steps: u64,
    /// Changes of the visible state.
    pub state_changes: u64,
    /// Times that this node became master.
    pub crowned: u64,
    /// Dials tried.
    pub dials: u64,
    /// Dials that failed.
    pub dials_failed: u64,
    /// Bytes of committed write sets that are not known to be applied here.
    pub overlay_bytes: u64,
    /// Bytes of entries that wait for this node's disk.
    pub unsynced_bytes: u64,
    /// The other members.
    pub replicas: Vec<ReplicaStats>,
}

/// One other member, in numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct ReplicaStats {
    /// Its name.
    pub name: String,
    /// Where the stream to it stands, in a word; empty unless this node feeds it.
    pub state: String,
    /// Whether the channel to it is open.
    pub connected: bool,
    /// If this node is master: who feeds it instead.
    pub fed_by: Option<String>,
    /// The last entry sent to it.
    pub sent: u64,
    /// The last entry that it is known to hold, on stable storage or not; `None` unless this node is master.
    pub received: Option<u64>,
    /// The last entry that it is known to have on stable storage; `None` unless this node is master.
    pub synced: Option<u64>,
    /// Entries of this node's log that it is not known to have.
    pub lag: Option<u64>,
    /// Milliseconds since anything was heard from it; `None` if nothing ever was.
    pub heard_ms_ago: Option<u64>,
    /// Smoothed round trip, in microseconds.
    pub round_trip_us: Option<u64>,
    /// The smoothed round trips that it has measured itself, by name, in microseconds.
    pub round_trips_us: BTreeMap<String, u64>,
    /// Frames received from it.
    pub frames_received: u64,
    /// Bytes received from it.
    pub bytes_received: u64,
    /// Frames sent to it.
    pub frames_sent: u64,
    /// Bytes sent to it.
    pub bytes_sent: u64,
}

/// A number that many threads add to.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($name:ident),* $(,)?) => {
        /// The counters of [`Stats`], as they are counted.
        #[derive(Debug, Default)]
        pub(crate) struct Counters {
            $(pub(crate) $name: Counter,)*
            rolled_back: Mutex<Option<(u64, u64)>>,
            peers: Mutex<BTreeMap<NodeId, Arc<PeerCounters>>>,
        }

        impl Counters {
            /// The counters alone; whoever knows more fills in the rest.
            pub(crate) fn picture(&self) -> Stats {
                let rolled_back = *self.rolled_back.lock();
                Stats { $($name: self.$name.get(),)* rolled_back, ..Stats::default() }
            }
        }
    };
}

counters!(
    commits_begun,
    commits_durable,
    commits_unknown,
    commits_failed,
    refused_replicas,
    refused_busy,
    reads_served,
    reads_failed,
    log_groups,
    log_entries,
    log_bytes,
    log_syncs,
    log_truncations,
    log_cleanings,
    promises_written,
    entries_applied,
    batches_applied,
    checkpoints,
    restores,
    restore_chunks,
    restore_bytes,
    restores_given,
    restore_bytes_given,
    segments_shipped,
    entries_shipped,
    bytes_shipped,
    ships_failed,
    scrubs,
    scrubbed_bytes,
    damage_found,
    rollbacks,
    entries_rolled_back,
    steps,
    state_changes,
    crowned,
    dials,
    dials_failed,
);

/// What was sent to and received from one member.
#[derive(Debug, Default)]
pub(crate) struct PeerCounters {
    pub(crate) frames_received: Counter,
    pub(crate) bytes_received: Counter,
    pub(crate) frames_sent: Counter,
    pub(crate) bytes_sent: Counter,
    /// The last entry sent.
    pub(crate) sent: Counter,
    /// When something was last heard, in ms of the driver's clock plus one; 0 for never.
    pub(crate) heard_ms: Counter,
}

impl Counters {
    /// Those of one member; looked up once a channel, and counted by without a look.
    pub(crate) fn peer(&self, id: NodeId) -> Arc<PeerCounters> {
        Arc::clone(self.peers.lock().entry(id).or_default())
    }

    /// These entries are gone from the log.
    pub(crate) fn rolled_back(&self, dropped: &RangeInclusive<Vlsn>) {
        let (first, last) = (dropped.start().get(), dropped.end().get());
        *self.rolled_back.lock() = Some((first, last));
        self.entries_rolled_back.add(last + 1 - first);
        self.rollbacks.add(1);
    }

    /// Numbers are never used again: what was counted of those whom nobody knows any more goes.
    pub(crate) fn keep_peers(&self, is_known: impl Fn(NodeId) -> bool) {
        self.peers.lock().retain(|id, _| is_known(*id));
    }
}

/// A role in a word, for status.
pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Idle => "idle",
        Role::Replica => "replica",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
    }
}

/// A state in a word, for status.
pub(crate) fn state_name(state: NodeState) -> &'static str {
    match state {
        NodeState::Detached => "detached",
        NodeState::Unknown => "unknown",
        NodeState::Master => "master",
        NodeState::Replica => "replica",
        NodeState::Shutdown => "shutdown",
    }
}
