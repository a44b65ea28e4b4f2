//! The cores joined: one value that is a member of a group.
//!
//! A [`Node`] is told what happened (a message, a finished sync, a link, the time) and says what to do next, as
//! data. It reads no clock and touches no file, so the simulator and the runtime drive the very same value.
//!
//! Each input ends in `settle`: what the cores put out is carried from one to the next until nothing moves.
//! Everything here holds the fence first: below it a node does nothing for a stream.

use crate::admission::Proposal;
use crate::applying;
use crate::asking::{Asked, Asking};
use crate::cleaning::Cleaning;
use crate::config::{NodeConfig, Recovered};
use crate::durability::Durability;
use crate::error::OpenError;
use crate::evidence::Evidence;
use crate::following::Following;
use crate::founding;
use crate::handover::{Handover, NotTransferred};
use crate::links::Links;
use crate::membership::Membership;
use crate::output::{Event, HaltReason, Outcome, Output, Request};
use crate::past::Past;
use crate::reads::Reads;
use crate::reign::Reign;
use crate::restoring::Restoring;
use crate::routing::Refusal;
use crate::shutting::{NotShutDown, Shutting};
use crate::watermarks::{Holders, Watermarks};
use rep_election::{Election, ElectionConfig, Electorate, Standing};
use rep_fsm::{Company, NodeStateTracker, Role, RoleMachine, Signal};
use rep_vlsn::mutant;
use rep_vlsn::{Holder, LogPoint, LogView, NodeId, Record, Term, Vlsn};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// A member of a group, as a pure value.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: NodeConfig,
    pub(crate) log: LogView,
    /// A cut is on its way to the disk: nothing is appended, no stream begins.
    pub(crate) truncating: bool,
    pub(crate) log_failed: Option<String>,
    /// Entries that wait for the disk: last VLSN, when staged, bytes.
    pub(crate) unsynced: VecDeque<(Vlsn, Duration, u64)>,
    pub(crate) unsynced_bytes: u64,
    pub(crate) election: Election,
    pub(crate) role: RoleMachine,
    pub(crate) states: NodeStateTracker,
    why: &'static str,
    pub(crate) membership: Option<Membership>,
    pub(crate) electorate: Electorate,
    pub(crate) links: Links,
    pub(crate) next_ping: Duration,
    pub(crate) reign: Option<Reign>,
    pub(crate) following: Option<Following>,
    pub(crate) handover: Option<Handover>,
    pub(crate) shutting: Option<Shutting>,
    pub(crate) watermarks: Watermarks,
    pub(crate) reads: Reads,
    pub(crate) evidence: Evidence,
    pub(crate) asking: Asking,
    pub(crate) asked: Asked,
    pub(crate) applied: LogPoint,
    pub(crate) applying_to: Option<Vlsn>,
    pub(crate) cleaning: Cleaning,
    pub(crate) restoring: Option<Restoring>,
    /// Copies that were asked for in this run.
    pub(crate) fetches: u64,
    pub(crate) refusals: BTreeMap<NodeId, Refusal>,
    outputs: VecDeque<Output>,
    pub(crate) pump_due: bool,
    pub(crate) halted: Option<HaltReason>,
    closed: bool,
    /// The newest `now` that an input brought.
    pub(crate) clock: Duration,
    /// This node gave a mastership up because its own disk stood still, and has finished nothing since.
    pub(crate) disk_stalled: bool,
    /// This node's log waits for space on its disk.
    pub(crate) disk_full: bool,
}

