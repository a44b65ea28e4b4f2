//! What a scan would find in a stretch of one segment.

use crate::batch::opening;
use crate::disk::DiskFile;
use crate::history::TermStart;
use crate::ids::{Epoch, LogPoint, NodeId, Term, Vlsn};
use crate::record::{HEADER_BYTES, Record, RecordHeader, u32_at, u64_at};
use crate::segment::{Mark, SEGMENT_HEADER_BYTES, SegmentHeader};
use bytes::{BufMut, BytesMut};
use std::io;

const FIXED_BYTES: usize = 116;
const OPENING_BYTES: usize = 20;
const MEMBERSHIP_BYTES: usize = 8;
const OFFSET_BYTES: usize = 8;
const NO_MARK: Mark = Mark { epoch: Epoch(0), synced: Vlsn::NULL, dvlsn: Vlsn::NULL };

/// A stretch of a segment: everything behind the entry `prev`, up to the entry `last`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section {
    /// The segment, by its first entry.
    pub(crate) segment: Vlsn,
    /// Where the stretch begins in the file,
    pub(crate) from: u64,
    /// where its last record begins,
    pub(crate) record: u64,
    /// and where that ends.
    pub(crate) end: u64,
    pub(crate) prev: LogPoint,
    pub(crate) prev_crc: u32,
    pub(crate) last: LogPoint,
    pub(crate) last_crc: u32,
    /// The highest claims of the marks in the stretch.
    pub(crate) marks: Mark,
    /// Of those behind its last record, which a cut after that record takes away: they belong to the next stretch.
    marks_behind: Mark,
    /// The terms that begin in it.
    pub(crate) openings: Vec<TermStart>,
    /// The entries in it that say the members.
    pub(crate) memberships: Vec<Vlsn>,
    /// Where the records stand whose numbers are multiples of the index's stride.
    pub(crate) offsets: Vec<u64>,
}

impl Section {
    /// The empty stretch behind a segment's header.
    pub(crate) fn of_segment(header: &SegmentHeader) -> Section {
        let from = SEGMENT_HEADER_BYTES as u64;
        Section::behind(header.first, from, header.prev, header.prev_crc)
    }

    /// The empty stretch behind this one.
    pub(crate) fn successor(&self) -> Section {
        let next = Section::behind(self.segment, self.end, self.last, self.last_crc);
        Section { marks_behind: self.marks_behind, ..next }
    }

