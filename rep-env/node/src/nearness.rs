//! How far the members are from each other.
//!
//! Each measures how long a ping takes to every other and back: no clock is compared with another. What it has measured is its *row*, which it tells
//! the others when it has changed, so that all look at one matrix. In an election the promises bring the rows along, fresh
//! ([`rep_election::Promise`]), so that whoever ranks the same promises names the same winner, whatever it has kept (`docs/election.md`): what is
//! kept here is for whoever asks between elections, and decides nothing.

use crate::error::PeerError;
use crate::links::{Link, Open};
use crate::membership::MEMBERS_MAX;
use crate::message::Message;
use crate::node::Node;
use rep_vlsn::NodeId;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// What one member has measured: the smoothed round trip to each other.
pub type RoundTrips = BTreeMap<NodeId, Duration>;

/// Rows are told in every fourth round of pings.
const ROUNDS: u32 = 4;

/// Bytes of one entry of a row: number, and microseconds.
const ENTRY_BYTES: usize = 8;

/// The rows of the others, and what they were told of this node's own.
#[derive(Debug, Default)]
pub(crate) struct Nearness {
    rows: BTreeMap<NodeId, RoundTrips>,
    told: RoundTrips,
    /// Rounds of pings so far.
    rounds: u32,
}

impl Nearness {
    /// Whether it is time to look whether the others have to be told.
    fn is_due(&mut self) -> bool {
        self.rounds = self.rounds.wrapping_add(1);
        self.rounds.is_multiple_of(ROUNDS)
    }

    /// Forgets everybody but `known`.
    pub(crate) fn retain(&mut self, known: &BTreeSet<NodeId>) {
        self.rows.retain(|id, _| known.contains(id));
        self.rows.values_mut().for_each(|row| row.retain(|id, _| known.contains(id)));
    }
}

/// Whether somebody who knows `old` has to be told `new`: about somebody else, or one has changed by more than a quarter.
fn differs(old: &RoundTrips, new: &RoundTrips) -> bool {
    let moved = |old: &Duration, new: &Duration| old.abs_diff(*new) * 4 > *old;
    !old.keys().eq(new.keys()) || old.values().zip(new.values()).any(|(old, new)| moved(old, new))
}

/// A row as the body of a frame: numbers ascending, round trips in microseconds, 71 minutes at most.
pub(crate) fn encode(row: &RoundTrips) -> Vec<u8> {
    let entry = |(id, trip): (&NodeId, &Duration)| {
        let micros = u32::try_from(trip.as_micros()).unwrap_or(u32::MAX);
        [id.get().to_le_bytes(), micros.to_le_bytes()].concat()
    };
    row.iter().flat_map(entry).collect()
}

pub(crate) fn decode(body: &[u8]) -> Result<RoundTrips, PeerError> {
    if !body.len().is_multiple_of(ENTRY_BYTES) || body.len() > MEMBERS_MAX * ENTRY_BYTES {
        return Err(PeerError::Malformed("wrong length"));
    }
    let mut row = RoundTrips::new();
    for entry in body.chunks_exact(ENTRY_BYTES) {
        let [id, micros] = [&entry[..4], &entry[4..]]
            .map(|four| u32::from_le_bytes(four.try_into().expect("half of eight bytes")));
        let id = NodeId::new(id);
        if row.last_key_value().is_some_and(|(last, _)| *last >= id) {
            return Err(PeerError::Malformed("round trips out of order"));
        }
        row.insert(id, Duration::from_micros(micros.into()));
    }
    Ok(row)
}

impl Node {
    /// The round trips that each member has measured, by who measured them: this node's own row, and those that it was told.
    pub fn nearness(&self) -> BTreeMap<NodeId, RoundTrips> {
        let mut rows = self.nearness.rows.clone();
        rows.insert(self.config.me, self.own_row());
        rows
    }

    fn own_row(&self) -> RoundTrips {
        let known: BTreeSet<NodeId> = self.others().take(MEMBERS_MAX).collect();
        let measured = self.links.round_trips().iter().filter(|(id, _)| known.contains(id));
        measured.map(|(id, trip)| (*id, *trip)).collect()
    }

    /// A round of pings has gone out.
    pub(crate) fn share_nearness(&mut self) {
        if !self.nearness.is_due() {
            return;
        }
        let row = self.own_row();
        if differs(&self.nearness.told, &row) {
            let links: Vec<Link> = self.links.peers().map(|open| open.link).collect();
            links.into_iter().for_each(|link| self.send(link, Message::RoundTrips(row.clone())));
            self.nearness.told = row;
        }
    }

    /// Somebody who is newly connected was told nothing yet.
    pub(crate) fn tell_nearness(&mut self, link: Link) {
        if !self.nearness.told.is_empty() {
            self.send(link, Message::RoundTrips(self.nearness.told.clone()));
        }
    }

    /// A member says what it has measured.
    pub(crate) fn told_nearness(&mut self, open: &Open, mut row: RoundTrips) {
        if self.is_placed() && self.is_member(open) {
            let known: BTreeSet<NodeId> = self.known_members();
            row.retain(|id, _| known.contains(id));
            self.nearness.rows.insert(open.link.peer, row);
        }
    }

    /// All that this node knows and that were not removed.
    pub(crate) fn known_members(&self) -> BTreeSet<NodeId> {
        self.contacts.values().filter(|it| !it.removed).map(|it| it.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(trips: &[(u32, u64)]) -> RoundTrips {
        trips.iter().map(|(id, us)| (NodeId::new(*id), Duration::from_micros(*us))).collect()
    }

    #[test]
    fn a_row_is_told_again_when_it_is_about_others_or_has_moved_by_more_than_a_quarter() {
        let told = row(&[(2, 100), (3, 400)]);
        assert!(!differs(&told, &row(&[(2, 125), (3, 300)])));
        assert!(differs(&told, &row(&[(2, 126), (3, 400)])));
        assert!(differs(&told, &row(&[(2, 100), (3, 299)])));
        assert!(differs(&told, &row(&[(2, 100), (4, 400)])));
        assert!(differs(&told, &row(&[(2, 100)])));
        assert!(!differs(&row(&[]), &row(&[])));
    }

    #[test]
    fn whoever_is_known_no_more_is_in_no_row() {
        let mut nearness = Nearness::default();
        nearness.rows.insert(NodeId::new(2), row(&[(1, 5), (3, 6)]));
        nearness.rows.insert(NodeId::new(3), row(&[(1, 5)]));
        nearness.retain(&[NodeId::new(1), NodeId::new(2)].into());
        assert_eq!(nearness.rows, [(NodeId::new(2), row(&[(1, 5)]))].into());
    }
}
