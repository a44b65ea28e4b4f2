//! What nodes ask one another that are no members of one group yet, or may be none any more: the service `join`.
//!
//! How a node comes to be a member: two ways, one end. A node asks a member to be admitted ([`Question::Join`]) and is answered with the
//! membership that has it; or the master, told by an operator, asks the node who it is ([`Question::Introduce`]) and tells it afterwards
//! ([`Question::Admit`]). And a member whose directory is damaged asks whether the group goes on without it ([`Question::Master`]).
//!
//! These are nodes' questions, asked under nodes' names, and they are all: what an operator wants to know or to have done is the service
//! [`admin`](crate::admin)'s, which takes other certificates. Where the transport proves names, a node is
//!
//! - admitted under the name that it has proved;
//! - told that it was admitted by one who may be master in what it is told, and only if it was started to wait for that;
//! - told who is master if it belongs to the group, as far as is known here;
//! - told who the node is that it has reached, whoever it is: a newcomer knows no members yet.

mod client;

pub(crate) use client::{Answered, JoinClient};

use crate::error::Error;
use crate::member::Member;
use crate::questions::{BadFrame, Room, serve};
use crate::runtime::inbox::Input;
use crate::runtime::restore::question;
use crate::runtime::shared::Shared;
use rep_net::{Channel, Hello, Identity, RefuseReason, ServiceHandler};
use rep_node::{Change, MemberType, Membership, Newcomer};
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The service's name.
pub(crate) const JOIN_SERVICE: &str = "join";

const VERSION: u8 = 1;
/// Callers served at a time; one more is told `Busy`.
const CALLERS_MAX: usize = 16;
/// Callers among them that are no members, and that prove who they are: they may be many, and must not keep members out.
const STRANGERS_MAX: usize = 4;
/// A master has so long to make a learner of who asks; who is not answered asks again.
const JOIN_MAX: Duration = Duration::from_secs(10);

/// What may be asked. New questions are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Question {
    /// Who is master, as far as is known there?
    Master,
    /// Who is there?
    Introduce,
    /// To be admitted.
    Join(Wish),
    /// Whoever is there was admitted: the membership that has it, as nodes keep it.
    Admit(Vec<u8>),
}

/// The answers. New ones are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    Master(Option<Member>),
    Refused(Refusal),
    Introduction(Box<Introduction>),
    /// Who belongs from now on, the caller among them, as the node keeps it.
    Admitted(Vec<u8>),
    /// Ask the master, if it is known.
    NotMaster(Option<Member>),
    /// The node knows that it was admitted.
    Entered,
}

/// Why there is no other answer. New reasons are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
enum Refusal {
    #[error("that is no question: {0}")]
    NoQuestion(BadFrame),
    #[error("who is master is told to members")]
    NotMember,
    #[error("a node joins under the name that its certificate has")]
    AnotherName,
    /// Anybody with a certificate of the group could say so to one that is about to found it, or to join it by asking.
    #[error("this node was not started to wait for somebody to add it")]
    NotWaiting,
    #[error("who was admitted is told so by a member that may be master")]
    NotOfIt,
    #[error("there is no group yet, as far as this node knows")]
    NoGroup,
    #[error(
        "it is recorded as a member that holds no data, or has no vote, and asks for that: an administrator removes that member first"
    )]
    AsksForMore,
    #[error("{0}")]
    Failed(String),
}

/// What a node would like to be in a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Wish {
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
    pub(crate) address: String,
    #[serde(with = "crate::membership::by_name")]
    pub(crate) kind: MemberType,
    pub(crate) priority: u32,
}

impl Wish {
    /// Whether the group has somebody of that name who is given no data, or is to have no vote, and who asks for it. A learner is to have one.
    fn asks_for_more(&self, recorded: &Membership) -> bool {
        let is_to_vote = |kind: MemberType| kind.votes() || kind == MemberType::Learner;
        recorded.named(&self.name).is_some_and(|member| {
            let data = self.kind.holds_data() && !member.kind.holds_data();
            data || (is_to_vote(self.kind) && !is_to_vote(member.kind))
        })
    }
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) wish: Wish,
    /// Whether it has never belonged to a group.
    pub(crate) is_unborn: bool,
}

/// Answers for one node.
pub(crate) struct Join {
    shared: Arc<Shared>,
    wish: Wish,
    /// Whether it was started to wait until somebody adds it.
    awaits: bool,
    /// Whether who calls has proved the name that it has.
    proves_names: bool,
    callers: Room,
    strangers: Room,
}

