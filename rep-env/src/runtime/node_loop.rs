//! The node, and what one turn of whoever drives it does: gives it what has come, carries out what it says, and publishes what
//! others may look at. Nothing here waits: a driver may be any thread, a caller's too.

mod callers;

use crate::events::{GROUP_SHUT_DOWN, News, RestoreEvent};
use crate::join::Wish;
use crate::replicate::Places;
use crate::runtime::applier::{Range, Task};
use crate::runtime::inbox::Input;
use crate::runtime::joining;
use crate::runtime::peers::{Peers, RangeSent};
use crate::runtime::promise_writer::Word;
use crate::runtime::restore::account::Came;
use crate::runtime::restore::fetching::Fetches;
use crate::runtime::restore::reopening::{Disks, Reopened};
use crate::runtime::scrubber;
use crate::runtime::shared::Shared;
use crate::runtime::shown::Positions;
use crate::runtime::threads::Threads;
use crate::sync::Ordering;
use crate::waiter::Slot;
use callers::Callers;
use rep_net::queue::Queue;
use rep_node::{
    Event, FetchId, HaltReason, Link, Node, NodeState, NodeStatus, Outcome, Output, PersistFailed,
    RestoreNews,
};
use rep_vlsn::{GroupId, LogPoint, NodeId, Term};
use std::sync::Arc;
use std::task::Waker;
use std::time::{Duration, Instant};

/// The node and what it drives.
#[derive(Debug)]
pub(crate) struct NodeLoop {
    node: Node,
    hands: Hands,
    callers: Callers,
    shared: Arc<Shared>,
    /// What others were last shown.
    shown: Positions,
    /// The entry of the membership that they were last shown.
    shown_membership: LogPoint,
    /// Changes of the visible state that are still to be shown: after the picture that callers decide by, so that who has
    /// been told "master" finds one.
    changes: Vec<Change>,
    /// Whose entries wait in the log's tail while the log writer has not been told.
    to_write: Option<GroupId>,
    /// Who wants to know how the node is. Told last of all, for the same reason.
    askers: Vec<Arc<Slot<NodeStatus>>>,
    /// When somebody has waited long enough for a result of the state machine.
    results_due: Option<Duration>,
    /// Tasks that have their answer and do not know yet.
    wakers: Vec<Waker>,
    closed: bool,
    /// Its last account of itself, once all is over.
    last_status: Option<NodeStatus>,
}

/// A change of the visible state.
#[derive(Debug)]
struct Change {
    state: NodeState,
    term: Term,
    master: Option<NodeId>,
    reason: &'static str,
}

/// Where outputs go.
#[derive(Debug)]
pub(crate) struct Hands {
    pub(crate) disks: Disks,
    pub(crate) tasks: Queue<Task>,
    pub(crate) peers: Peers,
    pub(crate) places: Arc<dyn Places>,
    pub(crate) fetches: Arc<dyn Fetches>,
    /// What this node asks to be, should it have to join.
    pub(crate) wish: Wish,
}

impl Drop for Hands {
    /// However it ends: what was asked of the store is still done, as of the disks, then those threads end too.
    fn drop(&mut self) {
        self.fetches.end();
        self.tasks.close();
    }
}

impl NodeLoop {
    pub(crate) fn new(node: Node, hands: Hands, shared: Arc<Shared>) -> Self {
        NodeLoop {
            node,
            hands,
            callers: Callers::default(),
            shared,
            shown: Positions::default(),
            shown_membership: LogPoint::NULL,
            changes: Vec::new(),
            askers: Vec::new(),
            to_write: None,
            results_due: None,
            wakers: Vec::new(),
            closed: false,
            last_status: None,
        }
    }

    pub(crate) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// The threads that may wake tasks.
    pub(crate) fn threads(&self) -> &Threads {
        self.hands.peers.threads()
    }

    /// When it wants a turn, whether there is news or not.
    pub(crate) fn due(&self) -> Option<Instant> {
        let node = self.node.next_timeout().map(|(at, _)| at);
        let first = node.into_iter().chain(self.results_due).min();
        first.map(|at| self.shared.clock.instant(at))
    }

