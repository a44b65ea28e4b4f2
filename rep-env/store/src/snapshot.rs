//! A state as a sequence of chunks.
//!
//! Each chunk says its number and its point and carries a checksum; the last one carries the count
//! of pairs and a digest over all of them. So a receiver may keep chunks in files, ask for the rest
//! after a broken connection, and still find out at the end whether what it has is one state.
//!
//! ```text
//!  0  version   u8    1
//!  1  kind      u8    1 pairs, 2 end
//!  2  reserved  u16   0
//!  4  number    u32   from 0
//!  8  point     16    LogPoint
//! 24  body            pairs: an encoded write set of puts, (database, key) increasing over all chunks
//!                     end: pairs u64, digest 16 bytes
//!     CRC       u32   CRC32C of everything before it
//! ```
//! All little-endian.

use crate::digest::Digester;
use crate::engine::{Engine, Loading};
use crate::state_machine::Chunks;
use crate::view::Range;
use crate::write_set::{Run, WRITE_SET_BYTES_MAX, codec, runs_of};
use crate::{Database, Digest, Snapshot, StoreError, View};
use bytes::{BufMut, Bytes, BytesMut};
use rep_vlsn::LogPoint;
use std::fmt;
use std::sync::Arc;

/// A chunk is cut when it holds this many bytes; a larger pair travels in a chunk of its own.
pub const CHUNK_BYTES: usize = 256 << 10;
/// The largest chunk: what a chunk was just not full with, and a largest pair.
pub const CHUNK_BYTES_MAX: usize = CHUNK_BYTES + WRITE_SET_BYTES_MAX + HEADER_BYTES + CRC_BYTES;

const VERSION: u8 = 1;
const PAIRS: u8 = 1;
const END: u8 = 2;
const HEADER_BYTES: usize = 24;
const CRC_BYTES: usize = 4;
const END_BYTES: usize = 24;

/// The chunks of one view.
pub(crate) struct DatabasesSnapshot {
    view: View,
    databases: std::vec::IntoIter<Database>,
    current: Option<(Database, Range)>,
    number: u32,
    pairs: u64,
    digester: Digester,
    ended: bool,
    /// Counts this snapshot as living.
    _living: Arc<()>,
}

impl DatabasesSnapshot {
    pub(crate) fn of(view: View, living: Arc<()>) -> Result<Self, StoreError> {
        Ok(DatabasesSnapshot {
            databases: view.databases()?.into_iter(),
            view,
            current: None,
            number: 0,
            pairs: 0,
            digester: Digester::new(),
            ended: false,
            _living: living,
        })
    }

    /// Fills a chunk with the pairs that come next; tells how many.
    fn fill(&mut self, chunk: &mut BytesMut) -> Result<u64, StoreError> {
        let before = self.pairs;
        let mut named = false;
        while chunk.len() < CHUNK_BYTES {
            let Some((database, range)) = &mut self.current else {
                let Some(next) = self.databases.next() else { break };
                let range = self.view.range(&next, ..);
                self.current = Some((next, range));
                named = false;
                continue;
            };
            let Some(pair) = range.next() else {
                self.current = None;
                continue;
            };
            let (key, value) = pair?;
            if !named {
                codec::write_database(chunk, database.name());
                named = true;
            }
            codec::write_put(chunk, &key, &value);
            self.digester.pair(database.name(), &key, &value);
            self.pairs += 1;
        }
        Ok(self.pairs - before)
    }

    fn begin(&self, kind: u8) -> BytesMut {
        let mut chunk = BytesMut::with_capacity(HEADER_BYTES + END_BYTES + CRC_BYTES);
        chunk.put_slice(&[VERSION, kind, 0, 0]);
        chunk.put_u32_le(self.number);
        chunk.put_slice(&self.view.applied().encode());
        chunk
    }

    fn seal(&mut self, mut chunk: BytesMut) -> Bytes {
        let crc = crc32c::crc32c(&chunk);
        chunk.put_u32_le(crc);
        self.number += 1;
        chunk.freeze()
    }
}

impl Snapshot for DatabasesSnapshot {
    fn point(&self) -> LogPoint {
        self.view.applied()
    }

    fn next_chunk(&mut self) -> Result<Option<Bytes>, StoreError> {
        if self.ended {
            return Ok(None);
        }
        let mut chunk = self.begin(PAIRS);
        codec::write_version(&mut chunk);
        if self.fill(&mut chunk)? > 0 {
            return Ok(Some(self.seal(chunk)));
        }
        let mut chunk = self.begin(END);
        chunk.put_u64_le(self.pairs);
        chunk.put_slice(&self.digester.finish().0);
        self.ended = true;
        Ok(Some(self.seal(chunk)))
    }
}