impl Join {
    pub(crate) fn new(
        shared: Arc<Shared>,
        (wish, awaits): (Wish, bool),
        proves_names: bool,
    ) -> Self {
        let (callers, strangers) = (Room::new(CALLERS_MAX), Room::new(STRANGERS_MAX));
        Join { shared, wish, awaits, proves_names, callers, strangers }
    }

    /// Whether that caller has proved to be no member, as far as is known here.
    fn is_stranger(&self, hello: &Hello) -> bool {
        self.proves_names && self.shared.directory.id_of(&hello.node).is_none()
    }

    /// Why that caller gets no answer, if so. Looked at for each question: a member may be removed while it asks.
    fn refusal(&self, question: &Question, hello: &Hello) -> Option<Refusal> {
        if !self.proves_names {
            return None;
        }
        match question {
            Question::Master => self.is_stranger(hello).then_some(Refusal::NotMember),
            Question::Introduce => None,
            Question::Join(wish) => (wish.name != hello.node).then_some(Refusal::AnotherName),
            Question::Admit(_) if !self.awaits => Some(Refusal::NotWaiting),
            Question::Admit(made) => may_tell(made, &hello.node).err(),
        }
    }

    fn answer(&self, question: Question) -> Result<Reply, Refusal> {
        match question {
            Question::Master => match self.shared.ask_status() {
                Some(status) => {
                    let master = status.master.and_then(|id| self.shared.directory.member(id));
                    Ok(Reply::Master(master))
                }
                None => Err(Refusal::Failed("the node does not answer".to_owned())),
            },
            Question::Introduce => {
                let is_unborn = self.shared.recorded.lock().is_none();
                let introduction = Introduction { wish: self.wish.clone(), is_unborn };
                Ok(Reply::Introduction(Box::new(introduction)))
            }
            Question::Join(wish) => self.join(wish),
            Question::Admit(membership) => self.enter(&membership),
        }
    }

    fn join(&self, wish: Wish) -> Result<Reply, Refusal> {
        let recorded = self.shared.recorded.lock().clone();
        let recorded = recorded.ok_or(Refusal::NoGroup)?;
        if wish.asks_for_more(&recorded) {
            return Err(Refusal::AsksForMore);
        }
        let Wish { name, incarnation, address, kind, priority } = wish;
        let newcomer = Newcomer { name, incarnation, address, kind, priority };
        match self.shared.change_membership(Change::Add(newcomer), JOIN_MAX, false) {
            Ok(made) => Ok(Reply::Admitted(made.encode().to_vec())),
            Err(error) => unfulfilled(error),
        }
    }

    /// This node was admitted, somebody says.
    fn enter(&self, membership: &[u8]) -> Result<Reply, Refusal> {
        let membership = Membership::decode(membership).map_err(Refusal::Failed)?;
        let (asked, answer) = question();
        let membership = Box::new(membership);
        self.shared.inbox.control(Input::Admitted { membership, answer: Some(answer) });
        match asked.wait() {
            Some(Ok(())) => Ok(Reply::Entered),
            Some(Err(error)) => Err(Refusal::Failed(error.to_string())),
            None => unfulfilled(self.shared.over()),
        }
    }
}

fn unfulfilled(error: Error) -> Result<Reply, Refusal> {
    match error {
        Error::NotMaster { master } => Ok(Reply::NotMaster(master)),
        error => Err(Refusal::Failed(error.to_string())),
    }
}

/// Whether `name` may be master in that membership: who admits is.
fn may_tell(membership: &[u8], name: &str) -> Result<(), Refusal> {
    let membership = Membership::decode(membership).map_err(Refusal::Failed)?;
    let member = membership.named(name);
    let may = member.is_some_and(|member| member.kind == MemberType::Electable);
    if may { Ok(()) } else { Err(Refusal::NotOfIt) }
}

impl ServiceHandler for Join {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        if self.shared.is_closing() {
            return Err(RefuseReason::Closing);
        }
        if self.proves_names && Identity::administrator_of(&hello.node).is_some() {
            let detail = "an administrator is no node, and asks over the service admin".to_owned();
            return Err(RefuseReason::NotMember { detail });
        }
        self.callers.check()?;
        if self.is_stranger(hello) { self.strangers.check() } else { Ok(()) }
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        let is_stranger = self.is_stranger(&hello);
        let place = self.callers.enter();
        let among_strangers = is_stranger.then(|| self.strangers.enter());
        if place.is_none() || among_strangers.as_ref().is_some_and(Option::is_none) {
            return channel.close();
        }
        serve(&*channel, VERSION, |asked| {
            let answered = asked.map_err(Refusal::NoQuestion).and_then(|question| {
                match self.refusal(&question, &hello) {
                    Some(why) => Err(why),
                    None => self.answer(question),
                }
            });
            answered.unwrap_or_else(Reply::Refused)
        });
    }
}