    /// Tasks are to be woken, or all is over.
    pub(crate) fn has_to_tell(&self) -> bool {
        !self.wakers.is_empty() || self.last_status.is_some()
    }

    /// Tasks to be woken now.
    pub(crate) fn take_wakers(&mut self) -> Vec<Waker> {
        std::mem::take(&mut self.wakers)
    }

    /// There is one once all is over.
    pub(crate) fn last_status(&mut self) -> Option<NodeStatus> {
        self.last_status.take()
    }

    /// One turn: all inputs, then what they came to.
    pub(crate) fn turn(&mut self, inputs: &mut Vec<Input>) {
        self.shared.counters.steps.add(1);
        let mut credit = 0;
        for input in inputs.drain(..) {
            credit += input.credit();
            self.step(input);
        }
        let now = self.shared.clock.now();
        if self.node.next_timeout().is_some_and(|(at, _)| at <= now) {
            self.node.handle_timeout(now);
        }
        if let Some(what) = scrubber::outgrown(&self.shared, || self.node.status(now)) {
            self.damage_found(now, &what);
        }
        self.node.doubt_itself(self.shared.scrubbing.borne().is_some());
        self.carry_out(now);
        if self.results_due.is_some_and(|at| at <= now) {
            let (wakers, next) = self.hands.places.give_up(now);
            self.wakers.extend(wakers);
            self.results_due = next;
        }
        let unsynced_bytes = self.publish();
        self.shared.credit.settle(credit, unsynced_bytes);
        for asker in self.askers.drain(..) {
            self.wakers.extend(asker.settle(self.node.status(now)).into_iter().flatten());
        }
        if self.closed {
            self.last_status = Some(self.node.status(now));
        }
    }

    // ---- in ----

    fn step(&mut self, input: Input) {
        let now = self.shared.clock.now();
        let node = &mut self.node;
        match input {
            Input::Persisted(what) => node.handle_persisted(now, what),
            Input::PersistFailed(what, why) => node.handle_persist_failed(now, what, why),
            Input::Applied(point) => node.handle_applied(now, point),
            Input::Checkpointed { point, segments } => {
                node.handle_checkpointed(now, point, &segments)
            }
            Input::DiskFull(full) => node.handle_disk_full(now, full),
            Input::ApplyFailed(why) => self.apply_failed(now, why),
            Input::DamageFound(what) => self.damage_found(now, &what),
            Input::Sent { link, last, bytes } => node.handle_sent(now, link, last, bytes),
            Input::SendFailed { link, why } => node.handle_send_failed(now, link, why),
            Input::DialFailed { peer, service, why } => {
                node.handle_dial_failed(now, peer, service, why)
            }
            Input::LinkUp { link, shown, dialled, outgoing } => {
                self.hands.peers.up(link, outgoing);
                node.handle_link_up(now, link, shown, dialled);
            }
            Input::LinkDown { link } => self.lose(now, link),
            Input::Announced { link, incarnation, attributes } => {
                // Another directory of a member's name does not speak for the member.
                if node.membership().is_none_or(|group| group.admits(link.peer, incarnation)) {
                    self.shared.directory.announced(link.peer, attributes);
                }
            }
            Input::Message { link, message, .. } => {
                if let Err(error) = node.handle_message(now, link, message) {
                    tracing::warn!(node = %self.shared.name, ?link, %error, "a member broke the protocol");
                    self.lose(now, link);
                }
            }
            Input::Propose { proposal, promise, .. } => {
                self.callers.commits.insert(proposal.request, promise);
                node.propose(now, proposal);
            }
            Input::Read { request, kind, deadline, promise } => {
                self.callers.reads.insert(request, promise);
                node.read(now, request, kind, deadline);
            }
            Input::Transfer { transfer, order } => {
                self.callers.transfers.insert(transfer.request, order);
                node.transfer(now, transfer);
            }
            Input::ShutGroupDown { request, deadline, order } => {
                self.callers.shutdowns.insert(request, order);
                node.shut_group_down(now, request, deadline);
            }
            Input::ChangeMembership { change, order } => {
                self.callers.changes.insert(change.request, order);
                node.change_membership(now, change);
            }
            Input::Admitted { membership, answer } => {
                let taken = node.handle_admitted(now, &membership);
                match taken {
                    Ok(()) => self.shared.learn_group(membership.group),
                    Err(error) => {
                        tracing::warn!(node = %self.shared.name, %error, "not admitted");
                    }
                }
                answer.into_iter().for_each(|answer| answer.give(taken));
            }
            Input::Restore { fetch, news, came } => {
                self.take_restore_news(now, fetch, (news, came))
            }
            Input::Reopened(reopened) => self.go_on_with(now, *reopened),
            Input::Offer { at_least, taker, answer } => answer.give(node.offer(at_least, taker)),
            Input::PastOf { point, answer } => answer.give(node.past_of(point)),
            Input::Unpin { pin, given_to: None } => node.unpin(pin),
            Input::Unpin { pin, given_to: Some(taker) } => node.copy_given(now, pin, taker),
            Input::RestoreFrom { source, answer } => {
                answer.give(node.restore_from(now, source));
            }
            Input::CancelRestore { answer } => answer.give(node.cancel_restore(now)),
            Input::Status(slot) => self.askers.push(slot),
            Input::Close => {
                self.closed = true;
                node.close(now);
            }
        }
    }

