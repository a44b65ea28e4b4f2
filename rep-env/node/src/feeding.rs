//! What a master does for its replicas: one feeder each, told apart by link, and what their acknowledgements say. A replica does the same for
//! the secondaries that it relays to (`relaying`), up to what is durable, and counts nothing.
//!
//! The feeders decide what may be in flight (`rep-stream`); here they are given the node's facts, and what they put
//! out is carried on.

use crate::error::PeerError;
use crate::links::{Link, Open, Slot};
use crate::message::Message;
use crate::node::Node;
use crate::output::{Output, SendRange};
use rep_stream::{
    BatchHeader, Feeder, FeederConfig, FeederFacts, FeederMessage, FeederOutput, RefuseReason,
    ReplicaMessage, SendFailed,
};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Term, mutant, sometimes};
use std::collections::BTreeMap;
use std::time::Duration;

/// The streams that this node gives, and its facts as their feeders borrow them, without borrowing the rest of the node.
macro_rules! feeders {
    ($node:expr) => {{
        let (last, dvlsn) = ($node.log.last().vlsn, $node.watermarks.dvlsn());
        let fed = match (&mut $node.reign, &mut $node.following) {
            (Some(reign), _) => Some((&mut reign.fed, last)),
            (None, Some(following)) => {
                // What is not durable may be taken back.
                let limit = if mutant!("relay-sends-the-undurable") { last } else { dvlsn };
                Some((&mut following.relayed, limit))
            }
            (None, None) => None,
        };
        fed.zip($node.in_force.ruling()).map(|((fed, send_limit), membership)| {
            let (log, cvlsn, group) = (&$node.log, $node.watermarks.cvlsn(), membership.group);
            (fed, FeederFacts { log, dvlsn, cvlsn, group, send_limit })
        })
    }};
}

/// How long a replica may not know what became durable, for the next entries to tell it. An application that commits one
/// entry after the other is spared half of the frames, and a replica half of the wake-ups; whoever waits at a replica for
/// what was just committed waits that much longer.
const WATERMARK_LINGER: Duration = Duration::from_millis(1);

#[derive(Debug)]
pub(crate) struct Fed {
    pub(crate) link: Link,
    pub(crate) incarnation: Incarnation,
    pub(crate) feeder: Feeder,
    pub(crate) in_sync: bool,
    pub(crate) heard: Duration,
}

impl Node {
    /// How many voters would acknowledge a write made now, this node among them, and which would not; nobody either
    /// way unless it reigns.
    pub(crate) fn live_voters(&self, now: Duration) -> (usize, Vec<NodeId>) {
        if self.reign.is_none() {
            return (0, Vec::new());
        }
        let voters = self.electorate.voters.keys().copied();
        let missing: Vec<NodeId> = voters.filter(|voter| !self.is_live(now, *voter)).collect();
        (self.electorate.voters.len() - missing.len(), missing)
    }

    /// Whether that member would acknowledge a write made now.
    pub(crate) fn is_live(&self, now: Duration, id: NodeId) -> bool {
        if self.reign.is_none() {
            return false;
        }
        if self.arbiter == Some(id) {
            return self.hears(now, id);
        }
        id == self.config.me || self.is_fed_live(now, id)
    }

    /// Whether that member takes a stream from this node, past sync-up, and was heard there lately.
    pub(crate) fn is_fed_live(&self, now: Duration, id: NodeId) -> bool {
        let patience = self.config.timing.election_timeout;
        let live = |fed: &Fed| fed.in_sync && now.saturating_sub(fed.heard) <= patience;
        self.reign.as_ref().and_then(|reign| reign.fed.get(&id)).is_some_and(live)
    }

    /// Who is no member any more is fed no more, from before the entry that says so: if it held that entry alone besides a master that dies, its log
    /// would rank above all those whom the membership before could make master, and nobody would win.
    pub(crate) fn feed_members_only(&mut self) {
        let Some(ruling) = self.in_force.ruling() else { return };
        let gone = self.fed().filter(|(id, fed)| !ruling.admits(*id, fed.incarnation));
        for id in gone.map(|(id, _)| id).collect::<Vec<_>>() {
            if !mutant!("members-removed-is-fed") {
                self.fed_lost(id);
                self.drop_link(id, Slot::Fed);
            }
        }
    }

