//! What operators ask over the wire.
//!
//! The service `admin` on the same port as everything else: one request, one reply, any number of times a channel. Each is a
//! frame: a version byte, then postcard. A caller needs to know nothing but an address; it is told which group and node it has
//! reached, what that node is, and what is wrong, in words.
//!
//! Where the transport proves names, an administrator is answered (`rep://GROUP/@admin/NAME`), whatever is asked, and nobody else: no member
//! either, whose certificate lies on a machine that serves clients. What members have to ask one another is a service of its own
//! (`join`).

mod client;
pub(crate) mod report;
mod restoring;

pub use client::{AdminClient, digest, status};
pub use report::{AppliedDigest, MemberReport, StatusReport};
pub use restoring::{RestoreReport, RestoreStage};

use crate::error::Error;
use crate::member::Member;
use crate::membership::{GroupMember, MemberUpdate, Membership, NewMember, adding};
use crate::questions::{Room, serve};
use crate::runtime::shared::Shared;
use rep_net::{Channel, Hello, Identity, RefuseReason, ServiceHandler, Transport};
use rep_node::Quorums;
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// The service's name.
pub const ADMIN_SERVICE: &str = "admin";

const VERSION: u8 = 5;
/// Callers served at a time; one more is told `Busy`.
const CALLERS_MAX: usize = 16;
/// An order is given up after so long, whatever it says: its caller keeps a place.
const ORDER_MAX: Duration = Duration::from_secs(600);

/// What may be asked. New questions are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    Status,
    Digest,
    TransferMaster { targets: Vec<String>, timeout_ms: u64, force: bool },
    ShutDownGroup { timeout_ms: u64 },
    RestoreFrom { source: String },
    Membership,
    AddMember { new: NewMember, timeout_ms: u64 },
    RemoveMember { name: String, timeout_ms: u64, force: bool },
    UpdateMember { name: String, update: MemberUpdate, timeout_ms: u64 },
    SetQuorums { quorums: Quorums, timeout_ms: u64, force: bool },
    CancelRestore,
}

/// What a caller is told that is no administrator.
const NO_ADMINISTRATOR: &str =
    "administrators alone are answered here: `rep certs issue --admin NAME` makes a certificate";

/// The answers, in the order of the questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    Status(Box<StatusReport>),
    Digest(AppliedDigest),
    Refused(String),
    /// The member that is master now.
    MasterIs(Member),
    /// The names of those left behind.
    GroupShutDown(Vec<String>),
    /// Ask the master, if it is known.
    NotMaster(Option<Member>),
    /// A copy is being fetched.
    Restoring,
    /// Who belongs.
    Membership(Box<Membership>),
    /// Who has become a learner.
    Added(Box<GroupMember>),
    /// The copy that was ordered is not fetched any more.
    RestoreCancelled,
}

/// Takes a digest of what is applied.
pub(crate) type DigestSource = Box<dyn Fn() -> Result<AppliedDigest, Error> + Send + Sync>;

/// Answers for one node.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    digest: Option<DigestSource>,
    transport: Arc<dyn Transport>,
    callers: Room,
}

impl Admin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        incarnation: Incarnation,
        digest: Option<DigestSource>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        Admin { shared, incarnation, digest, transport, callers: Room::new(CALLERS_MAX) }
    }

    /// Whether that caller is answered: an administrator, as far as names are proved here.
    fn may_ask(&self, hello: &Hello) -> bool {
        let proves_names = self.transport.proof_expires().is_some();
        !proves_names || Identity::administrator_of(&hello.node).is_some()
    }

    fn answer(&self, request: Request) -> Reply {
        let within = |timeout_ms| Duration::from_millis(timeout_ms).min(ORDER_MAX);
        match request {
            Request::Status => match report::of(&self.shared, self.incarnation, &*self.transport) {
                Some(report) => Reply::Status(Box::new(report)),
                None => Reply::Refused("the node does not answer".into()),
            },
            Request::Digest => match self.digest.as_ref().map(|digest| digest()) {
                Some(Ok(digest)) => Reply::Digest(digest),
                Some(Err(error)) => Reply::Refused(error.to_string()),
                None => Reply::Refused("this state machine has no digest to offer".into()),
            },
            Request::TransferMaster { targets, timeout_ms, force } => {
                let targets: Vec<&str> = targets.iter().map(String::as_str).collect();
                let transferred = self.shared.transfer_master(&targets, within(timeout_ms), force);
                transferred.map_or_else(unfulfilled, Reply::MasterIs)
            }
            Request::ShutDownGroup { timeout_ms } => {
                let shut_down = self.shared.shut_group_down(within(timeout_ms));
                shut_down.map_or_else(unfulfilled, Reply::GroupShutDown)
            }
            Request::RestoreFrom { source } => match self.shared.restore_from(&source) {
                Ok(()) => Reply::Restoring,
                Err(error) => unfulfilled(error),
            },
            Request::CancelRestore => match self.shared.cancel_restore() {
                Ok(()) => Reply::RestoreCancelled,
                Err(error) => unfulfilled(error),
            },
            Request::Membership => {
                let recorded = self.shared.recorded.lock().as_ref().map(Membership::of);
                recorded.map_or_else(|| Reply::Refused(NO_GROUP.to_owned()), membership)
            }
            Request::AddMember { new, timeout_ms } => {
                let timeout = within(timeout_ms);
                match adding::begin(&self.shared, &*self.transport, &new, timeout) {
                    Ok(joining) => match joining.member() {
                        Some(member) => Reply::Added(Box::new(member)),
                        None => Reply::Refused("it was removed at once".to_owned()),
                    },
                    Err(error) => unfulfilled(error),
                }
            }
            Request::RemoveMember { name, timeout_ms, force } => {
                let made = self.shared.remove_member(&name, within(timeout_ms), force);
                made.map_or_else(unfulfilled, membership)
            }
            Request::UpdateMember { name, update, timeout_ms } => {
                let made = self.shared.update_member(&name, update, within(timeout_ms));
                made.map_or_else(unfulfilled, membership)
            }
            Request::SetQuorums { quorums, timeout_ms, force } => {
                let made = self.shared.set_quorums(quorums, within(timeout_ms), force);
                made.map_or_else(unfulfilled, membership)
            }
        }
    }
}

/// What is said of a group that does not exist yet.
const NO_GROUP: &str = "there is no group yet, as far as this node knows";

fn membership(made: Membership) -> Reply {
    Reply::Membership(Box::new(made))
}

fn unfulfilled(error: Error) -> Reply {
    match error {
        Error::NotMaster { master } => Reply::NotMaster(master),
        error => Reply::Refused(error.to_string()),
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("node", &self.shared.name).finish_non_exhaustive()
    }
}

impl ServiceHandler for Admin {
    fn check(&self, hello: &Hello) -> Result<(), RefuseReason> {
        if self.shared.is_closing() {
            return Err(RefuseReason::Closing);
        }
        if !self.may_ask(hello) {
            return Err(RefuseReason::NotAdministrator { detail: NO_ADMINISTRATOR.to_owned() });
        }
        self.callers.check()
    }

    fn accept(&self, _: Hello, channel: Arc<dyn Channel>) {
        let Some(_place) = self.callers.enter() else { return channel.close() };
        serve(&*channel, VERSION, |asked| match asked {
            Ok(request) => self.answer(request),
            Err(no_question) => Reply::Refused(no_question.to_string()),
        });
    }

    fn needs_group(&self) -> bool {
        false
    }
}
