//! The words for places in a replicated history.
//!
//! A place *is* a number, in a term, opened by a node: so the three words live beside the log that
//! is made of them, and every crate above speaks them without a second spelling.

use std::fmt;
use std::num::NonZeroU32;

/// A member of a group, numbered from 1. Numbers are never used again.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct NodeId(NonZeroU32);

impl NodeId {
    /// The node numbered `number`.
    ///
    /// # Panics
    ///
    /// If `number` is 0. Use [`NodeId::checked`] for numbers that come from outside.
    pub const fn new(number: u32) -> Self {
        match NonZeroU32::new(number) {
            Some(number) => NodeId(number),
            None => panic!("node ids start at 1"),
        }
    }

    /// The node numbered `number`, or `None` for 0.
    pub const fn checked(number: u32) -> Option<Self> {
        match NonZeroU32::new(number) {
            Some(number) => Some(NodeId(number)),
            None => None,
        }
    }

    /// The number, at least 1.
    pub const fn get(self) -> u32 {
        self.0.get()
    }
}

/// The number of one election. At most one node is master in a term. 0 comes before every election.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Term(u64);

impl Term {
    /// Before every election.
    pub const ZERO: Term = Term(0);

    /// The term numbered `number`.
    pub const fn new(number: u64) -> Self {
        Term(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The term after this one; the last term is its own successor (2^64 elections do not happen).
    pub const fn next(self) -> Self {
        Term(self.0.saturating_add(1))
    }
}

/// The number of an entry in the group's history: dense, from 1. 0 is [`Vlsn::NULL`], "before the first".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Vlsn(u64);

impl Vlsn {
    /// Before the first entry.
    pub const NULL: Vlsn = Vlsn(0);
    /// The first entry of every history.
    pub const FIRST: Vlsn = Vlsn(1);

    /// The entry numbered `number`.
    pub const fn new(number: u64) -> Self {
        Vlsn(number)
    }

    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }

    /// Whether this is the place before the first entry.
    pub const fn is_null(self) -> bool {
        self.0 == 0
    }

    /// The entry after this one (saturating: 2^64 entries do not happen).
    pub const fn next(self) -> Self {
        Vlsn(self.0.saturating_add(1))
    }

    /// The entry before this one; `NULL` for the first and for `NULL`.
    pub const fn prev(self) -> Self {
        Vlsn(self.0.saturating_sub(1))
    }

    /// How many entries lie after `earlier`, up to and with this one; 0 if `earlier` is not earlier.
    pub const fn distance_from(self, earlier: Vlsn) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// A place in the history: the entry `vlsn`, as written in `term`. Two logs that hold the same point hold
/// the same entries up to it. The order (term first) is the order of ranks in elections.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct LogPoint {
    /// The term whose master wrote the entry.
    pub term: Term,
    /// The entry's number.
    pub vlsn: Vlsn,
}

impl LogPoint {
    /// Before the first entry.
    pub const NULL: LogPoint = LogPoint { term: Term::ZERO, vlsn: Vlsn::NULL };
    /// Length of [`LogPoint::encode`], in bytes.
    pub const ENCODED_BYTES: usize = 16;

    /// The place `vlsn` of `term`.
    pub const fn new(term: Term, vlsn: Vlsn) -> Self {
        LogPoint { term, vlsn }
    }

    /// Fixed encoding: term, then vlsn, both u64 little-endian.
    pub fn encode(self) -> [u8; Self::ENCODED_BYTES] {
        let mut out = [0; Self::ENCODED_BYTES];
        out[..8].copy_from_slice(&self.term.get().to_le_bytes());
        out[8..].copy_from_slice(&self.vlsn.get().to_le_bytes());
        out
    }

    /// Reverses [`LogPoint::encode`].
    pub fn decode(bytes: [u8; Self::ENCODED_BYTES]) -> Self {
        let half = |at: usize| {
            let mut word = [0; 8];
            word.copy_from_slice(&bytes[at..at + 8]);
            u64::from_le_bytes(word)
        };
        LogPoint { term: Term::new(half(0)), vlsn: Vlsn::new(half(8)) }
    }
}

/// Counts the truncations of one log directory. A disk completion that carries an older epoch vouches
/// for bytes that may have been cut away since, and so for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch after one more truncation.
    pub const fn next(self) -> Self {
        Epoch(self.0.saturating_add(1))
    }
}

/// A group's random identity, minted when it is founded. Two groups of one name differ in it.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct GroupId(pub [u8; 16]);

/// A random number minted with a data directory: a wiped member is another incarnation.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Incarnation(pub [u8; 16]);

macro_rules! shown_as {
    ($name:ident, $prefix:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!($prefix, "{}"), self.get())
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    };
}

shown_as!(NodeId, "#");
shown_as!(Term, "t");
shown_as!(Vlsn, "");

impl fmt::Display for LogPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term.get(), self.vlsn.get())
    }
}

impl fmt::Debug for LogPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

fn hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

macro_rules! shown_in_hex {
    ($name:ident) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(f, &self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(f, &self.0)
            }
        }
    };
}

shown_in_hex!(GroupId);
shown_in_hex!(Incarnation);