    fn behind(segment: Vlsn, from: u64, prev: LogPoint, prev_crc: u32) -> Section {
        Section {
            segment,
            from,
            record: from,
            end: from,
            prev,
            prev_crc,
            last: prev,
            last_crc: prev_crc,
            marks: NO_MARK,
            marks_behind: NO_MARK,
            openings: Vec::new(),
            memberships: Vec::new(),
            offsets: Vec::new(),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.end == self.from
    }

    /// Length of the stretch in its segment, in bytes.
    pub(crate) fn segment_bytes(&self) -> u64 {
        self.end - self.from
    }

    pub(crate) fn entries(&self) -> u64 {
        self.last.vlsn.distance_from(self.prev.vlsn)
    }

    /// Learns of the next mark.
    pub(crate) fn add_mark(&mut self, mark: Mark) {
        self.marks_behind = self.marks_behind.highest(mark);
    }

    /// Learns of the next record, at `offset`.
    pub(crate) fn add(&mut self, record: &Record, offset: u64, stride: u64) {
        let point = record.point();
        if point.term > self.last.term {
            self.openings.extend(opening(record));
        }
        if record.header().kind.says_members() {
            self.memberships.push(point.vlsn);
        }
        if point.vlsn.get().is_multiple_of(stride) {
            self.offsets.push(offset);
        }
        self.marks = self.marks.highest(std::mem::replace(&mut self.marks_behind, NO_MARK));
        self.record = offset;
        self.end = offset + record.bytes().len() as u64;
        self.last = point;
        self.last_crc = record.header_crc();
    }

    /// Whether this stretch continues the other.
    pub(crate) fn continues(&self, before: &Section) -> bool {
        let Section { segment, from, prev, prev_crc, .. } = *self;
        (segment, from, prev, prev_crc)
            == (before.segment, before.end, before.last, before.last_crc)
    }

    /// Whether the last record stands in the file as it is told here. Its header CRC stands for every entry before it.
    pub(crate) fn is_witnessed_by<F: DiskFile>(&self, file: &F) -> io::Result<bool> {
        if self.end > file.len()? {
            return Ok(false);
        }
        let mut head = [0; HEADER_BYTES];
        let got = file.read_at(self.record, &mut head)?;
        let Ok(header) = RecordHeader::decode(&head[..got]) else { return Ok(false) };
        Ok(header.point == self.last
            && u32_at(&head, HEADER_BYTES - 4) == self.last_crc
            && self.record + header.record_bytes() as u64 == self.end)
    }

    pub(crate) fn encode(&self, seed: u32, out: &mut BytesMut) {
        let start = out.len();
        let length = length_of(self.openings.len(), self.memberships.len(), self.offsets.len());
        out.put_u32_le(length as u32);
        out.put_u32_le(0);
        for word in [self.segment.get(), self.from, self.end, self.record] {
            out.put_u64_le(word);
        }
        out.put_slice(&self.last.encode());
        out.put_u32_le(self.last_crc);
        out.put_u32_le(self.prev_crc);
        out.put_slice(&self.prev.encode());
        out.put_u32_le(self.openings.len() as u32);
        out.put_u32_le(self.offsets.len() as u32);
        for word in [self.marks.epoch.0, self.marks.synced.get(), self.marks.dvlsn.get()] {
            out.put_u64_le(word);
        }
        out.put_u32_le(self.memberships.len() as u32);
        for TermStart { term, start, node } in &self.openings {
            out.put_u64_le(term.get());
            out.put_u64_le(start.get());
            out.put_u32_le(node.get());
        }
        self.memberships.iter().for_each(|vlsn| out.put_u64_le(vlsn.get()));
        self.offsets.iter().for_each(|offset| out.put_u64_le(*offset));
        let crc = crc_of(seed, &out[start..]);
        out[start + 4..start + 8].copy_from_slice(&crc.to_le_bytes());
    }

    /// The first section in `bytes`, and its length; `None` if that is none, or one that cannot be.
    pub(crate) fn decode(bytes: &[u8], seed: u32, stride: u64) -> Option<(Section, usize)> {
        let length = u32_at(bytes.get(..FIXED_BYTES)?, 0) as usize;
        let bytes = bytes.get(..length.max(FIXED_BYTES))?;
        let [openings, offsets, memberships] = [80, 84, 112].map(|at| u32_at(bytes, at) as usize);
        let due = length_of(openings, memberships, offsets);
        if length != due || crc_of(seed, bytes) != u32_at(bytes, 4) {
            return None;
        }
        let (openings, rest) = bytes[FIXED_BYTES..].split_at(openings * OPENING_BYTES);
        let (memberships, offsets) = rest.split_at(memberships * MEMBERSHIP_BYTES);
        let openings = openings.chunks_exact(OPENING_BYTES).map(|bytes| {
            Some(TermStart {
                term: Term::new(u64_at(bytes, 0)),
                start: Vlsn::new(u64_at(bytes, 8)),
                node: NodeId::checked(u32_at(bytes, 16))?,
            })
        });
        let section = Section {
            segment: Vlsn::new(u64_at(bytes, 8)),
            from: u64_at(bytes, 16),
            end: u64_at(bytes, 24),
            record: u64_at(bytes, 32),
            last: point_at(bytes, 40),
            last_crc: u32_at(bytes, 56),
            prev_crc: u32_at(bytes, 60),
            prev: point_at(bytes, 64),
            marks: Mark {
                epoch: Epoch(u64_at(bytes, 88)),
                synced: Vlsn::new(u64_at(bytes, 96)),
                dvlsn: Vlsn::new(u64_at(bytes, 104)),
            },
            marks_behind: NO_MARK,
            openings: openings.collect::<Option<_>>()?,
            memberships: words(memberships).map(Vlsn::new).collect(),
            offsets: words(offsets).collect(),
        };
        section.can_be(stride).then_some((section, length))
    }

    /// Whether the parts agree, so that nothing that is made of them can fail.
    fn can_be(&self, stride: u64) -> bool {
        let Section { from, end, record, prev, last, .. } = *self;
        let places = from <= record && record < end && prev.vlsn < last.vlsn && stride > 0;
        let mut at = prev;
        let openings = self.openings.iter().all(|next| {
            let later = next.term > at.term && next.start > at.vlsn && next.start <= last.vlsn;
            at = LogPoint::new(next.term, next.start);
            later
        });
        places
            && openings
            && at.term == last.term
            && self.memberships.iter().all(|vlsn| *vlsn > prev.vlsn && *vlsn <= last.vlsn)
            && self.memberships.windows(2).all(|pair| pair[0] < pair[1])
            && self.marks.synced <= last.vlsn
            && self.offsets.len() as u64 == last.vlsn.get() / stride - prev.vlsn.get() / stride
            && self.offsets.iter().all(|offset| (from..=record).contains(offset))
    }
}

/// Length of a section with so many openings, memberships and offsets, in bytes.
fn length_of(openings: usize, memberships: usize, offsets: usize) -> usize {
    FIXED_BYTES + openings * OPENING_BYTES + memberships * MEMBERSHIP_BYTES + offsets * OFFSET_BYTES
}

fn words(bytes: &[u8]) -> impl Iterator<Item = u64> + '_ {
    bytes.chunks_exact(size_of::<u64>()).map(|bytes| u64_at(bytes, 0))
}

fn point_at(bytes: &[u8], at: usize) -> LogPoint {
    LogPoint::new(Term::new(u64_at(bytes, at)), Vlsn::new(u64_at(bytes, at + 8)))
}

/// Of the whole section but the CRC itself.
fn crc_of(seed: u32, section: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c_append(seed, &section[..4]), &section[8..])
}
