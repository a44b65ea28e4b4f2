//! One file of a [`MemDisk`](super::MemDisk): pages, and what a power cut would take back.

use super::Mood;
use bytes::Bytes;
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

const PAGE_BYTES: usize = 4096;
const SECTOR_BYTES: usize = 512;

type Page = Arc<[u8; PAGE_BYTES]>;

/// Pages as they are read now. A page that is absent is all zeros.
#[derive(Debug, Default)]
pub(super) struct Content {
    pages: BTreeMap<u64, Page>,
    len: u64,
    /// Pages written to since the last sync, as they were then; and the length.
    synced_pages: BTreeMap<u64, Option<Page>>,
    synced_len: u64,
    /// What was done since the last sync, in order.
    unsynced: Vec<Op>,
    /// Pages that a failed sync left behind: they read as new and are not durable.
    lost: BTreeMap<u64, Option<Page>>,
}

#[derive(Debug)]
enum Op {
    Write { offset: u64, bytes: Bytes },
    SetLen(u64),
}

/// The part of a write that falls into one page.
struct Piece {
    page: u64,
    at: usize,
    of: Range<usize>,
}

impl Content {
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> usize {
        let count = (self.len.saturating_sub(offset)).min(buffer.len() as u64) as usize;
        for Piece { page, at, of } in pieces(offset, count) {
            let out = &mut buffer[of];
            match self.pages.get(&page) {
                Some(page) => out.copy_from_slice(&page[at..at + out.len()]),
                None => out.fill(0),
            }
        }
        count
    }

    pub(super) fn write(&mut self, offset: u64, bytes: Bytes) {
        for Piece { page, at, of } in pieces(offset, bytes.len()) {
            let part = &bytes[of];
            self.page_mut(page)[at..at + part.len()].copy_from_slice(part);
        }
        self.len = self.len.max(offset + bytes.len() as u64);
        self.unsynced.push(Op::Write { offset, bytes });
    }

    pub(super) fn set_len(&mut self, len: u64) {
        self.resize(len);
        self.unsynced.push(Op::SetLen(len));
    }

    pub(super) fn sync(&mut self) {
        for page in self.synced_pages.keys() {
            self.lost.remove(page);
        }
        self.settle();
    }

    /// The unsynced pages are taken for clean. They read as written or (`reads_old`) as they were before.
    pub(super) fn sync_failed(&mut self, reads_old: bool) {
        self.unsynced.clear();
        for (page, old) in std::mem::take(&mut self.synced_pages) {
            if !reads_old {
                self.lost.entry(page).or_insert(old);
                continue;
            }
            self.put(page, old);
        }
    }

    pub(super) fn is_in_doubt(&self) -> bool {
        !self.lost.is_empty()
    }

    fn put(&mut self, page: u64, content: Option<Page>) {
        match content {
            Some(content) => self.pages.insert(page, content),
            None => self.pages.remove(&page),
        };
    }

    pub(super) fn power_cut(&mut self, mood: Mood, rng: &mut dyn FnMut() -> u64) {
        let ops = std::mem::take(&mut self.unsynced);
        let old = std::mem::take(&mut self.synced_pages);
        for (page, content) in old.into_iter().chain(std::mem::take(&mut self.lost)) {
            self.put(page, content);
        }
        self.len = self.synced_len;
        for op in ops {
            self.survive(op, mood, rng);
        }
        self.settle();
    }

    pub(super) fn flip_bit(&mut self, offset: u64) -> bool {
        if offset >= self.len {
            return false;
        }
        let (page, at) = (offset / PAGE_BYTES as u64, (offset % PAGE_BYTES as u64) as usize);
        let mask = 1 << (offset % 8);
        Arc::make_mut(self.pages.entry(page).or_insert_with(zeros))[at] ^= mask;
        if let Some(Some(old)) = self.synced_pages.get_mut(&page) {
            Arc::make_mut(old)[at] ^= mask;
        }
        true
    }

    pub(super) fn scribble(&mut self, offset: u64, bytes: &[u8]) -> bool {
        if offset + bytes.len() as u64 > self.len {
            return false;
        }
        for Piece { page, at, of } in pieces(offset, bytes.len()) {
            let part = &bytes[of];
            let now = Arc::make_mut(self.pages.entry(page).or_insert_with(zeros));
            now[at..at + part.len()].copy_from_slice(part);
            if let Some(Some(old)) = self.synced_pages.get_mut(&page) {
                Arc::make_mut(old)[at..at + part.len()].copy_from_slice(part);
            }
        }
        true
    }

