//! What the runs have met: where nothing was ever seen, nothing was ever tested.
//!
//! Three measures, none of which changes a run. The *matrix*: which inputs a node was given in which role. *States*: how many
//! different pictures of a whole group there were, told coarsely (roles, terms, logs and disks by order and class); when their number
//! no longer grows, other worlds are needed, not more seeds. *Probes*: the rare moments that the shipped code itself tells of, in
//! builds with `--cfg rep_coverage`.

use crate::machine::Machine;
use crate::process::Process;
use crate::trace::digest;
use crate::world::{Event, World};
use rep_node::{Message, Role};
use std::collections::{BTreeMap, BTreeSet};

/// Rare moments that the shipped code tells of, each of which ten thousand seeds have to meet.
pub const PROBES: &[&str] = &[
    "election-late-solicit",
    "election-refused-a-wiped-member",
    "election-refused-by-a-better-candidate",
    "election-refused-by-the-master",
    "election-refused-in-crown-wait",
    "election-refused-master-heard",
    "node-admitted",
    "node-an-arbiter-vouched",
    "node-deposed-by-a-higher-term",
    "node-disk-failed-under-a-master",
    "node-early-checkpoint",
    "node-gave-up-a-silent-link",
    "node-heard-of-an-earlier-connection",
    "node-found-itself-an-image",
    "node-told-a-removed-member",
    "node-turned-a-twin-away",
    "node-drains-for-an-heir",
    "node-handed-its-mastership-over",
    "node-heard-of-a-later-membership",
    "node-lost-its-quorum",
    "node-passed-a-relay-over",
    "node-promoted-a-learner",
    "node-rolled-a-membership-back",
    "node-rolls-back-a-whole-term",
    "node-rolls-back-to-its-dvlsn",
    "stream-batch-does-not-continue",
    "stream-long-rollback",
    "stream-small-batch",
    "vlsn-cut-crosses-a-segment",
    "vlsn-cut-keeps-what-is-only-staged",
    "vlsn-read-from-files",
    "vlsn-small-group",
    "vlsn-torn-tail",
    "vlsn-walk-without-the-index",
    "vlsn-write-overtaken-by-a-cut",
    "vlsn-zeros-ahead",
];

/// Probes that no world can meet, each with its reason.
pub const EXCUSED_PROBES: &[(&str, &str)] = &[];

/// What a node may be given.
pub const INPUTS: &[&str] = &[
    "election message",
    "heartbeat",
    "heartbeat reply",
    "ping",
    "pong",
    "read index",
    "read index reply",
    "from a feeder",
    "from a replica",
    "timer",
    "fence stored",
    "group written",
    "group synced",
    "sync due",
    "log cut",
    "applied",
    "proposal or read",
    "entries to send",
    "entries sent",
];

/// Roles, in the order of the matrix.
pub const ROLES: &[Role] = &[Role::Idle, Role::Replica, Role::Candidate, Role::Leader];

/// Cells that ten thousand seeds need not meet, each with its reason.
pub const EXCUSED: &[(Role, &str, &str)] = &[
    (Role::Idle, "from a feeder", FOLLOWS_NOBODY),
    (Role::Candidate, "from a feeder", FOLLOWS_NOBODY),
    (Role::Leader, "from a feeder", FOLLOWS_NOBODY),
    (
        Role::Idle,
        "log cut",
        "what makes a node idle is its close or its disk, and neither finishes a cut",
    ),
    (
        Role::Candidate,
        "log cut",
        "a cut ends sooner than a silence begins, but once in thousands of seeds",
    ),
    (
        Role::Leader,
        "log cut",
        "a master cuts nothing: it is none any more when it learns what to cut",
    ),
    (
        Role::Leader,
        "fence stored",
        "a master that promises has ended its reign before the fence is written",
    ),
    (Role::Idle, "entries sent", LINK_GONE),
    (Role::Candidate, "entries sent", LINK_GONE),
    (Role::Replica, "entries sent", LINK_GONE),
];

