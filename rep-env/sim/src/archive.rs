//! Where entries go that leave the group: one sink for all who ship.
//!
//! It is on a machine of its own, which no fault of the members touches, and has faults of its own: it takes nothing, or a part, or all and does not say
//! so; its disk fails, or loses power; it comes back with an earlier state, or with none. In half of the worlds it is a [`Folder`]. In the others it
//! believes that whatever it is given follows what it has, as a sink may.

use crate::disk;
use crate::faults::End;
use crate::machine::Machine;
use crate::process::Crash;
use crate::swarm::DiskSwarm;
use bytes::Bytes;
use rep_node::rep_stream::segments::{Folder, Segment, SegmentSink, ShardId};
use rep_vlsn::{GroupId, LogConfig, LogPoint, MemDisk, Record, SyncFailure, open};
use std::collections::BTreeSet;

/// A group has one log.
pub(crate) const SHARD: ShardId = ShardId(0);

/// What is wrong with the sink while somebody ships to it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mood {
    #[default]
    Well,
    /// It cannot be reached.
    Away,
    /// It takes half of a segment, and fails. A folder's disk fails instead.
    Torn,
    /// It takes a segment, and nobody hears so.
    Mute,
    /// It loses power at the operation of its disk with this number, or when all is done.
    PowerCut { ops: u64, fate: u64 },
    /// What it has is kept; it comes back with what was kept before.
    GoesBack,
    /// It comes back with nothing.
    Empty,
}

/// The sink.
#[derive(Debug)]
pub(crate) struct Archive {
    store: Store,
    mood: Mood,
    /// Who ships just now, and who has asked where it stands since it last came back.
    by: Option<Machine>,
    asked: BTreeSet<Machine>,
    /// The last entry of which it has said that it has it, for good.
    pub(crate) acknowledged: u64,
    /// The last that it had when it was last looked at.
    pub(crate) last: u64,
    kept: Option<Kept>,
}

#[derive(Debug)]
enum Store {
    Folder { disk: MemDisk, config: LogConfig, open: Option<Box<Folder<MemDisk>>> },
    Trusting(Vec<(LogPoint, Bytes)>),
}

/// An earlier state.
#[derive(Debug)]
struct Kept {
    disk: Option<MemDisk>,
    held: Vec<(LogPoint, Bytes)>,
    acknowledged: u64,
}

impl Archive {
    pub(crate) fn new(is_folder: bool, disk: &DiskSwarm) -> Self {
        let (log, config) = (MemDisk::new(), disk::log_config(disk));
        let store = match is_folder {
            true => Store::Folder { disk: log, config, open: None },
            false => Store::Trusting(Vec::new()),
        };
        let (by, asked, kept) = (None, BTreeSet::new(), None);
        Archive { store, mood: Mood::Well, by, asked, acknowledged: 0, last: 0, kept }
    }

    /// Somebody ships, while this is wrong with it.
    pub(crate) fn begin(&mut self, by: Machine, mood: Mood) {
        (self.mood, self.by) = (mood, Some(by));
        match (mood, self.disk()) {
            (Mood::GoesBack, _) => self.go_back(),
            (Mood::Empty, _) => self.empty(),
            (Mood::PowerCut { ops, .. }, Some(disk)) => disk.crash_after_ops(ops),
            (Mood::Torn, Some(disk)) => disk.fail_next_sync_as(SyncFailure::ReadsNew),
            _ => {}
        }
    }

    /// That is over.
    pub(crate) fn end(&mut self) {
        if let (Mood::PowerCut { fate, .. }, Store::Folder { disk, open, .. }) =
            (self.mood, &mut self.store)
        {
            *open = None;
            let end = End { how: Crash::PowerCut, fate, silent: false };
            disk.power_cut(&mut end.fates());
        }
        (self.mood, self.by) = (Mood::Well, None);
    }

    /// All that it holds, and would hold after an opening.
    ///
    /// # Errors
    ///
    /// What a folder says of itself that cannot be read.
    pub(crate) fn held(&self) -> Result<Vec<(LogPoint, Bytes)>, String> {
        match &self.store {
            Store::Trusting(held) => Ok(held.clone()),
            Store::Folder { disk, config, .. } => read(disk, config),
        }
    }

    fn disk(&self) -> Option<&MemDisk> {
        match &self.store {
            Store::Folder { disk, .. } => Some(disk),
            Store::Trusting(_) => None,
        }
    }

