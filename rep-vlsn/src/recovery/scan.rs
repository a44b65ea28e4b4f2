//! Reading the whole log once, believing only what is chained, and judging where it ends.

use super::RecoveryReport;
use crate::batch::opening;
use crate::checkpoint::{Head, Loaded, Section};
use crate::config::LogConfig;
use crate::cut::Cut;
use crate::disk::{Disk, DiskFile};
use crate::error::{During, OpenError};
use crate::files::{Chain, Item, Scanner, Segment, Stop, Table};
use crate::history::History;
use crate::ids::{GroupId, LogPoint, Vlsn};
use crate::index::Position;
use crate::offline::UNWRITTEN;
use crate::record::Record;
use crate::segment::{
    HeaderError, MARK_BYTES, MARK_TAG, Mark, SEGMENT_FORMAT, SEGMENT_HEADER_BYTES, SegmentHeader,
    segment_name,
};
use crate::{mutant, sometimes};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

const CHUNK_BYTES: usize = 256 << 10;
static ZEROS: [u8; CHUNK_BYTES] = [0; CHUNK_BYTES];

/// What the files hold.
#[derive(Debug)]
pub(crate) struct Scan<F> {
    pub(crate) table: Table<F>,
    pub(super) history: History,
    /// Where the entries stand that say the members.
    pub(super) memberships: Vec<LogPoint>,
    pub(crate) last: LogPoint,
    pub(super) last_crc: u32,
    pub(crate) group: Option<GroupId>,
    /// The highest claims of all marks.
    pub(crate) marks: Option<Mark>,
    /// The mark behind the last entry, if one stands there.
    pub(super) trailing: Option<Mark>,
    /// Where the log ends; `None` if it has no files.
    pub(crate) end: Option<End<F>>,
    /// What the index file says.
    pub(super) known: Known,
    /// What was read, for the index file,
    pub(super) fresh: Vec<Section>,
    /// and the stretch behind it, in which the writer goes on.
    pub(super) untold: Option<Section>,
    stride: u64,
}

/// What the index file says, as far as it is about this log.
#[derive(Debug, Default)]
pub(super) struct Known {
    head: Option<Head>,
    /// By segment and place.
    sections: BTreeMap<(Vlsn, u64), Section>,
    /// Those that were believed,
    pub(super) taken: Vec<Section>,
    /// and whether the file may be extended, or has to be written anew.
    pub(super) fits: bool,
}

impl Known {
    /// Nothing, if the index is of another epoch or stride, or is not to be used.
    pub(super) fn of(loaded: Loaded, config: &LogConfig, cut: Option<Cut>) -> Known {
        let Loaded { head, sections, whole, .. } = loaded;
        let (Some(head), Some(cut)) = (head, cut) else { return Known::default() };
        let timely = (cut.keep.is_none() && head.epoch == cut.epoch) || mutant!("vlsn-stale-index");
        if !timely || head.stride != config.stride() || config.verify_on_open {
            return Known::default();
        }
        let sections = sections.into_iter().map(|s| ((s.segment, s.from), s)).collect();
        Known { head: Some(head), sections, taken: Vec::new(), fits: whole }
    }

    /// The sections of a segment, chained from its header on, that stay within `bound` and that the segment's bytes bear
    /// out.
    fn take<F: DiskFile>(&mut self, segment: &Segment<F>, bound: Vlsn) -> io::Result<Vec<Section>> {
        let first = segment.first();
        if self.head.is_none_or(|head| head.group != segment.header.group) {
            self.fits = false;
            return Ok(Vec::new());
        }
        let all = self.sections.range((first, 0)..=(first, u64::MAX)).map(|(_, s)| s.clone());
        let all: Vec<Section> = all.collect();
        let mut taken: Vec<Section> = Vec::new();
        let mut before = Section::of_segment(&segment.header);
        for section in &all {
            let chained = section.continues(&before) || mutant!("vlsn-stale-index");
            if !chained || section.last.vlsn > bound {
                break;
            }
            before = section.successor();
            taken.push(section.clone());
        }
        while let Some(last) = taken.last()
            && !last.is_witnessed_by(&segment.file)?
            && !mutant!("vlsn-stale-index")
        {
            taken.pop();
        }
        self.fits &= taken.len() == all.len();
        self.taken.extend_from_slice(&taken);
        Ok(taken)
    }
}

