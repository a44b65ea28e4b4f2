//! Both directions of one stream: whole frames, deadlines, closing.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Instant;

use bytes::Bytes;
use quinn::{ReadError, RecvStream, SendStream, VarInt};

use crate::error::NetError;
use crate::frame::{FRAME_HEADER_BYTES, FrameDecoder};
use crate::limits::Limits;
use crate::quic::config::window_bytes;
use crate::quic::engine::Engine;
use crate::quic::faults;
use crate::quic::link::{Link, code};
use crate::quic::outbox::Outbox;
use crate::quic::pump::pump;
use crate::quic::waiting::{Awaited, wait};
use crate::sync::{AtomicBool, Ordering};
use crate::turn::Turn;

/// One stream of a link. Its bounds are those of a Hello until they are widened.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) outbox: Arc<Outbox>,
    receiving: Awaited<Receiving>,
    /// One receiver at a time; the others wait until their own deadlines.
    turn: Turn<()>,
    closed: AtomicBool,
    pub(super) link: Arc<Link>,
    /// The pump and the connection run on it.
    _engine: Arc<Engine>,
}

struct Receiving {
    stream: RecvStream,
    decoder: FrameDecoder,
    /// What ended the stream; what is in the decoder is still given out.
    over: Option<NetError>,
    /// By which code the peer broke it off, if it did.
    broken_off: Option<VarInt>,
    /// How much is taken in at most when the line is closed.
    window_bytes: usize,
}

impl Line {
    pub(super) fn new(
        (send, receive): (SendStream, RecvStream),
        link: Arc<Link>,
        engine: &Arc<Engine>,
        limits: &Limits,
    ) -> Self {
        let window_bytes = window_bytes(limits) as usize;
        let first_bytes_max = limits.first_frame_bytes_max();
        let outbox = Arc::new(Outbox::new(window_bytes));
        engine.spawn(pump(send, Arc::clone(&outbox), Arc::clone(&link), limits.user_timeout));
        link.opened();
        Self {
            outbox,
            receiving: Awaited::new(Receiving {
                stream: receive,
                decoder: FrameDecoder::new(first_bytes_max, first_bytes_max + FRAME_HEADER_BYTES),
                over: None,
                broken_off: None,
                window_bytes,
            }),
            turn: Turn::new(()),
            closed: AtomicBool::new(false),
            link,
            _engine: Arc::clone(engine),
        }
    }

    /// The Hello is accepted.
    pub(super) fn widen(&self, limits: &Limits) {
        let (bytes_max, block_bytes) = (limits.frame_bytes_max, limits.read_block_bytes);
        self.receiving.with(|receiving| receiving.decoder.set_bounds(bytes_max, block_bytes));
    }

    pub(super) fn send(&self, frame: Bytes) -> Result<(), NetError> {
        self.outbox.send(std::slice::from_ref(&frame))
    }

    /// The next frame, or `None` if it was not complete by the deadline.
    pub(super) fn receive(&self, deadline: Instant) -> Result<Option<Bytes>, NetError> {
        let Some(turn) = self.turn.take(deadline) else { return Ok(None) };
        let next = poll_fn(|context| self.receiving.poll(context, Receiving::poll_frame));
        let received = wait(next, Some(deadline));
        self.turn.give_back(turn);
        received.transpose()
    }

    /// By which code the peer broke the stream off, if it did.
    pub(super) fn broken_off(&self) -> Option<VarInt> {
        self.receiving.with(|receiving| receiving.broken_off)
    }

    pub(super) fn close(&self) {
        self.end(Outbox::end);
    }

    /// Ends the stream, and tells the peer why by that code.
    pub(super) fn break_off(&self, code: VarInt) {
        self.end(|outbox| outbox.break_off(code));
    }

    fn end(&self, end: impl FnOnce(&Outbox)) {
        if self.closed.swap(true, Ordering::AcqRel) {
            return;
        }
        end(&self.outbox);
        self.receiving.end(Receiving::close);
        self.link.closed();
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.close();
    }
}

impl fmt::Debug for Receiving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Receiving")
            .field("decoder", &self.decoder)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl Receiving {
    fn poll_frame(&mut self, context: &mut Context<'_>) -> Poll<Result<Bytes, NetError>> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Poll::Ready(Ok(frame)),
                Ok(None) => {}
                Err(error) => {
                    let _ = self.stream.stop(code::CLOSED);
                    return Poll::Ready(Err(error.into()));
                }
            }
            if let Some(over) = &self.over {
                return Poll::Ready(Err(over.clone()));
            }
            if self.poll_read(context).is_pending() {
                return Poll::Pending;
            }
        }
    }

    /// Takes in what has come: how many bytes, none if the stream is over.
    fn poll_read(&mut self, context: &mut Context<'_>) -> Poll<usize> {
        match self.stream.poll_read(context, self.decoder.space()) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(bytes @ 1..)) => {
                self.decoder.filled(bytes);
                Poll::Ready(bytes)
            }
            Poll::Ready(end) => {
                self.over = Some(self.why_over(end.map(drop)));
                Poll::Ready(0)
            }
        }
    }

    fn why_over(&mut self, end: Result<(), ReadError>) -> NetError {
        match end {
            Ok(()) if !self.decoder.is_mid_frame() => NetError::Closed,
            Ok(()) => faults::lost(&io::ErrorKind::UnexpectedEof.into()),
            Err(ReadError::ConnectionLost(error)) => match faults::why_lost(&error) {
                NetError::Closed if self.decoder.is_mid_frame() => {
                    faults::lost(&io::ErrorKind::UnexpectedEof.into())
                }
                error => error,
            },
            Err(ReadError::ClosedStream) => NetError::Closed,
            Err(error) => {
                if let ReadError::Reset(code) = error {
                    self.broken_off = Some(code);
                }
                faults::lost(&error.into())
            }
        }
    }

    /// Takes in what has come and nothing more. The peer is told, so that nobody there waits for room.
    fn close(&mut self) {
        let mut context = Context::from_waker(Waker::noop());
        let mut left = self.window_bytes;
        while self.over.is_none() && left > 0 {
            match self.poll_read(&mut context) {
                Poll::Ready(bytes @ 1..) => left = left.saturating_sub(bytes),
                Poll::Ready(0) | Poll::Pending => break,
            }
        }
        // Part of a frame at its end is nobody's any more.
        self.over = Some(NetError::Closed);
        let _ = self.stream.stop(code::CLOSED);
    }
}
