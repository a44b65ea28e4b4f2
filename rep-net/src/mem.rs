//! Channels in memory: a pair, and a named hub through which whole environments meet in one process.
//!
//! They keep the same contract as sockets, backpressure and close included, so that what is tested over them is what runs over a network;
//! and they can do what a socket cannot be asked to: crash on demand.

mod hub;
mod way;

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::channel::{Channel, Peer, TrySent};
use crate::error::NetError;
use crate::limits::Limits;
use crate::queue::PushError;
use crate::sync::{AtomicBool, Ordering};

pub use hub::{Hub, HubTransport};
use way::Way;

/// Two ends of one channel, named `left` and `right`.
pub fn pair(limits: &Limits) -> (Arc<MemChannel>, Arc<MemChannel>) {
    // Each end knows the other one by its name.
    pair_between(Peer::new("left", "memory".into()), Peer::new("right", "memory".into()), limits)
}

/// Two ends of one channel, between these two: the first end is `left`'s, whose peer is `right`.
pub fn pair_between(
    left: Peer,
    right: Peer,
    limits: &Limits,
) -> (Arc<MemChannel>, Arc<MemChannel>) {
    let (to_right, to_left) = (Way::new(limits), Way::new(limits));
    let crashed = Arc::new(AtomicBool::new(false));
    let end = |outgoing: &Way, incoming: &Way, peer| {
        Arc::new(MemChannel {
            outgoing: outgoing.clone(),
            incoming: incoming.clone(),
            crashed: Arc::clone(&crashed),
            peer,
            frame_bytes_max: limits.frame_bytes_max,
        })
    };
    (end(&to_right, &to_left, right), end(&to_left, &to_right, left))
}

/// One end of a channel in memory.
#[derive(Debug)]
pub struct MemChannel {
    outgoing: Way,
    incoming: Way,
    crashed: Arc<AtomicBool>,
    peer: Peer,
    frame_bytes_max: usize,
}

impl MemChannel {
    /// Ends the channel as the death of a process or of a connection would: what is queued is discarded, both sides
    /// find it [`NetError::Lost`].
    pub fn simulate_crash(&self) {
        if !self.outgoing.is_closed() {
            self.crashed.store(true, Ordering::Release);
        }
        self.outgoing.close_and_discard();
        self.incoming.close_and_discard();
    }

    /// Closes the channel and throws away what is queued.
    pub(crate) fn close_and_discard(&self) {
        self.outgoing.close_and_discard();
        self.incoming.close_and_discard();
    }

    pub(crate) fn check_open(&self) -> Result<(), NetError> {
        if self.outgoing.is_closed() { Err(self.ended()) } else { Ok(()) }
    }

    pub(crate) fn check_length(&self, bytes: usize) -> Result<(), NetError> {
        let bytes_max = self.frame_bytes_max;
        if bytes > bytes_max {
            return Err(NetError::FrameTooLarge { bytes, bytes_max });
        }
        Ok(())
    }

    fn join(&self, parts: &[Bytes]) -> Result<Bytes, NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        self.check_length(bytes)?;
        if let [whole] = parts {
            return Ok(whole.clone());
        }
        let mut frame = BytesMut::with_capacity(bytes);
        parts.iter().for_each(|part| frame.extend_from_slice(part));
        Ok(frame.freeze())
    }

    fn ended(&self) -> NetError {
        if self.crashed.load(Ordering::Acquire) {
            let kind = std::io::ErrorKind::ConnectionReset;
            return NetError::Lost { kind, detail: "a crash was simulated".into() };
        }
        NetError::Closed
    }
}

impl Channel for MemChannel {
    fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.check_length(frame.len())?;
        match self.outgoing.push(frame) {
            Ok(()) => Ok(()),
            Err(PushError::Full(_) | PushError::Closed(_)) => Err(self.ended()),
        }
    }

    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError> {
        self.send(self.join(parts)?)
    }

    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let frame = self.join(parts)?;
        match self.outgoing.try_push(frame) {
            Ok(()) => Ok(TrySent::Whole),
            Err(PushError::Full(_)) => Ok(TrySent::NotNow),
            Err(PushError::Closed(_)) => Err(self.ended()),
        }
    }

    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        self.incoming.pop(deadline).map_err(|_| self.ended())
    }

    fn close(&self) {
        self.outgoing.close();
        self.incoming.close();
    }

    fn peer(&self) -> &Peer {
        &self.peer
    }

    fn frame_bytes_max(&self) -> usize {
        self.frame_bytes_max
    }
}

impl Drop for MemChannel {
    fn drop(&mut self) {
        self.close();
    }
}
