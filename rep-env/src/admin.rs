//! What operators ask over the wire.
//!
//! The service `admin` on the same port as everything else: one request, one reply, any number of times a channel. Each is a
//! frame: a version byte, then postcard. A caller needs to know nothing but an address; it is told which group and node it has
//! reached, what that node is, and what is wrong, in words.

mod client;
pub(crate) mod report;

pub use client::{AdminClient, digest, status};
pub use report::{AppliedDigest, MemberReport, StatusReport};

use crate::error::Error;
use crate::runtime::shared::Shared;
use crate::sync::{AtomicUsize, Ordering};
use bytes::Bytes;
use rep_net::{Channel, Hello, RefuseReason, ServiceHandler};
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
/// A request is a few bytes.
const REQUEST_BYTES_MAX: usize = 1024;

/// What may be asked. New questions are added at the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Request {
    Status,
    Digest,
}

/// The answers, in the order of the questions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Reply {
    Status(Box<StatusReport>),
    Digest(AppliedDigest),
    Refused(String),
}

/// Takes a digest of what is applied.
pub(crate) type DigestSource = Box<dyn Fn() -> Result<AppliedDigest, Error> + Send + Sync>;

/// Answers for one node.
pub(crate) struct Admin {
    shared: Arc<Shared>,
    incarnation: Incarnation,
    digest: Option<DigestSource>,
    callers: AtomicUsize,
}

impl Admin {
    pub(crate) fn new(
        shared: Arc<Shared>,
        incarnation: Incarnation,
        digest: Option<DigestSource>,
    ) -> Self {
        Admin { shared, incarnation, digest, callers: AtomicUsize::new(0) }
    }

    fn serve(&self, channel: &dyn Channel) {
        while let Ok(Some(frame)) = channel.receive(Instant::now() + IDLE_MAX) {
            let reply = match decode::<Request>(&frame).filter(|_| frame.len() <= REQUEST_BYTES_MAX)
            {
                Some(request) => self.answer(request),
                None => Reply::Refused("this is no question that this version understands".into()),
            };
            if channel.send(encode(&reply)).is_err() {
                break;
            }
        }
        channel.close();
    }

    fn answer(&self, request: Request) -> Reply {
        match request {
            Request::Status => match report::of(&self.shared, self.incarnation) {
                Some(report) => Reply::Status(Box::new(report)),
                None => Reply::Refused("the node does not answer".into()),
            },
            Request::Digest => match self.digest.as_ref().map(|digest| digest()) {
                Some(Ok(digest)) => Reply::Digest(digest),
                Some(Err(error)) => Reply::Refused(error.to_string()),
                None => Reply::Refused("this state machine has no digest to offer".into()),
            },
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("node", &self.shared.name).finish_non_exhaustive()
    }
}

impl ServiceHandler for Admin {
    fn check(&self, _hello: &Hello) -> Result<(), RefuseReason> {
        if self.shared.is_closing() {
            return Err(RefuseReason::Closing);
        }
        if self.callers.load(Ordering::Relaxed) >= CALLERS_MAX {
            return Err(RefuseReason::Busy);
        }
        Ok(())
    }

    fn accept(&self, _hello: Hello, channel: Arc<dyn Channel>) {
        if self.callers.fetch_add(1, Ordering::Relaxed) < CALLERS_MAX {
            self.serve(&*channel);
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

fn decode<T: for<'de> Deserialize<'de>>(frame: &[u8]) -> Option<T> {
    match frame.split_first() {
        Some((&VERSION, body)) => postcard::from_bytes(body).ok(),
        Some(_) | None => None,
    }
}
