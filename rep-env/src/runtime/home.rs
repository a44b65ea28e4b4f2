//! What a node is when it is not running: a directory, or for an ephemeral one a disk in memory.
//!
//! `LOCK` (held through the disk), the cells `identity`, `promise`, `vouch`, `past`, `place`, `disowned` and `cut`, the log, the store. The identity is
//! written once: a directory of another node or group is refused and left as it is. What is damaged is refused too: a node that
//! forgot what it promised or what it held would vote as if it never had. What becomes of it then: [`set_aside`](super::set_aside).

use crate::config::RepConfig;
use crate::error::Error;
use crate::recover;
use rep_node::Fence;
use rep_vlsn::cell::DurableCell;
use rep_vlsn::disk::Disk;
use rep_vlsn::error::{CellError, OpenError};
use rep_vlsn::recovery::Opened;
use rep_vlsn::{GroupId, Incarnation, LogConfig, LogPoint, Term, Vlsn};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

pub(crate) const IDENTITY_CELL: &str = "identity";
pub(crate) const PROMISE_CELL: &str = "promise";
const VOUCH_CELL: &str = "vouch";
pub(crate) const PAST_CELL: &str = "past";
pub(crate) const PLACE_CELL: &str = "place";
/// Every cell but the identity, also that of the log.
pub(crate) const CELLS: [&str; 6] =
    [PROMISE_CELL, VOUCH_CELL, PAST_CELL, PLACE_CELL, DISOWNED_CELL, CUT_CELL];
/// It holds why the directory must not be opened again as what it was: it is an older image of itself. Empty once a quorum was forced with it all the same.
pub(crate) const DISOWNED_CELL: &str = "disowned";
const CUT_CELL: &str = "cut";
const IDENTITY_VERSION: u8 = 1;

/// The store's file in the home directory.
#[cfg(feature = "redb")]
pub(crate) const STORE_FILE: &str = "store.redb";
/// The databases' directory.
#[cfg(feature = "fjall")]
pub(crate) const STORE_DIRECTORY: &str = "store.fjall";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) group: String,
    pub(crate) name: String,
    pub(crate) incarnation: Incarnation,
}

/// Everything that was found, ready to be run.
#[derive(Debug)]
pub(crate) struct Home<D: Disk> {
    pub(crate) incarnation: Incarnation,
    pub(crate) fence: Fence,
    pub(crate) cells: Cells<D>,
    /// Up to where this node has vouched for its master's log, if it is an arbiter.
    pub(crate) vouched: LogPoint,
    /// What the head of the log said that is still needed once it is gone.
    pub(crate) past: DurableCell<D>,
    pub(crate) past_value: Option<bytes::Bytes>,
    /// Who belonged to the group when it admitted this directory, if it ever did.
    pub(crate) place_value: Option<bytes::Bytes>,
    pub(crate) log: Opened<D>,
}

/// What is written down in a few bytes, before anybody is told.
#[derive(Debug)]
pub(crate) struct Cells<D: Disk> {
    pub(crate) promise: DurableCell<D>,
    pub(crate) vouch: DurableCell<D>,
    pub(crate) place: DurableCell<D>,
    pub(crate) disowned: DurableCell<D>,
}

impl<D: Disk> Home<D> {
    /// Opens what lies on `disk`; `path` is only for errors.
    pub(crate) fn open(disk: D, path: &Path, config: &RepConfig) -> Result<Self, Error> {
        let incarnation = identify(&disk, path, config)?;
        recover::refuse_half_done(&disk, path)?;
        let disowned = refuse_disowned(&disk, path)?;
        let (promise, value) = open_cell(&disk, PROMISE_CELL, path)?;
        let promised = value.is_some();
        let fence = match value {
            None => Fence::default(),
            // It has the checksum that it was written with: another version's, not rot.
            Some(value) => Fence::decode(&value)
                .map_err(|error| Error::Open { detail: format!("the promise: {error}") })?,
        };
        let (mut past, past_value) = open_cell(&disk, PAST_CELL, path)?;
        if past_value.is_none() {
            // It says nothing yet, and has its place: the first cleaning may come because there is no space.
            past.store(b"").map_err(|error| cell_error(error, PAST_CELL, path))?;
        }
        let (place, place_value) = open_cell(&disk, PLACE_CELL, path)?;
        let (vouch, value) = open_cell(&disk, VOUCH_CELL, path)?;
        let vouched = value.map_or(Ok(LogPoint::NULL), |value| decode_point(&value))?;
        let cells = Cells { promise, vouch, place, disowned };
        let log = rep_vlsn::recovery::open(disk, log_config(config))
            .map_err(|error| log_error(error, path))?;
        check_whole(&log, promised)?;
        Ok(Home { incarnation, fence, cells, vouched, past, past_value, place_value, log })
    }
}

