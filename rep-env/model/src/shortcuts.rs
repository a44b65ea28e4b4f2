//! Orders that are not gone through, because each is like another one that is.
//!
//! Most orders differ in nothing that anybody could ever tell: whether this disk was done before or after that message
//! arrived, when nothing that happened between leans on either. Three shortcuts leave such orders out. Each argument takes any
//! way through the whole world and makes of it one that the shortcut goes, with the same power cuts, to the same fences, logs,
//! watermarks and masters. [`crate::compare`] tries that they all are there, and `--every-order` goes without.
//!
//! 1. **A disk is quick, or stuck.** What a member hands to its log is done in the same step, or never in this run.
//!    That a disk was slow, and nothing was lost, nobody else can tell from a slow message: what leans on its work is an
//!    acknowledgement, which may wait on its way as long as the disk did (the master's own counts only together with somebody's).
//!    What a disk lost in a power cut, it was stuck with since it was handed over, and with all that came after it.
//!    So there are as many stuck disks as there may yet be power cuts, and a cut takes all that was stuck.
//!    What leaves before the disk is done is seen as it leaves (`Member::carry_out` comes before the disk here).
//! 2. **An entry leaves when it arrives.** Between the two, a replica that takes it does nothing that it would not do with the
//!    entry as well: it takes what was sent before. (Whatever else it does raises its fence and ends the stream.) So it may as well arrive
//!    at once, or at any later time, and what its master has learnt meanwhile rides on the next one.
//!    What is on its way when a stream ends may still arrive.
//! 3. **An acknowledgement of no entry of the term arrives at once.** It moves nothing: dvlsn moves over entries of the term, and
//!    those who count for one have acknowledged it.
//!
//! The shortcuts are taken by the world and not by the members: how far a bug in what ships can reach is not narrowed,
//! but a bug that shows itself only where the argument leans on what is broken would be. That is why the planted
//! bugs are hunted with the shortcuts.

use crate::atlas::Sight;
use crate::letters::PeerKind;
use crate::making::Making;
use crate::member::{Input, MEMBERS};
use crate::model::{Group, What};
use crate::world::World;
use rep_node::{Message, ReplicaMessage};

/// Whether it is an acknowledgement that can move nothing.
pub(crate) fn is_of_no_account(message: &Message) -> bool {
    match message {
        Message::ToFeeder(ReplicaMessage::Ack { connection, received, .. }) => {
            received.term < connection.term
        }
        _ => false,
    }
}

impl Making<'_> {
    /// The disks do what this step has handed to them, or one of them is stuck with it.
    pub(crate) fn finish_disk_work(&mut self, sticks: bool) {
        let worked = self.group.sights(&self.before).map(Sight::has_disk_work);
        for member in (0..MEMBERS).filter(|member| !worked[*member]) {
            if !sticks {
                self.work(member);
            }
        }
        let sights = self.group.sights(&self.world);
        if sticks && sights.map(Sight::has_disk_work) == worked {
            self.give_up();
        }
    }

    fn work(&mut self, member: usize) {
        loop {
            let sight = self.group.atlas.sight(self.world.members[member]);
            match (sight.cuts_log, sight.has_disk_work()) {
                (true, _) => self.tell(member, Input::LogCut),
                (false, true) => self.tell(member, Input::LogSynced),
                (false, false) => return,
            }
        }
    }
}

impl Group {
    /// Whether one more disk may get stuck: there has to be a power cut for each.
    pub(crate) fn may_stick(&self, world: &World) -> bool {
        !self.bounds.every_order && world.crashes + self.stuck(world) < self.bounds.crashes
    }

    /// Whether there is a power cut left for a member, beside those that stuck disks wait for.
    pub(crate) fn may_lose_power(&self, world: &World, sight: &Sight) -> bool {
        let is_awaited = self.bounds.every_order || sight.has_disk_work();
        let others = if is_awaited { 0 } else { self.stuck(world) };
        world.crashes + others < self.bounds.crashes
    }

    fn stuck(&self, world: &World) -> u8 {
        self.sights(world).into_iter().filter(|sight| sight.has_disk_work()).count() as u8
    }

    /// Whether it may make a member write to its log. Only spares steps that come to nothing.
    pub(crate) fn may_begin_disk_work(&self, what: &What) -> bool {
        match what {
            What::Deliver { letter } => {
                self.atlas.letters.letter(*letter).kind() != PeerKind::Solicit
            }
            What::Down { .. } | What::Write { .. } | What::Wait { .. } => true,
            What::Up { .. }
            | What::Break { .. }
            | What::FenceWritten { .. }
            | What::LogSynced { .. }
            | What::LogCut { .. }
            | What::PowerCut { .. } => false,
        }
    }
}
