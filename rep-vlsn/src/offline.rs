//! Looking at a log that nobody has open, and leaving it exactly as it is.
//!
//! Opening a log mends it: a torn tail is cut, cells are written again, what was read is made durable. Whoever wants to know
//! what a crash or a disk has left wants none of that, least of all on the only copy. [`inspect`] reads everything and
//! judges it as an opening would; [`walk`] shows what stands where, from any entry on, and judges nothing.

use crate::cell::{CellState, peek};
use crate::config::LogConfig;
use crate::cut::{CUT_CELL, Cut};
use crate::disk::{Disk, DiskFile};
use crate::error::{During, OpenError};
use crate::files::{Chain, Item, Scanner, Segment, Stop};
use crate::ids::{GroupId, LogPoint, Vlsn};
use crate::record::Record;
use crate::recovery::{
    RecoveryReport, Scan, damage, decode_cut, open_segment, segments_to_read, what_is_wrong,
};
use crate::segment::{MARK_BYTES, Mark, SEGMENT_HEADER_BYTES};
use bytes::Bytes;
use std::collections::VecDeque;
use std::sync::Arc;

const CHUNK_BYTES: usize = 256 << 10;
/// What [`Seen::End`] says of space that was never written: the usual end.
pub const UNWRITTEN: &str = "zeros in its place";

/// What a log that is not open holds, and whether it is whole.
#[derive(Debug)]
#[non_exhaustive]
pub struct Inspection {
    /// Segments, entries, bytes and marks, up to the damage if there is any.
    pub report: RecoveryReport,
    /// The group, if the log has begun.
    pub group: Option<GroupId>,
    /// The first entry held.
    pub first: Vlsn,
    /// The last entry that can be read.
    pub last: LogPoint,
    /// What the marks say: the highest synced point and dvlsn that were ever noted.
    pub marks: Option<Mark>,
    /// Where something lies that was never synced and is no entry: the next opening cuts it. No harm.
    pub torn: Option<Place>,
    /// The first entry that was synced and cannot be read: [`OpenError::Damaged`].
    pub damage: Option<OpenError>,
}

/// A place in a log's files.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Place {
    /// The segment's file.
    pub segment: String,
    /// Where in it, in bytes.
    pub offset: u64,
}

/// What a walk comes by.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Seen {
    /// A local mark.
    Mark(Mark, Place),
    /// An entry, checked and chained to the one before it.
    Entry(Record, Place),
    /// Nothing that continues the log: it ends here. Whether it should go on is for [`inspect`] to say.
    End {
        /// The entry that would be next.
        due: Vlsn,
        /// Where it would stand.
        place: Place,
        /// What is there instead.
        what: &'static str,
    },
}

/// Reads and checks every entry of a log that is not open, and changes nothing at all.
///
/// # Errors
///
/// What keeps the log from being looked at: the disk, an unknown format, segments of two groups, an unreadable `cut` cell,
/// a segment that is missing at the head. Damage that is met later is no error, but what was asked for.
pub fn inspect<D: Disk>(disk: &D) -> Result<Inspection, OpenError> {
    let cut = read_cut(disk)?;
    let mut report = RecoveryReport::default();
    let (firsts, _) = segments_to_read(disk, cut, &mut report)?;
    let mut scan = Scan::new(&LogConfig::default(), &firsts);
    let keep = cut.and_then(|cut| cut.keep);
    let damage = match scan.read_all(disk, &firsts, keep, &mut report) {
        Ok(()) => None,
        Err(damaged @ OpenError::Damaged { .. }) => Some(damaged),
        Err(other) => return Err(other),
    };
    report.entries = scan.entries();
    let torn = scan.end.as_ref().filter(|_| report.torn_at.is_some() && damage.is_none());
    Ok(Inspection {
        group: scan.group,
        first: firsts.first().copied().unwrap_or(Vlsn::FIRST),
        last: scan.last,
        marks: scan.marks,
        torn: torn.map(|end| Place { segment: end.segment.name(), offset: end.offset }),
        damage,
        report,
    })
}

