//! A process, its clock or its disk stands still for a while, or a clock leaps.

use crate::machine::Machine;
use crate::world::{Event, World};
use std::time::Duration;

impl World {
    /// Stops a process (SIGSTOP): the world goes on without it.
    pub(crate) fn stop_process(&mut self, id: Machine, frozen: bool) {
        if self.process(id).live.is_some() && !self.process(id).paused {
            self.counts.pauses += 1;
            self.note(id, &[4], || format!("n{} is stopped", id.get()));
            let now = self.now;
            let process = self.process_mut(id);
            process.paused = true;
            process.frozen = frozen.then_some(now);
        }
    }

    /// The clock of a process leaps ahead.
    pub(crate) fn leap(&mut self, id: Machine, by: Duration) {
        let now = self.now;
        self.process_mut(id).leapt = Some(now);
        let Some(live) = self.live_mut(id) else { return };
        live.clock.leap(by);
        self.counts.leaps += 1;
        self.note(id, &[62], || format!("the clock of n{} leaps by {by:?}", id.get()));
        self.wake_anew(id);
    }

    /// The clock of a process did not move while it was stopped.
    fn thaw(&mut self, id: Machine, since: Duration) {
        let now = self.now;
        let Some(live) = self.live_mut(id) else { return };
        live.clock.stood_still(since, now);
        live.unsynced_since = live.unsynced_since.map(|at| at + (now - since));
        self.counts.freezes += 1;
        self.wake_anew(id);
    }

    /// What was to come at a time of this process' clock comes at another time of the world.
    fn wake_anew(&mut self, id: Machine) {
        let (now, run) = (self.now, self.process(id).run);
        let Some(live) = self.live_mut(id) else { return };
        let due = live.syncs.next_timeout().map(|at| live.clock.world(at).max(now));
        let wake = live.wake.map(|at| (live.clock.world(at).max(now), at));
        due.into_iter().for_each(|at| self.schedule.push(at, Event::SyncDue { id, run }));
        if let Some((world, at)) = wake {
            self.schedule.push(world, Event::Timer { id, run, at });
        }
    }

    /// Continues a stopped process: everything that it missed comes at once.
    pub(crate) fn resume(&mut self, id: Machine) {
        if !self.process(id).paused {
            return;
        }
        self.note(id, &[5], || format!("n{} continues", id.get()));
        let now = self.now;
        let process = self.process_mut(id);
        process.paused = false;
        process.leapt = Some(now);
        let frozen = process.frozen.take();
        let missed = std::mem::take(&mut process.stalled);
        frozen.into_iter().for_each(|since| self.thaw(id, since));
        self.hands_free(id);
        for (order, event) in (0..).zip(missed) {
            // In the order in which they came: a connection's frames do not overtake each other in a stop.
            self.schedule.push(self.now + Duration::from_nanos(order), event);
        }
    }

    /// The disk takes orders and finishes none.
    pub(crate) fn stop_disk(&mut self, id: Machine) {
        self.counts.hangs += 1;
        self.note(id, &[8], || format!("the disk of n{} hangs", id.get()));
        self.process_mut(id).hung = true;
    }

    /// A disk that hung finishes what it was asked for, in that order.
    pub(crate) fn free_disk(&mut self, id: Machine) {
        if !std::mem::take(&mut self.process_mut(id).hung) {
            return;
        }
        self.note(id, &[9], || format!("the disk of n{} goes on", id.get()));
        self.hands_free(id);
        let unfinished = std::mem::take(&mut self.process_mut(id).unfinished);
        for (order, event) in (0..).zip(unfinished) {
            self.schedule.push(self.now + Duration::from_nanos(order), event);
        }
    }
}
