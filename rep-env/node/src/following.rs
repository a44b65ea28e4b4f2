//! What a replica does: hears its master, asks it for a stream, and takes from the stream what may be taken.
//!
//! Whom it asks is the master, or for some members another replica (`relaying`). A stream begins only when the fence of its term is on disk, no cut is under way and the log is sound. It ends
//! with its link, with its term, and with any doubt.

use crate::error::PeerError;
use crate::feeding::Fed;
use crate::founding;
use crate::links::{Link, Open, Slot};
use crate::membership::Membership;
use crate::message::Message;
use crate::node::Node;
use crate::output::{Event, HaltReason, Output};
use rep_fsm::Role;
use rep_stream::{
    Connection, FeederMessage, RefuseReason, Replica, ReplicaConfig, ReplicaFacts, ReplicaOutput,
};
use rep_vlsn::sometimes;
use rep_vlsn::{Batch, LogPoint, NodeId, Term, Vlsn};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

/// The node's facts as a replica's core borrows them, without borrowing the rest of the node.
macro_rules! replica_facts {
    ($node:expr) => {
        ReplicaFacts {
            log: &$node.log,
            dvlsn: $node.watermarks.dvlsn(),
            group: $node
                .in_force
                .ruling()
                .or($node.hearsay.as_ref())
                .map(|membership| membership.group),
            fence_term: $node.election.fence().term,
        }
    };
}

/// The master that this node hears, and the stream from it.
#[derive(Debug)]
pub(crate) struct Following {
    pub(crate) master: NodeId,
    pub(crate) term: Term,
    /// When it last spoke as that term's master.
    heard: Duration,
    quorate: bool,
    /// Who is to give the stream: the master, or a relay; and since when.
    pub(crate) source: NodeId,
    pub(crate) source_since: Duration,
    /// Relays that are not asked before then.
    passed_over: BTreeMap<NodeId, Duration>,
    /// How often in a row the relay could not feed this node yet.
    refused: u32,
    /// Where this node stands, as it told its master last.
    pub(crate) told: LogPoint,
    /// The streams that this node relays.
    pub(crate) relayed: BTreeMap<NodeId, Fed>,
    stream: Option<Stream>,
}

#[derive(Debug)]
struct Stream {
    link: Link,
    replica: Replica,
}

impl Following {
    fn new(now: Duration, term: Term, master: NodeId, quorate: bool) -> Self {
        Following {
            master,
            term,
            heard: now,
            quorate,
            source: master,
            source_since: now,
            passed_over: BTreeMap::new(),
            refused: 0,
            told: LogPoint::NULL,
            relayed: BTreeMap::new(),
            stream: None,
        }
    }

    /// Whether somebody else than the master is to give the stream.
    pub(crate) fn has_relay(&self) -> bool {
        self.source != self.master
    }

    pub(crate) fn turn_to(&mut self, now: Duration, source: NodeId) {
        (self.source, self.source_since, self.refused) = (source, now, 0);
        // The master is told anew who feeds this node.
        self.told = LogPoint::NULL;
    }

    /// The relay feeds this node.
    pub(crate) fn is_fed(&mut self) {
        self.refused = 0;
    }

    /// The relay does not feed this node yet; tells how often that was so.
    pub(crate) fn refused(&mut self) -> u32 {
        self.refused += 1;
        self.refused
    }

    pub(crate) fn pass_over(&mut self, relay: NodeId, until: Duration) {
        self.passed_over.insert(relay, until);
    }

    pub(crate) fn passes_over(&self, now: Duration, relay: NodeId) -> bool {
        self.passed_over.get(&relay).is_some_and(|until| now < *until)
    }

    /// Whether the master says that a commit quorum answers it.
    pub(crate) fn is_quorate(&self) -> bool {
        self.quorate
    }

    /// For how long it has not spoken.
    pub(crate) fn silent_for(&self, now: Duration) -> Duration {
        now.saturating_sub(self.heard)
    }

    pub(crate) fn in_sync(&self) -> bool {
        self.stream.as_ref().is_some_and(|stream| stream.replica.in_sync())
    }
}