    fn take_restore_news(
        &mut self,
        now: Duration,
        fetch: FetchId,
        (news, came): (RestoreNews, Option<Came>),
    ) {
        // News of a fetch that is over is no news.
        let taken = self.node.handle_restore(now, fetch, news);
        let came = came.filter(|_| taken);
        let event = came.and_then(|came| self.shared.copy.came(came, now));
        event.into_iter().for_each(|event| self.tell(event));
    }

    /// Another node takes the place of one that has fallen silent, and the reads that wait there.
    fn go_on_with(&mut self, now: Duration, reopened: Reopened) {
        // One that has failed meanwhile stays what it said that it is.
        if self.closed || self.shared.failure().is_some() {
            return;
        }
        let Reopened { node, me, disks } = reopened;
        let reads = self.node.take_reads();
        self.node = node;
        self.shared.directory.become_number(me);
        self.shared.know(self.node.contacts().cloned().collect());
        self.hands.disks = disks;
        // Its log is another one, and says so itself if it finds no room.
        self.shared.disk_full.store(false, Ordering::SeqCst);
        self.to_write = None;
        for read in reads {
            self.node.read(now, read.request, read.kind, read.deadline);
        }
    }

    fn lose(&mut self, now: Duration, link: Link) {
        self.hands.peers.down(link);
        self.node.handle_link_down(now, link);
    }

    /// A copy that cannot apply what the others do is no copy: it stops being a member, loudly.
    fn apply_failed(&mut self, now: Duration, why: String) {
        self.shared.fail(why);
        self.node.close(now);
    }

    /// What it said that it holds, it does not: it says nothing more.
    fn damage_found(&mut self, now: Duration, what: &str) {
        self.shared.fail(format!("damage was found: {what}"));
        self.node.close(now);
    }

    // ---- out ----

    fn carry_out(&mut self, now: Duration) {
        while let Some(output) = self.node.poll_output() {
            self.carry_out_one(now, output);
        }
        // Woken last: what goes to a replica comes to its disk after two more hand-overs than what goes to this one.
        if let Some(group) = self.to_write.take() {
            self.hands.disks.log.write(group);
        }
    }

