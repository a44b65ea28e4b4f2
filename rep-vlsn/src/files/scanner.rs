//! Steps through one segment, and believes nothing that is not checksummed and chained.

use super::Segment;
use crate::disk::DiskFile;
use crate::ids::{LogPoint, Term, Vlsn};
use crate::mutant;
use crate::record::{HEADER_BYTES, Record, RecordHeader, u32_at};
use crate::segment::{MARK_BYTES, MARK_TAG, Mark, SEGMENT_HEADER_BYTES, SegmentHeader};
use bytes::{Bytes, BytesMut};
use std::io;
use std::sync::Arc;

/// What the next record has to continue.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Chain {
    /// The entry that is due.
    pub(crate) next: Vlsn,
    /// The term of the one before it.
    pub(crate) term: Term,
    /// Its header CRC; `None` in the middle of a log, where it is not known.
    pub(crate) crc: Option<u32>,
}

/// What stands at a place in a segment.
#[derive(Debug)]
pub(crate) enum Item {
    Mark(Mark),
    Record(Record, u64),
    /// Nothing that continues the log; the scanner stays where it is.
    Stop(Stop),
}

/// Why a scan does not go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// The file ends.
    Full,
    /// Zeros: space that was never written.
    Zero,
    /// Something that was once to be a record, or a record that does not belong here.
    Damage(&'static str),
}

/// A place in a segment, with a window of bytes around it.
#[derive(Debug)]
pub(crate) struct Scanner<F> {
    segment: Arc<Segment<F>>,
    seed: u32,
    at: u64,
    chain: Chain,
    window: Bytes,
    window_at: u64,
    chunk_bytes: usize,
    damaged_marks: u32,
}

impl Chain {
    pub(crate) fn after_header(header: &SegmentHeader) -> Chain {
        Chain { next: header.first, term: header.prev.term, crc: Some(header.prev_crc) }
    }

    fn after(record: &Record) -> Chain {
        Chain::behind(record.point(), record.header_crc())
    }

    pub(crate) fn behind(last: LogPoint, crc: u32) -> Chain {
        Chain { next: last.vlsn.next(), term: last.term, crc: Some(crc) }
    }

    pub(crate) fn admits(&self, header: &RecordHeader) -> Result<(), &'static str> {
        let RecordHeader { point, prev_crc, kind, .. } = header;
        if point.vlsn != self.next {
            return Err("a record of another number");
        }
        let chained = self.crc.is_none_or(|crc| crc == *prev_crc);
        if !chained && !mutant!("vlsn-no-predecessor-chain") {
            return Err("a record of another chain");
        }
        let opens = point.term == self.term || kind.opens_term();
        if point.term < self.term || (self.crc.is_some() && !opens) {
            return Err("a record of an impossible term");
        }
        Ok(())
    }
}

impl<F: DiskFile> Scanner<F> {
    pub(crate) fn new(segment: Arc<Segment<F>>, at: u64, chain: Chain, chunk_bytes: usize) -> Self {
        let seed = segment.header.seed();
        let window = Bytes::new();
        Scanner { segment, seed, at, chain, window, window_at: 0, chunk_bytes, damaged_marks: 0 }
    }

    /// Goes on behind the header of the next segment, with the same chain.
    pub(crate) fn go_on_in(&mut self, segment: Arc<Segment<F>>) {
        self.seed = segment.header.seed();
        self.segment = segment;
        self.at = SEGMENT_HEADER_BYTES as u64;
        self.window = Bytes::new();
    }

    pub(crate) fn segment(&self) -> &Arc<Segment<F>> {
        &self.segment
    }

    /// What was last read of the file, and from where.
    pub(crate) fn window(&self) -> (Bytes, u64) {
        (self.window.clone(), self.window_at)
    }

    pub(crate) fn chain(&self) -> Chain {
        self.chain
    }

    pub(crate) fn at(&self) -> u64 {
        self.at
    }

    /// Marks that were stepped over because they did not verify.
    pub(crate) fn damaged_marks(&self) -> u32 {
        self.damaged_marks
    }

    /// The next record or mark. A damaged mark in front of a sound one, or of the very record that is
    /// due, has cost nothing: it is stepped over.
    pub(crate) fn step(&mut self) -> io::Result<Item> {
        let item = self.item()?;
        if !matches!(item, Item::Stop(Stop::Damage(_))) {
            return Ok(item);
        }
        self.at += MARK_BYTES as u64;
        let behind = self.item()?;
        if matches!(behind, Item::Stop(_)) {
            self.at -= MARK_BYTES as u64;
            return Ok(item);
        }
        self.damaged_marks += 1;
        Ok(behind)
    }

    fn item(&mut self) -> io::Result<Item> {
        let head = self.peek(HEADER_BYTES)?;
        if head.len() < MARK_BYTES {
            return Ok(Item::Stop(Stop::Full));
        }
        if u32_at(&head, 0) == MARK_TAG {
            return Ok(self.mark(&head));
        }
        if head.iter().all(|byte| *byte == 0) {
            return Ok(Item::Stop(Stop::Zero));
        }
        match RecordHeader::decode(&head) {
            Ok(header) => self.record(&header),
            Err(_) => Ok(Item::Stop(Stop::Damage("no record header"))),
        }
    }

    fn mark(&mut self, head: &[u8]) -> Item {
        match Mark::decode(head, self.seed, self.at) {
            Some(mark) => {
                self.at += MARK_BYTES as u64;
                Item::Mark(mark)
            }
            None => Item::Stop(Stop::Damage("a mark that does not verify")),
        }
    }

    fn record(&mut self, header: &RecordHeader) -> io::Result<Item> {
        if let Err(what) = self.chain.admits(header) {
            return Ok(Item::Stop(Stop::Damage(what)));
        }
        let mut bytes = self.peek(header.record_bytes())?;
        let Ok(record) = Record::split_from(&mut bytes) else {
            return Ok(Item::Stop(Stop::Damage("a payload that does not verify")));
        };
        let at = self.at;
        self.at += record.bytes().len() as u64;
        self.chain = Chain::after(&record);
        Ok(Item::Record(record, at))
    }

    /// The next `count` bytes, fewer at the end of the file.
    fn peek(&mut self, count: usize) -> io::Result<Bytes> {
        let start = self.at.wrapping_sub(self.window_at) as usize;
        let inside = self.at >= self.window_at && start + count <= self.window.len();
        if !inside {
            self.window = read_window(&self.segment.file, self.at, count.max(self.chunk_bytes))?;
            self.window_at = self.at;
        }
        let start = (self.at - self.window_at) as usize;
        let end = (start + count).min(self.window.len());
        Ok(self.window.slice(start..end))
    }
}

pub(crate) fn read_window<F: DiskFile>(file: &F, at: u64, count: usize) -> io::Result<Bytes> {
    // No room is made, and zeroed, for what the file does not have.
    let there = file.len()?.saturating_sub(at);
    let mut window = BytesMut::zeroed(count.min(usize::try_from(there).unwrap_or(usize::MAX)));
    let got = file.read_at(at, &mut window)?;
    window.truncate(got);
    Ok(window.freeze())
}
