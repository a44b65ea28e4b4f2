//! Processes: started, killed, powered off, stopped and continued.
//!
//! A process is one run of the shipped node with everything the runtime would give it: a log writer, a promise
//! cell, a store, a front for callers. Its end may come after any output of any step: what it had not yet
//! done then, it never did. `starting`, `stopping` and `ending` are its life, `damage` and `wear` what happens to its directory meanwhile.

mod damage;
mod ending;
mod installing;
mod starting;
mod stopping;
mod wear;

pub(crate) use starting::CHECKPOINT_BYTES;

use crate::clock::Clock;
use crate::disk::{Home, Worn};
use crate::driver::{Giving, Joining, Kept, Pace, Question, Shipping, Taking, Word};
use crate::faults::{Cure, End};
use crate::front::Front;
use crate::machine::Contacts;
use crate::oracle::Noted;
use crate::workload::Asking;
use crate::world::Event;
use bytes::Bytes;
use rep_node::{ApplyPlan, Node, Request};
use rep_store::Databases;
use rep_vlsn::{
    DurableCell, Epoch, GroupId, Incarnation, LogPoint, LogReader, LogWriter, MemDisk, NodeId,
    SyncPlan, Tail, Vlsn,
};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

/// How a process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub(crate) enum Crash {
    /// The process alone; its machine answers for it, and the disk keeps what was written.
    Kill,
    /// The machine; what was not synced may be gone.
    PowerCut,
    /// The process, in good order: it answers its callers and closes its log.
    Close,
}

/// Where a process stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Life {
    Up,
    Down,
    /// Nobody has told it to do anything yet.
    Spare,
    /// Its directory cannot be opened: it stays out.
    Broken(String),
}

/// A member's machine: its directory, and the process on it if there is one.
#[derive(Debug)]
pub(crate) struct Process {
    pub(crate) home: Home,
    pub(crate) life: Life,
    pub(crate) live: Option<Box<Live>>,
    pub(crate) run: u64,
    pub(crate) incarnation: Incarnation,
    /// The machine answers even when the process does not.
    pub(crate) powered: bool,
    pub(crate) paused: bool,
    /// Its clock stands still since then.
    pub(crate) frozen: Option<Duration>,
    /// When its clock last leapt, or went on after a stop.
    pub(crate) leapt: Option<Duration>,
    /// What happened to it while it was stopped.
    pub(crate) stalled: Vec<Event>,
    /// What its flags list, if not every member of the world.
    pub(crate) flags: Option<Vec<String>>,
    /// Its flags list nobody: it joins a group.
    pub(crate) joins: bool,
    /// Each sync takes so long, whatever the world's disks take.
    pub(crate) sync_takes: Option<Duration>,
    /// The disk hangs: nothing that it was asked for is finished.
    pub(crate) hung: bool,
    /// What it will have finished when it goes on.
    pub(crate) unfinished: Vec<Event>,
    /// A copy of its directory, made a while ago.
    pub(crate) image: Option<Home>,
    /// What wore on its disk while it was away, as it was before.
    pub(crate) worn: Vec<Worn>,
    /// What somebody does, and after how long, if its directory cannot be opened for that.
    pub(crate) cure: Option<(Cure, Duration)>,
    /// Its disk was told to fail; if that shows, somebody restarts it after so long.
    pub(crate) ails: Option<Duration>,
    /// Its disk has no space.
    pub(crate) full: bool,
    /// Power was cut while a failed sync had left something in memory alone, and the log was not opened since.
    pub(crate) lost_marks: bool,
    /// It cannot go on, and waits for the restart.
    pub(crate) failed: bool,
    /// How it ends when the power fails in the middle of a disk operation, if that was ordered.
    pub(crate) torn: Option<(End, Option<Duration>)>,
    /// A copy of the state lies there, durably and whole, and is to be put in place.
    pub(crate) whole: Option<LogPoint>,
    /// A chunk of a copy has rotted, and no opening has looked at it since.
    pub(crate) chunk_rots: bool,
    /// One was put in place, and no node has heard of it yet.
    pub(crate) restored: Option<LogPoint>,
    /// Numbers of links: never one twice, over all runs.
    pub(crate) links: u64,
}

