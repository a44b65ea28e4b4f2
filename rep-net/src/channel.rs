//! A channel: whole frames, both ways, until somebody closes it.
//!
//! Everything that a group says to itself goes through this one trait, so that the code above never learns
//! whether memory, TCP or something encrypted lies below, and so that a test can put weather in between.
//! It blocks on purpose: a thread per direction is easy to read, to bound and to join, and groups are small.

use std::fmt::Debug;
use std::time::Instant;

use bytes::Bytes;

use crate::error::NetError;
use crate::transport::Address;

/// A full-duplex carrier of whole frames between two parties.
///
/// # The contract
///
/// 1. **Whole frames, in order.** What one `send` took, one `receive` gives: the same bytes, no more and no less, in the
///    order of the sends. The empty frame is a frame. A frame longer than [`frame_bytes_max`](Channel::frame_bytes_max)
///    is refused with [`NetError::FrameTooLarge`] and harms nothing.
/// 2. **Two independent directions.** A receive in progress never delays a send, nor the other way round. Any number of
///    threads may send (frames do not interleave) and receive (each frame goes to one of them).
/// 3. **Backpressure.** `send` blocks while the peer does not read and what lies between is full. It never drops a frame
///    and never grows a buffer without bound. A transport may give up a peer that takes nothing for very long; the
///    channel is then lost, and says so.
/// 4. **A deadline is not a failure.** `receive` gives `Ok(None)` when the deadline passes, keeps a frame of which it has half,
///    and goes on with it next time. A deadline already past still gives what has arrived.
/// 5. **Close.** `close` from any thread, on either side, any number of times, ends pending calls on both sides at once.
///    What had been queued before an orderly close is still delivered, to both sides; afterwards `receive` says [`NetError::Closed`] for
///    ever. `send` says so right away. Dropping the last handle closes. Over a network a peer that goes on sending into a
///    channel that its other side has closed may make the network throw away what was still under way: who must know that a frame
///    arrived asks for an answer.
/// 6. **A crash is not a close.** When the peer's process or the connection dies, what was queued may be discarded, and calls say
///    [`NetError::Lost`] (or `Closed`, where the network cannot tell them apart), for ever.
/// 7. **A broken peer is refused.** A frame whose length or checksum is wrong ends the channel with [`NetError::Frame`]; no
///    memory is spent on what a peer merely announces.
/// 8. **Sending without waiting.** [`try_send_parts`](Channel::try_send_parts) takes a frame as far as there is room right
///    now, and never waits: not for the peer, and not for another sender. Frames keep the order of the calls that took
///    them. Of one frame at most the channel keeps a rest; until [`flush`](Channel::flush), or the next send that waits,
///    has sent it, no other frame is taken without waiting, and a close may cut it off like any send in progress.
pub trait Channel: Send + Sync + Debug {
    /// Sends one frame, blocking while there is no room for it.
    ///
    /// # Errors
    /// [`NetError::FrameTooLarge`] (the channel goes on), [`NetError::Closed`], or [`NetError::Lost`].
    fn send(&self, frame: Bytes) -> Result<(), NetError>;

    /// Sends one frame that lies in several slices, as if they were joined; transports that can, write them without joining them.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    fn send_parts(&self, parts: &[Bytes]) -> Result<(), NetError>;

    /// Sends one frame that lies in several slices if that can be done without waiting, for callers that have no time.
    /// [`TrySent::NotNow`] is always allowed, and all that a channel does which knows no better.
    ///
    /// # Errors
    /// As [`send`](Channel::send).
    fn try_send_parts(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let _ = parts;
        Ok(TrySent::NotNow)
    }

    /// Sends what was only partly taken, blocking while there is no room for it.
    ///
    /// # Errors
    /// [`NetError::Closed`] or [`NetError::Lost`].
    fn flush(&self) -> Result<(), NetError> {
        Ok(())
    }

    /// The next frame; `Ok(None)` if none was complete by `deadline`.
    ///
    /// # Errors
    /// [`NetError::Closed`] once all that was queued before a close is delivered, [`NetError::Lost`], or [`NetError::Frame`]; the same
    /// one for ever.
    fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError>;

    /// Ends the channel, both directions, at once. Idempotent; from any thread.
    fn close(&self);

    /// Who is on the other side.
    fn peer(&self) -> &Peer;

    /// The longest frame that this channel takes.
    fn frame_bytes_max(&self) -> usize;
}

/// What became of a frame that was not to be waited for.
#[must_use = "a frame that was taken only partly has to be flushed, and one that was not taken has to be sent"]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TrySent {
    /// It is on its way.
    Whole,
    /// It was taken, and a rest of it waits for [`flush`](Channel::flush), or for the next send that waits.
    Partly,
    /// Nothing of it was taken.
    NotNow,
}

/// Who is on the other side of a channel: what it announced, and, where the transport can prove names, proved.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Peer {
    /// Its node name; empty for a client that is no member.
    pub node: String,
    /// The incarnation that it announced; zeros for a client.
    pub incarnation: [u8; 16],
    /// Where it is: what was dialled, or where the call came from.
    pub address: Address,
    /// The group that both are talking about.
    pub group: String,
    /// The service that answers on the accepting side.
    pub service: String,
    /// The protocol version that both agreed on.
    pub version: u16,
}

impl Peer {
    /// A peer of that name at that address; the rest empty, to be filled in by whoever knows it.
    pub fn new(node: impl Into<String>, address: Address) -> Self {
        Self {
            node: node.into(),
            incarnation: [0; 16],
            address,
            group: String::new(),
            service: String::new(),
            version: 0,
        }
    }
}
