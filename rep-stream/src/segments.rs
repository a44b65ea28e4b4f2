//! Entries that leave the group: for an archive, an audit, another system.
//!
//! What is durable in the group never changes, so it can be handed on, a *segment* at a time: a run of whole entries with
//! the group, the [`ShardId`], the first and last entry, and a digest. A [`SegmentSink`] takes segments and says how far
//! it is; a [`Shipper`] reads a log and gives the sink what comes next. Nothing is ever skipped: a sink that lacks what the log does
//! not hold any more is told so ([`ShipError::Gap`]), and gets nothing. Nothing is remembered here either: the sink's own word
//! says where to go on, after any crash of either, and also if another member of the group goes on in this one's place.
//!
//! A [`Folder`] is a sink that is itself a log: what reads and verifies logs reads and verifies it.
//!
//! # Example: an archive of a log
//!
//! ```
//! use rep_stream::segments::{Folder, ShardId, Shipper};
//! use rep_vlsn::{
//!     Draft, Flags, GroupId, Kind, LogConfig, LogPoint, MemDisk, NodeId, Term, Vlsn, open,
//! };
//!
//! let group = GroupId([1; 16]);
//! let mut log = open(MemDisk::new(), LogConfig::default())?;
//! log.writer.set_group(group)?;
//! let point = |vlsn| LogPoint::new(Term::new(1), Vlsn::new(vlsn));
//! let first = Draft::opening(Kind::GroupFounded, NodeId::new(1), b"").stamp(point(1), 0, 0);
//! let hello = Draft::new(Kind::Data, Flags::default(), b"hello").stamp(point(2), first.header_crc(), 0);
//! log.tail.stage(&[first, hello]);
//! log.writer.write_group(Vlsn::NULL)?;
//! log.writer.sync()?;
//!
//! // Everything up to entry 2 is durable in the group: it goes to the archive.
//! let archive = MemDisk::new();
//! let mut folder = Folder::open(archive.clone(), LogConfig::default(), ShardId(0))?;
//! let mut shipper = Shipper::new(group, ShardId(0));
//! assert_eq!(shipper.ship(&log.reader, Vlsn::new(2), &mut folder)?, Some(point(2)));
//! assert_eq!(shipper.ship(&log.reader, Vlsn::new(2), &mut folder)?, None);
//!
//! drop(folder);
//! assert_eq!(rep_vlsn::verify(&archive)?.entries, 2);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod error;
mod folder;
mod segment;
mod shipper;

pub use error::{FolderError, SegmentError, ShipError};
pub use folder::Folder;
pub use segment::{SEGMENT_BYTES_MAX, Segment, ShardId};
pub use shipper::{SegmentSink, ShippedLog, Shipper, sealed_before};
