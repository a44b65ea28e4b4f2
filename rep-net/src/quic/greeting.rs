//! Hearing a caller out, on a thread of its own: who it is, what it wants, and the answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use crate::calling::{Guest, calling_peer, judge_hello, malformed};
use crate::error::NetError;
use crate::hello::{Answer, RefuseReason};
use crate::limits::Limits;
use crate::quic::channel::QuicChannel;
use crate::quic::half_open::HalfOpen;
use crate::quic::line::Line;
use crate::quic::link::code;
use crate::seats::Seats;
use crate::service::{Admitted, ServiceTable};
use crate::tls::Credentials;
use crate::workers::{Place, Workers};

/// Whoever receives the callers of one listener.
#[derive(Debug)]
pub(super) struct Reception {
    pub(super) services: Arc<ServiceTable>,
    pub(super) credentials: Arc<Credentials>,
    pub(super) limits: Limits,
    /// Threads of channels that are not accepted, or whose service has not returned.
    pub(super) workers: Arc<Workers>,
    /// Connections whose handshake is not over.
    pub(super) half_open: Arc<HalfOpen>,
    /// Channels of each peer.
    pub(super) seats: Arc<Seats>,
    /// Connections of each peer.
    pub(super) connected: Arc<Seats>,
}

impl Reception {
    pub(super) fn new(
        services: Arc<ServiceTable>,
        credentials: Arc<Credentials>,
        limits: &Limits,
    ) -> Self {
        Self {
            services,
            credentials,
            limits: limits.clone(),
            workers: Workers::new(limits),
            half_open: HalfOpen::new(limits),
            seats: Seats::new(limits),
            connected: Seats::new(limits),
        }
    }

    /// Hears a caller out, answers, and hands the channel to the service.
    pub(super) fn greet(
        &self,
        place: &Place,
        line: Arc<Line>,
        from: SocketAddr,
        deadline: Instant,
    ) {
        let Some(guest) = self.hear(&line, from, deadline) else { return };
        let Guest { hello, admitted: Admitted { accepted, handler }, seat } = guest;
        let peer = calling_peer(&hello, &accepted, from.into());
        let stop = Arc::clone(&line);
        let channel = Arc::new(QuicChannel::new(line, peer, seat, &self.limits));
        if stop.send(Answer::Accepted(accepted).encode()).is_err() {
            return tracing::debug!(%from, "a caller left before it was answered");
        }
        if place.serve(Box::new(move || stop.close())) {
            handler.accept(hello, channel);
        }
    }

    /// A Hello that may be accepted, or none, and then the caller has been told why.
    fn hear(&self, line: &Line, from: SocketAddr, deadline: Instant) -> Option<Guest> {
        if let Err(fault) = line.link.is_believed(&self.credentials.material()) {
            tracing::info!(%from, %fault, "a caller has to prove again who it is");
            line.break_off(code::PROVE_AGAIN);
            return None;
        }
        let judged = match line.receive(deadline) {
            Ok(Some(frame)) => {
                judge_hello(&self.services, &self.seats, &frame, Some(&line.link.proved))
            }
            Ok(None) => {
                tracing::debug!(%from, "a caller took too long to say Hello");
                return None;
            }
            Err(NetError::Frame(error)) => Err(Some(malformed(error))),
            Err(error) => {
                tracing::debug!(%from, %error, "a caller hung up");
                return None;
            }
        };
        match judged {
            Ok(guest) => return Some(guest),
            Err(None) => tracing::debug!(%from, "a caller speaks another protocol"),
            Err(Some(reason)) => {
                tracing::info!(%from, %reason, "a caller was refused");
                let _ = line.send(Answer::Refused(reason).encode());
            }
        }
        None
    }

    /// Says that there is no room, without reading a byte or waiting.
    pub(super) fn turn_away(line: &Line) {
        let _ = line.send(Answer::Refused(RefuseReason::Busy).encode());
        line.close();
    }
}
