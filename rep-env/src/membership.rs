//! Who belongs to the group, and how that is changed while it runs.
//!
//! The group's own log says who its members are. The master changes that, one member at a time: a newcomer first gets a full copy as a
//! *learner*, and becomes a voter as soon as it has caught up, so that a group is never weaker for growing. Here a caller asks for
//! a change and is told in names what became of it; what is allowed, `rep-node` decides.

pub(crate) mod adding;

pub use adding::{CatchUp, Joining, NewMember, Stage};

use crate::config::check_reachable;
use crate::environment::ReplicatedEnvironment;
use crate::error::Error;
use crate::member::Attributes;
use crate::orders::Order;
use crate::runtime::inbox::Input;
use crate::runtime::shared::Shared;
use rep_node::{Change, ChangeRequest, Changed, Member, MemberType, NotChanged, Quorums};
use rep_store::StateMachine;
use rep_vlsn::NodeId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::time::Duration;

/// The members of a group, as an entry of its log says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Membership {
    /// The group's identity, in hex.
    pub group: String,
    /// The entry, `term.vlsn`.
    pub at: String,
    /// How many voters promise a master, and sync an entry.
    pub quorums: Quorums,
    /// The members, by number.
    pub members: Vec<GroupMember>,
}

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct GroupMember {
    /// Its name.
    pub name: String,
    /// Its number, which nobody else ever gets.
    pub id: u32,
    /// Where the other members reach it.
    pub address: String,
    /// What it is for.
    #[serde(with = "by_name")]
    pub kind: MemberType,
    /// Preferred as master, among equals, over members of a lower one.
    pub priority: u32,
    /// Its data directory, in hex.
    pub incarnation: String,
    /// What is to be known of it instead of what it announces under the same names.
    pub attributes: Attributes,
}

impl Membership {
    pub(crate) fn of(recorded: &rep_node::Membership) -> Self {
        let member = |member: &rep_node::Member| GroupMember {
            name: member.name.clone(),
            id: member.id.get(),
            address: member.address.clone(),
            kind: member.kind,
            priority: member.priority,
            incarnation: member.incarnation.to_string(),
            attributes: member.attributes.clone(),
        };
        Membership {
            group: recorded.group.to_string(),
            at: recorded.at.to_string(),
            quorums: recorded.quorums,
            members: recorded.members.values().map(member).collect(),
        }
    }

    /// The member of that name.
    pub fn named(&self, name: &str) -> Option<&GroupMember> {
        self.members.iter().find(|member| member.name == name)
    }
}

/// A type by its name: for people and programs who read it, and for versions that know more of them.
pub(crate) mod by_name {
    use rep_node::MemberType;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(
        kind: &MemberType,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_str(kind)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<MemberType, D::Error> {
        let name = String::deserialize(deserializer)?;
        MemberType::named(&name).ok_or_else(|| D::Error::custom("no type of a member"))
    }
}

impl<M: StateMachine> ReplicatedEnvironment<M> {
    /// Who belongs to the group, as far as this node's log says; `None` before there is a group.
    pub fn membership(&self) -> Option<Membership> {
        self.shared().recorded.lock().as_ref().map(Membership::of)
    }

    /// Makes a running node a member: asks it who it is, has it get a copy of everything as a learner, and waits until it is what it is to
    /// be. At the master only. A node that is a member already is one at once.
    ///
    /// # Errors
    ///
    /// As [`begin_adding`](Self::begin_adding), then as [`Joining::wait`].
    pub fn add_member(&self, new: &NewMember, timeout: Duration) -> Result<GroupMember, Error> {
        let began = std::time::Instant::now();
        self.begin_adding(new, timeout)?.wait(timeout.saturating_sub(began.elapsed()))
    }

    /// Begins to do so: when this returns, the node is a learner, and goes on by itself, under this master or the next.
    ///
    /// # Errors
    ///
    /// [`Error::NotAdded`] says what is wrong with the node; [`Error::NotMaster`]; [`Error::NotChanged`]; [`Error::Closed`], [`Error::Halted`].
    pub fn begin_adding(&self, new: &NewMember, timeout: Duration) -> Result<Joining, Error> {
        adding::begin(&self.runtime().shared, &*self.runtime().transport, new, timeout)
    }

    /// Removes a member; its directory is not admitted again, its name may be. At the master only, and not the master itself. If the voters that
    /// are live without it are too few, it is refused, unless `force`d.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`]; [`Error::Invalid`] if nobody is called so, as only the master can tell; [`Error::NotChanged`]; [`Error::Closed`],
    /// [`Error::Halted`].
    pub fn remove_member(
        &self,
        name: &str,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        self.shared().remove_member(name, timeout, force)
    }

    /// Records where a member listens from now on, how much it is preferred as master, or what is to be known of it instead of what it
    /// announces. At the master only.
    ///
    /// # Errors
    ///
    /// As [`remove_member`](Self::remove_member); [`Error::NotChanged`] too if nobody can be reached at that address, or another member is.
    pub fn update_member(
        &self,
        name: &str,
        update: MemberUpdate,
        timeout: Duration,
    ) -> Result<Membership, Error> {
        self.shared().update_member(name, update, timeout)
    }

