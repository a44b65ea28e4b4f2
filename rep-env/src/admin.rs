//! What operators ask over the wire.
//!
//! The service `admin` on the same port as everything else: one request, one reply, any number of times a channel. Each is a
//! frame: a version byte, then postcard. A caller needs to know nothing but an address; it is told which group and node it has
//! reached, what that node is, and what is wrong, in words.
//!
//! Where the transport proves names, who asks has to be somebody. A member may ask how things are: an operator on its machine has no other
//! certificate there, and whoever could misuse it reads the log anyway. Orders, which change what the group does, are taken
//! from an administrator alone (`rep://GROUP/@admin/NAME`); and a certificate of the group that is neither's is not answered at all.

mod client;
pub(crate) mod report;

pub use client::{AdminClient, digest, status};
pub use report::{AppliedDigest, MemberReport, StatusReport};

use crate::error::Error;
use crate::member::Member;
use crate::runtime::shared::Shared;
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use rep_net::{Channel, Hello, Identity, RefuseReason, ServiceHandler, Transport};
use rep_vlsn::Incarnation;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The service's name.
pub const ADMIN_SERVICE: &str = "admin";

const VERSION: u8 = 1;
/// Callers served at a time; one more is told `Busy`.
const CALLERS_MAX: usize = 16;
/// A caller that asks nothing for so long is hung up on.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// An order is given up after so long, whatever it says: its caller keeps a place.
const ORDER_MAX: Duration = Duration::from_secs(600);
/// The longest request names all members of a group.
const REQUEST_BYTES_MAX: usize = 20 << 10;

/// What may be asked. New questions are added at the end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    Status,
    Digest,
    TransferMaster { targets: Vec<String>, timeout_ms: u64, force: bool },
    ShutDownGroup { timeout_ms: u64 },
    RestoreFrom { source: String },
}

/// What a caller is told whose orders are not taken.
const NO_ORDERS: &str = "orders are taken from an administrator alone: rep certs issue --admin NAME makes a certificate";

impl Request {
    /// Whether it changes what the group does.
    fn is_order(&self) -> bool {
        match self {
            Request::Status | Request::Digest => false,
            Request::TransferMaster { .. }
            | Request::ShutDownGroup { .. }
            | Request::RestoreFrom { .. } => true,
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
}

/// Takes a digest of what is applied.
pub(crate) type DigestSource = Box<dyn Fn() -> Result<AppliedDigest, Error> + Send + Sync>;

/// Answers for one node.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    digest: Option<DigestSource>,
    transport: Arc<dyn Transport>,
    callers: AtomicUsize,
}

impl Admin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        incarnation: Incarnation,
        digest: Option<DigestSource>,
        transport: Arc<dyn Transport>,
    ) -> Self {
        Admin { shared, incarnation, digest, transport, callers: AtomicUsize::new(0) }
    }

    /// Whether an order of that caller is carried out.
    fn may_order(&self, hello: &Hello) -> bool {
        !self.proves_names() || Identity::administrator_of(&hello.node).is_some()
    }

    fn proves_names(&self) -> bool {
        self.transport.proof_expires().is_some()
    }

    fn serve(&self, channel: &dyn Channel, may_order: bool) {
        while let Ok(Some(frame)) = channel.receive(Instant::now() + IDLE_MAX) {
            let reply = match question(&frame) {
                Ok(request) if request.is_order() && !may_order => {
                    Reply::Refused(NO_ORDERS.to_owned())
                }
                Ok(request) => self.answer(request),
                Err(no_question) => Reply::Refused(no_question.to_string()),
            };
            if channel.send(encode(&reply)).is_err() {
                break;
            }
        }
        channel.close();
    }

    fn answer(&self, request: Request) -> Reply {
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
                let timeout = Duration::from_millis(timeout_ms).min(ORDER_MAX);
                let transferred = self.shared.transfer_master(&targets, timeout, force);
                transferred.map_or_else(unfulfilled, Reply::MasterIs)
            }
            Request::ShutDownGroup { timeout_ms } => {
                let timeout = Duration::from_millis(timeout_ms).min(ORDER_MAX);
                let shut_down = self.shared.shut_group_down(timeout);
                shut_down.map_or_else(unfulfilled, Reply::GroupShutDown)
            }
            Request::RestoreFrom { source } => match self.shared.restore_from(&source) {
                Ok(()) => Reply::Restoring,
                Err(error) => unfulfilled(error),
            },
        }
    }
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
        let is_member = self.shared.directory.id_of(&hello.node).is_some();
        if !self.may_order(hello) && !is_member {
            let detail = format!("{:?} is neither a member nor an administrator", hello.node);
            return Err(RefuseReason::NotMember { detail });
        }
        Ok(())
    }

    fn accept(&self, hello: Hello, channel: Arc<dyn Channel>) {
        if self.callers.fetch_add(1, Ordering::Relaxed) < CALLERS_MAX {
            self.serve(&*channel, self.may_order(&hello));
        }
        self.callers.fetch_sub(1, Ordering::Relaxed);
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
        assert_eq!(question(&[VERSION, 5]), Err(BadFrame::Unknown));
        assert_eq!(question(&[VERSION; REQUEST_BYTES_MAX + 1]), Err(BadFrame::TooLong));
    }
}