impl fmt::Debug for DatabasesSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabasesSnapshot")
            .field("point", &self.point())
            .field("next_chunk", &self.number)
            .field("pairs", &self.pairs)
            .finish_non_exhaustive()
    }
}

/// Replaces what `engine` holds by what the chunks say, if they are one whole snapshot.
pub(crate) fn install(
    engine: &mut dyn Engine,
    chunks: &mut Chunks<'_>,
) -> Result<LogPoint, StoreError> {
    let mut receiver = Receiver::default();
    let mut loading = engine.replace()?;
    for chunk in chunks {
        if receiver.take(&chunk?, &mut *loading)? {
            let point = receiver.point.expect("the chunk that ended it has a point");
            loading.commit(point)?;
            return Ok(point);
        }
    }
    Err(receiver.refuse("the snapshot ends early"))
}

/// What has been seen of a snapshot.
struct Receiver {
    point: Option<LogPoint>,
    number: u32,
    pairs: u64,
    digester: Digester,
    last: Option<(String, Vec<u8>)>,
}

impl Default for Receiver {
    fn default() -> Self {
        Receiver { point: None, number: 0, pairs: 0, digester: Digester::new(), last: None }
    }
}

impl Receiver {
    /// Takes the next chunk; tells whether it was the last.
    fn take(&mut self, chunk: &[u8], loading: &mut dyn Loading) -> Result<bool, StoreError> {
        let (kind, body) = self.open(chunk)?;
        let ended = match kind {
            PAIRS => {
                let mut runs = Vec::new();
                runs_of(body, &mut runs).map_err(|_| self.refuse("it holds no pairs"))?;
                let before = self.pairs;
                runs.iter().try_for_each(|run| self.count(run))?;
                if self.pairs == before {
                    return Err(self.refuse("it holds no pairs"));
                }
                loading.load(&runs)?;
                false
            }
            END => self.check_end(body).map(|()| true)?,
            _ => return Err(self.refuse("unknown kind")),
        };
        self.number = self.number.checked_add(1).ok_or(self.refuse("too many chunks"))?;
        Ok(ended)
    }

    /// Kind and body of a chunk whose checksum, number and point are right.
    fn open<'a>(&mut self, chunk: &'a [u8]) -> Result<(u8, &'a [u8]), StoreError> {
        let Some(body_bytes) = chunk.len().checked_sub(HEADER_BYTES + CRC_BYTES) else {
            return Err(self.refuse("it is shorter than a chunk"));
        };
        let (content, crc) = chunk.split_at(HEADER_BYTES + body_bytes);
        if chunk.len() > CHUNK_BYTES_MAX {
            return Err(self.refuse("it is longer than a chunk"));
        }
        if crc32c::crc32c(content).to_le_bytes() != *crc {
            return Err(self.refuse("checksum"));
        }
        if content[0] != VERSION || content[2..4] != [0, 0] {
            return Err(self.refuse("unknown version"));
        }
        if content[4..8] != self.number.to_le_bytes() {
            return Err(self.refuse("another number was to come"));
        }
        let mut point = [0; LogPoint::ENCODED_BYTES];
        point.copy_from_slice(&content[8..HEADER_BYTES]);
        let point = LogPoint::decode(point);
        if *self.point.get_or_insert(point) != point {
            return Err(self.refuse("it is of another snapshot"));
        }
        Ok((content[1], &content[HEADER_BYTES..]))
    }

    /// Counts the pairs of a run, all of which have to lie after the last one.
    fn count(&mut self, run: &Run<'_>) -> Result<(), StoreError> {
        for (key, value) in &run.changes {
            let Some(value) = value else { return Err(self.refuse("it deletes")) };
            let follows = self.last.as_ref().is_none_or(|(database, last)| {
                (database.as_str(), last.as_slice()) < (run.database, *key)
            });
            if !follows {
                return Err(self.refuse("pairs are not in order"));
            }
            self.last = Some((run.database.to_owned(), key.to_vec()));
            self.digester.pair(run.database, key, value);
            self.pairs += 1;
        }
        Ok(())
    }

    fn check_end(&self, body: &[u8]) -> Result<(), StoreError> {
        let Digest(digest) = self.digester.finish();
        let expected = [&self.pairs.to_le_bytes()[..], &digest[..]].concat();
        if body != expected {
            return Err(self.refuse("count or digest differ"));
        }
        Ok(())
    }

    fn refuse(&self, what: &'static str) -> StoreError {
        StoreError::BadChunk { chunk: self.number, what }
    }
}

#[cfg(test)]
mod forged_tests;
