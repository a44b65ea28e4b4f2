//! A damaged directory comes back by itself, as somebody new.
//!
//! A member whose log or promises cannot be read may have forgotten what it acknowledged or promised, so it must never act as that
//! member again. Where its group has somebody to ask, the directory is emptied as an operator would empty it, but for two
//! things: nothing is thrown away (it all lies in a folder within), and what comes after never founds a group, it joins the one there is.
//! Why that is safe: decision 28.
//!
//! In this order, each step durable before the next: (1) the cell `rejoin` says where it goes, why, and whom to ask; (2) the identity
//! goes into the folder; (3) all the rest does. So a directory with an identity has everything that belongs to it, and one with the cell
//! and without an identity has been given up, whatever lies in it: the moving goes on, and then an identity is minted.

mod asking;
mod helpers;
mod moving;
mod note;
#[cfg(all(test, not(any(rep_loom, rep_shuttle))))]
mod tests;

pub(super) use asking::others_have_a_master;

use super::home::{self, Home};
use super::restore::reopening;
#[cfg(feature = "redb")]
use crate::config::StoreKind;
use crate::config::{OnDamage, RepConfig};
use crate::error::Error;
use note::Note;
use rep_node::rep_stream::restore::Staging;
#[cfg(feature = "redb")]
use rep_store::{Databases, StoreError};
use rep_vlsn::FileDisk;
use rep_vlsn::disk::Disk;
use std::io;
use std::path::Path;

/// Enough to open a store and look at its head.
#[cfg(feature = "redb")]
const CHECK_CACHE_BYTES: usize = 1 << 20;

/// What lies on a disk, before anything is made of it.
#[derive(Debug)]
pub(super) struct Found<D: Disk> {
    pub(super) staging: Staging<D>,
    /// `None` while a copy waits to be put in place of what is there.
    pub(super) home: Option<Home<D>>,
    /// What became of an earlier directory here that was damaged, in words.
    pub(super) damage: Option<String>,
}

impl<D: Disk> Found<D> {
    /// Opens what is there, as it is.
    pub(super) fn look(disk: &D, path: &Path, config: &RepConfig) -> Result<Self, Error> {
        home::identify(disk, path, config)?;
        let staging = reopening::staging(disk.clone(), path, config)?;
        reopening::check_copy(&staging)?;
        let home = match staging.is_complete() {
            true => home::check_cells(disk, path).map(|()| None)?,
            false => Some(Home::open(disk.clone(), path, config)?),
        };
        Ok(Found { staging, home, damage: None })
    }
}

/// Tells whether the group goes on without this member, as far as those at the addresses say: [`others_have_a_master`].
pub(super) type GoesOn<'a> = &'a dyn Fn(&RepConfig, &[String]) -> bool;

/// Opens what is there; or, if that is damaged and the group goes on without it, sets it aside and opens the empty directory, which `config`
/// from then on tells to join.
pub(super) fn open(
    disk: &FileDisk,
    path: &Path,
    config: &mut RepConfig,
    goes_on: GoesOn<'_>,
) -> Result<Found<FileDisk>, Error> {
    let note = Note::read(disk, path)?;
    if let Some(note) = &note
        && !has(disk, home::IDENTITY_CELL, path)?
    {
        moving::set_aside(path, &note.folder).map_err(|error| home_error(&error, path))?;
    }
    match open_after(note, disk, path, config) {
        Err(Error::Damaged { what, detail }) if config.on_damage == OnDamage::Rejoin => {
            let note = give_up(disk, path, (config, goes_on), (what, detail))?;
            open_after(Some(note), disk, path, config)
        }
        found => found,
    }
}

fn open_after(
    note: Option<Note>,
    disk: &FileDisk,
    path: &Path,
    config: &mut RepConfig,
) -> Result<Found<FileDisk>, Error> {
    if let Some(note) = &note {
        note.aim(config);
    }
    check_identity(disk, path)?;
    let found = Found::look(disk, path, config)?;
    check_store(path, config)?;
    Ok(Found { damage: note.map(|note| note.to_string()), ..found })
}

/// The built-in store, if that is a file which says of itself that it is whole. It is opened once more later, which takes
/// milliseconds; whatever else keeps it from being opened is said there.
fn check_store(path: &Path, config: &RepConfig) -> Result<(), Error> {
    #[cfg(feature = "redb")]
    if config.store == StoreKind::Redb && path.join(home::STORE_FILE).exists() {
        let opened = Databases::redb_with_cache(path.join(home::STORE_FILE), CHECK_CACHE_BYTES);
        if let Err(error @ StoreError::Damaged { .. }) = opened {
            return Err(Error::Damaged { what: "store", detail: error.to_string() });
        }
    }
    let _ = (path, config);
    Ok(())
}

/// An identity is the first thing in a directory, so what lies there without one has lost it, and would be taken for another's.
fn check_identity(disk: &FileDisk, path: &Path) -> Result<(), Error> {
    let failed = |error| home_error(&error, path);
    let begun =
        has(disk, home::PROMISE_CELL, path)? || !disk.list("log").map_err(failed)?.is_empty();
    if !begun || has(disk, home::IDENTITY_CELL, path)? {
        return Ok(());
    }
    let detail = "it is gone, and a log or promises lie where it was".to_owned();
    Err(Error::Damaged { what: home::IDENTITY_CELL, detail })
}

/// Sets aside what is damaged.
fn give_up(
    disk: &FileDisk,
    path: &Path,
    (config, goes_on): (&RepConfig, GoesOn<'_>),
    (what, detail): (&'static str, String),
) -> Result<Note, Error> {
    let failed = |error| home_error(&error, path);
    let refuse = |why: &str| Error::Damaged {
        what,
        detail: format!("{detail}. It is not set aside, because {why}"),
    };
    let helpers = helpers::of(disk, config);
    if helpers.is_empty() {
        return Err(refuse("there is no other member that it could ask to be admitted"));
    }
    let folder = moving::free_folder(path).map_err(failed)?;
    let folder = folder.ok_or_else(|| {
        let max = moving::SET_ASIDE_MAX;
        refuse(&format!("{max} earlier ones lie there: see to the disk, then move them elsewhere"))
    })?;
    if !goes_on(config, &helpers) {
        return Err(refuse(
            "no other member says that the group has a master without it: what it has may be needed. Open it again when the others have one",
        ));
    }
    let note = Note { folder, why: format!("{what}: {detail}"), helpers };
    tracing::error!(home = %path.display(), node = %config.name, "{note}");
    note.store(disk, path)?;
    moving::set_aside(path, &note.folder).map_err(failed)?;
    Ok(note)
}

fn has(disk: &FileDisk, name: &str, path: &Path) -> Result<bool, Error> {
    let file = disk.open(name).map_err(|error| home_error(&error, path))?;
    Ok(file.is_some())
}

fn home_error(error: &io::Error, path: &Path) -> Error {
    Error::Home { path: path.into(), detail: error.to_string() }
}
