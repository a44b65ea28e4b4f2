//! How a node comes to be a member, as far as it is said over the wire.
//!
//! Two ways, one end. A node asks a member to be admitted ([`Request::Join`]) and is answered with the membership that has it; or
//! the master, told by an operator, asks the node who it is ([`Request::Introduce`]) and tells it afterwards ([`Request::Admit`]).

use super::{Admin, AdminClient, NO_GROUP, Reply, Request, unfulfilled};
use crate::error::Error;
use crate::member::Member;
use crate::runtime::inbox::Input;
use crate::runtime::restore::question;
use rep_node::{Change, MemberType, Membership, Newcomer};
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// A master has so long to make a learner of who asks; who is not answered asks again.
const JOIN_MAX: Duration = Duration::from_secs(10);

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
    /// Whether the group has somebody of that name who is given no data, and who asks for it.
    fn asks_for_more(&self, recorded: &Membership) -> bool {
        let member = recorded.named(&self.name);
        self.kind.holds_data() && member.is_some_and(|member| !member.kind.holds_data())
    }
}

/// Who a node is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Introduction {
    pub(crate) group_name: String,
    pub(crate) wish: Wish,
    /// Whether it has never belonged to a group.
    pub(crate) is_unborn: bool,
}

/// What became of the wish to be admitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answered {
    /// Who belongs from now on.
    Admitted(Box<Membership>),
    /// Ask that one.
    AskMaster(Member),
    /// Not now, and why.
    Refused(String),
}

/// Why a caller that proves to be `name` gets no answer, if so.
pub(super) fn refusal(request: &Request, name: &str, awaits: bool) -> Option<&'static str> {
    match request {
        Request::Join { wish, .. } if wish.name != name => {
            Some("a node joins under the name that its certificate has")
        }
        // Anybody with a certificate of the group could say so to one that is about to found it, or to join it by asking.
        Request::Admit { .. } if !awaits => {
            Some("this node was not started to wait for somebody to add it")
        }
        Request::Admit { membership } if !is_of(membership, name) => {
            Some("who was admitted is told so by a member")
        }
        _ => None,
    }
}

fn is_of(membership: &[u8], name: &str) -> bool {
    Membership::decode(membership).is_ok_and(|membership| membership.named(name).is_some())
}

impl Admin {
    pub(super) fn introduce(&self) -> Reply {
        let wish = self.wish.clone();
        let is_unborn = self.shared.recorded.lock().is_none();
        let group_name = self.shared.group_name.clone();
        Reply::Introduction(Box::new(Introduction { group_name, wish, is_unborn }))
    }

    pub(super) fn join(&self, group: &str, wish: Wish) -> Reply {
        let shared = &self.shared;
        if group != shared.group_name {
            let why = format!("this is the group {:?}, not {group:?}", shared.group_name);
            return Reply::Refused(why);
        }
        if shared.recorded.lock().is_none() {
            return Reply::Refused(NO_GROUP.to_owned());
        }
        if shared.recorded.lock().as_ref().is_some_and(|group| wish.asks_for_more(group)) {
            let why = "it is recorded as a member that holds no data, and asks for some: an administrator removes that member first";
            return Reply::Refused(why.to_owned());
        }
        let Wish { name, incarnation, address, kind, priority } = wish;
        let newcomer = Newcomer { name, incarnation, address, kind, priority };
        match shared.change_membership(Change::Add(newcomer), JOIN_MAX, false) {
            Ok(made) => Reply::Admitted(made.encode().to_vec()),
            Err(error) => unfulfilled(error),
        }
    }

    /// This node was admitted, somebody says.
    pub(super) fn enter(&self, membership: &[u8]) -> Reply {
        let membership = match Membership::decode(membership) {
            Ok(membership) => membership,
            Err(why) => return Reply::Refused(why),
        };
        let (asked, answer) = question();
        let membership = Box::new(membership);
        self.shared.inbox.control(Input::Admitted { membership, answer: Some(answer) });
        match asked.wait() {
            Some(Ok(())) => Reply::Entered,
            Some(Err(error)) => Reply::Refused(error.to_string()),
            None => unfulfilled(self.shared.over()),
        }
    }
}

