//! The asking side.

use super::{Introduction, JOIN_MAX, JOIN_SERVICE, Question, Reply, VERSION, Wish};
use crate::error::Error;
use crate::member::Member;
use crate::questions::Asking;
use rep_net::{Hello, Transport};
use rep_node::Membership;
use std::time::Duration;

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

/// An open channel to a node, from one of the same group or one that is to be.
#[derive(Debug)]
pub(crate) struct JoinClient(Asking);

impl JoinClient {
    /// Reaches whoever of that group listens at `address`, as the node `name`.
    pub(crate) fn connect(
        transport: &dyn Transport,
        (group, name): (&str, &str),
        address: &str,
        timeout: Duration,
    ) -> Result<Self, Error> {
        let hello = Hello::new(group, JOIN_SERVICE).from_node(name, [0; 16]);
        Asking::dial(transport, &hello, (address, VERSION), timeout).map(JoinClient)
    }

    /// Who is master, as far as the node knows.
    pub(crate) fn master(&self, timeout: Duration) -> Result<Option<Member>, Error> {
        match self.0.ask(&Question::Master, timeout)? {
            Reply::Master(master) => Ok(master),
            other => Err(self.unexpected(other)),
        }
    }

    /// Who the node is. By another name than it has proved it could take somebody's place.
    pub(crate) fn introduction(
        &self,
        timeout: Duration,
        is_over: &dyn Fn() -> bool,
    ) -> Result<Introduction, Error> {
        let told = match self.0.ask_unless(&Question::Introduce, timeout, is_over)? {
            Reply::Introduction(introduction) => *introduction,
            other => return Err(self.unexpected(other)),
        };
        let (said, answers) = (&told.wish.name, self.0.answers());
        if said != answers {
            let why =
                format!("it is {answers}, and says that it is {said}: it joins under its own name");
            return Err(self.0.failed(why));
        }
        Ok(told)
    }

    /// Asks to be admitted.
    pub(crate) fn join(&self, wish: Wish, is_over: &dyn Fn() -> bool) -> Result<Answered, Error> {
        let question = Question::Join(wish);
        match self.0.ask_unless(&question, JOIN_MAX.saturating_mul(2), is_over)? {
            Reply::Admitted(bytes) => match Membership::decode(&bytes) {
                Ok(membership) => Ok(Answered::Admitted(Box::new(membership))),
                Err(why) => Ok(Answered::Refused(format!("its answer means nothing: {why}"))),
            },
            Reply::NotMaster(Some(master)) => Ok(Answered::AskMaster(master)),
            Reply::NotMaster(None) => Ok(Answered::Refused("it knows no master".to_owned())),
            Reply::Refused(why) => Ok(Answered::Refused(why.to_string())),
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
        let question = Question::Admit(made.encode().to_vec());
        match self.0.ask_unless(&question, timeout, is_over)? {
            Reply::Entered => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    fn unexpected(&self, reply: Reply) -> Error {
        self.0.failed(match reply {
            Reply::Refused(why) => why.to_string(),
            Reply::Master(_)
            | Reply::Introduction(_)
            | Reply::Admitted(_)
            | Reply::NotMaster(_)
            | Reply::Entered => "it answered another question".to_owned(),
        })
    }
}
