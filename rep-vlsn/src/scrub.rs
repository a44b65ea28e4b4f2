//! Reading again what was written long ago, before anybody needs it.
//!
//! A disk forgets in silence. What is rotten in the middle of a log is noticed when somebody reads it, which may be years later, when the other copies are
//! gone. A [`Scrub`] goes through the files of a running log that are full, one after the other and as slowly as its caller wants, and
//! verifies what any reader would: checksums, chain, and that each file goes on where the next one says.
//!
//! The newest file is left out: it is being written, and its next opening reads it anyway.

use crate::disk::{Disk, DiskFile};
use crate::files::{Chain, Item, Scanner, Segment, Stop, read_window};
use crate::ids::{Epoch, Vlsn};
use crate::offline::UNWRITTEN;
use crate::reader::LogReader;
use crate::segment::SEGMENT_HEADER_BYTES;
use std::fmt;
use std::io;
use std::sync::Arc;

/// So much is read at once, unless an entry is longer.
const CHUNK_BYTES: usize = 256 << 10;

/// A way through all full files of a log, again and again.
#[derive(Debug)]
pub struct Scrub<D: Disk> {
    reader: LogReader<D>,
    at: Option<At<D::File>>,
    /// The file that is next begins with this entry or a later one.
    next: Vlsn,
}

/// The file that is being read.
#[derive(Debug)]
struct At<F> {
    scanner: Scanner<F>,
    /// The file after it: a log that is cut forgets that one before a byte of this one changes.
    after: Arc<Segment<F>>,
    /// What the file after it begins with, and says of the end of this one.
    until: Vlsn,
    last_crc: u32,
    epoch: Epoch,
}

/// What one step of a scrub came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Scrubbed {
    /// So many bytes were read, and they are what they should be.
    Read {
        /// How many.
        bytes: u64,
    },
    /// All full files have been read; the next step begins anew.
    All,
}

/// The first thing in a file that is not what was written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Rot {
    /// The entry that cannot be vouched for.
    pub vlsn: Vlsn,
    /// The file.
    pub segment: String,
    /// Where in it, in bytes.
    pub offset: u64,
    /// What is there instead.
    pub what: &'static str,
}

impl fmt::Display for Rot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Rot { vlsn, segment, offset, what } = self;
        write!(f, "entry {vlsn} is damaged: {what} (segment {segment}, offset {offset})")
    }
}

impl<D: Disk> LogReader<D> {
    /// A scrub of this log, from its first file on.
    pub fn scrub(&self) -> Scrub<D> {
        Scrub { reader: self.clone(), at: None, next: Vlsn::NULL }
    }
}

impl<D: Disk> Scrub<D> {
    /// Reads a little more, and tells the first rot in it; the file that has it is not read further in this round. A file that is cleaned away or cut meanwhile is nobody's
    /// any more, whatever it looks like.
    ///
    /// # Errors
    ///
    /// The disk's, which says nothing about what was written. The next step goes on with the next file.
    pub fn step(&mut self) -> io::Result<Result<Scrubbed, Rot>> {
        let (mut at, header) = match self.at.take() {
            Some(at) => (at, 0),
            None => match self.begin() {
                Some(at) => (at, SEGMENT_HEADER_BYTES as u64),
                None => {
                    self.next = Vlsn::NULL;
                    return Ok(Ok(Scrubbed::All));
                }
            },
        };
        self.next = at.until;
        let start = at.scanner.at();
        let found = match header {
            0 => at.read()?,
            _ => at.check_header()?,
        };
        if !self.is_current(&at) {
            return Ok(Ok(Scrubbed::Read { bytes: 0 }));
        }
        if let Err(what) = found {
            return Ok(Err(at.rot(what)));
        }
        let bytes = at.scanner.at() - start + header;
        if at.scanner.chain().next < at.until {
            self.at = Some(at);
        }
        Ok(Ok(Scrubbed::Read { bytes }))
    }

    /// The next file that is full.
    fn begin(&self) -> Option<At<D::File>> {
        let epoch = self.reader.tail().epoch();
        let table = self.reader.files().read();
        let mut files = table.segments.range(self.next..).map(|(_, segment)| segment);
        let (segment, after) = (Arc::clone(files.next()?), Arc::clone(files.next()?));
        let chain = Chain::after_header(&segment.header);
        let scanner = Scanner::new(segment, SEGMENT_HEADER_BYTES as u64, chain, CHUNK_BYTES);
        let (until, last_crc) = (after.header.first, after.header.prev_crc);
        Some(At { scanner, after, until, last_crc, epoch })
    }

    /// Whether the file is still the log's, and full.
    fn is_current(&self, at: &At<D::File>) -> bool {
        let table = self.reader.files().read();
        let is_held = |segment: &Arc<Segment<D::File>>| {
            table.segments.get(&segment.first()).is_some_and(|held| Arc::ptr_eq(held, segment))
        };
        // The tail is cut first, and its epoch tells nothing of a file that was begun after that and before the files were.
        let uncut = is_held(&at.after);
        is_held(at.scanner.segment()) && uncut && self.reader.tail().epoch() == at.epoch
    }
}

impl<F: DiskFile> At<F> {
    fn check_header(&self) -> io::Result<Result<(), &'static str>> {
        let Segment { header, file } = &**self.scanner.segment();
        let found = read_window(file, 0, SEGMENT_HEADER_BYTES)?;
        let is_same = found == header.encode()[..];
        Ok(if is_same { Ok(()) } else { Err("the segment's header is another one") })
    }

    /// Reads a chunk, or up to the end.
    fn read(&mut self) -> io::Result<Result<(), &'static str>> {
        let start = self.scanner.at();
        while self.scanner.chain().next < self.until {
            match self.scanner.step()? {
                Item::Mark(_) => {}
                Item::Record(..) if self.scanner.at() - start >= CHUNK_BYTES as u64 => {
                    return Ok(self.check_end());
                }
                Item::Record(..) => {}
                Item::Stop(Stop::Full) => return Ok(Err("the file ends")),
                Item::Stop(Stop::Zero) => return Ok(Err(UNWRITTEN)),
                Item::Stop(Stop::Damage(what)) => return Ok(Err(what)),
            }
        }
        Ok(self.check_end())
    }

    fn check_end(&self) -> Result<(), &'static str> {
        let chain = self.scanner.chain();
        let fits = chain.next < self.until || chain.crc == Some(self.last_crc);
        if fits { Ok(()) } else { Err("its last entry is another one than the next file says") }
    }

    fn rot(&self, what: &'static str) -> Rot {
        let scanner = &self.scanner;
        let segment = scanner.segment().name();
        Rot { vlsn: scanner.chain().next, segment, offset: scanner.at(), what }
    }
}
