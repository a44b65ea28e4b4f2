//! Replies in the order of their commands.

use crate::resp::reply::{Reply, Version};
use bytes::BytesMut;
use std::collections::VecDeque;

/// Replies that may wait for an undecided write.
pub(crate) const ROW_MAX: usize = 1024;
/// Bytes of these writes and their replies. One alone may be larger.
pub(crate) const ROW_BYTES_MAX: usize = 8 << 20;

/// The replies that a client is owed, and the bytes of those that it can be sent.
#[derive(Debug, Default)]
pub(super) struct Row {
    version: Version,
    /// The number of the first place.
    first: u64,
    places: VecDeque<Place>,
    bytes: usize,
    out: BytesMut,
}

#[derive(Debug)]
struct Place {
    /// What to answer, once it is known.
    reply: Option<Reply>,
    bytes: usize,
}

impl Row {
    /// Answers behind everything that was asked before.
    pub(super) fn answer(&mut self, reply: Reply) {
        if self.places.is_empty() {
            reply.write(self.version, &mut self.out);
        } else {
            let bytes = reply.bytes();
            self.bytes += bytes;
            self.places.push_back(Place { reply: Some(reply), bytes });
        }
    }

    /// Keeps a place for the reply of a write of so many bytes.
    pub(super) fn keep_place(&mut self, bytes: usize) -> u64 {
        self.bytes += bytes;
        self.places.push_back(Place { reply: None, bytes });
        self.first + self.places.len() as u64 - 1
    }

    /// The write of `place` is on its way to the log, and this is what its reply costs to keep. Its own bytes are the log's now.
    pub(super) fn began(&mut self, place: u64, bytes: usize) {
        if let Some(place) = self.place(place) {
            let before = std::mem::replace(&mut place.bytes, bytes);
            self.bytes = self.bytes - before + bytes;
        }
    }

    /// What to answer at `place`.
    pub(super) fn settle(&mut self, place: u64, reply: Reply) {
        if let Some(place) = self.place(place) {
            place.reply = Some(reply);
        }
        while let Some(Place { reply: Some(_), .. }) = self.places.front() {
            let Some(Place { reply: Some(reply), bytes }) = self.places.pop_front() else { return };
            self.first += 1;
            self.bytes -= bytes;
            reply.write(self.version, &mut self.out);
        }
    }

    fn place(&mut self, place: u64) -> Option<&mut Place> {
        let at = place.checked_sub(self.first)?;
        self.places.get_mut(at as usize)
    }

    pub(super) fn set_version(&mut self, version: Version) {
        debug_assert!(
            self.is_empty(),
            "what was asked before is answered in the version spoken then"
        );
        self.version = version;
    }

    pub(super) fn version(&self) -> Version {
        self.version
    }

    /// Whether nothing waits for an undecided write.
    pub(super) fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether no more may be asked before something is decided.
    pub(super) fn is_full(&self) -> bool {
        self.places.len() >= ROW_MAX || self.bytes >= ROW_BYTES_MAX
    }

    /// Bytes of what waits.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes for the client.
    pub(super) fn out(&mut self) -> &mut BytesMut {
        &mut self.out
    }

    pub(super) fn out_bytes(&self) -> usize {
        self.out.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_leave_in_the_order_of_their_commands() {
        let mut row = Row::default();
        row.answer(Reply::Integer(0));
        let (first, second) = (row.keep_place(5), row.keep_place(5));
        row.answer(Reply::Integer(3));
        row.began(second, 7);
        assert_eq!(row.bytes(), 12);
        row.settle(second, Reply::Integer(2));
        assert_eq!(&row.out()[..], b":0\r\n");
        row.settle(first, Reply::Integer(1));
        assert_eq!(&row.out()[..], b":0\r\n:1\r\n:2\r\n:3\r\n");
        assert!(row.is_empty() && row.bytes() == 0);
        row.settle(first, Reply::Integer(9));
        assert_eq!(row.keep_place(0), 3, "places are never numbered twice");
    }
}
