//! How a running node is made a member: it is asked who it is, becomes a learner, and is told so; the rest comes by itself.

use super::{GroupMember, Membership};
use crate::error::Error;
use crate::join::{Introduction, JoinClient, Wish};
use crate::runtime::shared::Shared;
use crate::waiter::deadline;
use rep_net::Transport;
use rep_node::{Change, Member, MemberType, Newcomer};
use rep_vlsn::NodeId;
use serde::{Deserialize, Serialize};
use std::fmt::{self, Display, Formatter};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A node that is to be a member.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct NewMember {
    /// Where it listens.
    pub address: String,
    /// Its name, if another one there would be a mistake.
    pub name: Option<String>,
    /// What it is to be; as it wishes, if nothing is said.
    #[serde(with = "maybe_by_name")]
    pub kind: Option<MemberType>,
    /// How much it is preferred as master; as it wishes, if nothing is said.
    pub priority: Option<u32>,
}

impl NewMember {
    /// The node that listens there, as it wishes to be.
    pub fn at(address: impl Into<String>) -> Self {
        NewMember { address: address.into(), name: None, kind: None, priority: None }
    }

    /// It has to be called so.
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// It is to be that.
    pub fn kind(mut self, kind: MemberType) -> Self {
        self.kind = Some(kind);
        self
    }

    /// It is to be preferred so much.
    pub fn priority(mut self, priority: u32) -> Self {
        self.priority = Some(priority);
        self
    }

    /// Whether a member is already what is asked for.
    fn check_same(&self, member: &Member) -> Result<(), String> {
        let Member { name, kind, priority, .. } = member;
        let becomes = if *kind == MemberType::Learner { MemberType::Electable } else { *kind };
        match () {
            () if self.name.as_ref().is_some_and(|expected| expected != name) => {
                Err(format!("it is called {name:?}, and a member already"))
            }
            () if self.kind.is_some_and(|wanted| wanted != becomes) => Err(format!(
                "{name} is a member already, of type {kind}: remove it, empty its directory, and add it again"
            )),
            () if self.priority.is_some_and(|wanted| wanted != *priority) => Err(format!(
                "{name} is a member already, of priority {priority}: update the member"
            )),
            () => Ok(()),
        }
    }

    /// What it asks the group for, once it is known who it is.
    fn introduced(&self, told: &Introduction) -> Result<Newcomer, String> {
        let Introduction { wish, is_unborn } = told;
        let Wish { name, address, .. } = wish;
        match () {
            () if self.name.as_ref().is_some_and(|expected| expected != name) => {
                Err(format!("it is called {name:?}"))
            }
            () if !is_unborn => {
                Err("it belongs to a group already; empty its directory, and open it again".into())
            }
            () => Ok(Newcomer {
                name: name.clone(),
                incarnation: wish.incarnation,
                address: address.clone(),
                kind: self.kind.unwrap_or(wish.kind),
                priority: self.priority.unwrap_or(wish.priority),
            }),
        }
    }
}

/// Optional types by their names.
mod maybe_by_name {
    use rep_node::MemberType;
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(
        kind: &Option<MemberType>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        kind.map(|kind| kind.to_string()).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<MemberType>, D::Error> {
        let name: Option<String> = Option::deserialize(deserializer)?;
        let known = |name: String| MemberType::named(&name).ok_or(name);
        name.map(known).transpose().map_err(|_| D::Error::custom("no type of a member"))
    }
}

/// Has the node become a learner.
pub(crate) fn begin(
    shared: &Arc<Shared>,
    transport: &dyn Transport,
    new: &NewMember,
    timeout: Duration,
) -> Result<Joining, Error> {
    shared.check_open()?;
    let until = deadline(timeout);
    let left = || until.saturating_duration_since(Instant::now());
    let patience = || left().min(shared.timing.dial_timeout);
    let address = &new.address;
    let not_added = |why: String| Error::NotAdded { address: address.clone(), why };
    let words = |error: Error| {
        not_added(match error {
            Error::Admin { unreachable: true, detail, .. } => format!("nobody answers: {detail}"),
            error => error.to_string(),
        })
    };
    let is_over = || shared.is_closing();
    // Only the master goes to the trouble.
    shared.check_master()?;
    let me = (&*shared.group_name, &*shared.name);
    let client = JoinClient::connect(transport, me, address, patience()).map_err(words)?;
    let told = client.introduction(patience(), &is_over).map_err(words)?;
    // Whoever asks to be admitted hears it in any case; this is for one that waits, and may not have heard it the first time.
    let tell = |made: &rep_node::Membership| {
        if let Err(error) = client.admit(made, patience(), &is_over) {
            tracing::info!(node = %shared.name, %error, "a new member was not told that it is one");
        }
    };
    let recorded = shared.recorded.lock().clone();
    let known = recorded.as_ref().and_then(|it| it.of_incarnation(told.wish.incarnation));
    if let (Some(member), Some(group)) = (known, &recorded) {
        new.check_same(member).map_err(not_added)?;
        tell(group);
        return Ok(Joining {
            shared: Arc::clone(shared),
            id: member.id,
            name: member.name.clone(),
        });
    }
    let newcomer = new.introduced(&told).map_err(not_added)?;
    let (name, incarnation) = (newcomer.name.clone(), newcomer.incarnation);
    let made = shared.change_membership(Change::Add(newcomer), left(), false)?;
    let Some(id) = made.of_incarnation(incarnation).map(|member| member.id) else {
        return Err(not_added("it was removed at once".to_owned()));
    };
    tell(&made);
    Ok(Joining { shared: Arc::clone(shared), id, name })
}

/// A node on its way to be a member. Dropped, it goes on.
#[derive(Debug)]
pub struct Joining {
    shared: Arc<Shared>,
    id: NodeId,
    name: String,
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// It gets a copy of everything, and has no vote.
    Learner {
        /// Entries that it is not known to have; `None` if this node does not know.
        lag: Option<u64>,
        /// How it comes by them; `None` if this node does not know.
        by: Option<CatchUp>,
    },
    /// It is what it was to be.
    Member(GroupMember),
    /// It is no member: its adding was undone, or cancelled.
    Gone,
}

/// How a learner comes by what it lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CatchUp {
    /// The master's log has all that it lacks, and is streamed to it.
    Log,
    /// The master's log begins after what it lacks: it is given a copy of the state first. What that one says of itself tells how far it is
    /// ([`RestoreReport`](crate::admin::RestoreReport)).
    Copy,
}

