//! All three members, everything that is on its way between them, and what is remembered in order to judge.
//!
//! A world is a few dozen bytes: whatever is larger is referred to by number.

use crate::atlas::StateId;
use crate::letters::LetterId;
use crate::member::MEMBERS;
use crate::rules::Broken;
use rep_vlsn::{LogPoint, NodeId};
use std::hash::{Hash, Hasher};

/// Terms that a world remembers: the founding's, and those after it.
pub(crate) const TERMS_MAX: usize = 6;

/// Pairs of a replica and its source.
pub(crate) const PAIRS: usize = MEMBERS * (MEMBERS - 1);

/// One moment of the group.
#[derive(Clone, Copy, Debug)]
pub struct World {
    pub(crate) members: [StateId; MEMBERS],
    /// The set of letters that were sent over PEER links: see [`Mail`].
    pub(crate) mail: u32,
    /// What lies between each replica and each source: a [`Stream`] by number.
    pub(crate) streams: [u32; PAIRS],
    pub(crate) written: u8,
    pub(crate) crashes: u8,
    pub(crate) breaks: u8,
    pub(crate) past: Past,
    /// What the step that led here did. It tells no two worlds apart.
    pub(crate) note: Note,
}

/// What is remembered of the past, because no member may know it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Past {
    /// Who was crowned in each term; 0 for nobody.
    pub(crate) crowned: [u8; TERMS_MAX],
    /// The last entry that a master of each term called durable.
    pub(crate) durable: [Place; TERMS_MAX],
    /// The last entry of which a client was told that it is committed.
    pub(crate) committed: Place,
    pub(crate) broken: Broken,
}

/// A LogPoint in two bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    vlsn: u8,
    term: u8,
}

/// What a step did that is worth having been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Note {
    #[default]
    Nothing,
    /// A power cut took entries that were not synced.
    LostEntries,
    /// A power cut took a fence that was on its way.
    LostFence,
    /// A node cut entries away that its new master does not hold.
    RolledBack,
}

/// Letters over PEER links: once sent, one may arrive at any time, any number of times, or never. Sorted.
pub(crate) type Mail = Vec<LetterId>;

/// A connection from a replica to a source, or that there is none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Stream {
    /// Its number: how many of this pair came before it, as long as either end remembers one.
    pub(crate) number: u8,
    /// The replica's end is open.
    pub(crate) at_replica: bool,
    /// The source's end is open.
    pub(crate) at_source: bool,
    /// On its way to the replica, in order.
    pub(crate) down: Vec<LetterId>,
    /// On its way to the source, in order.
    pub(crate) up: Vec<LetterId>,
}

/// A replica and its source, by index of member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pair {
    pub(crate) replica: usize,
    pub(crate) source: usize,
}

impl Pair {
    pub(crate) fn all() -> impl Iterator<Item = Pair> {
        (0..PAIRS).map(Pair::at)
    }

    pub(crate) const fn at(index: usize) -> Pair {
        let (replica, rest) = (index / (MEMBERS - 1), index % (MEMBERS - 1));
        Pair { replica, source: rest + (rest >= replica) as usize }
    }

    pub(crate) const fn index(self) -> usize {
        self.replica * (MEMBERS - 1) + self.source - (self.source > self.replica) as usize
    }

    /// The replica, and the source.
    pub(crate) fn ends(self) -> [NodeId; 2] {
        [member_at(self.replica), member_at(self.source)]
    }

    /// The number of the pair's `number`-th link, at both ends: unlike the PEER link's, and unlike any number of the
    /// pair that goes the other way.
    pub(crate) const fn epoch(self, number: u8) -> u8 {
        2 * number + (self.replica < self.source) as u8
    }
}

impl Stream {
    /// The replica's end is closed: what was on its way there is lost, and what it had sent is not.
    pub(crate) fn close_at_replica(&mut self) {
        self.at_replica = false;
        self.down.clear();
        self.forget();
    }

    /// The source's end is closed.
    pub(crate) fn close_at_source(&mut self) {
        self.at_source = false;
        self.up.clear();
        self.forget();
    }

    fn forget(&mut self) {
        if !self.at_replica && !self.at_source {
            self.number = 0;
        }
    }
}

impl Place {
    pub(crate) fn of(point: LogPoint) -> Place {
        let byte = |number: u64| u8::try_from(number).expect("a world is small");
        Place { vlsn: byte(point.vlsn.get()), term: byte(point.term.get()) }
    }

    pub(crate) fn point(self) -> LogPoint {
        LogPoint::new(rep_vlsn::Term::new(self.term.into()), rep_vlsn::Vlsn::new(self.vlsn.into()))
    }

    pub(crate) const fn is_null(self) -> bool {
        self.vlsn == 0
    }
}

/// The index of a member.
pub(crate) fn index_of(id: NodeId) -> usize {
    id.get() as usize - 1
}

/// The member of an index.
pub(crate) fn member_at(index: usize) -> NodeId {
    NodeId::new(index as u32 + 1)
}

impl World {
    fn told_apart_by(&self) -> impl Hash + Eq + use<> {
        let World { members, mail, streams, written, crashes, breaks, past, note: _ } = *self;
        (members, mail, streams, (written, crashes, breaks), past)
    }
}

impl PartialEq for World {
    fn eq(&self, other: &World) -> bool {
        self.told_apart_by() == other.told_apart_by()
    }
}

impl Eq for World {}

impl Hash for World {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.told_apart_by().hash(state);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_have_an_index_each_and_links_a_number_each() {
        let mut epochs = std::collections::BTreeSet::new();
        for (index, pair) in Pair::all().enumerate() {
            assert_ne!(pair.replica, pair.source);
            assert_eq!(pair.index(), index);
            let ends = [pair.replica.min(pair.source), pair.replica.max(pair.source)];
            assert!((1..4).all(|number| epochs.insert((ends, pair.epoch(number)))));
        }
        assert!(epochs.iter().all(|(_, epoch)| *epoch > 1), "the PEER link is number 1");
    }
}
