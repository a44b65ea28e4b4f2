//! What operators ask over the wire.
//!
//! The service `admin` on the same port as everything else: one request, one reply, any number of times a channel. Each is a
//! frame: a version byte, then postcard. A caller needs to know nothing but an address; it is told which group and node it has
//! reached, what that node is, and what is wrong, in words.
//!
//! Where the transport proves names, who asks has to be somebody. A member may ask how things are: an operator on its machine has no other
//! certificate there, and whoever could misuse it reads the log anyway. So a member that is given no data (an arbiter, a monitor) is told how the
//! group is, which is what it hears as a member too, and nothing about the data. Orders, which change what the group does, are taken
//! from an administrator alone (`rep://GROUP/@admin/NAME`); and a certificate of the group that is neither's may do one thing: ask for itself
//! to be admitted.

mod client;
mod entry;
pub(crate) mod report;

pub use client::{AdminClient, digest, status};
pub(crate) use entry::{Answered, Introduction, Wish};
pub use report::{AppliedDigest, MemberReport, StatusReport};

use crate::error::Error;
use crate::member::Member;
use crate::membership::{GroupMember, MemberUpdate, Membership, NewMember, adding};
use crate::runtime::shared::Shared;
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use rep_net::{Channel, Hello, Identity, RefuseReason, ServiceHandler, Transport};
use rep_node::Quorums;
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The service's name.
pub const ADMIN_SERVICE: &str = "admin";

const VERSION: u8 = 3;
/// Callers served at a time; one more is told `Busy`.
const CALLERS_MAX: usize = 16;
/// Callers among them that are no members, and that prove who they are: they may be many, and must not keep operators out.
const STRANGERS_MAX: usize = 4;
/// A caller that asks nothing for so long is hung up on.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// An order is given up after so long, whatever it says: its caller keeps a place.
const ORDER_MAX: Duration = Duration::from_secs(600);
/// The longest request names all members of a group.
const REQUEST_BYTES_MAX: usize = 64 << 10;

/// What may be asked. New questions are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    Status,
    Digest,
    TransferMaster { targets: Vec<String>, timeout_ms: u64, force: bool },
    ShutDownGroup { timeout_ms: u64 },
    RestoreFrom { source: String },
    Membership,
    Introduce,
    Join { group: String, wish: Wish },
    Admit { membership: Vec<u8> },
    AddMember { new: NewMember, timeout_ms: u64 },
    RemoveMember { name: String, timeout_ms: u64, force: bool },
    UpdateMember { name: String, update: MemberUpdate, timeout_ms: u64 },
    SetQuorums { quorums: Quorums, timeout_ms: u64, force: bool },
}

/// Whose requests are answered where names are proved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Clearance {
    /// A member's, and an administrator's.
    Member,
    /// It is about the data: of a member that holds it, and an administrator's.
    Holder,
    /// It changes what the group does: an administrator's.
    Administrator,
    /// It is about how one comes to be a member: [`entry`] says whose.
    Entry,
}

/// What a caller is told that is no member.
const NO_MEMBER: &str =
    "members and administrators are answered; who is neither may join, and nothing else";
/// What a member is told that holds no data.
const NO_HOLDER: &str =
    "what the data is like is told to members that hold it, and to administrators";
/// What a caller is told whose orders are not taken.
const NO_ORDERS: &str = "orders are taken from an administrator alone: rep certs issue --admin NAME makes a certificate";

impl Request {
    fn clearance(&self) -> Clearance {
        match self {
            Request::Status | Request::Membership => Clearance::Member,
            Request::Digest => Clearance::Holder,
            Request::Introduce | Request::Join { .. } | Request::Admit { .. } => Clearance::Entry,
            Request::TransferMaster { .. }
            | Request::ShutDownGroup { .. }
            | Request::RestoreFrom { .. }
            | Request::AddMember { .. }
            | Request::RemoveMember { .. }
            | Request::UpdateMember { .. }
            | Request::SetQuorums { .. } => Clearance::Administrator,
        }
    }
}

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
    /// Who the node is.
    Introduction(Box<Introduction>),
    /// Who belongs from now on, the caller among them, as the node keeps it.
    Admitted(Vec<u8>),
    /// The node knows that it was admitted.
    Entered,
    /// Who has become a learner.
    Added(Box<GroupMember>),
}

/// Takes a digest of what is applied.
pub(crate) type DigestSource = Box<dyn Fn() -> Result<AppliedDigest, Error> + Send + Sync>;

/// Answers for one node.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    digest: Option<DigestSource>,
    transport: Arc<dyn Transport>,
    wish: Wish,
    /// Whether it was started to wait until somebody adds it.
    awaits: bool,
    callers: AtomicUsize,
    strangers: AtomicUsize,
}

