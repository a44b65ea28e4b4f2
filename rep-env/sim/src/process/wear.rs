//! What wears on a disk that is no entry: cells, the index, local marks, headers of segments; and what is done about it.
//!
//! What may come of it. An index is rebuilt, and nobody sees a difference. A cell with one sound slot tells what it told. A mark or a
//! header may cost the member its directory, but not one entry. A cell with no sound slot always does: a promise that is
//! forgotten is made twice, so it is never taken for a new one.

use super::Life;
use crate::faults::{Cure, How, Place, Slots};
use crate::machine::Machine;
use crate::world::{Event, World};

impl World {
    /// Something wears on the disk of a process that is down; says whether anything did.
    pub(crate) fn wear(&mut self, id: Machine, place: Place, how: How) -> bool {
        // What a failed sync left in memory alone cannot wear on the disk.
        let (process, member) = (self.process(id), self.oracle.member(id));
        // Nor what a copy is about to take the place of.
        let waits = process.whole.is_some();
        if process.life != Life::Down || process.is_doubtful() || member.damaged || waits {
            return false;
        }
        let astray = match how {
            How::Astray(entry) => match member.log.get(entry as usize - 1) {
                Some(entry) => Some(entry.bytes.clone()),
                None => return false,
            },
            How::Flip(_) => None,
        };
        let worn = process.home.wear(place, how, astray.as_deref());
        let count = worn.len();
        if count == 0 {
            return false;
        }
        self.counts.wears += 1;
        self.note(id, &[65, count as u64], || {
            format!("on the disk of n{}: {place:?} {how:?}", id.get())
        });
        self.process_mut(id).worn.extend(worn);
        match place {
            Place::Cell { slots: Slots::Both, .. } if count == 2 => self.oracle.damaged(id),
            Place::Cell { .. } | Place::Header(_) => self.oracle.worn(id),
            Place::Mark(_) => {
                self.oracle.worn(id);
                self.oracle.unmarked(id);
            }
            Place::Index => {}
        }
        true
    }

    /// A directory that is refused because of what wore there.
    pub(super) fn calls_for_a_cure(&mut self, id: Machine) {
        if let Some((_, back)) = self.process(id).cure {
            self.schedule.push(self.now + back, Event::Cured { id });
        }
    }

    pub(crate) fn cured(&mut self, id: Machine) {
        let process = self.process_mut(id);
        let Some((cure, _)) = process.cure.take().filter(|_| process.life != Life::Up) else {
            return;
        };
        self.counts.cures += 1;
        match cure {
            Cure::Wipe => self.empty_home(id),
            Cure::Back => {
                self.note(id, &[66], || format!("the disk of n{} is what it was", id.get()));
                let process = self.process_mut(id);
                process.life = Life::Down;
                let worn = std::mem::take(&mut process.worn);
                process.home.mend(&worn);
                self.oracle.mended(id);
            }
        }
        self.start(id);
    }
}