    pub(super) fn to_vec(&self) -> Vec<u8> {
        let mut out = vec![0; self.len as usize];
        self.read(0, &mut out);
        out
    }

    /// The same bytes, as if synced.
    pub(super) fn clean_copy(&self) -> Content {
        let (pages, len) = (self.pages.clone(), self.len);
        Content { pages, len, synced_len: len, ..Content::default() }
    }

    /// What a power cut would leave for certain, as if it had happened.
    pub(super) fn certain_copy(&self) -> Content {
        let mut copy = self.clean_copy();
        for (page, old) in self.synced_pages.iter().chain(&self.lost) {
            copy.put(*page, old.clone());
        }
        (copy.len, copy.synced_len) = (self.synced_len, self.synced_len);
        copy
    }

    pub(super) fn is_synced(&self) -> bool {
        self.unsynced.is_empty()
    }

    /// One unsynced operation meets a power cut. A length may survive without the bytes that made it.
    fn survive(&mut self, op: Op, mood: Mood, rng: &mut dyn FnMut() -> u64) {
        match op {
            Op::SetLen(len) => {
                if mood.keeps(rng) {
                    self.resize(len);
                }
            }
            Op::Write { offset, bytes } => {
                let end = offset + bytes.len() as u64;
                if end > self.len && mood.keeps(rng) {
                    self.len = end;
                }
                for Piece { page, at, of } in pieces(offset, bytes.len()) {
                    let tear = mood.tear(rng);
                    if tear != 0 {
                        self.write_sectors(page, at, &bytes[of], tear);
                    }
                }
            }
        }
    }

    fn write_sectors(&mut self, page: u64, at: usize, part: &[u8], tear: u8) {
        let out = self.page_mut(page);
        for (index, byte) in part.iter().enumerate() {
            if tear >> ((at + index) / SECTOR_BYTES) & 1 == 1 {
                out[at + index] = *byte;
            }
        }
        self.len = self.len.max(page * PAGE_BYTES as u64 + (at + part.len()) as u64);
    }

    fn resize(&mut self, len: u64) {
        if len < self.len {
            let cut = len / PAGE_BYTES as u64;
            let beyond: Vec<u64> = self.pages.range(cut..).map(|(page, _)| *page).collect();
            for page in beyond {
                if page > cut || len.is_multiple_of(PAGE_BYTES as u64) {
                    let old = self.pages.remove(&page);
                    self.synced_pages.entry(page).or_insert(old);
                } else {
                    self.page_mut(page)[(len % PAGE_BYTES as u64) as usize..].fill(0);
                }
            }
        }
        self.len = len;
    }

    fn page_mut(&mut self, page: u64) -> &mut [u8; PAGE_BYTES] {
        let now = self.pages.get(&page).cloned();
        self.synced_pages.entry(page).or_insert(now);
        Arc::make_mut(self.pages.entry(page).or_insert_with(zeros))
    }

    fn settle(&mut self) {
        self.synced_pages.clear();
        self.unsynced.clear();
        self.synced_len = self.len;
    }
}

impl Mood {
    /// Which sectors of a page survive, as bits.
    fn tear(self, rng: &mut dyn FnMut() -> u64) -> u8 {
        match self {
            Mood::Nothing => 0,
            Mood::Everything => 0xff,
            Mood::Some => match rng() % 4 {
                0 => 0,
                1 => (rng() >> 11) as u8,
                _ => 0xff,
            },
        }
    }
}

fn zeros() -> Page {
    Arc::new([0; PAGE_BYTES])
}

fn pieces(offset: u64, count: usize) -> impl Iterator<Item = Piece> {
    let mut done = 0;
    std::iter::from_fn(move || {
        if done == count {
            return None;
        }
        let place = offset + done as u64;
        let at = (place % PAGE_BYTES as u64) as usize;
        let here = (PAGE_BYTES - at).min(count - done);
        let piece = Piece { page: place / PAGE_BYTES as u64, at, of: done..done + here };
        done += here;
        Some(piece)
    })
}
