//! Putting a complete copy in the place of what a member had.
//!
//! Every opening of a directory calls [`install`] before it looks at the log, so that the way after a crash is the
//! ordinary way. Each step is durable before the next one begins and may be done twice; the cell, emptied last, is why
//! they all are done until the last one was. The state comes first, at one stroke: before it was replaced a copy that turns out to be
//! spoilt can be given up, for the member is what it was, and after that its chunks are not needed any more.

use super::digest::ChunkId;
use super::error::{InstallError, StagingError};
use super::staging::{ChunksOf, Pending, Staging};
use bytes::Bytes;
use rep_vlsn::{Disk, LogPoint, mutant};

/// The chunks of a copy, in order, as they are handed to whoever makes a state of them.
pub type Chunks<'a> = dyn Iterator<Item = Result<Bytes, StagingError>> + 'a;

/// Installs the complete copy that waits in `staging`, and gives its point; `None` if none waits. `applied` is where the present
/// state ends.
///
/// In this order, each durable when it returns: `install_state` replaces the store by what the chunks say, whole or not at all, and gives
/// its point; `store_past` keeps what the manifest says of members and terms; `begin_log` replaces the log by one that begins with the
/// entry at that point. Then the copy is forgotten. Each may be called again, with the same, by a later opening. The chunks are read once,
/// as `install_state` asks for them, and each is compared with its name.
///
/// # Errors
///
/// [`InstallError`] says what to do after each: only after [`InstallError::GivenUp`] may the directory be opened.
pub fn install<D: Disk, E>(
    staging: &mut Staging<D>,
    applied: LogPoint,
    install_state: impl FnOnce(&mut Chunks<'_>) -> Result<LogPoint, E>,
    store_past: impl FnOnce(&[u8]) -> Result<(), E>,
    begin_log: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Result<Option<LogPoint>, InstallError<E>> {
    let present = Present { applied, loaded: 0, takes_space: false };
    install_over(staging, present, install_state, store_past, begin_log)
}

/// The state machine in whose place a copy is to be put.
#[derive(Clone, Copy, Debug)]
pub struct Present {
    /// Where its state ends.
    pub applied: LogPoint,
    /// So many of the copy's chunks it has loaded already, beside its state, from the bytes that the sink has named: it is given the others
    /// only, and the files of those are not read. No crash may leave any of what it has loaded.
    pub loaded: usize,
    /// Whether what it has still to load takes its space of the disk. Then the copy is given up for now if there is not so much.
    pub takes_space: bool,
}

/// As [`install`], for a state machine that says more of itself.
///
/// # Errors
///
/// As [`install`]; [`InstallError::GivenUp`] also for [`StagingError::NoRoom`].
pub fn install_over<D: Disk, E>(
    staging: &mut Staging<D>,
    present: Present,
    install_state: impl FnOnce(&mut Chunks<'_>) -> Result<LogPoint, E>,
    store_past: impl FnOnce(&[u8]) -> Result<(), E>,
    begin_log: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Result<Option<LogPoint>, InstallError<E>> {
    let pending = match staging.pending() {
        Ok(Some(pending)) => pending,
        Ok(None) => return Ok(None),
        Err(error) => return Err(without_list(staging, error)),
    };
    let Pending { manifest, order } = &pending;
    let Present { applied, loaded, takes_space } = present;
    let rest = order.get(loaded..).unwrap_or_default();
    // An earlier opening may have come as far as that.
    let at_its_point = applied == manifest.point;
    let in_place = staging.is_installing() && at_its_point;
    if takes_space && !in_place {
        check_room(staging, rest).map_err(|error| give_up(staging, error))?;
    }
    // A member whose state is suspected is given one of the same point. Nothing tells afterwards whether it was replaced, so from here on
    // no chunk may be lost with the power.
    if at_its_point && !in_place {
        staging.sync_all(order).map_err(|error| give_up(staging, error))?;
    }
    if !mutant!("restore-begins-unmarked") {
        staging.begin_installing()?;
    }
    let mut chunks = Watched { chunks: staging.chunks(rest), failed: None };
    let installed = install_state(&mut chunks);
    let failed = chunks.failed.filter(|_| installed.is_err());
    let installed = match (installed, failed) {
        (Err(_), Some(_)) if in_place => applied,
        // The state is what it was, and so is all else: the copy is fetched again.
        (Err(_), Some(error)) => return Err(give_up(staging, error)),
        (installed, _) => installed.map_err(InstallError::State)?,
    };
    if installed != manifest.point {
        return Err(InstallError::OtherPoint { told: manifest.point, installed });
    }
    store_past(&manifest.past).map_err(InstallError::Past)?;
    if mutant!("restore-emptied-before-log") {
        staging.clear()?;
    }
    begin_log(&manifest.beginning).map_err(InstallError::Log)?;
    staging.clear()?;
    Ok(Some(installed))
}

/// A disk that runs full while the state is loaded would keep the member closed, at every opening anew.
fn check_room<D: Disk>(staging: &Staging<D>, rest: &[ChunkId]) -> Result<(), StagingError> {
    let bytes = staging.bytes_of(rest)?;
    // Pages are not full.
    staging.check_room("put the copy in place", bytes + bytes / 2)
}

/// Without its list nobody knows what the copy is of: if the state may have been replaced by it the member may be neither what it was nor
/// what it was to become.
fn without_list<D: Disk, E>(staging: &mut Staging<D>, error: StagingError) -> InstallError<E> {
    match error {
        error if !staging.is_installing() => give_up(staging, error),
        error @ StagingError::Spoilt { .. } => InstallError::HalfDone(error),
        // The next opening may find that the disk gives it.
        error => InstallError::Staging(error),
    }
}

fn give_up<D: Disk, E>(staging: &mut Staging<D>, error: StagingError) -> InstallError<E> {
    match staging.reject() {
        Ok(()) => InstallError::GivenUp(error),
        Err(error) => InstallError::Staging(error),
    }
}

/// Notes which chunk could not be read: the error of whoever reads them need not say so.
struct Watched<'a, D: Disk> {
    chunks: ChunksOf<'a, D>,
    failed: Option<StagingError>,
}

impl<D: Disk> Iterator for Watched<'_, D> {
    type Item = Result<Bytes, StagingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunks.next()?;
        if let Err(error) = &chunk {
            self.failed = Some(error.told_again());
        }
        Some(chunk)
    }
}
