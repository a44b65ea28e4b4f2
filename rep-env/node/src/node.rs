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
use crate::load::Loads;
use crate::membership::contacts::Contacts;
use crate::membership::joining::{Joining, electorate_without_group};
use crate::membership::{Changing, InForce, MEMBERS_MAX, Membership};
use crate::nearness::Nearness;
use crate::output::{Event, HaltReason, Outcome, Output, Request};
use crate::past::Past;
use crate::reads::Reads;
use crate::reign::{LastReign, Reign};
use crate::restoring::Restoring;
use crate::routing::Refusal;
use crate::shutting::{NotShutDown, Shutting};
use crate::volume::Volume;
use crate::vouching::Vouching;
use crate::watermarks::Watermarks;
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
    /// Who belongs, as the log says.
    pub(crate) in_force: InForce,
    pub(crate) electorate: Electorate,
    /// A later membership than the log's, as another member told it.
    pub(crate) hearsay: Option<Membership>,
    pub(crate) contacts: Contacts,
    pub(crate) changing: Changing,
    pub(crate) joining: Joining,
    pub(crate) vouching: Vouching,
    /// The voters that hold the data, and the one that does not.
    pub(crate) copies: Vec<NodeId>,
    pub(crate) arbiter: Option<NodeId>,
    /// A membership has become durable, and nobody has been told yet.
    pub(crate) removals_due: bool,
    /// Pings that a directory has been without a group for, and for which somebody was not connected who should have dialled.
    pub(crate) unplaced_pings: u32,
    pub(crate) missed: BTreeMap<NodeId, u32>,
    pub(crate) links: Links,
    pub(crate) nearness: Nearness,
    pub(crate) loads: Loads,
    pub(crate) next_ping: Duration,
    pub(crate) reign: Option<Reign>,
    pub(crate) last_reign: Option<LastReign>,
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
    /// Bytes of what was appended.
    pub(crate) volume: Volume,
    pub(crate) restoring: Option<Restoring>,
    /// Copies that were asked for in this run.
    pub(crate) fetches: u64,
    pub(crate) refusals: BTreeMap<NodeId, Refusal>,
    outputs: VecDeque<Output>,
    pub(crate) pump_due: bool,
    pub(crate) halted: Option<HaltReason>,
    closed: bool,
    /// The master that was told of last by a node that holds no data.
    pub(crate) seen: Option<(Term, NodeId)>,
    /// When it was opened.
    pub(crate) opened: Duration,
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
        let in_force = InForce::recovered(recovered.memberships()?);
        let place = recovered.told_place()?;
        founding::check_place(&config, in_force.newest_first(), place.as_ref())?;
        let Recovered { fence, log, past, applied, mark_dvlsn, vouched, .. } = recovered;
        if applied.vlsn >= log.first() && !log.contains(applied) {
            return Err(OpenError::StoreAheadOfLog { applied, last: log.last() });
        }
        if applied.vlsn.next() < log.first() {
            return Err(OpenError::StoreBehindLog { applied, first: log.first() });
        }
        let past = Past::recovered(past.as_ref(), log.first())?;
        let electorate = match in_force.ruling() {
            Some(membership) => membership.electorate(),
            None => electorate_without_group(&config, place.is_some()),
        };
        let joins = in_force.ruling().is_none() && place.is_none() && !config.joining.is_empty();
        let dvlsn = applied.vlsn.max(mark_dvlsn).min(log.last().vlsn);
        let known = if mutant!("node-forgets-dvlsn") { Vlsn::NULL } else { dvlsn };
        let pins = config.seed;
        let age_max = config.retention.age;
        let cleaning = Cleaning::new(past, pins).opened(now, &config.file_ages, age_max);
        let volume = Volume::new(log.last().vlsn, config.retention.bytes);
        let mut node = Node {
            election: Election::new(election_config(&config), fence, now),
            role: RoleMachine::new(fence.term),
            states: NodeStateTracker::new(),
            why: "opened",
            nearness: Nearness::default(),
            loads: Loads::default(),
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
            in_force,
            electorate,
            hearsay: place,
            contacts: Contacts::new(),
            changing: Changing::default(),
            joining: Joining::Settled,
            vouching: Vouching::new(vouched),
            copies: Vec::new(),
            arbiter: None,
            removals_due: true,
            unplaced_pings: 0,
            missed: BTreeMap::new(),
            reign: None,
            last_reign: None,
            following: None,
            handover: None,
            shutting: None,
            reads: Reads::default(),
            evidence: Evidence::default(),
            asked: Asked::default(),
            applied,
            applying_to: None,
            cleaning,
            volume,
            restoring: None,
            fetches: 0,
            refusals: BTreeMap::new(),
            outputs: VecDeque::new(),
            pump_due: false,
            halted: None,
            closed: false,
            seen: None,
            opened: now,
            clock: now,
            disk_stalled: false,
            disk_full: false,
        };
        node.tell_copies_apart();
        node.settle_without_data();
        if !node.lacks_data() {
            node.step_role(Signal::CapabilitySelected);
        }
        if let Some(point) = node.config.restored {
            node.event(Event::Restored { point });
        }
        if node.config.unplaced {
            let why = "the copy could not be put in place".to_owned();
            node.event(Event::RestoreEnded { why });
        }
        node.in_force.settle(known);
        node.reckon_electorate();
        node.outgrow_hearsay();
        node.refresh_contacts();
        if joins {
            node.ask_to_join();
        }
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
            reign.pace.charge(now, record.bytes().len() as u64);
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
            self.changing_next_timeout(),
            self.watermarks.next_timeout().map(named("commit deadline")),
            self.reads_next_timeout(),
            self.pace_next_timeout(),
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
        let mut watermarks = std::mem::take(&mut self.watermarks);
        let mut expired = watermarks.expire(now, |point, asked| self.holders(point, asked));
        self.watermarks = watermarks;
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
        self.volume.appended(self.log.last().vlsn, bytes as u64);
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
            let ruling = self.in_force.ruling().map(|ruling| ruling.at.vlsn);
            let durable = self.in_force.settle(self.watermarks.dvlsn());
            if durable || ruling.is_some_and(|at| before < at && at <= self.watermarks.dvlsn()) {
                self.membership_is_durable();
            }
            for (request, outcome) in self.watermarks.resolve_durable(before, &self.log) {
                self.resolve(request, outcome);
            }
        }
    }

    /// The log has a membership more.
    pub(crate) fn learn_membership(&mut self, membership: Membership, why: &'static str) {
        let (group, is_first) = (membership.group, self.membership().is_none());
        if !self.in_force.learn(membership) {
            return;
        }
        if is_first {
            self.event(Event::Founded { group });
            self.refuse_foreign_tokens(group);
        }
        self.membership_rules(why);
    }

    /// Another membership rules than before: so it does in elections, in what counts, and in who is known.
    pub(crate) fn membership_rules(&mut self, why: &'static str) {
        let Some(ruling) = self.membership().cloned() else { return };
        self.reckon_electorate();
        self.event(Event::Membership { membership: Box::new(ruling), why });
        self.outgrow_hearsay();
        self.refresh_contacts();
        self.feed_members_only();
    }

    /// A change is durable: who was removed by it is, and others may be told.
    fn membership_is_durable(&mut self) {
        self.removals_due = true;
        self.reckon_electorate();
        self.refresh_contacts();
        self.acquaint_all();
    }

    /// Who votes, as the log says, and who is asked beside them: learners, and whom an entry removes that may be cut away yet. By such a
    /// one's own log it is a voter, and may be the master.
    fn reckon_electorate(&mut self) {
        let Some(ruling) = self.in_force.ruling() else { return };
        let electorate = ruling.electorate();
        let mut asked = electorate.learners.clone();
        let removed = self.in_force.undurably_removed().filter(|member| member.kind.votes());
        let room = MEMBERS_MAX - electorate.voters.len();
        asked.extend(removed.map(|member| (member.id, member.incarnation)));
        let asked = asked.into_iter().take(room).collect();
        self.electorate = electorate.with_learners(asked);
        self.tell_copies_apart();
    }

    pub(crate) fn elect<R>(&mut self, act: impl FnOnce(&mut Election, &Standing<'_>) -> R) -> R {
        let reaches = self.voters_in_reach() >= self.electorate.commit_need;
        let own = self.in_force.ruling().and_then(|it| it.members.get(&self.config.me));
        let is_arbiter = self.is_arbiter();
        let rank = match &self.log_failed {
            _ if is_arbiter && !mutant!("arbiter-without-veto") => self.vouching.rank(),
            None => self.log.last(),
            Some(_) => self.log.point_at(self.log.synced()).unwrap_or(LogPoint::NULL),
        };
        let standing = Standing {
            rank,
            nameable: self.log_failed.is_none()
                && !self.disk_stalled
                && !self.disk_full
                && !is_arbiter,
            electorate: &self.electorate,
            reaches_commit_quorum: reaches,
            round_trips: self.links.round_trips(),
            priority: own.map_or(0, |member| member.priority),
            goes_alone: self.goes_alone(),
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
                HaltReason::Removed => "removed from the group",
                HaltReason::OlderImage { .. } => "an older image of its directory",
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
        self.keep_pace(now);
        if self.handover.is_some() || self.shutting.is_some() {
            self.advance_handover(now);
            self.advance_shutting(now);
            self.drain_cores(now);
        }
        self.settle_membership(now);
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

    /// What is decided of who belongs is carried out, and what may be decided is.
    fn settle_membership(&mut self, now: Duration) {
        if self.is_over() {
            return;
        }
        if std::mem::take(&mut self.removals_due) {
            self.dismiss_the_removed();
            if self.finds_itself_removed() {
                return self.was_removed();
            }
        }
        if self.advance_changes(now) {
            self.drain_cores(now);
        }
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
        self.tell_what_is_seen();
    }

    /// Closed or halted: everything that waits is told, every link is closed.
    fn wind_up(&mut self, now: Duration) {
        let term = self.term();
        if self.reign.take().is_some() {
            self.event(Event::TermOver { term });
        }
        self.role.close(term);
        self.following = None;
        self.needs_no_copy("this member has stopped");
        self.end_handover(Err(NotTransferred::Closed));
        self.give_changes_up();
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
