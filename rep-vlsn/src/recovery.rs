//! Opening a log, after a clean close or after the worst.
//!
//! Two things look alike and must be told apart. A *torn tail* is what a crash leaves of writes that were
//! never synced: nobody was told of them, and they are cut. *Damage* is an entry that was synced and is
//! not whole any more: somebody may have been told of it, so it is reported and never cut; the entry has to come
//! back from a peer. The local marks tell the difference: a mark says what was synced when it was written, and it may
//! stand behind the damage. So a scan that meets something unreadable looks on, to the end of the file, for marks that
//! vouch for it. A later segment vouches too, for everything before it.
//!
//! What lies behind a torn tail is erased, durably, before the log is used: a stale record must not meet a
//! chain that it happens to continue. And nothing is believed durable because it can be read: what no mark
//! vouches for is written back as it is, then synced, for the sync that failed before the crash may have left pages
//! in memory that the kernel takes for clean.

mod anew;
mod scan;

use crate::cell::DurableCell;
use crate::checkpoint::{Checkpoint, Head};
use crate::config::LogConfig;
use crate::cut::{CUT_CELL, Cut};
use crate::disk::{Disk, DiskFile};
use crate::error::{During, OpenError};
use crate::files::Files;
use crate::ids::{Epoch, GroupId, LogPoint, Vlsn};
use crate::offline::{Inspection, inspect};
use crate::reader::LogReader;
use crate::segment::{LOG_DIR, Mark, first_of, segment_name};
use crate::tail::Tail;
use crate::view::LogView;
use crate::writer::{Active, LogWriter};
pub use anew::begin_with;
use scan::Known;
pub(crate) use scan::{Scan, damage, open_segment, what_is_wrong};
use std::sync::Arc;

/// An open log: its writer, a reader to be cloned, the tail, and the positions to begin with.
#[derive(Debug)]
#[non_exhaustive]
pub struct Opened<D: Disk> {
    /// The one writer.
    pub writer: LogWriter<D>,
    /// A reader; clone it for each thread.
    pub reader: LogReader<D>,
    /// Where new records are staged.
    pub tail: Tail,
    /// What the log holds, all of it synced.
    pub view: LogView,
    /// The group, if the log has begun.
    pub group: Option<GroupId>,
    /// What the marks said: the highest synced point and dvlsn that were ever noted and are still here. `None` if none of them
    /// claims anything.
    pub marks: Option<Mark>,
    /// What there was to be done.
    pub report: RecoveryReport,
}

/// What recovery found and did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Segments of the log.
    pub segments: usize,
    /// Entries found.
    pub entries: u64,
    /// Bytes of the entries that were read.
    pub bytes: u64,
    /// Local marks that were read and verify.
    pub marks: u64,
    /// Entries of which the index file told, and which were not read.
    pub told: u64,
    /// Where a torn tail was cut, if there was one: the first entry that is missing.
    pub torn_at: Option<Vlsn>,
    /// A truncation that a crash had interrupted, and that was finished.
    pub cut_finished: Option<LogPoint>,
    /// Marks that did not verify, with sound records behind them.
    pub damaged_marks: u32,
    /// Files of half-made segments that were removed.
    pub leftovers: usize,
}

/// Opens the log in `log/` and the cell `cut` of a disk, whatever state a crash has left them in.
///
/// # Errors
///
/// [`OpenError::Damaged`] if an entry that was synced cannot be read: no entry has been touched then.
pub fn open<D: Disk>(disk: D, config: LogConfig) -> Result<Opened<D>, OpenError> {
    disk.create_dir(LOG_DIR).during("make the log's directory")?;
    disk.sync_dir("").during("sync directory")?;
    let (cell, value) = DurableCell::open(disk.clone(), CUT_CELL)?;
    let cut = value.map(|value| decode_cut(&value)).transpose()?;
    let mut report = RecoveryReport::default();
    let (firsts, gone) = segments_to_read(&disk, cut, &mut report)?;
    if !gone.is_empty() {
        gone.iter().try_for_each(|name| disk.remove(name)).during("remove a leftover")?;
        disk.sync_dir(LOG_DIR).during("sync directory")?;
    }
    let (checkpoint, loaded) = Checkpoint::open(disk.clone());
    let known = Known::of(loaded, &config, cut);
    let keep = cut.and_then(|cut| cut.keep);
    let mut scan = Scan::new(&config, &firsts).believing(known);
    scan.read_all(&disk, &firsts, keep, &mut report)?;
    Recovered { disk, config, cell, cut, scan, report, checkpoint }.finish()
}