/// A run of the node.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) node: Node,
    /// The number that it goes by, and whom it knows under which.
    pub(crate) me: NodeId,
    pub(crate) contacts: Contacts,
    pub(crate) writer: LogWriter<MemDisk>,
    pub(crate) reader: LogReader<MemDisk>,
    pub(crate) tail: Tail,
    pub(crate) promise: DurableCell<MemDisk>,
    /// What the cells `promise` and `vouch` are to hold, in the order in which it was said.
    pub(crate) words: VecDeque<Word>,
    pub(crate) promise_busy: bool,
    pub(crate) log_busy: bool,
    pub(crate) syncs: SyncPlan,
    /// When the oldest write that is not synced was done.
    pub(crate) unsynced_since: Option<Duration>,
    /// When the log writer last had its hands free.
    pub(crate) free_since: Duration,
    /// What the mark of the group being synced says.
    pub(crate) mark: Noted,
    pub(crate) cut: Option<(LogPoint, Epoch)>,
    /// The cell of what the log's head said, what is to be stored in it, and up to where the head is to go then.
    pub(crate) past: DurableCell<MemDisk>,
    pub(crate) keeping: Option<(Vlsn, Bytes)>,
    pub(crate) cleaning: Option<Vlsn>,
    /// A copy of the state that it fetches, and those that it gives.
    pub(crate) taking: Option<Box<Taking>>,
    pub(crate) giving: BTreeMap<u64, Giving>,
    /// Those that it gave whole, and whose takers it waits for.
    pub(crate) kept: Vec<Kept>,
    /// What it ships, if it does.
    pub(crate) shipping: Shipping,
    /// The copy is here, and the node will be another.
    pub(crate) makes_way: bool,
    /// The log waits for space.
    pub(crate) waits_for_space: bool,
    /// Somebody reads since before the last cut: from where on, and of which log. Until something comes there.
    pub(crate) late_reader: Option<(Vlsn, Epoch)>,
    /// How its entries become durable, if it is master and there is an arbiter.
    pub(crate) pace: Pace,
    /// First and last entry that the last cut dropped.
    pub(crate) dropped: Option<(u64, u64)>,
    pub(crate) store: Databases,
    pub(crate) apply: Option<(Vlsn, Vlsn)>,
    pub(crate) plan: ApplyPlan,
    /// Proposals and reads on their way to the node, in order.
    pub(crate) lane: VecDeque<Asking>,
    pub(crate) front: Front,
    /// When it last heard each member, where that is asked.
    pub(crate) heard: BTreeMap<NodeId, Duration>,
    /// Calls that the node has not resolved.
    pub(crate) open_calls: BTreeSet<Request>,
    /// Transfers of the mastership that it was asked for, and when each has to be answered.
    pub(crate) wishes: BTreeMap<Request, Duration>,
    /// The same of changes of the membership, and who asked for those that are to admit somebody.
    pub(crate) changes: BTreeMap<Request, Duration>,
    pub(crate) questions: BTreeMap<Request, Question>,
    /// It asks to be admitted; the place that it was given, until that is on its disk.
    pub(crate) joining: Option<Joining>,
    pub(crate) place: Option<Bytes>,
    /// The group that has admitted it.
    pub(crate) placed_in: Option<GroupId>,
    /// It has ended because it was removed.
    pub(crate) removed: bool,
    /// The same, and it was told so when it asked to be admitted.
    pub(crate) turned_down: bool,
    pub(crate) clock: Clock,
    /// The earliest wake-up that is on its way, by the node's clock.
    pub(crate) wake: Option<Duration>,
    /// Outputs until an armed crash, how it ends then, and how long it stays away.
    pub(crate) crash_in: Option<(u64, End, Duration)>,
    /// Bytes of entries that wait for its disk and that no caller of its present mastership has brought.
    pub(crate) backlog: u64,
}

impl Live {
    /// Bytes of entries that callers have handed over and the node has not taken yet.
    pub(crate) fn queued_bytes(&self) -> u64 {
        let bytes = |asking: &Asking| match asking {
            Asking::Propose(proposal) => proposal.draft.record_bytes() as u64,
            Asking::Read { .. } | Asking::Transfer(_) | Asking::Change(_) => 0,
        };
        self.lane.iter().map(bytes).sum()
    }
}

impl Process {
    /// One that founds a group, or joins it from the beginning, or is told later to do so.
    pub(crate) fn new(founds: bool, joins: bool) -> Self {
        Process {
            home: Home::default(),
            life: if founds || joins { Life::Down } else { Life::Spare },
            live: None,
            run: 0,
            incarnation: Incarnation::default(),
            powered: true,
            paused: false,
            frozen: None,
            leapt: None,
            stalled: Vec::new(),
            flags: None,
            joins: !founds,
            sync_takes: None,
            hung: false,
            unfinished: Vec::new(),
            image: None,
            worn: Vec::new(),
            cure: None,
            ails: None,
            full: false,
            lost_marks: false,
            failed: false,
            torn: None,
            whole: None,
            chunk_rots: false,
            restored: None,
            links: 0,
        }
    }

    /// Whether its clock has leapt since this time of the world.
    pub(crate) fn has_leapt(&self, since: Duration) -> bool {
        self.leapt.is_some_and(|at| at >= since)
    }

    /// Whether what its log was last opened with may not be on its disk: a sync failed since, and left it in memory alone.
    pub(crate) fn is_doubtful(&self) -> bool {
        self.lost_marks || self.home.disk.is_in_doubt()
    }

    pub(crate) fn next_link(&mut self) -> u64 {
        self.links += 1;
        self.links
    }
}

/// The members as every node's flags list them.
pub(crate) fn names(nodes: u32) -> Vec<String> {
    (1..=nodes).map(|id| format!("n{id}")).collect()
}