    /// Sets how many voters promise a master, and sync an entry before it is durable. At the master only.
    ///
    /// # Errors
    ///
    /// [`Error::NotMaster`]; [`Error::NotChanged`] if two such quorums need not meet, or the voters that are live are too few, unless
    /// `force`d; [`Error::Closed`], [`Error::Halted`].
    pub fn set_quorums(
        &self,
        quorums: Quorums,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        self.shared().set_quorums(quorums, timeout, force)
    }

    /// Designates one of two members that hold the data: it may be elected alone when the other has been silent for eight election timeouts, and
    /// goes on by itself until that is back; without it nobody is elected. At the master only. [`set_quorums`](Self::set_quorums) to a
    /// majority takes it back.
    ///
    /// # Errors
    ///
    /// As [`set_quorums`](Self::set_quorums); [`Error::Invalid`] if nobody is called so.
    pub fn designate(&self, name: &str, timeout: Duration) -> Result<Membership, Error> {
        let designated = Quorums::Designated(self.shared().number_of(name)?);
        self.shared().set_quorums(designated, timeout, false)
    }
}

/// What is to be recorded of a member.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MemberUpdate {
    /// Where it listens from now on.
    pub address: Option<String>,
    /// How much it is preferred as master from now on.
    pub priority: Option<u32>,
    /// By name, what is to be known of it instead of what it announces, 1 KiB at most of all that is recorded; `None`: what it announces, again.
    pub attributes: BTreeMap<String, Option<String>>,
}

impl MemberUpdate {
    /// It listens there from now on.
    pub fn address(mut self, address: impl Into<String>) -> Self {
        self.address = Some(address.into());
        self
    }

    /// It is preferred as master so much from now on.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// That is to be known of it, whatever it announces under that name.
    pub fn attribute(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), Some(value.into()));
        self
    }

    /// Under that name what it announces is to be known again.
    pub fn without_attribute(mut self, name: impl Into<String>) -> Self {
        self.attributes.insert(name.into(), None);
        self
    }
}

impl Shared {
    pub(crate) fn remove_member(
        &self,
        name: &str,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        let id = self.number_of(name)?;
        self.change(Change::Remove { id }, timeout, force)
    }

    pub(crate) fn update_member(
        &self,
        name: &str,
        update: MemberUpdate,
        timeout: Duration,
    ) -> Result<Membership, Error> {
        let id = self.number_of(name)?;
        let MemberUpdate { address, priority, attributes } = update;
        self.change(Change::Update { id, address, priority, attributes }, timeout, false)
    }

    pub(crate) fn set_quorums(
        &self,
        quorums: Quorums,
        timeout: Duration,
        force: bool,
    ) -> Result<Membership, Error> {
        self.change(Change::Quorums(quorums), timeout, force)
    }

    /// The number of a member. Who follows may not have heard of it yet: the master alone says that there is no such member.
    pub(crate) fn number_of(&self, name: &str) -> Result<NodeId, Error> {
        self.check_open()?;
        let known = self.recorded.lock().as_ref().and_then(|it| it.named(name).map(|it| it.id));
        known.map_or_else(|| Err(self.unless_sent_on(Error::no_member(name))), Ok)
    }

    /// What is wrong with an order, as far as this node knows; one that is not the master sends on to it instead.
    pub(crate) fn unless_sent_on(&self, wrong: Error) -> Error {
        self.check_master().err().unwrap_or(wrong)
    }

    fn change(&self, change: Change, timeout: Duration, force: bool) -> Result<Membership, Error> {
        self.change_membership(change, timeout, force).map(|made| Membership::of(&made))
    }

    /// Asks the node for a change, and waits for what becomes of it.
    pub(crate) fn change_membership(
        &self,
        change: Change,
        timeout: Duration,
        force: bool,
    ) -> Result<rep_node::Membership, Error> {
        self.check_open()?;
        self.check_place(&change)?;
        let (request, deadline) = self.order(timeout);
        let (order, slot) = Order::<Changed>::new();
        let change = ChangeRequest::new(request, change, deadline).forced(force);
        self.inbox.control(Input::ChangeMembership { change, order });
        match slot.wait(None).flatten() {
            Some(Ok(made)) => Ok(made),
            Some(Err(NotChanged::NotMaster { master })) => Err(self.not_master(master)),
            Some(Err(NotChanged::Closed)) | None => Err(self.over()),
            Some(Err(why)) => Err(Error::NotChanged { why }),
        }
    }

    /// Whether others can reach a member where this would record it, and would reach no other one there.
    fn check_place(&self, change: &Change) -> Result<(), Error> {
        let (address, name, id) = match change {
            Change::Add(it) => (&it.address, Some(&it.name), None),
            Change::Update { id, address: Some(address), .. } => (address, None, Some(*id)),
            _ => return Ok(()),
        };
        // A directory that takes the place of another has its name.
        let is_own = |member: &Member| name == Some(&member.name) || id == Some(member.id);
        let recorded = self.recorded.lock();
        let mut others = recorded.iter().flat_map(|group| group.members.values());
        let taken = others.find(|other| other.address == *address && !is_own(other));
        let taken =
            taken.map(|other| format!("{} is at {address}; remove or move it first", other.name));
        drop(recorded);
        match check_reachable(address).err().or(taken) {
            Some(what) => {
                Err(self.unless_sent_on(Error::NotChanged { why: NotChanged::Invalid { what } }))
            }
            None => Ok(()),
        }
    }
}