impl fmt::Debug for Join {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join").field("node", &self.shared.name).finish_non_exhaustive()
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use crate::questions::encode;
    use rep_vlsn::NodeId;

    fn wish(kind: MemberType) -> Wish {
        let (name, address) = ("n3".to_owned(), "h:1".to_owned());
        Wish { name, incarnation: Incarnation([2; 16]), address, kind, priority: 0 }
    }

    /// A group of `n3`, and of `n4` who may be master.
    fn recorded(kind: MemberType) -> Membership {
        let member = |id: u32, kind| rep_node::Member {
            id: NodeId::new(id),
            name: format!("n{id}"),
            incarnation: Incarnation([u8::try_from(id).unwrap(); 16]),
            address: format!("h:{id}"),
            kind,
            priority: 0,
            attributes: Default::default(),
        };
        let members = [member(3, kind), member(4, MemberType::Electable)];
        Membership {
            group: Default::default(),
            at: Default::default(),
            members: members.map(|member| (member.id, member)).into(),
            next_id: NodeId::new(5),
            quorums: Default::default(),
            removed: vec![],
        }
    }

    /// A monitor that fell silent could come back as an arbiter, and voted at once.
    #[test]
    fn who_is_given_no_data_or_has_no_vote_gets_none_by_asking_to_be_another() {
        use MemberType::{Arbiter, Electable, Learner, Monitor, Secondary};
        for (has, wants, refused) in [
            (Monitor, Electable, true),
            (Monitor, Secondary, true),
            (Monitor, Arbiter, true),
            (Arbiter, Electable, true),
            (Secondary, Electable, true),
            (Secondary, Arbiter, true),
            (Monitor, Monitor, false),
            (Secondary, Secondary, false),
            (Learner, Electable, false),
            (Electable, Electable, false),
        ] {
            assert_eq!(wish(wants).asks_for_more(&recorded(has)), refused, "{has:?} {wants:?}");
        }
    }

    #[test]
    fn who_was_admitted_is_told_so_by_one_who_may_be_master_there() {
        use MemberType::{Arbiter, Electable, Learner, Monitor, Secondary};
        let said = |kind| recorded(kind).encode().to_vec();
        assert_eq!(may_tell(&said(Electable), "n3"), Ok(()));
        assert_eq!(may_tell(&said(Electable), "n9"), Err(Refusal::NotOfIt), "of its own making");
        for kind in [Arbiter, Learner, Monitor, Secondary] {
            assert_eq!(may_tell(&said(kind), "n3"), Err(Refusal::NotOfIt), "{kind:?}");
        }
        assert!(matches!(may_tell(&[7], "n3"), Err(Refusal::Failed(_))));
    }

    /// Nodes of another build read them: what is on the wire stays what it is as long as the version does.
    #[test]
    fn questions_and_answers_are_written_as_they_always_were() {
        let said = |question: &Question| encode(VERSION, question).to_vec();
        assert_eq!(said(&Question::Master), [1, 0]);
        assert_eq!(said(&Question::Introduce), [1, 1]);
        let join = said(&Question::Join(wish(MemberType::Electable)));
        assert_eq!(join[..5], [1, 2, 2, b'n', b'3']);
        assert!(join.ends_with(b"\x03h:1\x09electable\x00"), "{join:?}");
        assert_eq!(said(&Question::Admit(vec![7])), [1, 3, 1, 7]);
        let told = |reply: &Reply| encode(VERSION, reply).to_vec();
        assert_eq!(told(&Reply::Master(None)), [1, 0, 0]);
        assert_eq!(told(&Reply::Refused(Refusal::NoQuestion(BadFrame::TooLong))), [1, 1, 0, 0]);
        assert_eq!(told(&Reply::Refused(Refusal::NotMember)), [1, 1, 1]);
        assert_eq!(told(&Reply::Refused(Refusal::Failed("x".into()))), [1, 1, 7, 1, b'x']);
        assert_eq!(told(&Reply::Admitted(vec![7])), [1, 3, 1, 7]);
        assert_eq!(told(&Reply::NotMaster(None)), [1, 4, 0]);
        assert_eq!(told(&Reply::Entered), [1, 5]);
    }
}
