//! What a node is when it is not running: a directory, or for an ephemeral one a disk in memory.
//!
//! `LOCK` (held through the disk), the cells `identity`, `promise`, `past` and `cut`, the log, the store. The identity is
//! written once: a directory of another node or group is refused and left as it is. What is damaged is refused too: a node that
//! forgot what it promised or what it held would vote as if it never had.

use crate::config::RepConfig;
use crate::error::Error;
use rep_node::Fence;
use rep_vlsn::cell::DurableCell;
use rep_vlsn::disk::Disk;
use rep_vlsn::error::{CellError, OpenError};
use rep_vlsn::recovery::Opened;
use rep_vlsn::{GroupId, Incarnation, LogConfig};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const IDENTITY_CELL: &str = "identity";
const PROMISE_CELL: &str = "promise";
const PAST_CELL: &str = "past";
const IDENTITY_VERSION: u8 = 1;

/// The store's file in the home directory.
#[cfg(feature = "redb")]
pub(crate) const STORE_FILE: &str = "store.redb";
/// The databases' directory.
#[cfg(feature = "fjall")]
pub(crate) const STORE_DIRECTORY: &str = "store.fjall";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    group: String,
    name: String,
    incarnation: Incarnation,
}

/// Everything that was found, ready to be run.
#[derive(Debug)]
pub(crate) struct Home<D: Disk> {
    pub(crate) incarnation: Incarnation,
    pub(crate) fence: Fence,
    pub(crate) promise: DurableCell<D>,
    /// What the head of the log said that is still needed once it is gone.
    pub(crate) past: DurableCell<D>,
    pub(crate) past_value: Option<bytes::Bytes>,
    pub(crate) log: Opened<D>,
}

impl<D: Disk> Home<D> {
    /// Opens what lies on `disk`; `path` is only for errors.
    pub(crate) fn open(disk: D, path: &Path, config: &RepConfig) -> Result<Self, Error> {
        let incarnation = identify(&disk, path, config)?;
        let (promise, value) = open_cell(&disk, PROMISE_CELL, path)?;
        let promised = value.is_some();
        let fence = match value {
            None => Fence::default(),
            Some(value) => Fence::decode(&value)
                .map_err(|error| Error::Damaged { what: "promise", detail: error.to_string() })?,
        };
        let (mut past, past_value) = open_cell(&disk, PAST_CELL, path)?;
        if past_value.is_none() {
            // It says nothing yet, and has its place: the first cleaning may come because there is no space.
            past.store(b"").map_err(|error| cell_error(error, PAST_CELL, path))?;
        }
        let log = rep_vlsn::recovery::open(disk, log_config(config))
            .map_err(|error| log_error(error, path))?;
        check_whole(&log, promised)?;
        Ok(Home { incarnation, fence, promise, past, past_value, log })
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
    let identity = decode_identity(&value).ok_or(Error::Damaged {
        what: IDENTITY_CELL,
        detail: "its bytes mean nothing to this version".into(),
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

fn decode_identity(value: &[u8]) -> Option<Identity> {
    match value.split_first() {
        Some((&IDENTITY_VERSION, body)) => postcard::from_bytes(body).ok(),
        Some(_) | None => None,
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

fn open_cell<D: Disk>(
    disk: &D,
    name: &'static str,
    path: &Path,
) -> Result<(DurableCell<D>, Option<bytes::Bytes>), Error> {
    DurableCell::open(disk.clone(), name).map_err(|error| cell_error(error, name, path))
}

fn cell_error(error: CellError, name: &'static str, path: &Path) -> Error {
    match error {
        CellError::Damaged { .. } => Error::Damaged { what: name, detail: error.to_string() },
        other => Error::Home { path: path.join(name), detail: other.to_string() },
    }
}

pub(crate) fn log_error(error: OpenError, path: &Path) -> Error {
    match error {
        OpenError::Io { .. } => Error::Home { path: path.join("log"), detail: error.to_string() },
        OpenError::Cell(error) => cell_error(error, "cut", path),
        other => Error::Damaged { what: "log", detail: other.to_string() },
    }
}

/// The directory's lock and verbs.
pub(crate) fn lock(path: &PathBuf) -> Result<rep_vlsn::FileDisk, Error> {
    rep_vlsn::FileDisk::open(path).map_err(|error| match error.kind() {
        std::io::ErrorKind::WouldBlock => Error::Locked { path: path.clone() },
        _ => Error::Home { path: path.clone(), detail: error.to_string() },
    })
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
