//! Places of a directory that hold no entry, and bytes that are put there. Where they lie is read off the formats, not asked of
//! the code that writes them.

use super::{Home, IDENTITY, PROMISE, VOUCH};
use crate::faults::{Cell, How, Place, Slots};

/// Where the second slot of a cell begins, and how long the header of each is (`docs/log-format.md`).
const CELL_SLOT_BYTES: u64 = 68 << 10;
const CELL_HEADER_BYTES: usize = 24;
/// Of a segment's header, and of a local mark (the same).
const SEGMENT_HEADER_BYTES: usize = 80;
const MARK_BYTES: usize = 32;
const MARK_BEGINS: &[u8] = b"MARK";
/// Where a copy of the state waits, and how the names of its chunks end.
const COPY_DIR: &str = "restore";
const CHUNK_ENDS: &str = ".chunk";

/// Bytes that something took the place of.
#[derive(Clone, Debug)]
pub(crate) struct Worn {
    file: String,
    at: u64,
    before: Vec<u8>,
}

/// A stretch of a file.
struct Stretch {
    file: String,
    at: u64,
    len: usize,
}

impl Home {
    /// Bytes in a place are not what they were; what they were, of each stretch.
    pub(crate) fn wear(&self, place: Place, how: How, astray: Option<&[u8]>) -> Vec<Worn> {
        let stretches = self.stretches(place);
        stretches
            .into_iter()
            .filter_map(|stretch| self.wear_stretch(stretch, how, astray))
            .collect()
    }

    /// The bytes are what they were.
    pub(crate) fn mend(&self, worn: &[Worn]) {
        for Worn { file, at, before } in worn.iter().rev() {
            self.disk.scribble(file, *at, before);
        }
    }

    /// A bit flips in one chunk of a copy; which that was, if there are any.
    pub(crate) fn spoil_chunk(&self, chunk: u64, bit: u64) -> Option<String> {
        let files = rep_vlsn::Disk::list(&self.disk, COPY_DIR).unwrap_or_default();
        let chunks = files.into_iter().filter(|file| file.ends_with(CHUNK_ENDS));
        let chunks = chunks.filter_map(|file| self.whole(&format!("{COPY_DIR}/{file}")));
        let worn = self.wear_stretch(nth(chunks.collect(), chunk)?, How::Flip(bit), None)?;
        Some(worn.file)
    }

    fn wear_stretch(&self, stretch: Stretch, how: How, astray: Option<&[u8]>) -> Option<Worn> {
        let Stretch { file, at, len } = stretch;
        let content = self.disk.contents(&file)?;
        let mut after = content.get(at as usize..)?.get(..len)?.to_vec();
        let before = after.clone();
        match (how, astray) {
            (How::Flip(bit), _) => {
                let bit = (bit % (8 * len.max(1) as u64)) as usize;
                *after.get_mut(bit / 8)? ^= 1 << (bit % 8);
            }
            (How::Astray(_), bytes) => {
                let bytes = bytes.unwrap_or_default();
                let count = bytes.len().min(len);
                after[..count].copy_from_slice(&bytes[..count]);
            }
        }
        (after != before && self.disk.scribble(&file, at, &after)).then_some(Worn {
            file,
            at,
            before,
        })
    }

    fn stretches(&self, place: Place) -> Vec<Stretch> {
        match place {
            Place::Cell { cell, slots } => {
                let file = match cell {
                    Cell::Promise => PROMISE,
                    Cell::Identity => IDENTITY,
                    Cell::Cut => "cut",
                    Cell::Vouch => VOUCH,
                };
                let slots: &[u64] = match slots {
                    Slots::First => &[0],
                    Slots::Second => &[1],
                    Slots::Both => &[0, 1],
                };
                slots.iter().filter_map(|slot| self.slot(file, *slot)).collect()
            }
            Place::Index => self.whole("log/index").into_iter().collect(),
            Place::Mark(number) => nth(self.marks(), number).into_iter().collect(),
            Place::Header(number) => {
                let headers = self.segments().into_iter().map(|file| Stretch {
                    file,
                    at: 0,
                    len: SEGMENT_HEADER_BYTES,
                });
                nth(headers.collect(), number).into_iter().collect()
            }
        }
    }

    /// What is in use of a cell's slot: a header of 24 bytes, of which the third word is the length of what follows.
    fn slot(&self, file: &str, slot: u64) -> Option<Stretch> {
        let at = slot * CELL_SLOT_BYTES;
        let content = self.disk.contents(file)?;
        let head = content.get(at as usize..)?.get(..CELL_HEADER_BYTES)?;
        let length = u32::from_le_bytes([head[16], head[17], head[18], head[19]]) as usize;
        Some(Stretch { file: file.to_owned(), at, len: CELL_HEADER_BYTES + length })
    }

    fn whole(&self, file: &str) -> Option<Stretch> {
        let len = self.disk.contents(file)?.len();
        (len > 0).then(|| Stretch { file: file.to_owned(), at: 0, len })
    }

    fn segments(&self) -> Vec<String> {
        let files = rep_vlsn::Disk::list(&self.disk, "log").unwrap_or_default();
        files
            .into_iter()
            .filter(|file| !file.starts_with("index"))
            .map(|file| format!("log/{file}"))
            .collect()
    }

    /// Local marks, by the word with which each begins.
    fn marks(&self) -> Vec<Stretch> {
        let mut marks = Vec::new();
        for file in self.segments() {
            let content = self.disk.contents(&file).unwrap_or_default();
            let places = content.windows(4).enumerate().filter(|(_, word)| *word == MARK_BEGINS);
            marks.extend(places.map(|(at, _)| Stretch {
                file: file.clone(),
                at: at as u64,
                len: MARK_BYTES,
            }));
        }
        marks
    }
}

fn nth(mut all: Vec<Stretch>, number: u64) -> Option<Stretch> {
    let at = number.checked_rem(all.len() as u64)? as usize;
    Some(all.swap_remove(at))
}
