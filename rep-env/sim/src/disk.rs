//! A node's directory: the power-losable disk under the shipped log and cells, and how long it takes.
//!
//! Every operation is a step of its own in virtual time: a group is written at one moment and synced at a
//! later one, so that the power can fail between them. What the disk had finished when it failed, only the
//! disk knows; completions of a dead run reach nobody.

mod worn;

pub(crate) use worn::Worn;

use crate::faults::Damage;
use crate::rng::Rng;
use crate::swarm::DiskSwarm;
use bytes::Bytes;
use rep_node::Fence;
use rep_store::MemoryHome;
use rep_vlsn::{
    CellError, DurableCell, Incarnation, LogConfig, LogPoint, MemDisk, OpenError, Opened,
    ReadError, Term, Vlsn, open,
};
use std::time::Duration;

/// What survives a process.
#[derive(Clone, Debug, Default)]
pub(crate) struct Home {
    pub(crate) disk: MemDisk,
    pub(crate) store: MemoryHome,
}

/// What was found in a directory.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) incarnation: Incarnation,
    pub(crate) promise: DurableCell<MemDisk>,
    pub(crate) fence: Fence,
    pub(crate) vouched: LogPoint,
    pub(crate) past: DurableCell<MemDisk>,
    pub(crate) past_value: Option<Bytes>,
    pub(crate) place: Option<Bytes>,
    pub(crate) log: Opened<MemDisk>,
    pub(crate) entries: Vec<(LogPoint, Bytes)>,
}

/// Why a directory could not be opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// The disk died under the attempt.
    Crashed,
    /// Something that was synced cannot be read.
    Damaged(String),
    /// Anything else.
    Other(String),
}

/// The cell that holds the fence.
const PROMISE: &str = "promise";
/// The cell of what an arbiter vouches for.
const VOUCH: &str = "vouch";
/// The cell that says which member this is.
const IDENTITY: &str = "identity";
/// The cell of what the log's head said, made before it says anything.
const PAST: &str = "past";
/// The cell of what it was told when it was admitted.
pub(crate) const PLACE: &str = "place";

impl Home {
    /// Opens everything, as the runtime does. `fresh` names the directory if it is new.
    pub(crate) fn open(&self, config: LogConfig, fresh: Incarnation) -> Result<Found, Unopened> {
        let incarnation = self.identity(fresh).map_err(|error| self.explain_cell(&error))?;
        let (promise, stored) = DurableCell::open(self.disk.clone(), PROMISE)
            .map_err(|error| self.explain_cell(&error))?;
        let fence = match stored {
            Some(bytes) => {
                Fence::decode(&bytes).map_err(|error| Unopened::Other(error.to_string()))?
            }
            None => Fence::default(),
        };
        let vouched = self.vouched(&self.disk).map_err(|error| self.explain_cell(&error))?;
        let (mut past, past_value) = DurableCell::open(self.disk.clone(), PAST)
            .map_err(|error| self.explain_cell(&error))?;
        if past_value.is_none() {
            past.store(b"").map_err(|error| self.explain_cell(&error))?;
        }
        let place = self.place().map_err(|error| self.explain_cell(&error))?;
        let log = open(self.disk.clone(), config).map_err(|error| self.explain_log(&error))?;
        let entries = self.entries(&log)?;
        Ok(Found { incarnation, promise, fence, vouched, past, past_value, place, log, entries })
    }

    /// The fence that the directory would come back with if the power failed now, whatever its cell says of itself.
    pub(crate) fn certain_fence(&self) -> Fence {
        let opened = DurableCell::open(self.disk.certain(PROMISE), PROMISE);
        let stored = opened.ok().and_then(|(_, stored)| stored);
        stored.and_then(|bytes| Fence::decode(&bytes).ok()).unwrap_or_default()
    }

    /// What an arbiter vouches for by its cell `vouch`. Who is none has no such cell.
    fn vouched(&self, disk: &MemDisk) -> Result<LogPoint, CellError> {
        match self.disk.contents(VOUCH) {
            None => Ok(LogPoint::NULL),
            Some(_) => {
                let (_, stored) = DurableCell::open(disk.clone(), VOUCH)?;
                Ok(stored.and_then(|bytes| point_of(&bytes)).unwrap_or(LogPoint::NULL))
            }
        }
    }

    /// The same, if the power failed now.
    pub(crate) fn certain_vouch(&self) -> LogPoint {
        self.vouched(&self.disk.certain(VOUCH)).unwrap_or(LogPoint::NULL)
    }

    pub(crate) fn store_vouch(&self, point: LogPoint) -> Result<(), CellError> {
        let (mut cell, _) = DurableCell::open(self.disk.clone(), VOUCH)?;
        cell.store(&[point.term.get().to_le_bytes(), point.vlsn.get().to_le_bytes()].concat())
    }

    /// Whether the log's segments hold nothing that was not synced. The index may: it is written without care.
    pub(crate) fn log_is_synced(&self) -> bool {
        self.disk.is_synced(|name| name.starts_with("log/") && !name.starts_with("log/index"))
    }

    fn identity(&self, fresh: Incarnation) -> Result<Incarnation, CellError> {
        let (mut cell, stored) = DurableCell::open(self.disk.clone(), IDENTITY)?;
        match stored.as_deref().and_then(|bytes| <[u8; 16]>::try_from(bytes).ok()) {
            Some(known) => Ok(Incarnation(known)),
            None => cell.store(&fresh.0).map(|()| fresh),
        }
    }

