//! What of a copy goes out, and when: within the window, and at the pace.

use super::config::RestoreConfig;
use super::message::SourceMessage;
use super::rate::Rate;
use std::collections::VecDeque;
use std::time::Duration;

/// Messages that wait: names of known chunks, and before a next chunk is read, that one or the end.
const WAITING_MAX: usize = 2;

/// The parts of a copy on their way out.
#[derive(Debug)]
pub(super) struct Outflow {
    window_bytes: u64,
    rate: Rate,
    sent: u64,
    received: u64,
    waiting: VecDeque<SourceMessage>,
}

impl Outflow {
    pub(super) fn new(config: &RestoreConfig) -> Outflow {
        let (window_bytes, rate) = (config.window_bytes, Rate::new(config.bytes_per_s));
        Outflow { window_bytes, rate, sent: 0, received: 0, waiting: VecDeque::new() }
    }

    /// The other end has a word in it: the smaller window counts.
    pub(super) fn narrow(&mut self, window_bytes: u64) {
        self.window_bytes = self.window_bytes.min(window_bytes);
    }

    pub(super) fn push(&mut self, message: SourceMessage) {
        self.waiting.push_back(message);
    }

    /// The next message, if it may go now; it counts as sent.
    pub(super) fn pop(&mut self, now: Duration) -> Option<SourceMessage> {
        let bytes = self.waiting.front()?.window_bytes();
        if !self.has_room(bytes) || self.rate.free_at() > now {
            return None;
        }
        self.sent += bytes;
        self.rate.spend(now, bytes);
        self.waiting.pop_front()
    }

    /// Until when the pace, and nothing else, keeps a message from going.
    pub(super) fn held_up_until(&self) -> Option<Duration> {
        let next = self.waiting.front()?;
        self.has_room(next.window_bytes()).then(|| self.rate.free_at())
    }

    /// So much of all that was sent has arrived. Whether that is news; `None` if it is more than was sent.
    pub(super) fn acknowledge(&mut self, received: u64) -> Option<bool> {
        let is_news = received > self.received;
        self.received = self.received.max(received);
        (received <= self.sent).then_some(is_news)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    pub(super) fn in_flight_bytes(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }

    pub(super) fn sent_bytes(&self) -> u64 {
        self.sent
    }

    /// Nothing goes out any more.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(super) fn invariants(&self) {
        assert!(self.waiting.len() <= WAITING_MAX, "one chunk is read at a time");
    }

    /// An empty window always takes a message, however long.
    fn has_room(&self, bytes: u64) -> bool {
        let in_flight = self.in_flight_bytes();
        in_flight == 0 || in_flight.saturating_add(bytes) <= self.window_bytes
    }
}
