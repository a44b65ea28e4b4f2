//! One budget of memory for all clients together.
//!
//! Each client has bounds of its own, but a crowd of clients that each stay within theirs could still take everything. So
//! what each of them makes the port keep (unfinished commands, undecided writes, replies that it does not read) is summed up.
//! A small share is everybody's own and always there, which keeps ordinary clients going; who wants more than
//! the share gets it while the budget lasts. When it does not, such a client is not read from, and after a while hung up on.

use std::sync::atomic::{AtomicUsize, Ordering};

/// What a client may always make the port keep, in bytes.
pub(super) const SHARE: usize = 64 << 10;

/// The memory that all clients of a port share.
#[derive(Debug)]
pub(super) struct Memory {
    used: AtomicUsize,
    bytes_max: usize,
}

impl Memory {
    pub(super) fn new(bytes_max: usize) -> Self {
        Memory { used: AtomicUsize::new(0), bytes_max }
    }

    /// Bytes that may be kept for somebody who has its share already.
    pub(super) fn room(&self) -> usize {
        self.bytes_max.saturating_sub(self.used())
    }

    /// Bytes that are kept for all clients beyond their shares.
    pub(super) fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }
}

/// What is kept for one client; given back when this is dropped.
#[derive(Debug)]
pub(super) struct Charge<'m> {
    memory: &'m Memory,
    bytes: usize,
}

impl<'m> Charge<'m> {
    pub(super) fn new(memory: &'m Memory) -> Self {
        Charge { memory, bytes: 0 }
    }

    /// So many bytes are kept now, the share among them.
    pub(super) fn set(&mut self, bytes: usize) {
        let beyond = bytes.saturating_sub(SHARE);
        let used = &self.memory.used;
        if beyond > self.bytes {
            used.fetch_add(beyond - self.bytes, Ordering::Relaxed);
        } else if beyond < self.bytes {
            used.fetch_sub(self.bytes - beyond, Ordering::Relaxed);
        }
        self.bytes = beyond;
    }

    /// Bytes beyond the share.
    pub(super) fn beyond_share(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge<'_> {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_beyond_the_share_is_counted_and_all_of_it_comes_back() {
        let memory = Memory::new(100);
        let mut charge = Charge::new(&memory);
        charge.set(SHARE);
        assert_eq!((memory.used(), charge.beyond_share()), (0, 0));
        charge.set(SHARE + 90);
        assert_eq!(memory.room(), 10);
        let mut another = Charge::new(&memory);
        another.set(SHARE + 20);
        assert_eq!(memory.room(), 0);
        charge.set(SHARE + 30);
        assert_eq!(memory.used(), 50);
        drop(charge);
        drop(another);
        assert_eq!(memory.used(), 0);
    }
}
