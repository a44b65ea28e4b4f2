//! Entries by way of a replica, so that a master's network is spared (decision 34).
//!
//! A secondary may ask a replica for its stream instead of the master; that one *relays* it. A relay passes on only what it knows to be durable
//! in the group, so nothing that it sends is ever taken back, and it needs to know nothing of quorums. Only who votes relays, and only to who
//! never does: no stream goes round in a circle, and none is longer than two steps.
//!
//! | at the secondary | then |
//! |---|---|
//! | it hears a master | it asks the nearest replica that it has not passed over; the master, if there is none |
//! | the relay is behind it, or has no stream of this term yet | it asks again, a few times |
//! | the relay refuses, is silent, is gone, or its log begins too late | it passes it over for a while, and asks the next |
//! | the master feeds it, and a relay is in reach again | it asks the relay |
//! | the master changes | all of it begins anew |
//!
//! The master hears from the secondary itself where that stands ([`Message::Stands`]): so its log is kept for it no longer than for others, and
//! a group that is shut down waits for it.

use crate::config::FeedFrom;
use crate::error::PeerError;
use crate::following::Following;
use crate::links::{Link, Open, Slot};
use crate::membership::MemberType;
use crate::message::Message;
use crate::node::Node;
use rep_stream::{CloseReason, RefuseReason};
use rep_vlsn::{LogPoint, NodeId, Term, Vlsn, mutant, sometimes};
use std::time::Duration;

/// Who cannot feed a secondary is not asked again for so many election timeouts.
const PASSED_OVER: u32 = 8;
/// How often in a row a relay is asked again that cannot feed a secondary yet.
const ASKED_AGAIN: u32 = 8;

impl Node {
    // ---- the secondary ----

    /// Asks for a stream from whoever is to give it now.
    pub(crate) fn seek_source(&mut self, now: Duration) {
        let Some(following) = &self.following else { return };
        let source = self.pick_source(now, following);
        if let Some(following) = &mut self.following {
            following.turn_to(now, source);
        }
        self.connect(source, Slot::Source);
    }

    /// The nearest replica that votes, if the master is to be spared.
    fn pick_source(&self, now: Duration, following: &Following) -> NodeId {
        let master = following.master;
        if !self.spares_its_master() {
            return master;
        }
        let round_trips = self.links.round_trips();
        let far = |id: &NodeId| round_trips.get(id).copied().unwrap_or(Duration::MAX);
        let may = |id: &NodeId| {
            let votes = self.kind_of(*id) == Some(MemberType::Electable);
            *id != master && votes && !following.passes_over(now, *id)
        };
        let relays = self.others().filter(may);
        relays.min_by_key(|id| (!self.hears(now, *id), far(id), *id)).unwrap_or(master)
    }

    fn spares_its_master(&self) -> bool {
        let asked = self.config.feed_from == FeedFrom::Replica;
        asked && self.kind_of(self.config.me) == Some(MemberType::Secondary)
    }

    /// Who feeds this member does not, or cannot any more: somebody else is asked.
    pub(crate) fn pass_over(&mut self, now: Duration, relay: NodeId, why: String) {
        sometimes!(true, "node-passed-a-relay-over");
        self.refused_by(relay, why);
        let until = now + self.config.timing.election_timeout * PASSED_OVER;
        self.leave_stream();
        if let Some(following) = &mut self.following {
            following.pass_over(relay, until);
        }
        self.seek_source(now);
    }

    /// A relay that knows less to be durable than this member holds, or does not follow its master yet, may do so in a moment. Tells whether it
    /// is asked again.
    pub(crate) fn asks_again(&mut self, now: Duration, link: Link, reason: &CloseReason) -> bool {
        let may_pass = self.is_relay(link.peer) && is_about_this_moment(reason);
        let Some(following) = self.following.as_mut().filter(|_| may_pass) else { return false };
        if following.refused() > ASKED_AGAIN {
            return false;
        }
        let open = self.links.get(link.peer, Slot::Source).copied();
        self.leave_stream();
        open.into_iter().for_each(|open| self.reconnect(now, &open));
        true
    }