impl Node {
    /// A frame of the master of `term` arrived.
    pub(crate) fn follow(
        &mut self,
        now: Duration,
        term: Term,
        master: NodeId,
        quorate: bool,
    ) -> Result<(), PeerError> {
        if self.is_second_master(term, master) {
            self.halt(HaltReason::TwoMasters { term, other: master });
            return Ok(());
        }
        self.election.hear_master(now, term, master, quorate)?;
        self.drain_election(now);
        let listens = self.role() == Role::Replica || self.lacks_data();
        if self.is_over() || term < self.term() || !listens {
            return Ok(());
        }
        match &mut self.following {
            Some(following) if following.term == term => {
                (following.heard, following.quorate) = (now, quorate);
            }
            Some(_) | None => {
                self.unfollow();
                self.because("hears a master");
                self.following = Some(Following::new(now, term, master, quorate));
                if !self.lacks_data() {
                    self.seek_source(now);
                }
            }
        }
        Ok(())
    }

    fn is_second_master(&self, term: Term, master: NodeId) -> bool {
        let reigns = self.reign.as_ref().is_some_and(|reign| reign.term == term);
        let follows = self
            .following
            .as_ref()
            .is_some_and(|following| following.term == term && following.master != master);
        reigns || follows
    }

    /// The master is lost, or its term is over.
    pub(crate) fn unfollow(&mut self) {
        self.end_relaying();
        if let Some(following) = self.following.take() {
            self.recall_reads();
            self.links.unwant(following.source, Slot::Source);
            self.drop_link(following.source, Slot::Source);
        }
    }

    pub(crate) fn follows(&self, peer: NodeId) -> bool {
        self.following.as_ref().is_some_and(|following| following.master == peer)
    }

    /// Whether the stream is to come from `peer`.
    pub(crate) fn is_source(&self, peer: NodeId) -> bool {
        self.following.as_ref().is_some_and(|following| following.source == peer)
    }

    /// Whether the stream is to come from `peer`, which is not the master.
    pub(crate) fn is_relay(&self, peer: NodeId) -> bool {
        self.is_source(peer) && !self.follows(peer)
    }

    /// The stream's link is gone: dial again. Whether the master is gone, the redial tells.
    pub(crate) fn source_lost(&mut self, now: Duration, lost: &Open) {
        let source = lost.link.peer;
        let Some(following) = self.following.as_mut().filter(|it| it.source == source) else {
            return;
        };
        following.stream = None;
        self.because("lost the stream");
        self.end_relaying();
        match self.is_relay(source) {
            true => self.pass_over(now, source, "it fed this member, and hung up".into()),
            false => self.reconnect(now, lost),
        }
    }

    /// A message of the stream.
    pub(crate) fn stream_message(
        &mut self,
        now: Duration,
        link: Link,
        message: FeederMessage,
    ) -> Result<(), PeerError> {
        let Some(following) = &self.following else { return Ok(()) };
        if following.stream.as_ref().is_none_or(|stream| stream.link != link) {
            return Ok(());
        }
        let (term, master, quorate) = (following.term, following.master, following.quorate);
        if let FeederMessage::Batch { entries, .. } = &message {
            self.check_group(&founding::memberships_in(entries)?)?;
        }
        // What a relay says is no sign of life of the master.
        if link.peer == master && message.connection() == self.stream_connection(link) {
            match &message {
                // The refuser reigns no more: that is no sign of life of a master, it is silence at once.
                FeederMessage::Refused { reason: RefuseReason::NotMaster { .. }, .. }
                | FeederMessage::Refused { reason: RefuseReason::StaleTerm { .. }, .. } => {
                    self.election.lose_master(now);
                }
                // There is a group, and it does not record this directory.
                FeederMessage::Refused {
                    reason: RefuseReason::NotMember | RefuseReason::IncarnationMismatch { .. },
                    ..
                } => self.ask_to_join(),
                FeederMessage::SyncUp(_)
                | FeederMessage::NeedsRestore { .. }
                | FeederMessage::Refused { .. }
                | FeederMessage::Watermarks { .. }
                | FeederMessage::Batch { .. } => {
                    self.election.hear_master(now, term, master, quorate)?;
                    self.drain_election(now);
                }
            }
        }
        let facts = replica_facts!(self);
        match stream_of(&mut self.following, link) {
            Some(stream) => Ok(stream.replica.handle_message(now, message, &facts)?),
            None => Ok(()),
        }
    }

