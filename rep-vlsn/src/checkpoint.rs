//! The file `log/index`: what an opening need not read again.
//!
//! Reading a long log to its end takes minutes; a crash should cost what was not synced, not what was ever written.
//! So the writer notes, beside the log, what a scan would find: for each stretch of a segment the places, the
//! term openings and the highest marks in it, and where its last record stands. An opening takes these notes, and
//! reads from where they end.
//!
//! # Why a note can do no harm
//!
//! The index never outlives the log that it describes. A *section* is noted only after the sync of what it tells. It is
//! believed only in the epoch of the cut cell for which it was noted (a truncation stores a new epoch before it
//! touches a byte), behind the very entry that it was noted behind (place and header CRC), and only if its last
//! record stands where it says, with the header CRC that it says: the chain then vouches for all entries before it.
//! What does not fit is forgotten and read from the files. The places of other records are mere hints: a reader checks each
//! record that it finds, and looks from the segment's beginning if the hint was bad.
//!
//! The index is therefore written without care: what a crash loses of it costs time. It is synced when a segment
//! ends, so that a power cut costs a segment at most; and if it cannot be written, the log goes on without it.

mod section;

pub(crate) use section::Section;

use crate::disk::{Disk, DiskFile};
use crate::files::read_window;
use crate::ids::{Epoch, GroupId, Vlsn};
use crate::record::{u32_at, u64_at};
use crate::segment::LOG_DIR;
use bytes::{Bytes, BytesMut};
use std::io;

const NAME: &str = "log/index";
const MAKING: &str = "log/index.new";
const MAGIC: [u8; 8] = *b"repindex";
/// 1 did not tell of memberships.
const FORMAT: u32 = 2;
const HEAD_BYTES: usize = 48;
/// What cleanings may leave behind before the file is written anew, beyond its own length again.
const SLACK_BYTES: u64 = 64 << 10;

/// Which log the file describes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) group: GroupId,
    /// The epoch that the cut cell had.
    pub(crate) epoch: Epoch,
    pub(crate) stride: u64,
}

/// What was read.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    pub(crate) head: Option<Head>,
    pub(crate) sections: Vec<Section>,
    /// Length of the sound part.
    len: u64,
    /// Whether nothing follows the sound part.
    pub(crate) whole: bool,
}

/// The file, as the log's writer extends it.
#[derive(Debug)]
pub(crate) struct Checkpoint<D: Disk> {
    disk: D,
    file: Option<D::File>,
    head: Option<Head>,
    len: u64,
    /// Its length when it was last written anew.
    len_anew: u64,
    /// After a failure nothing more is written: the log does not depend on it.
    given_up: bool,
}

impl<D: Disk> Checkpoint<D> {
    /// The file as it is, and what it says. One that cannot be read says nothing.
    pub(crate) fn open(disk: D) -> (Checkpoint<D>, Loaded) {
        let file = disk.open(NAME).ok().flatten();
        let loaded = file.as_ref().and_then(|file| load(file).ok()).unwrap_or_default();
        let Loaded { head, len, .. } = loaded;
        (Checkpoint { disk, file, head, len, len_anew: len, given_up: false }, loaded)
    }

    /// Adds sections behind those that are there; without a sync.
    pub(crate) fn append(&mut self, head: Head, sections: &[Section]) {
        if self.head == Some(head) {
            self.attempt(|this| this.extend(head, sections));
        } else {
            let mut all = self.sections(head.group);
            all.extend_from_slice(sections);
            self.replace(head, &all);
        }
    }

    /// Forgets the sections that are not to be kept.
    pub(crate) fn retain(&mut self, head: Head, keep: impl Fn(&Section) -> bool) {
        let mut sections = self.sections(head.group);
        sections.retain(keep);
        self.replace(head, &sections);
    }

    /// Forgets what was cleaned away, now and then.
    pub(crate) fn clean(&mut self, head: Head, first: Vlsn) {
        if self.len > 2 * self.len_anew + SLACK_BYTES {
            self.retain(head, |section| section.segment >= first);
        }
    }

