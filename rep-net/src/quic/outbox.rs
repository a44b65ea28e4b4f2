//! Frames on their way from the threads that send to the task that has the stream.
//!
//! A thread that sends puts a whole frame here, or waits until there is room for it. The [pump](super::pump) takes all that is there at
//! once: small frames have been joined by then, so that what quinn keeps until it is acknowledged is few pieces and not many.

use std::fmt;
use std::task::{Context, Poll, Waker};

use bytes::{Bytes, BytesMut};
use quinn::VarInt;

use crate::channel::TrySent;
use crate::error::NetError;
use crate::frame;
use crate::sync::{Condvar, Mutex, broken};

/// A slice up to this length is copied next to its neighbours; a longer one travels as it is.
const JOINED_BYTES_MAX: usize = 4 << 10;

/// Frames that wait for the stream: at most so many bytes of them, or one that is longer.
#[derive(Debug)]
pub(super) struct Outbox {
    bytes_max: usize,
    state: Mutex<State>,
    room: Condvar,
}

#[derive(Default)]
struct State {
    pieces: Vec<Bytes>,
    /// What comes behind the pieces: short slices, joined.
    joined: BytesMut,
    /// Bytes that were put in and that the stream has not taken yet.
    bytes: usize,
    /// Why nothing more is put in.
    over: Option<NetError>,
    /// The stream is to be broken off, with this code.
    broken_off: Option<VarInt>,
    pump: Option<Waker>,
}

/// What the pump is to do next.
pub(super) enum Next {
    /// Send these.
    Send(Vec<Bytes>),
    /// Say that nothing follows.
    End,
    /// Break the stream off.
    BreakOff(VarInt),
}

impl Outbox {
    pub(super) fn new(bytes_max: usize) -> Self {
        Self { bytes_max, state: Mutex::default(), room: Condvar::default() }
    }

    /// Puts a frame in, waiting for room.
    pub(super) fn send(&self, parts: &[Bytes]) -> Result<(), NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        let header = frame::header(parts);
        let mut state = self.state.lock();
        loop {
            if let Some(over) = &state.over {
                return Err(over.clone());
            }
            if state.has_room(bytes, self.bytes_max) {
                state.put(&header, parts);
                return Ok(());
            }
            (state, _) = self.room.wait_until(state, None);
        }
    }

    /// Puts a frame in if there is room now.
    pub(super) fn try_send(&self, parts: &[Bytes]) -> Result<TrySent, NetError> {
        let bytes = parts.iter().map(Bytes::len).sum();
        let header = frame::header(parts);
        let Some(mut state) = self.state.try_lock() else { return Ok(TrySent::NotNow) };
        if let Some(over) = &state.over {
            return Err(over.clone());
        }
        if !state.has_room(bytes, self.bytes_max) {
            return Ok(TrySent::NotNow);
        }
        state.put(&header, parts);
        Ok(TrySent::Whole)
    }

    /// Why nothing more is put in, if so.
    pub(super) fn over(&self) -> Option<NetError> {
        self.state.lock().over.clone()
    }

    /// Takes nothing more; what is in here still goes out.
    pub(super) fn end(&self) {
        self.finish(NetError::Closed, |_| ());
    }

    /// Takes nothing more, and throws away what is in here.
    pub(super) fn fail(&self, error: NetError) {
        self.finish(error, State::clear);
    }

    /// As `fail`, and tells the peer by that code.
    pub(super) fn break_off(&self, code: VarInt) {
        self.finish(NetError::Closed, |state| {
            state.clear();
            state.broken_off = Some(code);
        });
    }

    fn finish(&self, error: NetError, and: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        state.over.get_or_insert(error);
        and(&mut state);
        let pump = state.pump.take();
        drop(state);
        if !broken("outbox-ends-in-silence") {
            self.room.notify_all();
        }
        pump.into_iter().for_each(Waker::wake);
    }

    /// What to do next, for the pump.
    pub(super) fn poll_next(&self, context: &mut Context<'_>) -> Poll<Next> {
        let mut state = self.state.lock();
        if let Some(code) = state.broken_off {
            return Poll::Ready(Next::BreakOff(code));
        }
        state.close_joined();
        if !state.pieces.is_empty() {
            return Poll::Ready(Next::Send(std::mem::take(&mut state.pieces)));
        }
        if state.over.is_some() {
            return Poll::Ready(Next::End);
        }
        state.pump = Some(context.waker().clone());
        Poll::Pending
    }

    /// The stream has taken so many bytes: there is room for others.
    pub(super) fn taken(&self, bytes: usize) {
        let mut state = self.state.lock();
        state.bytes = state.bytes.saturating_sub(bytes);
        drop(state);
        if !broken("outbox-room-in-silence") {
            self.room.notify_all();
        }
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // How much there is, never what: it is whatever people say to each other.
        f.debug_struct("State")
            .field("bytes", &self.bytes)
            .field("over", &self.over)
            .finish_non_exhaustive()
    }
}