impl AdminClient {
    /// Who the node is.
    pub(crate) fn introduction(
        &self,
        timeout: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Introduction, Error> {
        match self.ask_unless(Request::Introduce, timeout, is_over)? {
            Reply::Introduction(introduction) => Ok(*introduction),
            other => Err(self.unexpected(other)),
        }
    }

    /// Asks to be admitted.
    pub(crate) fn join(
        &self,
        group: &str,
        wish: Wish,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Answered, Error> {
        let request = Request::Join { group: group.to_owned(), wish };
        match self.ask_unless(request, JOIN_MAX.saturating_mul(2), is_over)? {
            Reply::Admitted(bytes) => match Membership::decode(&bytes) {
                Ok(membership) => Ok(Answered::Admitted(Box::new(membership))),
                Err(why) => Ok(Answered::Refused(format!("its answer means nothing: {why}"))),
            },
            Reply::NotMaster(Some(master)) => Ok(Answered::AskMaster(master)),
            Reply::NotMaster(None) => Ok(Answered::Refused("it knows no master".to_owned())),
            Reply::Refused(why) => Ok(Answered::Refused(why)),
            other => Err(self.unexpected(other)),
        }
    }

    /// Tells the node that it was admitted.
    pub(crate) fn admit(
        &self,
        made: &Membership,
        timeout: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<(), Error> {
        let request = Request::Admit { membership: made.encode().to_vec() };
        match self.ask_unless(request, timeout, is_over)? {
            Reply::Entered => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;
    use rep_vlsn::NodeId;

    #[test]
    fn who_is_given_no_data_gets_none_by_asking_to_be_another() {
        let id = NodeId::new(3);
        let wish = |kind| Wish {
            name: "n3".to_owned(),
            incarnation: Incarnation([2; 16]),
            address: "h:1".to_owned(),
            kind,
            priority: 0,
        };
        let recorded = |kind| {
            let member = rep_node::Member {
                id,
                name: "n3".to_owned(),
                incarnation: Incarnation([1; 16]),
                address: "h:1".to_owned(),
                kind,
                priority: 0,
                attributes: Default::default(),
            };
            Membership {
                group: Default::default(),
                at: Default::default(),
                members: [(id, member)].into(),
                next_id: NodeId::new(4),
                quorums: Default::default(),
                removed: vec![],
            }
        };
        use MemberType::{Arbiter, Electable, Monitor, Secondary};
        for (has, wants, refused) in [
            (Monitor, Electable, true),
            (Monitor, Secondary, true),
            (Arbiter, Electable, true),
            (Monitor, Monitor, false),
            (Secondary, Electable, false),
        ] {
            assert_eq!(wish(wants).asks_for_more(&recorded(has)), refused, "{has:?} {wants:?}");
        }
    }

    #[test]
    fn a_node_joins_under_its_own_name_and_is_told_of_it_by_a_member() {
        let (incarnation, address) = (Incarnation([1; 16]), "h:1".to_owned());
        let (name, kind, priority) = ("n4".to_owned(), MemberType::Electable, 0);
        let wish = Wish { name, incarnation, address, kind, priority };
        let join = Request::Join { group: "bank".to_owned(), wish };
        assert_eq!(refusal(&join, "n4", false), None);
        assert!(refusal(&join, "n5", false).is_some());
        assert_eq!(refusal(&Request::Introduce, "anybody", false), None);
        let nonsense = Request::Admit { membership: vec![1, 2, 3] };
        assert!(refusal(&nonsense, "n4", true).is_some());
        let admit = |awaits| refusal(&nonsense, "n4", awaits).unwrap();
        assert!(admit(false).contains("not started to wait") && !admit(true).contains("wait"));
    }
}
