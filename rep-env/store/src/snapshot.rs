//! A state as a sequence of chunks.
//!
//! A chunk of pairs says nothing but its pairs: equal pairs make equal bytes, whoever made the chunk and whichever entry
//! the state stands for. Where chunks end is decided by what is in them (`snapshot/cutting.rs`). So a receiver may keep chunks in files,
//! known by their digests, and ask another source, days later, for those that differ. The last chunk says the point, the count of
//! pairs and a digest over the checksums of all chunks: what is missing, exchanged or of another state is found by the order of keys,
//! the count or the digest. (A digest over all pairs once more would take longer than all else that is done with a chunk.)
//!
//! ```text
//!  0  version   u8    3
//!  1  kind      u8    1 pairs, 2 end
//!  2  reserved  u16   0
//!  4  body            pairs: an encoded write set of puts, (database, key) increasing over all chunks
//!                     end: point 16, pairs u64, digest 16
//!     CRC       u32   CRC32C of everything before it
//! ```
//! All little-endian.

mod cutting;

pub(crate) use cutting::Cutting;
pub use cutting::{CHUNK_BYTES, CHUNK_BYTES_MIN};

use crate::digest::Digester;
use crate::engine::{Engine, Pair};
use crate::state_machine::Chunks;
use crate::view::Range;
use crate::write_set::{Run, WRITE_SET_BYTES_MAX, codec, runs_of};
use crate::{Database, Digest, Snapshot, StoreError, View};
use bytes::{BufMut, Bytes, BytesMut};
use rep_vlsn::LogPoint;
use std::fmt;
use std::sync::Arc;

/// The largest chunk: a largest pair, which is longer than any other chunk.
pub const CHUNK_BYTES_MAX: usize = WRITE_SET_BYTES_MAX + HEADER_BYTES + CRC_BYTES;

const VERSION: u8 = 3;
const PAIRS: u8 = 1;
const END: u8 = 2;
const HEADER_BYTES: usize = 4;
const CRC_BYTES: usize = 4;
const END_BYTES: usize = 40;

/// The chunks of one view.
pub(crate) struct DatabasesSnapshot {
    view: View,
    cutting: Cutting,
    databases: std::vec::IntoIter<Database>,
    current: Option<(Database, Range)>,
    /// A pair of the current database for which the last chunk had no room.
    held: Option<Pair>,
    pairs: u64,
    /// How many pairs there will be, if that is known.
    pairs_all: Option<u64>,
    digester: Digester,
    ended: bool,
    /// Counts this snapshot as living.
    _living: Arc<()>,
}

impl DatabasesSnapshot {
    pub(crate) fn of(view: View, cutting: Cutting, living: Arc<()>) -> Result<Self, StoreError> {
        let databases = view.databases()?;
        let pairs_all = view.pairs_kept(&databases)?;
        Ok(DatabasesSnapshot {
            databases: databases.into_iter(),
            view,
            cutting,
            current: None,
            held: None,
            pairs: 0,
            pairs_all,
            digester: Digester::new(),
            ended: false,
            _living: living,
        })
    }

    /// Fills a chunk with the pairs that come next; tells how many.
    fn fill(&mut self, chunk: &mut BytesMut) -> Result<u64, StoreError> {
        let before = self.pairs;
        let mut named = false;
        loop {
            let Some((database, range)) = &mut self.current else {
                let Some(next) = self.databases.next() else { break };
                let range = self.view.range(&next, ..);
                self.current = Some((next, range));
                named = false;
                continue;
            };
            let Some((key, value)) =
                self.held.take().map(Ok).or_else(|| range.next()).transpose()?
            else {
                self.current = None;
                continue;
            };
            let name = database.name();
            let name_bytes = if named { 0 } else { codec::name_bytes(name) };
            let needed = name_bytes + codec::put_bytes(&key, &value) + CRC_BYTES;
            if self.pairs > before && chunk.len() + needed > self.cutting.bytes_max() {
                self.held = Some((key, value));
                break;
            }
            if !std::mem::replace(&mut named, true) {
                codec::write_database(chunk, name);
            }
            codec::write_put(chunk, &key, &value);
            self.pairs += 1;
            if self.cutting.ends_behind(chunk.len(), name, &key, &value) {
                break;
            }
        }
        Ok(self.pairs - before)
    }
}

fn begin(kind: u8) -> BytesMut {
    BytesMut::from(&[VERSION, kind, 0, 0][..])
}

fn seal(mut chunk: BytesMut) -> (Bytes, u32) {
    let crc = crc32c::crc32c(&chunk);
    chunk.put_u32_le(crc);
    (chunk.freeze(), crc)
}

fn end_of(point: LogPoint, pairs: u64, Digest(digest): Digest) -> [u8; END_BYTES] {
    let mut end = [0; END_BYTES];
    end[..16].copy_from_slice(&point.encode());
    end[16..24].copy_from_slice(&pairs.to_le_bytes());
    end[24..].copy_from_slice(&digest);
    end
}

