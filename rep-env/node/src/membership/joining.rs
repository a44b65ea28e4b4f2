//! How a directory becomes a member's.
//!
//! A number is the group's to give. A directory without one asks members to be admitted (its driver does the asking), is told its number and
//! who the others are, keeps that in the cell `place`, and is opened again as what it is now: a learner with an empty log. So does one whose name is
//! a member's while its directory is another: it was wiped, and comes back as a new member.

use super::Membership;
use crate::config::{NodeConfig, Recovered, Seed};
use crate::error::OpenError;
use crate::node::Node;
use crate::output::{Event, Output};
use crate::past::Past;
use rep_election::Electorate;
use rep_vlsn::{Incarnation, NodeId, sometimes};
use std::collections::BTreeMap;

/// How far a directory has come that is to be a member's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Joining {
    /// It has its place, or there is no group yet that could give it one.
    #[default]
    Settled,
    /// Its driver asks, though there may be no group.
    Inquiring,
    /// Its driver asks.
    Asking,
    /// It was admitted: another node goes on.
    Admitted,
}

impl Recovered {
    /// All memberships that the directory has, of its log and of what came before.
    pub(crate) fn memberships(&self) -> Result<Vec<Membership>, OpenError> {
        let past = Past::recovered(self.past.as_ref(), self.log.first())?;
        let read =
            |record| Membership::from_record(record).map_err(|why| OpenError::NoFounding { why });
        let found = self.memberships.iter().map(read);
        past.map(|past| Ok(past.membership)).into_iter().chain(found).collect()
    }

    /// What the directory was told when it was admitted.
    pub(crate) fn told_place(&self) -> Result<Option<Membership>, OpenError> {
        let place = self.place.as_ref().filter(|place| !place.is_empty());
        let read = place.map(|place| Membership::decode(place));
        read.transpose().map_err(|why| OpenError::NoPlace { why })
    }

    /// The number of this directory in its group: what its log says, or else what it was told, or else, while there is no group, what its
    /// flags say. [`NO_NUMBER`] if it has none and is to join.
    ///
    /// # Errors
    ///
    /// If the group knows the directory under no number.
    pub fn number(
        &self,
        name: &str,
        incarnation: Incarnation,
        listed: &BTreeMap<NodeId, Seed>,
    ) -> Result<NodeId, OpenError> {
        let mut known = self.memberships()?;
        known.sort_by_key(|membership| std::cmp::Reverse(membership.at));
        let ours = |it: &Membership| it.of_incarnation(incarnation).map(|member| member.id);
        if let Some(id) = known.iter().find_map(ours) {
            return Ok(id);
        }
        if let Some(id) = self.told_place()?.as_ref().and_then(ours) {
            return Ok(id);
        }
        match known.first() {
            None => {
                let by_name = listed.iter().find(|(_, seed)| seed.name == name);
                Ok(by_name.map_or(NO_NUMBER, |(id, _)| *id))
            }
            Some(ruling) => Err(not_ours(ruling, name, incarnation)),
        }
    }
}

/// What stands for the number of a directory that has none yet: the one number that no member gets.
pub const NO_NUMBER: NodeId = NodeId::new(u32::MAX);

fn not_ours(ruling: &Membership, name: &str, ours: Incarnation) -> OpenError {
    match ruling.named(name) {
        Some(member) => OpenError::OtherIncarnation { recorded: member.incarnation, ours },
        None => OpenError::NotAMember { name: name.to_owned() },
    }
}

/// The voters as a node without a group sees them.
pub(crate) fn electorate_without_group(config: &NodeConfig, placed: bool) -> Electorate {
    match placed || !config.joining.is_empty() {
        // Nobody votes here before the log says who does.
        true => Electorate::joining(),
        false => crate::founding::unborn_electorate(config),
    }
}

impl Node {
    /// Whether it is somebody in its group: by its log, or by what it was told when it was admitted.
    pub(crate) fn is_placed(&self) -> bool {
        self.membership().is_some() || self.hearsay.is_some()
    }

    /// An arbiter or a monitor has no log that says who votes: it goes by what it was told, and keeps it.
    pub(crate) fn settle_without_data(&mut self) {
        if !self.lacks_data() {
            return;
        }
        if let Some(told) = self.hearsay.clone() {
            self.electorate = told.electorate();
            self.tell_copies_apart();
            let place = told.encode();
            self.output(Output::KeepPlace { place });
            let membership = Box::new(told);
            self.event(Event::Membership { membership, why: "told by a member" });
            // Somebody may know this node and not yet who told it.
            self.acquaint_all();
        }
    }

    /// There is a group, and this directory is none of its members': it asks to be admitted, and founds no other with those who have forgotten
    /// that group as well. Not so who has its place: it may have asked before there was a group, and what removes it may never be durable.
    pub(crate) fn ask_to_join(&mut self) {
        if self.is_placed() {
            return;
        }
        self.inquire();
        if self.joining == Joining::Inquiring {
            self.joining = Joining::Asking;
            self.electorate = Electorate::joining();
            self.because("asks to be admitted");
        }
    }

    /// Has members asked to admit this directory. While there is no group they say so, and a founder that is early has lost nothing. Once a run:
    /// the driver goes on asking.
    pub(crate) fn inquire(&mut self) {
        if self.joining != Joining::Settled || self.is_placed() {
            return;
        }
        let own = self.config.members.get(&self.config.me).map(|seed| &seed.address);
        let listed = self.config.members.values().map(|seed| &seed.address);
        let listed = listed.filter(|address| Some(*address) != own).cloned();
        let helpers: Vec<String> = self.config.joining.iter().cloned().chain(listed).collect();
        if !helpers.is_empty() {
            self.joining = Joining::Inquiring;
            self.output(Output::Join { helpers });
        }
    }

    /// The group has admitted this directory: who belongs now. Unless that has come about meanwhile, another node takes this one's place.
    ///
    /// # Errors
    ///
    /// If that membership does not name this directory.
    pub fn handle_admitted(
        &mut self,
        now: std::time::Duration,
        membership: &Membership,
    ) -> Result<(), NotOurs> {
        self.clock = now;
        if membership.of_incarnation(self.config.incarnation).is_none() {
            return Err(NotOurs);
        }
        if !self.is_over() && !self.is_placed() {
            self.take_place(membership);
        }
        Ok(())
    }

    /// Another node goes on, as the member that this directory is in there.
    pub(crate) fn take_place(&mut self, membership: &Membership) {
        sometimes!(true, "node-admitted");
        self.because("was admitted");
        self.fall_silent();
        self.joining = Joining::Admitted;
        self.observe();
        self.output(Output::TakePlace { place: membership.encode() });
    }
}

/// A membership that does not name the directory which is said to have been admitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("that membership does not name this directory")]
pub struct NotOurs;
