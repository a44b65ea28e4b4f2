//! Where iterations stand.
//!
//! A SCAN cursor is a number, but an iteration stands at a key. So a bounded table keeps, for each open iteration, the
//! key that comes next; when it is full the oldest iteration is forgotten, and its cursor then answers an error
//! rather than a wrong place. For the same reason numbers begin at a random one: a cursor of another node, or of this
//! one before it restarted, is not found here.

use bytes::Bytes;
use parking_lot::Mutex;
use std::collections::BTreeMap;
use std::hash::{BuildHasher, RandomState};

/// Iterations that are remembered at once.
pub(crate) const CURSORS_MAX: usize = 4096;

/// The cursors of one server.
#[derive(Debug)]
pub(crate) struct Cursors {
    table: Mutex<Table>,
}

#[derive(Debug)]
struct Table {
    last: u64,
    next_keys: BTreeMap<u64, Bytes>,
}

impl Cursors {
    /// An empty table. Numbers stay below 2^53, which every language's numbers hold.
    pub(crate) fn new() -> Self {
        let last = RandomState::new().hash_one("cursors") >> 12;
        Cursors { table: Mutex::new(Table { last, next_keys: BTreeMap::new() }) }
    }

    /// Remembers that an iteration goes on at `key`; gives its cursor, never 0.
    pub(crate) fn save(&self, key: Bytes) -> u64 {
        let mut table = self.table.lock();
        table.last += 1;
        let cursor = table.last;
        table.next_keys.insert(cursor, key);
        if table.next_keys.len() > CURSORS_MAX {
            table.next_keys.pop_first();
        }
        cursor
    }

    /// Where the iteration of `cursor` goes on. A cursor may be asked again, so it stays.
    pub(crate) fn find(&self, cursor: u64) -> Option<Bytes> {
        self.table.lock().next_keys.get(&cursor).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_bounded_and_forgets_the_oldest() {
        let cursors = Cursors::new();
        let first = cursors.save(Bytes::from_static(b"a"));
        assert_ne!(first, 0);
        assert_eq!(cursors.find(first), Some(Bytes::from_static(b"a")));
        for _ in 0..CURSORS_MAX {
            cursors.save(Bytes::from_static(b"b"));
        }
        assert_eq!(cursors.find(first), None);
        assert_eq!(cursors.table.lock().next_keys.len(), CURSORS_MAX);
    }
}
