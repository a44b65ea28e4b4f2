//! Links, and which room a message belongs to.

use crate::error::PeerError;
use crate::links::{DialFailure, Link, Open, Service, Shown, Slot};
use crate::message::{Message, TurnedAway};
use crate::node::Node;
use crate::output::{Event, Output};
use rep_election::{Reason, Sender};
use rep_fsm::{Role, Signal};
use rep_vlsn::{Incarnation, NodeId, Term};
use rep_vlsn::{mutant, sometimes};
use std::time::Duration;

/// Why a peer refuses this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) reason: String,
    /// Whether it is about this moment, rather than about who the two are.
    passes: bool,
}

impl Node {
    /// A link is open: this node dialled it, or a peer did. `shown` is what the peer's Hello said.
    pub fn handle_link_up(
        &mut self,
        now: Duration,
        link: Link,
        shown: impl Into<Shown>,
        dialled: bool,
    ) {
        self.clock = now;
        let shown = shown.into();
        let expected = link.peer != self.config.me && self.contacts.contains_key(&link.peer);
        if self.is_over() || !expected {
            return self.output(Output::Disconnect { link });
        }
        if self.told_removed(link, shown.incarnation) {
            return;
        }
        if self.is_impostor(link, shown.incarnation, dialled)
            || self.is_wrong_way(link, shown.incarnation, dialled)
        {
            return self.output(Output::Disconnect { link });
        }
        if self.is_twin(link, shown) {
            return self.turn_twin_away(link);
        }
        for old in self.links.of_another_run(link.peer, shown) {
            self.give_up(now, old);
        }
        let (slot, replaced) = self.links.up(now, link, shown, dialled);
        if let Some(old) = replaced {
            self.output(Output::Disconnect { link: old.link });
            self.link_lost(now, &old);
        }
        if slot == Slot::Source && !self.is_source(link.peer) {
            self.drop_link(link.peer, slot);
        }
        if slot == Slot::Peer {
            self.greet(now, link);
        }
        self.settle(now);
    }