const FOLLOWS_NOBODY: &str = "who leaves off following hangs up at once";
const LINK_GONE: &str =
    "the links of a reign go with it, and a sender ends within the same instant or fails";

/// What runs have met, added up.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Coverage {
    /// How often each input came in each role.
    pub cells: BTreeMap<(Role, &'static str), u64>,
    /// Pictures of a group, by digest.
    pub states: BTreeSet<u64>,
    /// How often each probe was met, in a build that has them.
    pub probes: BTreeMap<&'static str, u64>,
}

impl Coverage {
    /// Adds what another run has met.
    pub fn add(&mut self, other: Coverage) {
        other.cells.into_iter().for_each(|(cell, n)| *self.cells.entry(cell).or_default() += n);
        other.probes.into_iter().for_each(|(name, n)| *self.probes.entry(name).or_default() += n);
        self.states.extend(other.states);
    }

    /// Cells that were not met, though they could be.
    pub fn unseen_cells(&self) -> Vec<(Role, &'static str)> {
        let all = ROLES.iter().flat_map(|role| INPUTS.iter().map(move |input| (*role, *input)));
        let possible =
            |cell: &(Role, &str)| !EXCUSED.iter().any(|(role, input, _)| (*role, *input) == *cell);
        all.filter(possible).filter(|cell| !self.cells.contains_key(cell)).collect()
    }

    /// Probes that were not met; none in a build without probes.
    pub fn unmet_probes(&self) -> Vec<&'static str> {
        let possible = |name: &&&str| !EXCUSED_PROBES.iter().any(|(other, _)| *other == **name);
        let unmet = PROBES.iter().filter(possible).filter(|name| !self.probes.contains_key(*name));
        if cfg!(rep_coverage) { unmet.copied().collect() } else { Vec::new() }
    }
}

/// Begins to watch the rare moments of this thread.
#[cfg(rep_coverage)]
pub(crate) fn begin_probes(seed: u64) {
    rep_vlsn::probes::begin(seed);
}

/// What was met.
#[cfg(rep_coverage)]
pub(crate) fn end_probes() -> BTreeMap<&'static str, u64> {
    rep_vlsn::probes::end()
}

#[cfg(not(rep_coverage))]
pub(crate) fn begin_probes(_seed: u64) {}

#[cfg(not(rep_coverage))]
pub(crate) fn end_probes() -> BTreeMap<&'static str, u64> {
    BTreeMap::new()
}

impl World {
    /// A node is about to be given something.
    pub(crate) fn meets(&mut self, id: Machine, input: &'static str) {
        let Some(role) = self.process(id).live.as_ref().map(|live| live.node.role()) else {
            return;
        };
        if let Some(coverage) = &mut self.coverage {
            *coverage.cells.entry((role, input)).or_default() += 1;
        }
    }

    pub(crate) fn meets_event(&mut self, event: &Event) {
        if self.coverage.is_none() {
            return;
        }
        if let (Some((id, _)), Some(input)) = (event.of_run(), input_of(event)) {
            self.meets(id, input);
        }
        if self.trace.events.is_multiple_of(STATES_EVERY) {
            let state = self.picture();
            self.coverage.as_mut().map(|coverage| coverage.states.insert(state));
        }
    }

    /// The group, told coarsely; which node is which does not matter.
    fn picture(&self) -> u64 {
        let ids = self.ids();
        let lives = || ids.iter().filter_map(|id| self.process(*id).live.as_ref());
        let term = lives().map(|live| live.node.fence().term.get()).min().unwrap_or(0);
        let longest = lives().map(|live| live.node.log().last()).max().unwrap_or_default();
        let mut nodes: Vec<[u8; 6]> = ids
            .iter()
            .map(|id| {
                let cuts = self.network.cuts().filter(|(from, _)| from == id).count();
                let [role, terms, log, synced, dvlsn] =
                    self.of_node(self.process(*id), term, longest);
                [role, terms, log, synced, dvlsn, cuts.min(2) as u8]
            })
            .collect();
        nodes.sort_unstable();
        digest(nodes.len() as u64, &nodes.concat())
    }