impl Snapshot for DatabasesSnapshot {
    fn point(&self) -> LogPoint {
        self.view.applied()
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = begin(PAIRS);
        codec::write_version(&mut chunk);
        if self.fill(&mut chunk)? > 0 {
            let (chunk, crc) = seal(chunk);
            self.digester.chunk(chunk.len(), crc);
            return Ok(Some(chunk));
        }
        let mut chunk = begin(END);
        chunk.put_slice(&end_of(self.point(), self.pairs, self.digester.finish()));
        self.ended = true;
        Ok(Some(seal(chunk).0))
    }

    fn progress(&self) -> Option<(u64, u64)> {
        self.pairs_all.map(|all| (self.pairs, all))
    }
}

impl fmt::Debug for DatabasesSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabasesSnapshot")
            .field("point", &self.point())
            .field("pairs", &self.pairs)
            .finish_non_exhaustive()
    }
}

/// Replaces what `engine` holds by what it has loaded and these chunks say, if together they are one whole snapshot.
pub(crate) fn install(
    receiver: &mut Receiver,
    engine: &mut dyn Engine,
    chunks: &mut Chunks<'_>,
) -> Result<LogPoint, StoreError> {
    while receiver.whole.is_none() {
        let chunk = chunks.next().ok_or(receiver.refuse("the snapshot ends early"))?;
        receiver.take(&chunk?, engine)?;
    }
    let point = receiver.whole.expect("it is whole");
    engine.put_in_place(point)?;
    Ok(point)
}

/// What has been seen of a snapshot, and was loaded.
pub(crate) struct Receiver {
    number: u32,
    pairs: u64,
    digester: Digester,
    last: Option<(String, Vec<u8>)>,
    /// The snapshot's point, once all of it was seen.
    whole: Option<LogPoint>,
}

impl Default for Receiver {
    fn default() -> Self {
        Receiver { number: 0, pairs: 0, digester: Digester::new(), last: None, whole: None }
    }
}

impl Receiver {
    /// Loads the next chunk; the last one says the point. After an error what was loaded is of no use.
    pub(crate) fn take(&mut self, chunk: &[u8], engine: &mut dyn Engine) -> Result<(), StoreError> {
        if self.whole.is_some() {
            return Err(self.refuse("it comes after the last one"));
        }
        let (kind, body, crc) = self.open(chunk)?;
        match kind {
            PAIRS => {
                self.digester.chunk(chunk.len(), crc);
                self.take_pairs(body, engine)?;
            }
            END => self.whole = Some(self.end(body)?),
            _ => return Err(self.refuse("unknown kind")),
        }
        self.number = self.number.checked_add(1).ok_or(self.refuse("too many chunks"))?;
        Ok(())
    }

    fn take_pairs(&mut self, body: &[u8], engine: &mut dyn Engine) -> Result<(), StoreError> {
        let mut runs = Vec::new();
        runs_of(body, &mut runs).map_err(|_| self.refuse("it holds no pairs"))?;
        let before = self.pairs;
        runs.iter().try_for_each(|run| self.count(run))?;
        if self.pairs == before {
            return Err(self.refuse("it holds no pairs"));
        }
        engine.load(&runs)
    }

    /// Kind, body and checksum of a chunk whose checksum is right.
    fn open<'a>(&self, chunk: &'a [u8]) -> Result<(u8, &'a [u8], u32), StoreError> {
        let Some(body_bytes) = chunk.len().checked_sub(HEADER_BYTES + CRC_BYTES) else {
            return Err(self.refuse("it is shorter than a chunk"));
        };
        let (content, crc) = chunk.split_at(HEADER_BYTES + body_bytes);
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(self.refuse("it is longer than a chunk"));
        }
        let sum = crc32c::crc32c(content);
        if sum.to_le_bytes() != *crc {
            return Err(self.refuse("checksum"));
        }
        if content[0] != VERSION || content[2..4] != [0, 0] {
            return Err(self.refuse("unknown version"));
        }
        Ok((content[1], &content[HEADER_BYTES..], sum))
    }

    /// Counts the pairs of a run, all of which have to lie after the last one.
    fn count(&mut self, run: &Run<'_>) -> Result<(), StoreError> {
        for (key, value) in &run.changes {
            if value.is_none() {
                return Err(self.refuse("it deletes"));
            }
            let follows = self.last.as_ref().is_none_or(|(database, last)| {
                (database.as_str(), last.as_slice()) < (run.database, *key)
            });
            if !follows {
                return Err(self.refuse("pairs are not in order"));
            }
            self.last = Some((run.database.to_owned(), key.to_vec()));
            self.pairs += 1;
        }
        Ok(())
    }

    /// The point, if the last chunk is about what has been seen.
    fn end(&self, body: &[u8]) -> Result<LogPoint, StoreError> {
        let Some(point) = body.first_chunk() else {
            return Err(self.refuse("count or digest differ"));
        };
        let point = LogPoint::decode(*point);
        if *body != end_of(point, self.pairs, self.digester.finish()) {
            return Err(self.refuse("count or digest differ"));
        }
        Ok(point)
    }

    fn refuse(&self, what: &'static str) -> StoreError {
        StoreError::BadChunk { chunk: self.number, what }
    }
}

#[cfg(test)]
mod forged_tests;
