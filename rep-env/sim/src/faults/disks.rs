//! Faults of disks: what is asked of them is late, fails, or is not there any more.

use super::{Ailment, Cell, Cure, Damage, End, Fault, How, Place, Slots};
use crate::machine::Machine;
use crate::oracle::{Checked, Invariant, ensure};
use crate::process::Crash;
use crate::world::{Event, World};
use rep_node::NodeState;
use rep_vlsn::SyncFailure;
use std::time::Duration;

impl World {
    /// Its machine loses power within the next few operations of its disk.
    pub(super) fn tear(&mut self, id: Machine, most: u64) {
        let ops = self.rngs.process.between(1, most);
        let (end, back) = (self.end(Crash::PowerCut), Some(self.away(None)));
        self.inflict(Fault::Tear { id, ops, end, back });
    }

    pub(crate) fn hang_disk(&mut self, id: Machine) {
        self.inflict(Fault::Hang { id, lasts: None });
    }

    /// The directory of a process that is down is emptied.
    pub(crate) fn wipe(&mut self, id: Machine) {
        let end = self.end(Crash::PowerCut);
        self.inflict(Fault::Wipe { id, end, back: None });
    }

    pub(super) fn wipe_and_back(&mut self, id: Machine) {
        if self.may_spend(id) {
            let (end, back) = (self.end(Crash::PowerCut), Some(self.away(None)));
            self.inflict(Fault::Wipe { id, end, back });
        }
    }

    /// Synced bytes are not what they were. Half of the time the process runs on, and finds out when it reads them.
    pub(super) fn rot_and_back(&mut self, id: Machine) {
        // What is durable in the group is never cut, so that nothing mends it by chance.
        let settled = self.oracle.settled(id);
        let unfit = self.oracle.member(id).damaged || !self.oracle.counts(id);
        if !self.may_spend(id) || unfit || settled == 0 {
            return;
        }
        let rng = &mut self.rngs.process;
        let entry = rng.between(1, settled);
        let damage = match rng.below(3) {
            0 => Damage::Lost,
            1 => Damage::Misplaced(rng.between(1, settled)),
            _ => Damage::Flip(rng.next_u64()),
        };
        let runs_on = rng.chance(0.5);
        let end = (!runs_on).then(|| self.end(Crash::PowerCut));
        let back = (!runs_on).then(|| self.away(None));
        self.inflict(Fault::Rot { id, entry, damage, end, back });
    }

    /// Something that is no entry wears while the process is away.
    pub(super) fn wear_and_back(&mut self, id: Machine) {
        let (most, arbiter) = (self.oracle.settled(id), self.oracle.is_arbiter(id));
        let itself = arbiter || (self.is_itself(id) && most > 0);
        if !self.may_spend(id) || !itself || self.oracle.is_spoilt(id) {
            return;
        }
        let rng = &mut self.rngs.process;
        let place = match rng.below(6) {
            _ if arbiter => Place::Cell {
                cell: rng.pick(&[Cell::Promise, Cell::Identity, Cell::Vouch, Cell::Vouch]),
                slots: rng.pick(&[Slots::First, Slots::Second, Slots::Both]),
            },
            0 => Place::Index,
            1 => Place::Mark(rng.next_u64()),
            2 => Place::Header(rng.next_u64()),
            _ => Place::Cell {
                cell: rng.pick(&[Cell::Promise, Cell::Promise, Cell::Identity, Cell::Cut]),
                slots: rng.pick(&[Slots::First, Slots::Second, Slots::Both]),
            },
        };
        let how = match arbiter || rng.chance(0.7) {
            true => How::Flip(rng.next_u64()),
            false => How::Astray(rng.between(1, most)),
        };
        let cure = rng.pick(&[Cure::Wipe, Cure::Back]);
        let crash = rng.pick(&[Crash::Kill, Crash::PowerCut]);
        let (end, back) = (self.end(crash), self.away(None));
        self.inflict(Fault::Wear { id, place, how, end, back, cure });
    }

