//! The thread that reads again what was written long ago, and what becomes of a member in which something has rotted: it falls silent, and comes back as
//! somebody new as soon as others have a master (decisions 28 and 31).

use crate::faults::End;
use crate::machine::Machine;
use crate::oracle::{Invariant, ensure};
use crate::process::{Crash, Life};
use crate::world::{Event, World};
use rep_vlsn::{MemDisk, Rot, Scrub, Scrubbed, Vlsn};
use std::time::Duration;

/// A directory is set aside so often; then its disk is not trusted any more.
const SET_ASIDE_MAX: u32 = 3;

/// How far a scrub is.
#[derive(Debug, Default)]
pub(crate) struct Scrubbing {
    scrub: Option<Scrub<MemDisk>>,
    /// When the present round began.
    since: Duration,
    /// It goes on with what has rotted: there is nobody else.
    bears: bool,
}

impl World {
    pub(crate) fn begins_to_scrub(&mut self, id: Machine) {
        let (run, every, now) = (self.process(id).run, self.swarm.disk.scrub_every, self.now);
        if every.is_zero() {
            return;
        }
        self.live_mut(id).into_iter().for_each(|live| live.scrubbing.since = now);
        self.schedule.push(self.now + every, Event::ScrubDue { id, run });
    }

    /// One file is read.
    pub(crate) fn scrub_due(&mut self, id: Machine) {
        let (run, every) = (self.process(id).run, self.swarm.disk.scrub_every);
        self.schedule.push(self.now + every, Event::ScrubDue { id, run });
        let idle = self.process(id).failed;
        let Some(live) = self.live_mut(id).filter(|live| !live.makes_way && !live.removed && !idle)
        else {
            return;
        };
        let reader = &live.reader;
        let step = live.scrubbing.scrub.get_or_insert_with(|| reader.scrub()).step();
        match step {
            Ok(Ok(Scrubbed::All)) => self.has_scrubbed(id),
            Ok(Ok(_)) => {}
            Ok(Err(rot)) => self.found_rot(id, &rot),
            Err(error) => {
                let excused = self.process(id).ails.is_some();
                let checked = ensure(excused, Invariant::ErrorHonesty, || {
                    format!("{id} cannot scrub its sound disk: {error}")
                });
                self.check(checked);
            }
        }
    }

    /// I-52: all full files were read, and nothing was found in them that was there before.
    fn has_scrubbed(&mut self, id: Machine) {
        self.counts.scrubs += 1;
        let (now, rotten_at) = (self.now, self.process(id).rotten_at);
        let Some(live) = self.live_mut(id) else { return };
        let since = std::mem::replace(&mut live.scrubbing.since, now);
        let newest = live.reader.segments().ok().and_then(|files| files.last().map(|it| it.first));
        let judged = rotten_at.is_some_and(|at| at < since) && !live.scrubbing.bears;
        if let Some(newest) = newest.filter(|_| judged) {
            let checked = self.oracle.has_scrubbed(id, newest);
            self.check(checked);
        }
    }

    fn found_rot(&mut self, id: Machine, rot: &Rot) {
        self.note(id, &[120, rot.vlsn.get()], || format!("n{} finds: {rot}", id.get()));
        let doubtful = self.process(id).is_doubtful() || self.may_be_dropped(id, rot.vlsn);
        let checked = self.oracle.finds_rot(id, rot.vlsn, doubtful);
        self.check(checked);
        self.goes_silent(id);
    }

    /// A reader has met what a scrub would have found.
    pub(super) fn meets_rot(&mut self, id: Machine, vlsn: Vlsn) {
        if self.swarm.disk.sets_aside && self.oracle.member(id).damaged {
            self.note(id, &[121, vlsn.get()], || format!("n{} meets rot at {vlsn}", id.get()));
            self.goes_silent(id);
        }
    }

    /// The only copy goes on. Any other member is silent, until others have a master.
    fn goes_silent(&mut self, id: Machine) {
        let Some(live) = self.live_mut(id) else { return };
        let me = live.me;
        let others = live.node.membership().map(|membership| {
            let mut others = membership.members.values().filter(|member| member.id != me);
            others.any(|member| member.kind.is_copy())
        });
        if others != Some(true) {
            live.scrubbing.bears = true;
            return;
        }
        self.counts.fell_silent += 1;
        self.step(id, |node, now| node.close(now));
        self.end_process(id, End { how: Crash::Kill, fate: 0, silent: false });
        self.asks_others_later(id);
    }

    pub(crate) fn asks_others_later(&mut self, id: Machine) {
        self.schedule.push(self.now + self.swarm.election_timeout, Event::AsksOthers { id });
    }

    /// It is opened again, or, if it cannot be opened, set aside, when another member says that the group has a master.
    pub(crate) fn asks_others(&mut self, id: Machine) {
        let life = self.process(id).life.clone();
        if matches!(life, Life::Up | Life::Spare) || self.process(id).cure.is_some() {
            return;
        }
        if !self.others_have_a_master(id) {
            return self.asks_others_later(id);
        }
        if life == Life::Down {
            return self.start(id);
        }
        let process = self.process_mut(id);
        if process.set_aside >= SET_ASIDE_MAX {
            return;
        }
        process.set_aside += 1;
        self.counts.set_aside += 1;
        self.note(id, &[122], || format!("the directory of n{} is set aside", id.get()));
        self.empty_home(id);
        // Whatever its flags say, it founds nothing.
        self.process_mut(id).joins = true;
        self.start(id);
    }

    fn others_have_a_master(&self, id: Machine) -> bool {
        let tells = |other: &Machine| {
            let process = self.process(*other);
            let live = process.live.as_ref().filter(|live| !process.paused && !live.removed);
            let master = live.and_then(|live| live.node.master());
            let master = master.and_then(|master| self.machine_of(*other, master));
            let reached = !self.network.is_cut(id, *other) && !self.network.is_cut(*other, id);
            *other != id && reached && master.is_some_and(|master| master != id)
        };
        self.ids().iter().any(tells)
    }
}
