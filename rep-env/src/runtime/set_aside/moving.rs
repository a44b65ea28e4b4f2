//! The moving itself: one rename after the other, the identity first.

use super::note::{REJOIN_BEING_MADE, REJOIN_CELL};
use crate::runtime::home::IDENTITY_CELL;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::path::Path;

/// So many lie beside a directory at most: a disk that damages what it is given is not to fill itself too.
pub(super) const SET_ASIDE_MAX: usize = 3;
const FOLDER: &str = "damaged-";
/// What is not the member's: the lock, which is held; the note about the moving; what the file system keeps at its root.
const STAYS: [&str; 4] = ["LOCK", REJOIN_CELL, REJOIN_BEING_MADE, "lost+found"];

/// The first folder that holds nothing yet.
pub(super) fn free_folder(home: &Path) -> io::Result<Option<String>> {
    for number in 1..=SET_ASIDE_MAX {
        let folder = format!("{FOLDER}{number}");
        match fs::read_dir(home.join(&folder)).map(|mut entries| entries.next().is_none()) {
            Ok(true) => return Ok(Some(folder)),
            Ok(false) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Some(folder)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Moves everything of the member's into `folder`, or what is left of it. Returns when that is durable.
pub(super) fn set_aside(home: &Path, folder: &str) -> io::Result<()> {
    move_all(home, folder, |from, to| fs::rename(from, to))
}

/// As [`set_aside`], renaming by `rename`.
pub(super) fn move_all(
    home: &Path,
    folder: &str,
    mut rename: impl FnMut(&Path, &Path) -> io::Result<()>,
) -> io::Result<()> {
    let into = home.join(folder);
    match fs::create_dir(&into) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        Ok(()) | Err(_) => sync(home)?,
    }
    let mut moves = |name: &OsString| rename(&home.join(name), &into.join(name));
    let settle = || sync(&into).and_then(|()| sync(home));
    let (identity, rest): (Vec<_>, Vec<_>) =
        to_move(home)?.into_iter().partition(|name| name == IDENTITY_CELL);
    // From here on there is nobody who could be opened with only a part of what belongs to it.
    identity.iter().try_for_each(&mut moves)?;
    settle()?;
    rest.iter().try_for_each(&mut moves)?;
    settle()
}

fn to_move(home: &Path) -> io::Result<Vec<OsString>> {
    let names = fs::read_dir(home)?.map(|entry| Ok(entry?.file_name()));
    let mut names = names.collect::<io::Result<Vec<_>>>()?;
    names.retain(|name| {
        let name = name.to_string_lossy();
        !STAYS.contains(&&*name) && !name.starts_with(FOLDER)
    });
    names.sort();
    Ok(names)
}

fn sync(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
}