impl State {
    fn has_room(&self, bytes: usize, bytes_max: usize) -> bool {
        self.bytes == 0 || self.bytes.saturating_add(bytes) <= bytes_max
    }

    fn put(&mut self, header: &[u8], parts: &[Bytes]) {
        self.joined.extend_from_slice(header);
        self.bytes += header.len();
        for part in parts {
            self.bytes += part.len();
            if part.len() <= JOINED_BYTES_MAX {
                self.joined.extend_from_slice(part);
            } else {
                self.close_joined();
                self.pieces.push(part.clone());
            }
        }
        if let Some(pump) = self.pump.take().filter(|_| !broken("outbox-fills-in-silence")) {
            pump.wake();
        }
    }

    fn close_joined(&mut self) {
        if !self.joined.is_empty() {
            self.pieces.push(self.joined.split().freeze());
        }
    }

    fn clear(&mut self) {
        self.pieces.clear();
        self.joined = BytesMut::new();
        self.bytes = 0;
    }
}

#[cfg(all(test, rep_loom))]
mod models {
    use super::*;
    use rep_explore::{block_on, break_line, explore, thread};
    use std::sync::Arc;

    /// Room for one small frame: each of these is longer, and travels alone.
    const BYTES_MAX: usize = 10;
    static FRAME: [Bytes; 1] = [Bytes::from_static(b"word")];

    fn next(outbox: &Outbox) -> Option<usize> {
        match block_on(|context| outbox.poll_next(context)) {
            Next::Send(pieces) => Some(pieces.iter().map(Bytes::len).sum()),
            Next::End => None,
            Next::BreakOff(_) => panic!("nobody broke it off"),
        }
    }

    /// Two who send, one of whom has to wait, and the pump.
    fn what_is_sent_goes_out() {
        let outbox = Arc::new(Outbox::new(BYTES_MAX));
        let senders: Vec<_> = (0..2)
            .map(|_| {
                let outbox = Arc::clone(&outbox);
                thread::spawn(move || outbox.send(&FRAME).unwrap())
            })
            .collect();
        let (mut left, each) = (2, frame::FRAME_HEADER_BYTES + FRAME[0].len());
        while left > 0 {
            let bytes = next(&outbox).expect("it has not ended");
            assert_eq!(bytes, each, "one at a time: the other had no room");
            outbox.taken(bytes);
            left -= 1;
        }
        senders.into_iter().for_each(|sender| sender.join().unwrap());
    }

    #[test]
    fn loom_what_is_put_into_the_outbox_goes_out_and_makes_room() {
        explore(what_is_sent_goes_out);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_room_in_the_outbox_that_is_made_in_silence_is_found() {
        break_line("outbox-room-in-silence");
        explore(what_is_sent_goes_out);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_an_outbox_that_is_filled_in_silence_is_found() {
        break_line("outbox-fills-in-silence");
        explore(what_is_sent_goes_out);
    }

    /// A full outbox that ends while somebody waits for room in it, and while the pump waits.
    fn an_end_reaches_all() {
        let outbox = Arc::new(Outbox::new(BYTES_MAX));
        outbox.send(&FRAME).unwrap();
        let (sending, ending) = (Arc::clone(&outbox), Arc::clone(&outbox));
        let sender = thread::spawn(move || sending.send(&FRAME));
        let closer = thread::spawn(move || ending.end());
        assert!(next(&outbox).is_some(), "what was put in before goes out");
        assert_eq!(next(&outbox), None, "the stream took nothing, so nobody had room");
        assert_eq!(sender.join().unwrap(), Err(NetError::Closed));
        closer.join().unwrap();
    }

    #[test]
    fn loom_the_end_of_an_outbox_reaches_who_waits_for_room_and_the_pump() {
        explore(an_end_reaches_all);
    }

    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_twin_an_outbox_that_ends_in_silence_is_found() {
        break_line("outbox-ends-in-silence");
        explore(an_end_reaches_all);
    }
}