/// The end of the log, in the last segment.
#[derive(Debug)]
pub(crate) struct End<F> {
    pub(crate) segment: Arc<Segment<F>>,
    pub(crate) offset: u64,
    /// Whether there is something behind it that has to go.
    pub(super) erase: bool,
    /// From here on no mark vouches for what was read.
    pub(super) unvouched: u64,
}

/// What lies behind the place where a scan stopped.
#[derive(Default)]
struct Beyond {
    /// Something other than zeros.
    anything: bool,
    marks: Option<Mark>,
}

impl<F: DiskFile> Scan<F> {
    /// Nothing read yet, of the segments that begin with `firsts`.
    pub(crate) fn new(config: &LogConfig, firsts: &[Vlsn]) -> Scan<F> {
        let before = firsts.first().map_or(Vlsn::NULL, |first| first.prev());
        let table = Table { segments: BTreeMap::new(), index: config.index(before) };
        Scan {
            table,
            history: History::new(),
            memberships: Vec::new(),
            last: LogPoint::NULL,
            last_crc: 0,
            group: None,
            marks: None,
            trailing: None,
            end: None,
            known: Known::default(),
            fresh: Vec::new(),
            untold: None,
            stride: config.stride(),
        }
    }

    /// The same, with what the index file says.
    pub(super) fn believing(self, known: Known) -> Scan<F> {
        Scan { known, ..self }
    }

