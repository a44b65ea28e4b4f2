//! Whom a node knows: whom it dials, whose calls it takes, and what it tells them of who belongs.
//!
//! A member that lags may never have heard of the master of the day. So members tell each other the latest durable membership that they have; one that
//! is later than the node's own is *hearsay*: good for knowing and hearing somebody, never for counting.

use super::{Attributes, Membership, Removed};
use crate::links::{Link, Open, Service, Slot};
use crate::message::{Message, TurnedAway};
use crate::node::Node;
use crate::output::{Event, HaltReason, Output};
use rep_fsm::{Role, Signal};
use rep_vlsn::{Incarnation, LogPoint, NodeId, Vlsn, mutant, sometimes};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Pings that a node has nobody for before it dials the member that should dial it: that may not know it any more, or not where it is.
const LONELY_PINGS: u32 = 8;

/// Somebody that a node knows.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Contact {
    /// Its number.
    pub id: NodeId,
    /// Its name.
    pub name: String,
    /// Where it listens; empty for one that was removed.
    pub address: String,
    /// Its data directory; `None` while there is no group that records it.
    pub incarnation: Option<Incarnation>,
    /// It was a member, and is known only so that it can be told.
    pub removed: bool,
    /// What is recorded of it, and goes before what it announces.
    pub attributes: Attributes,
}

/// By number.
pub(crate) type Contacts = BTreeMap<NodeId, Contact>;

fn members_of(membership: &Membership) -> impl Iterator<Item = Contact> + '_ {
    membership.members.values().map(|member| Contact {
        id: member.id,
        name: member.name.clone(),
        address: member.address.clone(),
        incarnation: Some(member.incarnation),
        removed: false,
        attributes: member.attributes.clone(),
    })
}

fn removed_by(membership: &Membership) -> impl Iterator<Item = Contact> + '_ {
    membership.removed.iter().map(|removed| Contact {
        id: removed.id,
        name: removed.name.clone(),
        address: String::new(),
        incarnation: Some(removed.incarnation),
        removed: true,
        attributes: Attributes::new(),
    })
}

