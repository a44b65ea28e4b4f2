//! The one place at which a fault happens.

use super::{End, Fault, Inflicted, Place};
use crate::machine::Machine;
use crate::network::{ConnId, Frame, Mishap, Opening, Side};
use crate::world::{Event, World};
use std::time::Duration;

impl World {
    /// A fault happens, now, and is written down.
    pub(crate) fn inflict(&mut self, fault: Fault) {
        let inflicted = Inflicted { at: self.now, moment: self.faults.moment, fault };
        self.faults.ledger.inflicted.push(inflicted);
        match fault {
            Fault::Crash { id, end, back } => self.end_and_back(id, end, back),
            Fault::Pause { id, lasts, frozen } => {
                self.stop_process(id, frozen);
                self.later(lasts, Event::Resume { id });
            }
            Fault::Leap { id, by } => self.leap(id, by),
            Fault::Tear { id, ops, end, back } => {
                self.process(id).home.disk.crash_after_ops(ops);
                self.process_mut(id).torn = Some((end, back));
            }
            Fault::Hang { id, lasts } => {
                self.stop_disk(id);
                self.later(lasts, Event::DiskFreed { id });
            }
            Fault::Wipe { id, end, back } => {
                self.faults.spent.insert(id);
                self.end_process(id, end);
                self.empty_home(id);
                self.later(back, Event::Restart { id });
            }
            Fault::Image { id } => self.take_image(id),
            Fault::PutBack { id, end, back } => {
                self.faults.spent.insert(id);
                self.end_process(id, end);
                self.put_image_back(id);
                self.later(back, Event::Restart { id });
            }
            Fault::Rot { id, entry, damage, end, back } => {
                end.into_iter().for_each(|end| self.end_process(id, end));
                if self.spoil(id, entry, damage) {
                    self.faults.spent.insert(id);
                    self.counts.decays += u64::from(end.is_none());
                }
                self.later(back, Event::Restart { id });
            }
            Fault::Wear { id, place, how, end, back, cure } => {
                self.end_process(id, end);
                if self.wear(id, place, how) && place != Place::Index {
                    self.faults.spent.insert(id);
                    self.process_mut(id).cure = Some((cure, back));
                }
                self.later(Some(back), Event::Restart { id });
            }
            Fault::SpoilChunk { id, chunk, bit } => self.spoil_chunk(id, chunk, bit),
            Fault::Ail { id, ailment, back } => self.sicken(id, ailment, back),
            Fault::Full { id, lasts, back } => {
                self.fill_up(id, back);
                self.later(Some(lasts), Event::SpaceBack { id });
            }
            Fault::Slow { id, takes, lasts } => {
                self.slow_down(id, takes);
                self.later(Some(lasts), Event::DiskQuick { id });
            }
            Fault::Cut { from, to, lasts } => {
                self.block(from, to);
                self.later(lasts, Event::Mend { from, to });
            }
            Fault::Mend { from, to } => self.unblock(from, to),
            Fault::Reset { a, b, service, abrupt } => {
                for conn in self.network.between(a, b, service) {
                    let coming = match abrupt {
                        true => self.network.abort(self.now, conn),
                        false => self.network.reset(self.now, conn),
                    };
                    self.net_coming(coming);
                }
            }
            Fault::HalfOpen { id, other, service } => {
                for conn in self.network.between(id, other, service) {
                    let dials = self
                        .network
                        .end(conn, Side::Dialler)
                        .is_some_and(|(_, end)| end.node == id);
                    let side = if dials { Side::Dialler } else { Side::Acceptor };
                    let coming = self.network.half_close(self.now, conn, side);
                    self.net_coming(coming);
                }
            }
            Fault::Storm { from, to, service, count } => {
                self.dial_in_vain(from, to, service, count)
            }
            Fault::Twin { of, at, service } => self.dial_as_twin(of, at, service),
            Fault::Recruit { id } => self.recruit(id),
            Fault::Order { at, order } => self.give_order(at, order),
            Fault::Lure { to } => self.faults.lure = to,
            // Carried out by whoever asked what becomes of it.
            Fault::Frame { .. } | Fault::Ghosts { .. } => {}
        }
    }

    fn later(&mut self, after: Option<Duration>, event: Event) {
        if let Some(after) = after {
            self.schedule.push(self.now + after, event);
        }
    }

    pub(crate) fn end_and_back(&mut self, id: Machine, end: End, back: Option<Duration>) {
        self.end_process(id, end);
        self.later(back, Event::Restart { id });
    }

    /// A moment at which a fault may come has passed. If the run is played from a list, this is where what came in the
    /// middle of something comes again.
    pub(crate) fn moment_passes(&mut self) {
        self.faults.moment += 1;
        if !self.faults.ledger.is_given() || !self.faults.on {
            return;
        }
        while let Some(fault) = self.faults.ledger.take_at(self.now, self.faults.moment) {
            self.inflict(fault);
        }
    }

    // ---- what becomes of frames

    pub(crate) fn mishap_of(&mut self, frame: Frame) -> Option<Mishap> {
        let mishap = match self.faults.ledger.is_given() {
            true => self.faults.ledger.mishap(frame).filter(|_| self.faults.on),
            false => self.network.draw_mishap(frame),
        };
        mishap.inspect(|mishap| self.inflict(Fault::Frame { frame, mishap: *mishap }))
    }

    /// A connection stands at both ends: from now on frames of dead ones may come back on it.
    pub(crate) fn haunt(&mut self, conn: ConnId, opening: Opening) {
        let towards = match self.faults.ledger.is_given() {
            true if self.faults.on => self.faults.ledger.ghosts(opening),
            true => [0; 2],
            false => self.network.draw_ghosts(conn),
        };
        if towards != [0; 2] {
            self.inflict(Fault::Ghosts { opening, towards });
            let coming = self.network.haunt(self.now, conn, towards);
            self.net_coming(coming);
        }
    }

    pub(crate) fn reset(&mut self, conn: ConnId) {
        let dialler = self.network.end(conn, Side::Dialler);
        if let Some(((service, a), (_, b))) = dialler.zip(self.network.end(conn, Side::Acceptor)) {
            let abrupt = self.rngs.process.chance(0.5);
            self.inflict(Fault::Reset { a: a.node, b: b.node, service, abrupt });
        }
    }

    pub(super) fn lure(&mut self, to: Option<Machine>) {
        self.inflict(Fault::Lure { to });
    }
}