/// Who this directory is: told by its cell, or decided now, once.
pub(crate) fn identify<D: Disk>(
    disk: &D,
    path: &Path,
    config: &RepConfig,
) -> Result<Incarnation, Error> {
    let (mut cell, value) = open_cell(disk, IDENTITY_CELL, path)?;
    let Some(value) = value else {
        let incarnation = Incarnation(random()?);
        let identity =
            Identity { group: config.group.clone(), name: config.name.clone(), incarnation };
        let mut bytes = vec![IDENTITY_VERSION];
        bytes.extend(postcard::to_stdvec(&identity).expect("plain data is encodable"));
        cell.store(&bytes).map_err(|error| cell_error(error, IDENTITY_CELL, path))?;
        return Ok(incarnation);
    };
    let identity = decode_identity(&value).ok_or_else(|| Error::Open {
        detail: "the bytes of the identity mean nothing to this version".into(),
    })?;
    let other = |what, expected: &str, found: String| {
        Err(Error::AnotherIdentity {
            path: path.into(),
            what,
            expected: expected.to_owned(),
            found,
        })
    };
    if identity.group != config.group {
        return other("group", &config.group, identity.group);
    }
    if identity.name != config.name {
        return other("node", &config.name, identity.name);
    }
    Ok(identity.incarnation)
}

pub(crate) fn decode_identity(value: &[u8]) -> Option<Identity> {
    match value.split_first() {
        Some((&IDENTITY_VERSION, body)) => postcard::from_bytes(body).ok(),
        Some(_) | None => None,
    }
}

/// Looks at the cells alone, which a copy that waits to be put in place does not replace.
pub(super) fn check_cells<D: Disk>(disk: &D, path: &Path) -> Result<(), Error> {
    refuse_disowned(disk, path)?;
    let cells = [PROMISE_CELL, VOUCH_CELL, PAST_CELL, PLACE_CELL];
    cells.into_iter().try_for_each(|name| open_cell(disk, name, path).map(drop))
}

/// The cell, if nothing has been written into it.
pub(crate) fn refuse_disowned<D: Disk>(disk: &D, path: &Path) -> Result<DurableCell<D>, Error> {
    match open_cell(disk, DISOWNED_CELL, path)? {
        (cell, None) => Ok(cell),
        (cell, Some(why)) if why.is_empty() => Ok(cell),
        (_, Some(why)) => {
            Err(Error::Damaged { what: "home", detail: String::from_utf8_lossy(&why).into_owned() })
        }
    }
}

/// Every entry of a log was preceded by a promise or a followed term on this disk. A log without any is what is left of a
/// node whose promises were taken away.
fn check_whole<D: Disk>(log: &Opened<D>, promised: bool) -> Result<(), Error> {
    let last = log.view.last();
    if promised || log.view.is_empty() {
        return Ok(());
    }
    let detail =
        format!("the log ends with entry {last}, and no promise was ever written beside it");
    Err(Error::Damaged { what: PROMISE_CELL, detail })
}

pub(crate) fn log_config(config: &RepConfig) -> LogConfig {
    // Until rot that an opening did not look at is scrubbed and repaired from peers, a member looks at everything before
    // it votes: see decision 9.
    LogConfig::default()
        .with_verify_on_open(true)
        .with_reserve_bytes(config.limits.disk_reserve_bytes)
        .with_segment_bytes(config.limits.segment_bytes)
        .with_tail_bytes(config.limits.tail_bytes_max as usize)
}