impl Node {
    /// Whom this node knows, itself among them.
    pub fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.contacts.values()
    }

    /// The other members that it knows. Whoever has this node's own name under another number was here before it, or is after it: an older
    /// membership, or a later one, says so, and there is nobody to be met.
    pub(crate) fn others(&self) -> impl Iterator<Item = NodeId> + '_ {
        let me = self.config.me;
        let own = self.contacts.get(&me).map(|contact| &contact.name);
        let others = self.contacts.values().filter(move |it| it.id != me && Some(&it.name) != own);
        others.filter(|it| !it.removed).map(|contact| contact.id)
    }

    pub(crate) fn name_of(&self, id: NodeId) -> String {
        self.contacts.get(&id).map_or_else(|| id.to_string(), |contact| contact.name.clone())
    }

    fn reckon_contacts(&self) -> Contacts {
        // The later one knows better where somebody is. Removed is who is so durably: an entry that is not may be cut away.
        let told = self.in_force.oldest_first().chain(&self.hearsay);
        let durable = self.in_force.durable(self.dvlsn());
        let known = told.flat_map(members_of).chain(durable.into_iter().flat_map(removed_by));
        let mut contacts: Contacts = known.map(|contact| (contact.id, contact)).collect();
        if !self.is_placed() {
            contacts.extend(self.config.members.iter().map(|(id, seed)| {
                let (name, address) = (seed.name.clone(), seed.address.clone());
                let (incarnation, removed, attributes) = (None, false, Attributes::new());
                let contact = Contact { id: *id, name, address, incarnation, removed, attributes };
                (*id, contact)
            }));
        }
        contacts
    }

    /// Somebody is known, or no more, or somewhere else.
    pub(crate) fn refresh_contacts(&mut self) {
        let contacts = self.reckon_contacts();
        if contacts == self.contacts {
            return;
        }
        let gone = self.contacts.keys().filter(|id| !contacts.contains_key(id));
        for id in gone.copied().collect::<Vec<_>>() {
            self.forget_links(id);
        }
        self.contacts = contacts;
        let known = self.known_members();
        self.links.retain_round_trips(&known);
        self.nearness.retain(&known);
        self.loads.retain(&known);
        self.output(Output::Contacts(self.contacts.values().cloned().collect()));
        self.dial_peers();
    }

    fn forget_links(&mut self, id: NodeId) {
        for slot in [Slot::Peer, Slot::Source, Slot::Fed] {
            self.links.unwant(id, slot);
            self.drop_link(id, slot);
        }
    }

    /// Whether the other end is the member that it says, with the data directory that was recorded. Before the
    /// founding every listed name is taken at its word.
    pub(crate) fn is_member(&self, open: &Open) -> bool {
        match (self.membership(), &self.hearsay) {
            (None, None) => self.config.members.contains_key(&open.link.peer),
            (Some(_), _) | (None, Some(_)) => self.admits(open.link.peer, open.incarnation),
        }
    }

    /// Whether that directory is a member's, by the log or by hearsay.
    pub(crate) fn admits(&self, id: NodeId, incarnation: Incarnation) -> bool {
        let mut told = self.in_force.oldest_first().chain(&self.hearsay);
        told.any(|it| it.admits(id, incarnation))
    }

    // ---- hearsay ----

    /// Tells one peer who belongs, as far as that is durable: whoever hears it may act on it.
    pub(crate) fn acquaint(&mut self, link: Link) {
        // Whoever belongs to a group knows how that was founded.
        // What an arbiter was told was durable when it was told so.
        let told = self.hearsay.as_ref().filter(|_| self.is_arbiter());
        let durable = self.in_force.durable(self.dvlsn()).or(told);
        let changed = durable.filter(|it| it.at.vlsn > Vlsn::FIRST);
        if let Some(membership) = changed {
            let message = Message::Acquaint(Box::new(membership.clone()));
            self.send(link, message);
        }
    }

    pub(crate) fn acquaint_all(&mut self) {
        let links: Vec<Link> = self.links.peers().map(|open| open.link).collect();
        links.into_iter().for_each(|link| self.acquaint(link));
    }

    /// A member says who belongs.
    pub(crate) fn acquainted(&mut self, open: &Open, told: Membership) {
        if !self.is_placed() {
            return self.told_of_a_group(open, told);
        }
        let newest = |it: Option<&Membership>| it.map_or(LogPoint::NULL, |it| it.at);
        let group = self.membership().or(self.hearsay.as_ref()).map(|it| it.group);
        let later = told.at > newest(self.membership()).max(newest(self.hearsay.as_ref()));
        if self.is_member(open) && group == Some(told.group) && later {
            sometimes!(true, "node-heard-of-a-later-membership");
            if self.is_removed_in(&told) && !mutant!("members-removed-goes-on") {
                return self.was_removed();
            }
            self.hearsay = Some(told);
            self.settle_without_data();
            self.refresh_contacts();
        }
    }

    /// There is a group, of which this directory knew nothing: it is in it, under this number or another, or is not.
    fn told_of_a_group(&mut self, open: &Open, told: Membership) {
        let own = told.of_incarnation(self.config.incarnation).map(|member| member.id);
        match own {
            _ if !self.is_member(open) => {}
            Some(id) if id == self.config.me => {
                self.hearsay = Some(told);
                self.refresh_contacts();
            }
            Some(_) => self.take_place(&told),
            None => self.ask_to_join(),
        }
    }

    /// What the log says itself is no hearsay any more.
    pub(crate) fn outgrow_hearsay(&mut self) {
        let ruling = self.membership().map(|membership| membership.at);
        let older = |hearsay: &mut Membership| ruling.is_some_and(|at| hearsay.at <= at);
        self.hearsay.take_if(older);
    }

    // ---- those who were removed ----

    /// Whether the group has durably removed `id`, as far as this node knows.
    fn knows_removed(&self, id: NodeId) -> bool {
        self.in_force.durable(self.dvlsn()).is_some_and(|it| it.has_removed(id))
            && self.membership().is_some_and(|it| it.has_removed(id))
    }

    /// Whether a link is of one that was removed, and was told so. Another directory under the number that one had was wiped: it is to ask
    /// for a number of its own.
    pub(crate) fn told_removed(&mut self, link: Link, incarnation: Incarnation) -> bool {
        let recorded = self.contacts.get(&link.peer).and_then(|contact| contact.incarnation);
        let removed = recorded == Some(incarnation) && self.knows_removed(link.peer);
        if removed {
            sometimes!(true, "node-told-a-removed-member");
            // A stream has no words for it.
            if link.service == Service::Peer {
                self.send(link, Message::TurnedAway(TurnedAway::Removed(incarnation)));
            }
            self.output(Output::Disconnect { link });
        }
        removed
    }

    /// The removal of members is durable: they are told, and not listened to any more.
    pub(crate) fn dismiss_the_removed(&mut self) {
        let gone: Vec<NodeId> =
            self.contacts.values().filter(|it| it.removed).map(|it| it.id).collect();
        for id in gone.into_iter().filter(|id| self.knows_removed(*id)).collect::<Vec<_>>() {
            // Another directory under that number is somebody else.
            let of = self.contacts.get(&id).and_then(|contact| contact.incarnation);
            let open = self.links.get(id, Slot::Peer).copied();
            if let Some(open) = open.filter(|open| Some(open.incarnation) == of) {
                let removed = TurnedAway::Removed(open.incarnation);
                self.send(open.link, Message::TurnedAway(removed));
            }
            self.fed_lost(id);
            self.forget_links(id);
        }
    }

    /// Whether what a member tells says that this node, which has no log to say so, was removed. (Whoever has one finds it there, or is told.) It would
    /// not know any more what it had been, and a monitor that has been removed is none that may answer.
    fn is_removed_in(&self, told: &Membership) -> bool {
        let (id, incarnation) = (self.config.me, self.config.incarnation);
        let own = |it: &Removed| (it.id, it.incarnation) == (id, incarnation);
        self.membership().is_none() && told.removed.iter().any(own)
    }

    /// This node's own log, or a member, says that it is one no more.
    pub(crate) fn was_removed(&mut self) {
        if self.is_over() {
            return;
        }
        self.event(Event::Removed);
        self.unfollow();
        if matches!(self.role(), Role::Replica | Role::Candidate) {
            self.because("removed from the group");
            self.step_role(Signal::PlacementDeselected);
            self.observe();
        }
        self.halt(HaltReason::Removed);
    }

    /// Whether the durable part of its own log says so.
    pub(crate) fn finds_itself_removed(&self) -> bool {
        self.knows_removed(self.config.me)
    }

    // ---- dialling ----

    /// The smaller number dials the PEER link.
    pub(crate) fn dial_peers(&mut self) {
        let me = self.config.me;
        let greater: Vec<NodeId> = self.others().filter(|peer| *peer > me).collect();
        greater.into_iter().for_each(|peer| self.connect(peer, Slot::Peer));
    }

    /// Somebody who should dial this node has not done so for a while: it may not know it any more, and is dialled once, to be asked. A
    /// directory that has come to no group asks whether there is one, whoever it is linked to: it may have been in it under another number, and so
    /// may those who wait beside it.
    pub(crate) fn end_loneliness(&mut self, now: Duration) {
        if !self.is_placed() {
            self.unplaced_pings = (self.unplaced_pings + 1).min(LONELY_PINGS);
            if self.unplaced_pings >= LONELY_PINGS {
                self.inquire();
            }
            return;
        }
        let span = self.config.timing.election_timeout / 2;
        let lasts = |open: &Open| open.lasts_since(now) >= span;
        let linked: BTreeSet<NodeId> =
            self.links.peers().filter(|open| lasts(open)).map(|open| open.link.peer).collect();
        let me = self.config.me;
        let missed: BTreeSet<NodeId> =
            self.others().filter(|peer| *peer < me && !linked.contains(peer)).collect();
        self.missed.retain(|peer, _| missed.contains(peer));
        for peer in missed {
            let pings = self.missed.entry(peer).or_default();
            *pings += 1;
            if *pings >= LONELY_PINGS {
                *pings = 0;
                self.connect(peer, Slot::Peer);
            }
        }
    }

    pub(crate) fn close_links(&mut self) {
        let ids: Vec<NodeId> = self.contacts.keys().copied().collect();
        ids.into_iter().for_each(|id| self.forget_links(id));
    }

    /// Whether somebody is connected and was heard within an election timeout, with the directory that is recorded.
    pub(crate) fn hears(&self, now: Duration, id: NodeId) -> bool {
        let patience = self.config.timing.election_timeout;
        self.links
            .get(id, Slot::Peer)
            .is_some_and(|open| self.is_member(open) && now.saturating_sub(open.heard) <= patience)
    }
}
