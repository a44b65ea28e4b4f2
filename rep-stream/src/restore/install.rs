//! Putting a complete copy in the place of what a member had.
//!
//! Every opening of a directory calls [`install`] before it looks at the log, so that the way after a crash is the
//! ordinary way. Each step is durable before the next one begins and may be done twice; the cell, emptied last, is why
//! they all are done until the last one was. The cell also says whether any was begun: only before that may a spoilt copy
//! be given up, for only then is the member what it was.

use super::error::{InstallError, StagingError};
use super::staging::{ChunksOf, Pending, Staging};
use bytes::Bytes;
use rep_vlsn::{Disk, LogPoint, mutant};

/// The chunks of a copy, in order, as they are handed to whoever makes a state of them.
pub type Chunks<'a> = dyn Iterator<Item = Result<Bytes, StagingError>> + 'a;

/// Installs the complete copy that waits in `staging`, and gives its point; `None` if none waits.
///
/// In this order, each durable when it returns: `store_past` keeps what the manifest says of members and terms,
/// `install_state` replaces the store by what the chunks say and gives its point, `begin_log` replaces the log by one that
/// begins with the entry at that point. Then the copy is forgotten. Each may be called again, with the same, by a later
/// opening. Before any of them is called for the first time all chunks have been read: a copy that rotted changes nothing.
///
/// # Errors
///
/// [`InstallError`] says what to do after each: only after [`InstallError::GivenUp`] may the directory be opened.
pub fn install<D: Disk, E>(
    staging: &mut Staging<D>,
    store_past: impl FnOnce(&[u8]) -> Result<(), E>,
    install_state: impl FnOnce(&mut Chunks<'_>) -> Result<LogPoint, E>,
    begin_log: impl FnOnce(&[u8]) -> Result<(), E>,
) -> Result<Option<LogPoint>, InstallError<E>> {
    let is_untouched = !staging.is_installing();
    let pending = match checked(staging) {
        Ok(Some(pending)) => pending,
        Ok(None) => return Ok(None),
        Err(error) => return Err(spoilt(staging, error, is_untouched)),
    };
    let Pending { manifest, order } = &pending;
    if !mutant!("restore-begins-unmarked") {
        staging.begin_installing()?;
    }
    store_past(&manifest.past).map_err(InstallError::Past)?;
    let mut chunks = Watched { chunks: staging.chunks(order), spoilt: None };
    let installed = install_state(&mut chunks);
    if let (Err(_), Some(file)) = (&installed, chunks.spoilt) {
        return Err(spoilt(staging, StagingError::Spoilt { file }, is_untouched));
    }
    let installed = installed.map_err(InstallError::State)?;
    if installed != manifest.point {
        return Err(InstallError::OtherPoint { told: manifest.point, installed });
    }
    if mutant!("restore-emptied-before-log") {
        staging.clear()?;
    }
    begin_log(&manifest.beginning).map_err(InstallError::Log)?;
    staging.clear()?;
    Ok(Some(installed))
}

/// The copy that waits, if all of it can be read.
fn checked<D: Disk>(staging: &Staging<D>) -> Result<Option<Pending>, StagingError> {
    let Some(pending) = staging.pending()? else { return Ok(None) };
    staging.chunks(&pending.order).try_for_each(|chunk| chunk.map(drop))?;
    Ok(Some(pending))
}

/// A store that has not been replaced by an earlier opening is the old one: the state machine has refused the chunks.
fn spoilt<D: Disk, E>(
    staging: &mut Staging<D>,
    error: StagingError,
    is_untouched: bool,
) -> InstallError<E> {
    match error {
        error if is_untouched => match staging.reject() {
            Ok(()) => InstallError::GivenUp(error),
            Err(error) => InstallError::Staging(error),
        },
        error @ StagingError::Spoilt { .. } => InstallError::HalfDone(error),
        // The next opening may find that the disk gives it.
        error => InstallError::Staging(error),
    }
}

/// Notes whether a chunk was spoilt: the error of whoever reads them need not say so.
struct Watched<'a, D: Disk> {
    chunks: ChunksOf<'a, D>,
    spoilt: Option<String>,
}

impl<D: Disk> Iterator for Watched<'_, D> {
    type Item = Result<Bytes, StagingError>;

    fn next(&mut self) -> Option<Self::Item> {
        let chunk = self.chunks.next()?;
        if let Err(StagingError::Spoilt { file }) = &chunk {
            self.spoilt = Some(file.clone());
        }
        Some(chunk)
    }
}