/// The entries and marks of a log that is not open, in order, from the beginning of the segment that holds entry `from`, or
/// from the first one held.
///
/// # Errors
///
/// As [`inspect`].
pub fn walk<D: Disk>(disk: &D, from: Vlsn) -> Result<OfflineWalk<D>, OpenError> {
    let cut = read_cut(disk)?;
    let (mut firsts, _) = segments_to_read(disk, cut, &mut RecoveryReport::default())?;
    let before = firsts.iter().filter(|first| **first <= from).count().saturating_sub(1);
    firsts.drain(..before);
    let bound = cut.and_then(|cut| cut.keep).map(|keep| keep.vlsn);
    Ok(OfflineWalk { disk: disk.clone(), firsts: firsts.into(), scanner: None, bound, over: false })
}

/// What a cell holds, and how many of its two slots are whole; changes nothing, so that a slot that is not stays so.
///
/// # Errors
///
/// The disk's.
pub fn inspect_cell<D: Disk>(disk: &D, name: &str) -> Result<CellState, OpenError> {
    Ok(peek(disk, name)?)
}

fn read_cut<D: Disk>(disk: &D) -> Result<Option<Cut>, OpenError> {
    let value: Option<Bytes> = peek(disk, CUT_CELL)?.settled(CUT_CELL)?;
    value.map(|value| decode_cut(&value)).transpose()
}

/// An iterator over what stands in a log: see [`walk`]. It ends behind the first error or [`Seen::End`].
#[derive(Debug)]
pub struct OfflineWalk<D: Disk> {
    disk: D,
    firsts: VecDeque<Vlsn>,
    scanner: Option<Scanner<D::File>>,
    /// The last entry that an interrupted truncation keeps.
    bound: Option<Vlsn>,
    over: bool,
}

impl<D: Disk> Iterator for OfflineWalk<D> {
    type Item = Result<Seen, OpenError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.over {
            return None;
        }
        let seen = self.step();
        self.over = !matches!(&seen, Ok(Some(Seen::Mark(..) | Seen::Entry(..))));
        seen.transpose()
    }
}

impl<D: Disk> OfflineWalk<D> {
    fn step(&mut self) -> Result<Option<Seen>, OpenError> {
        loop {
            let Some(scanner) = &mut self.scanner else {
                let Some(first) = self.firsts.pop_front() else { return Ok(None) };
                let segment = open_segment(&self.disk, first)?;
                let chain = Chain::after_header(&segment.header);
                self.scanner = Some(begin(segment, chain));
                continue;
            };
            if self.bound.is_some_and(|bound| scanner.chain().next > bound) {
                return Ok(None);
            }
            match scanner.step().during("read")? {
                Item::Mark(mark) => {
                    let offset = scanner.at() - MARK_BYTES as u64;
                    return Ok(Some(Seen::Mark(mark, place(scanner, offset))));
                }
                Item::Record(record, offset) => {
                    return Ok(Some(Seen::Entry(record, place(scanner, offset))));
                }
                Item::Stop(stop) => match self.cross(stop)? {
                    None => {}
                    end => return Ok(end),
                },
            }
        }
    }

    /// Goes on in the next segment, if the scan stopped where that one begins.
    fn cross(&mut self, stop: Stop) -> Result<Option<Seen>, OpenError> {
        let Some(scanner) = &self.scanner else { return Ok(None) };
        let chain = scanner.chain();
        let Some(next) = self.firsts.pop_front() else {
            let (due, what) = (chain.next, what_is_wrong(stop));
            return Ok(Some(Seen::End { due, place: place(scanner, scanner.at()), what }));
        };
        if next != chain.next {
            return Err(damage(scanner, what_is_wrong(stop)));
        }
        let segment = open_segment(&self.disk, next)?;
        if chain.crc.is_some_and(|crc| crc != segment.header.prev_crc) {
            return Err(damage(scanner, "the segments do not join"));
        }
        self.scanner = Some(begin(segment, chain));
        Ok(None)
    }
}

fn begin<F: DiskFile>(segment: Arc<Segment<F>>, chain: Chain) -> Scanner<F> {
    Scanner::new(segment, SEGMENT_HEADER_BYTES as u64, chain, CHUNK_BYTES)
}

fn place<F: DiskFile>(scanner: &Scanner<F>, offset: u64) -> Place {
    Place { segment: scanner.segment().name(), offset }
}