    fn carry_out_one(&mut self, now: Duration, output: Output) {
        let Hands { disks, tasks, peers, places, fetches, wish } = &mut self.hands;
        let Disks { tail, log, words } = disks;
        match output {
            Output::PersistFence(fence) => {
                if words.try_push(0, 0, Word::Fence(fence)).is_err() {
                    self.no_room_for_words(now);
                }
            }
            Output::PersistVouch(point) => {
                if words.try_push(0, 0, Word::Vouch(point)).is_err() {
                    self.no_room_for_words(now);
                }
            }
            Output::KeepPlace { place } => {
                // Should there be no room, it is learnt again.
                let _ = words.try_push(0, 0, Word::Place(place));
            }
            Output::Append { group, holder, records } => {
                tail.stage_as(holder, &records);
                self.to_write = Some(group);
            }
            Output::Truncate { keep, epoch } => {
                if let Some(group) = self.to_write.take() {
                    log.write(group);
                }
                tail.truncate(keep, epoch);
                log.truncate(keep, epoch);
            }
            Output::PersistPast { before, value } => log.keep_past(before, value),
            Output::Clean { before } => log.clean(before),
            Output::Send { link, message } => {
                if !peers.send(link, message.encode()) {
                    self.node.handle_link_down(now, link);
                }
            }
            Output::SendEntries { link, range } => match peers.send_entries(link, range, tail) {
                RangeSent::Now { last, bytes } => self.node.handle_sent(now, link, last, bytes),
                RangeSent::Later => {}
                RangeSent::LinkLost => self.node.handle_link_down(now, link),
            },
            Output::Connect { peer, service } => {
                if let Err(why) = peers.dial(peer, service) {
                    self.node.handle_dial_failed(now, peer, service, why);
                }
            }
            Output::Disconnect { link } => peers.disconnect(link),
            Output::Apply { from, to } => {
                let pushed = tasks.try_push(0, 0, Task::Apply(Range { from, to }));
                debug_assert!(
                    pushed.is_ok() || tasks.is_closed(),
                    "one range is on its way at a time"
                );
            }
            Output::Staged { request, point } => {
                // First of all: the entry is in the log's tail already, so from here on nothing that goes wrong
                // may be told to its caller as a failure without effect.
                self.callers.staged(request, self.shared.token(point));
                self.shared.pipeline.assign(request.0, point.vlsn);
                places.staged(request.0, point);
            }
            Output::Resolve { request, outcome } => {
                let until = now + self.shared.timing.ack_timeout;
                if !matches!(outcome, Outcome::Committed { .. }) {
                    places.failed(request.0);
                } else if places.durable(request.0, until) {
                    self.results_due.get_or_insert(until);
                }
                self.wakers.extend(self.callers.resolve(&self.shared, request, outcome));
            }
            Output::Transferred { request, outcome } => {
                if let Some(order) = self.callers.transfers.remove(&request) {
                    self.wakers.extend(order.settle(outcome));
                }
            }
            Output::GroupShutDown { request, outcome } => {
                if let Some(order) = self.callers.shutdowns.remove(&request) {
                    self.wakers.extend(order.settle(outcome));
                }
            }
            Output::MembershipChanged { request, outcome } => {
                // Whoever has asked finds what came of it.
                self.show_membership();
                if let Some(order) = self.callers.changes.remove(&request) {
                    self.wakers.extend(order.settle(outcome));
                }
            }
            Output::Contacts(contacts) => self.shared.know(contacts),
            Output::Join { helpers } => joining::begin(peers.context(), wish.clone(), helpers),
            Output::TakePlace { place } => {
                *self.shared.joining.lock() = None;
                let pushed = tasks.try_push(0, 0, Task::TakePlace(place));
                debug_assert!(pushed.is_ok() || tasks.is_closed(), "there is room for it");
            }
            Output::Event(event) => {
                let in_sync = [NodeState::Replica, NodeState::Master];
                if matches!(event, Event::State { new, .. } if in_sync.contains(&new)) {
                    fetches.clear_up();
                }
                self.take_event(event);
            }
            Output::Halt(HaltReason::GroupShutDown { by }) => {
                let by = self.shared.directory.name_of(by);
                self.shared.end(format!("the group was shut down by {by}"));
            }
            Output::Halt(reason @ HaltReason::OlderImage { .. }) => {
                let why = reason.to_string();
                if words.try_push(0, 0, Word::Disowned(why.clone())).is_err() {
                    self.no_room_for_words(now);
                }
                self.shared.scrubbing.disowned(&why);
                self.shared.fail(format!("damage was found: {why}"));
            }
            Output::Halt(reason) => self.shared.fail(reason.to_string()),
            Output::Fetch { fetch, sources, at_least } => {
                if let Err(why) = fetches.begin(fetch, sources, at_least) {
                    self.node.handle_restore(now, fetch, RestoreNews::Failed { why });
                }
            }
            Output::FetchNoMore => fetches.end(),
            Output::Reopen { .. } => {
                let pushed = tasks.try_push(0, 0, Task::Reopen);
                debug_assert!(pushed.is_ok() || tasks.is_closed(), "there is room for it");
            }
            other => tracing::error!(?other, "an output that this driver does not know"),
        }
    }