impl Admin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        incarnation: Incarnation,
        digest: Option<DigestSource>,
        transport: Arc<dyn Transport>,
        (wish, awaits): (Wish, bool),
    ) -> Self {
        let (callers, strangers) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Admin { shared, incarnation, digest, transport, wish, awaits, callers, strangers }
    }

    /// Whether an order of that caller is carried out.
    fn may_order(&self, hello: &Hello) -> bool {
        !self.proves_names() || Identity::administrator_of(&hello.node).is_some()
    }

    fn proves_names(&self) -> bool {
        self.transport.proof_expires().is_some()
    }

    /// Whether that caller is no member, as far as is known here, nor an administrator.
    fn is_stranger(&self, hello: &Hello) -> bool {
        !self.may_order(hello) && self.shared.directory.id_of(&hello.node).is_none()
    }

    /// Whether that caller is recorded as a member that is given the data.
    fn holds_data(&self, hello: &Hello) -> bool {
        let id = self.shared.directory.id_of(&hello.node);
        let recorded = self.shared.recorded.lock();
        let member = recorded.as_ref().zip(id).and_then(|(group, id)| group.members.get(&id));
        member.is_some_and(|member| member.kind.holds_data())
    }

    fn serve(&self, channel: &dyn Channel, hello: &Hello) {
        while let Ok(Some(frame)) = channel.receive(Instant::now() + IDLE_MAX) {
            let reply = match question(&frame) {
                // Looked at for each question: a member may be removed while it asks.
                Ok(request) => match self.refusal(&request, hello) {
                    Some(why) => Reply::Refused(why.to_owned()),
                    None => self.answer(request),
                },
                Err(no_question) => Reply::Refused(no_question.to_string()),
            };
            if channel.send(encode(&reply)).is_err() {
                break;
            }
        }
        channel.close();
    }

    /// Why that caller gets no answer, if so.
    fn refusal(&self, request: &Request, hello: &Hello) -> Option<&'static str> {
        if self.may_order(hello) {
            return None;
        }
        match request.clearance() {
            Clearance::Member | Clearance::Holder if self.is_stranger(hello) => Some(NO_MEMBER),
            Clearance::Holder if !self.holds_data(hello) => Some(NO_HOLDER),
            Clearance::Member | Clearance::Holder => None,
            Clearance::Administrator => Some(NO_ORDERS),
            Clearance::Entry => entry::refusal(request, &hello.node, self.awaits),
        }
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
            Request::Membership => {
                let recorded = self.shared.recorded.lock().as_ref().map(Membership::of);
                recorded.map_or_else(|| Reply::Refused(NO_GROUP.to_owned()), membership)
            }
            Request::Introduce => self.introduce(),
            Request::Join { group, wish } => self.join(&group, wish),
            Request::Admit { membership } => self.enter(&membership),
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
        if self.callers.load(Ordering::Relaxed) >= CALLERS_MAX {
            return Err(RefuseReason::Busy);
        }
        if self.is_stranger(hello) && self.strangers.load(Ordering::Relaxed) >= STRANGERS_MAX {
            return Err(RefuseReason::Busy);
        }
        Ok(())
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        let enter = |counter: &AtomicUsize, max| counter.fetch_add(1, Ordering::Relaxed) < max;
        let is_stranger = self.is_stranger(&hello);
        let has_place = enter(&self.callers, CALLERS_MAX);
        let is_let_in = !is_stranger || enter(&self.strangers, STRANGERS_MAX);
        if has_place && is_let_in {
            self.serve(&*channel, &hello);
        }
        self.callers.fetch_sub(1, Ordering::Relaxed);
        if is_stranger {
            self.strangers.fetch_sub(1, Ordering::Relaxed);
        }
        channel.close();
    }

    fn needs_group(&self) -> bool {
        false
    }
}

fn encode<T: Serialize>(value: &T) -> Bytes {
    let mut frame = vec![VERSION];
    frame.extend(postcard::to_stdvec(value).expect("plain data is encodable"));
    frame.into()
}

fn question(frame: &[u8]) -> Result<Request, BadFrame> {
    match frame.len() {
        0..=REQUEST_BYTES_MAX => decode(frame),
        _ => Err(BadFrame::TooLong),
    }
}

/// Why a frame is neither a question nor an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
enum BadFrame {
    #[error("it is longer than any question")]
    TooLong,
    #[error("it is of another version")]
    OtherVersion,
    #[error("it says nothing that this version understands")]
    Unknown,
    #[error("there are bytes behind its end")]
    BytesBehind,
}

/// What a frame says, if it says that and nothing more.
fn decode<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Result<T, BadFrame> {
    let Some((&VERSION, body)) = frame.split_first() else { return Err(BadFrame::OtherVersion) };
    match postcard::take_from_bytes(body) {
        Ok((said, [])) => Ok(said),
        Ok(_) => Err(BadFrame::BytesBehind),
        Err(_) => Err(BadFrame::Unknown),
    }
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    /// A status with bytes behind it was once taken for a status, and the caller never knew that more had been said.
    #[test]
    fn a_frame_says_one_thing_and_nothing_behind_it() {
        let status = encode(&Request::Status);
        assert_eq!(question(&status), Ok(Request::Status));
        let behind = [&status[..], &[0]].concat();
        assert_eq!(question(&behind), Err(BadFrame::BytesBehind));
        let refused = [&encode(&Reply::Refused("no".into()))[..], b"!"].concat();
        assert_eq!(decode::<Reply>(&refused), Err(BadFrame::BytesBehind));
    }

    #[test]
    fn what_is_no_question_is_refused_for_what_it_is() {
        assert_eq!(question(&[]), Err(BadFrame::OtherVersion));
        assert_eq!(question(&[VERSION + 1, 0]), Err(BadFrame::OtherVersion));
        assert_eq!(question(&[VERSION]), Err(BadFrame::Unknown));
        assert_eq!(question(&[VERSION, 13]), Err(BadFrame::Unknown));
        assert_eq!(question(&[VERSION; REQUEST_BYTES_MAX + 1]), Err(BadFrame::TooLong));
    }
}