/// Keeps what a copy says of the head of the log that it comes without.
pub(crate) fn store_past<D: Disk>(disk: &D, value: &[u8], path: &Path) -> Result<(), Error> {
    let (mut past, _) = open_cell(disk, PAST_CELL, path)?;
    past.store(value).map_err(|error| cell_error(error, PAST_CELL, path))
}

const POINT_VERSION: u8 = 1;

/// A place in the log, as a cell keeps it: a version byte, then term and VLSN in little-endian order.
pub(crate) fn encode_point(point: LogPoint) -> [u8; 17] {
    let mut bytes = [POINT_VERSION; 17];
    bytes[1..9].copy_from_slice(&point.term.get().to_le_bytes());
    bytes[9..].copy_from_slice(&point.vlsn.get().to_le_bytes());
    bytes
}

fn decode_point(bytes: &[u8]) -> Result<LogPoint, Error> {
    let words = |bytes: &[u8]| {
        let (term, vlsn) = bytes.split_first_chunk()?;
        let vlsn = vlsn.try_into().ok()?;
        Some((u64::from_le_bytes(*term), u64::from_le_bytes(vlsn)))
    };
    match bytes.split_first().map(|(version, rest)| (*version, words(rest))) {
        Some((POINT_VERSION, Some((term, vlsn)))) => {
            Ok(LogPoint { term: Term::new(term), vlsn: Vlsn::new(vlsn) })
        }
        // It has the checksum that it was written with: another version's, not rot.
        _ => Err(Error::Open {
            detail: format!("the bytes of the cell {VOUCH_CELL} mean nothing to this version"),
        }),
    }
}

/// Keeps what this directory was told when it was admitted to a group.
pub(crate) fn store_place<D: Disk>(disk: &D, value: &[u8], path: &Path) -> Result<(), Error> {
    let (mut place, _) = open_cell(disk, PLACE_CELL, path)?;
    place.store(value).map_err(|error| cell_error(error, PLACE_CELL, path))
}

pub(crate) fn open_cell<D: Disk>(
    disk: &D,
    name: &'static str,
    path: &Path,
) -> Result<(DurableCell<D>, Option<bytes::Bytes>), Error> {
    DurableCell::open(disk.clone(), name).map_err(|error| cell_error(error, name, path))
}

pub(crate) fn cell_error(error: CellError, name: &'static str, path: &Path) -> Error {
    match error {
        CellError::Damaged { .. } => Error::Damaged { what: name, detail: error.to_string() },
        other => Error::Home { path: path.join(name), detail: other.to_string() },
    }
}

pub(crate) fn log_error(error: OpenError, path: &Path) -> Error {
    match error {
        OpenError::Io { .. } => Error::Home { path: path.join("log"), detail: error.to_string() },
        OpenError::Cell(error) => cell_error(error, CUT_CELL, path),
        OpenError::Damaged { .. } => Error::Damaged { what: "log", detail: error.to_string() },
        // A later version's log, or two groups' in one directory: nothing that another copy would be better at.
        other => Error::Open { detail: other.to_string() },
    }
}

/// The directory's lock and verbs.
pub(crate) fn lock(path: &PathBuf) -> Result<rep_vlsn::FileDisk, Error> {
    rep_vlsn::FileDisk::open(path).map_err(|error| lock_error(error, path))
}

pub(crate) fn lock_error(error: std::io::Error, path: &Path) -> Error {
    match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: path.into() },
        _ => Error::Home { path: path.into(), detail: error.to_string() },
    }
}

/// Random bytes of the system.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], Error> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::Open {
        detail: format!("the system gives no random bytes: {error}"),
    })?;
    Ok(bytes)
}

/// A group's identity, used only if this node founds the group.
pub(crate) fn mint_group() -> Result<GroupId, Error> {
    Ok(GroupId(random()?))
}

#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn a_place_in_the_log_survives_its_cell_and_anything_else_is_another_versions_and_no_damage() {
        let point = LogPoint { term: Term::new(3), vlsn: Vlsn::new(1 << 40) };
        let bytes = encode_point(point);
        assert_eq!(decode_point(&bytes), Ok(point));
        for wrong in [&bytes[..16], &bytes[1..], &[], &[2; 17], &[1; 18]] {
            assert!(matches!(decode_point(wrong), Err(Error::Open { .. })), "{wrong:?}");
        }
    }
}
