//! A sink that is a log.
//!
//! A log whose first entry is not entry 1 takes several steps to begin, and a crash may come between any two. So a cell says meanwhile that
//! the folder *begins*. One that is found so holds nothing that was acknowledged, and begins again with what it is given first.

use super::error::FolderError;
use super::segment::{Segment, ShardId};
use super::shipper::SegmentSink;
use rep_vlsn::disk::Disk;
use rep_vlsn::error::{CellError, LogError, OpenError};
use rep_vlsn::{
    DurableCell, GroupId, LogConfig, LogPoint, Opened, Record, Vlsn, begin_with, mutant, open,
};
use std::fmt;

/// Says `BEGINS` while the folder begins, else nothing.
const CELL: &str = "folder";
const BEGINS: &[u8] = b"begins";

/// A folder that holds one shard's entries, as a log: `rep log verify` and `rep log dump` accept it, and a crash at any moment leaves it whole.
pub struct Folder<D: Disk> {
    disk: D,
    config: LogConfig,
    shard: ShardId,
    held: Held<D>,
}

/// What is known of the disk.
enum Held<D: Disk> {
    Log(Box<Opened<D>>),
    /// A log was not begun to its end: it counts as none.
    Nothing,
    /// A disk operation failed: the disk has to be opened again.
    Unknown,
}

impl<D: Disk> Folder<D> {
    /// Opens a folder, or makes one of an empty disk.
    ///
    /// # Errors
    ///
    /// [`FolderError::Open`] if what is there is no log or a damaged one.
    pub fn open(disk: D, config: LogConfig, shard: ShardId) -> Result<Folder<D>, FolderError> {
        let held = Folder::find(&disk, &config)?;
        Ok(Folder { disk, config, shard, held })
    }

    /// The first and last entry; `None` if there is none, or after a failure it is not known.
    pub fn range(&self) -> Option<(Vlsn, LogPoint)> {
        match &self.held {
            Held::Log(log) if !log.view.is_empty() => Some((log.view.first(), log.view.last())),
            _ => None,
        }
    }

    /// Ends it in order, so that the next opening has little to do.
    ///
    /// # Errors
    ///
    /// [`FolderError::Log`]: it is then as after a crash.
    pub fn close(self) -> Result<(), FolderError> {
        match self.held {
            Held::Log(log) => Ok(log.writer.close(log.view.last().vlsn)?),
            Held::Nothing | Held::Unknown => Ok(()),
        }
    }

    fn find(disk: &D, config: &LogConfig) -> Result<Held<D>, FolderError> {
        let (_, value) = cell(disk)?;
        match value.is_some_and(|value| value == BEGINS) {
            true => Ok(Held::Nothing),
            false => Ok(Held::Log(Box::new(open(disk.clone(), config.clone())?))),
        }
    }

    /// What is there, after the disk was asked again if it has to be.
    fn log(&mut self) -> Result<Option<&mut Opened<D>>, FolderError> {
        if matches!(self.held, Held::Unknown) {
            self.held = Folder::find(&self.disk, &self.config)?;
        }
        match &mut self.held {
            Held::Log(log) => Ok(Some(log)),
            Held::Nothing | Held::Unknown => Ok(None),
        }
    }

    fn check(&mut self, group: GroupId, shard: ShardId) -> Result<(), FolderError> {
        if shard != self.shard {
            return Err(FolderError::OtherShard { ours: self.shard, given: shard });
        }
        let ours = self.log()?.and_then(|log| log.group.filter(|_| !log.view.is_empty()));
        match ours {
            Some(ours) if ours != group => Err(FolderError::OtherGroup { ours, given: group }),
            _ => Ok(()),
        }
    }

    /// Begins with the first entry of a segment.
    fn begin(&self, segment: &Segment) -> Result<Opened<D>, FolderError> {
        let (mut cell, _) = cell(&self.disk)?;
        cell.store(BEGINS).map_err(LogError::from)?;
        begin_with(&self.disk, &self.config, segment.beginning())?;
        cell.store(b"").map_err(LogError::from)?;
        Ok(open(self.disk.clone(), self.config.clone())?)
    }
}

fn cell<D: Disk>(disk: &D) -> Result<(DurableCell<D>, Option<bytes::Bytes>), FolderError> {
    let opened = DurableCell::open(disk.clone(), CELL);
    opened.map_err(|error: CellError| FolderError::Open(OpenError::from(error)))
}

impl<D: Disk> SegmentSink for Folder<D> {
    type Error = FolderError;

    fn acknowledged(&mut self, group: GroupId, shard: ShardId) -> Result<LogPoint, FolderError> {
        self.check(group, shard)?;
        Ok(self.log()?.map_or(LogPoint::NULL, |log| log.view.last()))
    }

    fn take(&mut self, segment: &Segment) -> Result<(), FolderError> {
        let last = self.acknowledged(segment.group(), segment.shard())?;
        let begins = last.vlsn.is_null();
        let (prev, entries) = (segment.prev(), segment.entries());
        let follows = self.log()?.is_some_and(|log| log.view.accepts(prev, entries));
        if !begins && !follows {
            return Err(FolderError::DoesNotFollow { last, prev });
        }
        // What follows may fail anywhere.
        let held = std::mem::replace(&mut self.held, Held::Unknown);
        let mut log = match held {
            Held::Log(log) if follows => log,
            Held::Log(_) | Held::Nothing | Held::Unknown => Box::new(self.begin(segment)?),
        };
        append(&mut log, segment)?;
        self.held = Held::Log(log);
        Ok(())
    }
}

/// What the log lacks of a segment, durably.
fn append<D: Disk>(log: &mut Opened<D>, segment: &Segment) -> Result<(), FolderError> {
    let Opened { writer, tail, view, group, .. } = log;
    writer.set_group(segment.group())?;
    *group = Some(segment.group());
    let (records, last) = (segment.entries().records(), view.last());
    let rest: &[Record] = &records[records.partition_point(|record| record.point() <= last)..];
    tail.stage(rest);
    while writer.write_group(last.vlsn)?.is_some() {}
    rest.iter().for_each(|record| view.append(record));
    if mutant!("ship-folder-unsynced") {
        return Ok(());
    }
    let synced = writer.sync()?;
    view.mark_written(synced.point, synced.epoch);
    view.mark_synced(synced.point, synced.epoch);
    Ok(())
}

impl<D: Disk> fmt::Debug for Folder<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Folder({} {:?})", self.shard, self.range())
    }
}
