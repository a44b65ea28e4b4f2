//! What may happen, and whose affair it is.

use crate::driver::CopyNews;
use crate::network::NetEvent;
use rep_node::Link;
use rep_node::output::SendRange;
use rep_vlsn::{LogPoint, NodeId};
use std::time::Duration;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Net(NetEvent),
    Timer { id: NodeId, run: u64, at: Duration },
    FenceStored { id: NodeId, run: u64 },
    GroupWritten { id: NodeId, run: u64 },
    GroupSynced { id: NodeId, run: u64 },
    SyncDue { id: NodeId, run: u64 },
    LogCut { id: NodeId, run: u64 },
    PastKept { id: NodeId, run: u64 },
    LogCleaned { id: NodeId, run: u64 },
    SpaceTried { id: NodeId, run: u64 },
    Applied { id: NodeId, run: u64 },
    Lane { id: NodeId, run: u64 },
    SendEntries { id: NodeId, run: u64, link: Link, range: Box<SendRange> },
    Sent { id: NodeId, run: u64, link: Link, last: LogPoint, bytes: usize },
    Restart { id: NodeId },
    Cured { id: NodeId },
    Resume { id: NodeId },
    Mend { from: NodeId, to: NodeId },
    Client { index: usize, wake: u64 },
    DiskFreed { id: NodeId },
    DiskQuick { id: NodeId },
    SpaceBack { id: NodeId },
    Reopen { id: NodeId, run: u64 },
    CopyDialled { link: u64 },
    CopyNews { id: NodeId, run: u64, link: u64, news: CopyNews },
    CopyDue { id: NodeId, run: u64, link: u64 },
    CopyAsks { id: NodeId, run: u64 },
    ChunkRead { id: NodeId, run: u64, link: u64 },
    ChunkKept { id: NodeId, run: u64 },
    CopyStored { id: NodeId, run: u64 },
}

impl Event {
    /// Something that a disk finishes.
    pub(super) fn is_of_disk(&self) -> bool {
        matches!(
            self,
            Event::FenceStored { .. }
                | Event::GroupWritten { .. }
                | Event::GroupSynced { .. }
                | Event::LogCut { .. }
                | Event::PastKept { .. }
                | Event::LogCleaned { .. }
                | Event::ChunkKept { .. }
                | Event::CopyStored { .. }
        )
    }

    /// The run that the event belongs to: nobody else hears of it.
    pub(crate) fn of_run(&self) -> Option<(NodeId, u64)> {
        match self {
            Event::Timer { id, run, .. }
            | Event::FenceStored { id, run }
            | Event::GroupWritten { id, run }
            | Event::GroupSynced { id, run }
            | Event::SyncDue { id, run }
            | Event::LogCut { id, run }
            | Event::PastKept { id, run }
            | Event::LogCleaned { id, run }
            | Event::SpaceTried { id, run }
            | Event::Applied { id, run }
            | Event::Lane { id, run }
            | Event::Reopen { id, run }
            | Event::CopyNews { id, run, .. }
            | Event::CopyDue { id, run, .. }
            | Event::CopyAsks { id, run }
            | Event::ChunkRead { id, run, .. }
            | Event::ChunkKept { id, run }
            | Event::CopyStored { id, run }
            | Event::SendEntries { id, run, .. }
            | Event::Sent { id, run, .. } => Some((*id, *run)),
            Event::Net(_)
            | Event::Restart { .. }
            | Event::Cured { .. }
            | Event::Resume { .. }
            | Event::Mend { .. }
            | Event::Client { .. }
            | Event::DiskFreed { .. }
            | Event::DiskQuick { .. }
            | Event::SpaceBack { .. }
            | Event::CopyDialled { .. } => None,
        }
    }
}