impl Joining {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How far it is, as far as this node knows.
    pub fn stage(&self) -> Stage {
        match self.member() {
            None => Stage::Gone,
            Some(member) if member.kind != MemberType::Learner => Stage::Member(member),
            Some(_) => {
                let (lag, by) = self.catches_up().unzip();
                Stage::Learner { lag, by }
            }
        }
    }

    /// Waits until it is what it was to be.
    ///
    /// # Errors
    ///
    /// [`Error::StillLearning`] when `timeout` is over; it goes on. [`Error::NotAdded`] if it is no member any more. [`Error::Closed`],
    /// [`Error::Halted`].
    pub fn wait(&self, timeout: Duration) -> Result<GroupMember, Error> {
        let until = deadline(timeout);
        loop {
            let heard = self.shared.bell.heard();
            self.shared.check_open()?;
            match self.member() {
                Some(member) if member.kind != MemberType::Learner => return Ok(member),
                Some(_) => {}
                None => return Err(self.gone()),
            }
            if !self.shared.bell.wait(heard, until) {
                let (name, lag) = (self.name.clone(), self.catches_up().map(|(lag, _)| lag));
                return Err(Error::StillLearning { name, waited: timeout, lag });
            }
        }
    }

    /// Undoes it: the node is removed again, as [`remove_member`](crate::ReplicatedEnvironment::remove_member) does.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn cancel(self, timeout: Duration) -> Result<Membership, Error> {
        let change = Change::Remove { id: self.id };
        let made = self.shared.change_membership(change, timeout, false)?;
        Ok(Membership::of(&made))
    }

    pub(crate) fn member(&self) -> Option<GroupMember> {
        let recorded = self.shared.recorded.lock().as_ref().map(Membership::of)?;
        recorded.members.into_iter().find(|member| member.id == self.id.get())
    }

    /// What it lacks, and how it comes by that.
    fn catches_up(&self) -> Option<(u64, CatchUp)> {
        let status = self.shared.ask_status()?;
        let member = status.members.iter().find(|member| member.id == self.id)?;
        let synced = member.synced?;
        let by = if synced.next() < status.first { CatchUp::Copy } else { CatchUp::Log };
        Some((status.last.vlsn.distance_from(synced), by))
    }

    fn gone(&self) -> Error {
        let address = self.shared.directory.address_of(self.id).unwrap_or_default();
        Error::NotAdded { address, why: format!("{} is no member any more", self.name) }
    }
}

impl Display for Stage {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Learner { lag, by } => {
                f.write_str("learner")?;
                lag.map_or(Ok(()), |lag| write!(f, ", {lag} entries behind"))?;
                match by {
                    Some(CatchUp::Log) => f.write_str(", catching up by the log"),
                    Some(CatchUp::Copy) => f.write_str(", given a copy of the state"),
                    None => Ok(()),
                }
            }
            Stage::Member(member) => write!(f, "{}", member.kind),
            Stage::Gone => f.write_str("no member"),
        }
    }
}
