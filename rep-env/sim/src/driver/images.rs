//! What becomes of a member that came back with an older image of its directory.

use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::Crash;
use crate::world::{Event, World};
use rep_node::{Link, Message, ReplicaMessage};
use rep_vlsn::{LogPoint, NodeId, Term, Vlsn};

impl World {
    /// A member says something that it may say only at or above its fence. If it had a higher one and has forgotten that,
    /// whoever hears it is told what is not so any more; unless that is somebody who remembers, and counts it for nothing.
    pub(super) fn leans_on_fence(&mut self, id: Machine, link: Link, term: Term) {
        if !self.oracle.has_forgotten(id, term) {
            return;
        }
        let hears = self.other_end(id, link);
        if !hears.is_some_and(|hears| self.remembers(hears, id)) {
            self.oracle.give_up(|| format!("{id} follows {term}, and has forgotten a higher one"));
        }
    }

    /// Whether this master has counted more of a member than the member has by now.
    fn remembers(&mut self, master: Machine, id: Machine) -> bool {
        let Some(number) = self.number_of(master, id) else { return false };
        let counted = self.counted(master, number);
        counted.get() as usize > self.oracle.member(id).log.len()
    }

    /// The last entry that a master has counted as synced by a member.
    fn counted(&mut self, master: Machine, number: NodeId) -> Vlsn {
        let now = self.now;
        let Some(live) = self.live_mut(master) else { return Vlsn::NULL };
        let status = live.node.status(live.clock.local(now));
        let of = status.members.iter().find(|member| member.id == number);
        of.and_then(|member| member.synced).unwrap_or_default()
    }

    /// Where the log of a replica ends that is past sync-up, if this master has counted more of it.
    pub(super) fn returning(
        &mut self,
        id: Machine,
        link: Link,
        message: &Message,
    ) -> Option<LogPoint> {
        let Message::ToFeeder(ReplicaMessage::Ready { at, .. }) = message else { return None };
        let other = self.other_end(id, link)?;
        self.oracle.went_back(other).then_some(())?;
        (self.counted(id, link.peer) > at.vlsn).then_some(*at)
    }

    /// I-37: it was told that its directory is an older image of itself, and it is one. Whoever started it opens it again when the others have
    /// had a master for two election timeouts, and that sets it aside.
    pub(super) fn found_to_be_an_image(&mut self, id: Machine) {
        let is_one = self.oracle.went_back(id);
        let checked = ensure(is_one, Invariant::ErrorHonesty, || {
            format!("{id} is told that it is an older image, and all that it had is there")
        });
        self.check(checked);
        self.live_mut(id).into_iter().for_each(|live| live.removed = true);
        let run = self.process(id).run;
        let after = self.swarm.election_timeout_max() * 2;
        self.schedule.push(self.now + after, Event::SetAside { id, run });
    }

    /// An image that was told so comes back as somebody new.
    pub(crate) fn sets_image_aside(&mut self, id: Machine) {
        self.counts.images_set_aside += 1;
        self.end_process(id, End { how: Crash::Kill, fate: 0, silent: false });
        self.empty_home(id);
        self.start(id);
    }

    /// I-9: what comes back with less than was counted of it is refused, for as long as that master reigns.
    pub(super) fn refuses_image(&mut self, id: Machine, link: Link, at: LogPoint) {
        self.counts.images_refused += 1;
        let stands = self.network.find(id, link.epoch).and_then(|(conn, side)| {
            let (_, end) = self.network.end(conn, side)?;
            Some(end.open)
        });
        let checked = ensure(stands != Some(true), Invariant::DistinctVoters, || {
            format!("{id} takes {} back, whose log ends at {at}: it has counted more", link.peer)
        });
        self.check(checked);
    }
}
