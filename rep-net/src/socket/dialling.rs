//! Reaching somebody: connect, cover, say Hello, hear the answer.

use std::io;
use std::sync::Arc;
use std::time::Instant;

use crate::calling::{judge_answer, listening_peer};
use crate::channel::Channel;
use crate::error::{DialError, TlsError};
use crate::hello::{Hello, RefuseReason};
use crate::identity;
use crate::limits::Limits;
use crate::socket::connect::{configure, connect};
use crate::socket::cover::{Covering, Side};
use crate::socket::handshake::{Handshake, HandshakeError};
use crate::transport::Address;

/// Reaches `address` and says `hello` there, under what `covering` lays over the connection.
pub(crate) fn dial(
    address: &Address,
    hello: &Hello,
    deadline: Instant,
    covering: &dyn Covering,
    limits: &Limits,
) -> Result<Arc<dyn Channel>, DialError> {
    let sent = hello.encode().map_err(DialError::Hello)?;
    let stream = connect(address, covering, deadline)?;
    let unreachable = |error: io::Error| DialError::Unreachable {
        address: address.clone(),
        kind: error.kind(),
        detail: error.to_string(),
    };
    configure(&stream, limits).map_err(unreachable)?;
    let came_to_nothing = |error, during| failure(address, error, during);
    let mut handshake = Handshake::begin(covering, Side::Dialling, stream, deadline, limits)
        .map_err(|error| came_to_nothing(error, "agreeing on TLS"))?;
    let proved = handshake.proved.take();
    let not_proved = |error| DialError::Tls { address: address.clone(), error };
    if let Some(proved) = &proved {
        identity::may_be_told(proved, hello).map_err(not_proved)?;
    }
    let answer =
        handshake.ask(&sent).map_err(|error| came_to_nothing(error, "waiting for the answer"))?;
    let accepted = judge_answer(address, hello, &answer)?;
    if let Some(proved) = &proved {
        identity::is_who_answered(proved, &accepted).map_err(not_proved)?;
    }
    let peer = listening_peer(hello, accepted, address.clone());
    Ok(Arc::new(handshake.into_channel(peer, None, limits).map_err(unreachable)?))
}

fn failure(address: &Address, error: HandshakeError, during: &'static str) -> DialError {
    let address = address.clone();
    match error {
        HandshakeError::TimedOut => DialError::TimedOut { address, during },
        HandshakeError::Ended(detail) => DialError::HungUp { address, detail },
        HandshakeError::Frame(error) => DialError::HungUp { address, detail: error.to_string() },
        HandshakeError::Tls(TlsError::Busy) => {
            DialError::RefusedHello { address, reason: RefuseReason::Busy }
        }
        HandshakeError::Tls(error) => DialError::Tls { address, error },
    }
}