    /// A message of a replica's stream.
    pub(crate) fn replica_message(
        &mut self,
        now: Duration,
        open: &Open,
        message: ReplicaMessage,
    ) -> Result<(), PeerError> {
        let connection = message.connection();
        let peer = open.link.peer;
        if connection.term > self.term() && self.is_member(open) && !self.watches(peer) {
            self.election.observe_term(now, open.link.peer, connection.term)?;
            self.drain_election(now);
        }
        if let ReplicaMessage::Handshake(handshake) = &message {
            if !open.carries(connection) {
                sometimes!(true, "node-heard-of-an-earlier-connection");
                return Ok(());
            }
            // A directory that has got another number, and has not heard so.
            let stranger = handshake.node != open.link.peer;
            let unknown = stranger.then_some(RefuseReason::NotMember);
            match unknown.or_else(|| self.refusal(open, connection.term)) {
                Some(reason) => {
                    let refused = FeederMessage::Refused { connection, reason };
                    self.send(open.link, Message::ToReplica(refused));
                    return Ok(());
                }
                None => self.begin_feeding(now, open, &message)?,
            }
        }
        let Some((fed, facts)) = feeders!(self) else { return Ok(()) };
        match fed.get_mut(&open.link.peer).filter(|fed| fed.link == open.link) {
            Some(fed) => {
                fed.heard = now;
                Ok(fed.feeder.handle_message(now, message, &facts)?)
            }
            None => Ok(()),
        }
    }

    fn refusal(&self, open: &Open, term: Term) -> Option<RefuseReason> {
        let Some(own) = self.feeds_in_term(open.link.peer) else {
            return Some(RefuseReason::NotMaster { master: self.master() });
        };
        if own != term {
            return Some(RefuseReason::StaleTerm { fence: self.durable_fence().term });
        }
        let Some(membership) = self.in_force.ruling() else {
            return Some(RefuseReason::NotMaster { master: None });
        };
        let Some(member) = membership.members.get(&open.link.peer) else {
            return Some(RefuseReason::NotMember);
        };
        if !member.kind.holds_data() && !mutant!("monitor-is-fed") {
            return Some(RefuseReason::NotMember);
        }
        (member.incarnation != open.incarnation).then_some(RefuseReason::IncarnationMismatch {
            recorded: member.incarnation,
            yours: open.incarnation,
        })
    }

    fn begin_feeding(
        &mut self,
        now: Duration,
        open: &Open,
        handshake: &ReplicaMessage,
    ) -> Result<(), PeerError> {
        let relays = self.reign.is_none();
        let Some((all, _)) = feeders!(self) else { return Ok(()) };
        let connection = handshake.connection();
        // A second handshake on one connection is a new sync-up, which the same feeder answers. A range that is on
        // its way belongs to that feeder alone, so no other may take its place on this link: what is left of an
        // earlier connection is dropped, and a later one has to come on a link of its own.
        if let Some(fed) = all.get(&open.link.peer).filter(|fed| fed.link == open.link) {
            let later = connection.epoch > fed.feeder.connection().epoch;
            let why = PeerError::Malformed("a second stream on one link");
            return if later { Err(why) } else { Ok(()) };
        }
        let mut config = FeederConfig::default();
        config.window_bytes = self.config.window_bytes;
        config.batch_bytes = self.config.batch_bytes;
        config.watermark_linger = WATERMARK_LINGER;
        config.relay = relays;
        let feeder = Feeder::new(config, connection, open.link.peer, now);
        let (link, incarnation) = (open.link, open.incarnation);
        let fed = Fed { link, incarnation, feeder, in_sync: false, heard: now };
        all.insert(link.peer, fed);
        if let Some(reign) = &mut self.reign {
            reign.relayed.remove(&link.peer);
        }
        Ok(())
    }

    /// A range was sent; the window may let the next one go.
    pub fn handle_sent(&mut self, now: Duration, link: Link, last: LogPoint, bytes: usize) {
        self.with_feeder(now, link, |now, feeder, facts| {
            feeder.handle_sent(now, last, bytes, facts)
        });
    }

    /// A range could not be read from the log.
    pub fn handle_send_failed(&mut self, now: Duration, link: Link, why: SendFailed) {
        self.with_feeder(now, link, |now, feeder, facts| {
            feeder.handle_send_failed(now, why, facts)
        });
    }

