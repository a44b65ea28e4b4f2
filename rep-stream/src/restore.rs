//! A whole copy of the state, for a member that no log reaches any more.
//!
//! *Fetching* collects the chunks of a snapshot beside what the member has, and touches nothing else: a [`RestoreSource`]
//! gives, a [`RestoreSink`] takes, [`Staging`] keeps. A chunk is known by the digest of its bytes, so a restore that was
//! broken off goes on with any source, also one whose state has moved on: only what differs is sent. *Installing* is
//! [`install()`], at every opening of the member's directory. Why it is so is told in `docs/decisions/0024`, the bytes are
//! in `docs/restore.md`.
//!
//! # Example: a copy of three chunks, one of which is there already
//!
//! ```
//! use bytes::Bytes;
//! use rep_stream::restore::{
//!     ChunkId, Manifest, RestoreConfig, RestoreSink, RestoreSource, SinkOutput, SourceOutput,
//!     Staging, install,
//! };
//! use rep_vlsn::{GroupId, LogPoint, MemDisk, Term, Vlsn};
//! use std::time::Duration;
//!
//! // What the source has: a state, which its store gives in chunks, and the entry that it ends with.
//! let state = ["one, ", "two, ", "three"].map(Bytes::from);
//! let (group, point) = (GroupId([7; 16]), LogPoint::new(Term::new(2), Vlsn::new(30)));
//! let (entry, past) = (Bytes::from("entry 30"), Bytes::from("members and terms"));
//! let manifest = Manifest::new(group, point, entry, past);
//!
//! // What the sink has: a disk, with what is left of an earlier attempt.
//! let disk = MemDisk::new();
//! let mut staging = Staging::open(disk.clone())?;
//! staging.keep(ChunkId::of(b"two, "), b"two, ")?;
//!
//! let (config, now) = (RestoreConfig::default(), Duration::ZERO);
//! let mut source = RestoreSource::new(config.clone(), group, now);
//! let mut sink = RestoreSink::new(config, group, Vlsn::new(25), staging.ids()?, now);
//! let mut snapshot = state.iter();
//! while !sink.is_closed() {
//!     while let Some(output) = sink.poll_output() {
//!         match output {
//!             SinkOutput::Send(message) => source.handle_message(now, message)?,
//!             SinkOutput::Keep { id, chunk } => {
//!                 staging.keep(id, &chunk)?;
//!                 sink.handle_kept(now);
//!             }
//!             SinkOutput::Complete { manifest, order } => staging.complete(&manifest, &order)?,
//!             _ => {}
//!         }
//!     }
//!     while let Some(output) = source.poll_output() {
//!         match output {
//!             SourceOutput::Open { .. } => source.handle_opened(now, manifest.clone()),
//!             SourceOutput::ReadChunk => source.handle_chunk(now, snapshot.next().cloned(), None),
//!             SourceOutput::Send(message) => sink.handle_message(now, message)?,
//!             _ => {}
//!         }
//!     }
//! }
//! assert_eq!((sink.stats().chunks, sink.stats().known), (2, 1));
//!
//! // The member opens its directory again, and is another one.
//! let mut staging = Staging::open(disk)?;
//! let (mut past, mut store, mut log) = (vec![], String::new(), vec![]);
//! let installed = install(
//!     &mut staging,
//!     LogPoint::NULL,
//!     |chunks| {
//!         for chunk in chunks {
//!             store += std::str::from_utf8(&chunk.map_err(|error| error.to_string())?).expect("text");
//!         }
//!         Ok(point)
//!     },
//!     |bytes| Ok(past.extend_from_slice(bytes)),
//!     |entry| Ok::<(), String>(log.extend_from_slice(entry)),
//! )?;
//! assert_eq!(installed, Some(point));
//! assert_eq!((&store[..], &log[..]), ("one, two, three", &b"entry 30"[..]));
//! assert_eq!(staging.ids()?, []);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Where to read
//!
//! `message` and `wire` are what is said; `source` and `sink` the two ends, `outflow`, `rate` and `digest` leaves of theirs;
//! `staging` and `install` the sink's disk; `config` and `error` hold the settings and the ways to fail.

mod config;
mod digest;
mod error;
mod install;
mod message;
mod outflow;
mod rate;
mod sink;
mod source;
mod staging;
mod wire;

pub use config::{BYTES_PER_S_MIN, CHUNKS_MAX, RestoreConfig};
pub use digest::{ChunkId, DIGEST_BYTES, Digest16};
pub use error::{InstallError, RestoreEnd, StagingError};
pub use install::{Chunks, Present, install, install_over};
pub use message::{
    BEGINNING_BYTES_MAX, CHUNK_BYTES_MAX, Given, IDS_PER_MESSAGE_MAX, Manifest, Refusal,
    SinkMessage, SourceMessage,
};
pub use rate::RATE_BURST;
pub use sink::{RestoreSink, SinkOutput, SinkStats};
pub use source::{RestoreSource, SourceOutput, SourceStats};
pub use staging::{ChunksOf, Pending, Staging, Synced, Unsynced};
pub use wire::{
    CHUNK_HEADER_BYTES, MANIFEST_BYTES_MAX, SINK_MESSAGE_BYTES_MAX, SOURCE_MESSAGE_BYTES_MAX,
};