    /// What it was told when it was admitted, if it was. Who founds a group has no such cell.
    fn place(&self) -> Result<Option<Bytes>, CellError> {
        match self.disk.contents(PLACE) {
            None => Ok(None),
            Some(_) => DurableCell::open(self.disk.clone(), PLACE).map(|(_, place)| place),
        }
    }

    /// Every entry of the log, for the oracle.
    fn entries(&self, log: &Opened<MemDisk>) -> Result<Vec<(LogPoint, Bytes)>, Unopened> {
        let mut entries = Vec::new();
        let (mut next, last) = (log.view.first(), log.view.last().vlsn);
        while next <= last {
            let batch = log.reader.batch(next, last, usize::MAX, log.view.epoch());
            let batch = batch.map_err(|error| self.explain_read(&error))?;
            next = batch.last().vlsn.next();
            entries
                .extend(batch.into_records().into_iter().map(|r| (r.point(), r.bytes().clone())));
        }
        Ok(entries)
    }

    /// An opening goes on without its index if that cannot be written, so a crash in there shows only now.
    fn explain_read(&self, error: &ReadError) -> Unopened {
        match error {
            ReadError::Damaged { .. } => Unopened::Damaged(error.to_string()),
            _ if self.disk.crashed() => Unopened::Crashed,
            _ => Unopened::Other(error.to_string()),
        }
    }

    pub(crate) fn explain_cell(&self, error: &CellError) -> Unopened {
        match error {
            CellError::Damaged { .. } => Unopened::Damaged(error.to_string()),
            _ if self.disk.crashed() => Unopened::Crashed,
            _ => Unopened::Other(error.to_string()),
        }
    }

    pub(crate) fn explain_log(&self, error: &OpenError) -> Unopened {
        match error {
            OpenError::Damaged { .. } => Unopened::Damaged(error.to_string()),
            OpenError::Cell(error) => self.explain_cell(error),
            _ if self.disk.crashed() => Unopened::Crashed,
            _ => Unopened::Other(error.to_string()),
        }
    }

    /// Puts other bytes where the record lies, wherever that is; tells whether it was found.
    pub(crate) fn replace(&self, record: &[u8], by: &[u8]) -> bool {
        let files = rep_vlsn::Disk::list(&self.disk, "log").unwrap_or_default();
        for file in files {
            let name = format!("log/{file}");
            let content = self.disk.contents(&name).unwrap_or_default();
            if let Some(at) = find(&content, record) {
                return self.disk.scribble(&name, at as u64, by);
            }
        }
        false
    }

    /// A copy of the directory. The store goes with it: a log without its head cannot build it anew.
    pub(crate) fn image(&self) -> Home {
        Home { disk: self.disk.image(), store: self.store.copy() }
    }

    /// An earlier state of the directory is back.
    pub(crate) fn put_back(&mut self, image: &Home) {
        self.disk.restore(&image.disk);
        self.store = image.store.copy();
    }

    /// Everything is gone.
    pub(crate) fn wipe(&mut self) {
        self.disk.wipe();
        self.store = MemoryHome::new();
    }
}

/// The log's settings for a world.
pub(crate) fn log_config(swarm: &DiskSwarm) -> LogConfig {
    let mut config = LogConfig::default()
        .with_segment_bytes(swarm.segment_bytes)
        .with_tail_bytes(swarm.tail_bytes);
    config.group_bytes_max = swarm.tail_bytes.max(512);
    config.index_stride = 4;
    config.checkpoint_bytes = swarm.checkpoint_bytes;
    // Few, since memory is not the faster for them; none in a third of the worlds.
    config.ahead_bytes = swarm.checkpoint_bytes.min(2 << 10);
    config
}

/// How long an operation takes on the disk of node `node`.
pub(crate) fn latency(swarm: &DiskSwarm, rng: &mut Rng, node: u32, mean: Duration) -> Duration {
    let factor = swarm.slow.filter(|(slow, _)| *slow == node).map_or(1, |(_, factor)| factor);
    Duration::from_nanos(rng.latency_ns(mean.as_nanos() as u64 * u64::from(factor)))
}

/// The entries from which a node learns who belongs to its group.
pub(crate) fn memberships(log: &Opened<MemDisk>) -> Vec<rep_vlsn::Record> {
    let read = |vlsn| log.reader.batch(vlsn, vlsn, usize::MAX, log.view.epoch()).ok();
    let batches = log.view.memberships().iter().filter_map(|at| read(at.vlsn));
    batches.flat_map(rep_vlsn::Batch::into_records).collect()
}

/// What lies in the place of a damaged record.
pub(crate) fn spoilt(record: &[u8], damage: Damage, other: Option<&[u8]>) -> Vec<u8> {
    let mut bytes = record.to_vec();
    match (damage, other) {
        (Damage::Flip(bit), _) => {
            let bit = (bit % (8 * record.len() as u64)) as usize;
            bytes[bit / 8] ^= 1 << (bit % 8);
        }
        (Damage::Misplaced(_), Some(other)) if other != record => {
            let count = other.len().min(bytes.len());
            bytes[..count].copy_from_slice(&other[..count]);
        }
        (Damage::Lost | Damage::Misplaced(_), _) => bytes.fill(0),
    }
    bytes
}

fn point_of(bytes: &[u8]) -> Option<LogPoint> {
    let word = |at: usize| bytes.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
    Some(LogPoint::new(Term::new(word(0)?), Vlsn::new(word(8)?)))
}

fn find(content: &[u8], record: &[u8]) -> Option<usize> {
    content.windows(record.len()).position(|window| window == record)
}