impl Node {
    /// A node on what its disk held. It begins to dial and to elect at once.
    ///
    /// # Errors
    ///
    /// [`OpenError`] if flags, log and store do not belong together.
    pub fn new(config: NodeConfig, recovered: Recovered, now: Duration) -> Result<Node, OpenError> {
        let Recovered { fence, log, founding, past, applied, mark_dvlsn } = recovered;
        if !config.members.contains_key(&config.me) {
            return Err(OpenError::NotListed { me: config.me });
        }
        if applied.vlsn >= log.first() && !log.contains(applied) {
            return Err(OpenError::StoreAheadOfLog { applied, last: log.last() });
        }
        if applied.vlsn.next() < log.first() {
            return Err(OpenError::StoreBehindLog { applied, first: log.first() });
        }
        let past = Past::recovered(past.as_ref(), log.first())?;
        let recorded = founding::recorded_membership(founding.as_ref(), past.as_ref())?;
        let membership = founding::own_membership(&config, recorded)?;
        let electorate = match &membership {
            Some(membership) => membership.electorate(),
            None => founding::unborn_electorate(&config),
        };
        let dvlsn = applied.vlsn.max(mark_dvlsn).min(log.last().vlsn);
        let known = if mutant!("node-forgets-dvlsn") { Vlsn::NULL } else { dvlsn };
        let pins = config.seed;
        let mut node = Node {
            election: Election::new(election_config(&config), fence, now),
            role: RoleMachine::new(fence.term),
            states: NodeStateTracker::new(),
            why: "opened",
            links: Links::new(config.timing.redial_min, config.timing.redial_max, config.seed),
            next_ping: now,
            watermarks: Watermarks::new(known),
            asking: Asking::new(config.seed),
            config,
            log,
            truncating: false,
            log_failed: None,
            unsynced: VecDeque::new(),
            unsynced_bytes: 0,
            membership,
            electorate,
            reign: None,
            following: None,
            handover: None,
            shutting: None,
            reads: Reads::default(),
            evidence: Evidence::default(),
            asked: Asked::default(),
            applied,
            applying_to: None,
            cleaning: Cleaning::new(past, pins),
            restoring: None,
            fetches: 0,
            refusals: BTreeMap::new(),
            outputs: VecDeque::new(),
            pump_due: false,
            halted: None,
            closed: false,
            clock: now,
            disk_stalled: false,
            disk_full: false,
        };
        node.step_role(Signal::CapabilitySelected);
        if let Some(point) = node.config.restored {
            node.event(Event::Restored { point });
        }
        node.dial_peers();
        node.settle(now);
        Ok(node)
    }

    // ---- what callers ask ----

    /// Gives an entry its place in the log, or refuses it because its term is over: nothing else is decided here.
    pub fn propose(&mut self, now: Duration, proposal: Proposal) {
        self.clock = now;
        let Proposal { request, term, draft, acks, deadline } = proposal;
        if self.is_ended() {
            return self.resolve(request, Outcome::Closed);
        }
        if !self.reigns(term) {
            return self.resolve(request, Outcome::TermOver { master: self.master() });
        }
        let point = LogPoint::new(term, self.log.last().vlsn.next());
        let durability = Durability::of(draft.flags(), acks);
        let record = draft.stamp(point, self.log.last_crc(), self.time_ms(now));
        let all_durable = self.log.last().vlsn <= self.dvlsn();
        if let Some(reign) = &mut self.reign {
            reign.expect_progress(now, all_durable);
        }
        self.append(now, vec![record]);
        self.outputs.push_back(Output::Staged { request, point });
        self.watermarks.appended(point.vlsn, point.vlsn, durability);
        self.watermarks.wait(request, point, durability, deadline);
        if mutant!("dur-own-unwritten") {
            self.own_copy_moved(now);
        }
    }

    /// Ends everything: pending requests are resolved, links closed. Idempotent.
    pub fn close(&mut self, now: Duration) {
        if !self.closed {
            self.closed = true;
            self.because("closed");
            self.wind_up(now);
        }
    }

    // ---- time ----

