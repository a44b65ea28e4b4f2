//! The term and the promise that must be durable before they are spoken.
//!
//! A vote that a crash can erase is no vote: the voter would give it twice. So each term has one *fence*
//! on disk, and whatever leans on it waits for the disk. The fence in memory is in force at once, though:
//! from the moment a node has decided to promise, it does nothing for an older master any more.
//!
//! The waiting is in the types: a message that leans on a fence is built from a `Durable`, and a
//! `Durable` can only be had from a fence that the disk has confirmed.

use crate::error::FenceError;
use rep_vlsn::{NodeId, Term, mutant};
use std::collections::VecDeque;

const FENCE_VERSION: u8 = 1;

/// How many fences may be on their way to the disk; later ones wait and are merged.
const IN_FLIGHT_MAX: usize = 8;

/// What a node has sworn: nothing for any term below `term`, and in `term` a promise to one node at most.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fence {
    /// The highest term promised, followed or adopted.
    pub term: Term,
    /// Whom the term was promised to; nobody if it was only followed or adopted.
    pub promised_to: Option<NodeId>,
}

impl Fence {
    /// Length of [`Fence::encode`], in bytes.
    pub const ENCODED_BYTES: usize = 13;

    /// Fixed encoding: version byte, term (u64), promised_to (u32, 0 for nobody), little-endian. It
    /// carries no checksum: the cell that keeps it has one.
    pub fn encode(self) -> [u8; Self::ENCODED_BYTES] {
        let mut out = [0; Self::ENCODED_BYTES];
        out[0] = FENCE_VERSION;
        out[1..9].copy_from_slice(&self.term.get().to_le_bytes());
        let promised_to = self.promised_to.map_or(0, NodeId::get);
        out[9..13].copy_from_slice(&promised_to.to_le_bytes());
        out
    }

    /// Reverses [`Fence::encode`].
    ///
    /// # Errors
    ///
    /// If the bytes are no fence, or one of a newer build.
    pub fn decode(bytes: &[u8]) -> Result<Self, FenceError> {
        let (needed, got) = (Self::ENCODED_BYTES, bytes.len());
        let bytes: &[u8; Self::ENCODED_BYTES] =
            bytes.try_into().map_err(|_| FenceError::Length { needed, got })?;
        if bytes[0] != FENCE_VERSION {
            return Err(FenceError::UnknownVersion { version: bytes[0], ours: FENCE_VERSION });
        }
        let mut term = [0; 8];
        term.copy_from_slice(&bytes[1..9]);
        let mut promised_to = [0; 4];
        promised_to.copy_from_slice(&bytes[9..13]);
        Ok(Fence {
            term: Term::new(u64::from_le_bytes(term)),
            promised_to: NodeId::checked(u32::from_le_bytes(promised_to)),
        })
    }
}

/// Proof that the disk holds a fence of `term` or above. Only [`FenceKeeper::durable_at`] makes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Durable {
    term: Term,
}

impl Durable {
    pub(crate) fn term(self) -> Term {
        self.term
    }
}

/// The fence in force, the one on disk, and those on their way.
#[derive(Clone, Debug)]
pub(crate) struct FenceKeeper {
    in_force: Fence,
    durable: Fence,
    in_flight: VecDeque<Fence>,
}

impl FenceKeeper {
    pub(crate) fn new(durable: Fence) -> Self {
        FenceKeeper { in_force: durable, durable, in_flight: VecDeque::new() }
    }

    pub(crate) fn in_force(&self) -> Fence {
        self.in_force
    }

    pub(crate) fn durable(&self) -> Fence {
        self.durable
    }

    /// Puts a higher fence in force; returns it if it is to be written now.
    pub(crate) fn raise(&mut self, fence: Fence) -> Option<Fence> {
        assert!(fence.term > self.in_force.term, "each fence is of a higher term than the last");
        self.in_force = fence;
        self.issue()
    }

    /// The disk holds `fence`, and so all before it; returns the next one to be written, if one waits.
    pub(crate) fn persisted(&mut self, fence: Fence) -> Option<Fence> {
        let at = self.in_flight.iter().position(|written| *written == fence);
        let at = at.expect("only fences that were given out are reported durable, once each");
        self.in_flight.drain(..=at);
        self.durable = fence;
        let issued = self.in_flight.back().copied().unwrap_or(self.durable);
        if issued == self.in_force { None } else { self.issue() }
    }

    fn issue(&mut self) -> Option<Fence> {
        if self.in_flight.len() >= IN_FLIGHT_MAX {
            return None;
        }
        self.in_flight.push_back(self.in_force);
        Some(self.in_force)
    }

    /// The proof that a fence of `term` is on disk, if it is.
    pub(crate) fn durable_at(&self, term: Term) -> Option<Durable> {
        let spoken_too_soon = mutant!("election-skip-promise-sync");
        (self.durable.term >= term || spoken_too_soon).then_some(Durable { term })
    }

    pub(crate) fn invariants(&self) {
        let mut last = self.durable.term;
        for fence in &self.in_flight {
            assert!(fence.term > last, "fences in flight rise");
            last = fence.term;
        }
        assert!(self.in_force.term >= last, "the fence in force is the highest");
        assert!(self.in_flight.len() <= IN_FLIGHT_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(term: u64, to: u32) -> Fence {
        Fence { term: Term::new(term), promised_to: NodeId::checked(to) }
    }

    #[test]
    fn the_encoding_is_fixed() {
        let bytes = fence(0x0102, 7).encode();
        assert_eq!(bytes, [1, 2, 1, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0]);
        assert_eq!(Fence::decode(&bytes), Ok(fence(0x0102, 7)));
        assert_eq!(Fence::decode(&fence(9, 0).encode()), Ok(fence(9, 0)));
    }

    #[test]
    fn foreign_bytes_are_refused_by_kind() {
        let short = FenceError::Length { needed: 13, got: 2 };
        assert_eq!(Fence::decode(&[1, 2]), Err(short));
        let newer = FenceError::UnknownVersion { version: 9, ours: 1 };
        assert_eq!(Fence::decode(&[9; 13]), Err(newer));
    }

    #[test]
    fn a_fence_is_in_force_before_it_is_durable() {
        let mut keeper = FenceKeeper::new(Fence::default());
        assert_eq!(keeper.raise(fence(1, 2)), Some(fence(1, 2)));
        assert_eq!(keeper.in_force(), fence(1, 2));
        assert!(keeper.durable_at(Term::new(1)).is_none());
        assert_eq!(keeper.persisted(fence(1, 2)), None);
        assert!(keeper.durable_at(Term::new(1)).is_some());
    }

    #[test]
    fn a_hung_disk_bounds_what_is_in_flight() {
        let mut keeper = FenceKeeper::new(Fence::default());
        let issued = (1..100).filter(|term| keeper.raise(fence(*term, 1)).is_some()).count();
        assert_eq!(issued, IN_FLIGHT_MAX);
        keeper.invariants();
        assert_eq!(keeper.persisted(fence(1, 1)), Some(fence(99, 1)), "the rest are merged");
        for term in 2..=8 {
            assert_eq!(keeper.persisted(fence(term, 1)), None);
        }
        assert_eq!(keeper.persisted(fence(99, 1)), None);
        assert_eq!(keeper.durable(), fence(99, 1));
    }
}