    fn of_node(&self, process: &Process, term: u64, longest: rep_vlsn::LogPoint) -> [u8; 5] {
        let Some(live) = &process.live else { return [9; 5] };
        let log = live.node.log();
        let behind = |from: u64, to: u64| match from.saturating_sub(to) {
            0 => 0,
            1 => 1,
            2..=8 => 2,
            _ => 3,
        };
        let role =
            live.node.role() as u8 + 10 * u8::from(process.paused) + 20 * u8::from(process.hung);
        let other_term = u8::from(log.last().term < longest.term);
        [
            role,
            (live.node.fence().term.get() - term).min(3) as u8,
            behind(longest.vlsn.get(), log.last().vlsn.get()) + 10 * other_term,
            behind(log.last().vlsn.get(), log.synced().get()),
            behind(log.last().vlsn.get(), live.node.dvlsn().get()),
        ]
    }
}

/// A picture is taken of every so many events.
const STATES_EVERY: u64 = 4;

fn input_of(event: &Event) -> Option<&'static str> {
    Some(match event {
        Event::Timer { .. } => "timer",
        Event::WordStored { .. } => "fence stored",
        Event::GroupWritten { .. } => "group written",
        Event::GroupSynced { .. } => "group synced",
        Event::SyncDue { .. } => "sync due",
        Event::LogCut { .. } => "log cut",
        Event::PastKept { .. } => "past kept",
        Event::LogCleaned { .. } => "log cleaned",
        Event::SpaceTried { .. } => "space tried",
        Event::Applied { .. } => "applied",
        Event::Lane { .. } => "proposal or read",
        Event::SendEntries { .. } => "entries to send",
        Event::Sent { .. } => "entries sent",
        Event::CopyNews { .. } => "copy news",
        Event::CopyDue { .. } => "copy due",
        Event::CopyAsks { .. } => "copy asked for",
        Event::ChunkRead { .. } => "chunk read",
        Event::ChunkKept { .. } => "chunk kept",
        Event::CopyStored { .. } => "copy stored",
        Event::JoinAsks { .. } => "asks to be admitted",
        Event::JoinTold { .. } => "told of its place",
        Event::PlaceStored { .. } => "place stored",
        Event::Net(_)
        | Event::CopyDialled { .. }
        | Event::JoinAsked { .. }
        | Event::Restart { .. }
        | Event::Cured { .. }
        | Event::SetAside { .. }
        | Event::Resume { .. }
        | Event::Mend { .. }
        | Event::Client { .. }
        | Event::DiskFreed { .. }
        | Event::DiskQuick { .. }
        | Event::SpaceBack { .. }
        | Event::ShipDue { .. }
        | Event::Reopen { .. } => return None,
    })
}

/// What kind of message it is.
pub(crate) fn input_of_message(message: &Message) -> &'static str {
    match message {
        Message::Election(_) => "election message",
        Message::Heartbeat { .. } => "heartbeat",
        Message::HeartbeatReply { .. } => "heartbeat reply",
        Message::Ping { .. } => "ping",
        Message::Pong { .. } => "pong",
        Message::ReadIndex { .. } => "read index",
        Message::ReadIndexReply { .. } => "read index reply",
        Message::TurnedAway(_) => "farewell",
        Message::Acquaint(_) => "acquaintance",
        Message::RoundTrips(_) => "round trips",
        Message::Load(_) => "load",
        Message::Vouch { .. } => "vouch",
        Message::Vouched { .. } => "vouched",
        Message::Stands { .. } => "standing",
        Message::GroupShutDown { .. } => "group shutdown",
        Message::ToReplica(_) => "from a feeder",
        Message::ToFeeder(_) => "from a replica",
    }
}