    /// Something happened that others may want to know.
    fn take_event(&mut self, event: Event) {
        let shared = &self.shared;
        tracing::info!(node = %shared.name, ?event, "event");
        match event {
            Event::State { new: state, master, term, reason, .. } => {
                self.changes.push(Change { state, term, master, reason });
            }
            Event::Crowned { .. } => shared.counters.crowned.add(1),
            Event::TermOver { term } => shared.pipeline.end(term),
            Event::Founded { group } => shared.learn_group(group),
            Event::DiskFull { full } => shared.disk_full.store(full, Ordering::SeqCst),
            Event::RolledBack { dropped } => {
                shared.counters.rolled_back(&dropped);
                shared.board.tell(&News::RolledBack(dropped));
            }
            Event::NeedsRestore { .. } => shared.copy.begin(None),
            Event::RestoreOrdered { source } => {
                shared.copy.begin(Some(shared.directory.name_of(source)));
            }
            Event::RestoreBegan { source } => {
                let source = shared.directory.name_of(source);
                self.tell(shared.copy.began(source, shared.clock.now()));
            }
            Event::RestoreFailed { why } => self.tell(shared.copy.failed(why)),
            Event::RestoreFetched { point } => self.tell(shared.copy.fetched(point)),
            Event::RestoreEnded { why } => self.tell(shared.copy.ended(why)),
            Event::Restored { point } => {
                shared.counters.restores.add(1);
                self.tell(shared.copy.installed(point));
            }
            // Told to the log above; `status` shows what lasts.
            _ => {}
        }
    }

    fn tell(&self, event: RestoreEvent) {
        self.shared.board.tell(&News::Restore(event));
    }

    /// A promise that cannot be written down may not be given, and nobody would ever say that it was.
    fn no_room_for_words(&mut self, now: Duration) {
        let why = "too many of them wait for the disk".to_owned();
        self.node.handle_persist_failed(now, PersistFailed::Fence, why);
    }

    fn show_membership(&mut self) {
        let Some(membership) = self.node.told_membership() else { return };
        if membership.at != self.shown_membership {
            self.shown_membership = membership.at;
            self.shared.show_membership(membership);
        }
    }

    fn show_changes(&mut self) {
        let halted = self.shared.failure().is_some();
        for Change { state, term, master, reason } in self.changes.drain(..) {
            self.shared.counters.state_changes.add(1);
            let broken = state == NodeState::Shutdown && halted && reason != GROUP_SHUT_DOWN;
            let reason = if broken { "halted" } else { reason };
            self.shared.board.publish(state, term, master, reason);
        }
    }

    /// Shows where the node stands; how many bytes wait for its disk.
    ///
    /// That number changes with each step, and callers learn of it from the credit: left out of the picture that
    /// they decide by, it does not make a new picture of each step, which would cost more than the step.
    fn publish(&mut self) -> u64 {
        self.show_membership();
        let shared = &self.shared;
        let mut admission = self.node.admission(shared.clock.now());
        let unsynced_bytes = std::mem::take(&mut admission.unsynced_bytes);
        if let Some(group) = self.node.group() {
            shared.learn_group(group);
        }
        let log = self.node.log();
        let shown = Positions {
            first: log.first(),
            last: log.last(),
            dvlsn: self.node.dvlsn(),
            applied: self.node.applied(),
        };
        let news = shown != self.shown;
        if news {
            self.shown = shown;
            shared.shown.show(shown);
        }
        if **shared.admission.load() != admission {
            shared.admission.store(Arc::new(admission));
            shared.bell.ring();
        } else if news {
            shared.bell.ring();
        }
        self.show_changes();
        unsynced_bytes
    }
}
