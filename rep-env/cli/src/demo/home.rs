//! A directory that goes away with the demo.

use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Removed when dropped, unless it is kept.
#[derive(Debug)]
pub(super) struct TempHome {
    path: PathBuf,
    kept: bool,
}

impl TempHome {
    pub(super) fn new() -> io::Result<Self> {
        let chance = RandomState::new().hash_one("home");
        let path = env::temp_dir().join(format!("rep-demo-{chance:016x}"));
        fs::create_dir(&path)?;
        Ok(TempHome { path, kept: false })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for TempHome {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        if let Err(error) = fs::remove_dir_all(&self.path) {
            eprintln!("rep: {} is left behind: {error}", self.path.display());
        }
    }
}