    /// Reads the segments that begin with `firsts`, up to `keep` if a truncation is to be finished. What was read before an
    /// error stays.
    pub(crate) fn read_all<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        firsts: &[Vlsn],
        keep: Option<LogPoint>,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        report.segments = firsts.len();
        for (index, first) in firsts.iter().enumerate() {
            let segment = self.enter(disk, *first)?;
            match firsts.get(index + 1) {
                Some(next) => self.read_whole(segment, *next, report)?,
                None => self.read_last(segment, keep, report)?,
            }
        }
        if let Some((first, _)) = self.table.head() {
            self.history.clean(first);
        }
        Ok(())
    }

    /// Opens a segment and checks that it continues the one before.
    fn enter<D: Disk<File = F>>(
        &mut self,
        disk: &D,
        first: Vlsn,
    ) -> Result<Arc<Segment<F>>, OpenError> {
        let segment = open_segment(disk, first)?;
        let header = segment.header;
        let name = || segment.name();
        match self.group {
            None => self.begin_with(&header),
            Some(ours) if ours != header.group => {
                return Err(OpenError::Foreign { segment: name(), ours, found: header.group });
            }
            Some(_) if header.prev != self.last || header.prev_crc != self.last_crc => {
                let (vlsn, what) = (self.last.vlsn.next(), "the segments do not join");
                return Err(OpenError::Damaged { vlsn, segment: name(), offset: 0, what });
            }
            Some(_) => {}
        }
        self.table.segments.insert(first, Arc::clone(&segment));
        Ok(segment)
    }

    fn begin_with(&mut self, header: &SegmentHeader) {
        self.group = Some(header.group);
        self.last = header.prev;
        self.last_crc = header.prev_crc;
        if let Some(opening) = header.opening {
            self.history.push(opening).expect("a checked header names a possible opening");
        }
    }

    /// A segment with another behind it: it has to hold everything up to that one.
    fn read_whole(
        &mut self,
        segment: Arc<Segment<F>>,
        next: Vlsn,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        let (scanner, stop) = self.read(segment, next.prev(), report)?;
        if self.last.vlsn == next.prev() {
            return Ok(());
        }
        Err(damage(&scanner, what_is_wrong(stop)))
    }

    /// The segment in which the log ends.
    fn read_last(
        &mut self,
        segment: Arc<Segment<F>>,
        keep: Option<LogPoint>,
        report: &mut RecoveryReport,
    ) -> Result<(), OpenError> {
        let bound = keep.map_or(Vlsn::new(u64::MAX), |keep| keep.vlsn);
        let (scanner, stop) = self.read(segment, bound, report)?;
        if let Some(keep) = keep {
            if self.last != keep {
                return Err(damage(&scanner, "an entry that a truncation was to keep"));
            }
            report.cut_finished = Some(keep);
            self.end_at(&scanner, true);
            return Ok(());
        }
        let beyond = look_beyond(&scanner).during("read")?;
        self.learn(beyond.marks);
        let vouched = self.marks.map_or(Vlsn::NULL, |mark| mark.synced);
        if vouched > self.last.vlsn && !mutant!("vlsn-truncate-on-damage") {
            return Err(damage(&scanner, what_is_wrong(stop)));
        }
        if beyond.anything {
            report.torn_at = Some(self.last.vlsn.next());
            sometimes!(true, "vlsn-torn-tail");
        }
        self.end_at(&scanner, beyond.anything && !mutant!("vlsn-keep-stale-tail"));
        Ok(())
    }

    /// Steps through a segment up to entry `bound`.
    fn read(
        &mut self,
        segment: Arc<Segment<F>>,
        bound: Vlsn,
        report: &mut RecoveryReport,
    ) -> Result<(Scanner<F>, Stop), OpenError> {
        let first = segment.first();
        let mut growing = Section::of_segment(&segment.header);
        for section in self.known.take(&segment, bound).during("read what the index tells of")? {
            growing = self.believe(&section, report);
        }
        let chain = Chain::behind(growing.last, growing.last_crc);
        let mut scanner = Scanner::new(segment, growing.end, chain, CHUNK_BYTES);
        self.trailing = None;
        let stop = loop {
            if self.last.vlsn >= bound {
                break Stop::Full;
            }
            match scanner.step().during("read")? {
                Item::Mark(mark) => {
                    self.learn(Some(mark));
                    report.marks += 1;
                    growing.add_mark(mark);
                    self.trailing = Some(mark);
                }
                Item::Record(record, offset) => {
                    growing.add(&record, offset, self.stride);
                    self.take(&record, Position { segment: first, offset });
                    report.bytes += record.bytes().len() as u64;
                }
                Item::Stop(stop) => break stop,
            }
        };
        report.damaged_marks += scanner.damaged_marks();
        self.untold = Some(growing.clone());
        if !growing.is_empty() {
            self.untold = Some(growing.successor());
            self.fresh.push(growing);
        }
        Ok((scanner, stop))
    }

    /// Takes a section of the index file for what it tells.
    fn believe(&mut self, section: &Section, report: &mut RecoveryReport) -> Section {
        let Section { segment, from, last, last_crc, .. } = *section;
        for opening in &section.openings {
            self.history.push(*opening).expect("the section follows the last entry");
        }
        if !mutant!("log-membership-forgotten") {
            let point = |vlsn: &Vlsn| Some(LogPoint::new(self.history.term_at(*vlsn)?, *vlsn));
            self.memberships.extend(section.memberships.iter().filter_map(point));
        }
        self.table.index.adopt(segment, from, last.vlsn, &section.offsets);
        self.learn(Some(section.marks));
        self.last = last;
        self.last_crc = last_crc;
        report.told += section.entries();
        section.successor()
    }

    /// How many entries there are.
    pub(crate) fn entries(&self) -> u64 {
        let first = self.table.head().map_or(Vlsn::FIRST, |(first, _)| first);
        self.last.vlsn.next().distance_from(first)
    }

    fn take(&mut self, record: &Record, position: Position) {
        if record.point().term > self.last.term {
            let opening = opening(record).expect("the scanner admits no other");
            self.history.push(opening).expect("the scanner admits no other");
        }
        if record.header().kind.says_members() {
            self.memberships.push(record.point());
        }
        self.table.index.register(record.point().vlsn, position);
        self.last = record.point();
        self.last_crc = record.header_crc();
        self.trailing = None;
    }

    /// Keeps the highest of each claim: all of them stay true. A mark that claims nothing is as good as none; the index file
    /// does not tell the two apart.
    fn learn(&mut self, mark: Option<Mark>) {
        self.marks = highest(self.marks, mark.filter(Mark::claims));
    }

    fn end_at(&mut self, scanner: &Scanner<F>, erase: bool) {
        let segment = Arc::clone(scanner.segment());
        let vouched = self.marks.map_or(Vlsn::NULL, |mark| mark.synced);
        let first = segment.first();
        let unvouched = match self.table.index.floor(vouched.next().max(first)) {
            Some((_, position)) if position.segment == first => position.offset,
            Some(_) => SEGMENT_HEADER_BYTES as u64,
            None => scanner.at(),
        };
        self.end = Some(End { segment, offset: scanner.at(), erase, unvouched });
    }
}