/// Reads and checks every entry of a log that is not open, and changes nothing; [`inspect`] tells more.
///
/// # Errors
///
/// [`OpenError::Damaged`] tells the first entry that was synced and cannot be read.
pub fn verify<D: Disk>(disk: &D) -> Result<RecoveryReport, OpenError> {
    let Inspection { report, damage, .. } = inspect(disk)?;
    damage.map_or(Ok(report), Err)
}

pub(crate) fn decode_cut(value: &[u8]) -> Result<Cut, OpenError> {
    let damaged = || crate::error::CellError::Damaged { name: CUT_CELL.to_owned() };
    Cut::decode(value).ok_or_else(|| damaged().into())
}

/// The first entries of the segments that belong to the log, in order; and the files that a crash kept from being
/// removed.
pub(crate) fn segments_to_read<D: Disk>(
    disk: &D,
    cut: Option<Cut>,
    report: &mut RecoveryReport,
) -> Result<(Vec<Vlsn>, Vec<String>), OpenError> {
    let names = disk.list(LOG_DIR).during("list segments")?;
    let mut firsts: Vec<Vlsn> = names.iter().filter_map(|name| first_of(name)).collect();
    firsts.sort();
    check_head(&firsts, cut)?;
    let mut gone: Vec<String> = Vec::new();
    gone.extend(names.iter().filter(|n| n.ends_with(".new")).map(|n| format!("{LOG_DIR}/{n}")));
    report.leftovers = gone.len();
    if let Some(Cut { first, keep, .. }) = cut {
        let cleaned = firsts.iter().filter(|next| **next <= first).count().saturating_sub(1);
        gone.extend(firsts.drain(..cleaned).map(segment_name));
        if let Some(keep) = keep {
            // The head stays, though empty, if everything in it was cut: the log has begun.
            let kept = firsts.iter().filter(|segment| **segment <= keep.vlsn).count();
            let kept =
                if kept == 0 && firsts.first() == Some(&keep.vlsn.next()) { 1 } else { kept };
            gone.extend(firsts.drain(kept..).rev().map(segment_name));
        }
    }
    Ok((firsts, gone))
}

/// The log begins where it should: a missing head would otherwise pass for a cleaned one, and a log
/// without any file for a new one.
fn check_head(firsts: &[Vlsn], cut: Option<Cut>) -> Result<(), OpenError> {
    let due = cut.map_or(Vlsn::FIRST, |cut| cut.first);
    let new = cut.is_none() && firsts.is_empty();
    if new || firsts.contains(&due) {
        return Ok(());
    }
    let what = "the segment is missing";
    Err(OpenError::Damaged { vlsn: due, segment: segment_name(due), offset: 0, what })
}

/// What was read, before anything is changed.
struct Recovered<D: Disk> {
    disk: D,
    config: LogConfig,
    cell: DurableCell<D>,
    cut: Option<Cut>,
    scan: Scan<D::File>,
    report: RecoveryReport,
    checkpoint: Checkpoint<D>,
}