    fn stream_connection(&self, link: Link) -> Connection {
        let term = self.following.as_ref().map_or(Term::ZERO, |following| following.term);
        Connection { term, epoch: link.epoch }
    }

    /// Begins the stream as soon as everything that it leans on is there.
    fn begin_stream(&mut self, now: Duration) -> bool {
        let durable = self.durable_fence().term;
        let Some(following) = &self.following else { return false };
        let ready = following.stream.is_none()
            && durable >= following.term
            && !self.truncating
            && self.log_failed.is_none()
            && !self.shuns_streams();
        let Some(open) = self.links.get(following.source, Slot::Source).filter(|_| ready) else {
            return false;
        };
        let link = open.link;
        let connection = self.stream_connection(link);
        let mut config = ReplicaConfig::new(self.config.me, self.config.incarnation);
        config.attributes = self.config.attributes.clone();
        let facts = replica_facts!(self);
        let replica = Replica::new(config, connection, following.source, now, &facts);
        if let Some(following) = &mut self.following {
            following.stream = Some(Stream { link, replica });
        }
        true
    }

    /// Carries what the replica put out; tells whether there was anything.
    pub(crate) fn drain_replica(&mut self, now: Duration) -> bool {
        let mut moved = self.begin_stream(now);
        while let Some((link, output)) = self.next_replica_output() {
            moved = true;
            self.replica_output(now, link, output);
        }
        moved
    }

    fn next_replica_output(&mut self) -> Option<(Link, ReplicaOutput)> {
        if self.is_over() {
            return None;
        }
        let stream = self.following.as_mut()?.stream.as_mut()?;
        let output = stream.replica.poll_output()?;
        Some((stream.link, output))
    }

    fn replica_output(&mut self, now: Duration, link: Link, output: ReplicaOutput) {
        match output {
            ReplicaOutput::Send(message) => self.send(link, Message::ToFeeder(message)),
            ReplicaOutput::Truncate { keep, dropped } => self.roll_back(keep, dropped),
            ReplicaOutput::Append(batch) => self.take_batch(now, link, batch),
            ReplicaOutput::Watermarks { dvlsn, cvlsn } => self.advance_watermarks(dvlsn, cvlsn),
            ReplicaOutput::InSync => {
                self.because("in sync with its master");
                self.following.iter_mut().for_each(Following::is_fed);
                self.needs_no_copy("its source's log reaches this member after all");
                self.refusals.remove(&link.peer);
                self.refusals_pass();
            }
            // The master's log may reach back further.
            ReplicaOutput::NeedsRestore { source_first } if self.is_relay(link.peer) => {
                self.pass_over(now, link.peer, format!("its log begins at {source_first}"));
            }
            ReplicaOutput::NeedsRestore { source_first } => {
                self.event(Event::NeedsRestore { source_first });
                let reason = format!("needs a restore: its log begins at {source_first}");
                self.end_stream(now, link, Some(reason));
                self.strand(now, source_first);
            }
            ReplicaOutput::Breach(breach) => {
                self.halt(HaltReason::Breach { what: breach.to_string() });
            }
            ReplicaOutput::Close(reason) => {
                if !self.asks_again(now, link, &reason) {
                    self.end_stream(now, link, Some(reason.to_string()));
                }
            }
        }
    }

    /// Entries that the master's log does not hold are cut away, durably, before anything else is taken.
    fn roll_back(&mut self, keep: LogPoint, dropped: RangeInclusive<Vlsn>) {
        if keep.vlsn < self.dvlsn() {
            let what = format!("a truncation to {keep}, below dvlsn {}", self.dvlsn());
            return self.halt(HaltReason::Breach { what });
        }
        sometimes!(keep.term < self.log.last().term, "node-rolls-back-a-whole-term");
        sometimes!(keep.vlsn == self.dvlsn(), "node-rolls-back-to-its-dvlsn");
        self.log.truncate(keep);
        self.volume.truncated(keep.vlsn);
        self.watermarks.roll_back(keep.vlsn);
        if self.in_force.roll_back(keep.vlsn) {
            sometimes!(true, "node-rolled-a-membership-back");
            self.membership_rules("rolled back");
        }
        self.truncating = true;
        let kept = self.unsynced.partition_point(|entry| entry.0 <= keep.vlsn);
        let cut: u64 = self.unsynced.drain(kept..).map(|entry| entry.2).sum();
        self.unsynced_bytes -= cut;
        self.output(Output::Truncate { keep, epoch: self.log.epoch() });
        self.event(Event::RolledBack { dropped });
    }