    /// The clock has reached `now`: everything that is due is done.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        self.elect(|election, standing| election.handle_timeout(now, standing));
        self.links_timeout(now);
        self.reign_timeout(now);
        self.following_timeout(now);
        self.handover_timeout(now);
        self.restoring_timeout(now);
        self.expire(now);
        self.settle(now);
    }

    /// When [`Node::handle_timeout`] is next needed, and for what.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        if self.is_over() {
            return None;
        }
        let named = |name| move |at| (at, name);
        let candidates = [
            self.election.next_timeout(),
            self.links.next_timeout().map(named("redial")),
            Some((self.next_ping, "ping")),
            self.reign_next_timeout(),
            self.following_next_timeout(),
            self.handover_next_timeout(),
            self.shutting_next_timeout(),
            self.restoring_next_timeout(),
            self.watermarks.next_timeout().map(named("commit deadline")),
            self.reads_next_timeout(),
        ];
        candidates.into_iter().flatten().min()
    }

    /// The next thing to do; drain until `None` after each input (or after several).
    pub fn poll_output(&mut self) -> Option<Output> {
        if self.outputs.is_empty() && self.pump_due {
            self.pump_due = false;
            self.pump_feeders();
        }
        self.outputs.pop_front()
    }

    fn expire(&mut self, now: Duration) {
        let (reign, me) = (self.reign.as_ref(), self.config.me);
        let holders = |point: LogPoint, durability: Durability| {
            let reign = reign.filter(|reign| reign.term == point.term);
            let Some(reign) = reign else { return Holders::default() };
            let needed = self.electorate.acknowledgements(durability.acks);
            reign.holders(me, point.vlsn, durability, needed)
        };
        let mut expired = self.watermarks.expire(now, holders);
        expired.extend(self.reads.take_expired(now, self.reign.is_some(), self.master()));
        expired.into_iter().for_each(|(request, outcome)| self.resolve(request, outcome));
    }

    /// What must hold between any two inputs.
    ///
    /// # Panics
    ///
    /// If it does not.
    pub fn invariants(&self) {
        self.log.invariants();
        self.election.invariants();
        self.role.invariants();
        assert!(self.dvlsn() <= self.log.last().vlsn, "dvlsn lies within the log");
        assert!(self.dvlsn() <= self.cvlsn(), "what is durable is acknowledged");
        assert!(self.cvlsn() <= self.log.last().vlsn, "cvlsn lies within the log");
        assert!(self.applied.vlsn <= self.dvlsn(), "only durable entries are applied");
        assert_eq!(self.reign.is_some(), self.role() == Role::Leader, "a reign is a role");
        if let Some(reign) = &self.reign {
            assert_eq!(reign.term, self.term(), "a reign does not outlive its fence");
            assert!(self.following.is_none(), "a master follows nobody");
        }
        if let Some(following) = &self.following {
            assert_eq!(following.term, self.term(), "a stream below the fence is over");
        }
    }

    // ---- shared by the rooms ----

    /// Takes entries that follow the log's last: into the view at once, to the disk by the driver.
    pub(crate) fn append(&mut self, now: Duration, records: Vec<Record>) {
        assert!(!self.truncating && self.log_failed.is_none(), "nobody appends to a log in doubt");
        let group = self.group().expect("a group is founded before anything is appended");
        let bytes: usize = records.iter().map(|record| record.bytes().len()).sum();
        records.iter().for_each(|record| self.log.append(record));
        self.unsynced.push_back((self.log.last().vlsn, now, bytes as u64));
        self.unsynced_bytes += bytes as u64;
        self.pump_due = true;
        let holder = if self.reign.is_some() { Holder::Master } else { Holder::Replica };
        match self.outputs.back_mut() {
            Some(Output::Append { records: waiting, holder: same, .. }) if *same == holder => {
                waiting.extend(records);
            }
            _ => self.outputs.push_back(Output::Append { group, holder, records }),
        }
    }

    /// A durable watermark has moved: commits, applies and reads follow.
    pub(crate) fn advance_watermarks(&mut self, dvlsn: Vlsn, cvlsn: Vlsn) {
        if let Some(before) = self.watermarks.advance(dvlsn, cvlsn) {
            self.pump_due = true;
            for (request, outcome) in self.watermarks.resolve_durable(before, &self.log) {
                self.resolve(request, outcome);
            }
        }
    }

    pub(crate) fn learn_membership(&mut self, membership: Membership) {
        self.electorate = membership.electorate();
        self.event(Event::Founded { group: membership.group });
        self.refuse_foreign_tokens(membership.group);
        self.membership = Some(membership);
    }

    pub(crate) fn elect<R>(&mut self, act: impl FnOnce(&mut Election, &Standing<'_>) -> R) -> R {
        let reaches = self.voters_in_reach() >= self.electorate.commit_need;
        let rank = match &self.log_failed {
            None => self.log.last(),
            Some(_) => self.log.point_at(self.log.synced()).unwrap_or(LogPoint::NULL),
        };
        let standing = Standing {
            rank,
            nameable: self.log_failed.is_none() && !self.disk_stalled && !self.disk_full,
            electorate: &self.electorate,
            reaches_commit_quorum: reaches,
            round_trips: self.links.round_trips(),
        };
        act(&mut self.election, &standing)
    }

    pub(crate) fn step_role(&mut self, signal: Signal) {
        let term = self.term();
        if let Err(error) = self.role.step(signal, term) {
            panic!("the node asked for a role step that is not in the table: {error}");
        }
    }

    pub(crate) fn because(&mut self, why: &'static str) {
        self.why = why;
    }

    pub(crate) fn output(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    pub(crate) fn resolve(&mut self, request: Request, outcome: Outcome) {
        self.outputs.push_back(Output::Resolve { request, outcome });
    }

    /// The node stops for good, because going on could only do harm. The process lives.
    pub(crate) fn halt(&mut self, reason: HaltReason) {
        if self.halted.is_none() {
            self.halted = Some(reason.clone());
            self.because(match reason {
                HaltReason::GroupShutDown { .. } => "the group was shut down",
                _ => "halted",
            });
            self.outputs.push_back(Output::Halt(reason));
        }
    }

    /// Whether it does nothing any more: it has ended, or another is to take its place.
    pub(crate) fn is_over(&self) -> bool {
        self.is_ended() || self.is_making_way()
    }

    /// Whether it is closed or halted.
    pub(crate) fn is_ended(&self) -> bool {
        self.closed || self.halted.is_some()
    }

    fn reigns(&self, term: Term) -> bool {
        !self.truncating
            && self.reign.as_ref().is_some_and(|reign| reign.term == term && reign.has_opened())
    }

    /// Carries outputs from core to core until nothing moves, then tells what came of it.
    pub(crate) fn settle(&mut self, now: Duration) {
        self.drain_cores(now);
        if self.handover.is_some() || self.shutting.is_some() {
            self.advance_handover(now);
            self.advance_shutting(now);
            self.drain_cores(now);
        }
        if self.is_ended() {
            return self.wind_up(now);
        }
        if self.is_over() {
            return;
        }
        self.serve_reads(now);
        self.apply_durable();
        self.observe();
        debug_assert!({
            self.invariants();
            true
        });
    }

    fn drain_cores(&mut self, now: Duration) {
        while !self.is_over() && (self.drain_election(now) || self.drain_streams(now)) {}
    }

    /// What is durable in the group and synced here is applied, a bounded range at a time.
    fn apply_durable(&mut self) {
        if self.applying_to.is_some() {
            return;
        }
        let synced = if mutant!("node-apply-beyond-synced") {
            self.log.last().vlsn
        } else {
            self.log.synced()
        };
        let durable = if mutant!("dur-apply-acknowledged") { self.cvlsn() } else { self.dvlsn() };
        let goal = durable.min(synced);
        if let Some((from, to)) = applying::next_range(self.applied.vlsn, goal) {
            self.applying_to = Some(to);
            self.outputs.push_back(Output::Apply { from, to });
        }
    }

    pub(crate) fn observe(&mut self) {
        let term_start_durable =
            self.reign.as_ref().is_some_and(|reign| reign.is_begun(self.dvlsn()));
        let company = Company {
            role: self.role(),
            open: !self.is_ended(),
            master_known: self.following.is_some(),
            stream_in_sync: self.following.as_ref().is_some_and(Following::in_sync),
            term_start_durable,
        };
        let changes: Vec<_> = self.states.observe(&company).collect();
        for change in changes {
            let (old, new) = (change.old, change.new);
            let (master, term, reason) = (self.master(), self.term(), self.why);
            self.event(Event::State { old, new, master, term, reason });
        }
    }

    /// Closed or halted: everything that waits is told, every link is closed.
    fn wind_up(&mut self, now: Duration) {
        let term = self.term();
        if self.reign.take().is_some() {
            self.event(Event::TermOver { term });
        }
        self.role.close(term);
        self.following = None;
        self.needs_no_copy();
        self.end_handover(Err(NotTransferred::Closed));
        self.give_shutting_up(NotShutDown::Closed);
        let mut resolved = self.watermarks.close();
        resolved.extend(self.reads.take_all().into_iter().map(|read| (read, Outcome::Closed)));
        resolved.into_iter().for_each(|(request, outcome)| self.resolve(request, outcome));
        self.close_links();
        self.observe();
        let _ = now;
    }

    /// Commit time of an entry made now, in ms.
    pub(crate) fn time_ms(&self, now: Duration) -> u64 {
        self.config.epoch_ms.saturating_add(now.as_millis() as u64)
    }
}

fn election_config(config: &NodeConfig) -> ElectionConfig {
    let mut election = ElectionConfig::new(config.me, config.incarnation, config.seed);
    election.election_timeout = config.timing.election_timeout;
    election.round_timeout = config.timing.round_timeout;
    election.crown_wait = config.timing.election_timeout / 4;
    election
}
