//! Older images: a copy of a member's directory is made, and a while later it takes the directory's place.

use super::{Fault, Plan};
use crate::machine::Machine;
use crate::process::Crash;
use crate::world::World;

impl World {
    /// A copy is made, and somebody will put it back.
    pub(super) fn image_and_back(&mut self, id: Machine) {
        if self.is_itself(id) && self.oracle.member(id).durable > 0 {
            self.inflict(Fault::Image { id });
            let after = self.a_few_timeouts(&[1, 4, 12]);
            self.plan(after, Plan::PutBack(id));
        }
    }

    /// The copy is put back, if the member is still the one of which it was made, and may lose something.
    pub(super) fn put_back_and_start(&mut self, id: Machine) {
        if self.process(id).image.is_some() && self.is_itself(id) && self.may_spend(id) {
            let how = self.rngs.process.pick(&[Crash::Kill, Crash::PowerCut]);
            let (end, back) = (self.end(how), Some(self.away(None)));
            self.inflict(Fault::PutBack { id, end, back });
        }
    }

    /// Its directory is neither another one than the group knows nor damaged.
    pub(super) fn is_itself(&self, id: Machine) -> bool {
        self.oracle.counts(id) && !self.oracle.member(id).damaged
    }

    /// A copy of the directory is made, as it is now.
    pub(crate) fn take_image(&mut self, id: Machine) {
        // A copy of what has worn would be refused long after whatever wore was mended.
        if self.oracle.is_spoilt(id) {
            return;
        }
        let image = self.process(id).home.image();
        self.note(id, &[64], || format!("a copy is made of n{}", id.get()));
        self.process_mut(id).image = Some(image);
    }

    /// The copy takes the place of the directory, whose process is down; what came since is gone.
    pub(crate) fn put_image_back(&mut self, id: Machine) {
        let process = self.process_mut(id);
        if let Some(image) = process.image.clone() {
            process.home.put_back(&image);
            (process.whole, process.restored) = (None, None);
            self.counts.images += 1;
            self.passengers.wipe(id);
            self.oracle.put_back(id);
            self.note(id, &[63], || format!("n{} is what it was a while ago", id.get()));
        }
    }
}
