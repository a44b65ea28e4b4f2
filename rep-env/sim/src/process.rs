//! Processes: started, killed, powered off, stopped and continued.
//!
//! A process is one run of the shipped node with everything the runtime would give it: a log writer, a promise
//! cell, a store, a front for callers. Its end may come after any output of any step: what it had not yet
//! done then, it never did.

use crate::clock::Clock;
use crate::disk::{self, Found, Home, Unopened};
use crate::faults::{Damage, End};
use crate::front::Front;
use crate::oracle::{Invariant, Violation, ensure};
use crate::rng::Rng;
use crate::trace::digest;
use crate::workload::Asking;
use crate::world::{Event, World};
use rep_node::{
    ApplyPlan, Fence, Node, NodeConfig, NodeState, Recovered, Request, Seed, number_members,
};
use rep_store::{Databases, StateMachine};
use rep_vlsn::{
    DurableCell, Epoch, GroupId, Incarnation, LogPoint, LogReader, LogWriter, MemDisk, NodeId,
    SyncPlan, Tail, Vlsn,
};
use std::collections::{BTreeSet, VecDeque};
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
    /// What happened to it while it was stopped.
    pub(crate) stalled: Vec<Event>,
    /// What its flags list, if not every member of the world.
    pub(crate) flags: Option<Vec<String>>,
    /// Each sync takes so long, whatever the world's disks take.
    pub(crate) sync_takes: Option<Duration>,
    /// The disk hangs: nothing that it was asked for is finished.
    pub(crate) hung: bool,
    /// What it will have finished when it goes on.
    pub(crate) unfinished: Vec<Event>,
    /// A copy of its directory, made a while ago.
    pub(crate) image: Option<MemDisk>,
    /// Its disk was told to fail; if that shows, somebody restarts it after so long.
    pub(crate) ails: Option<Duration>,
    /// Its disk has no space.
    pub(crate) full: bool,
    /// It cannot go on, and waits for the restart.
    pub(crate) failed: bool,
    /// How it ends when the power fails in the middle of a disk operation, if that was ordered.
    pub(crate) torn: Option<(End, Option<Duration>)>,
    /// Numbers of links: never one twice, over all runs.
    pub(crate) links: u64,
}

/// A run of the node.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) node: Node,
    pub(crate) writer: LogWriter<MemDisk>,
    pub(crate) reader: LogReader<MemDisk>,
    pub(crate) tail: Tail,
    pub(crate) promise: DurableCell<MemDisk>,
    /// What the promise cell confirmed last.
    pub(crate) stored: Fence,
    pub(crate) fences: VecDeque<Fence>,
    pub(crate) promise_busy: bool,
    pub(crate) log_busy: bool,
    pub(crate) syncs: SyncPlan,
    /// When the oldest write that is not synced was done.
    pub(crate) unsynced_since: Option<Duration>,
    /// When the log writer last had its hands free.
    pub(crate) free_since: Duration,
    /// Durable entries when the group being synced was written: what its mark says.
    pub(crate) mark: usize,
    pub(crate) cut: Option<(LogPoint, Epoch)>,
    /// First and last entry that the last cut dropped.
    pub(crate) dropped: Option<(u64, u64)>,
    pub(crate) store: Databases,
    pub(crate) apply: Option<(Vlsn, Vlsn)>,
    pub(crate) plan: ApplyPlan,
    /// Proposals and reads on their way to the node, in order.
    pub(crate) lane: VecDeque<Asking>,
    pub(crate) front: Front,
    /// Calls that the node has not resolved.
    pub(crate) open_calls: BTreeSet<Request>,
    pub(crate) clock: Clock,
    /// The earliest wake-up that is on its way, by the node's clock.
    pub(crate) wake: Option<Duration>,
    /// Outputs until an armed crash, how it ends then, and how long it stays away.
    pub(crate) crash_in: Option<(u64, End, Duration)>,
}

