//! What may happen, and whose affair it is.

use crate::driver::{CopyNews, Question, Told};
use crate::machine::Machine;
use crate::network::NetEvent;
use rep_node::Link;
use rep_node::output::SendRange;
use rep_vlsn::LogPoint;
use std::time::Duration;

/// Something that will happen.
#[derive(Clone, Debug)]
pub(crate) enum Event {
    Net(NetEvent),
    Timer { id: Machine, run: u64, at: Duration },
    WordStored { id: Machine, run: u64 },
    GroupWritten { id: Machine, run: u64 },
    GroupSynced { id: Machine, run: u64 },
    SyncDue { id: Machine, run: u64 },
    LogCut { id: Machine, run: u64 },
    PastKept { id: Machine, run: u64 },
    LogCleaned { id: Machine, run: u64 },
    SpaceTried { id: Machine, run: u64 },
    Applied { id: Machine, run: u64 },
    Lane { id: Machine, run: u64 },
    SendEntries { id: Machine, run: u64, link: Link, range: Box<SendRange> },
    Sent { id: Machine, run: u64, link: Link, last: LogPoint, bytes: usize },
    Restart { id: Machine },
    Cured { id: Machine },
    SetAside { id: Machine, run: u64 },
    Resume { id: Machine },
    Mend { from: Machine, to: Machine },
    Client { index: usize, wake: u64 },
    DiskFreed { id: Machine },
    DiskQuick { id: Machine },
    SpaceBack { id: Machine },
    Reopen { id: Machine, run: u64 },
    CopyDialled { link: u64 },
    CopyNews { id: Machine, run: u64, link: u64, news: CopyNews },
    CopyDue { id: Machine, run: u64, link: u64 },
    CopyAsks { id: Machine, run: u64 },
    ChunkRead { id: Machine, run: u64, link: u64 },
    ChunkKept { id: Machine, run: u64 },
    CopyStored { id: Machine, run: u64 },
    JoinAsks { id: Machine, run: u64, asked: u64 },
    JoinAsked { to: Machine, question: Question },
    JoinTold { id: Machine, run: u64, told: Told },
    PlaceStored { id: Machine, run: u64 },
    ShipDue { id: Machine, run: u64 },
}

impl Event {
    /// Something that a disk finishes.
    pub(super) fn is_of_disk(&self) -> bool {
        matches!(
            self,
            Event::WordStored { .. }
                | Event::GroupWritten { .. }
                | Event::GroupSynced { .. }
                | Event::LogCut { .. }
                | Event::PastKept { .. }
                | Event::LogCleaned { .. }
                | Event::ChunkKept { .. }
                | Event::CopyStored { .. }
                | Event::PlaceStored { .. }
        )
    }

    /// The run that the event belongs to: nobody else hears of it.
    pub(crate) fn of_run(&self) -> Option<(Machine, u64)> {
        match self {
            Event::Timer { id, run, .. }
            | Event::WordStored { id, run }
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
            | Event::JoinAsks { id, run, .. }
            | Event::SetAside { id, run }
            | Event::JoinTold { id, run, .. }
            | Event::PlaceStored { id, run }
            | Event::ShipDue { id, run }
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
            | Event::CopyDialled { .. }
            | Event::JoinAsked { .. } => None,
        }
    }
}
