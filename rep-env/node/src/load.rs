//! What each member has to do beside its own work: how many copies it gives, how many streams it relays, and whether it doubts what it holds.
//!
//! Members tell each other when that changes, so that whoever needs a copy asks first who has least to do. It is news of a moment ago, and decides
//! nothing but an order: whether a copy is given is for its source to say, when it is asked.

use crate::error::PeerError;
use crate::links::{Link, Open};
use crate::message::Message;
use crate::node::Node;
use rep_vlsn::{NodeId, mutant};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The version of the PEER channel from which on loads are told.
pub(crate) const TOLD_FROM: u16 = 2;

/// What a member has to do beside its own work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Load {
    /// Copies of its state that it gives.
    pub copies: u32,
    /// Streams that it relays. A master's are left out: it feeds everybody, and is asked last.
    pub streams: u32,
    /// Something has rotted in it, and it goes on because the group has no other copy.
    pub in_doubt: bool,
}

impl Load {
    /// Copies, streams and a load.
    pub fn new(copies: u32, streams: u32, in_doubt: bool) -> Self {
        Load { copies, streams, in_doubt }
    }

    /// Whom to ask first: none that is in doubt while there is another, then who gives fewer copies, then who is nearer. A stream that a member relays
    /// counts as if it were once more as far away.
    pub(crate) fn rank(self, far: Duration) -> (bool, u32, Duration) {
        (self.in_doubt, self.copies, far.saturating_mul(self.streams.saturating_add(1)))
    }
}

/// A load as the body of a frame: copies, streams, and a flag.
pub(crate) fn encode(load: Load) -> ([u64; 1], [u8; 1]) {
    ([u64::from(load.copies) | u64::from(load.streams) << 32], [u8::from(load.in_doubt)])
}

pub(crate) fn decode(numbers: u64, flag: u8) -> Result<Load, PeerError> {
    let in_doubt = match flag {
        0 => false,
        1 => true,
        _ => return Err(PeerError::Malformed("a flag is 0 or 1")),
    };
    Ok(Load { copies: numbers as u32, streams: (numbers >> 32) as u32, in_doubt })
}

/// The loads of the others, and what they were told of this node's own.
#[derive(Debug, Default)]
pub(crate) struct Loads {
    of: BTreeMap<NodeId, Load>,
    told: Load,
    in_doubt: bool,
}

impl Loads {
    /// Forgets everybody but `known`.
    pub(crate) fn retain(&mut self, known: &BTreeSet<NodeId>) {
        self.of.retain(|id, _| known.contains(id));
    }
}

impl Node {
    /// What that member has told this node; of who has told nothing, nothing.
    pub fn load_of(&self, id: NodeId) -> Load {
        match id == self.config.me {
            true => self.own_load(),
            false => self.loads.of.get(&id).copied().unwrap_or_default(),
        }
    }

    fn own_load(&self) -> Load {
        let relays = self.following.as_ref().map_or(0, |following| following.relayed.len());
        Load {
            copies: self.cleaning.pins() as u32,
            streams: relays as u32,
            in_doubt: self.loads.in_doubt,
        }
    }

    /// The driver says whether something has rotted here that this node goes on with.
    pub fn doubt_itself(&mut self, in_doubt: bool) {
        self.loads.in_doubt = in_doubt;
    }

    /// Whether this node doubts what it holds, and somebody else could give what it is asked for.
    pub(crate) fn is_doubtful(&self, now: Duration) -> bool {
        let Some(ruling) = self.membership().filter(|_| self.loads.in_doubt) else { return false };
        let copies = ruling.members.values().filter(|member| member.kind.is_copy());
        let mut others = copies.map(|member| member.id).filter(|id| *id != self.config.me);
        let sound = |id: NodeId| !self.load_of(id).in_doubt && self.could_give(now, id);
        others.any(sound) && !mutant!("restore-from-a-doubtful-source")
    }

    /// Whether that member is in sync with this node, if this one is master, or else is there at all.
    fn could_give(&self, now: Duration, id: NodeId) -> bool {
        match self.reign {
            Some(_) => self.is_fed_live(now, id),
            None => self.hears(now, id),
        }
    }

    /// A round of pings has gone out.
    pub(crate) fn share_load(&mut self) {
        let load = self.own_load();
        if load == self.loads.told {
            return;
        }
        self.loads.told = load;
        let links: Vec<Link> = self.links.peers().map(|open| open.link).collect();
        links.into_iter().for_each(|link| self.say_load(link));
    }

    /// Somebody who is newly connected was told nothing yet.
    pub(crate) fn tell_load(&mut self, link: Link) {
        self.loads.of.remove(&link.peer);
        if self.loads.told != Load::default() {
            self.say_load(link);
        }
    }

    /// Who speaks an earlier version would hang up on a message that it does not know.
    fn say_load(&mut self, link: Link) {
        let speaks = self.links.find(link).is_some_and(|open| open.version >= TOLD_FROM);
        if speaks {
            self.send(link, Message::Load(self.loads.told));
        }
    }

    /// A member says what it has to do.
    pub(crate) fn told_load(&mut self, open: &Open, load: Load) {
        if self.is_placed() && self.is_member(open) {
            self.loads.of.insert(open.link.peer, load);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_has_less_to_do_is_asked_first_and_then_whoever_is_nearer() {
        let ms = Duration::from_millis;
        let mut asked = [
            (Load::new(0, 0, true), ms(1)),
            (Load::new(1, 0, false), ms(1)),
            (Load::new(0, 2, false), ms(2)),
            (Load::new(0, 0, false), ms(5)),
            (Load::new(0, 0, false), ms(7)),
            (Load::new(0, 0, false), Duration::MAX),
        ];
        asked.sort_by_key(|(load, far)| load.rank(*far));
        let order = asked.map(|(load, far)| (load.copies, load.streams, far));
        let far = [ms(5), ms(2), ms(7), Duration::MAX, ms(1), ms(1)];
        assert_eq!(order.map(|(.., far)| far), far);
        assert!(asked[5].0.in_doubt);
    }

    #[test]
    fn a_load_comes_back_from_its_bytes() {
        for load in [Load::default(), Load::new(3, 70_000, true), Load::new(u32::MAX, 1, false)] {
            let ([numbers], [flag]) = encode(load);
            assert_eq!(decode(numbers, flag), Ok(load));
        }
        assert!(decode(0, 2).is_err());
    }
}
