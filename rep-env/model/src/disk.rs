//! One member's disk: what would still be there after a power cut, and what is on its way.

use rep_node::Fence;
use rep_vlsn::{Epoch, LogPoint, Record};
use std::collections::VecDeque;

/// What a power cut leaves: all that a restarted node knows.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) fence: Fence,
    pub(crate) log: Vec<Record>,
}

/// The cell of the fence and the log, each with its own order.
#[derive(Debug)]
pub(crate) struct Disk {
    fence: Fence,
    /// Fences on their way, in order.
    fences: VecDeque<Fence>,
    /// The log; of it the first `synced` entries are on the disk.
    log: Vec<Record>,
    synced: usize,
    /// A cut on its way: how many entries stay, and the epoch that it began. Nothing is appended meanwhile.
    cut: Option<(usize, Epoch)>,
}

impl Disk {
    pub(crate) fn of(kept: Kept) -> Self {
        let synced = kept.log.len();
        Disk { fence: kept.fence, fences: VecDeque::new(), log: kept.log, synced, cut: None }
    }

    pub(crate) fn fence(&self) -> Fence {
        self.fence
    }

    /// The log as its node sees it: what is being cut is gone.
    pub(crate) fn log(&self) -> &[Record] {
        &self.log[..self.cut.map_or(self.log.len(), |(keep, _)| keep)]
    }

    /// The entries that survive whatever happens, whichever way a cut comes out.
    pub(crate) fn safe(&self) -> &[Record] {
        &self.log[..self.cut.map_or(self.synced, |(keep, _)| keep.min(self.synced))]
    }

    pub(crate) fn is_writing_fence(&self) -> bool {
        !self.fences.is_empty()
    }

    pub(crate) fn is_cutting(&self) -> bool {
        self.cut.is_some()
    }

    /// Entries that a power cut could take.
    pub(crate) fn unsynced(&self) -> usize {
        self.log.len() - self.synced
    }

    // ---- what the node asks for

    pub(crate) fn write_fence(&mut self, fence: Fence) {
        self.fences.push_back(fence);
    }

    pub(crate) fn append(&mut self, records: Vec<Record>) {
        assert!(self.cut.is_none(), "nothing is appended while the log is being cut");
        self.log.extend(records);
    }

    pub(crate) fn cut(&mut self, keep: LogPoint, epoch: Epoch) {
        self.cut = Some((keep.vlsn.get() as usize, epoch));
    }

    // ---- what is done

    pub(crate) fn fence_written(&mut self) -> Fence {
        self.fence = self.fences.pop_front().expect("a fence is on its way");
        self.fence
    }

    /// Everything appended so far is on the disk.
    pub(crate) fn log_synced(&mut self) {
        self.synced = self.log.len();
    }

    /// The cut is on the disk, and so is everything before it. Gives its epoch and the CRC of the last entry's header.
    pub(crate) fn log_cut(&mut self) -> (Epoch, u32) {
        let (keep, epoch) = self.cut.take().expect("a cut is on its way");
        self.log.truncate(keep);
        self.synced = keep;
        (epoch, self.log.last().map_or(0, Record::header_crc))
    }

    /// What is left if the power fails now and `lost` of the unsynced entries with it. What is on its way and reaches
    /// the disk all the same is the same as a power cut right after it was reported, and heard by nobody.
    pub(crate) fn after_power_cut(&self, lost: usize) -> Kept {
        Kept { fence: self.fence, log: self.log[..self.log.len() - lost].to_vec() }
    }

    /// What a state of the disk is told by.
    pub(crate) fn key(&self) -> impl std::fmt::Debug {
        let crcs: Vec<u32> = self.log.iter().map(Record::header_crc).collect();
        (self.fence, self.fences.clone(), crcs, self.synced, self.cut)
    }
}
