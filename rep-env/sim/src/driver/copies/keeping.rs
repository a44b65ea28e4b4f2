//! What a master keeps for a member that it gave a copy to: that has to put it in place, and to follow (I-30).

use crate::machine::Machine;
use crate::oracle::Roll;
use crate::world::World;
use rep_node::{MemberType, Role};
use rep_vlsn::{Incarnation, SegmentSize, Term, Vlsn};

/// A copy was given, whole.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    taker: Machine,
    incarnation: Incarnation,
    /// The copy stands on this entry.
    copy: Vlsn,
    /// Of the reign in which it was given.
    term: Term,
}

impl World {
    /// A copy was given to its end: from here on a master keeps what follows it, and so does who relays to the taker.
    pub(super) fn keeps_for(&mut self, id: Machine, taker: (Machine, Incarnation), copy: Vlsn) {
        let (taker, incarnation) = taker;
        let Some(term) = self.live_mut(id).map(|live| live.node.term()) else { return };
        let kept = Kept { taker, incarnation, copy, term };
        let listed = self.still_lists(id, &kept);
        let Some(live) = self.live_mut(id).filter(|_| listed) else { return };
        live.kept.retain(|earlier| earlier.taker != taker);
        live.kept.push(kept);
    }

    /// Forgets those for whom nothing is kept any more: nobody reigns here, they are no members, or they follow within the bounds of others.
    pub(in crate::driver) fn ends_keeping(&mut self, id: Machine, segments: &[SegmentSize]) {
        let kept_for_all = kept_within(segments, self.swarm.disk.retention_bytes);
        let now = self.now;
        let Some(live) = self.process(id).live.as_ref().filter(|live| !live.kept.is_empty()) else {
            return;
        };
        let reigns = live.node.role() == Role::Leader;
        let status = live.node.status(live.clock.local(now));
        let synced = |of: Machine| {
            let number = self.number_of(id, of)?;
            status.members.iter().find(|member| member.id == number)?.synced
        };
        let stays = |kept: &Kept| {
            // It may be kept through a later reign, too, if the log was not looked at between the two; it has to be in the first.
            let feeds = reigns || self.may_be_relayed_to(kept.taker);
            let known = synced(kept.taker).filter(|_| reigns);
            let durable = Vlsn::new(self.oracle.member(kept.taker).durable as u64);
            let follows = known.unwrap_or(durable) >= kept.copy.max(kept_for_all);
            feeds && self.still_lists(id, kept) && !follows
        };
        let stay = live.kept.iter().copied().filter(stays).collect();
        if let Some(live) = self.live_mut(id) {
            live.kept = stay;
        }
    }

    fn may_be_relayed_to(&self, taker: Machine) -> bool {
        self.swarm.members.relays && self.swarm.kind_of(taker) == MemberType::Secondary
    }

    fn still_lists(&self, id: Machine, kept: &Kept) -> bool {
        let lists = |roll: &Roll| roll.lists(kept.taker, kept.incarnation).is_some();
        self.oracle.ruling(id).is_some_and(lists)
    }

    /// The first entry that a taker needs which has not put its copy in place: nobody can have told the master otherwise.
    pub(in crate::driver) fn needed_by_a_taker(&self, id: Machine) -> Option<Vlsn> {
        let live = self.process(id).live.as_ref()?;
        let (reigns, term) = (live.node.role() == Role::Leader, live.node.term());
        let waits = |kept: &&Kept| {
            let member = self.oracle.member(kept.taker);
            let same = member.incarnation == kept.incarnation && !self.oracle.went_back(kept.taker);
            let behind = (member.durable as u64) < kept.copy.get();
            reigns
                && kept.term == term
                && same
                && !member.damaged
                && behind
                && self.still_lists(id, kept)
        };
        live.kept.iter().filter(waits).map(|kept| kept.copy).min()
    }
}

/// The first entry of the oldest file among the newest that take no more than that together; null if all do.
fn kept_within(segments: &[SegmentSize], bytes_max: u64) -> Vlsn {
    let mut room = bytes_max;
    let mut first = None;
    for segment in segments.iter().rev() {
        match room.checked_sub(segment.bytes) {
            Some(left) => room = left,
            None => return first.unwrap_or(segment.first),
        }
        first = Some(segment.first);
    }
    Vlsn::NULL
}
