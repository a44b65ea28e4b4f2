//! What happened in a run, in numbers.

use crate::process::Crash;

/// What happened, in numbers.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Processes killed.
    pub kills: u64,
    /// Machines that lost power.
    pub power_cuts: u64,
    /// Processes stopped for a while.
    pub pauses: u64,
    /// Disks that hung for a while.
    pub hangs: u64,
    /// Directories wiped.
    pub wipes: u64,
    /// Logs rotten at or below their mark.
    pub rots: u64,
    /// Directions cut.
    pub cuts: u64,
    /// Traps sprung.
    pub traps: u64,
    /// Reigns begun.
    pub elections: u64,
    /// Truncations.
    pub rollbacks: u64,
    /// Writes acknowledged.
    pub acked: u64,
    /// Acknowledged writes that a later master lacked: only power cuts, wipes and weak policies explain one.
    pub lost: u64,
    /// Writes whose outcome is unknown.
    pub unknown: u64,
    /// Writes that failed for certain.
    pub failed: u64,
    /// Reads served.
    pub reads: u64,
    /// Links closed because of what a peer said.
    pub peer_errors: u64,
    /// Frames sent.
    pub frames: u64,
    /// Frames lost.
    pub dropped: u64,
    /// Frames doubled.
    pub duplicated: u64,
    /// Frames overtaken.
    pub reordered: u64,
    /// Frames of dead connections that came back.
    pub replayed: u64,
    /// Connections reset.
    pub resets: u64,
}

impl Counts {
    pub(crate) fn crash(&mut self, how: Crash) {
        match how {
            Crash::Kill => self.kills += 1,
            Crash::PowerCut => self.power_cuts += 1,
        }
    }

    /// All counters by name.
    pub fn by_name(&self) -> [(&'static str, u64); 22] {
        [
            ("kills", self.kills),
            ("power cuts", self.power_cuts),
            ("pauses", self.pauses),
            ("hangs", self.hangs),
            ("wipes", self.wipes),
            ("rots", self.rots),
            ("cuts", self.cuts),
            ("traps", self.traps),
            ("elections", self.elections),
            ("rollbacks", self.rollbacks),
            ("acked", self.acked),
            ("lost", self.lost),
            ("unknown", self.unknown),
            ("failed", self.failed),
            ("reads", self.reads),
            ("peer errors", self.peer_errors),
            ("frames", self.frames),
            ("dropped", self.dropped),
            ("duplicated", self.duplicated),
            ("reordered", self.reordered),
            ("replayed", self.replayed),
            ("resets", self.resets),
        ]
    }

    /// Adds another run's numbers.
    pub fn add(&mut self, other: &Counts) {
        let mine = [
            &mut self.kills,
            &mut self.power_cuts,
            &mut self.pauses,
            &mut self.hangs,
            &mut self.wipes,
            &mut self.rots,
            &mut self.cuts,
            &mut self.traps,
            &mut self.elections,
            &mut self.rollbacks,
            &mut self.acked,
            &mut self.lost,
            &mut self.unknown,
            &mut self.failed,
            &mut self.reads,
            &mut self.peer_errors,
            &mut self.frames,
            &mut self.dropped,
            &mut self.duplicated,
            &mut self.reordered,
            &mut self.replayed,
            &mut self.resets,
        ];
        for (mine, (_, theirs)) in mine.into_iter().zip(other.by_name()) {
            *mine += theirs;
        }
    }
}