    /// A link broke or was closed by the other end. One that was replaced or disconnected is ignored.
    pub fn handle_link_down(&mut self, now: Duration, link: Link) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        if let Some(lost) = self.links.down(link) {
            self.link_lost(now, &lost);
            self.settle(now);
        }
    }

    /// A dial that this node asked for came to nothing.
    pub fn handle_dial_failed(
        &mut self,
        now: Duration,
        peer: NodeId,
        service: Service,
        why: DialFailure,
    ) {
        self.clock = now;
        if self.is_over() {
            return;
        }
        self.links.failed(now, peer, service);
        if service == Service::Feeder && self.is_relay(peer) {
            self.pass_over(now, peer, format!("it cannot be asked for a stream: {why}"));
            return self.settle(now);
        }
        match why {
            // Nobody listens where the master was: that is silence, at once.
            DialFailure::Refused if self.follows(peer) => self.election.lose_master(now),
            DialFailure::Refused | DialFailure::Unreachable => {}
            DialFailure::Rejected(reason) => {
                // Whoever was removed, or wiped, is not known by name.
                self.inquire();
                self.refused_by(peer, reason);
            }
        }
        self.settle(now);
    }

    /// A message arrived. What comes over a link that is no longer open is dropped.
    ///
    /// # Errors
    ///
    /// [`PeerError`] for what no correct peer says: the driver closes the link. Fence, log and watermarks are as they were; a stream on
    /// that link may be over already.
    pub fn handle_message(
        &mut self,
        now: Duration,
        link: Link,
        message: Message,
    ) -> Result<(), PeerError> {
        self.clock = now;
        let Some(open) = self.open_link(link) else { return Ok(()) };
        if message.service() != link.service {
            return Err(PeerError::WrongService { message: message.name() });
        }
        self.links.heard(now, open.link.peer, open.slot);
        if !self.heeds(open.link.peer, &message) {
            return Ok(());
        }
        let result = self.route(now, open, message);
        self.settle(now);
        result
    }

    /// The link as it is open now; nothing is taken from one that is not.
    fn open_link(&self, link: Link) -> Option<Open> {
        if self.is_over() {
            return None;
        }
        let successor = || {
            let planted = mutant!("stream-old-connection-ack") && link.service == Service::Feeder;
            self.links.get(link.peer, Slot::Fed).filter(|_| planted)
        };
        self.links.find(link).or_else(successor).copied()
    }

    fn route(&mut self, now: Duration, open: Open, message: Message) -> Result<(), PeerError> {
        let link = open.link;
        match message {
            Message::Election(message) => {
                let sender = sender(&open);
                Ok(self
                    .elect(|core, standing| core.handle_message(now, sender, message, standing))?)
            }
            Message::Heartbeat { term, round, quorate } => {
                self.heartbeat(now, &open, term, round, quorate)
            }
            Message::HeartbeatReply { term, round } => {
                self.heartbeat_reply(now, &open, term, round)
            }
            Message::ReadIndex { term, number } => self.read_index_asked(&open, term, number),
            Message::ReadIndexReply { term, number, index } => {
                self.read_index(now, link, term, number, index);
                Ok(())
            }
            Message::Ping { nonce } => {
                self.send(link, Message::Pong { nonce });
                Ok(())
            }
            Message::Pong { nonce } => {
                let sent = Duration::from_nanos(nonce);
                if let Some(round_trip) = now.checked_sub(sent) {
                    self.links.measured(link.peer, round_trip);
                }
                Ok(())
            }
            Message::TurnedAway(why) => {
                self.turned_away(&open, why);
                Ok(())
            }
            Message::Vouch { term, point } => {
                self.vouch_asked(&open, term, point);
                Ok(())
            }
            Message::Vouched { term, point } => self.vouched(now, &open, term, point),
            Message::Stands { term, synced, source } => {
                self.told_where_it_stands(&open, term, (synced, source))
            }
            Message::Acquaint(membership) => {
                self.acquainted(&open, *membership);
                Ok(())
            }
            Message::RoundTrips(row) => {
                self.told_nearness(&open, row);
                Ok(())
            }
            Message::Load(load) => {
                self.told_load(&open, load);
                Ok(())
            }
            Message::GroupShutDown { term } => {
                if self.is_member(&open) {
                    self.told_to_stop(link.peer, term);
                }
                Ok(())
            }
            Message::ToFeeder(message) => self.replica_message(now, &open, message),
            Message::ToReplica(message) => self.stream_message(now, link, message),
        }
    }

    /// The master is there, or one that does not know yet that it is not.
    fn heartbeat(
        &mut self,
        now: Duration,
        open: &Open,
        term: Term,
        round: u64,
        quorate: bool,
    ) -> Result<(), PeerError> {
        if !self.is_member(open) {
            return Ok(());
        }
        let answers = !self.is_monitor() || mutant!("monitor-answers");
        if term < self.term() {
            let known = self.durable_fence().term;
            if known > term && answers {
                self.send(open.link, Message::HeartbeatReply { term: known, round: 0 });
            }
            return Ok(());
        }
        self.follow(now, term, open.link.peer, quorate)?;
        // The answer counts for mastership, so the fence that it leans on must be on disk.
        let holds = self.durable_fence().term >= term && self.term() == term;
        if !self.is_over() && holds && answers {
            self.send(open.link, Message::HeartbeatReply { term, round });
            self.tell_where_it_stands(open.link, term);
        }
        Ok(())
    }

    /// Carries what the election core put out; tells whether there was anything.
    pub(crate) fn drain_election(&mut self, now: Duration) -> bool {
        let mut moved = false;
        while let Some(output) = self.election.poll_output() {
            moved = true;
            self.election_output(now, output);
        }
        // Adopting a term ends a stream below it, whatever else it does.
        if self.following.as_ref().is_some_and(|following| following.term < self.term()) {
            self.because("a higher term");
            self.unfollow();
        }
        moved
    }

    fn election_output(&mut self, now: Duration, output: rep_election::Output) {
        use rep_election::Output as Elected;
        match output {
            Elected::Persist(fence) => self.output(Output::PersistFence(fence)),
            Elected::Send { to, message } => {
                if let Some(open) = self.links.get(to, Slot::Peer) {
                    self.send(open.link, Message::Election(message));
                }
            }
            Elected::Stand { .. } => {
                self.because("seeks a master");
                self.unfollow();
                if self.role() == Role::Replica {
                    self.step_role(Signal::MissedHeartbeats);
                }
            }
            Elected::Lost { .. } => {
                if self.role() == Role::Candidate {
                    self.step_role(Signal::ElectionLost);
                }
            }
            Elected::Crown { term, promisers } => self.crown(now, term, promisers),
            Elected::Deposed { .. } => {
                self.end_reign(now, Signal::PeerLeaderObserved, "a higher term");
            }
            Elected::Event(event) => self.election_event(event),
            other => {
                unreachable!("an output of an election that this version does not know: {other:?}")
            }
        }
    }

    fn election_event(&mut self, event: rep_election::Event) {
        if let rep_election::Event::RefusedBy { by, reason, .. } = event
            && let Some(words) = lasting(reason)
        {
            self.refused(by, Refusal { reason: words.into(), passes: false });
            if matches!(reason, Reason::OtherIncarnation | Reason::NotAMember) {
                self.ask_to_join();
            }
        }
    }

    /// Remembers why a peer refuses this node or its stream, until some stream is in sync.
    pub(crate) fn refused_by(&mut self, by: NodeId, reason: String) {
        self.refused(by, Refusal { reason, passes: true });
    }

    /// Remembers why a peer refuses this node, and says it once.
    fn refused(&mut self, by: NodeId, refusal: Refusal) {
        if self.refusals.get(&by) != Some(&refusal) {
            let reason = refusal.reason.clone();
            self.refusals.insert(by, refusal);
            self.event(Event::Refused { by, reason });
        }
    }

    /// This node reigns, or follows in sync: what was refused on the way there is past. Who it is to a peer is not.
    pub(crate) fn refusals_pass(&mut self) {
        self.refusals.retain(|_, refusal| !refusal.passes);
    }

    // ---- links ----

    pub(crate) fn send(&mut self, link: Link, message: Message) {
        self.output(Output::Send { link, message });
    }

    /// Asks for a link unless there is one.
    pub(crate) fn connect(&mut self, peer: NodeId, slot: Slot) {
        if let Some(service) = self.links.want(peer, slot) {
            self.output(Output::Connect { peer, service });
        }
    }

    /// Asks for a link in place of one that was lost.
    pub(crate) fn reconnect(&mut self, now: Duration, lost: &Open) {
        if let Some(service) = self.links.want_again(now, lost) {
            self.output(Output::Connect { peer: lost.link.peer, service });
        }
    }

    /// Closes a link of this node's own accord.
    pub(crate) fn drop_link(&mut self, peer: NodeId, slot: Slot) {
        if let Some(link) = self.links.close(peer, slot) {
            self.output(Output::Disconnect { link });
        }
    }

    pub(crate) fn links_timeout(&mut self, now: Duration) {
        for (peer, service) in self.links.due(now) {
            self.output(Output::Connect { peer, service });
        }
        if self.next_ping <= now {
            self.next_ping = now + self.config.timing.election_timeout / 2;
            self.end_loneliness(now);
            let (asked, silent) = self.links.ping_round();
            asked.into_iter().for_each(|link| self.ping(now, link));
            self.share_nearness();
            self.share_load();
            self.notice_silence(now);
            self.mind_the_source(now);
            sometimes!(!silent.is_empty(), "node-gave-up-a-silent-link");
            silent.into_iter().for_each(|link| self.give_up(now, link));
        }
    }

    /// This link is closed as if it had broken.
    fn give_up(&mut self, now: Duration, link: Link) {
        if let Some(lost) = self.links.down(link) {
            self.output(Output::Disconnect { link });
            self.link_lost(now, &lost);
        }
    }

    /// Voters that this node exchanges frames with, itself among them.
    pub(crate) fn voters_in_reach(&self) -> usize {
        let patience = self.config.timing.election_timeout * 2;
        let fresh = |open: &&Open| self.clock.saturating_sub(open.heard) <= patience;
        let counts = |open: &&Open| self.electorate.counts(open.link.peer, open.incarnation);
        let own = self.electorate.counts(self.config.me, self.config.incarnation);
        usize::from(own) + self.links.peers().filter(fresh).filter(counts).count()
    }

    /// A new PEER link: learn the round trip; a master makes itself known at once.
    fn greet(&mut self, now: Duration, link: Link) {
        self.ping(now, link);
        self.acquaint(link);
        self.tell_nearness(link);
        self.tell_load(link);
        self.herald(link);
        self.tell_again(link);
    }

    fn ping(&mut self, now: Duration, link: Link) {
        self.send(link, Message::Ping { nonce: now.as_nanos() as u64 });
    }

    fn link_lost(&mut self, now: Duration, lost: &Open) {
        let peer = lost.link.peer;
        match lost.slot {
            Slot::Peer => {
                self.asked.forget(lost.link);
                if self.asking.is_out_on(lost.link) {
                    self.recall_reads();
                }
                if self.config.me < peer {
                    self.reconnect(now, lost);
                }
            }
            Slot::Source => self.source_lost(now, lost),
            Slot::Fed => self.fed_lost(peer),
        }
    }

    // ---- who is who ----

    /// Whether another directory of a member's name asks for the place of the recorded one, which is here and heard:
    /// a wiped or cloned directory beside the real one must not keep it off.
    fn is_impostor(&self, link: Link, incarnation: Incarnation, dialled: bool) -> bool {
        if self.membership().is_none() {
            return false;
        }
        let patience = self.config.timing.election_timeout;
        let present =
            self.links.get(link.peer, Slot::of(link.service, dialled)).is_some_and(|open| {
                self.is_member(open) && self.clock.saturating_sub(open.heard) <= patience
            });
        present && !self.admits(link.peer, incarnation)
    }

    /// Whether another process of the same data directory is here and heard: then this one is a copy, or the
    /// other has not been gone for long. Promises and acknowledgements of two processes would be counted as one member's.
    fn is_twin(&self, link: Link, shown: Shown) -> bool {
        let since = self.clock.saturating_sub(self.config.timing.election_timeout);
        self.links.hears_another_run(link.peer, shown, since) && !mutant!("node-takes-a-twin")
    }

    /// It is told why, where it would understand; a stream that has not begun has no words for it.
    fn turn_twin_away(&mut self, link: Link) {
        sometimes!(true, "node-turned-a-twin-away");
        if link.service == Service::Peer {
            self.send(link, Message::TurnedAway(TurnedAway::Twin));
        }
        self.output(Output::Disconnect { link });
        let patience = self.config.timing.election_timeout;
        if self.links.twin_seen(self.clock, link.peer, patience) {
            self.event(Event::TwinTurnedAway { peer: link.peer });
        }
    }

    /// Whether a PEER link comes from a side that does not dial. A member of a greater number does so only if it has been missed, and anybody else who took its
    /// place in its absence would keep this node from dialling the member itself.
    fn is_wrong_way(&self, link: Link, incarnation: Incarnation, dialled: bool) -> bool {
        let wrong = link.service == Service::Peer && !dialled && self.config.me < link.peer;
        let missed = self.is_placed()
            && self.admits(link.peer, incarnation)
            && self.links.get(link.peer, Slot::Peer).is_none();
        wrong && !missed
    }

    /// A peer's last word.
    fn turned_away(&mut self, open: &Open, why: TurnedAway) {
        match why {
            TurnedAway::Removed(whom) if whom != self.config.incarnation => {}
            TurnedAway::Removed(_) if self.is_member(open) => self.was_removed(),
            TurnedAway::Image { incarnation, .. } if incarnation != self.config.incarnation => {}
            TurnedAway::Image { counted, .. } if self.is_member(open) => {
                self.is_image(open.link.peer, counted);
            }
            TurnedAway::Removed(_) | TurnedAway::Image { .. } | TurnedAway::Twin => {
                self.refused_by(open.link.peer, why.to_string())
            }
        }
    }
}

fn sender(open: &Open) -> Sender {
    Sender { id: open.link.peer, incarnation: open.incarnation }
}

/// Why a peer will go on refusing until somebody does something about it; `None` for what passes by itself.
fn lasting(reason: Reason) -> Option<&'static str> {
    match reason {
        Reason::NotAMember => Some("it does not know this node as a member"),
        Reason::OtherIncarnation => {
            Some("this directory is not the one the group recorded (wiped or replaced): no vote")
        }
        Reason::OtherGroup => Some("it belongs to another group of the same name"),
        Reason::AskerUnborn => Some("its group is founded, and this directory is not part of it"),
        Reason::OtherMembers => Some("it lists other members than this node"),
        Reason::RefuserNotRecorded => Some("this group does not record its directory (wiped?)"),
        _ => None,
    }
}