    fn take_batch(&mut self, now: Duration, link: Link, batch: Batch) {
        let memberships = founding::memberships_in(&batch).unwrap_or_default();
        if self.membership().is_none() && !memberships.first().is_some_and(|it| self.belongs_to(it))
        {
            let reason = "the group's founding entry does not name this data directory";
            return self.end_stream(now, link, Some(reason.into()));
        }
        self.needs_no_copy("its source's log reaches this member after all");
        // The founding says which group it is that the entries are of.
        for membership in memberships {
            self.learn_membership(membership, "its master's log says so");
        }
        self.append(now, batch.into_records());
        let facts = replica_facts!(self);
        if let Some(stream) = stream_of(&mut self.following, link) {
            stream.replica.handle_appended(now, &facts);
        }
    }

    fn check_group(&self, told: &[Membership]) -> Result<(), PeerError> {
        let Some(ours) = self.group() else { return Ok(()) };
        match told.iter().find(|it| it.group != ours) {
            Some(other) => Err(PeerError::Membership(format!("it is of group {}", other.group))),
            None => Ok(()),
        }
    }

    /// Whether the first membership of a log makes it this directory's: it is named there, or was told that it has been admitted later.
    fn belongs_to(&self, first: &Membership) -> bool {
        let told = self.hearsay.as_ref().is_some_and(|told| told.group == first.group);
        told || first.admits(self.config.me, self.config.incarnation)
    }

    /// Ends the stream, and asks for no other; the master is heard as before.
    pub(crate) fn leave_stream(&mut self) {
        self.end_relaying();
        let Some(following) = &mut self.following else { return };
        let source = following.source;
        following.stream = None;
        self.recall_reads();
        self.links.unwant(source, Slot::Source);
        self.drop_link(source, Slot::Source);
    }

    /// Gives the link up and dials again after a pause; or asks somebody else than this relay.
    fn end_stream(&mut self, now: Duration, link: Link, reason: Option<String>) {
        if self.is_relay(link.peer) {
            return self.pass_over(now, link.peer, reason.unwrap_or_default());
        }
        self.end_relaying();
        if let Some(following) = &mut self.following {
            following.stream = None;
        }
        if let Some(reason) = reason {
            self.refused_by(link.peer, reason);
        }
        self.drop_link(link.peer, Slot::Source);
        self.links.want_later(now, link.peer, Slot::Source);
    }

    pub(crate) fn replica_written(&mut self, now: Duration) {
        let facts = replica_facts!(self);
        if let Some(stream) = any_stream(&mut self.following) {
            stream.replica.handle_written(now, &facts);
        }
    }

    pub(crate) fn replica_synced(&mut self, now: Duration) {
        let facts = replica_facts!(self);
        if let Some(stream) = any_stream(&mut self.following) {
            stream.replica.handle_synced(now, &facts);
        }
    }

    pub(crate) fn replica_truncated(&mut self, now: Duration) {
        let facts = replica_facts!(self);
        if let Some(stream) = any_stream(&mut self.following) {
            stream.replica.handle_truncated(now, &facts);
        }
    }

    pub(crate) fn following_timeout(&mut self, now: Duration) {
        self.feeders_timeout(now);
        let facts = replica_facts!(self);
        if let Some(stream) = any_stream(&mut self.following) {
            stream.replica.handle_timeout(now, &facts);
        }
    }

    pub(crate) fn following_next_timeout(&self) -> Option<(Duration, &'static str)> {
        let stream = self.following.as_ref()?.stream.as_ref();
        let replica = stream.and_then(|stream| stream.replica.next_timeout());
        replica.into_iter().chain(self.feeders_next_timeout()).min()
    }
}

fn any_stream(following: &mut Option<Following>) -> Option<&mut Stream> {
    following.as_mut()?.stream.as_mut()
}

fn stream_of(following: &mut Option<Following>, link: Link) -> Option<&mut Stream> {
    any_stream(following).filter(|stream| stream.link == link)
}
