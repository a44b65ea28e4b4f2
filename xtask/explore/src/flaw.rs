//! Lines of the shipped code that a test can leave out, one at a time: its negative twin.

use std::cell::Cell;

thread_local! {
    static BROKEN: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// Is that line left out in what runs on this thread? All threads of an exploration are run by the one that began it.
pub fn broken(line: &str) -> bool {
    BROKEN.get() == Some(line)
}

/// Leaves that line out in what runs on this thread from now on.
pub fn break_line(line: &'static str) {
    BROKEN.set(Some(line));
}