impl Process {
    pub(crate) fn new() -> Self {
        Process {
            home: Home::default(),
            life: Life::Down,
            live: None,
            run: 0,
            incarnation: Incarnation::default(),
            powered: true,
            paused: false,
            frozen: None,
            stalled: Vec::new(),
            flags: None,
            sync_takes: None,
            hung: false,
            unfinished: Vec::new(),
            image: None,
            ails: None,
            full: false,
            failed: false,
            torn: None,
            links: 0,
        }
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

fn listed(name: &String) -> Seed {
    Seed { name: name.clone(), address: format!("sim:{name}") }
}

impl World {
    /// Starts a process that is not running.
    pub(crate) fn start(&mut self, id: NodeId) {
        let process = self.process(id);
        if process.life != Life::Down {
            return;
        }
        let home = process.home.clone();
        let fresh = Incarnation(self.mint());
        let found = home.open(disk::log_config(&self.swarm.disk), fresh);
        let process = self.process_mut(id);
        process.run += 1;
        process.powered = true;
        let run = process.run;
        self.note(id, &[1, run], || format!("n{id} starts, run {run}", id = id.get()));
        match found {
            Ok(found) => self.boot(id, found),
            Err(Unopened::Crashed) => self.boot_crashed(id),
            Err(Unopened::Damaged(why)) => self.boot_refused(id, why),
            Err(Unopened::Other(_)) if self.process(id).ails.is_some() => self.boot_later(id),
            Err(Unopened::Other(why)) => self.fail(Violation {
                invariant: Invariant::ErrorHonesty,
                what: format!("{id} cannot open its directory: {why}"),
            }),
        }
    }

    fn boot_crashed(&mut self, id: NodeId) {
        let (end, back) = self.tear_of(id);
        let disk = self.process(id).home.disk.clone();
        disk.power_cut(&mut end.fates());
        self.oracle.stopped(id, false);
        let back = back.unwrap_or(self.swarm.process.away);
        self.schedule.push(self.now + back, Event::Restart { id });
    }

    /// The disk fails, or has no space, even while the directory is opened.
    fn boot_later(&mut self, id: NodeId) {
        let back = self.process(id).ails.unwrap_or(self.swarm.process.away);
        self.schedule.push(self.now + back, Event::Restart { id });
    }

    /// How a process ends whose disk lost power under it.
    pub(crate) fn tear_of(&mut self, id: NodeId) -> (End, Option<Duration>) {
        let torn = self.process_mut(id).torn.take();
        torn.expect("a disk dies in the middle of an operation only if that was ordered")
    }

    fn boot_refused(&mut self, id: NodeId, why: String) {
        self.note(id, &[2], || format!("n{} stays out: {why}", id.get()));
        if !self.oracle.member(id).damaged {
            let what = format!("{id} finds damage that nobody did: {why}");
            self.fail(Violation { invariant: Invariant::CorruptionIsNotACrash, what });
        }
        self.process_mut(id).life = Life::Broken(why);
    }

    fn boot(&mut self, id: NodeId, found: Found) {
        let Found { incarnation, promise, fence, log, entries } = found;
        self.process_mut(id).incarnation = incarnation;
        self.oracle.born(id, incarnation);
        if self.oracle.member(id).damaged {
            let what = format!("{id} opens a log that is damaged below its mark");
            return self.fail(Violation { invariant: Invariant::CorruptionIsNotACrash, what });
        }
        let store = Databases::memory_in(&self.process(id).home.store);
        let (applied, mark_dvlsn) =
            (store.applied(), log.marks.map_or(Vlsn::NULL, |mark| mark.dvlsn));
        let dvlsn = applied.vlsn.max(mark_dvlsn).min(log.view.last().vlsn);
        let checked = self.oracle.fence_opened(id, fence.term, fence.promised_to);
        self.check(checked);
        let checked = self.oracle.recovered(id, entries, applied.vlsn, dvlsn);
        self.check(checked);
        let recovered = Recovered {
            fence,
            founding: disk::founding(&log),
            log: log.view.clone(),
            applied,
            mark_dvlsn,
        };
        let config = self.node_config(id);
        let clock = Clock::starting(self.now, self.drift());
        let node = match Node::new(config, recovered, Duration::ZERO) {
            Ok(node) => node,
            Err(error) if self.process(id).flags.is_some() => {
                self.process_mut(id).life = Life::Broken(error.to_string());
                return;
            }
            Err(error) => {
                let what = format!("{id} refuses its own directory: {error}");
                return self.fail(Violation { invariant: Invariant::ErrorHonesty, what });
            }
        };
        let plan = ApplyPlan::new(2 << 10, self.swarm.election_timeout * 2);
        let live = Live {
            front: Front::new(store.reader(), node.admission(Duration::ZERO)),
            node,
            writer: log.writer,
            reader: log.reader,
            tail: log.tail,
            promise,
            stored: fence,
            fences: VecDeque::new(),
            promise_busy: false,
            log_busy: false,
            syncs: SyncPlan::new(self.swarm.heartbeat, 32 << 20),
            unsynced_since: None,
            free_since: self.now,
            mark: 0,
            cut: None,
            dropped: None,
            store,
            apply: None,
            plan,
            lane: VecDeque::new(),
            open_calls: BTreeSet::new(),
            clock,
            wake: None,
            crash_in: None,
        };
        let process = self.process_mut(id);
        process.live = Some(Box::new(live));
        process.life = Life::Up;
        self.seat_passenger(id);
        self.drain(id);
    }

    fn node_config(&mut self, id: NodeId) -> NodeConfig {
        let group = GroupId(self.mint());
        let seed = digest(self.process(id).run, &id.get().to_le_bytes()) ^ self.seed;
        let names_listed = self.process(id).flags.clone();
        let names_listed = names_listed.unwrap_or_else(|| names(self.swarm.nodes));
        let members = number_members(&names_listed.iter().map(listed).collect::<Vec<_>>());
        let incarnation = self.process(id).incarnation;
        let mut config = NodeConfig::new("sim", id, incarnation, members, group, seed);
        // Wall clocks differ, and step between two runs: nothing may hang on them.
        config.epoch_ms = digest(seed, b"wall clock") % 2_000_000_000_000;
        let timing = &mut config.timing;
        timing.heartbeat = self.swarm.heartbeat;
        timing.election_timeout = self.swarm.election_timeout;
        timing.round_timeout = self.swarm.heartbeat * 2;
        timing.disk_stall = self.swarm.election_timeout * 8;
        timing.redial_min = self.swarm.heartbeat / 5;
        timing.redial_max = self.swarm.heartbeat * 5;
        config.unsynced_bytes_max = self.swarm.disk.unsynced_bytes_max;
        config.window_bytes = self.swarm.disk.tail_bytes.max(2 << 10);
        config.batch_bytes = self.swarm.disk.tail_bytes.clamp(256, 4 << 10);
        config
    }

    fn drift(&mut self) -> i64 {
        let most = self.swarm.process.drift_ppm;
        self.rngs.jitter.below(2 * most + 1) as i64 - most as i64
    }

    /// A process ends, with all that it had not written.
    pub(crate) fn end_process(&mut self, id: NodeId, end: End) {
        if end.how == Crash::Close && !self.process(id).paused {
            self.close_node(id);
        }
        let Some(live) = self.process_mut(id).live.take() else { return };
        self.passengers.close(id);
        self.counts.crash(end.how);
        self.note(id, &[3, end.how as u64], || format!("n{} {}", id.get(), end.how.verb()));
        let Live { writer, open_calls, node, .. } = *live;
        let end = match end.how {
            Crash::Close => self.close_log(id, end, writer, node.dvlsn()),
            Crash::Kill | Crash::PowerCut => end,
        };
        let powered = end.how != Crash::PowerCut;
        let process = self.process_mut(id);
        process.life = Life::Down;
        process.paused = false;
        process.frozen = None;
        process.failed = false;
        process.ails = process.ails.filter(|_| process.full);
        process.stalled.clear();
        process.unfinished.clear();
        match powered {
            true => process.home.disk.kill(),
            false => process.home.disk.power_cut(&mut end.fates()),
        }
        process.powered = powered;
        let silence = end.silent.then(|| self.swarm.election_timeout * 6);
        let coming = self.network.process_ended(self.now, id, powered, silence);
        self.net_coming(coming);
        self.oracle.stopped(id, powered);
        self.lose_calls(id, open_calls);
    }

    /// I-38: closing ends at once, in whatever state the node is, and everybody who asked is told.
    fn close_node(&mut self, id: NodeId) {
        self.step(id, |node, now| node.close(now));
        let Some(live) = self.live_mut(id) else { return };
        let (state, open, coming) = (live.node.state(), live.open_calls.len(), live.lane.len());
        let next = live.node.next_timeout();
        let ended = state == NodeState::Shutdown && open <= coming && next.is_none();
        let checked = ensure(ended, Invariant::Shutdown, || {
            format!("{id} was closed: it is {state:?}, {open} calls wait, next is {next:?}")
        });
        self.check(checked);
    }

    /// The log's last mark, unless the disk fails it, or dies of it.
    fn close_log(&mut self, id: NodeId, end: End, writer: LogWriter<MemDisk>, dvlsn: Vlsn) -> End {
        let hung = self.process(id).hung;
        let poisoned = writer.is_poisoned();
        if poisoned {
            self.oracle.log_in_doubt(id);
        }
        // A log that has failed is not closed: the runtime has told so before.
        let closed = match hung || poisoned {
            true => Ok(()),
            false => writer.close(dvlsn).map_err(|error| error.to_string()),
        };
        if let Err(why) = closed {
            if self.process(id).home.disk.crashed() {
                return self.tear_of(id).0;
            }
            let excused = self.process(id).ails.is_some();
            let checked = ensure(excused, Invariant::Shutdown, || {
                format!("{id} cannot close its log: {why}")
            });
            self.check(checked);
            self.oracle.log_in_doubt(id);
        }
        end
    }

    /// Stops a process (SIGSTOP): the world goes on without it.
    pub(crate) fn stop_process(&mut self, id: NodeId, frozen: bool) {
        if self.process(id).live.is_some() && !self.process(id).paused {
            self.counts.pauses += 1;
            self.note(id, &[4], || format!("n{} is stopped", id.get()));
            let now = self.now;
            let process = self.process_mut(id);
            process.paused = true;
            process.frozen = frozen.then_some(now);
        }
    }

    /// The clock of a process leaps ahead.
    pub(crate) fn leap(&mut self, id: NodeId, by: Duration) {
        let Some(live) = self.live_mut(id) else { return };
        live.clock.leap(by);
        self.counts.leaps += 1;
        self.note(id, &[62], || format!("the clock of n{} leaps by {by:?}", id.get()));
        self.wake_anew(id);
    }

    /// The clock of a process did not move while it was stopped.
    fn thaw(&mut self, id: NodeId, since: Duration) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        live.clock.stood_still(since, now);
        live.unsynced_since = live.unsynced_since.map(|at| at + (now - since));
        self.counts.freezes += 1;
        self.wake_anew(id);
    }

    /// What was to come at a time of this process' clock comes at another time of the world.
    fn wake_anew(&mut self, id: NodeId) {
        let (now, run) = (self.now, self.process(id).run);
        let Some(live) = self.live_mut(id) else { return };
        let due = live.syncs.next_timeout().map(|at| live.clock.world(at).max(now));
        let wake = live.wake.map(|at| (live.clock.world(at).max(now), at));
        due.into_iter().for_each(|at| self.schedule.push(at, Event::SyncDue { id, run }));
        if let Some((world, at)) = wake {
            self.schedule.push(world, Event::Timer { id, run, at });
        }
    }

    /// Continues a stopped process: everything that it missed comes at once.
    pub(crate) fn resume(&mut self, id: NodeId) {
        if !self.process(id).paused {
            return;
        }
        self.note(id, &[5], || format!("n{} continues", id.get()));
        let process = self.process_mut(id);
        process.paused = false;
        let frozen = process.frozen.take();
        let missed = std::mem::take(&mut process.stalled);
        frozen.into_iter().for_each(|since| self.thaw(id, since));
        self.hands_free(id);
        for (order, event) in (0..).zip(missed) {
            // In the order in which they came: a connection's frames do not overtake each other in a stop.
            self.schedule.push(self.now + Duration::from_nanos(order), event);
        }
    }

    /// The disk takes orders and finishes none.
    pub(crate) fn stop_disk(&mut self, id: NodeId) {
        self.counts.hangs += 1;
        self.note(id, &[8], || format!("the disk of n{} hangs", id.get()));
        self.process_mut(id).hung = true;
    }

    /// A disk that hung finishes what it was asked for, in that order.
    pub(crate) fn free_disk(&mut self, id: NodeId) {
        if !std::mem::take(&mut self.process_mut(id).hung) {
            return;
        }
        self.note(id, &[9], || format!("the disk of n{} goes on", id.get()));
        self.hands_free(id);
        let unfinished = std::mem::take(&mut self.process_mut(id).unfinished);
        for (order, event) in (0..).zip(unfinished) {
            self.schedule.push(self.now + Duration::from_nanos(order), event);
        }
    }

    /// The directory is emptied; the process must be down.
    pub(crate) fn empty_home(&mut self, id: NodeId) {
        self.counts.wipes += 1;
        self.note(id, &[6], || format!("the directory of n{} is wiped", id.get()));
        let process = self.process_mut(id);
        process.home.wipe();
        process.image = None;
        process.life = Life::Down;
        process.incarnation = Incarnation::default();
        self.passengers.wipe(id);
        self.oracle.wiped(id, Incarnation::default());
    }

    /// An entry at or below the last mark is damaged.
    pub(crate) fn spoil(&mut self, id: NodeId, entry: u64, damage: Damage) -> bool {
        let member = self.oracle.member(id);
        let of = |entry: u64| member.log.get(entry as usize - 1).map(|entry| entry.bytes.clone());
        let Some(record) = of(entry).filter(|_| entry <= member.marked as u64) else {
            return false;
        };
        let other = match damage {
            Damage::Misplaced(other) => of(other),
            Damage::Flip(_) | Damage::Lost => None,
        };
        let spoilt = disk::spoilt(&record, damage, other.as_deref());
        let rotten = self.process(id).home.replace(&record, &spoilt);
        if rotten {
            self.counts.rots += 1;
            self.note(id, &[7, entry], || format!("entry {entry} of n{}: {damage:?}", id.get()));
            self.oracle.damaged(id);
        }
        rotten
    }
}

impl End {
    /// What decides, write by write, what a power cut leaves. The fate 0 leaves nothing that was not synced.
    fn fates(self) -> impl FnMut() -> u64 {
        let mut rng = Rng::split(self.fate, "power");
        move || if self.fate == 0 { 0 } else { rng.next_u64() }
    }
}

impl Crash {
    pub(crate) const fn verb(self) -> &'static str {
        match self {
            Crash::Kill => "is killed",
            Crash::PowerCut => "loses power",
            Crash::Close => "is closed",
        }
    }
}
