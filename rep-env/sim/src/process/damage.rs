//! Directories that are emptied, and entries that rot.

use super::Life;
use crate::disk;
use crate::faults::{Cure, Damage, Fault};
use crate::machine::Machine;
use crate::world::World;
use rep_vlsn::Incarnation;

impl World {
    /// The directory is emptied; the process must be down.
    pub(crate) fn empty_home(&mut self, id: Machine) {
        self.counts.wipes += 1;
        self.note(id, &[6], || format!("the directory of n{} is wiped", id.get()));
        // Flags that list nobody else would found another group: whoever starts it again has it join.
        let alone = self.swarm.members.join && self.swarm.nodes == 1;
        let process = self.process_mut(id);
        process.joins |= alone;
        process.home.wipe();
        process.image = None;
        process.worn.clear();
        process.cure = None;
        (process.whole, process.restored) = (None, None);
        if process.life != Life::Spare {
            process.life = Life::Down;
        }
        process.incarnation = Incarnation::default();
        self.passengers.wipe(id);
        self.oracle.wiped(id, Incarnation::default());
    }

    /// In some worlds a copy that is whole rots before it is put in place.
    pub(crate) fn copy_may_rot(&mut self, id: Machine) {
        self.moment_passes();
        let (share, made) = (self.swarm.disk.copies_rot, self.faults.makes_its_own());
        if made && share > 0.0 && self.rngs.outputs.chance(share) {
            let (chunk, bit) = (self.rngs.outputs.next_u64(), self.rngs.outputs.next_u64());
            self.inflict(Fault::SpoilChunk { id, chunk, bit });
        }
    }

    /// A bit flips in a chunk of the copy that lies there, if one does.
    pub(crate) fn spoil_chunk(&mut self, id: Machine, chunk: u64, bit: u64) {
        if let Some(file) = self.process(id).home.spoil_chunk(chunk, bit) {
            self.counts.rots += 1;
            self.note(id, &[98, bit], || format!("{file} of n{} rots", id.get()));
            self.process_mut(id).chunk_rots = true;
        }
    }

    /// An entry at or below the last mark is damaged. Not on a disk that has failed a sync: the mark that vouches for the entry may
    /// be among what a power cut will take, or has taken since the log was last opened, and then nothing does.
    pub(crate) fn spoil(&mut self, id: Machine, entry: u64, damage: Damage) -> bool {
        if self.process(id).is_doubtful() {
            return false;
        }
        let member = self.oracle.member(id);
        let of = |entry: u64| member.log.get(entry as usize - 1).map(|entry| entry.bytes.clone());
        let Some(record) =
            of(entry).filter(|record| entry <= member.marked as u64 && !record.is_empty())
        else {
            return false;
        };
        let other = match damage {
            Damage::Misplaced(other) => of(other),
            Damage::Flip(_) | Damage::Lost => None,
        };
        let spoilt = disk::spoilt(&record, damage, other.as_deref());
        let rotten = self.process(id).home.replace(&record, &spoilt);
        if rotten {
            self.counts.rots += 1;
            self.note(id, &[7, entry], || format!("entry {entry} of n{}: {damage:?}", id.get()));
            self.oracle.rotten(id, entry);
            // Whoever brings back what wore before brings this along.
            let process = self.process_mut(id);
            process.cure = process.cure.filter(|(cure, _)| *cure == Cure::Wipe);
        }
        rotten
    }
}