    /// Writes the file anew.
    pub(crate) fn replace(&mut self, head: Head, sections: &[Section]) {
        self.attempt(|this| this.write_anew(head, sections));
    }

    /// Makes durable what was added.
    pub(crate) fn sync(&mut self) {
        self.attempt(|this| this.file.as_ref().map_or(Ok(()), DiskFile::sync));
    }

    fn attempt(&mut self, step: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.given_up {
            return;
        }
        if let Err(error) = step(self) {
            tracing::warn!(%error, "the log's index is not kept any more; the next opening reads the log");
            self.given_up = true;
        }
    }

    fn sections(&self, group: GroupId) -> Vec<Section> {
        if self.head.is_none_or(|head| head.group != group) {
            return Vec::new();
        }
        self.file.as_ref().and_then(|file| load(file).ok()).unwrap_or_default().sections
    }

    fn extend(&mut self, head: Head, sections: &[Section]) -> io::Result<()> {
        let Some(file) = &self.file else { return self.write_anew(head, sections) };
        let bytes = encode_all(&head, sections);
        file.write_at(self.len, &bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn write_anew(&mut self, head: Head, sections: &[Section]) -> io::Result<()> {
        if self.disk.open(MAKING)?.is_some() {
            self.disk.remove(MAKING)?;
        }
        let file = self.disk.create(MAKING)?;
        let mut bytes = BytesMut::from(&head.encode()[..]);
        bytes.extend_from_slice(&encode_all(&head, sections));
        file.write_at(0, &bytes)?;
        file.sync()?;
        self.disk.rename(MAKING, NAME)?;
        self.disk.sync_dir(LOG_DIR)?;
        self.file = Some(file);
        self.head = Some(head);
        self.len = bytes.len() as u64;
        self.len_anew = self.len;
        Ok(())
    }
}

impl Head {
    fn encode(&self) -> [u8; HEAD_BYTES] {
        let mut out = [0; HEAD_BYTES];
        out[0..8].copy_from_slice(&MAGIC);
        out[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        out[16..32].copy_from_slice(&self.group.0);
        out[32..40].copy_from_slice(&self.epoch.0.to_le_bytes());
        out[40..48].copy_from_slice(&self.stride.to_le_bytes());
        let crc = crc_of(&out);
        out[12..16].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` for anything that this version did not write: the index is made anew then.
    fn decode(bytes: &[u8]) -> Option<Head> {
        let whole = bytes.len() >= HEAD_BYTES
            && bytes[..8] == MAGIC
            && u32_at(bytes, 8) == FORMAT
            && crc_of(&bytes[..HEAD_BYTES]) == u32_at(bytes, 12);
        let mut group = [0; 16];
        group.copy_from_slice(bytes.get(16..32)?);
        whole.then(|| Head {
            group: GroupId(group),
            epoch: Epoch(u64_at(bytes, 32)),
            stride: u64_at(bytes, 40),
        })
    }

    /// Binds sections to this head: those of an earlier life of the file do not verify.
    fn seed(&self) -> u32 {
        crc32c::crc32c(&self.encode())
    }
}

fn crc_of(head: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&head[..12]), &head[16..])
}

fn encode_all(head: &Head, sections: &[Section]) -> Bytes {
    let mut bytes = BytesMut::new();
    sections.iter().for_each(|section| section.encode(head.seed(), &mut bytes));
    bytes.freeze()
}

fn load<F: DiskFile>(file: &F) -> io::Result<Loaded> {
    let bytes = read_window(file, 0, file.len()? as usize)?;
    let Some(head) = Head::decode(&bytes) else { return Ok(Loaded::default()) };
    let mut sections = Vec::new();
    let mut at = HEAD_BYTES;
    while let Some((section, length)) = Section::decode(&bytes[at..], head.seed(), head.stride) {
        sections.push(section);
        at += length;
    }
    Ok(Loaded { head: Some(head), sections, len: at as u64, whole: at == bytes.len() })
}