    fn with_feeder(
        &mut self,
        now: Duration,
        link: Link,
        act: impl FnOnce(Duration, &mut Feeder, &FeederFacts<'_>),
    ) {
        self.clock = now;
        let Some((fed, facts)) = feeders!(self) else { return };
        if let Some(fed) = fed.get_mut(&link.peer).filter(|fed| fed.link == link) {
            act(now, &mut fed.feeder, &facts);
            self.settle(now);
        }
    }

    /// Lets every feeder send what its window allows.
    pub(crate) fn pump_feeders(&mut self) {
        let now = self.clock;
        let Some((fed, facts)) = feeders!(self) else { return };
        fed.values_mut().for_each(|fed| fed.feeder.pump(now, &facts));
        self.drain_feeders(now);
    }

    pub(crate) fn feeders_next_timeout(&self) -> Option<(Duration, &'static str)> {
        self.fed().filter_map(|(_, fed)| fed.feeder.next_timeout()).min()
    }

    /// A member is about to wait for what is durable here.
    pub(crate) fn hasten_feeder(&mut self, peer: NodeId) {
        let Some((fed, facts)) = feeders!(self) else { return };
        if let Some(fed) = fed.get_mut(&peer) {
            fed.feeder.hasten(&facts);
        }
    }

    pub(crate) fn feeders_timeout(&mut self, now: Duration) {
        let Some((fed, facts)) = feeders!(self) else { return };
        fed.values_mut().for_each(|fed| fed.feeder.handle_timeout(now, &facts));
    }

    pub(crate) fn fed_lost(&mut self, peer: NodeId) {
        if let Some(fed) = self.fed_mut() {
            fed.remove(&peer);
        }
    }

    /// Whom this node feeds, as master or as relay.
    pub(crate) fn fed(&self) -> impl Iterator<Item = (NodeId, &Fed)> {
        let reign = self.reign.as_ref().map(|reign| &reign.fed);
        let relayed = self.following.as_ref().map(|following| &following.relayed);
        reign.or(relayed).into_iter().flatten().map(|(id, fed)| (*id, fed))
    }

    fn fed_mut(&mut self) -> Option<&mut BTreeMap<NodeId, Fed>> {
        let reign = self.reign.as_mut().map(|reign| &mut reign.fed);
        reign.or(self.following.as_mut().map(|following| &mut following.relayed))
    }

    /// Carries what feeders and the replica put out; tells whether there was anything.
    pub(crate) fn drain_streams(&mut self, now: Duration) -> bool {
        let fed = self.drain_feeders(now);
        let followed = self.drain_replica(now);
        fed || followed
    }

    pub(crate) fn drain_feeders(&mut self, now: Duration) -> bool {
        let mut moved = false;
        while let Some((peer, output)) = self.next_feeder_output() {
            moved = true;
            self.feeder_output(now, peer, output);
        }
        moved
    }

    fn next_feeder_output(&mut self) -> Option<(NodeId, FeederOutput)> {
        self.fed_mut()?.iter_mut().find_map(|(peer, fed)| Some((*peer, fed.feeder.poll_output()?)))
    }

    fn feeder_output(&mut self, now: Duration, peer: NodeId, output: FeederOutput) {
        let Some(fed) = self.fed_mut().and_then(|fed| fed.get_mut(&peer)) else { return };
        let (link, incarnation) = (fed.link, fed.incarnation);
        match output {
            FeederOutput::Send(message) => self.send(link, Message::ToReplica(message)),
            FeederOutput::SendEntries {
                connection,
                prev,
                from,
                to,
                bytes_max,
                log_epoch,
                dvlsn,
                cvlsn,
            } => {
                let header = BatchHeader { connection, prev, dvlsn, cvlsn };
                let range = SendRange { header, from, to, bytes_max, log_epoch };
                self.output(Output::SendEntries { link, range });
            }
            FeederOutput::Acked { synced, received } => {
                fed.heard = now;
                // To a relay it says how far it may send, and nothing of what is durable.
                if let Some(reign) = &mut self.reign {
                    reign.acks.observe(peer, incarnation, synced, received);
                    self.count_acks(now);
                    self.ask_the_arbiter(now);
                }
            }
            FeederOutput::InSync { at } => self.replica_in_sync(now, peer, at),
            FeederOutput::NeedsRestore { first, last } => {
                if !last.is_some_and(|last| self.is_refused_image(now, peer, last)) {
                    let why = format!("it needs a restore: the log begins at {first} here");
                    self.refused_by(peer, why);
                }
            }
            FeederOutput::Close(reason) => {
                self.refused_by(peer, reason.to_string());
                self.fed_lost(peer);
                self.drop_link(peer, Slot::Fed);
            }
        }
    }

    /// A replica is past sync-up. What a secondary has acknowledged is for its master to compare, and not for a relay.
    fn replica_in_sync(&mut self, now: Duration, peer: NodeId, at: LogPoint) {
        if self.is_refused_image(now, peer, at) {
            return;
        }
        if let Some(fed) = self.fed_mut().and_then(|fed| fed.get_mut(&peer)) {
            (fed.in_sync, fed.heard) = (true, now);
            self.refusals.remove(&peer);
        }
    }
}