    /// The next operation of a kind will fail.
    pub(super) fn ail(&mut self, id: Machine) {
        let ailment = match self.rngs.process.below(10) {
            0..=2 => Ailment::Sync(SyncFailure::ReadsNew),
            3 | 4 => Ailment::Sync(SyncFailure::ReadsOld),
            5 => Ailment::Sync(SyncFailure::NoSpace),
            6 => Ailment::Write,
            7 => Ailment::Rename,
            8 => Ailment::SyncDir,
            _ => Ailment::Read,
        };
        let back = self.away(None);
        self.inflict(Fault::Ail { id, ailment, back });
    }

    /// The next sync fails, after which the pages read as written; somebody restarts the process soon.
    pub(super) fn ail_soon(&mut self, id: Machine) {
        let back = self.away(Some(self.swarm.election_timeout / 5));
        self.inflict(Fault::Ail { id, ailment: Ailment::Sync(SyncFailure::ReadsNew), back });
    }

    // ---- what becomes of disks

    pub(super) fn sicken(&mut self, id: Machine, ailment: Ailment, back: Duration) {
        self.counts.disk_errors += 1;
        self.trace.say(self.now, || format!("the disk of n{}: {ailment:?} will fail", id.get()));
        let process = self.process_mut(id);
        process.ails = Some(back);
        match ailment {
            Ailment::Sync(how) => process.home.disk.fail_next_sync_as(how),
            Ailment::Write => process.home.disk.fail_next_write(),
            Ailment::Read => process.home.disk.fail_next_read(),
            Ailment::Rename => process.home.disk.fail_next_rename(),
            Ailment::SyncDir => process.home.disk.fail_next_sync_dir(),
        }
    }

    pub(super) fn fill_up(&mut self, id: Machine, back: Duration) {
        self.counts.full += 1;
        self.note(id, &[60], || format!("the disk of n{} is full", id.get()));
        let process = self.process_mut(id);
        process.ails = Some(back);
        process.full = true;
        process.home.disk.fill(true);
    }

    pub(crate) fn has_space(&mut self, id: Machine) {
        let process = self.process_mut(id);
        if std::mem::take(&mut process.full) {
            process.home.disk.fill(false);
            self.note(id, &[61], || format!("the disk of n{} has space", id.get()));
        }
    }

    pub(super) fn slow_down(&mut self, id: Machine, takes: Duration) {
        self.counts.slow += 1;
        self.trace.say(self.now, || format!("the disk of n{} takes {takes:?}", id.get()));
        self.process_mut(id).sync_takes = Some(takes);
    }

    /// Something failed that the process cannot go on without. Somebody sees that, and starts it anew.
    pub(crate) fn needs_restart(&mut self, id: Machine) {
        let back = self.process(id).ails.unwrap_or(self.swarm.process.away);
        let process = self.process_mut(id);
        if std::mem::replace(&mut process.failed, true) {
            return;
        }
        let run = process.run;
        self.counts.disk_failures += 1;
        self.schedule.push(self.now + back, Event::Reopen { id, run });
    }

    pub(crate) fn reopen(&mut self, id: Machine) {
        let checked = self.answered_all(id);
        self.check(checked);
        self.end_process(id, End { how: Crash::Kill, fate: 0, silent: false });
        self.start(id);
    }

    /// I-37: a node that will not go on has told everybody who asked.
    fn answered_all(&mut self, id: Machine) -> Checked {
        let Some(live) = self.live_mut(id) else { return Ok(()) };
        let over = live.node.state() == NodeState::Shutdown;
        let (open, coming) = (live.open_calls.len(), live.lane.len());
        ensure(!over || open <= coming, Invariant::ErrorHonesty, || {
            format!("{id} has stopped for good and leaves {open} calls without an answer")
        })
    }

    pub(super) fn heal_disk(&mut self, id: Machine) {
        let disk = self.process(id).home.disk.clone();
        disk.revive();
        disk.cure();
        self.process_mut(id).full = false;
        self.process_mut(id).sync_takes = None;
        self.free_disk(id);
        // Who has failed is started anew, and so is who does not know yet that its log is damaged.
        let failed = self.process(id).failed || self.oracle.member(id).damaged;
        if failed && self.process(id).live.is_some() {
            self.reopen(id);
        }
        // From now on a disk that fails has nobody to blame.
        self.process_mut(id).ails = None;
    }
}
