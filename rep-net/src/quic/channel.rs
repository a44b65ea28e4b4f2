//! The channel over one stream, once the Hello is accepted.

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::channel::{Channel, Peer, TrySent};
use crate::error::NetError;
use crate::limits::Limits;
use crate::quic::line::Line;
use crate::seats::Seat;

/// A channel over one stream of a connection that others may share.
#[derive(Debug)]
pub(super) struct QuicChannel {
    line: Arc<Line>,
    peer: Peer,
    /// The peer's, if it called.
    _seat: Option<Seat>,
    frame_bytes_max: usize,
}

impl QuicChannel {
    pub(super) fn new(line: Arc<Line>, peer: Peer, seat: Option<Seat>, limits: &Limits) -> Self {
        line.widen(limits);
        Self { line, peer, _seat: seat, frame_bytes_max: limits.frame_bytes_max }
    }

    fn check_length(&self, parts: &[Bytes]) -> Result<(), NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        let bytes_max = self.frame_bytes_max;
        match bytes > bytes_max {
            true => Err(NetError::FrameTooLarge { bytes, bytes_max }),
            false => Ok(()),
        }
    }
}

impl Channel for QuicChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.send_parts(std::slice::from_ref(&frame))
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.check_length(parts)?;
        self.line.outbox.send(parts)
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        self.check_length(parts)?;
        self.line.outbox.try_send(parts)
    }

    fn flush(&self) -> Result<(), NetError> {
        // No frame is ever taken partly.
        self.line.outbox.over().map_or(Ok(()), Err)
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        self.line.receive(deadline).inspect_err(|error| match error {
            // The other direction has nobody to talk to either; a send that is blocked ends now. But it may be we who closed, and then
            // what was queued still goes out.
            NetError::Closed => self.line.outbox.end(),
            error => self.line.outbox.fail(error.clone()),
        })
    }

    fn close(&self) {
        self.line.close();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

impl Drop for QuicChannel {
    fn drop(&mut self) {
        // Others may have the line, to stop it by.
        self.line.close();
    }
}