    /// A relay that falls silent feeds nobody, and a master is spared again as soon as it can be.
    pub(crate) fn mind_the_source(&mut self, now: Duration) {
        let minds = self.spares_its_master() && !self.shuns_streams();
        let Some(following) = self.following.as_ref().filter(|_| minds) else { return };
        let (source, patience) = (following.source, self.config.timing.election_timeout);
        let is_new = now.saturating_sub(following.source_since) <= patience;
        if following.has_relay() {
            if !is_new && !self.hears(now, source) && !mutant!("relay-never-passed-over") {
                self.pass_over(now, source, "it feeds this member, and is silent".into());
            }
        } else if self.has_better_source(now, following) {
            self.leave_stream();
            self.seek_source(now);
        }
    }

    /// Whether a relay is in reach while the master feeds this node: who is not heard is not tried at the price of a stream.
    fn has_better_source(&self, now: Duration, following: &Following) -> bool {
        let source = self.pick_source(now, following);
        source != following.source && self.hears(now, source)
    }

    /// Tells the master how far this member is, which does not feed it.
    pub(crate) fn tell_where_it_stands(&mut self, link: Link, term: Term) {
        let Some(synced) = self.log.point_at(self.log.synced()) else { return };
        let Some(following) = &mut self.following else { return };
        let news = following.has_relay() && following.in_sync() && following.told != synced;
        if news && following.master == link.peer {
            following.told = synced;
            let source = following.source;
            self.send(link, Message::Stands { term, synced, source });
        }
    }

    // ---- the relay ----

    /// The term of which this node gives streams to `peer`: that of its reign; or that of its master, if it may relay.
    pub(crate) fn feeds_in_term(&self, peer: NodeId) -> Option<Term> {
        match (&self.reign, &self.following) {
            (Some(reign), _) => Some(reign.term),
            (None, Some(following)) if self.may_relay(following, peer) => Some(following.term),
            (None, _) => None,
        }
    }

    fn may_relay(&self, following: &Following, peer: NodeId) -> bool {
        let votes = self.kind_of(self.config.me) == Some(MemberType::Electable);
        let never_votes = self.kind_of(peer) == Some(MemberType::Secondary);
        votes && never_votes && following.in_sync() && self.log_failed.is_none()
    }

    /// Who has no stream itself, or none of this term, gives none.
    pub(crate) fn end_relaying(&mut self) {
        let Some(following) = &mut self.following else { return };
        let fed = std::mem::take(&mut following.relayed);
        fed.into_keys().for_each(|peer| self.drop_link(peer, Slot::Fed));
    }

    // ---- the master ----

    /// A secondary says how far it is, and who feeds it.
    pub(crate) fn told_where_it_stands(
        &mut self,
        open: &Open,
        term: Term,
        (synced, source): (LogPoint, NodeId),
    ) -> Result<(), PeerError> {
        let peer = open.link.peer;
        let is_secondary = self.kind_of(peer) == Some(MemberType::Secondary);
        if !is_secondary || !self.is_member(open) {
            return Ok(());
        }
        let (first, last) = (self.log.first(), self.log.last().vlsn);
        let Some(reign) = self.reign.as_mut().filter(|reign| reign.term == term) else {
            return Ok(());
        };
        let is_held = synced.vlsn < first && synced.term <= term || self.log.contains(synced);
        if synced.vlsn > last || !is_held {
            return Err(PeerError::Malformed("it stands at an entry that the log does not hold"));
        }
        reign.acks.observe(peer, open.incarnation, synced, synced);
        reign.relayed.insert(peer, source);
        Ok(())
    }

    // ---- what is shown ----

    /// Who gives this node its entries, if anybody does.
    pub fn source(&self) -> Option<NodeId> {
        self.following.as_ref().filter(|following| following.in_sync()).map(|it| it.source)
    }

    /// If this node is master: who feeds that secondary instead of it.
    pub(crate) fn relay_of(&self, id: NodeId) -> Option<NodeId> {
        self.reign.as_ref()?.relayed.get(&id).copied()
    }

    /// The last entry that the secondary is known to have synced which this node relays to.
    pub(crate) fn relayed_to(&self, id: NodeId) -> Vlsn {
        let fed = self.following.as_ref().and_then(|following| following.relayed.get(&id));
        fed.map_or(Vlsn::NULL, |fed| fed.feeder.synced().vlsn)
    }
}

/// Whether a relay may feed who asks as soon as it has heard of its master, or of what is durable, or of who asks.
fn is_about_this_moment(reason: &CloseReason) -> bool {
    use RefuseReason::{Behind, NotMaster, NotMember, StaleTerm};
    let CloseReason::Refused(reason) = reason else { return false };
    matches!(reason, Behind { .. } | NotMaster { .. } | StaleTerm { .. } | NotMember)
}
