//! What a search comes to, and how much of it there may be.

use std::fmt;

/// What a search came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is an order in which the object could have done it all. One such order, as places in the slice that was given:
    /// all answered operations, and those pending ones that have to have happened in it.
    Linearizable(Vec<usize>),
    /// There is none.
    NotLinearizable,
    /// Nobody looked at all that might have been.
    Unknown(GaveUp),
}

/// Why a search was given up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GaveUp {
    /// As many states as [`Budget::states_max`] were visited.
    States,
    /// The memory of visited states reached [`Budget::bytes_max`].
    Bytes,
    /// [`Budget::give_up`] said so.
    Asked,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            GaveUp::States => "the budget of states is used up",
            GaveUp::Bytes => "the budget of memory is used up",
            GaveUp::Asked => "the time is over",
        })
    }
}

/// How far a search may go. Whether a history is linearizable is NP-complete to say, so there is always one that takes too long.
#[derive(Clone, Copy)]
pub struct Budget<'a> {
    /// Configurations that may be visited (what has happened, and the state after it).
    pub states_max: u64,
    /// Bytes that the memory of them may take; buffers that grow may exceed it by half for a moment.
    pub bytes_max: usize,
    /// Asked now and then, about every millisecond: is it enough? Here a caller looks at its clock.
    pub give_up: &'a dyn Fn() -> bool,
}

/// 50 million configurations.
pub const STATES_MAX_DEFAULT: u64 = 50_000_000;

/// 512 MiB.
pub const BYTES_MAX_DEFAULT: usize = 512 << 20;

impl Default for Budget<'_> {
    fn default() -> Self {
        Self { states_max: STATES_MAX_DEFAULT, bytes_max: BYTES_MAX_DEFAULT, give_up: &|| false }
    }
}

impl fmt::Debug for Budget<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Budget")
            .field("states_max", &self.states_max)
            .field("bytes_max", &self.bytes_max)
            .finish_non_exhaustive()
    }
}