impl<D: Disk> Recovered<D> {
    /// Makes the disk hold what was read and nothing else, and hands it out.
    fn finish(mut self) -> Result<Opened<D>, OpenError> {
        let active = self.settle_files()?;
        let epoch = self.epoch();
        let cell_epoch = self.settle_cell(epoch, active.is_some())?;
        self.settle_index(cell_epoch);
        let Recovered { disk, config, cell, scan, mut report, checkpoint, .. } = self;
        report.entries = scan.entries();
        let Scan { table, history, memberships, last, last_crc, group, marks, .. } = scan;
        let Scan { trailing, untold, .. } = scan;
        let first = table.head().map_or(Vlsn::FIRST, |(first, _)| first);
        let view = LogView::recovered(first, last, last_crc, epoch, history.clone(), memberships);
        let files = Arc::new(Files::new(table));
        let tail = Tail::new(last, last_crc, epoch, config.tail_bytes);
        let reader = LogReader::new(Arc::clone(&files), tail.clone());
        let begun = active.is_some();
        let mut writer = LogWriter {
            disk,
            config,
            files,
            tail: tail.clone(),
            cell,
            begun,
            group,
            active,
            history,
            last,
            last_crc,
            synced: last,
            dirty: false,
            last_mark: trailing,
            epoch,
            poisoned: false,
            cell_epoch,
            checkpoint,
            untold,
        };
        // What was just synced is noted, so that the next crash cannot take it for a torn tail.
        let dvlsn = marks.map_or(Vlsn::NULL, |mark| mark.dvlsn);
        writer.write_last_mark(dvlsn).map_err(from_writer)?;
        Ok(Opened { writer, reader, tail, view, group, marks, report })
    }

    fn epoch(&self) -> Epoch {
        let cut = self.cut.map_or(Epoch::default(), |cut| cut.epoch);
        cut.max(self.scan.marks.map_or(Epoch::default(), |mark| mark.epoch))
    }

    /// Erases what lies behind the end, and makes everything before it durable.
    fn settle_files(&mut self) -> Result<Option<Active<D::File>>, OpenError> {
        let Some(end) = self.scan.end.take() else { return Ok(None) };
        let file = &end.segment.file;
        let len = file.len().during("length of segment")?.max(self.config.segment_bytes);
        if end.erase {
            file.set_len(end.offset).during("cut the torn tail")?;
        }
        file.allocate(len).during("allocate segment")?;
        scan::write_back(file, end.unvouched, end.offset).during("write back")?;
        file.sync().during("sync")?;
        self.disk.sync_dir(LOG_DIR).during("sync directory")?;
        if let Some(at) = self.report.torn_at {
            tracing::warn!(first_missing = %at, "cut a torn tail");
        }
        Ok(Some(Active::at(end.segment, end.offset, len)))
    }

    /// The cell says what is now true: no cut is pending, and a log with files has begun.
    /// Tells its epoch.
    fn settle_cell(&mut self, epoch: Epoch, begun: bool) -> Result<Epoch, OpenError> {
        let pending = self.cut.is_some_and(|cut| cut.keep.is_some());
        if begun && (pending || self.cut.is_none()) {
            let first = self.scan.table.head().map_or(Vlsn::FIRST, |(first, _)| first);
            self.cell.store(&Cut { epoch, first, keep: None }.encode())?;
            return Ok(epoch);
        }
        Ok(self.cut.map_or(Epoch::default(), |cut| cut.epoch))
    }

    /// The index file learns what was read. All of that is synced by now.
    fn settle_index(&mut self, epoch: Epoch) {
        let Some(group) = self.scan.group else { return };
        let head = Head { group, epoch, stride: self.config.stride() };
        let Scan { known, fresh, .. } = &mut self.scan;
        if !known.fits {
            let mut sections = std::mem::take(&mut known.taken);
            sections.append(fresh);
            self.checkpoint.replace(head, &sections);
        } else if !fresh.is_empty() {
            self.checkpoint.append(head, fresh);
            self.checkpoint.sync();
        }
        *known = Known::default();
    }
}

fn from_writer(error: crate::error::LogError) -> OpenError {
    match error {
        crate::error::LogError::Io { what, source } => OpenError::Io { what, source },
        crate::error::LogError::Cell(error) => OpenError::Cell(error),
        other => OpenError::Io { what: "mark", source: std::io::Error::other(other) },
    }
}
