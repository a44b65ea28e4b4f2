//! The queue with one line broken: what the models of it must refuse.

/// Ways to break the queue, one line each. A model that passes with one of them models nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(not(any(rep_loom, rep_shuttle)), allow(dead_code, unreachable_pub))]
pub enum Flaw {
    /// `close` wakes one consumer where all are needed.
    CloseWakesOne,
    /// Room that was made wakes one producer, perhaps not the one whose turn it is.
    RoomWakesOne,
    /// A consumer looks, lets go of the lock, and then waits.
    LookThenWait,
    /// Items are pushed without waking anybody.
    PushWakesNobody,
    /// A task whose turn for room has come is not woken.
    TurnOfTaskForgotten,
    /// Whoever gives up waiting for room stays in the row, before everybody else.
    QuitterStaysInRow,
}
