//! What both sides of a call do with a Hello and its answer, whatever carries them.

use std::sync::Arc;

use bytes::Bytes;

use crate::channel::Peer;
use crate::error::{DialError, HelloError};
use crate::hello::{Accepted, Answer, Hello, RefuseReason};
use crate::identity::Identity;
use crate::seats::{Seat, Seats};
use crate::service::{Admitted, ServiceTable};
use crate::transport::Address;

/// Somebody who may be let in.
pub(crate) struct Guest {
    pub(crate) hello: Hello,
    pub(crate) admitted: Admitted,
    /// Taken if the transport has proof of who it is.
    pub(crate) seat: Option<Seat>,
}

/// Whether to let a caller in; the reason why not, or none if it would not understand one.
pub(crate) fn judge_hello(
    services: &ServiceTable,
    seats: &Arc<Seats>,
    frame: &[u8],
    proved: Option<&[Identity]>,
) -> Result<Guest, Option<RefuseReason>> {
    let hello = Hello::decode(frame).map_err(|error| match error {
        HelloError::WrongMagic => None,
        error => Some(malformed(error)),
    })?;
    let admitted = services.admit(&hello, proved)?;
    // Admitted, it is who it says.
    let who = proved.map(|_| Identity::new(&*admitted.accepted.group, &*hello.node));
    let seat = who.map(|who| seats.take(who)).transpose()?;
    Ok(Guest { hello, admitted, seat })
}

pub(crate) fn malformed(error: impl ToString) -> RefuseReason {
    RefuseReason::Malformed { detail: error.to_string() }
}

/// Whether the answer is one to that Hello, and lets us in.
pub(crate) fn judge_answer(
    address: &Address,
    hello: &Hello,
    answer: &Bytes,
) -> Result<Accepted, DialError> {
    let bad = |error| DialError::BadAnswer { address: address.clone(), error };
    match Answer::decode(answer).map_err(bad)? {
        Answer::Accepted(accepted) => {
            accepted.check(hello).map_err(bad)?;
            Ok(accepted)
        }
        Answer::Refused(reason) => {
            Err(DialError::RefusedHello { address: address.clone(), reason })
        }
    }
}

/// Who is on the other side of a channel that was dialled.
pub(crate) fn listening_peer(hello: &Hello, accepted: Accepted, address: Address) -> Peer {
    Peer {
        node: accepted.node,
        incarnation: accepted.incarnation,
        address,
        group: accepted.group,
        service: hello.service.clone(),
        version: accepted.version,
    }
}

/// Who is on the other side of a channel that was accepted.
pub(crate) fn calling_peer(hello: &Hello, accepted: &Accepted, from: Address) -> Peer {
    Peer {
        node: hello.node.clone(),
        incarnation: hello.incarnation,
        address: from,
        group: accepted.group.clone(),
        service: hello.service.clone(),
        version: accepted.version,
    }
}