    fn go_back(&mut self) {
        let disk = self.disk().map(MemDisk::image);
        let held = if disk.is_some() { Vec::new() } else { self.held().unwrap_or_default() };
        let now = Kept { disk, held, acknowledged: self.acknowledged };
        let Some(Kept { disk: image, held, acknowledged }) = self.kept.replace(now) else { return };
        self.comes_back(acknowledged);
        match &mut self.store {
            Store::Folder { disk, .. } => image.iter().for_each(|image| disk.restore(image)),
            Store::Trusting(entries) => *entries = held,
        }
    }

    fn empty(&mut self) {
        self.comes_back(0);
        match &mut self.store {
            Store::Folder { disk, .. } => disk.wipe(),
            Store::Trusting(held) => held.clear(),
        }
    }

    /// It is another from now on, to which nobody is connected.
    fn comes_back(&mut self, acknowledged: u64) {
        self.acknowledged = acknowledged;
        self.asked.clear();
        if let Store::Folder { open, .. } = &mut self.store {
            *open = None;
        }
    }

    fn said(&mut self, last: LogPoint) -> LogPoint {
        self.acknowledged = self.acknowledged.max(last.vlsn.get());
        last
    }
}

impl Store {
    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, String> {
        match self {
            Store::Trusting(held) => Ok(held.last().map_or(LogPoint::NULL, |(point, _)| *point)),
            Store::Folder { .. } => {
                let folder = self.folder()?;
                folder.acknowledged(group, shard).map_err(|error| error.to_string())
            }
        }
    }

    fn take(&mut self, segment: &Segment, share: usize) -> Result<(), String> {
        match self {
            Store::Folder { .. } => self.folder()?.take(segment).map_err(|error| error.to_string()),
            Store::Trusting(held) => {
                let last = held.last().map_or(LogPoint::NULL, |(point, _)| *point);
                let records = segment.entries().records();
                let new = records.iter().take(records.len() / share).filter(|it| it.point() > last);
                held.extend(new.map(|record| (record.point(), record.bytes().clone())));
                Ok(())
            }
        }
    }

    fn folder(&mut self) -> Result<&mut Folder<MemDisk>, String> {
        let Store::Folder { disk, config, open } = self else {
            return Err("this sink is no folder".to_owned());
        };
        if open.is_none() {
            let folder = Folder::open(disk.clone(), config.clone(), SHARD);
            *open = Some(Box::new(folder.map_err(|error| error.to_string())?));
        }
        open.as_deref_mut().ok_or_else(String::new)
    }
}

impl SegmentSink for Archive {
    type Error = String;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, String> {
        if self.mood == Mood::Away {
            return Err("the sink cannot be reached".to_owned());
        }
        let last = self.store.acknowledged(group, shard)?;
        self.asked.extend(self.by);
        Ok(self.said(last))
    }

    fn take(&mut self, segment: &Segment) -> Result<(), String> {
        if self.mood == Mood::Away || self.by.is_none_or(|by| !self.asked.contains(&by)) {
            return Err("the sink cannot be reached".to_owned());
        }
        let share = if self.mood == Mood::Torn { 2 } else { 1 };
        self.store.take(segment, share)?;
        match self.mood {
            Mood::Torn | Mood::Mute => Err("the sink has failed".to_owned()),
            _ => {
                self.said(segment.last());
                Ok(())
            }
        }
    }
}

/// The entries of a folder, as its next opening finds them.
fn read(disk: &MemDisk, config: &LogConfig) -> Result<Vec<(LogPoint, Bytes)>, String> {
    let image = disk.image();
    let folder = Folder::open(image.clone(), config.clone(), SHARD);
    let folder = folder.map_err(|error| error.to_string())?;
    let Some((first, last)) = folder.range() else { return Ok(Vec::new()) };
    let log = open(image, config.clone()).map_err(|error| error.to_string())?;
    let mut entries = Vec::new();
    let mut next = first;
    while next <= last.vlsn {
        let batch = log.reader.batch(next, last.vlsn, usize::MAX, log.view.epoch());
        let batch = batch.map_err(|error| error.to_string())?;
        next = batch.last().vlsn.next();
        entries.extend(batch.into_records().into_iter().map(told));
    }
    Ok(entries)
}

fn told(record: Record) -> (LogPoint, Bytes) {
    (record.point(), record.bytes().clone())
}
