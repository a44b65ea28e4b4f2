//! How large the world is that is explored. Everything within these bounds is.

use std::fmt;

/// What there may be of everything that could go on for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bounds {
    /// Terms after the one in which the group was founded: no node asks for a higher one.
    pub terms: u8,
    /// Entries that clients write, in all terms together. Each reign's first entry comes on top.
    pub entries: u8,
    /// Power cuts, of any node at any moment, each followed by a restart.
    pub crashes: u8,
    /// Streams that break and are dialled again, at any moment, with the loss of all that was on its way to the replica.
    pub breaks: u8,
    /// From which logs the group sets out.
    pub start: Start,
    /// Whether a fence takes its time to the disk, so that anything may happen before it is there. Else it is there at
    /// once: the README says why nothing is lost with that.
    pub slow_fences: bool,
    /// Whether every order is gone through, also those that the shortcuts show to be like another one.
    pub every_order: bool,
}

/// The logs that the group sets out with. The others are reached from the first one by a master that writes its first entry
/// on its own disk and reaches nobody; to begin there spares the terms that it takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// As founded: the same two entries on all three disks.
    #[default]
    Founded,
    /// The first member holds an entry of term 2.
    Ahead,
    /// The first member holds an entry of term 2, the second one of term 3 in its place, the third neither.
    Parted,
}

impl Bounds {
    /// The same with so many terms.
    #[must_use]
    pub const fn terms(mut self, terms: u8) -> Self {
        self.terms = terms;
        self
    }

    /// The same with so many entries of clients.
    #[must_use]
    pub const fn entries(mut self, entries: u8) -> Self {
        self.entries = entries;
        self
    }

    /// The same with so many power cuts.
    #[must_use]
    pub const fn crashes(mut self, crashes: u8) -> Self {
        self.crashes = crashes;
        self
    }

    /// The same with so many broken streams.
    #[must_use]
    pub const fn breaks(mut self, breaks: u8) -> Self {
        self.breaks = breaks;
        self
    }

    /// The same from other logs.
    #[must_use]
    pub const fn start(mut self, start: Start) -> Self {
        self.start = start;
        self
    }

    /// The same with fences that take their time to the disk.
    #[must_use]
    pub const fn slow_fences(mut self) -> Self {
        self.slow_fences = true;
        self
    }

    /// The same without any shortcut: many times as large, to compare.
    #[must_use]
    pub const fn every_order(mut self) -> Self {
        self.every_order = true;
        self
    }

    /// No more than one term, and nothing in it.
    pub const fn least() -> Self {
        Bounds {
            terms: 1,
            entries: 0,
            crashes: 0,
            breaks: 0,
            start: Start::Founded,
            slow_fences: false,
            every_order: false,
        }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Bounds { terms, entries, crashes, breaks, start, slow_fences, every_order } = self;
        write!(f, "terms {terms}, entries {entries}, crashes {crashes}, breaks {breaks}")?;
        if *slow_fences {
            f.write_str(", slow fences")?;
        }
        if *every_order {
            f.write_str(", every order")?;
        }
        match start {
            Start::Founded => Ok(()),
            Start::Ahead => f.write_str(", from a log that is ahead"),
            Start::Parted => f.write_str(", from logs that have parted"),
        }
    }
}