/// Opens the segment that begins with entry `first`, and checks its header.
pub(crate) fn open_segment<D: Disk>(
    disk: &D,
    first: Vlsn,
) -> Result<Arc<Segment<D::File>>, OpenError> {
    let name = segment_name(first);
    let damaged = |vlsn, what| OpenError::Damaged { vlsn, segment: name.clone(), offset: 0, what };
    let file = disk.open(&name).during("open segment")?;
    let file = file.ok_or_else(|| damaged(first, "the segment is missing"))?;
    let mut bytes = [0; SEGMENT_HEADER_BYTES];
    let got = file.read_at(0, &mut bytes).during("read segment header")?;
    let header = match SegmentHeader::decode(&bytes[..got]) {
        Ok(header) if header.first == first => header,
        Ok(_) => return Err(damaged(first, "a segment under another one's name")),
        Err(HeaderError::Damaged) => return Err(damaged(first, "the segment header")),
        Err(HeaderError::Version(found)) => {
            return Err(OpenError::Version { segment: name, found, known: SEGMENT_FORMAT });
        }
    };
    Ok(Arc::new(Segment { header, file }))
}

fn highest(one: Option<Mark>, other: Option<Mark>) -> Option<Mark> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.highest(other)),
        (one, other) => one.or(other),
    }
}

pub(crate) fn what_is_wrong(stop: Stop) -> &'static str {
    match stop {
        Stop::Full => "the file ends before it",
        Stop::Zero => UNWRITTEN,
        Stop::Damage(what) => what,
    }
}

pub(crate) fn damage<F: DiskFile>(scanner: &Scanner<F>, what: &'static str) -> OpenError {
    let segment = scanner.segment().name();
    OpenError::Damaged { vlsn: scanner.chain().next, segment, offset: scanner.at(), what }
}

/// Looks from where the scan stopped to the end of the file, for marks at any place.
fn look_beyond<F: DiskFile>(scanner: &Scanner<F>) -> io::Result<Beyond> {
    let segment = scanner.segment();
    let seed = segment.header.seed();
    let mut beyond = Beyond::default();
    let mut window = vec![0; CHUNK_BYTES];
    let mut at = scanner.at();
    loop {
        let got = segment.file.read_at(at, &mut window)?;
        let bytes = &window[..got];
        if *bytes != ZEROS[..got] {
            beyond.anything = true;
            beyond.marks = highest(beyond.marks, marks_in(bytes, seed, at));
        }
        if got < CHUNK_BYTES {
            return Ok(beyond);
        }
        // A mark may lie across the border of two windows.
        at += (got - (MARK_BYTES - 1)) as u64;
    }
}

fn marks_in(bytes: &[u8], seed: u32, at: u64) -> Option<Mark> {
    let tag = MARK_TAG.to_le_bytes();
    let places = bytes.windows(MARK_BYTES).enumerate().filter(|(_, window)| window[..4] == tag);
    let marks = places.filter_map(|(index, window)| Mark::decode(window, seed, at + index as u64));
    marks.fold(None, |sum, mark| highest(sum, Some(mark)))
}

/// Writes bytes of a file where they are already, so that the next sync really makes them durable.
pub(super) fn write_back<F: DiskFile>(file: &F, from: u64, to: u64) -> io::Result<()> {
    let mut window = vec![0; CHUNK_BYTES.min(to.saturating_sub(from) as usize)];
    let mut at = from;
    while at < to {
        let count = (to - at).min(window.len() as u64) as usize;
        let got = file.read_at(at, &mut window[..count])?;
        if got == 0 {
            return Ok(());
        }
        file.write_at(at, &window[..got])?;
        at += got as u64;
    }
    Ok(())
}
